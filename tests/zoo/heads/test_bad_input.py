"""Bad input to a training: handled and counted, or refused with what to do; and a test set that nobody may look at.

Every head that reads text, sound and pictures is tried. For single labels and roles see tests/zoo/data/test_load.py.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from featzoo.cache.store import FeatureStore
from featzoo.cli import zoo
from featzoo.exchange.importing import Arrival, bring_in
from featzoo.media.clip import Clip
from featzoo.zoo.data.load import load_split
from featzoo.zoo.head import make_head
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.runs.run import train_recipe
from featzoo.zoo.training.evaluation import evaluate
from featzoo.zoo.training.loop import accelerator_on, seed_everything
from featzoo.zoo.training.loop import train as fit
from zoo.conftest import SMALL, fill, make_clips, sets_for

HEADS = ["psa-mf", "psa-mf.official", "misa", "self-mm", "mmim", "mult", "tfn", "lmf", "mfn", "ef-lstm", "lf-dnn"]
ONE_EPOCH = {"training.epochs": 1, "training.batch_size": 8}


def changes(head):
    return (
        {**SMALL, **ONE_EPOCH, "training.learning_rates": {"main": 1e-3, "encoder": 1e-3}}
        if "psa" in head
        else ONE_EPOCH
    )


def not_observed(sets):
    """A column that nobody observed, clips without a single value, and a set that is NaN throughout."""
    for number, array in enumerate(sets["audio"].values()):
        array[:, 1] = np.nan
        array[:, :] = np.nan if number % 3 == 0 else array
    sets["vision"] = {clip: np.full((2, 3), np.nan, np.float32) for clip in sets["vision"]}


def one_token(sets):
    for clip in sets["ids"]:
        sets["ids"][clip], sets["personality"][clip] = np.array([[5]]), sets["personality"][clip][:1]


def missing(sets):
    """Every second clip has no sound; no dev clip has pictures, and one has pictures of no frame."""
    for clip in list(sets["audio"])[::2]:
        del sets["audio"][clip]
    sets["vision"] = {clip: array for clip, array in sets["vision"].items() if not clip.startswith("valid")}
    sets["vision"]["valid/00"] = np.zeros((0, 3), np.float32)


def absent(sets):
    """A modality that no clip of train and test has."""
    sets["audio"] = {clip: array for clip, array in sets["audio"].items() if clip.startswith("valid")}


def whole(sets):
    """Nothing is the matter."""


@pytest.fixture(scope="module", params=[not_observed, one_token, missing, absent, whole])
def damaged(request, tmp_path_factory, tiny_bert):
    """What was done, to which features, in which store."""
    clips = make_clips((9, 3, 3))  # the last batch of 8 is of one clip
    sets = sets_for(clips)
    request.param(sets)
    return request.param, sets, fill(tmp_path_factory.mktemp("bad") / "s", clips, sets, tiny_bert)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_trains_on_what_is_there(damaged, head):
    damage, sets, store = damaged
    size = 1 if damage is whole else 8
    recipe = find_recipe(head, {**changes(head), "training.batch_size": size})
    first = load_split(store, recipe, "train")
    dev, test = (load_split(store, recipe, name, statistics=first.statistics) for name in ("valid", "test"))
    seed_everything(1)
    made = make_head(recipe.head, recipe.options, first.specs, 1)
    fit(made, first, dev, recipe.training, accelerator_on("cpu", "fp32"))
    losses, pred = evaluate(made, test, size, torch.device("cpu"), made.stages[-1])
    assert np.isfinite([*losses.values(), *pred.ravel()]).all()
    if damage is missing:
        assert [split.counts.missing.get("audio") for split in (first, dev, test)] == [5, 1, 2]
        assert dev.counts.missing["vision"] == 3
    if damage is absent:
        assert [split.counts.missing.get("audio") for split in (first, dev, test)] == [9, None, 3]
    if damage is not_observed:
        seen = sum(int(np.isnan(a).sum()) for clip, a in sets["audio"].items() if clip.startswith("train"))
        assert first.counts.unobserved == {"audio": seen, "vision": 9 * 2 * 3}


def train(store, tmp_path, *words, status=0):
    """What `zoo train psa-mf` prints."""
    small = [w for key, value in (SMALL | ONE_EPOCH).items() if "rates" not in key for w in ("--set", f"{key}={value}")]
    arguments = ["train", "psa-mf", "--features", str(store), "--runs", str(tmp_path / "runs"), "--device", "cpu"]
    result = CliRunner().invoke(zoo, [*arguments, *small, *words])
    assert result.exit_code == status, result.output
    return result.output


@pytest.mark.parametrize(
    ("value", "undefined"),
    [(0.0, {"corr", "acc2_non0", "f1_non0"}), (1.4, {"corr"})],
    ids=["every label is 0", "every label is positive"],
)
def test_a_split_of_one_class_is_scored_as_far_as_it_goes(tmp_path, tiny_bert, value, undefined):
    clips = [
        dataclasses.replace(clip, labels={"sentiment": value}) if clip.split == "test" else clip
        for clip in make_clips((9, 4, 4))
    ]
    fill(tmp_path / "s", clips, sets_for(clips), tiny_bert)
    said = train(tmp_path / "s", tmp_path)
    names = ", ".join(name for name in ("corr", "acc2_non0", "f1_non0") if name in undefined)
    assert f"not defined here, because all labels or all predictions are alike: {names}\n" in said
    (run,) = (tmp_path / "runs").iterdir()
    test = json.loads((run / "metrics.json").read_text())["splits"]["test"]["head"]
    assert {name for name, number in test.items() if number is None} == undefined
    for name in ("acc2_has0", "f1_has0"):
        assert 0 <= test[name] <= 1


def test_training_on_one_class_is_allowed(tmp_path, tiny_bert):
    clips = [dataclasses.replace(clip, labels={"sentiment": 1.0}) for clip in make_clips((9, 4, 4))]
    fill(tmp_path / "s", clips, sets_for(clips), tiny_bert)
    assert "mae" in train(tmp_path / "s", tmp_path)


def test_labels_out_of_range_say_what_to_do(tmp_path, tiny_bert):
    clips = make_clips((9, 4, 4))
    clips[3] = dataclasses.replace(clips[3], labels={"sentiment": 4.5})
    fill(tmp_path / "s", clips, sets_for(clips), tiny_bert)
    said = train(tmp_path / "s", tmp_path, status=1)
    assert "clip 'train/03': sentiment is 4.5; recipe psa-mf expects -3 to 3" in said
    assert "widen the recipe's target.range" in said
    assert not (tmp_path / "runs").exists()
    assert "mae" in train(tmp_path / "s", tmp_path, "--set", "target.range=[-3,5]")


def test_a_store_without_a_valid_split_says_how_to_get_one(tmp_path, tiny_bert):
    clips = make_clips((9, 0, 4))
    fill(tmp_path / "s", clips, sets_for(clips), tiny_bert)
    said = train(tmp_path / "s", tmp_path, status=1)
    assert "the store holds no valid clip (clips: train: 9, test: 4)" in said.replace(
        "test: 4, train: 9", "train: 9, test: 4"
    )
    assert "`zoo split` makes splits" in said
    assert not (tmp_path / "runs").exists()


def test_the_second_clip_of_one_id_is_refused_and_the_first_stays(tmp_path):
    given = [
        Clip("a$_$1", split="train", labels={"sentiment": 1.0}),
        Clip("a$_$1", split="test", labels={"sentiment": 2.0}),
    ]
    account = bring_in(Arrival([], given), tmp_path / "s")
    assert not account.complete
    assert account.refused == {"a$_$1 (again)": "its id occurs already in train"}
    assert FeatureStore(tmp_path / "s").clips()["a$_$1"].labels == {"sentiment": 1.0}


@pytest.mark.parametrize("head", ["psa-mf", "self-mm"])
def test_a_poisoned_test_set_changes_nothing_in_training(tmp_path, tiny_bert, head):
    """Garbage for the labels and for every feature of the test clips: the same epochs, choice, statistics, weights."""
    found = []
    for name in ("clean", "poisoned"):
        clips, rng = make_clips((9, 4, 4)), np.random.default_rng(9)
        sets = sets_for(clips)
        for number, clip in enumerate(clips):
            if name == "poisoned" and clip.split == "test":
                clips[number] = dataclasses.replace(clip, labels={"sentiment": float(rng.uniform(-3, 3))})
                sets["ids"][clip.id] = np.array([[2], [14], [3]])
                for key in ("personality", "audio", "vision"):
                    sets[key][clip.id] = (1e4 * rng.normal(size=sets[key][clip.id].shape)).astype(np.float32)
        fill(tmp_path / name, clips, sets, tiny_bert)
        run = train_recipe(head, tmp_path / name, tmp_path / "runs", {**changes(head), "training.epochs": 3}, "cpu")
        epochs = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
        for epoch in epochs:
            del epoch["seconds"]
        found.append(
            (run, epochs, load_file(run.path / "weights.safetensors"), load_file(run.path / "statistics.safetensors"))
        )
    (clean, epochs, weights, scale), (poisoned, other_epochs, other_weights, other_scale) = found
    assert epochs == other_epochs
    assert clean.best_epoch == poisoned.best_epoch
    assert clean.metrics["valid"] == poisoned.metrics["valid"]
    for one, other in ((weights, other_weights), (scale, other_scale)):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert clean.metrics["test"]["mae"] != poisoned.metrics["test"]["mae"]
