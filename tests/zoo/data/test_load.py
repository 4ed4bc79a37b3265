"""From a store to splits: alternatives, masks, statistics, counts, and every refusal."""

import dataclasses

import numpy as np
import pytest

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips, InvalidOption, MissingFeatures
from featzoo.media.clip import Clip
from featzoo.sequence import FeatureSequence
from featzoo.zoo.data.feature_choice import choose, describe, unfinished
from featzoo.zoo.data.load import load_split, shorten
from featzoo.zoo.data.split import statistics_of
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.recipe import find_recipe
from zoo.conftest import fill, make_clips, sets_for


@pytest.fixture
def parts(tmp_path):
    """Clips and features that a test may damage before it calls `open_store`."""
    clips = make_clips((6, 3, 3))
    return clips, sets_for(clips), tmp_path / "features"


def open_store(parts, model="x"):
    clips, sets, path = parts
    return fill(path, clips, sets, model)


def relabel(clip, labels):
    return dataclasses.replace(clip, labels=labels)


def test_the_first_alternative_that_the_store_holds_is_used(small_store):
    chosen = choose(FeatureStore(small_store), find_recipe("psa-mf"))
    assert {role: one.request for role, one in chosen.items()} == {
        "text": "bert.minilm-ids", "personality": "bert.minilm",
        "vision": "motion-energy", "audio": "egemaps",
    }  # fmt: skip
    recorded = describe(chosen)["audio"]
    assert recorded["key"].startswith("egemaps-")
    assert (recorded["width"], recorded["names"][0]) == (5, "a0")


def test_the_order_of_alternatives_counts(parts):
    store = open_store(parts)
    store.add("covarep", {"train/00": np.zeros((1, 2), np.float32)})
    assert choose(store, find_recipe("psa-mf"))["audio"].request == "covarep"


def test_clips_that_an_extraction_has_not_reached_are_told(parts):
    clips, sets, _ = parts
    store = open_store(parts)
    made = store.open_set("covarep", {"extractor": "covarep", "version": 1, "reads": ["audio"], "options": {}})
    for clip in clips[:4]:
        rows = sets["audio"][clip.id]
        steps = np.arange(len(rows), dtype=np.float64)
        store.write(made.key, clip.id, FeatureSequence(rows, np.stack([steps, steps + 1], axis=1), tuple("abcde")))
    made.fail(clips[4].id, "", "no-audio", "the file has no sound")
    chosen = choose(store, find_recipe("psa-mf"))
    assert unfinished(store, chosen) == [
        f"audio: {made.key} has neither features nor a failure of 7 of 12 clips (test/00, test/01, test/02 and 4 "
        "more): its extraction was for other clips, or is not finished"
    ]
    for clip in clips[5:]:
        made.fail(clip.id, "", "no-audio", "the file has no sound")
    assert unfinished(store, chosen) == []


def test_missing_features_name_the_roles_and_their_alternatives(tmp_path):
    store = FeatureStore.create(tmp_path / "features")
    with pytest.raises(MissingFeatures, match=r"audio \(any of covarep, egemaps, .*\)") as error:
        choose(store, find_recipe("psa-mf"))
    assert set(error.value.roles) == set(find_recipe("psa-mf").inputs)


def test_batches_are_the_arrays_padded_and_standardised(parts):
    clips, sets, _ = parts
    store = open_store(parts)
    split = load_split(store, find_recipe("psa-mf"), "train")
    everything = np.concatenate([sets["audio"][c.id] for c in clips if c.split == "train"]).astype(np.float64)
    mean, std = everything.mean(0), everything.std(0)
    batch = split.batch([4, 1])
    assert batch.ids == (split.ids[4], split.ids[1])
    for row, clip in enumerate(batch.ids):
        raw, padded = sets["audio"][clip], batch.inputs["audio"]
        np.testing.assert_allclose(padded.values[row, : len(raw)], (raw - mean) / std, atol=1e-5)
        assert padded.values[row, len(raw) :].abs().sum() == 0
        assert padded.mask[row].sum() == len(raw)
        assert padded.observed[row].sum() == raw.size
        assert batch.inputs["text"].values[row, : len(sets["ids"][clip])].tolist() == sets["ids"][clip][:, 0].tolist()
        np.testing.assert_array_equal(batch.inputs["personality"].values[row, 0], sets["personality"][clip][0])
        assert batch.targets[row, 0] == pytest.approx(next(c.labels["sentiment"] for c in clips if c.id == clip))


