"""`zoo predict`: new media to predictions, by just what the head was trained on, or a refusal that says why."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import make_bert

from featzoo.cache.store import FeatureStore
from featzoo.cli import feat, zoo
from featzoo.errors import FeatzooError, InvalidOption
from featzoo.extraction.driver import extract_all
from featzoo.extractors.contract import make_extractor
from featzoo.media.discovery import find_clips
from featzoo.zoo.heads.psa_mf import PsaMf
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.predict import predict
from featzoo.zoo.runs.run import train_recipe

CLIPS = Path(__file__).parents[3] / "examples" / "clips"
pytestmark = pytest.mark.usefixtures("one_process")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, random_bert, one_process):
    """A run on the example clips: text, personality, pictures and a narrowed, pooled sound."""
    folder = tmp_path_factory.mktemp("predict")
    requests = [
        f"bert.ids[model={random_bert},max_tokens=20]", f"bert.personality[model={random_bert}]",
        "motion-energy", "egemaps[dtype=float16]",
    ]  # fmt: skip
    store = FeatureStore.create(folder / "store")
    extract_all(store, [make_extractor(request) for request in requests], find_clips(CLIPS).clips, jobs=2)
    changes = {"training.epochs": 1, "training.batch_size": 4, "options.hidden": 8, "options.wide": 12}
    return train_recipe("psa-mf", folder / "store", folder / "runs", changes, "cpu")


def test_a_new_clip_gets_the_prediction_of_the_stored_features(trained, tmp_path):
    """Extracted anew from copies elsewhere, the clips get what the run itself predicted for them."""
    with (trained.path / "predictions.csv").open() as file:
        expected = {row["id"]: float(row["pred"]) for row in csv.DictReader(file)}
    for name in ("clip10", "clip12"):  # of test; what is recorded of dev are predictions without each clip
        for path in CLIPS.glob(f"{name}.*"):
            shutil.copy(path, tmp_path)
    done = CliRunner().invoke(zoo, ["predict", str(trained.path), str(tmp_path), "--json", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["used"] == trained.used
    assert [one["clip"] for one in told["clips"]] == ["clip10.mp4", "clip12.mp4"]
    for one in told["clips"]:
        # The same float32 sums in another batch: rounding only.
        assert one["values"]["sentiment"] == pytest.approx(expected[one["clip"]], abs=1e-5)
        assert not one["missing"]


def test_transcripts_are_read_in_the_given_encoding(trained, tmp_path):
    shutil.copy(CLIPS / "clip07.mp4", tmp_path / "film.mp4")
    (tmp_path / "film.txt").write_bytes("naïve café".encode("cp1252"))  # several encodings fit
    command = ["predict", str(trained.path), str(tmp_path), "--device", "cpu", "--jobs", "1"]
    done = CliRunner().invoke(zoo, command)
    assert "film.mp4  no prediction" in done.output
    assert done.exit_code == 3  # nothing was predicted
    done = CliRunner().invoke(zoo, [*command, "--encoding", "cp1252"])
    assert done.exit_code == 0, done.output


def test_what_a_clip_lacks_is_said(trained, tmp_path, made):
    """Without words there is no prediction, for the text is required; without pictures there is one."""
    shutil.copy(CLIPS / "clip07.mp4", tmp_path / "mute.mp4")
    shutil.copy(made / "voice.wav", tmp_path)
    (tmp_path / "voice.txt").write_text("so good a film")
    (tmp_path / "broken.mp4").write_bytes(b"not a film")
    done = CliRunner().invoke(zoo, ["predict", str(trained.path), str(tmp_path), "--device", "cpu"])
    assert done.exit_code == 1, done.output
    lines = done.output.splitlines()
    assert "mute.mp4  no prediction" in lines
    assert "broken.mp4  no prediction" in lines
    assert any(line.startswith("voice.wav  sentiment ") for line in lines)
    assert any("without vision: no-video" in line for line in lines)
    assert any("without text: no-words" in line for line in lines)


def test_other_weights_are_refused(trained, tmp_path, random_bert):
    run = tmp_path / "run"
    shutil.copytree(trained.path, run)
    features = json.loads((run / "features.json").read_text())
    features["sets"]["text"]["model"] = str(make_bert(tmp_path / "other", seed=9))
    features["sets"]["personality"]["model"] = str(tmp_path / "other")
    (run / "features.json").write_text(json.dumps(features))
    with pytest.raises(FeatzooError, match=r"(?s)reads its text from .* digests was .* Use the weights"):
        RunFolder.open(run).extractors()


def test_imported_features_cannot_be_extracted(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained.path, run)
    features = json.loads((run / "features.json").read_text())
    features["sets"]["audio"]["spec"]["reads"] = []
    (run / "features.json").write_text(json.dumps(features))
    with pytest.raises(FeatzooError, match=r"which was imported.*predict without audio"):
        RunFolder.open(run).extractors()
    assert RunFolder.open(run).extractors(["audio"])["audio"] is None
    found = predict(run, [CLIPS / "clip10.mp4"], without=["audio"], device="cpu", jobs=1)
    assert found.used["audio"] == ""
    assert found.predictions[0].values
    with pytest.raises(InvalidOption, match="no input 'sound'"):
        RunFolder.open(run).extractors(["sound"])


def test_no_run(tmp_path):
    with pytest.raises(FeatzooError, match="is not a run folder"):
        RunFolder.open(tmp_path).extractors()


def test_a_head_in_place_of_its_run():
    with pytest.raises(InvalidOption, match="needs a run's folder or name"):
        predict(object.__new__(PsaMf), CLIPS)


def test_extract_for_a_run(trained, tmp_path):
    """`feat extract --for RUN` makes the very sets that the head reads."""
    done = CliRunner().invoke(
        feat, ["extract", str(CLIPS / "clip10.mp4"), "--for", str(trained.path), "-o", str(tmp_path / "new"), "-j", "1"]
    )
    assert done.exit_code == 0, done.output
    keys = {found.key for found in FeatureStore(tmp_path / "new").sets()}
    assert keys == {key for key in trained.used.values() if key}
