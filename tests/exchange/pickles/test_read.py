"""What MMSA's and MulT's importers share: files that are not what they should be."""

from __future__ import annotations

import contextlib
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featzoo.errors import FeatzooError
from featzoo.exchange.pickles.mmsa import import_mmsa
from featzoo.exchange.pickles.mult import import_mult
from featzoo.exchange.pickles.read import observed


def objects(*values):
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


UNEVEN = objects(np.ones((2, 2)), None, [[1, 2]])
ODD = [
    np.ones((3, 4, 2)), np.zeros((3, 4, 2)), np.ones((3, 2)), np.ones(3), np.float64(1), None, [None] * 3, [1, 2, 3],
    ["a", "b", "c"], [[1, 2], [3], [4, 5, 6]], [np.ones((2, 2)), np.ones((3, 2)), np.ones((4, 2))], UNEVEN, np.array(5),
    [np.ones((2, 2)), np.ones((2, 3)), "x"], {}, {"a": 1}, [], "abc", b"abc", [(b"v", b"1", b"2")] * 3,
    np.ones((3, 3, 4)), np.full((3, 3, 4), np.nan), np.full((3, 4, 2), np.inf), [[np.nan]] * 3, np.ones((3, 1, 1)),
    np.ones((3, 4, 2), int), [-1, 2, 3], [99, 1.5, np.inf], np.ones((3, 2, 2), complex), [["a"], ["b"], ["c"]],
    [[[1, 2], [3, 4]]] * 3, [[[1, 2], [3]]] * 3, np.ones((3, 0, 2)), np.ones((3, 4, 0)),
]  # fmt: skip
KEYS = [
    "text", "audio", "vision", "text_bert", "id", "raw_text", "audio_lengths", "vision_lengths", "regression_labels",
    "classification_labels", "labels", "else",
]  # fmt: skip
PART = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(ODD), max_size=8)


@pytest.mark.parametrize("read", [import_mmsa, import_mult])
@settings(max_examples=300, deadline=None)
@given(part=PART, other=PART, named=st.booleans())
def test_whatever_a_file_holds_ends_in_an_account_or_in_an_error_that_says_why(
    tmp_path_factory, read, part, other, named
):
    ids = {"id": ["a", "b", "c"]} if named else {}
    place = tmp_path_factory.getbasetemp() / "odd.pkl"
    place.write_bytes(pickle.dumps({"train": {**part, **ids}, "test": other}))
    with contextlib.suppress(FeatzooError):
        account = read(place, place.with_name("none"), dry_run=True)
        assert list(account.lines())
        assert not place.with_name("none").exists()


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=6, max_size=6), min_size=1, max_size=3))
def test_only_rows_that_are_zero_in_all_modalities_go_and_only_at_the_ends(columns):
    arrays = [np.array(column)[:, None] for column in columns]
    kept = observed(arrays)
    held = [row for row in range(6) if any(column[row] != 0 for column in columns)]
    assert (kept.start, kept.stop) == ((held[0], held[-1] + 1) if held else (0, 0))
