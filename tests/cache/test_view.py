"""The store as a table: every clip, set, state and label is there, and other programs read it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import csv, parquet

from featzoo.cache.clip_table import Record, write_records
from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.errors import DamagedFile, InvalidOption
from featzoo.media.clip import Clip
from featzoo.sequence import FeatureSequence

CLIPS = [
    Clip("a", None, 1.0, 4.5, split="test", labels={"valence": 0.5}, categories={"emotion": "angry", "speaker": "s1"}),
    Clip("b", split="test", labels={"valence": -1.0}, categories={"emotion": "sad", "set": "of a label"}),
    Clip("c", split="train", labels={"emotion": 3.0, "valence": float("nan")}),
    Clip("gone", split="train"),
    Clip("ü\x1b[2J", categories={"emotion": "angry"}),
]  # fmt: skip


@pytest.fixture
def store(tmp_path):
    made = FeatureStore.create(tmp_path / "features")
    made.record(CLIPS[:3])
    made.record(CLIPS[3:])
    made.record([Clip("c", split="valid", labels=CLIPS[2].labels)])
    made.catalogue.forget(["gone"])
    times = np.array([[0.0, 1.0], [1.0, 2.5]])
    rows = FeatureSequence(np.ones((2, 3), np.float32), times, tuple("xyz"))
    untimed = FeatureSequence(np.ones((2, 3), np.float32), np.full((2, 2), np.nan), tuple("xyz"))
    found = made.add("one", {"a": rows, "b": rows, "gone": rows, "imported": untimed})
    found.fail("c", "", "no-audio", "it has no sound")
    made.add("two", {"b": rows})
    return FeatureStore(made.path)


def rows(table, *columns):
    return sorted(zip(*(table[column].to_pylist() for column in columns), strict=True), key=repr)


def test_each_clip_has_a_row_for_each_set_with_its_state(store):
    one, two = (found.key for found in store.sets())
    states = {clip: (first, second) for clip, first, second in [
        ("a", "stored", "missing"), ("b", "stored", "stored"), ("c", "failed", "missing"),
        ("imported", "stored", "missing"), ("ü\x1b[2J", "missing", "missing"),
    ]}  # fmt: skip
    wanted = [(clip, key, state) for clip, both in states.items() for key, state in zip((one, two), both, strict=True)]
    table = store.query()
    assert rows(table, "clip", "set", "state") == sorted(wanted, key=repr)
    assert table["clip"].to_pylist() == sorted(table["clip"].to_pylist())


def test_splits_labels_and_durations_are_the_newest_recorded(store):
    found = store.query(
        "set like 'one%'", ["clip", "split", "speaker", "seconds", "valence", "emotion", "emotion (text)"]
    )
    assert rows(found, *found.column_names) == sorted([
        ("a", "test", "s1", 3.5, 0.5, None, "angry"),
        ("b", "test", None, 2.5, -1.0, None, "sad"),
        ("c", "valid", None, None, None, 3.0, None),
        ("imported", None, None, None, None, None, None),
        ("ü\x1b[2J", None, None, None, None, None, "angry"),
    ], key=repr)  # fmt: skip


def test_media_digests_and_paths_are_null_where_there_are_none(store):
    store.record([Clip("b", Path("b.wav"), split="test")], {Path("b.wav"): "5e" * 32})
    found = dict(rows(store.query("", ["clip", "media"], ["two"]), "clip", "media"))
    assert found["b"] == "5e" * 32
    assert found["a"] is None
    assert rows(store.query("path like '%.wav'", ["clip", "path"], ["two"]), "clip", "path") == [("b", "b.wav")]


def test_a_label_with_the_name_of_a_column_is_told_apart(store):
    assert rows(store.query("\"set (label)\" = 'of a label'", sets=["two"]), "clip") == [("b",)]


def test_a_damaged_clip_has_no_duration_rather_than_a_wrong_one(store):
    (shard,) = (store["one"].folder / "shards").glob("*.h5")
    raw = bytearray(shard.read_bytes())
    place = raw.index(np.array([1.0, 2.5]).tobytes())
    raw[place + 8 : place + 16] = np.array([9.0]).tobytes()  # the end of a, or of b, which the set two has too
    shard.write_bytes(raw)
    found = dict(rows(FeatureStore(store.path).query("", ["clip", "seconds"]), "clip", "seconds"))
    assert found["b"] == 2.5


def test_a_store_without_sets_has_a_row_for_each_clip(tmp_path):
    made = FeatureStore.create(tmp_path / "f")
    assert len(made.query()) == 0
    made.record(CLIPS[:2])
    assert rows(made.query("emotion = 'sad'"), "clip", "set", "state") == [("b", None, None)]


def test_names_of_labels_that_are_values_are_refused(tmp_path):
    made = FeatureStore.create(tmp_path / "f")
    labels = {f"label{number}": 1.0 for number in range(1001)}
    write_records(made.path / "clips", [Record(Clip("a", labels=labels), "")])
    with pytest.raises(DamagedFile, match="1,001 different labels"):
        made.query()


def test_a_frame_of_a_set_has_a_row_for_each_clip(store):
    pytest.importorskip("pandas")
    frame = store.to_pandas("two", pool="mean", labels=True)
    assert frame.loc["b", ["x", "split"]].tolist() == [1, "test"]
    assert len(store.to_pandas("two", pool=None, labels=False)) == 2


def test_unknown_columns_are_refused(store):
    with pytest.raises(InvalidOption, match=r"no column 'splt'.*split"):
        store.query(columns=["clip", "splt"])


# The command


def listed(store, *arguments):
    done = CliRunner().invoke(feat, ["ls", *arguments, "-o", str(store.path)])
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def test_clips_that_meet_a_condition_are_listed_once_with_its_columns(store):
    assert listed(store, "--where", "split = 'test' and seconds > 2") == ["a  test  3.5", "b  test  2.5"]
    assert listed(store, "--where", "\"emotion (text)\" = 'angry'") == ["a  angry", "ü\\x1b[2J  angry"]
    assert listed(store, "one", "--where", "state <> 'stored'") == ["c  failed", "ü\\x1b[2J  missing"]


def test_a_wrong_condition_ends_in_a_sentence(store):
    done = CliRunner().invoke(feat, ["ls", "--where", "split = test", "-o", str(store.path)])
    assert done.exit_code == 1
    assert "single quotes" in done.output


@pytest.mark.parametrize("name", ["clips.parquet", "clips.csv"])
def test_other_programs_read_the_written_table(store, tmp_path, name):
    place = tmp_path / name
    assert listed(store, "--to", str(place)) == [f"10 rows in {place}"]
    read = parquet.read_table(place) if place.suffix == ".parquet" else csv.read_csv(place)
    assert read["clip"].to_pylist() == store.query()["clip"].to_pylist()


def test_duckdb_opens_the_written_table_and_the_clip_tables(store, tmp_path):
    duckdb = pytest.importorskip("duckdb")  # missing in an installation without extras
    listed(store, "--to", str(tmp_path / "clips.parquet"))
    condition = "split = 'test' and valence < 0"
    found = duckdb.read_parquet(str(tmp_path / "clips.parquet")).filter(condition)["clip"].distinct().fetchall()
    assert found == [("b",)] == rows(store.query(condition, sets=["one"]), "clip")
    recorded = duckdb.read_parquet(f"{store.path}/clips/*.parquet", filename=True, union_by_name=True)
    newest = recorded.query(
        "recorded",
        "select id from recorded qualify row_number() over (partition by id order by filename desc) = 1 "
        "and not coalesce(forgotten, false)",
    )
    assert sorted(newest.fetchall()) == [(clip,) for clip in store.clip_ids()]


def test_columns_of_other_types_are_damage(tmp_path):
    made = FeatureStore.create(tmp_path / "f")
    (made.path / "clips").mkdir()
    parquet.write_table(pa.table({"id": [[1]], "split": ["x"]}), made.path / "clips" / "1.parquet")
    with pytest.raises(DamagedFile, match="is damaged"):
        made.query()
