"""StoreDataset: batches equal to arrays padded by hand, through a plain DataLoader, pickled and forked."""

import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidOption, MissingFeatures
from featzoo.media.clip import Clip
from featzoo.zoo.data.feature_choice import choose
from featzoo.zoo.data.torch_dataset import StoreDataset
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.recipe import Input, find_recipe

COUNT = 12
HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "train-your-own-model.md"


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    audio = {f"c{i:02d}": rng.normal(size=(rng.integers(1, 9), 3)).astype(np.float16) for i in range(COUNT)}
    audio["c04"][0, 1] = np.nan
    words = {f"c{i:02d}": rng.integers(1, 99, size=(rng.integers(1, 6), 1)) for i in range(COUNT)}
    pictures = {f"c{i:02d}": rng.integers(0, 255, size=(2, 4, 5, 3), dtype=np.uint8) for i in range(COUNT)}
    return {"audio": audio, "words": words, "pictures": pictures}


@pytest.fixture
def store(tmp_path, arrays):
    made = FeatureStore.create(tmp_path / "features")
    for name, each in arrays.items():
        made.add(name, each)
    splits = ["train"] * 8 + ["test"] * 4
    made.record(Clip(f"c{i:02d}", split=splits[i], labels={"y": float(i), "z": -float(i)}) for i in range(COUNT))
    made.record([Clip("c03", split="train", labels={"y": 3.0})])
    return made


ROLES = {"a": "audio", "t": "words"}


def check(batch, arrays):
    """A batch is what its ids say."""
    longest = max(len(arrays["audio"][i]) for i in batch.ids)
    values, mask, observed = batch.inputs["a"]
    assert values.shape == (len(batch.ids), longest, 3)
    assert values.dtype == torch.float32
    for row, i in enumerate(batch.ids):
        raw = arrays["audio"][i].astype(np.float32)
        np.testing.assert_array_equal(values[row, : len(raw)], np.nan_to_num(raw))
        assert not values[row, len(raw) :].any()
        assert mask[row].tolist() == [t < len(raw) for t in range(longest)]
        np.testing.assert_array_equal(observed[row, : len(raw)], ~np.isnan(raw))
        assert not observed[row, len(raw) :].any()
        ids = arrays["words"][i][:, 0].tolist()
        assert batch.inputs["t"].values[row].tolist()[: len(ids)] == ids
        assert batch.inputs["t"].mask[row].sum() == len(ids)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_plain_data_loader(store, arrays, workers):
    dataset = StoreDataset(store.path, ROLES, labels=["y"])
    loader = DataLoader(dataset, batch_size=5, shuffle=True, collate_fn=dataset.collate, num_workers=workers)
    for _ in range(2):  # an epoch in which it is not known yet which clips have gaps, and one in which it is
        seen = []
        for batch in loader:
            check(batch, arrays)
            assert batch.targets[:, 0].tolist() == [float(i[1:]) for i in batch.ids]
            seen += batch.ids
        assert sorted(seen) == sorted(arrays["audio"])


def test_a_pickled_dataset_gives_the_same_batches(store, arrays):
    dataset = StoreDataset(store, ROLES)
    dataset[0]  # its files are mapped now
    copy = pickle.loads(pickle.dumps(dataset))
    check(copy.__getitems__([4, 0, 11]), arrays)
    assert len(pickle.dumps(dataset)) < 10_000  # the arrays stay where they are


def test_clips_are_chosen_by_ids_labels_and_split(store):
    assert len(StoreDataset(store, ROLES)) == COUNT
    assert StoreDataset(store, ROLES, split="test").ids == ("c08", "c09", "c10", "c11")
    # c03 has no label z
    both = StoreDataset(store, ROLES, labels=["y", "z"], split="train")
    assert both.ids == ("c00", "c01", "c02", "c04", "c05", "c06", "c07")
    assert both.targets[3].tolist() == [4.0, -4.0]
    assert StoreDataset(store, ROLES, ids=["c05", "c01"]).ids == ("c05", "c01")
    with pytest.raises(InvalidOption, match="'c03' lacks a label of y, z"):
        StoreDataset(store, ROLES, ids=["c03"], labels=["y", "z"])
    with pytest.raises(InvalidOption, match="a list of names"):
        StoreDataset(store, ROLES, labels="y")
    with pytest.raises(MissingFeatures, match="no clip to read: 12 have audio"):
        StoreDataset(store, ROLES, split="dev")
    with pytest.raises(MissingFeatures, match="holds no 'video'"):
        StoreDataset(store, {"v": "video"})


def test_labels_that_are_names_are_refused(tmp_path):
    store = FeatureStore.create(tmp_path / "features")
    store.add("egemaps", {"a": np.ones((2, 3), np.float32)})
    store.record([Clip("a", categories={"emotion": "joy"})])
    with pytest.raises(InvalidOption, match="the label 'emotion' holds names, and targets are numbers"):
        StoreDataset(store, {"audio": "egemaps"}, labels=["emotion"])


def test_a_clip_without_a_role_is_masked(store, arrays):
    store.add("audio", {"extra": np.ones((2, 3), np.float16)})
    batch = StoreDataset(store, ROLES, ids=["extra", "c00"]).__getitems__([0, 1])
    assert batch.inputs["a"].values[0, :2].tolist() == [[1.0] * 3] * 2
    assert not batch.inputs["t"].mask[0].any()
    assert not batch.inputs["t"].values[0].any()
    assert "extra" not in StoreDataset(store, ROLES).ids


def test_pictures_are_rows_of_numbers(store, arrays):
    found = StoreDataset(store, {"p": "pictures"})[3].inputs["p"].values
    np.testing.assert_array_equal(found[0], arrays["pictures"]["c03"].reshape(2, -1))
    assert found.dtype == torch.float32


def test_the_how_to_runs_as_written(tmp_path, monkeypatch):
    store = FeatureStore.create(tmp_path / "features")
    store.add("egemaps", {f"c{i}": np.ones((i + 1, 4), np.float32) for i in range(9)})
    store.record(Clip(f"c{i}", split="train", labels={"sentiment": i / 3}) for i in range(9))
    (code,) = re.findall(r"```python\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, names := {})  # noqa: S102
    assert names["loss"].item() < 9


@pytest.mark.parametrize(
    ("dtype", "width", "ids"),
    [(np.int64, 1, True), (np.int32, 1, True), (np.uint16, 1, True), (np.uint8, 1, False), (np.int64, 2, False)],
)
def test_token_ids_are_one_column_of_integers_other_than_bytes(tmp_path, dtype, width, ids):
    store = FeatureStore.create(tmp_path / "features")
    found = store.add("x", {"a": np.arange(4 * width, dtype=dtype).reshape(4, width)})
    dataset = StoreDataset(store, {"t": "x"})
    values = dataset[0].inputs["t"].values
    assert values.tolist() == np.arange(4 * width).reshape((1, 4) if ids else (1, 4, width)).tolist()
    assert values.dtype == (torch.int64 if ids else torch.float32)
    # A recipe reads the set in the same way.
    recipe = replace(find_recipe("text-alone"), inputs={"text": Input(("x",))})
    assert choose(store, recipe)["text"].spec == dataset.specs["t"] == InputSpec(width, ids), found.key
