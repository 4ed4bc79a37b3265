"""Tuning: it never sees test, resumes, prunes, and writes the best recipe with its history."""

import csv
import tomllib

import numpy as np
import pytest
from click.testing import CliRunner

from featzoo import Clip, FeatureStore
from featzoo.cli import zoo
from featzoo.errors import FeatzooError, InvalidOption, MissingFeatures
from featzoo.zoo.data.development import development_stores
from featzoo.zoo.data.load import load_split
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.runs.dev_score import score_on_dev
from featzoo.zoo.runs.run import train_recipe
from featzoo.zoo.runs.search_space import Choices, Range, search_space
from featzoo.zoo.runs.tune import Search, tune

RECIPE = """
head = "mlp"
inputs.audio = { features = ["x"], standardise = true }
target = { columns = ["y"], kind = "number", metrics = "regression" }
options = { hidden = 8 }
training = { epochs = 4, batch_size = 16, precision = "fp32" }
"""
TUNED = (
    RECIPE
    + """
[tune]
"training.learning_rates.main" = { low = 1e-4, high = 1e-1, log = true }
"options.layers" = [1, 2]
"""
)


def make_store(path, test=True, poison=False):
    """Three speakers in each split; y can be read off x."""
    rng = np.random.default_rng(0)
    store, clips, features = FeatureStore.create(path), [], {}
    for split in ("train", "valid", "test"):
        for n in range(24 if split == "train" else 9):
            name, y = f"{split}{n:02}", float(rng.normal())
            row = rng.normal(size=(3, 4)) + y
            if split != "test" or test:
                bad = poison and split == "test"
                features[name] = np.full((3, 4), 1e6) if bad else row
                speaker = {"speaker": f"{split}-{n % 3}"}
                clips.append(Clip(name, split=split, labels={"y": -1e6 if bad else y}, categories=speaker))
    store.add("x", features)
    store.record(clips)
    return path


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A store, the same with nonsense as its test split, and the same without one."""
    folder = tmp_path_factory.mktemp("tune")
    (folder / "mine.toml").write_text(TUNED)
    make_store(folder / "whole")
    make_store(folder / "poisoned", poison=True)
    make_store(folder / "without", test=False)
    return folder


def searched(stores, store, folder, trials=4, **more):
    return tune(Search(stores / "mine.toml", stores / store, folder, trials=trials, device="cpu", **more))


def history(folder):
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_tuning_is_the_same_whatever_test_holds_or_without_it(stores, tmp_path):
    found = {name: searched(stores, name, tmp_path / name) for name in ("whole", "poisoned", "without")}
    rows = {name: history(tmp_path / name) for name in found}
    assert rows["whole"] == rows["poisoned"] == rows["without"]
    assert len(rows["whole"]) == 4
    assert found["whole"].criterion == "MAE"


def test_the_data_layer_has_no_test_split_in_a_tuning(stores):
    recipe = find_recipe(stores / "mine.toml")
    for folds in (0, 3):
        for store in development_stores(stores / "whole", recipe, folds):
            assert {clip.split for clip in store.clips().values()} == {"train", "valid"}
            assert not any(name.startswith("test") for name in store.clips())
            assert not any(name.startswith("test") for name in store.records())
            statistics = load_split(store, recipe, "train").statistics
            with pytest.raises(MissingFeatures, match="no test clip"):
                load_split(store, recipe, "test", statistics=statistics)


def test_inner_folds_keep_speakers_together_and_cover_train_and_dev(stores):
    seen = []
    for store in development_stores(stores / "whole", find_recipe(stores / "mine.toml"), 3):
        held = {}
        for name, clip in store.clips().items():
            held.setdefault(clip.categories["speaker"], set()).add(clip.split)
            seen += [name] if clip.split == "valid" else []
        assert all(len(splits) == 1 for splits in held.values())
    assert sorted(seen) == sorted([f"train{n:02}" for n in range(24)] + [f"valid{n:02}" for n in range(9)])


def test_the_dev_score_is_that_of_a_training(stores, tmp_path):
    """A run of the same recipe records the same dev error."""
    recipe = find_recipe(stores / "mine.toml")
    (store,) = development_stores(stores / "whole", recipe)
    run = train_recipe(stores / "mine.toml", stores / "whole", tmp_path, device="cpu")
    assert score_on_dev(recipe, store, "cpu").score == pytest.approx(run.metrics["valid"]["mae"], rel=1e-6)


def test_a_search_continues_and_refuses_other_data(stores, tmp_path):
    first = searched(stores, "whole", tmp_path / "t", trials=2)
    before = history(tmp_path / "t")
    whole = searched(stores, "whole", tmp_path / "t", trials=5)
    assert (len(first.trials), len(whole.trials)) == (2, 5)
    assert history(tmp_path / "t")[:2] == before
    assert len({row["training.learning_rates.main"] for row in history(tmp_path / "t")}) == 5  # nothing drawn twice
    with pytest.raises(FeatzooError, match="holds another search"):
        searched(stores, "whole", tmp_path / "t", folds=2)


def test_the_best_recipe_trains_to_the_score_of_its_trial(stores, tmp_path):
    words = ["tune", stores / "mine.toml", "--store", stores / "whole", "--trials", 4, "--runs", tmp_path]
    done = CliRunner().invoke(zoo, list(map(str, [*words, "--device", "cpu"])))
    assert done.exit_code == 0, done.output
    best = tmp_path / "mine-tune" / "best.toml"
    assert f"train it: zoo train {best} --store {stores / 'whole'}" in done.output
    scores = [float(row["MAE"]) for row in history(best.parent) if row["MAE"]]
    run = train_recipe(best, stores / "whole", tmp_path / "runs", device="cpu")
    assert run.metrics["valid"]["mae"] == pytest.approx(min(scores), rel=1e-6)
    text = best.read_text()
    assert "# mine, tuned: the best of 4 trials by MAE on dev" in text
    assert tomllib.loads(text)["name"] == "mine-tuned"


def test_trials_that_fail_are_recorded_and_the_search_goes_on(stores, tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(RECIPE + '[tune]\n"options.layers" = [1, -1]\n')
    found = tune(Search(recipe, stores / "whole", tmp_path / "t", trials=6, device="cpu"))
    assert {trial.state for trial in found.trials} == {"complete", "failed"}
    assert found.best.values == {"options.layers": 1}
    recipe.write_text(RECIPE + '[tune]\n"options.layers" = [-1, -2]\n')
    with pytest.raises(FeatzooError, match="none of 2 trials could be trained: head mlp"):
        tune(Search(recipe, stores / "whole", tmp_path / "none", trials=2, device="cpu"))


def test_processes_share_a_search(stores, tmp_path):
    tune(Search(stores / "mine.toml", stores / "whole", tmp_path / "t", trials=4, device="cpu"), jobs=2)
    rows = history(tmp_path / "t")
    assert len(rows) >= 4
    assert [int(row["trial"]) for row in rows] == sorted({int(row["trial"]) for row in rows})


def test_a_head_with_a_solver_is_scored_on_inner_folds(stores, tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'head = "linear"\ninputs.audio.features = ["x"]\ntarget = { columns = ["y"], metrics = "regression" }\n'
        '[tune]\n"inputs.audio.standardise" = [true, false]\n'
    )
    found = tune(Search(recipe, stores / "whole", tmp_path / "t", trials=2, folds=3, device="cpu"))
    assert all(np.isfinite(trial.score) for trial in found.trials)


def test_by_default_rates_decay_dropout_and_widths_vary():
    space = search_space(find_recipe("lf-dnn"))
    assert space["training.learning_rates.main"] == Range(1e-4, 1e-2, True)
    assert space["options.dropout"] == Range(0.0, 0.6)
    assert space["options.fused"] == Choices((64, 128, 256))
    with pytest.raises(InvalidOption, match="no learning rate"):
        search_space(find_recipe("svm"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"options.layers" = 3', "expected two or more choices"),
        ('"options.layer" = [1, 2]', "did you mean 'layers'"),
        ('"training.epochs" = { low = 3, high = 1 }', "low below high"),
    ],
)
def test_a_wrong_tune_table_is_refused(tmp_path, line, said):
    (tmp_path / "mine.toml").write_text(f"{RECIPE}\n[tune]\n{line}\n")
    with pytest.raises(InvalidOption, match=said):
        search_space(find_recipe(tmp_path / "mine.toml"))
