"""Conditions choose the rows that SQLite chooses; everything else is refused with a sentence."""

import sqlite3

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featzoo.cache.conditions import DEEPEST, LONGEST, columns_of, expression
from featzoo.errors import InvalidOption

TEXTS, NUMBERS = ["", "angry", "a'b", "An%", "ä_", None], [-1.5, 0.0, 2.0, 1e3, None]
ROWS = [(number, text, other) for number, text in enumerate(TEXTS) for other in NUMBERS]
TABLE = pa.table({
    "row": pa.array(range(len(ROWS))),
    "emotion": pa.array([text for _, text, _ in ROWS], pa.string()),
    "odd name": pa.array([other for *_, other in ROWS], pa.float64()),
})  # fmt: skip


def literal(value):
    return str(value) if isinstance(value, float) else "'" + value.replace("'", "''") + "'"


@st.composite
def comparisons(draw):
    column, values = draw(st.sampled_from([("emotion", TEXTS), ('"odd name"', NUMBERS)]))
    value = st.sampled_from([literal(value) for value in values if value is not None])
    negative = draw(st.sampled_from(["", "not ", "NOT "]))
    forms = [
        f"{column} {draw(st.sampled_from(['=', '<>', '!=', '<', '<=', '>', '>=']))} {draw(value)}",
        f"{column} {negative}in ({', '.join(draw(st.lists(value, min_size=1, max_size=3)))})",
        f"{column} {negative}between {draw(value)} AND {draw(value)}",
        f"{column} is {negative}null",
    ]
    if column == "emotion":
        forms.append(f"{column} {negative}like {draw(st.sampled_from(['%', 'a%', '%n_ry', '_%b', 'ä_']).map(literal))}")
    return draw(st.sampled_from(forms))


CONDITIONS = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" and ", " OR ", " or "]), inner).map("".join),
        inner.map(lambda each: f"({each})"),
        inner.map(lambda each: f"not ({each})"),
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def database():
    made = sqlite3.connect(":memory:")
    made.execute("pragma case_sensitive_like = on")
    made.execute('create table clips (row integer, emotion text, "odd name" real)')
    made.executemany("insert into clips values (?, ?, ?)", [(n, text, x) for n, (_, text, x) in enumerate(ROWS)])
    return made


@settings(max_examples=200)
@given(condition=CONDITIONS)
def test_the_rows_are_those_that_sqlite_chooses(database, condition):
    chosen = database.execute(f"select row from clips where {condition}").fetchall()  # noqa: S608
    types = {field.name: field.type for field in TABLE.schema}
    assert TABLE.filter(expression(condition, types))["row"].to_pylist() == [row for (row,) in chosen]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("", "needs the name of a column where it ends"),
        ("emotion", "needs a comparison"),
        ("emotion = ", "needs a number or a text in single quotes where it ends"),
        ("emotion = angry", "where it has 'angry'"),
        ("emotion = 3", "'emotion' cannot be compared with '3': it holds text"),
        ("\"odd name\" > 'x'", "'odd name' cannot be compared with 'x': it holds numbers"),
        ("emotions = 'x'", "no column 'emotions'.*did you mean.*emotion"),
        ("emotion = 'x' emotion", "needs and, or, or the end"),
        ("(emotion = 'x'", r"needs \) where it ends"),
        ("emotion in ()", "needs a number or a text"),
        ("emotion = 'x' and __import__ = 'os'", "no column '__import__'"),
        ("emotion = 'x'; drop table clips", "cannot be read from '; drop table clips' on"),
        ("(" * (DEEPEST + 1), f"nested more than {DEEPEST} deep"),
        ("x" * (LONGEST + 1), "a condition may have 10,000 letters"),
    ],
)  # fmt: skip
def test_what_is_not_a_condition_is_refused_with_what_is_missing(condition, said):
    with pytest.raises(InvalidOption, match=said):
        expression(condition, {field.name: field.type for field in TABLE.schema})


def test_the_columns_are_those_named_and_not_texts():
    assert columns_of("emotion = 'split' and (\"odd name\" > 2 or not emotion is null)") == ["emotion", "odd name"]
