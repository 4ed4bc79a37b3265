"""TOML and options to dataclasses: nothing is parsed and ignored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from featzoo.config import build, load, parse_value, read_toml
from featzoo.errors import InvalidOption


@dataclass(frozen=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True)
class Options:
    rate: float
    count: int | None = 3
    name: str = "x"
    kind: Literal["a", "b"] = "a"
    layers: tuple[int, ...] = (-1,)
    weights: Mapping[str, float] = field(default_factory=dict)
    inner: Inner = Inner()
    loud: bool = False

    def __post_init__(self):
        if self.rate <= 0:
            raise ValueError("rate is positive")


def test_values_are_converted_to_their_types():
    made = build(Options, {"rate": 2, "layers": 4, "weights": {"a": 1}, "inner": {"depth": 5}, "count": "none"}, "it")
    assert made == Options(2.0, None, layers=(4,), weights={"a": 1.0}, inner=Inner(5))
    assert type(made.rate) is float


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "it: 'rate' is missing"),
        ({"rate": 1, "cuont": 2}, "it has no option 'cuont': did you mean 'count'"),
        ({"rate": "fast"}, "it: rate is a number; got 'fast'"),
        ({"rate": True}, "it: rate is a number; got True"),
        ({"rate": 1, "count": 1.5}, "count is a whole number; got 1.5"),
        ({"rate": 1, "count": True}, "count is a whole number; got True"),
        ({"rate": 1, "loud": 1}, "loud is true or false; got 1"),
        ({"rate": 1, "kind": "c"}, "kind must be one of a, b; got 'c'"),
        ({"rate": 1, "layers": [1, "x"]}, "layers is a whole number; got 'x'"),
        ({"rate": 1, "weights": 3}, "weights is a table; got 3"),
        ({"rate": 1, "weights": {"a": "b"}}, "weights.a is a number"),
        ({"rate": 1, "inner": {"dpeth": 1}}, "inner has no option 'dpeth': did you mean 'depth'"),
        ({"rate": -1}, "it: rate is positive"),
    ],
)
def test_values_that_do_not_fit_are_refused(options, text):
    with pytest.raises(InvalidOption, match=text):
        build(Options, options, "it")


def test_a_value_in_place_of_a_table_is_refused():
    with pytest.raises(InvalidOption, match="inner is a table; got 3"):
        build(Options, {"rate": 1, "inner": 3}, "it")


def test_files_that_are_not_toml_are_refused(tmp_path):
    (tmp_path / "r.toml").write_text("rate = 0.5\nlayers = [1, 2]\n[inner]\ndepth = 2\n")
    assert load(Options, tmp_path / "r.toml") == Options(0.5, layers=(1, 2), inner=Inner(2))
    (tmp_path / "bad.toml").write_text("rate = ")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    for name, text in (
        ("bad.toml", "not TOML"),
        ("latin.toml", "not TOML"),
        ("none.toml", "cannot read"),
        (".", "cannot read"),
    ):
        with pytest.raises(InvalidOption, match=text):
            read_toml(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("0.5", 0.5), ("true", True), ("[1, 2]", [1, 2]), ("random", "random"), ("/a/b.pth", "/a/b.pth"),
     ('"5"', "5"), ("", ""), ("a = 1\nb = 2", "a = 1\nb = 2"), ("1\nvalue2 = 3", "1\nvalue2 = 3")],
)  # fmt: skip
def test_a_typed_value_is_toml_or_else_text(text, value):
    assert parse_value(text) == value
