"""Figures are valid for Plotly and show the numbers that they are given."""

from __future__ import annotations

import json

import numpy as np
import pytest

from featzoo.reports import figures

from .conftest import HOSTILE

graph_objects = pytest.importorskip("plotly.graph_objects", reason="checks figures with plotly, which is not installed")

X = np.array([0.0, 1.0, np.nan, 2.5])
FIGURES = {
    "bars": figures.bars(HOSTILE, {HOSTILE[0]: range(len(HOSTILE))}, "clips"),
    "grouped bars": figures.bars(["a"], {"x": [1], "y": [2]}, "clips", stacked=False),
    "histogram": figures.histogram({"train": X, HOSTILE[1]: X + 0.1}, "seconds"),
    "histogram of nothing": figures.histogram({"train": []}, "seconds"),
    "histogram of one value": figures.histogram({"train": [3.0]}, "seconds"),
    "lines": figures.lines({"a": (X, X), "b": (X, X)}, "epoch", "loss", {"a": (1.0, 1.0)}),
    "scatter": figures.scatter({"test": (X, X, HOSTILE[:4])}, "true", "predicted", diagonal=True),
    "heat map": figures.heat_map(np.eye(2), ["a", "b"], HOSTILE[:2], "x", "y", text=[["1", "0"], ["0", "1"]]),
    "timeline": figures.heat_map(np.zeros((2, 4)), [0.5, 1.5, 2.5, 3.5], ["a", "b"], "s", "", diverging=True),
}


@pytest.mark.parametrize("name", FIGURES)
def test_plotly_accepts_a_figure(name: str) -> None:
    """Plotly's own validators refuse names and values that its figures do not have."""
    graph_objects.Figure(FIGURES[name])
    json.dumps(FIGURES[name], allow_nan=False)


def test_text_is_escaped_for_plotly() -> None:
    assert figures.plain("<b>&</b>") == "&lt;b&gt;&amp;&lt;/b&gt;"


def test_nan_and_infinities_become_null() -> None:
    assert figures.numbers([1 / 3, np.nan, np.inf]) == [0.333333, None, None]


@pytest.mark.parametrize("values", [np.linspace(0, 1, 77) ** 2, np.arange(-30, 31) / 10, np.repeat([1, 2, 5], 9)])
def test_a_histogram_counts_every_value_once(values: np.ndarray) -> None:
    made = figures.histogram({"a": values, "b": values[:7]}, "x")
    assert [sum(trace["y"]) for trace in made["data"]] == [len(values), 7]


def test_values_on_a_grid_fill_bins_evenly() -> None:
    """61 labels from -3 to 3 in steps of 0.1, each once: no comb of one and two values a bin."""
    made = figures.histogram({"a": np.round(np.arange(-30, 31) / 10, 1)}, "x")
    assert set(made["data"][0]["y"][:-1]) == {3}
