"""Tables of audformat and audinterface: the packages themselves read ours, and we read theirs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from featzoo import Clip, FeatureSequence, FeatureStore
from featzoo.errors import InvalidClips, StoreError
from featzoo.exchange.formats.audformat import export_audformat, from_frame, import_audformat, to_frame

TIMES = np.array([[0.0, 0.02], [2 / 3, np.nan], [1.5, 1.52]])


@pytest.fixture
def store(tmp_path):
    made = FeatureStore.create(tmp_path / "s")
    rng = np.random.default_rng(0)
    ids = ["folder/a,1.wav", "NA", "ü\nb.wav"]
    made.add("x", {i: FeatureSequence(rng.normal(size=(3, 2)).astype("f4"), TIMES, ("F0", "loud")) for i in ids})
    return made


def test_a_frame_is_what_audformat_calls_a_segmented_table(store):
    import audformat

    frame = to_frame(store, "x")
    audformat.assert_index(frame.index)
    assert audformat.is_segmented_index(frame.index)
    assert (frame.dtypes == np.float32).all()
    first = frame.loc["NA"]
    assert first.index[0] == (pd.Timedelta(0), pd.Timedelta(milliseconds=20))
    assert first.index.get_level_values("end").isna().tolist() == [False, True, False]
    np.testing.assert_array_equal(first.to_numpy(), store["x"]["NA"].features)


def test_a_frame_comes_back(store, tmp_path):
    """Times to a nanosecond, which is what pandas keeps."""
    again = FeatureStore.create(tmp_path / "t").add("x", from_frame(to_frame(store, "x")))
    assert again.ids() == store["x"].ids()
    for clip in again:
        np.testing.assert_array_equal(again[clip].features, store["x"][clip].features)
        np.testing.assert_allclose(again[clip].intervals, TIMES, rtol=0, atol=0.5e-9)
        np.testing.assert_array_equal(again[clip].intervals[[0, 2]], TIMES[[0, 2]])
        assert again[clip].names == ("F0", "loud")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files_come_back_and_audformat_reads_the_csv(store, tmp_path, suffix):
    """A float32 printed in its shortest form is the same float32 when read."""
    export_audformat(tmp_path / "s", "x", tmp_path / f"x{suffix}")
    account = import_audformat(tmp_path / f"x{suffix}", tmp_path / "t", dtype="float32")
    assert account.complete
    again = FeatureStore(tmp_path / "t")["x"]
    assert again.ids() == store["x"].ids()
    for clip in again:
        np.testing.assert_array_equal(again[clip].features, store["x"][clip].features)
        np.testing.assert_allclose(again[clip].intervals, TIMES, rtol=0, atol=0.5e-9)
    import audformat

    if suffix == ".csv":
        read = audformat.utils.read_csv(tmp_path / "x.csv")
        assert audformat.is_segmented_index(read.index)
        np.testing.assert_allclose(read.to_numpy(), to_frame(store, "x").to_numpy(), rtol=1e-6)


@pytest.mark.parametrize("storage", ["csv", "parquet"])
def test_a_table_that_audformat_saved_comes_in(tmp_path, storage):
    import audformat
    import audformat.testing

    db = audformat.testing.create_db(minimal=True)
    index = audformat.segmented_index(["b.wav", "a.wav", "b.wav"], ["0s", "0s", "10ms"], ["10ms", pd.NaT, "20ms"])
    db["t"] = audformat.Table(index)
    db["t"]["F0"], db["t"]["n"] = audformat.Column(), audformat.Column()
    db["t"]["F0"].set([1.5, 2.5, np.nan])
    db["t"]["n"].set([1.0, 2.0, 3.0])
    for column in ("F0", "n"):
        db["t"].df[column] = db["t"].df[column].astype("float64")
    db["t"].save(tmp_path / "t", storage_format=storage)
    store = FeatureStore.create(tmp_path / "s")
    store.record([Clip("known", path="a.wav")])
    import_audformat(tmp_path / f"t.{storage}", tmp_path / "s")
    found = FeatureStore(tmp_path / "s")["t"]
    assert found.ids() == ["b.wav", "known"]  # the store's clip whose medium is a.wav
    np.testing.assert_array_equal(found["b.wav"].features, [[1.5, 1], [np.nan, 3]])
    np.testing.assert_array_equal(found["b.wav"].intervals, [[0, 0.01], [0.01, 0.02]])
    np.testing.assert_array_equal(found["known"].intervals, [[0, np.nan]])


def test_tables_of_opensmile_are_imported(tmp_path):
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.LowLevelDescriptors)
    sound = np.random.default_rng(0).normal(size=16000).astype("f4") * 0.1
    frame = smile.process_signal(sound, 16000, file="noise.wav")
    ((clip, sequence),) = from_frame(frame)
    assert (clip, sequence.features.dtype, len(sequence.names)) == ("noise.wav", np.float32, 25)
    np.testing.assert_array_equal(sequence.features, frame.to_numpy())
    np.testing.assert_allclose(np.diff(sequence.intervals[:, 0]), 0.01, atol=1e-9)  # one row every 10 ms


def test_other_tables_are_refused(store, tmp_path):
    (tmp_path / "a.csv").write_text("name,f\na,1\n")
    with pytest.raises(InvalidClips, match="no column 'file'"):
        import_audformat(tmp_path / "a.csv", tmp_path / "t")
    (tmp_path / "b.csv").write_text("file,mood\na,glad\n")
    with pytest.raises(InvalidClips, match=r"column 'mood' holds .*, not numbers"):
        import_audformat(tmp_path / "b.csv", tmp_path / "t")
    with pytest.raises(StoreError, match=r"\*\.csv or \*\.parquet"):
        export_audformat(tmp_path / "s", "x", tmp_path / "x.pkl")
    store.add("deep", {"a": np.ones((2, 3, 4))})
    with pytest.raises(StoreError, match="a table holds vectors; export it as parquet"):
        to_frame(store, "deep")
    store.add("twins", {"a": np.ones((2, 2))}, names=["f", "f"])
    with pytest.raises(StoreError, match="two columns have the same name"):
        to_frame(store, "twins")


def test_times_that_are_numbers_are_seconds(tmp_path):
    (tmp_path / "a.csv").write_text("file,start,end,f\na,0.5,1,1\na,1,,1\n")
    import_audformat(tmp_path / "a.csv", tmp_path / "t")
    np.testing.assert_array_equal(FeatureStore(tmp_path / "t")["a"]["a"].intervals, [[0.5, 1], [1, np.nan]])


def test_infinite_values_become_nan_and_are_counted(tmp_path):
    (tmp_path / "a.csv").write_text("file,f\na,1\na,-inf\na,\n")
    (came,) = import_audformat(tmp_path / "a.csv", tmp_path / "t").sets
    assert came.infinite == 1
    np.testing.assert_array_equal(FeatureStore(tmp_path / "t")["a"]["a"].features[:, 0], [1, np.nan, np.nan])
