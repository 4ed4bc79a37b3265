"""Do the cross-modal embeddings help? Runs of `zoo train siamese` (seeds): M1, M2, the floors, and what S does.

    zoo train siamese --store FEATURES --runs RUNS --seeds 3
    python benchmarks/siamese.py RUNS/siamese-seeds/*
    python benchmarks/siamese.py --store FEATURES    # the floors alone

Figures are of the test split, or of dev with `--split valid`; ridge's penalty and every epoch were chosen on dev.
Ridge reads the same features, words averaged, its columns standardised. Stronger floors are support vector regression
with a Gaussian kernel on the mean sound alone, and ridge on the number of words,
on the words' mean, and on their mean, deviation and number. Each modality alone, M1 and M2 are the runs'
stages `audio` and so on, `baseline` and `full`; intervals are 95 % paired bootstrap over clips, of the mean over runs.
`new videos` are the clips of whose video train has no clip (First Impressions: the id up to the second dot from its
end). `--untrained` trains M2 once more, on an S that never learnt.

Then what S makes of the clips, run by run: its loss beside that of identical embeddings, the mean cosine of two clips'
embeddings, and R_acc of ridge on embeddings alone: what they hold of the traits.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from featzoo import FeatureStore
from featzoo.zoo.data.load import load_split
from featzoo.zoo.data.split import Array, Split
from featzoo.zoo.head import Head, make_head
from featzoo.zoo.heads.siamese.head import HIDDEN
from featzoo.zoo.heads.siamese.losses import MultiSimilarity, trait_classes
from featzoo.zoo.metrics.targets import target_metrics
from featzoo.zoo.recipe import Recipe, find_recipe
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.training.evaluation import evaluate
from featzoo.zoo.training.frozen_features import for_stage
from featzoo.zoo.training.loop import accelerator_on, seed_everything, train

CPU = torch.device("cpu")
SHOWN = ("r_acc", "ccc", "r2", "sd_ratio", "r_acc_low", "r_acc_high")
PENALTIES = np.logspace(0, 5, 16)
COSTS = (0.03, 0.1, 0.3, 1.0)
Splits = Mapping[str, Split]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--store", type=Path, help="without runs: the store whose floors are printed")
    parser.add_argument("--untrained", action="store_true", help="train M2 once more, on an S that never learnt")
    parser.add_argument("--split", choices=("test", "valid"), default="test")
    asked = parser.parse_args()
    if not asked.runs:
        if not asked.store:
            parser.error("give runs, or --store")
        recipe, splits = of_store(asked.store, asked.split)
        print_table({**plain(splits), **floors(splits)}, splits, recipe.target.columns)
        return
    recipe, splits = load(asked.runs[0], asked.split)
    columns = recipe.target.columns
    heads = [RunFolder.open_finished(run).head() for run in asked.runs]
    read = [vectors(head, splits) for head in heads]
    pairs = list(zip(heads, read, strict=True))
    found = {
        **plain(splits),
        **floors(splits),
        **{f"{m} alone": [predicted(head, given["scored"], m) for head, given in pairs] for m in heads[0].given},
        "M1": [predicted(head, given["scored"], "baseline") for head, given in pairs],
        "M2": [predicted(head, given["scored"], "full") for head, given in pairs],
    }
    if asked.untrained:
        found["M2, untrained S"] = [untrained(recipe, splits, head) for head in heads]
    print(
        ", ".join(f"{len(split)} {name} clips" for name, split in splits.items())
        + f" ({asked.split}); {len(heads)} runs"
    )
    print_table(found, splits, columns)
    for run, (head, given) in zip(asked.runs, pairs, strict=True):
        print(f"{run.name}: {embeddings_of(head, given, recipe)}")


def load(run: Path, scored: str) -> tuple[Recipe, dict[str, Split]]:
    """A run's recipe and its splits; `scored` is the one that figures are of."""
    folder = RunFolder.open_finished(run)
    recipe, statistics, store = folder.recipe, folder.statistics, FeatureStore(folder.store)
    chosen = folder.sets(store)
    names = {"train": "train", "valid": "valid", "scored": scored}
    return recipe, {name: load_split(store, recipe, split, chosen, statistics) for name, split in names.items()}


