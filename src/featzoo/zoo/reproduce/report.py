"""Our rows beside a paper's, with protocol, differences and verdict, as text and as JSON."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from featzoo.cache.store import FeatureStore
from featzoo.errors import FeatzooError
from featzoo.versions import package_versions
from featzoo.wording import count
from featzoo.zoo.head import find_head
from featzoo.zoo.metrics.tables import number, text_table
from featzoo.zoo.reproduce.paper import Paper, Row
from featzoo.zoo.reproduce.verdict import Verdict, judge_all
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.trials import Trial


@dataclass(frozen=True)
class VariantResult:
    """The figures of a variant.

    Attributes:
        name: `full model`, or the name of an ablation.
        seeds: Of the trainings.
        verdicts: One for each published metric.
    """

    name: str
    seeds: tuple[int, ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class RowResult:
    """A row of ours.

    Attributes:
        data: The data set.
        table: The place of the figures in the paper.
        source: The form in which the data were read.
        variants: The figures.
        protocol: How they were made.
        differences: What differs from the paper.
        seconds: Wall time of all trainings.
    """

    data: str
    table: str
    source: str
    variants: tuple[VariantResult, ...]
    protocol: tuple[str, ...]
    differences: tuple[str, ...]
    seconds: float

    @property
    def verdict(self) -> str:
        """`reproduced` if every figure is, else how many are, and the largest shortfall."""
        every = [each for variant in self.variants for each in variant.verdicts]
        short = [each for each in every if not each.reproduced]
        if not short:
            return f"reproduced: all {len(every)} figures"
        worst = max(short, key=lambda each: each.short)
        return f"not reproduced: {len(short)} of {count(len(every), 'figure')}, {worst.metric} by -{worst.short:.4f}"


def row_result(paper: Paper, row: Row, source: str, trials: Sequence[Trial], changes: Mapping[str, Any]) -> RowResult:
    """The result of a row's finished trainings.

    Args:
        paper: The paper.
        row: The row.
        source: The form in which the data were read.
        trials: The trainings.
        changes: The user's changes of the recipe, which are named among the differences.

    Raises:
        FeatzooError: If the data had no test clips with labels.
    """
    if any("test" not in trial.metrics for trial in trials):
        raise FeatzooError(f"{row.data}: no test clip has a label, so there is no figure to compare with the paper's")
    variants = []
    for name, published in row.published.items():
        those = [trial for trial in trials if trial.variant == name]
        verdicts = judge_all([trial.metrics["test"] for trial in those], published)
        variants.append(VariantResult(name, tuple(trial.seed for trial in those), verdicts))
    run = RunFolder.open_finished(trials[0].path)
    mine = [f"the recipe was changed by the user: {key} = {value!r}" for key, value in changes.items()]
    clips = len(FeatureStore(run.store).clips())
    if clips != row.work.clips:
        mine.append(f"the data have {clips:,} clips, those of the paper {row.work.clips:,}")
    return RowResult(
        row.data, row.table, source, tuple(variants), (*paper.protocol, *_protocol(run)),
        (*mine, *row.differences, *differences(run.recipe.head)), sum(trial.seconds for trial in trials),
    )  # fmt: skip


def _protocol(run: RunFolder) -> list[str]:
    """What the first training records: clips, features, device and versions."""
    clips = {split: len(run.predictions(split).ids) for split in run.metrics}
    sets = [f"{role} {one['key'] or 'not used'}" for role, one in run.recorded_sets.items()]
    packages = package_versions()
    return [
        f"recipe {run.recipe.name}; clips: {', '.join(f'{number} {split}' for split, number in clips.items())}",
        f"features: {', '.join(sets)}",
        f"device {run.environment.get('device', '?')}, torch {packages.get('torch', '?')}",
    ]


def differences(head: str) -> list[str]:
    """The differences that a head's documentation lists, one sentence or several each."""
    text = inspect.getdoc(find_head(head)) or ""
    _, found, after = text.partition("Differences:\n")
    if not found:
        return []
    kept = re.split(r"\n\s*\n|\n(?=\S)", after, maxsplit=1)[0]
    items = re.split(r"^\s*- ", kept, flags=re.MULTILINE)
    return [" ".join(item.split()) for item in items if item.strip()]


def as_text(paper: Paper, results: Sequence[RowResult]) -> str:
    """A table for each variant of each row, with protocol, differences and verdict."""
    lines = [paper.title, paper.reference]
    for row in results:
        lines += ["", f"{row.data}, from {row.source}; the paper's figures: {row.table}"]
        for variant in row.variants:
            seeds = variant.seeds
            lines += ["", f"{variant.name}, test, {count(len(seeds), 'seed')} ({', '.join(map(str, seeds))})"]
            lines.append(
                text_table([["metric", "ours", "95 % interval", "paper", "verdict"], *map(_cells, variant.verdicts)])
            )
        lines += ["", f"verdict: {row.verdict}", "", "protocol:", *(f"  - {line}" for line in row.protocol)]
        lines += ["differences from the paper:", *(f"  - {line}" for line in row.differences)]
        lines.append(f"trainings: {row.seconds:.0f} s")
    return "\n".join(lines) + "\n"


def _cells(one: Verdict) -> list[str]:
    span = "-" if math.isnan(one.low) else f"{number(one.low)} to {number(one.high)}"
    return [one.metric, number(one.mean), span, number(one.published), str(one)]


def as_json(paper: Paper, results: Sequence[RowResult]) -> str:
    """The same for programs; what is not a finite number is null."""
    rows = [{**asdict(row), "verdict": row.verdict} for row in results]
    told = {"paper": paper.title, "reference": paper.reference, "rows": _finite(rows)}
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value
