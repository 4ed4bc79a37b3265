"""Arrow columns made by hand are those that pyarrow makes, and cost no import of pandas."""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa
import pytest

from featzoo.cache.arrow_columns import rows_of, table_of

WORD = pa.struct([("text", pa.string()), ("start", pa.float64())])
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("start", pa.float64()),
        ("labels", pa.map_(pa.string(), pa.float64())),
        ("names", pa.map_(pa.string(), pa.string())),
        ("words", pa.list_(WORD)),
        ("remarks", pa.list_(pa.string())),
        ("forgotten", pa.bool_()),
    ]
)
ROWS = [
    {
        "id": "a/é.mp4",
        "start": 1.5,
        "labels": [("happy", 1.0), ("", -0.0)],
        "names": [("speaker", "03")],
        "words": [{"text": "so", "start": 0.5}, {"text": "日本", "start": float("nan")}],
        "remarks": ["", "x" * 1000],
        "forgotten": False,
    },
    {"id": "", "start": None, "labels": None, "names": [], "words": None, "remarks": [], "forgotten": True},
    {"id": "only an id"},
]


@pytest.mark.parametrize(
    "rows", [ROWS, ROWS[:1], ROWS[1:], [], ROWS * 50], ids=["all", "full", "nulls", "none", "many"]
)
def test_tables_are_those_of_pyarrow(rows):
    made = table_of(rows, SCHEMA)
    made.validate(full=True)
    assert str(made.to_pydict()) == str(
        pa.Table.from_pylist(rows, schema=SCHEMA).to_pydict()
    )  # NaN is not equal to NaN
    assert str(rows_of(made)) == str(made.to_pylist())


def test_texts_too_long_for_one_column_are_refused():
    class Long(str):
        def encode(self):
            return range(2**31)  # has a length, and takes no memory

    with pytest.raises(OverflowError, match="in one column"):
        table_of([{"id": Long("x")}], pa.schema([("id", pa.string())]))


def test_a_run_with_nothing_to_compute_imports_no_pandas_and_no_model(examples, tmp_path):
    code = (
        "import sys; from click.testing import CliRunner; from featzoo.cli import feat\n"
        "done = CliRunner().invoke(feat, sys.argv[1:]); print(done.output)\n"
        "heavy = {'pandas', 'torch', 'opensmile', 'joblib', 'av'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if '1 cached' in done.output and heavy else done.exit_code)"
    )
    for _ in range(2):
        words = ("extract", examples / "clip01.mp4", "-x", "motion-energy", "-o", tmp_path / "features", "-j", "1")
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "1 cached" in done.stdout
