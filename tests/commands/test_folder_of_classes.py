"""From a folder whose file names hold class and speaker to the table of unseen speakers, and a leak found by name."""

import csv
import shutil

import pytest
from click.testing import CliRunner
from conftest import tone, write_wav

from featzoo.cli import feat, zoo

PITCH = {"anger": 300, "sadness": 120}
PATTERN = ("--pattern", "{speaker}_{emotion}_{take}.wav")
RECIPE = ("--set", "options.penalties=[0.01]", "--set", "split.dev=0.0")


def run(group, *arguments, status=0):
    done = CliRunner().invoke(group, list(map(str, arguments)))
    assert done.exit_code == status, done.output
    return done.output


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Three speakers, two clips of each of two classes, which differ in pitch and loudness."""
    folder = tmp_path_factory.mktemp("sounds")
    for speaker in range(3):
        for number, (emotion, pitch) in enumerate(PITCH.items()):
            for take in range(2):
                heard = tone(0.5, seed=10 * speaker + take, pitch=pitch + 15 * speaker) / (1 + 3 * number)
                write_wav(folder / f"s{speaker}_{emotion}_{take}.wav", heard)
    return folder


def test_two_more_commands_give_the_table_of_unseen_speakers(sounds, tmp_path):
    store, runs = tmp_path / "features", tmp_path / "runs"
    run(feat, "extract", sounds, "-x", "egemaps.functionals", "-o", store)
    said = run(feat, "label", store, *PATTERN)
    assert "12 of 12 clips match: speaker, emotion, take" in said
    said = run(zoo, "train", "svm", "--store", store, "--runs", runs, "--folds", "leave-one-out", *RECIPE)
    assert "test of all folds, 12 clips" in said
    assert "intervals over 3 speakers: too few" in said
    with (runs / "svm-folds" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert all(row["truth"] == row["pred"] for row in rows)


def test_a_renamed_copy_of_a_train_clip_in_test_is_named(sounds, tmp_path):
    copied = shutil.copytree(sounds, tmp_path / "in")
    shutil.copy(copied / "s0_anger_1.wav", copied / "s2_anger_7.wav")
    store = tmp_path / "features"
    run(feat, "extract", copied, "-x", "egemaps.functionals", "-o", store)
    run(feat, "label", store, *PATTERN)
    words = ("audit", store, "svm", "--set", "split.folds=leave-one-out", *RECIPE, "--strict")
    said = run(zoo, *words, status=1)
    assert "the same content in two splits" in said
    assert "'s0_anger_1.wav'" in said
    assert "'s2_anger_7.wav'" in said
    assert "in random folds and" in said
