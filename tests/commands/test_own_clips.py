"""The path from a folder of one's own clips to a store, as a user types it."""

from __future__ import annotations

import wave

import pytest
from click.testing import CliRunner

from featzoo import Clip, FeatureStore
from featzoo.cli import feat
from featzoo.extractors.contract import make_extractor
from featzoo.weights.catalogue import KNOWN, known
from featzoo.weights.locate import how_to_get


def run(*words, status=0):
    done = CliRunner().invoke(feat, list(map(str, words)))
    assert done.exit_code == status, done.output
    return done.output


@pytest.fixture
def folder(tmp_path):
    """Three sounds of half a second, the third empty."""
    made = tmp_path / "clips"
    made.mkdir()
    for name, frames in (("a", 8000), ("b", 8000), ("empty", 0)):
        with wave.open(str(made / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes(bytes(2 * frames))
    return made


def test_labels_are_reported_whatever_their_kind(folder, tmp_path):
    words = ("extract", folder, "-x", "quality", "-o", tmp_path / "f", "--dry-run")
    assert "labels: 0 of 3 clips; no splits\n    to give labels: a labels.csv in the folder, or `feat label`" in run(
        *words
    )
    (folder / "labels.csv").write_text("id,split,sentiment,emotion\na,train,-2,joy\nb,test,1.5,\n")
    assert "labels: 2 of 3 clips; sentiment -2 to 1.5, emotion; 1 train, 1 test" in (said := run(*words))
    assert "to give labels" not in said


def test_a_table_of_more_clips_than_the_folder_has_is_used(folder, tmp_path):
    (folder / "labels.csv").write_text("id,split,x\na,train,1\nelsewhere,dev,2\nc,test,3\n")
    said = run("extract", folder, "-x", "quality", "-o", tmp_path / "f", "--dry-run")
    assert "labels.csv: no clip here for 2 rows (elsewhere, c): left out" in said
    (folder / "labels.csv").write_text("id,split,x\nelsewhere,dev,2\n")
    assert "no clip is called 'elsewhere'" in run("extract", folder, "-x", "quality", "-o", tmp_path / "f", status=3)


def test_the_exit_status_tells_some_failures_from_nothing_done(folder, tmp_path):
    """As docs/reference/exit-status.md has it."""
    words = ("-x", "quality", "-o", tmp_path / "f", "-j", "1")
    run("extract", folder, *words, status=1)
    run("extract", folder / "a.wav", *words)
    run("extract", folder / "empty.wav", *words, status=3)
    (tmp_path / "nothing").mkdir()
    run("extract", tmp_path / "nothing", *words, status=3)
    run("extract", folder, *words, "--no-such-option", status=2)
    run("extract", folder, "-x", "qualty", "-o", tmp_path / "f", status=2)


def test_without_transcripts_the_command_that_makes_them_is_named(folder, tmp_path, monkeypatch):
    words = ("-o", tmp_path / "f", "--dry-run")
    asked = run("extract", folder, "-x", "plugins_for_tests:WordLengths", *words)
    expected = f"no clip has a transcript (.txt, .srt, .vtt, .TextGrid, .eaf or .json): feat transcribe {folder} makes"
    assert expected in asked.replace("\n", " ")
    monkeypatch.setattr(
        "featzoo.commands.selection.usual_extractors", lambda: ["plugins_for_tests:WordLengths", "quality"]
    )
    usual = run("extract", folder, *words)
    assert f"not run: plugins_for_tests:WordLengths: {expected}" in usual


def test_a_recipe_is_served_by_the_set_that_the_store_holds(folder, tmp_path):
    """A recipe may prefer a set that takes hours: if the store has another that it accepts, that one is completed."""
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'head = "linear"\ninputs.audio.features = ["voice-activity", "quality"]\ntarget.columns = ["x"]\n'
    )
    run("extract", folder / "a.wav", "-x", "quality", "-o", tmp_path / "f", "-j", "1")
    said = run("extract", folder, "--for", recipe, "-o", tmp_path / "f", "-j", "1", status=1)
    assert "audio: quality" in said
    assert [found.name for found in FeatureStore(tmp_path / "f").sets()] == ["quality"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("frames[rate=5]", "frames[rate=5.0]"),
        ("egemaps.functionals", "egemaps[level=functionals]"),
        ("frames[rate=5,height=24]", " frames[ height = 24 , rate = 5 ] "),
        ("egemaps[pool=mean]", 'egemaps[pool="mean"]'),
    ],
)
def test_one_configuration_in_two_spellings_is_one_set(one, other):
    assert make_extractor(one).key == make_extractor(other).key


def test_a_set_of_an_older_store_is_used_under_its_older_name(tmp_path):
    """0.1 called egemaps[level=functionals] egemaps, with the same digest."""
    store, asked = FeatureStore.create(tmp_path), make_extractor("egemaps[level=functionals]")
    older = store.open_set("egemaps", asked.spec())
    again = FeatureStore(tmp_path)
    assert asked.key == f"egemaps.functionals-{older.digest[:8]}"
    assert again.find(asked.key).key == older.key
    assert again.open_set(asked.label, asked.spec()).key == older.key
    assert len(again.sets()) == 1


def test_the_names_of_models_in_errors_are_those_that_weights_get_takes():
    for entry in KNOWN:
        for name in (entry.name, *entry.also):
            command = how_to_get(name).partition("\n")[0]
            if command.startswith("feat weights get "):
                assert known(command.removeprefix("feat weights get ")) is entry


def test_labels_survive_an_extraction_without_a_table(folder, tmp_path):
    store = FeatureStore.create(tmp_path / "f")
    store.record([Clip("a.wav", folder / "a.wav", split="train", categories={"speaker": "s"})])
    run("extract", folder, "-x", "quality", "-o", tmp_path / "f", "-j", "1", status=1)
    clip = FeatureStore(tmp_path / "f").clips()["a.wav"]
    assert (clip.split, clip.categories["speaker"]) == ("train", "s")


def test_ls_takes_a_stores_folder_as_explore_and_report_do(folder, tmp_path):
    run("extract", folder, "-o", tmp_path / "mine", "-x", "egemaps", "-j", 1, status=1)
    assert run("ls", tmp_path / "mine") == run("ls", "-o", tmp_path / "mine")
