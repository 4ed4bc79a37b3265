"""Import and export of MulT's pickles."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from featzoo import Clip, FeatureStore
from featzoo.errors import InvalidClips, InvalidOption, StoreError
from featzoo.exchange.column_names import COVAREP_74
from featzoo.exchange.pickles.mult import export_mult, import_mult

SIZES = {"text": (7, 300), "audio": (12, 74), "vision": (9, 35)}
ROWS = {"text": (7, 2, 4), "audio": (1, 12, 5), "vision": (9, 3, 3)}


def clip_rows(key, number, aligned=False):
    """Rows of one clip, made from its number alone; one in the middle is zero, as silence is."""
    rows = np.random.default_rng(number).normal(
        size=((7, 2, 4)[number] if aligned else ROWS[key][number], SIZES[key][1])
    )
    rows[len(rows) // 2] = 0 if 0 < len(rows) // 2 < len(rows) - 1 else rows[0]
    return rows.astype(np.float32)


def file_of(path, ids, labels, aligned=False):
    """Three clips, filled up in front with zeros, as MulT's files are."""
    part = {"labels": labels, **({} if ids is None else {"id": ids})}
    for key, (steps, width) in SIZES.items():
        part[key] = np.zeros((3, 7 if aligned else steps, width), np.float32)
        for number in range(3):
            rows = clip_rows(key, number, aligned)
            part[key][number, -len(rows) :] = rows
    empty = {key: values[:0] for key, values in part.items()}
    path.write_bytes(pickle.dumps({"train": part, "valid": empty, "test": empty}, protocol=2))
    return path


TRIPLES = np.array([[b"03bSnISJMiM", b"0.5", b"4.25"], [b"03bSnISJMiM", b"5", b"6.5"], [b"a", b"x", b"y"]])


@pytest.mark.parametrize("aligned", [False, True])
def test_padding_in_front_goes_and_ids_hold_the_times(tmp_path, aligned):
    scores = np.array([1.2, -3.0, 0.0], np.float32)
    path = file_of(tmp_path / "mosi_data_noalign.pkl", TRIPLES, scores.reshape(3, 1, 1), aligned)  # (N, 1, 1)
    account = import_mult(path, tmp_path / "s")
    assert account.complete
    assert account.clips == {"train": 3}
    store = FeatureStore(tmp_path / "s")
    names = ["03bSnISJMiM[0.5,4.25]", "03bSnISJMiM[5,6.5]", "a[x,y]"]
    for number, name in enumerate(names):
        clip = store.clips()[name]
        assert clip.labels == {"sentiment": scores[number].item()}
        assert (clip.start, clip.end) == [(0.5, 4.25), (5.0, 6.5), (0.0, None)][number]
        for key in SIZES:
            stored = store[f"mult-{key}"][name]
            np.testing.assert_array_equal(stored.features, clip_rows(key, number, aligned))
            assert stored.features.dtype == np.float32
    assert store["mult-audio"].names == COVAREP_74


def test_rows_stay_in_step_where_all_modalities_have_one_length(tmp_path):
    """A row goes only if it is zero in all of them; alone, the audio would lose two."""
    part = {key: np.ones((1, 5, 2)) for key in SIZES}
    part["labels"] = np.ones((1, 1, 1))
    part["audio"][0, :2] = 0
    for key in ("text", "vision"):
        part[key][0, 0] = 0
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"train": part}))
    import_mult(tmp_path / "x.pkl", tmp_path / "s")
    store = FeatureStore(tmp_path / "s")
    assert {key: len(store[f"mult-{key}"]["train$_$0"]) for key in SIZES} == dict.fromkeys(SIZES, 4)
    np.testing.assert_array_equal(store["mult-audio"]["train$_$0"].features[0], [0, 0])


def test_a_clip_of_zeros_alone_has_no_rows_and_infinite_values_are_counted(tmp_path):
    part = {key: np.ones((2, steps, 2)) for key, steps in (("text", 3), ("audio", 4), ("vision", 5))}
    part["labels"], part["id"] = np.ones((2, 1)), ["one", b"two"]
    part["vision"][1] = 0
    part["audio"][0, 1, 0] = -np.inf
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"test": part}))
    account = import_mult(tmp_path / "x.pkl", tmp_path / "s")
    store = FeatureStore(tmp_path / "s")
    assert store["mult-vision"]["two"].features.shape == (0, 2)
    assert account.notes == ("1 clip: no vision (all rows are zero)",)
    assert [each.infinite for each in account.sets] == [0, 1, 0]
    assert account.clips == {"test": 2}


@pytest.mark.parametrize(
    ("shape", "names", "expected"),
    [
        ((3, 1, 1), (), ["sentiment"]),
        ((3,), (), ["sentiment"]),
        ((3, 1, 7), (), ["sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear"]),
        ((3, 1, 2), (), ["label_0", "label_1"]),
        ((3, 1, 2), ("valence", "arousal"), ["valence", "arousal"]),
        ((3, 4, 2), (), ["neutral", "happy", "sad", "angry"]),
    ],
)
def test_labels_by_their_shape(tmp_path, shape, names, expected):
    values = np.random.default_rng(0).normal(size=shape)
    values.reshape(-1)[-1] = -9.0  # (N * K)
    import_mult(file_of(tmp_path / "x.pkl", None, values), tmp_path / "s", labels=names)
    found = FeatureStore(tmp_path / "s").clips()["train$_$2"].labels
    assert list(found) == expected
    # IEMOCAP gives no and yes of each emotion.
    wanted = (values[2, :, 1] > values[2, :, 0]) if shape == (3, 4, 2) else np.ravel(values[2])
    np.testing.assert_array_equal(list(found.values()), wanted)


