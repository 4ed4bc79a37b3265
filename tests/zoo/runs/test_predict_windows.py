"""`zoo predict` along time, of several runs, and in all its forms; with the pretrained head of emotion."""

import csv
import io
import json
import re
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from click.testing import CliRunner
from conftest import EXAMPLES, TESTS
from safetensors.numpy import load_file, save_file

import featzoo
from featzoo.cli import zoo
from featzoo.errors import FeatzooError, InvalidOption
from featzoo.zoo.runs.pretrained import find_run


def save(place, samples, rate):
    with wave.open(str(place), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return place


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """A WAV file of the first example, and the same from second 1 to 3."""
    folder = tmp_path_factory.mktemp("speech")
    sound = featzoo.Clip("a", EXAMPLES / "clip01.mp4").audio()
    samples = np.round(sound.samples[0] * 32767).clip(-32768, 32767).astype("<i2")
    cut = samples[sound.rate : 3 * sound.rate]
    return save(folder / "whole.wav", samples, sound.rate), save(folder / "cut.wav", cut, sound.rate)


@pytest.fixture(scope="module")
def along(speech):
    """The emotion head's predictions along the speech."""
    return featzoo.predict("emotion", speech[0], window=2, hop=1)


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """A folder of two runs: the emotion head, and the same with half its weights."""
    folder = tmp_path_factory.mktemp("seeds")
    for name, factor in (("one", 1.0), ("half", 0.5)):
        run = shutil.copytree(find_run("emotion"), folder / name)
        (run / "digests.json").unlink()
        arrays = load_file(run / "weights.safetensors")
        save_file({**arrays, "weight": arrays["weight"] * np.float32(factor)}, run / "weights.safetensors")
    return folder


def test_a_window_is_predicted_as_a_file_of_its_sound(speech, along):
    (window,) = [one for one in along.predictions[0].windows if (one.start, one.end) == (1.0, 3.0)]
    (alone,) = featzoo.predict("emotion", speech[1]).predictions
    assert window.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
    assert window.clip == "whole.wav"


def test_the_whole_clip_is_predicted_as_without_windows(speech, along):
    (plain,) = featzoo.predict("emotion", speech[0]).predictions
    assert along.predictions[0].probabilities == pytest.approx(plain.probabilities, abs=1e-6)
    assert plain.windows == ()


def test_several_runs_give_their_mean_and_deviation(speech, two_runs):
    each = [featzoo.predict(two_runs / name, speech[0]).predictions[0].probabilities for name in ("half", "one")]
    both = featzoo.predict(two_runs, speech[0])
    assert [run.name for run in both.runs] == ["half", "one"]
    (found,) = both.predictions
    for name in each[0]:
        first, second = each[0][name], each[1][name]
        assert found.probabilities[name] == pytest.approx((first + second) / 2)
        assert found.spread[name] == pytest.approx(abs(first - second) / 2**0.5)
    assert found.values["emotion"] == max(found.probabilities, key=found.probabilities.get)


def test_several_runs_are_named_before_the_media(speech, two_runs, tmp_path):
    words = ["predict", str(two_runs / "half"), str(two_runs / "one"), str(speech[0]), "--json"]
    done = CliRunner().invoke(zoo, words)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [Path(run).name for run in told["runs"]] == ["half", "one"]
    (both,) = featzoo.predict(two_runs, speech[0]).predictions
    assert told["clips"][0]["probabilities"] == pytest.approx(dict(both.probabilities), abs=1e-6)
    assert told["clips"][0]["spread"] == pytest.approx(dict(both.spread), abs=1e-6)


def test_runs_with_other_targets_are_refused(speech):
    with pytest.raises(FeatzooError, match="several runs must predict the same"):
        featzoo.predict(["emotion", TESTS / "fixtures" / "0.1.0" / "runs" / "lf-dnn"], speech[0])


def test_windows_are_not_kept_in_a_store(speech, tmp_path):
    with pytest.raises(InvalidOption, match="window or store, not both"):
        featzoo.predict("emotion", speech[0], window=2, store=tmp_path / "store")
    with pytest.raises(InvalidOption, match="hop needs window"):
        featzoo.predict("emotion", speech[0], hop=2)


def test_json_csv_html_and_elan_hold_the_same_numbers(speech, along, tmp_path):
    command = ["predict", "emotion", str(speech[0]), "--window", "2", "--hop", "1"]
    places = ["--html", str(tmp_path / "a.html"), "--elan", str(tmp_path / "eaf")]
    done = CliRunner().invoke(zoo, [*command, "--json", *places])
    assert done.exit_code == 0, done.output
    (told,) = json.loads(done.stdout)["clips"]
    (one,) = along.predictions
    assert told["probabilities"] == pytest.approx(one.probabilities)
    assert [(each["start"], each["end"]) for each in told["windows"]] == [(w.start, w.end) for w in one.windows]
    page = (tmp_path / "a.html").read_text()
    drawn = json.loads(re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)[1])
    bars, curve = drawn
    assert bars["data"][0]["x"] == pytest.approx(list(one.probabilities.values()), abs=1e-5)
    angry = next(trace for trace in curve["data"] if trace["name"] == "angry")
    assert angry["y"] == pytest.approx([w.probabilities["angry"] for w in one.windows], abs=1e-5)
    check_elan(tmp_path / "eaf" / "whole.eaf", one)
    rows = list(csv.DictReader(io.StringIO(CliRunner().invoke(zoo, [*command, "--csv"]).stdout)))
    assert len(rows) == 1 + len(one.windows)
    assert rows[0]["start"] == ""
    shares = [float(value) for name, value in rows[0].items() if name.startswith("p.")]
    assert float(rows[0]["entropy"]) == pytest.approx(scipy.stats.entropy(shares))
    assert float(rows[1]["p.angry"]) == pytest.approx(one.windows[0].probabilities["angry"])
    assert [row["emotion"] for row in rows] == [one.values["emotion"], *(w.values["emotion"] for w in one.windows)]


def check_elan(place, one):
    """Read by pympi: the windows follow each other from the start to the end."""
    pympi = pytest.importorskip("pympi")
    file = pympi.Elan.Eaf(str(place))
    assert {*file.get_tier_names()} == {"emotion", "emotion (clip)"}
    rows = sorted(file.get_annotation_data_for_tier("emotion"))
    assert [row[2].partition(" ")[0] for row in rows] == [w.values["emotion"] for w in one.windows]
    assert [row[0] for row in rows[1:]] == [row[1] for row in rows[:-1]]
    assert (rows[0][0], rows[-1][1]) == (0, round(1000 * one.windows[-1].end))


def test_a_failed_clip_is_told_and_the_others_are_predicted(speech, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"not sound")
    done = CliRunner().invoke(zoo, ["predict", "emotion", str(speech[0]), str(tmp_path / "broken.wav")])
    assert done.exit_code == 1
    assert "broken.wav  no prediction" in done.output
    assert "without audio: unreadable" in done.output
    assert re.search(r"whole\.wav  emotion \w+ \(0\.\d{3}\)", done.output)
