"""The audit of a store for a recipe, without a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from featzoo.cache.store import FeatureStore
from featzoo.zoo.data.feature_choice import choose
from featzoo.zoo.data.folds import fold_names
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.runs.audit import Audit, audit_splits
from featzoo.zoo.runs.preparation import load_splits
from featzoo.zoo.runs.random_folds import random_and_grouped
from featzoo.zoo.runs.run import resolve


def audit_store(name: str | Path, store: Path, changes: Mapping[str, Any]) -> Audit:
    """Audit the splits that a recipe would train on; of a recipe with folds, every fold.

    Args:
        name: A recipe, or the path of one.
        store: The feature store.
        changes: Dotted recipe field to value.

    Raises:
        FeatzooError: If recipe, features or labels do not allow a training.
    """
    opened, recipe = FeatureStore(store), find_recipe(name, changes)
    chosen = choose(opened, recipe)
    folds = range(1, len(fold_names(opened.clips(), recipe)) + 1) if recipe.split.all_folds else (recipe.split.fold,)
    records, findings, notes = opened.records(), {}, {}
    for fold in folds:
        one = resolve(replace(recipe, split=replace(recipe.split, fold=fold)), opened)
        splits = load_splits(opened, one, chosen)
        found = audit_splits(one, splits, records)
        start = f"fold {fold}: " if recipe.split.all_folds else ""
        findings.update({finding.text: finding._replace(text=start + finding.text) for finding in found.findings})
        notes.update(dict.fromkeys(found.notes))
    if all("speaker" in split.groups for split in splits.values()) and one.target.kind != "classes":
        score = random_and_grouped(opened, one, chosen)
        kind = "UAR" if one.target.kind == "class" else "MAE"
        notes[
            f"a linear head has a {kind} of {score['clip']:.3f} in random folds and {score['speaker']:.3f} in folds by "
            "speaker"
        ] = None
    return Audit(tuple(findings.values()), tuple(notes))