def test_other_splits_are_standardised_by_train(parts):
    store, recipe = open_store(parts), find_recipe("psa-mf")
    train = load_split(store, recipe, "train")
    dev = load_split(store, recipe, "dev", statistics=train.statistics)
    assert (dev.name, dev.statistics) == ("valid", train.statistics)
    with pytest.raises(InvalidOption, match="train split's statistics"):
        load_split(store, recipe, "valid")


def test_every_clip_comes_once_and_always_in_the_same_batches(small_store):
    split = load_split(FeatureStore(small_store), find_recipe("psa-mf"), "train")
    first, second = ([rows.tolist() for rows, _ in split.batches(5)] for _ in range(2))
    assert first == second
    assert sorted(row for rows in first for row in rows) == list(range(24))


def test_nan_is_not_observed(parts):
    _, sets, _ = parts
    sets["audio"]["train/00"][0, 2] = np.nan
    sets["vision"] = {k: np.array([[1.0, np.nan, v[0, 2]]], np.float32) for k, v in sets["vision"].items()}
    split = load_split(open_store(parts), find_recipe("psa-mf"), "train")
    assert split.counts.unobserved == {"audio": 1, "vision": 6}
    batch = split.batch([split.ids.index("train/00")])
    assert not batch.inputs["audio"].observed[0, 0, 2]
    assert batch.inputs["audio"].values[0, 0, 2] == 0
    # Columns that are constant (0) or never observed (1) neither blow up nor turn into NaN.
    assert batch.inputs["vision"].values[0, 0, :2].tolist() == [0.0, 0.0]
    rest = np.concatenate([sets["audio"][i] for i in split.ids]).astype(np.float64)
    np.testing.assert_allclose(split.statistics.std["audio"], np.nanstd(rest, axis=0), rtol=1e-10)


def test_clips_without_a_role_are_masked_or_left_out(parts):
    _, sets, _ = parts
    del sets["audio"]["train/01"], sets["ids"]["train/02"]
    sets["vision"]["train/03"] = np.zeros((0, 3), np.float32)
    split = load_split(open_store(parts), find_recipe("psa-mf"), "train")
    assert split.counts.missing == {"audio": 1, "vision": 1}
    assert split.counts.left_out == {"text": 1}
    assert "train/02" not in split.ids
    assert not split.batch([split.ids.index("train/01")]).inputs["audio"].mask.any()


def test_a_role_that_no_clip_of_the_split_has_is_masked(parts):
    _, sets, _ = parts
    sets["audio"] = {k: v for k, v in sets["audio"].items() if k.startswith("test")}
    split = load_split(open_store(parts), find_recipe("psa-mf"), "train")
    assert split.counts.missing == {"audio": 6}
    assert split.batch([0, 1]).inputs["audio"].values.shape == (2, 1, 5)


def test_clips_without_a_label_are_left_out_and_counted(parts):
    clips, _, _ = parts
    clips[0] = relabel(clips[0], {})
    clips[1] = relabel(clips[1], {"sentiment": float("nan")})
    split = load_split(open_store(parts), find_recipe("psa-mf"), "train")
    assert (split.counts.clips, split.counts.without_target) == (4, 2)


