"""What runs lose on missing, noisy or short inputs, as `zoo robustness` measured it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from featzoo.reports import figures
from featzoo.reports.html import element, table
from featzoo.reports.page import Page
from featzoo.reports.run_facts import RunFacts
from featzoo.zoo.metrics.regression import Metrics
from featzoo.zoo.metrics.tables import number, shown
from featzoo.zoo.runs.robustness import Condition
from featzoo.zoo.runs.robustness_files import ROBUSTNESS, read_robustness

AXES = {"noise": "signal-to-noise ratio (dB)", "shortened": "share of the steps that is kept"}


def robustness_section(page: Page, runs: Sequence[RunFacts]) -> None:
    """Add curves and a table of every run that has a record of robustness; nothing without any."""
    recorded = [run for run in runs if (run.folder.path / ROBUSTNESS).is_file()]
    if not recorded:
        return
    page.section("Robustness")
    page.add("Noise is added to features, with the variance of the train split divided by the ratio.")
    for run in recorded:
        conditions, others = read_robustness(run.folder.path / ROBUSTNESS)
        names = shown(next(iter(conditions.values()), {}))
        if not names:
            continue
        head = names[0]
        charts = [
            page.figure(figures.lines(_lines(conditions, others, kind, head), x, head), f"{head}, {run.name}")
            for kind, x in AXES.items()
            if any(one.kind == kind for one in conditions)
        ]
        rows = [[str(one), *(number(of[name]) for name in names)]
                for one, of in conditions.items() if one.kind in ("clean", "missing")]  # fmt: skip
        rows += [[f"run {name}", *(number(of[each]) for each in names)] for name, of in others.items()]
        page.add(element("h3", run.name), element("div", *charts, css="grid"), table(["inputs", *names], rows))


def _lines(
    conditions: Mapping[Condition, Metrics], others: Mapping[str, Metrics], kind: str, metric: str
) -> dict[str, tuple[list[float], list[float]]]:
    """Each input's levels and metrics; the unchanged inputs and other runs are level lines."""
    those = [one for one in conditions if one.kind == kind]
    series = {}
    for role in dict.fromkeys(one.role for one in those):
        of = [one for one in those if one.role == role]
        series[role] = ([one.level for one in of], [conditions[one][metric] for one in of])
    ends = [min(one.level for one in those), max(one.level for one in those)]
    series |= {str(one): (ends, [of[metric]] * 2) for one, of in conditions.items() if one.kind == "clean"}
    return series | {f"run {name}": (ends, [of[metric]] * 2) for name, of in others.items()}
