"""Where runs are wrong: by the true value or class, and by groups of clips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from featzoo.reports import figures
from featzoo.reports.html import Html, element, table
from featzoo.reports.page import Page
from featzoo.reports.run_facts import RunFacts, Runs
from featzoo.sequence import Array

# Parts of the clips by their true value, and the share of the lowest and the highest ones.
PARTS, EXTREME = 10, 0.1
# Groups of a column that are shown, and clips that a group has at least.
MOST_GROUPS, FEWEST_CLIPS = 12, 3
# A column groups clips if it has at most this share of different values.
MOST_DIFFERENT = 0.5


def error_sections(page: Page, found: Runs) -> None:
    """Add the sections on errors by true value or class, and by group."""
    if found.runs[0].kind == "class":
        _by_class(page, found.runs)
    elif found.runs[0].kind != "binary":
        _by_truth(page, found.runs)
    _by_group(page, found)


def _by_class(page: Page, runs: Sequence[RunFacts]) -> None:
    page.section("Errors by class")
    rows = []
    for name in runs[0].outputs:
        cells: list[object] = []
        for run in runs:
            of = run.folder.metrics[run.split]
            cells += [_number(of.get(f"{name}.{key}", np.nan)) for key in ("precision", "recall", "f1")]
        support = runs[0].folder.metrics[runs[0].split].get(f"{name}.support", np.nan)
        rows.append([name, f"{support:.0f}", *cells])
    head = [f"{key}{f', {run.name}' if len(runs) > 1 else ''}" for run in runs for key in ("precision", "recall", "F1")]
    page.add(table(["class", "clips", *head], rows))


def _by_truth(page: Page, runs: Sequence[RunFacts]) -> None:
    page.section("Errors by true value")
    charts, rows = [], []
    for k, name in enumerate(runs[0].outputs):
        lines = {run.name: _bias(run.truth[:, k], run.pred[:, k]) for run in runs}
        charts.append(
            page.figure(figures.lines(lines, f"true {name}", "predicted - true"), f"Mean error by true {name}")
        )
        truth = runs[0].truth[:, k]
        low, high = np.quantile(truth, [EXTREME, 1 - EXTREME])
        bounds = {
            f"lowest (to {low:.3g})": (-np.inf, low),
            "between": (np.nextafter(low, np.inf), np.nextafter(high, -np.inf)),
            f"highest (from {high:.3g})": (high, np.inf),
        }
        for part, (first, last) in bounds.items():
            errors = [_errors_between(run, k, first, last) for run in runs]
            rows.append([name, part, len(errors[0]), *(_mean(of) for of in errors)])
    page.add(
        element("div", *charts, css="grid"),
        "A line that falls from the left to the right means that predictions have regressed to the mean.",
        element("h3", f"Mean absolute error of the lowest and highest {EXTREME:.0%}"),
        table(["label", "true value", "clips", *(run.name for run in runs)], rows, numbers_from=2),
    )


def _errors_between(run: RunFacts, k: int, first: float, last: float) -> Array:
    """Absolute errors of the clips whose true value is from `first` to `last`."""
    chosen = (run.truth[:, k] >= first) & (run.truth[:, k] <= last)
    errors: Array = np.abs(run.pred[chosen, k] - run.truth[chosen, k])
    return errors


def _bias(truth: Array, pred: Array) -> tuple[Array, Array]:
    """Mean true value and mean error of tenths of the clips, by their true value."""
    order = np.argsort(truth, kind="stable")
    parts = [part for part in np.array_split(order, min(PARTS, len(order))) if len(part)]
    return (np.array([truth[part].mean() for part in parts]), np.array([(pred - truth)[part].mean() for part in parts]))


def _by_group(page: Page, found: Runs) -> None:
    page.section("Errors by group")
    tables: list[Html] = []
    for column, groups in _groups(found).items():
        sizes = {name: len(clips) for name, clips in groups.items() if len(clips) >= FEWEST_CLIPS}
        if len(sizes) < 2:
            continue
        means = {name: [_of(run, groups[name]) for run in found.runs] for name in sizes}
        ordered = sorted(sizes, key=lambda name: -float(np.mean([of.mean() for of in means[name]])))
        rows = [[name, sizes[name], *(_mean(of) for of in means[name])] for name in ordered[:MOST_GROUPS]]
        more = f" (the {MOST_GROUPS} worst of {len(sizes)})" if len(sizes) > MOST_GROUPS else ""
        tables += [
            element("h3", f"{column}{more}"),
            table([column, "clips", *(run.name for run in found.runs)], rows),
        ]
    if not tables:
        page.add("The clips have no groups: no speakers, folders or durations are known.")
        return
    said = "1 minus the probability of the true class" if found.runs[0].kind == "class" else "absolute error"
    page.add(f"The mean {said}, of groups with at least {FEWEST_CLIPS} clips, the worst first.", *tables)


def _groups(found: Runs) -> dict[str, dict[str, list[str]]]:
    """Name of a grouping to its groups' clips, of those that all runs predict."""
    clips = [found.clips[name] for name in found.common if name in found.clips]
    columns: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    targets = found.runs[0].folder.recipe.target.columns
    for clip in clips:
        for column, value in clip.categories.items():
            if column not in targets:
                columns[column][value].append(clip.id)
        folder = clip.id.rpartition("/")[0]
        columns["folder"][folder or "(none)"].append(clip.id)
        columns["transcript"]["yes" if clip.words else "no"].append(clip.id)
    columns["number of words"] = _thirds({clip.id: float(len(clip.words)) for clip in clips if clip.words}, "words")
    lengths = {clip.id: clip.end - clip.start for clip in clips if clip.end is not None}
    columns["duration"] = _thirds(lengths, "s")
    return {column: dict(groups) for column, groups in columns.items() if len(groups) <= MOST_DIFFERENT * len(clips)}


def _thirds(values: Mapping[str, float], unit: str) -> dict[str, list[str]]:
    """Clips in three parts by a number; empty if the bounds coincide."""
    if not values:
        return {}
    low, high = np.quantile(list(values.values()), [1 / 3, 2 / 3]).tolist()
    if low == high:
        return {}
    parts: dict[str, list[str]] = {
        f"to {low:.3g} {unit}": [],
        f"to {high:.3g} {unit}": [],
        f"above {high:.3g} {unit}": [],
    }
    names = list(parts)
    for clip, value in values.items():
        parts[names[0 if value <= low else 1 if value <= high else 2]].append(clip)
    return parts


def _of(run: RunFacts, clips: Sequence[str]) -> Array:
    errors: Array = run.errors[[run.rows[name] for name in clips]]
    return errors


def _mean(values: Array) -> str:
    return _number(float(values.mean())) if len(values) else "-"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