@pytest.mark.parametrize(
    ("damage", "kind", "text"),
    [
        (lambda c, s: c.__setitem__(0, relabel(c[0], {"sentiment": 4.5})),
         InvalidClips, "clip 'train/00': sentiment is 4.5; recipe psa-mf expects -3 to 3"),
        (lambda c, s: c.__setitem__(slice(None), [relabel(x, {"sentiments": 0.0}) for x in c]),
         InvalidOption, "learns 'sentiment'.*did you mean 'sentiments'"),
        (lambda c, s: c.__setitem__(slice(None), [relabel(x, {}) for x in c]),
         InvalidOption, "learns 'sentiment', but no clip has a label: .*labels.csv.*`feat label`"),
        (lambda c, s: c.__setitem__(slice(None), [dataclasses.replace(x, split=None) for x in c]),
         MissingFeatures, "no train clip .clips: without a split: 12.*column `split`"),
        (lambda c, s: s.__setitem__("ids", {"test/00": s["ids"]["test/00"]}),
         MissingFeatures, "none of the 6 train clips can be used: 6 lack text"),
    ],
    ids=["out of range", "unknown label", "no label", "no split", "no text"],
)  # fmt: skip
def test_labels_and_roles_that_do_not_fit_are_refused(parts, damage, kind, text):
    clips, sets, _ = parts
    damage(clips, sets)
    with pytest.raises(kind, match=text):
        load_split(open_store(parts), find_recipe("psa-mf"), "train")


def test_infinite_features_are_refused(parts, monkeypatch):
    """The store refuses to write them; one that was damaged later must not train a head either."""
    store = open_store(parts)
    chosen = choose(store, find_recipe("psa-mf"))

    class Damaged:
        key = "egemaps-damaged"
        ids = chosen["audio"].features.ids

        def __getitem__(self, clip):
            return type("Sequence", (), {"features": np.full((2, 5), -np.inf, np.float32)})

    chosen["audio"] = dataclasses.replace(chosen["audio"], features=Damaged())
    with pytest.raises(InvalidClips, match="infinite values in egemaps-damaged"):
        load_split(store, find_recipe("psa-mf"), "train", chosen)


def test_an_unknown_split_is_refused(small_store):
    with pytest.raises(InvalidOption, match="no split 'tets': did you mean 'test'"):
        load_split(FeatureStore(small_store), find_recipe("psa-mf"), "tets")


def test_splits_go_by_several_names_in_any_case(tmp_path):
    clips = [
        Clip(id=f"c{i}", split=s, labels={"sentiment": 1.0}) for i, s in enumerate(("Training", "Dev", "val", "valid"))
    ]
    store = fill(tmp_path / "features", clips, sets_for(clips), "x")
    recipe = find_recipe("psa-mf")
    train = load_split(store, recipe, "train")
    assert load_split(store, recipe, "Dev", statistics=train.statistics).ids == ("c1", "c2", "c3")


def test_shorten_cuts_or_averages():
    steps = np.arange(10, dtype=np.float32)[:, None]
    assert shorten(steps, 4, "cut").ravel().tolist() == [0, 1, 2, 3]
    # Spans start at 0, 2, 5 and 7.
    assert shorten(steps, 4, "mean").ravel().tolist() == [0.5, 3.0, 5.5, 8.0]
    steps[0] = np.nan
    assert shorten(steps, 4, "mean").ravel().tolist() == [1.0, 3.0, 5.5, 8.0]
    ids = np.array([101, 7, 8, 9, 102])[:, None]
    assert shorten(ids, 3, "mean").ravel().tolist() == [101, 7, 102]


@pytest.mark.parametrize("counts", [np.arange(10).reshape(5, 2), np.arange(0, 10, 2, dtype=np.uint8)[:, None]])
def test_integers_that_are_not_token_ids_are_shortened_like_other_features(counts):
    assert shorten(counts, 2, "cut")[:, 0].tolist() == [0, 2]
    # Spans start at 0 and 2.
    assert shorten(counts, 2, "mean")[:, 0].tolist() == [1.0, 6.0]


def test_a_range_is_that_of_the_observed_values():
    features = {"audio": [np.array([[1.0, 5.0, np.nan]]), None, np.array([[3.0, 5.0, np.nan], [np.nan, 5.0, np.nan]])]}
    found = statistics_of(features, {"audio": InputSpec(3)}, {"audio"})
    assert found.mean["audio"].tolist() == [1.0, 5.0, 0.0]
    assert found.std["audio"].tolist() == [2.0, 1.0, 1.0]  # a constant column and an unseen one are not divided
