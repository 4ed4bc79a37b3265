"""The long Parquet table, as other programs read and write it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from peak_memory import peak_memory
from pyarrow import parquet

from featzoo import FeatureSequence, FeatureStore
from featzoo.errors import InvalidClips
from featzoo.exchange.formats import parquet as ours

TIMES = np.array([[0.0, 0.5], [0.5, np.nan], [1.0, 1.5]])


def test_pandas_reads_the_table(tmp_path):
    rng = np.random.default_rng(0)
    clips = {f"v/{i}": FeatureSequence(rng.normal(size=(3, 2)).astype("f4"), TIMES, ("f0", "loud")) for i in range(2)}
    FeatureStore.create(tmp_path / "s").add("x", clips, spec={"options": {"hop": 10}})
    ours.export_parquet(tmp_path / "s", "x", tmp_path / "x.parquet")
    frame = pd.read_parquet(tmp_path / "x.parquet")
    assert list(frame.columns) == ["clip", "start", "end", "f0", "loud"]
    assert (frame["f0"].dtype, frame["start"].dtype) == (np.float32, np.float64)
    for clip, rows in frame.groupby("clip"):
        np.testing.assert_array_equal(rows[["f0", "loud"]].to_numpy(), clips[clip].features)
        np.testing.assert_array_equal(rows[["start", "end"]].to_numpy(), TIMES)
    said = json.loads(parquet.read_schema(tmp_path / "x.parquet").metadata[b"featzoo"])
    assert said["spec"]["options"] == {"hop": 10}


def test_rows_of_more_dimensions_are_fixed_size_lists(tmp_path):
    image = np.arange(24.0).reshape(2, 4, 3)  # 2 rows of 4 x 3
    FeatureStore.create(tmp_path / "s").add("x", {"a": FeatureSequence(image, TIMES[:2], ("r", "g", "b"))})
    ours.export_parquet(tmp_path / "s", "x", tmp_path / "x.parquet")
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table.schema.field("g").type == pa.list_(pa.float64(), 4)
    assert table.column("g").to_pylist() == image[:, :, 1].tolist()


def test_columns_of_one_name_can_be_told_apart_and_come_back_under_their_names(tmp_path):
    rows = np.arange(4.0)[None]
    names = ("f0", "f0", "clip", "f0 (2)")
    FeatureStore.create(tmp_path / "s").add("x", {"a": rows}, names=names)
    ours.export_parquet(tmp_path / "s", "x", tmp_path / "x.parquet")
    columns = parquet.read_schema(tmp_path / "x.parquet").names
    assert len(set(columns)) == 7
    ours.import_parquet(tmp_path / "x.parquet", tmp_path / "t")
    assert FeatureStore(tmp_path / "t")["x"].names == names


def test_a_table_of_pandas_comes_in(tmp_path):
    """Gaps become NaN, infinite values too and are counted; whole numbers and floats share the wider type."""
    frame = pd.DataFrame({"clip": ["a", "a", "b"], "f": [1.0, None, -np.inf], "n": [1, 2, 3]})
    frame.to_parquet(tmp_path / "my features.parquet")
    account = ours.import_parquet(tmp_path / "my features.parquet", tmp_path / "s")
    (came,) = account.sets
    assert (came.clips, came.infinite, account.complete) == (2, 1, True)
    found = FeatureStore(tmp_path / "s")["my-features"]
    np.testing.assert_array_equal(found["a"].features, [[1, 1], [np.nan, 2]])
    np.testing.assert_array_equal(found["b"].features, [[np.nan, 3]])
    assert np.isnan(found["a"].intervals).all()


def test_a_bad_clip_is_refused_and_the_others_stay(tmp_path):
    frame = pd.DataFrame({"clip": ["a", "b"], "start": [0.0, 2.0], "end": [1.0, 1.0], "f": [1.0, 2.0]})
    frame.to_parquet(tmp_path / "x.parquet")
    (came,) = ours.import_parquet(tmp_path / "x.parquet", tmp_path / "s").sets
    assert came.clips == 1
    assert "ends before it starts" in came.refused["b"]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"file": ["a"], "f": [1.0]}, "no column 'clip'"),
        ({"clip": ["a"], "mood": ["glad"]}, "column 'mood' is .*string, not numbers"),
        ({"clip": ["a"], "f": [1.0], "start": pd.to_timedelta(["1s"])}, "column 'start' is duration.* seconds"),
        ({"clip": ["a", "b", "a"], "f": [1.0, 2.0, 3.0]}, "'a' is not together: sort the table by clip"),
        ({"clip": ["a", None], "f": [1.0, 2.0]}, "no text"),
        ({"clip": ["a"]}, "no features"),
    ],
)
def test_other_tables_are_refused_before_anything_is_stored(tmp_path, columns, says):
    pd.DataFrame(columns).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InvalidClips, match=says):
        ours.import_parquet(tmp_path / "x.parquet", tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_blocks_and_clips_may_fall_anywhere(tmp_path, monkeypatch):
    """With blocks of a few rows, written and read, nothing changes."""
    monkeypatch.setattr(ours, "BLOCK_BYTES", 40)
    rng = np.random.default_rng(1)
    clips = {f"{i}": rng.normal(size=(n, 2)) for i, n in enumerate([7, 0, 1, 3, 12, 1])}
    FeatureStore.create(tmp_path / "s").add("x", clips)
    ours.export_parquet(tmp_path / "s", "x", tmp_path / "x.parquet")
    assert parquet.ParquetFile(tmp_path / "x.parquet").num_row_groups > 1
    ours.import_parquet(tmp_path / "x.parquet", tmp_path / "t")
    for clip, rows in clips.items():
        np.testing.assert_array_equal(FeatureStore(tmp_path / "t")["x"][clip].features, rows)


def test_memory_is_bounded(tmp_path, monkeypatch):
    """Ten times the clips take no more of Arrow's memory to read."""
    monkeypatch.setattr(ours, "BLOCK_BYTES", 1 << 17)
    rng = np.random.default_rng(0)
    peaks = []
    for count in (8, 80):
        FeatureStore.create(tmp_path / f"s{count}").add(
            "x", ((str(i), rng.normal(size=(100, 128))) for i in range(count))
        )
        ours.export_parquet(tmp_path / f"s{count}", "x", tmp_path / f"{count}.parquet")
        before = pa.total_allocated_bytes()
        with parquet.ParquetFile(tmp_path / f"{count}.parquet") as file:
            peaks.append(max(pa.total_allocated_bytes() - before for _ in ours.batches(file, 128 * 8)))
    assert peaks[1] < 1.5 * peaks[0]
    assert peaks[1] < 80 * 100 * 128 * 8 / 8  # of 8 MB


