"""Do the cross-modal embeddings help? One run of `zoo train siamese`: M1 and M2 on the same dev clips, and controls.

    zoo train siamese --without vision --features FEATURES --runs RUNS
    python benchmarks/siamese.py RUNS/siamese-... [--epochs 15] [--patience 4]

M2 is trained again from the run's M1 twice: with the run's Siamese network and with one that never learnt. Differences
to M1 come with 95 % paired bootstrap intervals over dev clips; dev chose the epochs too. Ridge reads the same features,
words averaged, its penalty chosen on train. The loss of the trained embeddings stands beside that of identical ones.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from featzoo import FeatureStore
from featzoo.zoo.batches import Array, Split
from featzoo.zoo.data import load_split, same_sets
from featzoo.zoo.evaluation import load_head, recipe_and_statistics
from featzoo.zoo.head import make_head
from featzoo.zoo.metrics import target_metrics
from featzoo.zoo.siamese_losses import multi_similarity_loss, trait_classes
from featzoo.zoo.train import accelerator_on, evaluate, seed_everything, train

CPU = torch.device("cpu")
SHOWN = ("r_acc", "ccc", "r2", "r_acc_low", "r_acc_high")


def main() -> None:
    """Print the table and the losses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--patience", type=int, default=4)
    asked = parser.parse_args()
    recipe, statistics = recipe_and_statistics(asked.run)
    store = FeatureStore(Path(json.loads((asked.run / "environment.json").read_text())["store"]))
    sets = json.loads((asked.run / "features.json").read_text())["sets"]
    chosen = same_sets(store, asked.run, sets)
    first, dev = (load_split(store, recipe, name, chosen, statistics) for name in ("train", "valid"))
    head = load_head(asked.run)
    settings = dataclasses.replace(recipe.training, epochs=asked.epochs, patience=asked.patience, stages={})

    def predicted(stage: str) -> Array:
        head.begin(stage)
        return evaluate(head, dev, settings.batch_size, CPU, stage)[1]

    def again(parts: tuple[str, ...]) -> Array:
        """M2's predictions, trained with these parts of the run and new ones in place of the others."""
        seed_everything(settings.seed)
        other = make_head(recipe.head, recipe.options, first.specs, len(recipe.target.columns))
        kept = {name: values for name, values in head.state_dict().items() if name.startswith(parts)}
        other.load_state_dict(kept, strict=False)
        other.stages = ("full",)
        train(other, first, dev, settings, accelerator_on("cpu", "no"))
        return evaluate(other, dev, settings.batch_size, CPU, "full")[1]

    found = {
        "train mean": np.broadcast_to(first.targets.mean(axis=0), dev.targets.shape),
        "ridge": ridge(first, dev),
        "M1 (stage baseline)": predicted("baseline"),
        "M2 (stage full)": predicted("full"),
        "M2 again": again(("networks.", "m1.", "siamese.")),
        "M2, untrained S": again(("networks.", "m1.")),
    }
    print(f"{len(first)} train clips, {len(dev)} dev clips")
    print(f"{'':<22}" + "".join(f"{name:>12}" for name in SHOWN) + "  r_acc minus M1's")
    draws = np.random.default_rng(0).integers(0, len(dev), size=(1000, len(dev)))
    errors = {name: np.abs(each - dev.targets).mean(axis=1) for name, each in found.items()}  # (N,) each
    for name, each in found.items():
        values = target_metrics("traits", each, dev.targets, recipe.target.columns, first.targets)
        better = errors["M1 (stage baseline)"] - errors[name]
        low, high = np.percentile(better[draws].mean(axis=1), [2.5, 97.5])
        shown = "".join(f"{values[key]:>12.4f}" for key in SHOWN)
        print(f"{name:<22}{shown}  {better.mean():+.4f} ({low:+.4f} to {high:+.4f})")
    head.begin("siamese")
    losses, _ = evaluate(head, dev, settings.batch_size, CPU, "siamese")
    print(f"dev L_MS {losses['l_ms']:.7f}; of identical embeddings {identical(head, dev, settings.batch_size):.7f}")
    with torch.no_grad():
        outputs = head.eval()(dev.batch(range(len(dev))).inputs)
    for name, values in outputs.items():
        if name.startswith("embedding_"):
            unit = torch.nn.functional.normalize(values, dim=1)  # (N, E)
            length, cosine = values.norm(dim=1).mean(), unit.mean(dim=0).square().sum()
            print(f"{name}: mean length {length:.1f}, mean cosine of two clips {cosine:.4f}")


def ridge(first: Split, dev: Split) -> Array:
    """(N, K) predictions from each role's mean over steps, 0 where it is missing."""

    def table(split: Split) -> Array:
        columns = []
        for role, arrays in split.features.items():
            if split.specs[role].given:
                empty = np.zeros((1, split.specs[role].width))
                rows = [np.nan_to_num(empty if a is None else a).mean(axis=0) for a in arrays]
                columns.append(np.stack(rows))  # (N, D)
        return np.hstack(columns)

    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 5, 16)))
    return np.asarray(model.fit(table(first), first.targets).predict(table(dev)))


def identical(head: torch.nn.Module, dev: Split, batch_size: int) -> float:
    """The dev loss, in the same batches, of embeddings that are all the same."""
    total = 0.0
    for rows, batch in dev.batches(batch_size):
        classes = trait_classes(batch.targets, head.mean, head.std)
        there = [batch.inputs[m].mask.any(dim=1) for m in head.given]
        each = torch.cat([classes.masked_fill(~one[:, None], -1) for one in there])
        options = head.options
        constants = (options.anchors, options.alpha, options.beta, options.base, options.epsilon)
        total += multi_similarity_loss(torch.ones(len(each), 2), each, *constants).item() * len(rows)
    return total / len(dev)


if __name__ == "__main__":
    main()
