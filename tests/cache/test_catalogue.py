"""The clips that a store knows: forgotten ones are gone for every reader, until a run names them again."""

import pytest

from featzoo.cache.store import FeatureStore
from featzoo.errors import StoreError
from featzoo.media.clip import Clip


@pytest.fixture
def store(tmp_path):
    made = FeatureStore.create(tmp_path / "features")
    made.record([Clip(name, split="train") for name in "abc"])
    return made


def test_a_forgotten_clip_is_gone_for_every_reader_until_it_is_named_again(store):
    opened = FeatureStore(store.path)
    store.catalogue.forget(["a", "c", "a"])
    for reader in (store, FeatureStore(store.path)):
        assert reader.clip_ids() == ["b"]
        assert reader.catalogue.forgotten() == {"a", "c"}
    opened.record([Clip("c", split="test")])
    again = FeatureStore(store.path)
    assert {name: clip.split for name, clip in again.clips().items()} == {"b": "train", "c": "test"}
    assert again.catalogue.forgotten() == {"a"}
    store.record([Clip("a", split="train")])  # the same as before it was forgotten
    assert FeatureStore(store.path).clip_ids() == ["a", "b", "c"]


def test_a_clip_that_is_not_there_cannot_be_forgotten(store):
    with pytest.raises(StoreError, match="has no clip 'z'"):
        store.catalogue.forget(["a", "z"])
    store.catalogue.forget(["a"])
    with pytest.raises(StoreError, match="has no clip 'a'"):
        store.catalogue.forget(["a"])
    assert FeatureStore(store.path).clip_ids() == ["b", "c"]


def test_forgetting_is_merged_like_any_other_run(store, tmp_path):
    from featzoo.cache.merge import merge_stores

    other = FeatureStore.create(tmp_path / "other")
    list(merge_stores(other, store))
    store.catalogue.forget(["b"])
    list(merge_stores(FeatureStore(other.path), FeatureStore(store.path)))
    assert FeatureStore(other.path).clip_ids() == ["a", "c"]
