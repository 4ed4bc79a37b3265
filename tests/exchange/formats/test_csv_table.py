"""The CSV table, as pandas reads it."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from featzoo import Clip, FeatureSequence, FeatureStore
from featzoo.cli import feat
from featzoo.errors import StoreError
from featzoo.exchange.formats.csv_table import export_csv

TIMES = np.array([[0.0, 0.5], [0.5, np.nan]])


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    made = FeatureStore.create(tmp_path / "s")
    rows = {name: rng.normal(size=(2, 3)).astype("f4") for name in ("a,1", "b")}
    rows["b"][1, 2] = np.nan
    made.add("x", {name: FeatureSequence(each, TIMES, ("f0", "f0", "clip")) for name, each in rows.items()})
    made.record([Clip("a,1", split="train", labels={"y": 0.1}, categories={"emotion": "joy, very"})])
    return tmp_path / "s", rows


def test_pandas_reads_every_value_exactly_and_gaps_as_missing(store, tmp_path):
    path, rows = store
    export_csv(path, "x", tmp_path / "x.csv")
    frame = pd.read_csv(tmp_path / "x.csv", float_precision="round_trip")
    assert list(frame.columns) == ["clip", "start", "end", "f0", "f0 (2)", "clip (2)"]
    for name, each in rows.items():
        those = frame[frame["clip"] == name]
        np.testing.assert_array_equal(those.iloc[:, 3:].to_numpy(np.float32), each)
        np.testing.assert_array_equal(those[["start", "end"]].to_numpy(), TIMES)


def test_labels_are_columns_beside(store, tmp_path):
    path, _ = store
    done = CliRunner().invoke(feat, ["export", "csv", "x", str(tmp_path / "x.csv"), "-o", str(path), "--labels"])
    assert done.exit_code == 0, done.output
    frame = pd.read_csv(tmp_path / "x.csv")
    assert list(frame.columns[:6]) == ["clip", "start", "end", "split", "y", "emotion"]
    assert frame.iloc[0][["split", "y", "emotion"]].tolist() == ["train", 0.1, "joy, very"]
    assert frame.iloc[2][["split", "y", "emotion"]].isna().all()


def test_rows_of_more_dimensions_are_refused(tmp_path):
    FeatureStore.create(tmp_path / "s").add("x", {"a": np.zeros((2, 4, 3))})
    with pytest.raises(StoreError, match="4 x 3 numbers"):
        export_csv(tmp_path / "s", "x", tmp_path / "x.csv")
