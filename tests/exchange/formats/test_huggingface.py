"""Folders for Hugging Face's datasets package, which itself was run on them: see docs/how-to/exchange.md."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from featzoo import Clip, FeatureSequence, FeatureStore
from featzoo.errors import InvalidClips
from featzoo.exchange.formats.huggingface import export_huggingface, import_huggingface
from featzoo.media.transcripts import words_of

CLIPS = [
    Clip("a", split="train", labels={"mood": 0.5}, categories={"emotion": "joy"}, words=words_of("so fine")),
    Clip("b", split="valid", labels={"mood": -1.0, "joy": 2.0}),
    Clip("c", split="valid"),
]


@pytest.fixture
def folder(tmp_path):
    store = FeatureStore.create(tmp_path / "s")
    rng = np.random.default_rng(0)
    clips = {
        clip.id: FeatureSequence(rng.normal(size=(n + 1, 3)).astype("f4"), np.arange(2 * n + 2.0).reshape(-1, 2), "abc")
        for n, clip in enumerate(CLIPS)
    }
    store.add("x", clips)
    store.record(CLIPS)
    export_huggingface(tmp_path / "s", "x", tmp_path / "hf")
    return tmp_path / "hf"


def test_files_are_called_as_load_dataset_finds_splits_by(folder, tmp_path):
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    train, valid = "data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"
    assert names == {train, valid, "README.md"}
    table = parquet.read_table(folder / valid)
    assert table.schema.field("features").type == pa.list_(pa.list_(pa.float32(), 3))
    assert table.column("clip").to_pylist() == ["b", "c"]
    assert table.column("labels").to_pylist() == [
        {"emotion": None, "joy": 2.0, "mood": -1.0},
        {"emotion": None, "joy": None, "mood": None},
    ]
    np.testing.assert_array_equal(table.column("features")[1].as_py(), FeatureStore(tmp_path / "s")["x"]["c"].features)
    card = (folder / "README.md").read_text()
    assert f"split: validation\n    path: {valid}" in card


def test_the_package_reads_it(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 1, "validation": 2}
    row = loaded["validation"].with_format("numpy")[1]
    np.testing.assert_array_equal(row["features"], FeatureStore(tmp_path / "s")["x"]["c"].features)
    loaded["validation"].to_parquet(str(tmp_path / "back" / "validation.parquet"))
    account = import_huggingface(tmp_path / "back", tmp_path / "t")
    assert account.complete
    assert account.clips == {"valid": 2}


def test_a_split_of_any_name_makes_a_file_that_the_hub_allows(tmp_path):
    store = FeatureStore.create(tmp_path / "s")
    store.add("x", {"a": np.ones((1, 2)), "b": np.ones((1, 2))})
    store.record([Clip("a", split="fold 1/2"), Clip("b")])
    export_huggingface(tmp_path / "s", "x", tmp_path / "hf")
    names = sorted(path.name for path in (tmp_path / "hf" / "data").iterdir())
    assert names == ["fold_1_2-00000-of-00001.parquet", "unsplit-00000-of-00001.parquet"]
    import_huggingface(tmp_path / "hf", tmp_path / "t")
    assert FeatureStore(tmp_path / "t").clips()["a"].split == "fold 1/2"


def test_splits_labels_and_words_come_back(folder, tmp_path):
    account = import_huggingface(folder, tmp_path / "t")
    assert account.clips == {"train": 1, "valid": 2}
    found = FeatureStore(tmp_path / "t").clips()
    for clip in CLIPS:
        assert (found[clip.id].split, found[clip.id].labels) == (clip.split, clip.labels)
        assert found[clip.id].categories == clip.categories
        assert found[clip.id].text == clip.text


def test_other_peoples_files_come_in(tmp_path):
    """Lists of any kind; a row of uneven lists is refused with its clip, the others stay."""
    rows = [[[1.0, 2.0], [3.0, None]], [[1.0], [2.0, 3.0]], [[np.inf, 0.0]]]
    table = pa.table({"clip": ["a", "b", "c"], "features": pa.array(rows, pa.large_list(pa.list_(pa.float64())))})
    (tmp_path / "hub").mkdir()
    parquet.write_table(table, tmp_path / "hub" / "test.parquet")
    account = import_huggingface(tmp_path / "hub", tmp_path / "s")
    (came,) = account.sets
    assert (came.clips, came.infinite, account.clips) == (2, 1, {"test": 3})
    assert "different lengths" in came.refused["b"]
    np.testing.assert_array_equal(FeatureStore(tmp_path / "s")["hub"]["a"].features, [[1, 2], [3, np.nan]])


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(InvalidClips, match=r"no \.parquet files: convert a folder from save_to_disk"):
        import_huggingface(tmp_path, tmp_path / "s")
    parquet.write_table(pa.table({"image": ["a"], "features": [[1.0]]}), tmp_path / "train.parquet")
    with pytest.raises(InvalidClips, match="no column 'clip'"):
        import_huggingface(tmp_path, tmp_path / "s")
