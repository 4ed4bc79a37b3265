"""Import and export of MMSA's and MMSA-FET's pickles."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest

from featzoo import Clip, FeatureSequence, FeatureStore
from featzoo.errors import InvalidClips, InvalidOption, MissingFeatures, StoreError
from featzoo.exchange.column_names import COVAREP_74, FACET, OPENFACE, SIMS
from featzoo.exchange.pickles.mmsa import export_mmsa, import_mmsa
from featzoo.media.transcripts import words_of

COUNTS = {"train": 5, "valid": 2, "test": 3}
WIDTHS = {"text": 8, "audio": 5, "vision": 20}
STEPS = {"text": 9, "audio": 30, "vision": 20}


def file_of(path, truth, *, aligned=False, ragged=False, dtype=np.float32, front=False):
    """Write `truth` (split -> list of dicts) as MMSA lays it out."""
    content = {}
    for split, clips in truth.items():
        part = content[split] = {
            "raw_text": np.array([clip["words"] for clip in clips], dtype=object),
            "id": np.array([clip["id"] for clip in clips]),
            "annotations": ["Positive"] * len(clips),
            "classification_labels": np.array([2.0] * len(clips)),
            "regression_labels": np.array([clip["label"] for clip in clips], np.float32),
        }
        tokens = np.zeros((len(clips), 3, STEPS["text"]))
        for number, clip in enumerate(clips):
            tokens[number, 0, : len(clip["ids"])], tokens[number, 1, : len(clip["ids"])] = clip["ids"], 1
        part["text_bert"] = tokens
        for key, width in WIDTHS.items():
            if ragged:
                part[key] = np.empty(len(clips), dtype=object)
                part[key][:] = [clip[key].astype(dtype) for clip in clips]
                continue
            steps = STEPS["text" if aligned else key]
            part[key] = np.zeros((len(clips), steps, width), dtype)
            for number, clip in enumerate(clips):
                rows = clip[key]
                part[key][number, slice(-len(rows), None) if front else slice(len(rows))] = rows
            if not aligned and key != "text":
                part[f"{key}_lengths"] = [len(clip[key]) for clip in clips]
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.fixture
def truth():
    """Clips of unequal lengths; a row in the middle and the last row of some are zero, as silence is."""
    rng = np.random.default_rng(3)
    found = {}
    for split, count in COUNTS.items():
        found[split] = []
        for number in range(count):
            length = int(rng.integers(3, STEPS["text"] + 1))
            clip = {
                "id": f"{split}$_${number}",
                "words": "the film was good",
                "ids": np.array([101, *rng.integers(1000, 3000, length - 2), 102]),
                "label": float(np.float32(rng.uniform(-3, 3))),
                "text": rng.normal(size=(length, WIDTHS["text"])),
                "audio": rng.normal(size=(int(rng.integers(2, STEPS["audio"])), WIDTHS["audio"])),
                "vision": rng.normal(size=(int(rng.integers(2, STEPS["vision"])), WIDTHS["vision"])),
            }
            clip["audio"][1] = 0.0
            clip["vision"][-1] = 0.0
            found[split].append(clip)
    return found


def in_step(truth):
    """The same clips with as many audio and vision rows as tokens; the last row, [SEP], is zero in audio."""
    rng = np.random.default_rng(4)
    for clips in truth.values():
        for clip in clips:
            for key in ("audio", "vision"):
                clip[key] = rng.normal(size=(len(clip["ids"]), WIDTHS[key]))
            clip["audio"][-1] = 0.0
    return truth


def every(truth):
    return {clip["id"]: (split, clip) for split, clips in truth.items() for clip in clips}


def check(store, truth, dtype=np.float32, keys=("text", "audio", "vision")):
    for name, (_, clip) in every(truth).items():
        for key in keys:
            stored = store[f"mmsa-{key}"][name]
            assert stored.features.dtype == dtype
            np.testing.assert_array_equal(stored.features, clip[key].astype(dtype), err_msg=f"{name} {key}")
            assert np.isnan(stored.intervals).all()


@pytest.mark.parametrize("layout", ["unaligned", "aligned", "ragged", "front"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_layout_gives_the_sequences_that_went_in(truth, tmp_path, layout, dtype):
    truth = in_step(truth) if layout == "aligned" else truth
    if layout == "front":  # with a zero row at its end, a clip could as well be filled up behind
        for _, clip in every(truth).values():
            clip["vision"][-1] = 1.0
    options = {"aligned": layout == "aligned", "ragged": layout == "ragged", "front": layout == "front"}
    account = import_mmsa(file_of(tmp_path / "m.pkl", truth, dtype=dtype, **options), tmp_path / "s")
    assert account.complete
    assert account.clips == COUNTS
    store = FeatureStore(tmp_path / "s")
    keys = ("audio", "vision") if layout == "front" else ("text", "audio", "vision")  # tokens are never in front
    check(store, truth, dtype, keys)


def test_splits_of_other_names_are_train_valid_and_test(truth, tmp_path):
    other = {"train": "Train", "valid": "dev", "test": "Test"}
    path = file_of(tmp_path / "m.pkl", {other[split]: clips for split, clips in truth.items()})
    account = import_mmsa(path, tmp_path / "s")
    assert account.clips == COUNTS
    check(FeatureStore(tmp_path / "s"), truth, np.float32, ("text", "audio", "vision"))
    both = file_of(tmp_path / "both.pkl", {"dev": truth["valid"], "valid": truth["test"]})
    with pytest.raises(InvalidClips, match="two splits that mean valid: dev, valid"):
        import_mmsa(both, tmp_path / "t")


def test_clips_have_words_split_labels_and_tokens_that_a_recipe_reads(truth, tmp_path):
    account = import_mmsa(file_of(tmp_path / "m.pkl", truth), tmp_path / "s")
    store = FeatureStore(tmp_path / "s")
    assert Counter(clip.split for clip in store.clips().values()) == COUNTS
    for name, (split, clip) in every(truth).items():
        held = store.clips()[name]
        assert (held.split, held.text) == (split, clip["words"])
        assert held.labels == {"sentiment": clip["label"], "sentiment_class": 2.0}
        tokens = store["mmsa-ids"][name]
        assert (tokens.names, tokens.features.dtype) == (("token_id",), np.int64)
        np.testing.assert_array_equal(tokens.features[:, 0], clip["ids"])
    assert store["mmsa-ids"].provenance["model"] == "bert-base-uncased"
    assert "not imported: annotations" in account.notes
    assert [each.columns[0] for each in account.sets] == ["text_0", "audio_0", "vision_0", "token_id"]


def test_a_recipe_trains_on_what_came_in(truth, tmp_path):
    from featzoo.zoo.data.load import load_split
    from featzoo.zoo.recipe import find_recipe

    import_mmsa(file_of(tmp_path / "m.pkl", truth), tmp_path / "s")
    sets = {"text": "mmsa-ids", "audio": "mmsa-audio", "vision": "mmsa-vision", "personality": ""}
    changes = {f"inputs.{role}.features": [name] if name else [] for role, name in sets.items()}
    split = load_split(FeatureStore(tmp_path / "s"), find_recipe("psa-mf", changes), "train")
    assert split.ids == tuple(sorted(clip["id"] for clip in truth["train"]))
    assert (split.specs["text"].ids, split.specs["text"].model) == (True, "bert-base-uncased")
    assert split.specs["vision"].width == WIDTHS["vision"]


def test_sims_has_three_more_labels_chinese_words_and_known_columns(tmp_path):
    rng = np.random.default_rng(0)
    part = {
        "raw_text": ["我不喜欢", "很好看"],
        "id": ["video_0001$_$0001", "video_0001$_$0002"],
        "audio": rng.normal(size=(2, 40, 33)),
        "audio_lengths": [40, 17],
        "vision": rng.normal(size=(2, 5, 709)),
        "vision_lengths": [5, 5],
        "text_bert": np.ones((2, 3, 6), np.int64),
        "regression_labels": np.array([-0.8, 0.6]),
        **{f"regression_labels_{key}": np.array([0.2, -0.4]) for key in "TAV"},
    }
    part["audio"][1, 17:] = 0
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"train": part}))
    account = import_mmsa(tmp_path / "x.pkl", tmp_path / "s", "sims")
    store = FeatureStore(tmp_path / "s")
    clip = store.clips()["video_0001$_$0002"]
    assert clip.labels == {
        "sentiment": 0.6, "sentiment_text": -0.4, "sentiment_audio": -0.4, "sentiment_vision": -0.4
    }  # fmt: skip
    assert store["sims-ids"].provenance["model"] == "bert-base-chinese"
    assert len(store["sims-audio"][clip.id]) == 17
    assert store["sims-audio"].names == SIMS
    assert store["sims-vision"].names == OPENFACE
    assert account.clips == {"train": 2}


def test_widths_of_known_releases_get_their_names(tmp_path):
    """74 columns are COVAREP's, 35 FACET 4.2's (MOSEI); others are numbered."""
    part = {"id": ["a"], "audio": np.ones((1, 2, 74)), "vision": np.ones((1, 2, 35)), "regression_labels": [1.0]}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"train": part}))
    import_mmsa(tmp_path / "x.pkl", tmp_path / "s")
    store = FeatureStore(tmp_path / "s")
    assert (store["mmsa-audio"].names, store["mmsa-vision"].names) == (COVAREP_74, FACET)
    assert len(set(FACET)) == 35


@pytest.mark.data
def test_the_names_of_covarep_are_those_of_its_own_list(data):
    assert tuple((data / "mosi" / "covarep_sample" / "covarep_labels.txt").read_text().split()) == COVAREP_74


@pytest.mark.data
def test_the_names_of_openface_are_those_of_a_real_export(data):
    """A real file of an older OpenFace has no eye landmarks and no gaze angles; all else is in our order."""
    header = (data / "media" / "au_reference" / "pyfeat_OpenFace_Test.csv").read_text().split("\n")[0].split(",")
    real = [name.strip() for name in header][4:]
    assert [name for name in OPENFACE if name in set(real)] == real
    assert len(OPENFACE) == 709
    assert all(name.startswith(("eye_lmk_", "gaze_angle_")) for name in set(OPENFACE) - set(real))


def test_files_of_mmsa_fet_with_config_and_without_modalities(tmp_path):
    part = {"id": ["a$_$1"], "vision": np.ones((1, 4, 3)), "vision_lengths": [2], "align": [None]}
    text = {"pretrained": "roberta-base", "model": "roberta"}
    content = {"config": {"text": text}, "test": {**part, "text_bert": np.ones((1, 3, 4))}}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content))
    account = import_mmsa(tmp_path / "x.pkl", tmp_path / "s")
    assert [each.key.rpartition("-")[0] for each in account.sets] == ["mmsa-vision", "mmsa-ids"]
    store = FeatureStore(tmp_path / "s")
    assert store["mmsa-ids"].provenance["model"] == "roberta-base"
    assert "not imported: align, config" in account.notes
    assert any("no regression_labels" in note for note in account.notes)
    # Rows beyond the length that are not zero are not dropped, and that is said.
    assert len(store["mmsa-vision"]["a$_$1"]) == 4
    assert "1 clip: vision has rows beyond its length that are not zero; they were kept" in account.notes


def test_infinite_values_become_nan_and_are_counted(truth, tmp_path):
    truth["train"][0]["audio"][0, :2] = -np.inf, np.inf
    account = import_mmsa(file_of(tmp_path / "m.pkl", truth), tmp_path / "s")
    assert {each.key.rpartition("-")[0]: each.infinite for each in account.sets} == {
        "mmsa-text": 0, "mmsa-audio": 2, "mmsa-vision": 0, "mmsa-ids": 0
    }  # fmt: skip
    rows = FeatureStore(tmp_path / "s")["mmsa-audio"]["train$_$0"].features
    assert np.isnan(rows).sum() == np.isnan(rows[0, :2]).sum() == 2


def test_a_clip_of_a_wrong_shape_is_refused_and_the_rest_goes_in(truth, tmp_path):
    truth["train"][0]["audio"] = np.ones((3, WIDTHS["audio"] + 1))
    truth["test"][1]["vision"] = np.ones((2, 2, WIDTHS["vision"]))
    truth["test"][2]["id"] = "train$_$1"
    account = import_mmsa(file_of(tmp_path / "m.pkl", truth, ragged=True), tmp_path / "s")
    assert not account.complete
    refused = {entry: why for each in account.sets for entry, why in each.refused.items()}
    assert refused == {
        "train$_$0": "audio of shape (3, 6), most are (T, 5)",
        "test$_$1": "vision of shape (2, 2, 20), most are (T, 20)",
    }
    assert account.refused == {"train$_$1 (test, number 2)": "its id occurs already in train"}
    assert {each.key.rpartition("-")[0]: each.clips for each in account.sets} == {
        "mmsa-text": 9, "mmsa-audio": 8, "mmsa-vision": 8, "mmsa-ids": 9
    }  # fmt: skip
    assert account.clips == {"train": 5, "valid": 2, "test": 2}


def test_an_id_that_no_store_can_hold_is_refused_alone(tmp_path):
    part = {"id": ["a\0b", "c"], "audio": np.ones((2, 3, 4)), "regression_labels": [1.0, 2.0]}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"train": part}))
    for dry_run in (True, False):
        account = import_mmsa(tmp_path / "x.pkl", tmp_path / "s", dry_run=dry_run)
        assert "NUL" in account.refused["a\0b"]
        assert (account.clips, account.sets[0].clips) == ({"train": 1}, 1)
    assert FeatureStore(tmp_path / "s").clip_ids() == ["c"]


def test_files_with_another_layout_are_refused(tmp_path):
    for content, reason in (
        ([1], "expected a dict of train"),
        ({"a": 1}, "no split with text, audio or vision"),
        ({"train": {"audio": np.ones((1, 2, 3))}}, "has no 'id'"),
        ({"train": {"audio": np.ones((1, 2, 3)), "id": ["a", "b"]}}, "different numbers of clips"),
        ({"train": {"audio": np.ones((1, 2, 3)), "id": ["a"], "regression_labels": ["x"]}}, "not one number a clip"),
        ({"train": {"audio": np.ones((1, 0)), "id": ["a"], "regression_labels": [[1, 2]]}}, "not one number a clip"),
        (
            {"train": {"audio": np.ones((1, 2, 3)), "id": ["a"], "regression_labels": np.array([1j])}},
            "they are complex",
        ),
    ):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(InvalidClips, match=reason):
            import_mmsa(tmp_path / "x.pkl", tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_media_times_and_words_of_the_store_are_kept(truth, tmp_path):
    """Times, words and media of clips that were extracted before; split and labels are the file's."""
    store = FeatureStore.create(tmp_path / "s")
    timed = words_of("the film", 0.0, 1.0)
    known = {"start": 1.0, "end": 2.0, "words": timed, "split": "test", "labels": {"sentiment": 9, "x": 1}}
    film = tmp_path / "film.mp4"
    store.record([Clip("train$_$0", film, **known)], {film: "digest of the film"})
    source = store.source("train$_$0", ("audio", "words"))
    import_mmsa(file_of(tmp_path / "m.pkl", truth), tmp_path / "s")
    store = FeatureStore(tmp_path / "s")
    clip = store.clips()["train$_$0"]
    assert (clip.path, clip.start, clip.end, clip.words, clip.split) == (film, 1.0, 2.0, timed, "train")
    assert store.source("train$_$0", ("audio", "words")) == source  # what was extracted from it is not stale now
    assert clip.labels == {"sentiment": truth["train"][0]["label"], "sentiment_class": 2.0, "x": 1.0}