def of_store(store: Path, scored: str) -> tuple[Recipe, dict[str, Split]]:
    """The recipe `siamese` without frames, and the splits of a store."""
    recipe, opened = find_recipe("siamese", {"inputs.vision.features": []}), FeatureStore(store)
    train_split = load_split(opened, recipe, "train")
    parts = {"valid": "valid", "scored": scored}
    given = train_split.statistics
    return recipe, {
        "train": train_split,
        **{name: load_split(opened, recipe, split, statistics=given) for name, split in parts.items()},
    }


def plain(splits: Splits) -> dict[str, list[Array]]:
    """The train mean, and ridge on all inputs."""
    return {
        "train mean": [np.broadcast_to(splits["train"].targets.mean(axis=0), splits["scored"].targets.shape)],
        "ridge": [ridge(table, splits)],
    }


def vectors(head: Head, splits: Splits) -> dict[str, Split]:
    """The splits with each modality's vector in place of its features."""
    head.begin("baseline")
    return {name: for_stage(head, split, "baseline", 128, CPU) for name, split in splits.items()}


def predicted(head: Head, split: Split, stage: str) -> Array:
    """(N, K) predictions of a stage."""
    head.begin(stage)
    return evaluate(head, split, 128, CPU, stage)[1]


def untrained(recipe: Recipe, splits: Splits, trained: Head) -> Array:
    """M2's predictions on the run's M1 and an S that never learnt."""
    seed_everything(recipe.training.seed)
    other = make_head(recipe.head, recipe.options, splits["train"].specs, len(recipe.target.columns))
    kept = {k: v for k, v in trained.state_dict().items() if k.startswith(("networks.", "m1."))}
    other.load_state_dict(kept, strict=False)
    other.stages = ("full",)
    train(other, splits["train"], splits["valid"], recipe.training, accelerator_on("cpu", "fp32"))
    return predicted(other, splits["scored"], "full")


def print_table(found: Mapping[str, list[Array]], splits: Splits, columns: tuple[str, ...]) -> None:
    """Metrics over all traits with their intervals, then R_acc of each trait."""
    test, first = splits["scored"], splits["train"]
    draws = np.random.default_rng(0).integers(0, len(test), size=(1000, len(test)))
    videos = {i.rsplit(".", 2)[0] for i in first.ids}
    new = np.array([i.rsplit(".", 2)[0] not in videos for i in test.ids])
    errors = {
        name: np.mean([np.abs(p - test.targets).mean(axis=1) for p in each], axis=0) for name, each in found.items()
    }
    print(f"{'':<16}" + "".join(f"{name:>18}" for name in SHOWN) + f"{f'{new.sum()} of new videos':>22}")
    values = {
        name: [target_metrics("traits", p, test.targets, columns, first.targets) for p in each]
        for name, each in found.items()
    }
    for name, each in values.items():
        print(f"{name:<16}" + "".join(f"{spread([v[key] for v in each]):>18}" for key in SHOWN), end="")
        print(f"{1 - errors[name][new].mean():>22.4f}")
    print(f"{'R_acc':<16}" + "".join(f"{column:>22}" for column in columns))
    for name, each in values.items():
        print(f"{name:<16}" + "".join(f"{spread([v[f'{c}.r_acc'] for v in each]):>22}" for c in columns))
    last = [name for name in found if name.startswith("M")]
    for one, other in [
        (a, b) for a in last for b in ("train mean", "ridge", "SVR, audio", *last[: last.index(a)]) if b in errors
    ]:
        better = errors[other] - errors[one]
        low, high = np.percentile(better[draws].mean(axis=1), [2.5, 97.5])
        print(f"{one} - {other}: R_acc {better.mean():+.4f} ({low:+.4f} to {high:+.4f})")


def spread(values: list[float]) -> str:
    """Mean and standard deviation over runs."""
    return f"{np.mean(values):.4f}" + (f" +-{np.std(values, ddof=1):.4f}" if len(values) > 1 else "")


def ridge(made: Callable[[Split], Array], splits: Splits) -> Array:
    """(N, K) predictions from the columns that `made` makes of a split; dev MAE chooses the penalty."""
    scale = StandardScaler().fit(made(splits["train"]))
    given = {name: scale.transform(made(split)) for name, split in splits.items()}
    fitted = [Ridge(alpha=penalty).fit(given["train"], splits["train"].targets) for penalty in PENALTIES]
    best = min(fitted, key=lambda model: np.abs(model.predict(given["valid"]) - splits["valid"].targets).mean())
    return np.asarray(best.predict(given["scored"]))


