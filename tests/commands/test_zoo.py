"""The `zoo` commands, as a user types them."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from featzoo.cache.store import FeatureStore
from featzoo.cli import feat, zoo
from featzoo.media.clip import Clip
from featzoo.zoo.recipe import recipes

RECIPE = """
extends = "lf-dnn"
[inputs]
text = {features = ["motion-energy"]}
vision = {features = ["motion-energy"]}
audio = {features = ["egemaps.functionals"]}
[training]
epochs = 1
"""
CLIPS = Path(__file__).parents[2] / "examples" / "clips"


def run(*words: object, command: click.Command = zoo) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])


def text_store(path: Path) -> Path:
    """A store with clips of both splits and labels, and features of text alone."""
    store = FeatureStore.create(path)
    names = [(split, n) for split in ("train", "valid") for n in range(4)]
    clips = [Clip(id=f"{split}{n}", split=split, labels={"sentiment": n - 1.0}) for split, n in names]
    store.add("bert.minilm-ids", {clip.id: np.array([[2], [5], [3]]) for clip in clips}, provenance={"model": "x"})
    store.record(clips)
    return path


def test_the_help_lists_every_command_uncut_at_80_columns() -> None:
    shown = CliRunner().invoke(zoo, ["--help"], terminal_width=80).output
    lines = shown.splitlines()
    assert [line for line in lines if line.endswith(":")] == [
        "Options:", "Recipes:", "Train:", "Evaluate and apply:", "Papers:", "Runs:", "Parallel texts:",
    ]  # fmt: skip
    for name in zoo.commands:
        assert any(line.startswith(f"  {name} ") and line.endswith(".") and "..." not in line for line in lines), name
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", ["train", "ablate", "layers", "evaluate", "predict", "list"])
def test_store_is_the_option_and_features_its_older_spelling(name: str) -> None:
    shown = run(name, "--help").output
    assert "--store" in shown
    assert "--features" not in shown
    (option,) = [each for each in zoo.commands[name].params if each.name == "store"]
    assert {"-o", "--store", "--features"} <= set(option.opts)


def test_list_groups_the_recipes_by_task() -> None:
    shown = run("list", "--store", "/nowhere").output
    tasks = [
        line.rstrip(":") for line in shown.splitlines() if line and not line.startswith(" ") and line.endswith(":")
    ]
    assert tasks == [
        "Sentiment, from -3 to 3", "Sentiment, from -1 to 1", "Apparent personality, from 0 to 1", "Other numbers",
        "Yes or no, as probabilities", "Classes",
    ]  # fmt: skip
    assert shown.index("psa-mf.sims") > shown.index("Sentiment, from -1 to 1")
    assert "no feature store at /nowhere" in shown
    assert "trains  needs" not in shown


def test_list_has_a_row_for_each_recipe_with_its_inputs() -> None:
    lines = run("list", "--store", "/nowhere").output.splitlines()
    needs = dict(line.split(None, 1) for line in lines if line.startswith("  ") and not line.startswith("   "))
    assert needs.keys() == recipes().keys() | {"recipe"}
    assert needs["lf-dnn"] == "text, audio, vision"
    assert needs["siamese-audio"] == "audio"


def test_list_says_of_each_recipe_whether_the_store_can_train_it(tmp_path: Path) -> None:
    shown = run("list", "--store", text_store(tmp_path / "s")).output
    rows = [line.split(None, 2) for line in shown.splitlines()]
    answers = {row[0]: row[1] for row in rows if row[1:] and row[1] in ("yes", "no")}
    assert answers.keys() == recipes().keys()
    assert [name for name, answer in answers.items() if answer == "yes"] == ["text-alone"]
    words = " ".join(shown.split())
    assert "(lacks audio, vision)" in words
    assert "(lacks label openness, label conscientiousness" in words
    trained = run("train", "text-alone", "--store", tmp_path / "s", "--runs", tmp_path / "runs")
    assert "no weights of 'x'" in trained.output  # everything else is there


def test_show_prints_a_recipe_that_can_be_trained_by_its_path(tmp_path: Path) -> None:
    shown = run("show", "psa-mf").output
    assert 'head = "psa-mf"' in shown
    (tmp_path / "mine.toml").write_text(shown)
    assert run("show", tmp_path / "mine.toml").output == shown
    assert "did you mean 'psa-mf'?" in run("show", "psamf").output


def test_the_advice_for_missing_features_works_for_a_recipe_by_path(tmp_path: Path) -> None:
    """Its own commands are run: the first extracts, the second trains without."""
    clips = shutil.copytree(CLIPS, tmp_path / "clips")
    store, recipe = tmp_path / "features", tmp_path / "mine.toml"
    recipe.write_text(RECIPE)
    assert run("extract", clips, "-x", "motion-energy", "-o", store, "-j", "1", command=feat).exit_code == 0
    asked = ("train", recipe, "--store", store, "--runs", tmp_path / "runs", "--device", "cpu")
    refused = run(*asked)
    assert refused.exit_code == 1
    assert "audio (any of egemaps.functionals)" in refused.output
    extract, without = (line.partition(": ")[2] for line in refused.output.splitlines()[-2:])
    assert shlex.split(without)[:2] == ["zoo", "train"]
    trained = run(*shlex.split(without)[1:], "--runs", tmp_path / "runs", "--device", "cpu")
    assert trained.exit_code == 0, trained.output
    assert "audio: not used" in trained.output
    assert "1 epoch in" in trained.output
    words = [str(clips) if word == "FOLDER" else word for word in shlex.split(extract)]
    assert run(*words[1:], "-j", "1", command=feat).exit_code == 0
    assert run(*asked).exit_code == 0


def test_a_resumed_run_keeps_its_recipe() -> None:
    for words in (["--seed", "1"], ["--set", "training.epochs=2"], ["--without", "audio"], ["--seeds", "2"]):
        refused = run("train", "--resume", "runs/x", *words)
        assert refused.exit_code == 2
        assert "a resumed run keeps its recipe" in refused.output
    assert run("train").exit_code == 2
    assert run("train", "psa-mf", "--resume", "runs/x").exit_code == 2


def test_a_change_that_is_not_field_equals_value_is_refused() -> None:
    done = run("train", "psa-mf", "--set", "epochs")
    assert done.exit_code == 1
    assert "--set epochs: expected field=value, such as training.epochs=3" in done.output