# Out


class Loader:
    """What MMSA's data_loader.py (2.2) reads of a pickle, and in which way."""

    def __init__(self, path, mode, aligned=False, use_bert=True, sims=False):
        with path.open("rb") as file:
            data = pickle.load(file)
        self.text = data[mode]["text_bert" if use_bert else "text"].astype(np.float32)
        self.audio = data[mode]["audio"].astype(np.float32)
        self.vision = data[mode]["vision"].astype(np.float32)
        self.raw_text, self.ids = data[mode]["raw_text"], data[mode]["id"]
        self.labels = {"M": np.array(data[mode]["regression_labels"]).astype(np.float32)}
        for key in "TAV" if sims else "":
            self.labels[key] = data[mode]["regression_labels_" + key].astype(np.float32)
        if not aligned:
            self.audio_lengths, self.vision_lengths = data[mode]["audio_lengths"], data[mode]["vision_lengths"]
        self.audio[self.audio == -np.inf] = 0
        self.seq_lens = (self.text.shape[2 if use_bert else 1], self.audio.shape[1], self.vision.shape[1])


@pytest.fixture
def store(tmp_path):
    """Seven clips, one without a split, one without a label, one not in every set; NaN in the audio."""
    made = FeatureStore.create(tmp_path / "features")
    rng = np.random.default_rng(1)
    splits = ["train", "train", "dev", "test", None, "train", "train"]
    clips, sets = [], {"text": {}, "audio": {}, "vision": {}, "ids": {}}
    for number, split in enumerate(splits):
        name = f"dir/ä {number}.mp4"
        labels = {} if number == 5 else {"sentiment": number - 1.5, "sentiment_text": 1.0,
                                         "sentiment_audio": 2.0, "sentiment_vision": float(number)}  # fmt: skip
        clips.append(Clip(name, words=words_of("so good"), split=split, labels=labels))
        for key, width in (("text", 4), ("audio", 3), ("vision", 2)):
            rows = rng.normal(size=(number + (key == "audio"), width)).astype(np.float32)
            sets[key][name] = FeatureSequence(rows, np.zeros((len(rows), 2)), tuple("abcd"[:width]))
        sets["ids"][name] = FeatureSequence(np.array([[101], [7 + number], [102]]), np.zeros((3, 2)), ("token_id",))
    sets["audio"][clips[1].id].features[0, 1] = np.nan
    del sets["vision"][clips[6].id]
    made.record(clips)
    for key, rows in sets.items():
        made.add(f"my-{key}", rows)
    return made