def floors(splits: Splits) -> dict[str, list[Array]]:
    """Predictions of what each input gives by itself, without a network."""
    given = {role for role, spec in splits["train"].specs.items() if spec.given}
    found = {}
    if "audio" in given:
        found["SVR, audio"] = [svr(lambda split: means(split, "audio"), splits)]
    if "text" in given:
        found["number of words"] = [ridge(number, splits)]
        found["ridge, words"] = [ridge(lambda split: means(split, "text"), splits)]
        found["words, sd, number"] = [
            ridge(lambda split: np.hstack([means(split, "text"), deviations(split, "text"), number(split)]), splits)
        ]
    return found


def svr(made: Callable[[Split], Array], splits: Splits) -> Array:
    """(N, K) predictions of RBF support vector regression; dev MAE chooses its cost."""
    scale = StandardScaler().fit(made(splits["train"]))
    given = {name: scale.transform(made(split)) for name, split in splits.items()}
    targets = splits["train"].targets
    fitted = [MultiOutputRegressor(SVR(C=c, epsilon=0.05)).fit(given["train"], targets) for c in COSTS]
    best = min(fitted, key=lambda model: np.abs(model.predict(given["valid"]) - splits["valid"].targets).mean())
    return np.asarray(best.predict(given["scored"]))


def number(split: Split) -> Array:
    """(N, 1) words of each clip."""
    return np.array([[0 if words is None else len(words)] for words in split.features["text"]], dtype=float)


def means(split: Split, role: str) -> Array:
    """(N, D) mean over a role's steps, 0 where it is missing."""
    empty = np.zeros((1, split.specs[role].width))
    return np.stack([np.nan_to_num(empty if a is None else a).mean(axis=0) for a in split.features[role]])


def deviations(split: Split, role: str) -> Array:
    """(N, D) standard deviation over a role's steps, 0 where it is missing."""
    empty = np.zeros((1, split.specs[role].width))
    return np.stack([np.nan_to_num(empty if a is None else a).std(axis=0) for a in split.features[role]])


def table(split: Split) -> Array:
    """(N, D): each role's mean over steps, 0 where it is missing."""
    return np.hstack([means(split, role) for role, spec in split.specs.items() if spec.given])


def embeddings_of(head: Head, splits: Splits, recipe: Recipe) -> str:
    """What S makes of the scored clips, in words."""
    head.begin("siamese")
    losses, _ = evaluate(head, splits["scored"], 128, CPU, "siamese")

    def units(split: Split) -> dict[str, Array]:
        with torch.no_grad():
            outputs = head.eval()(split.batch(range(len(split))).inputs)
        normal = torch.nn.functional.normalize
        return {k: normal(v, dim=1).double().numpy() for k, v in outputs.items() if k.startswith("embedding_")}

    made = {id(split): units(split) for split in splits.values()}
    alone = ridge(lambda split: np.hstack(list(made[id(split)].values())), splits)
    held = target_metrics("traits", alone, splits["scored"].targets, recipe.target.columns)["r_acc"]
    cosines = ", ".join(
        f"{name.removeprefix('embedding_')} {np.square(unit.mean(axis=0)).sum():.4f}"
        for name, unit in made[id(splits["scored"])].items()
    )
    same = identical(head, splits["scored"], 128)
    return f"L_MS {losses['l_ms']:.4f} (identical: {same:.4f}), cosines {cosines}, ridge on embeddings R_acc {held:.4f}"


def identical(head: Head, split: Split, batch_size: int) -> float:
    """The loss, in the same batches, of embeddings that are all the same."""
    total = 0.0
    for rows, batch in split.batches(batch_size):
        classes = trait_classes(batch.targets, head.mean, head.std)
        there = [batch.inputs[m + HIDDEN].mask.any(dim=1) for m in head.given]
        each = torch.cat([classes.masked_fill(~one[:, None], -1) for one in there])
        options = head.options
        constants = (options.anchors, options.alpha, options.beta, options.base, options.epsilon)
        total += MultiSimilarity(*constants)(torch.ones(len(each), 2), each).item() * len(rows)
    return total / len(split)


if __name__ == "__main__":
    main()
