"""How numbers and lists read in messages."""

from __future__ import annotations

import pytest

from featzoo.wording import count, some


@pytest.mark.parametrize(("number", "said"), [(0, "0 clips"), (1, "1 clip"), (2, "2 clips")])
def test_only_one_is_singular(number: int, said: str) -> None:
    assert count(number, "clip") == said


def test_an_irregular_plural_is_given() -> None:
    assert count(2, "entry", "entries") == "2 entries"
    assert count(1, "entry", "entries") == "1 entry"


@pytest.mark.parametrize(
    ("names", "said"),
    [("", ""), ("a", "a"), ("abc", "a, b, c"), ("abcd", "a, b, c and 1 more"), ("abcde", "a, b, c and 2 more")],
)
def test_names_beyond_the_limit_are_counted(names: str, said: str) -> None:
    assert some(names) == said
