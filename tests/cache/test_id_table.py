"""Clips are found in the saved index by the hashes of their ids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featzoo.cache import id_table
from featzoo.cache.id_table import IdTable, table_bytes

IDS = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)


def made(ids):
    pairs = sorted((clip_id, row) for row, clip_id in enumerate(ids))
    return IdTable(*table_bytes([clip_id for clip_id, _ in pairs], [row for _, row in pairs]))


@given(st.lists(IDS, min_size=1, max_size=20), IDS)
def test_it_finds_the_rows_that_a_loop_finds(ids, other):
    table = made(ids)
    assert table.ids() == sorted(ids)
    assert [ids[row] for row in table.rows()] == sorted(ids)
    for clip_id in {*ids, other}:
        assert table[clip_id] == [row for row, each in enumerate(ids) if each == clip_id]


def test_ids_with_the_same_hash_are_told_apart(monkeypatch):
    monkeypatch.setattr(id_table.xxhash, "xxh3_64_intdigest", lambda word: len(word))
    table = made(["ab", "cd", "ab", "e"])
    assert [table[clip_id] for clip_id in ("ab", "cd", "e", "xy", "long")] == [[0, 2], [1], [3], [], []]


def test_text_that_no_id_can_be_is_not_found():
    assert IdTable()["a"] == []
    assert made(["a", "b"])["a\0b"] == []
    assert made(["a"])["\ud800"] == []


@pytest.mark.parametrize(
    ("text", "rows", "places"),
    [(b"a\0b\0c", [0, 1], [0, 1]), (b"a", [0, 1], [0, 1]), (b"a\0b", [0, 2], [0, 1]), (b"a\0b", [0, 1], [-1, 1]),
     (b"a\0\xff", [0, 1], [0, 1])],
)  # fmt: skip
def test_numbers_of_other_ids_are_refused(text, rows, places):
    numbers = np.array([*rows, 0, 1, *places], "<i8").tobytes()
    with pytest.raises(ValueError, match=r"ids for 2 clips|rows of other clips|invalid start byte"):
        IdTable(text, numbers)
