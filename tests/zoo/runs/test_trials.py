"""Seeds and ablations: kept, resumed, never mixed up; the table shows mean, spread and the published value."""

import dataclasses
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from featzoo.cache.store import FeatureStore
from featzoo.cli import zoo
from featzoo.errors import FeatzooError
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.runs.trials import layer_variants, run_trials, spread, table, variants
from zoo.conftest import SMALL

ONE = SMALL | {"training.epochs": 1}


def test_variants_are_the_recipes_own():
    recipe = find_recipe("psa-mf.published")
    made = variants(recipe, ONE)
    assert list(made)[:6] == [
        "full model", "w/o personality", "w/o pre-fusion", "w/o enhanced fusion", "w/o L_ps", "w/o L_clm",
    ]  # fmt: skip
    assert made["w/o personality"] == ONE | {"inputs.personality.features": []}
    for name, changes in made.items():
        assert find_recipe("psa-mf.published", changes), name
    with pytest.raises(FeatzooError, match="lists no ablations"):
        variants(find_recipe("psa-mf.official"), {})


def test_trials_are_kept_and_not_repeated(small_store, tmp_path):
    wanted = {"full model": ONE, "w/o L_ps": ONE | {"options.weights": [1.0, 1.0, 0.0, 0.09]}}
    first = run_trials("psa-mf", small_store, tmp_path, wanted, [1, 2], "cpu")
    assert [(t.variant, t.seed, t.kept) for t in first] == [
        ("full model", 1, False), ("full model", 2, False), ("w/o L_ps", 1, False), ("w/o L_ps", 2, False),
    ]  # fmt: skip
    again = run_trials("psa-mf", small_store, tmp_path, wanted, [1, 2], "cpu")
    assert all(t.kept for t in again)
    assert [t.metrics for t in again] == [t.metrics for t in first]
    values = [t.metrics["test"]["mae"] for t in first[:2]]
    assert values[0] != values[1]
    assert spread(first[:2], "test", "mae") == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    rows = table(find_recipe("psa-mf.published"), first, "test", ["mae"])
    assert rows[0] == ["variant", "runs", "mae", "paper, test"]
    assert rows[1] == ["full model", "2", f"{np.mean(values):.4f} +-{np.std(values, ddof=1):.4f}", "0.6860"]
    assert rows[2][3] == "0.7240"


def test_another_training_in_the_same_place_is_refused(small_store, tmp_path):
    run_trials("psa-mf", small_store, tmp_path, {"full model": ONE}, [1], "cpu")
    with pytest.raises(FeatzooError, match="holds another training"):
        run_trials("psa-mf", small_store, tmp_path, {"full model": ONE | {"options.dropout": 0.2}}, [1], "cpu")


def test_a_training_that_was_refused_keeps_no_place(small_store, tmp_path):
    """As when the clips get their splits after the first try."""
    with pytest.raises(FeatzooError, match="no train"):
        run_trials("psa-mf", all_in_test(small_store, tmp_path / "features"), tmp_path, {"full model": ONE}, [1], "cpu")
    (done,) = run_trials("psa-mf", small_store, tmp_path, {"full model": ONE}, [1], "cpu")
    assert not done.kept


def all_in_test(store, path):
    """A copy of a store with no clip to train on."""
    shutil.copytree(store, path)
    copy = FeatureStore(path)
    copy.record([dataclasses.replace(clip, split="test") for clip in copy.clips().values()])
    return path


def test_a_stopped_trial_is_resumed(small_store, tmp_path):
    (done,) = run_trials("psa-mf", small_store, tmp_path, {"full model": ONE}, [1], "cpu")
    (done.path / "metrics.json").unlink()
    (again,) = run_trials("psa-mf", small_store, tmp_path, {"full model": ONE}, [1], "cpu")
    assert not again.kept
    assert again.metrics == done.metrics


def test_trials_at_the_same_time_give_the_same(small_store, tmp_path):
    alone = run_trials("psa-mf", small_store, tmp_path / "a", {"full model": ONE}, [1, 2], "cpu")
    together = run_trials("psa-mf", small_store, tmp_path / "b", {"full model": ONE}, [1, 2], "cpu", jobs=2)
    for one, other in zip(alone, together, strict=True):
        # Another number of threads sums in another order: float32 noise over two epochs of training.
        assert other.metrics["test"]["mae"] == pytest.approx(one.metrics["test"]["mae"], abs=1e-4)


def test_the_commands(small_store, tmp_path):
    small = [f"--set={key}={value}" for key, value in ONE.items() if key != "training.learning_rates"]
    common = ["--features", str(small_store), "--runs", str(tmp_path), "--device", "cpu", *small]
    done = CliRunner().invoke(zoo, ["train", "psa-mf", "--seeds", "2", *common])
    assert done.exit_code == 0, done.output
    assert "full model     2" in done.output
    runs = sorted(str(path) for path in (tmp_path / "psa-mf-seeds").iterdir())
    assert [path[-17:] for path in runs] == ["/full-model-s1111", "/full-model-s1112"]
    done = CliRunner().invoke(zoo, ["compare", runs[0], "--against", runs[1]])
    assert done.exit_code == 0, done.output
    assert "paired bootstrap over 8 clips" in done.output
    done = CliRunner().invoke(zoo, ["evaluate", runs[0], "--device", "cpu"])
    assert "95 % interval" in done.output
    assert "equal to the last digit" in done.output
    for wrong in (["train"], ["train", "psa-mf", "--resume", runs[0]], ["train", "--resume", runs[0], "--seed", "3"]):
        assert CliRunner().invoke(zoo, wrong).exit_code == 2


def test_a_variant_of_a_recipe_has_a_folder_of_its_own(small_store, tmp_path):
    """Trainings of psa-mf in the same --runs are not in the way of psa-mf.modality-dropout's."""
    small = [f"--set={key}={value}" for key, value in ONE.items() if key != "training.learning_rates"]
    common = ["--features", str(small_store), "--runs", str(tmp_path), "--device", "cpu", *small]
    for command in (["train", "psa-mf", "--seeds", "1"], ["ablate", "psa-mf.modality-dropout"]):
        done = CliRunner().invoke(zoo, [*command, *common])
        assert done.exit_code == 0, done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["psa-mf-seeds", "psa-mf.modality-dropout-ablation"]
    (tmp_path / "mine.2.toml").write_text('extends = "psa-mf"\n')
    done = CliRunner().invoke(zoo, ["train", str(tmp_path / "mine.2.toml"), "--seeds", "1", *common])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "mine.2-seeds").is_dir()


def test_layers_are_aligned_one_by_one(small_store, tmp_path):
    small = [f"--set={key}={value}" for key, value in ONE.items() if key != "training.learning_rates"]
    done = CliRunner().invoke(
        zoo, ["layers", "psa-mf", "--features", str(small_store), "--runs", str(tmp_path), "--device", "cpu", *small]
    )
    assert done.exit_code == 0, done.output
    folder = tmp_path / "psa-mf-layers"
    # A BERT of three layers has four hidden states.
    assert sorted(p.name for p in folder.glob("layer-*")) == [f"layer-{n}-s1111" for n in range(4)]
    assert (folder / "layers.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(FeatzooError, match="aligns at no layer"):
        layer_variants(find_recipe("text-alone"), small_store, {})
