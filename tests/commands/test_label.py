"""`feat label`: names in file names become labels, are counted, and stay when features are extracted again."""

import subprocess
import sys
import wave

import pytest
from click.testing import CliRunner

from featzoo import FeatureStore
from featzoo.cli import feat

pytestmark = pytest.mark.usefixtures("one_process")


def run(*arguments, status=0):
    result = CliRunner().invoke(feat, list(map(str, arguments)))
    assert result.exit_code == status, result.output
    return result.output


def sounds(folder, *names):
    folder.mkdir()
    for name in names:
        with wave.open(str(folder / name), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(bytes(3200))
    return folder


def test_labels_from_names_are_counted_and_survive_another_extraction(tmp_path):
    folder = sounds(tmp_path / "in", "03W1.wav", "03F1.wav", "08W1.wav", "x.wav")
    store = tmp_path / "features"
    run("extract", folder, "-x", "egemaps", "-o", store)
    pattern = ("--pattern", "{speaker:2}{emotion:1}{}.wav", "--map", "emotion.W=anger,F=joy")
    said = run("label", store, *pattern, "--dry-run")
    assert "3 of 4 clips match: speaker, emotion" in said
    assert "no match: 1 (x.wav)" in said
    assert FeatureStore(store).clips()["03W1.wav"].categories == {}
    said = run("label", store, *pattern)
    table = [line.split() for line in said.splitlines()]
    assert ["emotion", "no", "split"] in table
    assert ["anger", "2"] in table
    assert ["joy", "1"] in table
    assert ["(none)", "1"] in table
    assert "speaker: 2 in all; no split 2 (03, 08)" in said
    (folder / "labels.csv").write_text("id,split\n03W1,train\n03F1,train\n08W1,test\n")
    said = run("extract", folder, "-x", "egemaps", "-o", store)
    assert "4 cached" in said
    assert FeatureStore(store).clips()["08W1.wav"].categories == {"speaker": "08", "emotion": "anger"}
    assert "speaker: 2 in all; train 1 (03), test 1 (08)" in run("label", "--store", store, *pattern)


def test_extraction_prints_the_classes_of_each_split(tmp_path):
    folder = sounds(tmp_path / "in", "a.wav", "b.wav", "c.wav")
    (folder / "labels.csv").write_text("id,split,emotion\na,train,joy\nb,train,anger\nc,dev,joy\n")
    said = run("extract", folder, "-x", "egemaps", "-o", tmp_path / "features")
    assert "emotion  train  valid" in said
    assert "anger        1      0" in said
    assert "joy          1      1" in said


def test_a_pattern_that_no_clip_matches_is_an_error(tmp_path):
    folder = sounds(tmp_path / "in", "a.wav")
    run("extract", folder, "-x", "egemaps", "-o", tmp_path / "features")
    said = run("label", tmp_path / "features", "--pattern", "{speaker}_{emotion}.wav", status=1)
    assert "none of 1 clip, such as 'a.wav' matches '{speaker}_{emotion}.wav'" in said


def test_labels_are_kept_when_the_reader_of_the_output_stops(tmp_path):
    """As `feat label ... | head -1` does."""
    folder = sounds(tmp_path / "in", *(f"{number:02d}W1.wav" for number in range(4)))
    store = tmp_path / "features"
    run("extract", folder, "-x", "egemaps", "-o", store)
    code = "import sys; from featzoo.cli import feat; sys.stdout.close(); feat()"
    words = ("label", store, "--pattern", "{speaker:2}{emotion:1}{}.wav")
    subprocess.run([sys.executable, "-c", code, *map(str, words)], check=False, capture_output=True)
    assert FeatureStore(store).clips()["03W1.wav"].categories == {"speaker": "03", "emotion": "W"}
