"""The HTML page of `zoo predict` on the predictions for new clips, whole and along time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from featzoo.media.clip import Clip
from featzoo.media.windows import seconds_of
from featzoo.reports import figures
from featzoo.reports.clip_card import clip_card
from featzoo.reports.html import element, table
from featzoo.reports.page import Page
from featzoo.wording import count
from featzoo.zoo.runs.predicted import Predicted, Prediction

# Clips that are shown one by one; the table has them all.
CARDS = 50


def prediction_report(found: Predicted, place: Path, media: bool = True) -> None:
    """Write the page: a table of all clips, and for each of the first ones its outputs as bars and along time.

    Args:
        found: The predictions.
        place: The HTML file to write.
        media: Put frames and sound of the clips into the page.

    Raises:
        StoreError: If the file cannot be written.
        ModuleNotFoundError: If plotly is not installed.
    """
    page = Page(f"Predicted {', '.join(found.target.columns)}")
    page.subtitle = f"{count(len(found.predictions), 'clip')}; {', '.join(run.name for run in found.runs)}"
    _table(page, found)
    page.section("Clip by clip")
    for one in found.predictions[:CARDS]:
        _clip(page, found, found.clips[one.clip], one, media)
    if len(found.predictions) > CARDS:
        page.add(f"The other {len(found.predictions) - CARDS} clips are in the table above.")
    page.save(place)


def _table(page: Page, found: Predicted) -> None:
    outputs = found.target.outputs
    of_class = found.target.kind == "class"
    rows = []
    for one in found.predictions:
        first = [str(next(iter(one.values.values()), "no prediction"))] if of_class else []
        rows.append([one.clip, *first, *(_number(one, name) for name in outputs)])
    page.section("Clips", table(["clip", *(found.target.columns if of_class else ()), *outputs], rows))
    if len(found.runs) > 1:
        page.add(f"Each value is the mean of {count(len(found.runs), 'run')}, ± their standard deviation.")
    used = [[role, key or "not used"] for role, key in found.used.items()]
    page.add(element("h3", "Feature sets"), table(["input", "set"], used, numbers_from=2))


def _number(one: Prediction, name: str) -> str:
    if name not in one.outputs:
        return "-"
    spread = f" ± {one.spread[name]:.3f}" if name in one.spread else ""
    return f"{one.outputs[name]:.3f}{spread}"


def _clip(page: Page, found: Predicted, clip: Clip, one: Prediction, media: bool) -> None:
    facts: list[tuple[object, object]] = [
        (name, value if isinstance(value, str) else f"{value:.3f}") for name, value in one.values.items()
    ]
    facts = facts or [("prediction", "none")]
    facts += [(f"without {role}", why) for role, why in one.missing.items()]
    page.add(clip_card(page, clip, facts, None, media))
    if one.outputs and len(one.outputs) > 1:
        page.add(page.figure(_bars(found, one), f"{clip.id}: {_unit(found)}"))
    if len(one.windows) > 1:
        page.add(page.figure(_curve(found, one.windows, seconds_of(clip)), f"{clip.id} along time"))


def _bars(found: Predicted, one: Prediction) -> figures.Figure:
    """A bar for each output; the deviation over several runs as a whisker."""
    figure = figures.bars(list(one.outputs), {"": list(one.outputs.values())}, _unit(found))
    ends = found.target.range or ((0.0, 1.0) if found.target.of_classes else ())
    if ends:
        figure["layout"]["xaxis"] |= {"range": list(ends)}
    if one.spread:
        figure["data"][0]["error_x"] = {"type": "data", "array": figures.numbers(list(one.spread.values()))}
    return figure


def _curve(found: Predicted, windows: Sequence[Prediction], seconds: float) -> figures.Figure:
    """The outputs at the middles of the windows, over the whole length of the clip."""
    there = [window for window in windows if window.outputs]
    middles = [(window.start + (window.end or 0.0)) / 2 for window in there]
    series = {name: (middles, [window.outputs[name] for window in there]) for name in found.target.outputs}
    figure = figures.lines(series, "seconds", _unit(found))
    figure["layout"]["xaxis"] |= {"range": [0, float(f"{seconds:.6g}")]}
    return figure


def _unit(found: Predicted) -> str:
    return "probability" if found.target.of_classes else "predicted value"