def test_files_with_another_layout_are_refused(tmp_path):
    with pytest.raises(InvalidOption, match="labels names 2, but split 'train' has 1"):
        import_mult(file_of(tmp_path / "x.pkl", None, np.ones((3, 1, 1))), tmp_path / "s", labels=["a", "b"])
    with pytest.raises(InvalidClips, match="2 labels for 3 clips"):
        import_mult(file_of(tmp_path / "x.pkl", None, np.ones((2, 1, 1))), tmp_path / "s")
    with pytest.raises(InvalidClips, match="neither a name nor video, start and end"):
        import_mult(file_of(tmp_path / "x.pkl", TRIPLES[:, :2], np.ones((3, 1, 1))), tmp_path / "s")
    assert not (tmp_path / "s").exists()


# Out


def loaded(path, split, data="mosi"):
    """What MulT's dataset.py reads of a pickle, and in which way."""
    with path.open("rb") as file:
        part = pickle.load(file)[split]
    found = {key: part[key].astype(np.float32) for key in ("vision", "text", "audio", "labels")}
    found["audio"][found["audio"] == -np.inf] = 0
    ids = part["id"]
    found["meta"] = [tuple(ids[i][j].decode("UTF-8") if data == "mosi" else ids[i][j] for j in range(3))
                     for i in range(len(found["labels"]))]  # fmt: skip
    return found


@pytest.fixture
def store(tmp_path):
    made = FeatureStore.create(tmp_path / "features")
    names = ["video$_$1", "ü.mp4", "v[0.5,2]"]
    splits = ["train", "train", "test"]
    made.record([
        Clip(name, split=split, labels={"sentiment": float(number), "joy": number / 2})
        for number, (name, split) in enumerate(zip(names, splits, strict=True))
    ])  # fmt: skip
    for key in SIZES:
        made.add(f"my-{key}", {name: clip_rows(key, number) for number, name in enumerate(names)})
    return made


ALL = {key: f"my-{key}" for key in SIZES}


def test_mults_loader_reads_what_was_written(store, tmp_path):
    said = export_mult(store.path, tmp_path / "mine_data_noalign.pkl", ALL, labels=["joy", "sentiment"])
    assert "clips: 3 (2 train, 0 valid, 1 test)" in said
    part = loaded(tmp_path / "mine_data_noalign.pkl", "train")
    assert {key: part[key].shape for key in SIZES} == {key: (2, *size) for key, size in SIZES.items()}
    np.testing.assert_array_equal(part["labels"], np.float32([[[0.0, 0.0]], [[0.5, 1.0]]]))
    assert part["meta"] == [("video$_$1", "", ""), ("ü.mp4", "", "")]
    assert loaded(tmp_path / "mine_data_noalign.pkl", "test")["meta"] == [("v", "0.5", "2")]
    assert loaded(tmp_path / "mine_data_noalign.pkl", "valid")["labels"].shape == (0, 1, 2)
    np.testing.assert_array_equal(part["text"][0], clip_rows("text", 0))
    np.testing.assert_array_equal(part["audio"][0, -1:], clip_rows("audio", 0))
    assert not part["audio"][0, :-1].any()


def test_an_exported_file_imports_the_same_features(store, tmp_path):
    export_mult(store.path, tmp_path / "x.pkl", ALL)
    account = import_mult(tmp_path / "x.pkl", tmp_path / "again")
    again = FeatureStore(tmp_path / "again")
    assert account.complete
    assert again.clip_ids() == store.clip_ids()
    for name, clip in again.clips().items():
        before = store.clips()[name]
        assert (clip.split, clip.labels) == (before.split, {"sentiment": before.labels["sentiment"]})
        for key in SIZES:
            np.testing.assert_array_equal(
                again[f"mult-{key}"][name].features, store[f"my-{key}"][name].features, err_msg=f"{name} {key}"
            )
    assert (again.clips()["v[0.5,2]"].start, again.clips()["v[0.5,2]"].end) == (0.5, 2.0)


def test_all_three_modalities_and_a_label_are_needed(store, tmp_path):
    with pytest.raises(InvalidOption, match="name a feature set for each"):
        export_mult(store.path, tmp_path / "x.pkl", {"text": "my-text"})
    with pytest.raises(InvalidOption, match="at least one label"):
        export_mult(store.path, tmp_path / "x.pkl", ALL, labels=[])
    store.record([Clip("new", split="fold-3", labels={"sentiment": 1.0})])
    for key in SIZES:
        store.add(f"my-{key}", {"new": clip_rows(key, 0)})
    with pytest.raises(StoreError, match="split 'fold-3'"):
        export_mult(store.path, tmp_path / "x.pkl", ALL)
