"""Finished runs with given predictions, made from a small trained one."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from featzoo.zoo.metrics.targets import target_metrics

TRAINED = Path(__file__).parent / "fixtures" / "0.1.0" / "runs" / "lf-dnn"


def make_run(
    folder: Path,
    ids: Sequence[str],
    truth: np.ndarray,
    pred: np.ndarray,
    columns: Sequence[str] = ("sentiment",),
    kind: str = "regression",
    store: Path = Path("/nowhere"),
    seed: int = 1111,
    classes: Sequence[str] = (),
) -> Path:
    """A finished run with these predictions of test; the rest is that of a small trained run.

    With `classes`, it is one of a class: truth (N, 1) has numbers, pred (N, C) probabilities.
    """
    shutil.copytree(TRAINED, folder)
    recipe = (folder / "recipe.toml").read_text(encoding="utf-8")
    recipe = re.sub("^columns = .*", f"columns = {json.dumps(list(columns))}", recipe, flags=re.M)
    recipe = re.sub("^metrics = .*", f'metrics = "{kind}"', recipe, flags=re.M)
    if classes:
        kind = "class"
        recipe = re.sub(
            "^columns = ", f'kind = "class"\nclasses = {json.dumps(list(classes))}\ncolumns = ', recipe, flags=re.M
        )
        recipe = re.sub("^range = .*", "range = []", recipe, flags=re.M)
    recipe = re.sub("^seed = .*", f"seed = {seed}", recipe, flags=re.M)
    (folder / "recipe.toml").write_text(recipe, encoding="utf-8")
    with (folder / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "split", *_titles(columns, classes)])
        for name, true, predicted in zip(ids, truth, pred, strict=True):
            pairs = np.stack([true, predicted], axis=1).ravel().tolist() if not classes else []
            named = [classes[int(true[0])], classes[predicted.argmax()], *predicted.tolist()] if classes else []
            rows.writerow([name, "test", *pairs, *named])
    summary = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    found = {k: None if v != v else v for k, v in target_metrics(kind, pred, truth, tuple(classes or columns)).items()}
    summary["splits"] = {"test": {"head": found, "train mean": found}}
    (folder / "metrics.json").write_text(json.dumps(summary), encoding="utf-8")
    environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    (folder / "environment.json").write_text(json.dumps(environment | {"store": str(store)}), encoding="utf-8")
    return folder


def _titles(columns: Sequence[str], classes: Sequence[str]) -> list[str]:
    if classes:
        return ["truth", "pred", *(f"p.{name}" for name in classes)]
    ends = [f".{name}" for name in columns] if len(columns) > 1 else [""]
    return [f"{what}{end}" for end in ends for what in ("truth", "pred")]
