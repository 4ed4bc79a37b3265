"""`zoo report`: one page on finished runs, side by side: results, curves, predictions, errors and worst clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from featzoo.reports import figures
from featzoo.reports.clip_card import clip_card
from featzoo.reports.html import Html, element, join, table
from featzoo.reports.page import Page
from featzoo.reports.run_errors import error_sections
from featzoo.reports.run_facts import RunFacts, Runs, run_facts
from featzoo.reports.run_robustness import robustness_section
from featzoo.reports.store_report import warning
from featzoo.sequence import Array
from featzoo.zoo.metrics.binary import reliability
from featzoo.zoo.metrics.classification import Classified
from featzoo.zoo.metrics.tables import number, shown
from featzoo.zoo.runs.fold_folder import FoldsFolder
from featzoo.zoo.runs.settings import differing_settings

# Worst clips that are shown, and points of a scatter plot.
CARDS, POINTS = 12, 3000


def run_report(paths: Sequence[Path], place: Path, split: str = "", media: bool = True) -> Runs:
    """Write the report on one or more finished runs that predict the same labels.

    Args:
        paths: The runs' folders.
        place: The HTML file to write.
        split: train, valid or test; by default test, or valid if a run has no predictions of test.
        media: Put frames and sound of the worst clips into the page.

    Raises:
        FeatzooError: If a run is not finished or predicts other labels, or the file cannot be written.
        ModuleNotFoundError: If plotly is not installed.
    """
    page = Page("Predictions")
    found = run_facts(paths, split)
    page.title += f" of {', '.join(found.runs[0].folder.recipe.target.columns)}"
    page.subtitle = ", ".join(run.name for run in found.runs)
    _runs(page, found)
    _results(page, found)
    _folds(page, found.runs)
    _curves(page, found.runs)
    _predictions(page, found.runs)
    error_sections(page, found)
    robustness_section(page, found.runs)
    _worst(page, found, media)
    page.save(place)
    return found


def _runs(page: Page, found: Runs) -> None:
    runs = found.runs
    page.section("Runs")
    rows: list[list[object]] = [
        ["recipe", *(run.folder.recipe.name for run in runs)],
        ["head", *(run.folder.recipe.head for run in runs)],
        ["features", *(str(run.folder.store) for run in runs)],
        ["seed", *(str(run.folder.recipe.training.seed) for run in runs)],
        ["best epoch", *(_best_epoch(run) for run in runs)],
        ["training", *(f"{run.folder.seconds:.0f} s" for run in runs)],
        ["device", *(str(run.folder.environment.get("device", "")) for run in runs)],
    ]
    for role in dict.fromkeys(role for run in runs for role in run.folder.recorded_sets):
        keys = [run.folder.recorded_sets.get(role, {}).get("key") or "-" for run in runs]
        rows.append([f"input {role}", *keys])
    page.add(table(["", *(run.name for run in runs)], rows, numbers_from=len(runs) + 1))
    different = differing_settings([run.folder.recipe for run in runs])
    if different:
        settings = [[name, *values] for name, values in different.items()]
        page.add(
            element("h3", "Settings that differ"),
            table(["", *(run.name for run in runs)], settings, numbers_from=len(runs) + 1),
        )
    if found.store is None:
        page.add(warning(f"There is no store at {runs[0].folder.store} any more: groups and media are not shown."))


def _best_epoch(run: RunFacts) -> str:
    """Of heads that are fitted without epochs there is none."""
    epochs = run.folder.epochs
    return f"{run.folder.best_epoch} of {len(epochs)}" if epochs else "-"


def _results(page: Page, found: Runs) -> None:
    runs = found.runs
    page.section("Results")
    for split in dict.fromkeys([found.split, "test", "valid"]):
        of_split = [run for run in runs if split in run.folder.metrics]
        if not of_split:
            continue
        spans = [run.intervals() if split == found.split else {} for run in of_split]
        constants = of_split[0].folder.constants[split]
        metrics = [run.folder.metrics[split] for run in of_split]
        rows = [
            [
                key,
                *(_value(values.get(key, np.nan), span.get(key)) for values, span in zip(metrics, spans, strict=True)),
                *(number(constant.get(key, np.nan)) for constant in constants.values()),
            ]
            for key in shown(metrics[0])
        ]
        head = ["metric", *(run.name for run in of_split), *constants]
        page.add(element("h3", "dev (valid)" if split == "valid" else split), table(head, rows))
    page.add(
        f"Below a value of {found.split} is its 95 % interval over resampled {runs[0].units}, which does not cover the "
        "spread between seeds. The columns at the right are constant predictions and floors (linear models of single "
        "inputs, and their stack), which a head must exceed."
        + (" zoo compare tells whether two runs differ." if len(runs) > 1 else "")
    )


def _folds(page: Page, runs: Sequence[RunFacts]) -> None:
    for run in runs:
        if isinstance(run.folder, FoldsFolder):
            head, *rows = run.folder.table
            page.section("Folds" if len(runs) == 1 else f"Folds of {run.name}")
            page.add(
                "Each clip is predicted by the training that has it in its test split. Everywhere else on this page, "
                "the predictions of all folds are taken together.",
                table(head, rows, numbers_from=2),
            )


def _value(value: float, interval: tuple[float, float] | None) -> Html:
    span = f"{number(interval[0])} to {number(interval[1])}" if interval else ""
    return join([number(value), *([Html("<br>"), element("span", span, css="interval")] if span else [])])


def _curves(page: Page, every: Sequence[RunFacts]) -> None:
    runs = [run for run in every if run.folder.epochs]
    if not runs:
        return
    page.section("Curves")
    charts = [
        _curve(page, {run.name: [epoch["losses"].get("total") for epoch in run.folder.epochs] for run in runs},
               "train loss"),
        _curve(page, {run.name: [epoch["dev_losses"].get("total") for epoch in run.folder.epochs] for run in runs},
               "dev loss"),
        _curve(page, {run.name: [epoch["dev_mae"] for epoch in run.folder.epochs] for run in runs},
               "dev mean absolute error", {run.name: run.folder.best_epoch for run in runs}),
    ]  # fmt: skip
    criteria = {epoch["chosen_by"] for run in runs for epoch in run.folder.epochs} - {"MAE", "loss"}
    charts += [
        _curve(page, {run.name: [epoch["score"] for epoch in run.folder.epochs] for run in runs}, f"dev {name}",
               {run.name: run.folder.best_epoch for run in runs})
        for name in sorted(criteria)
    ]  # fmt: skip
    if len(runs) == 1 and runs[0].folder.epochs:
        epochs = runs[0].folder.epochs
        terms = [name for name in epochs[-1]["losses"] if name != "total"]
        if len(terms) > 1:
            values = {name: [epoch["losses"].get(name) for epoch in epochs] for name in terms}
            charts.append(_curve(page, values, "terms of the train loss"))
    page.add(element("div", *charts, css="grid"), "A ring marks the epoch whose weights were kept.")


def _curve(
    page: Page, series: Mapping[str, Sequence[float | None]], y: str, best: Mapping[str, int] | None = None
) -> Html:
    values = {name: np.array(of, dtype=np.float64) for name, of in series.items()}
    lines = {name: (np.arange(1, len(of) + 1), of) for name, of in values.items()}
    marked = {name: (float(at), float(values[name][at - 1])) for name, at in (best or {}).items() if at}
    figure = figures.lines(lines, "epoch", y, marked)
    longest = max(map(len, values.values()), default=0)
    figure["layout"]["xaxis"] |= {"dtick": max(1, longest // 8)}
    return page.figure(figure, y.capitalize())


def _predictions(page: Page, runs: Sequence[RunFacts]) -> None:
    page.section("Predictions")
    kind = runs[0].kind
    charts = []
    if kind == "class":
        charts = [page.figure(_confusion(run), f"Confusion, {run.name}: share of each true class") for run in runs]
    for k, name in enumerate(() if kind == "class" else runs[0].outputs):
        if kind == "binary":
            bins = {run.name: reliability(run.pred[:, k], run.truth[:, k])[:2] for run in runs}
            chart = figures.lines({**bins, "calibrated": ([0, 1], [0, 1])}, "predicted probability of 1", "share of 1")
            charts.append(page.figure(chart, f"Reliability, {name}"))
        else:
            chart = figures.scatter({run.name: _points(run, k) for run in runs}, "true", "predicted", diagonal=True)
            charts.append(page.figure(chart, f"Predicted against true {name}"))
    page.add(element("div", *charts, css="grid"))


def _points(run: RunFacts, k: int) -> tuple[Array, Array, list[str]]:
    """Every n-th clip of many."""
    step = max(1, -(-len(run.ids) // POINTS))
    return run.truth[::step, k], run.pred[::step, k], list(run.ids[::step])


def _confusion(run: RunFacts) -> figures.Figure:
    counts = Classified.of(run.pred, run.truth, run.outputs).confusion()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    text = [[str(cell) for cell in row] for row in counts.tolist()]
    return figures.heat_map(shares, run.outputs, run.outputs, "predicted", "true", text=text)


def _worst(page: Page, found: Runs, media: bool) -> None:
    page.section("Worst clips")
    if not found.common:
        page.add("The runs have no clip in common.")
        return
    page.add(
        f"The clips of {found.split} with the largest error, "
        + ("mean over the runs." if len(found.runs) > 1 else "of all that the run predicts.")
    )
    for name in found.common[:CARDS]:
        rows = [("true", _truth(found.runs[0], name))]
        rows += [(run.name if len(found.runs) > 1 else "predicted", _predicted(run, name)) for run in found.runs]
        clip = found.clips.get(name)
        if clip is None:
            page.add(element("article", element("h3", name), table([], rows, numbers_from=2), css="clip"))
        else:
            page.add(clip_card(page, clip, rows, found.store, media))


def _truth(run: RunFacts, clip: str) -> str:
    truth = run.truth[run.rows[clip]]
    if run.kind == "class":
        return run.outputs[int(truth[0])]
    return _values(run.outputs, truth)


def _predicted(run: RunFacts, clip: str) -> str:
    pred, error = run.pred[run.rows[clip]], run.errors[run.rows[clip]]
    if run.kind == "class":
        likely = np.argsort(-pred)[:3].tolist()
        return ", ".join(f"{run.outputs[k]} {pred[k]:.2f}" for k in likely)
    return f"{_values(run.outputs, pred)} (error {error:.3f})"


def _values(names: Sequence[str], values: Array) -> str:
    if len(names) == 1:
        return f"{values[0]:.3f}"
    return ", ".join(f"{name} {value:.2f}" for name, value in zip(names, values.tolist(), strict=True))
