"""`feat export label-studio`: the JSON and the interface, by Label Studio's documented format."""

import json
import re
import xml.etree.ElementTree as ET

import numpy as np
from click.testing import CliRunner
from runs_for_tests import make_run

from featzoo import Clip, FeatureStore
from featzoo.cli import feat
from featzoo.media.transcripts import Word


def store_of(folder, suffix=".mp4"):
    store = FeatureStore.create(folder / "features")
    places = [folder / "media" / speaker / f"take 1{suffix}" for speaker in ("s1", "s2")]
    store.record([Clip(f"c{n}", place, words=(Word("so", 0, 1),)) for n, place in enumerate(places)])
    return folder / "features"


def export(run, path, status=0):
    done = CliRunner().invoke(feat, ["export", "label-studio", str(run), str(path)])
    assert done.exit_code == status, done.output
    return done.output


def interface_of(said):
    return ET.fromstring(re.search(r"<View>.*</View>", said, re.DOTALL)[0])  # noqa: S314


def test_classes_are_choices_that_the_interface_has(tmp_path):
    pred = np.array([[0.7, 0.3], [0.1, 0.9]])
    run = make_run(tmp_path / "run", ["c0", "c1"], np.array([[0], [1]]), pred, ["emotion"],
                   store=store_of(tmp_path), classes=["anger", "joy & <fun>"])  # fmt: skip
    said = export(run, tmp_path / "tasks.json")
    tasks = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    interface = interface_of(said)
    (video,) = interface.iter("Video")
    (choices,) = interface.iter("Choices")
    offered = {choice.get("value") for choice in choices}
    for task, name, score in zip(tasks, ("anger", "joy & <fun>"), (0.7, 0.9), strict=True):
        (prediction,) = task["predictions"]
        (result,) = prediction["result"]
        assert prediction["model_version"] == "run"
        assert prediction["score"] == score
        assert (result["type"], result["value"]) == ("choices", {"choices": [name]})
        assert name in offered
        assert (result["from_name"], result["to_name"]) == (choices.get("name"), choices.get("toName"))
        assert result["to_name"] == video.get("name")
        assert video.get("value").removeprefix("$") in task["data"]
    assert tasks[0]["data"]["media"] == "/data/local-files/?d=s1/take%201.mp4"
    assert tasks[0]["data"]["text"] == "so"
    assert f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={(tmp_path / 'media').resolve()}" in said


def test_numbers_are_numbers_and_sound_is_audio(tmp_path):
    truth = np.array([[0.5], [1.0]])
    run = make_run(tmp_path / "run", ["c0", "c1"], truth, truth + 0.25, store=store_of(tmp_path, ".wav"))
    interface = interface_of(export(run, tmp_path / "tasks.json"))
    assert [each.tag for each in interface] == ["Audio", "Header", "Number"]
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert tasks[1]["predictions"][0]["result"][0]["value"] == {"number": 1.25}
    assert "score" not in tasks[1]["predictions"][0]


def test_a_store_that_lacks_the_clips_is_refused(tmp_path):
    run = make_run(tmp_path / "run", ["c0", "z"], np.zeros((2, 1)), np.ones((2, 1)), store=store_of(tmp_path))
    assert "lacks clips" in export(run, tmp_path / "tasks.json", status=1)
    assert not (tmp_path / "tasks.json").exists()
