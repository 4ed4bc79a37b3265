"""Aligning a stored set: what is stored, what counts as changed, what is refused, and what the command says."""

import numpy as np
import pytest
from click.testing import CliRunner

from featzoo.alignment import HOWS
from featzoo.cache.align import align_set
from featzoo.cache.shard import Entry
from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.commands.align import WAYS
from featzoo.errors import InvalidOption, MissingFeatures
from featzoo.media.clip import Clip
from featzoo.media.transcripts import Word, words_of
from featzoo.sequence import FeatureSequence


def rows(seed=0, hop=0.1, count=20):
    start = np.arange(count) * hop
    values = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    return FeatureSequence(values, np.stack([start, start + hop], 1), ("a", "b", "c"))


@pytest.fixture
def store(tmp_path):
    made = FeatureStore.create(tmp_path / "features")
    made.record([Clip("one", words=words_of("so it is", 0.0, 2.0)), Clip("two", words=words_of("well", 0.5, 1.0))])
    made.add("x", {"one": rows(1), "two": rows(2)})
    return made


def test_one_row_a_word(store):
    done = align_set(store, "x")
    assert (done.stored, done.cached, done.refused) == (2, 0, {})
    found = store["x.on-words"]["one"]
    words = store.clips()["one"].words
    assert found.intervals.tolist() == [[w.start, w.end] for w in words]
    assert found.names == ("a", "b", "c")
    sequence = rows(1)
    for word, row in zip(words, found.features, strict=True):
        shared = np.minimum(sequence.intervals[:, 1], word.end) - np.maximum(sequence.intervals[:, 0], word.start)
        np.testing.assert_allclose(row, sequence.features[shared > 1e-3].mean(axis=0), rtol=1e-6)


def test_a_word_that_ends_before_it_starts_gets_an_unobserved_row(store):
    store.record([Clip("one", words=(Word("so", 0.0, 0.5), Word("it", 1.5, 1.2), Word("is", 1.5, 2.0)))])
    assert align_set(store, "x").refused == {}
    found = store["x.on-words"]["one"].features
    expected = [rows(1).features[:5].mean(axis=0), rows(1).features[15:].mean(axis=0)]
    np.testing.assert_allclose(found[[0, 2]], expected, rtol=1e-6)
    assert np.isnan(found[1]).all()


def test_only_what_changed_is_pooled_again(store):
    align_set(store, "x")
    again = align_set(store, "x")
    assert (again.stored, again.cached) == (0, 2)
    store.record([Clip("one", words=words_of("so it was", 0.0, 1.5)), Clip("two", words=words_of("hm", 0.5, 1.0))])
    words = align_set(store, "x")  # other times, other text at the same times
    assert (words.stored, words.cached) == (1, 1)
    assert store["x.on-words"]["one"].intervals.max() == 1.5
    store.add("x", {"two": rows(3)})
    features = align_set(store, "x")
    assert (features.stored, features.cached) == (1, 1)
    np.testing.assert_allclose(store["x.on-words"]["two"].features[0], rows(3).features[5:10].mean(axis=0), rtol=1e-6)


def test_the_key_depends_on_what_the_sets_depend_on(store):
    keys = {align_set(store, "x", how=how).key for how in ("mean", "max")}
    other = store.add("x", {"one": rows(1)}, spec={"version": 2})
    made = align_set(store, other.key).key
    assert len({*keys, made}) == 3
    assert store[made].spec["digests"]["features"] == other.digest
    with pytest.raises(InvalidOption, match="pooling must be one of mean"):
        align_set(store, "x", how="median")


def test_onto_another_set(store):
    store.add("shots", {"one": FeatureSequence(np.zeros((2, 1)), np.array([[0, 1.0], [1.0, 2.0]]), ("cut",))})
    done = align_set(store, "x", "shots", "max")
    assert done.key.startswith("x.on-shots-")
    assert list(done.refused) == ["two"]
    assert store["x.on-shots"]["one"].features[1].tolist() == rows(1).features[10:].max(axis=0).tolist()
    with pytest.raises(MissingFeatures, match="no 'scenes'"):
        align_set(store, "x", "scenes")


def test_an_imported_set_of_words_comes_before_transcripts(store):
    store.add("words", {"one": FeatureSequence(np.zeros((1, 1)), np.array([[0.0, 0.5]]), ("word",))})
    assert list(align_set(store, "x").refused) == ["two"]
    assert len(store["x.on-words"]["one"]) == 1


def test_refusals_are_accounted_for(store):
    store.record([Clip("mute"), Clip("plain", words=words_of("no times"))])
    store.add("x", {"mute": rows(), "plain": rows(), "unknown": rows()})
    store.add("x", {"two": FeatureSequence(np.zeros((1, 3), np.float32), np.full((1, 2), np.nan), ("a", "b", "c"))})
    done = align_set(store, "x")
    assert {clip: reason.split(":")[0] for clip, reason in done.refused.items()} == {
        "mute": "no-words", "plain": "no-times", "unknown": "no-words", "two": "no-times",
    }  # fmt: skip
    assert {failure.clip for failure in store["x.on-words"].failures()} == set(done.refused)


def test_feat_align_reports_its_clips(store):
    assert WAYS == HOWS
    first = CliRunner().invoke(feat, ["align", "x", "--to", "words", "--how", "std", "-o", str(store.path)])
    assert first.exit_code == 0, first.output
    assert ": 2 stored, 0 cached, 0 failed" in first.output
    store.record([Clip("one")])
    second = CliRunner().invoke(feat, ["align", "x", "--how", "std", "-o", str(store.path)])
    assert second.exit_code == 1
    assert "one: no-words" in second.output


def test_features_older_than_their_media_are_named(store):
    made = store.open_set("y", {"extractor": "y", "version": 1, "reads": ["words"], "options": {}, "digests": {}})
    made.write([Entry("one", store.source("one", ["words"]), rows(1))])
    assert align_set(store, "y").stale == 0
    store.record([Clip("one", words=words_of("so it was", 0.0, 2.0))])
    assert align_set(store, "y").stale == 1