ALL = {"text": "my-text", "audio": "my-audio", "vision": "my-vision", "ids": "my-ids"}


def test_mmsas_loader_reads_what_was_written(store, tmp_path):
    said = export_mmsa(store.path, tmp_path / "out.pkl", ALL)
    assert "clips: 4 (2 train, 1 valid, 1 test)" in said
    assert {line for line in said if line.startswith("left out")} == {
        "left out: 1 clip without a split",
        "left out: 1 clip without the label 'sentiment'",
        f"left out: 1 clip that {store['my-vision'].key} does not hold",
    }
    assert "    1 values that were not observed (NaN) are written as 0" in said
    loaded = Loader(tmp_path / "out.pkl", "train", sims=True)
    assert loaded.ids == ["dir/ä 0.mp4", "dir/ä 1.mp4"]
    assert loaded.raw_text == ["so good", "so good"]
    assert loaded.text.shape == (2, 3, 3)
    assert loaded.seq_lens == (3, 4, 3)  # the longest of all splits, which MMSA takes from one of them
    assert loaded.audio_lengths == [1, 2]
    assert loaded.vision_lengths == [1, 1]  # a clip without rows has one of zeros: packed sequences need it
    np.testing.assert_array_equal(loaded.text[1], [[101, 8, 102], [1, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(loaded.labels["M"], np.float32([-1.5, -0.5]))
    np.testing.assert_array_equal(loaded.labels["V"], np.float32([0, 1]))
    expected = np.zeros((4, 3), np.float32)
    expected[:2] = np.nan_to_num(store["my-audio"]["dir/ä 1.mp4"].features)
    np.testing.assert_array_equal(loaded.audio[1], expected)
    assert Loader(tmp_path / "out.pkl", "valid", use_bert=False).text.shape == (1, 3, 4)
    assert b"numpy._core" not in (tmp_path / "out.pkl").read_bytes()  # NumPy 1 reads it too


def test_an_exported_file_imports_the_same_features(store, tmp_path):
    export_mmsa(store.path, tmp_path / "out.pkl", ALL)
    account = import_mmsa(tmp_path / "out.pkl", tmp_path / "again")
    assert account.complete
    assert account.clips == {"train": 2, "valid": 1, "test": 1}
    again = FeatureStore(tmp_path / "again")
    for name, clip in again.clips().items():
        before = store.clips()[name]
        assert (clip.labels, clip.text) == (before.labels, before.text)
        assert clip.split == {"dev": "valid"}.get(before.split, before.split)
        for key, request in ALL.items():
            rows = np.nan_to_num(store[request][name].features)
            if len(rows):
                np.testing.assert_array_equal(again[f"mmsa-{key}"][name].features, rows)


def test_aligned_files_have_no_lengths_and_need_equal_rows(store, tmp_path):
    with pytest.raises(StoreError, match="so they are not aligned"):
        export_mmsa(store.path, tmp_path / "out.pkl", ALL, aligned=True)
    for key, width in (("audio", 3), ("vision", 2)):
        rows = {name: np.full((3, width), 2.0, np.float32) for name in store["my-ids"]}
        store.add(f"even-{key}", rows)
    sets = {"ids": "my-ids", "audio": "even-audio", "vision": "even-vision"}
    export_mmsa(store.path, tmp_path / "out.pkl", sets, aligned=True)
    loaded = Loader(tmp_path / "out.pkl", "test", aligned=True)
    assert loaded.seq_lens == (3, 3, 3)
    assert not hasattr(loaded, "audio_lengths")
    with (tmp_path / "out.pkl").open("rb") as file:
        assert "audio_lengths" not in pickle.load(file)["train"]
    import_mmsa(tmp_path / "out.pkl", tmp_path / "again")
    assert FeatureStore(tmp_path / "again")["mmsa-vision"]["dir/ä 3.mp4"].features.shape == (3, 2)


def test_exports_that_cannot_be_written_are_refused(store, tmp_path):
    out = tmp_path / "out.pkl"
    with pytest.raises(InvalidOption, match="name a feature set for each"):
        export_mmsa(store.path, out, {"audio": "my-audio", "vision": "my-vision"})
    with pytest.raises(InvalidOption, match="holds no token ids"):
        export_mmsa(store.path, out, {**ALL, "ids": "my-text"})
    with pytest.raises(MissingFeatures, match="without the label 'joy'"):
        export_mmsa(store.path, out, ALL, label="joy")
    with pytest.raises(StoreError, match="does not exist"):
        export_mmsa(store.path, tmp_path / "none" / "out.pkl", ALL)
    assert list(tmp_path.glob("*.pkl")) == []
    out.write_text("mine")
    with pytest.raises(StoreError, match="exists"):
        export_mmsa(store.path, out, ALL, dry_run=True)
    assert out.read_text() == "mine"


def test_an_empty_transcript_is_no_word_and_a_clip_needs_a_name(tmp_path):
    """pandas writes empty cells as None or NaN."""
    part = {
        "raw_text": np.array(["so good", None, np.nan, np.float32("nan")], dtype=object),
        "audio": np.ones((4, 2, 3)),
    }
    for name, ids in (("good", list("abcd")), ("bad", ["a", "b", None, "d"])):
        with (tmp_path / f"{name}.pkl").open("wb") as file:
            pickle.dump({"Training": {**part, "id": np.array(ids, dtype=object)}}, file)
    account = import_mmsa(tmp_path / "good.pkl", tmp_path / "s")
    assert "3 clips with an empty raw_text: no words" in account.notes
    clips = FeatureStore(tmp_path / "s").clips()
    assert [(clip.split, clip.text) for _, clip in sorted(clips.items())] == [
        ("train", "so good"),
        *[("train", "")] * 3,
    ]
    with pytest.raises(InvalidClips, match="'id' is None or NaN"):
        import_mmsa(tmp_path / "bad.pkl", tmp_path / "s")