@pytest.mark.hostile
def test_a_long_id_that_rows_share_takes_no_memory(tmp_path):
    rows = np.repeat(np.array([0, 1, 0], np.int32), 3000)
    ids = pa.DictionaryArray.from_arrays(rows, ["a" * 1_000_000, "b" * 1_000_000])
    table = pa.table({"clip": ids, "f": np.zeros(9000)})
    parquet.write_table(table, tmp_path / "x.parquet", dictionary_pagesize_limit=64 << 20)
    peak, said = peak_memory("import parquet", tmp_path / "x.parquet", "-o", tmp_path / "features")
    assert peak < 400
    assert "sort the table by clip" in said


@pytest.mark.slow
@pytest.mark.parametrize("command", ["import parquet", "import parallel", "import essays", "extract"])
def test_a_column_that_repeats_a_value_takes_no_memory(tmp_path, command):
    """Run lengths: 200 million rows in some kilobytes."""
    table = pa.table({name: pa.array(["clip"] * 1_000_000).dictionary_encode() for name in ("clip", "id", "text")})
    with parquet.ParquetWriter(tmp_path / "x.parquet", table.schema, compression="zstd") as file:
        for _ in range(200):
            file.write_table(table)
    status = 3 if command == "extract" else 1
    peak, said = peak_memory(command, tmp_path / "x.parquet", "-o", tmp_path / "s", status=status)
    assert peak < 600
    assert "values in a column" in said
