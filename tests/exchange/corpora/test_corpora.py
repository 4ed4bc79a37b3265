"""CMU-MOSEI, CH-SIMS and MELD from their label files: every row accounted for, neighbours together, media linked."""

from __future__ import annotations

import csv
import json
import pickle
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from featzoo import Clip, FeatureStore
from featzoo.cli import feat
from featzoo.errors import InvalidClips
from featzoo.exchange.corpora.mertools import clip_id, read_labels
from featzoo.exchange.corpora.mosei import import_mosei
from featzoo.exchange.formats.csd import import_csd
from featzoo.exchange.pickles.unpickle import RefusedPickle, load_npz
from featzoo.exchange.raw_media import link_media
from featzoo.zoo.data.neighbours import siblings


def run(*arguments, status=0):
    """The command's output; it must end with `status`."""
    result = CliRunner().invoke(feat, [str(each) for each in arguments])
    assert result.exit_code == status, result.output
    return result.output


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def table(path, columns, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def label_npz(path, **parts):
    """As MERTools writes it: each part an array () of a dict of dicts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    given = {f"{part}_corpus": parts.get(part, {}) for part in ("train", "val", "test")}
    plain = {part: {name: {"emo": 0, "val": np.float32(v)} for name, v in rows.items()} for part, rows in given.items()}
    np.savez_compressed(path, **{part: np.array(rows, dtype=object) for part, rows in plain.items()})


# --- label.npz


def test_ids_are_split_before_the_last_part():
    assert clip_id("-3g5yACwYnA_10") == "-3g5yACwYnA$_$10"
    assert clip_id("video_0001_0004") == "video_0001$_$0004"


def test_an_npz_is_read_without_running_what_it_asks_for(tmp_path, monkeypatch):
    label_npz(tmp_path / "label.npz", train={"a_1": -1.5})
    assert read_labels(tmp_path / "label.npz")[0] == ("a$_$1", "train", -1.5)

    class Hostile:
        def __reduce__(self):
            return (print, ("run",))

    np.savez(tmp_path / "x.npz", plain=np.arange(3), train_corpus=np.array({"a": Hostile()}, dtype=object))
    with pytest.raises(RefusedPickle, match=r"x\.npz: it asks for builtins\.print"):
        load_npz(tmp_path / "x.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "label.npz").read_bytes()[:-40])
    with pytest.raises(RefusedPickle, match=r"is not a \.npz file, or is truncated"):
        load_npz(tmp_path / "cut.npz")
    np.savez(tmp_path / "plain.npz", values=np.arange(3.0))
    np.testing.assert_array_equal(load_npz(tmp_path / "plain.npz")["values"], np.arange(3.0))
    with pytest.raises(InvalidClips, match=r"holds values; a label\.npz of MERTools has train_corpus"):
        read_labels(tmp_path / "plain.npz")


# --- CMU-MOSEI

TIMES = ("", "file", "index", "start", "end", "label2a", "label2b", "label6", "label7", "split")


def mosei_folder(folder):
    """Utterances 2 and 10 of a video: by number 2 is the first, in the table (numbers as text) 10 is."""
    label_npz(folder / "label.npz", train={"v_a_2": 1 / 3, "v_a_10": -2.0, "w_0": 1.0}, val={"x_0": 0.0})
    rows = [
        (0, "v_a", 0, 60.5, 64, 0, -1, 0, -2, 0),
        (1, "v_a", 1, -0.4, 3.5, 1, 1, 0, 1, 0),
        (2, "w", 0, 0, 2, 0, -1, 0, -1, 0),  # not the class of 1.0
    ]
    table(folder / "CMU_MOSEI_Labels.csv", TIMES, *rows)
    table(folder / "transcription-engchi.csv", ("name", "chinese", "english"), ("v_a_2", "好", "so good"))
    folds = {"standard_train_fold": ["v_a", "w"], "standard_valid_fold": [], "standard_test_fold": ["x"]}
    (folder / "standard_folds.json").write_text(json.dumps(folds))
    return folder


def test_mosei_joins_labels_and_times_in_the_order_of_time(tmp_path):
    said = run("import", "mosei", mosei_folder(tmp_path / "in"), "-o", tmp_path / "s")
    assert said.splitlines() == [
        "clips: 4 (3 train, 1 valid)",
        "2 of 4 clips with times",
        "2 videos with other utterances in the table of times: w, x",
        "1 of 3 videos have another split in standard_folds.json: x",
        "warning: 3 clips without words: see docs/how-to/datasets.md for transcripts",
    ]
    clips = FeatureStore(tmp_path / "s").clips()
    assert [(c.start, c.end) for c in (clips["v_a$_$2"], clips["v_a$_$10"])] == [(0.0, 3.5), (60.5, 64.0)]
    assert clips["v_a$_$2"].labels["sentiment"] == pytest.approx(1 / 3)
    assert clips["v_a$_$2"].text == "so good"
    assert clips["w$_$0"].end is None
    assert siblings("previous", clips, clips) == {"v_a$_$10": "v_a$_$2"}


def sdk_folder(folder, transcripts=True):
    folder.mkdir()
    with h5py.File(folder / "CMU_MOSEI_Labels.csd", "w") as file:
        data = file.create_group("All Labels/data")
        labels = np.arange(14, dtype=np.float32).reshape(2, 7) / 10
        data["v/features"], data["v/intervals"] = labels, np.array([[5.0, 9.0], [0.5, 4.0]])
        data["w/features"], data["w/intervals"] = -labels[:1], np.array([[1.0, 2.0]])
    (folder / "standard_folds.json").write_text(json.dumps({"standard_train_fold": ["v"], "standard_test_fold": []}))
    if transcripts:
        texts = folder / "Transcript" / "Segmented" / "Combined"
        texts.mkdir(parents=True)
        (texts / "v.txt").write_text("v___3___0.5___4.0___ first words\nv___7___5.0___9.0___second\nmore\n")
    return folder


def test_mosei_of_the_sdk_has_seven_labels_and_the_numbers_of_its_transcripts(tmp_path):
    said = run("import", "mosei", sdk_folder(tmp_path / "in"), "-o", tmp_path / "s", status=1)
    assert "refused w at 1 s: the transcripts have no such segment" in said
    clips = FeatureStore(tmp_path / "s").clips()
    assert {name: (c.start, c.end, c.split, c.text) for name, c in clips.items()} == {
        "v$_$3": (0.5, 4.0, "train", "first words"), "v$_$7": (5.0, 9.0, "train", "second"),
    }  # fmt: skip
    assert clips["v$_$7"].labels == pytest.approx(
        {"sentiment": 0, "happy": 0.1, "sad": 0.2, "anger": 0.3, "surprise": 0.4, "disgust": 0.5, "fear": 0.6}
    )


def test_mosei_of_the_sdk_without_transcripts_is_numbered_in_time(tmp_path):
    account = import_mosei(sdk_folder(tmp_path / "in", transcripts=False), tmp_path / "s")
    assert account.complete
    assert account.clips == {"train": 2, "no split": 1}
    clips = FeatureStore(tmp_path / "s").clips()
    assert (clips["v$_$0"].start, clips["v$_$1"].start) == (0.5, 5.0)


def test_mosei_says_what_is_missing(tmp_path):
    (tmp_path / "in").mkdir()
    run("import", "mosei", tmp_path / "in", "-o", tmp_path / "s", status=1)
    with pytest.raises(InvalidClips, match=r"lacks CMU_MOSEI_Labels\.csd and label\.npz"):
        import_mosei(tmp_path / "in", tmp_path / "s")
    sdk_folder(tmp_path / "sdk")
    (tmp_path / "sdk" / "standard_folds.json").unlink()
    with pytest.raises(InvalidClips, match=r"lacks standard_folds\.json: the splits"):
        import_mosei(tmp_path / "sdk", tmp_path / "s")
    mosei_folder(tmp_path / "two")
    label_npz(tmp_path / "two" / "other_label.npz")
    with pytest.raises(InvalidClips, match=r"holds label\.npz and other_label\.npz"):
        import_mosei(tmp_path / "two", tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.data
def test_mosei_of_the_real_files(data, tmp_path):
    """16326/1871/4659 is what MMSA has; all but 6 clips get times, whose classes agree."""
    said = run("import", "mosei", data / "mosei", "-o", tmp_path / "s").splitlines()
    assert said[:2] == ["clips: 22856 (16326 train, 1871 valid, 4659 test)", "22850 of 22856 clips with times"]
    clips = FeatureStore(tmp_path / "s").clips()
    assert all(-3 <= c.labels["sentiment"] <= 3 for c in clips.values())
    assert all(c.end is None or c.start < c.end for c in clips.values())
    # Another table's classes, away from 0, of utterances found by time: 4 in 10 would agree by chance.
    with (data / "mosei" / "s3prl_CMU_MOSEI_Labels.csv").open() as file:
        classes = {
            (r["file"], max(float(r["start"]), 0.0), float(r["end"])): int(r["label7"]) for r in csv.DictReader(file)
        }
    timed = [(name, c) for name, c in clips.items() if c.end is not None]
    found = [classes[name.partition("$_$")[0], c.start, c.end] for name, c in timed]
    sentiment = np.array([c.labels["sentiment"] for _, c in timed])
    away = np.sign(sentiment) * np.ceil(np.abs(sentiment) - 1e-4)
    np.testing.assert_array_equal(away, found)


# --- CH-SIMS

SIMS_COLUMNS = ("video_id", "clip_id", "text", "label", "label_T", "label_A", "label_V", "annotation", "mode")


def test_sims_own_table_has_a_label_for_each_modality(tmp_path):
    rows = [
        ("video_0001", "0001", "我不想嫁给李茶", -0.8, -0.6, 0, -1, "Negative", "train"),
        ("video_0001", "0002", "很好", 0.6, 0.2, "", 0.4, "Positive", "valid"),
        ("aqgy4_0004", "00023", "无", "", "", "", "", "", "unlabelled"),
        ("video_0002", "0001", "坏", 1.8, 0, 0, 0, "", "test"),
        ("video_0001", "0001", "again", 0, 0, 0, 0, "", "test"),
    ]
    table(tmp_path / "in" / "meta.csv", SIMS_COLUMNS, *rows)
    touch(tmp_path / "in", "Raw/video_0001/0001.mp4", "Raw/video_0001/0002.mp4")
    said = run("import", "sims", tmp_path / "in", "-o", tmp_path / "s", "--media", tmp_path / "in" / "Raw", status=1)
    assert "refused row 5 (video_0002$_$0001): label is 1.8; CH-SIMS' labels are -1 to 1" in said
    assert "refused video_0001$_$0001 (again): its id occurs already in train" in said
    assert "media: 3 of 4 clips are linked" in said
    assert "warning: 1 clip without a file there: aqgy4_0004$_$00023" in said
    clips = FeatureStore(tmp_path / "s").clips()
    assert clips["video_0001$_$0001"].labels == {
        "sentiment": -0.8, "sentiment_text": -0.6, "sentiment_audio": 0.0, "sentiment_vision": -1.0
    }  # fmt: skip
    assert clips["video_0001$_$0001"].path == tmp_path / "in" / "Raw" / "video_0001" / "0001.mp4"
    assert "sentiment_audio" not in clips["video_0001$_$0002"].labels
    unlabelled = clips["aqgy4_0004$_$00023"]
    assert (unlabelled.split, dict(unlabelled.labels), unlabelled.text) == (None, {}, "无")


@pytest.mark.data
@pytest.mark.parametrize(
    ("language", "text"), [("chinese", "我不想嫁给李茶"), ("english", "I don't want to marry Li cha")]
)
def test_sims_of_the_real_files(data, tmp_path, language, text):
    said = run("import", "sims", data / "sims", "-o", tmp_path / "s", "--language", language)
    assert said.startswith("clips: 2281 (1368 train, 456 valid, 457 test)")
    clips = FeatureStore(tmp_path / "s").clips()
    assert all(c.words and -1 <= c.labels["sentiment"] <= 1 for c in clips.values())
    assert clips["video_0001$_$0001"].text == text


def test_sims_says_what_is_missing(tmp_path):
    said = run("import", "sims", tmp_path, "-o", tmp_path / "s", status=1)
    assert "has neither CH-SIMS' own table" in said


# --- MELD

MELD_COLUMNS = (
    "Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID", "Season", "Episode",
    "StartTime", "EndTime",
)  # fmt: skip


def meld_row(dialogue, utterance, sentiment="neutral", emotion="neutral", times=("00:16:16,059", "00:16:20,059")):
    return (1, "Oh. My god", "Phoebe", emotion, sentiment, dialogue, utterance, 8, 21, *times)


def meld_folder(folder):
    rows = [meld_row(0, 10), meld_row(0, 2, "negative", "sadness"), meld_row(0, 3, "positive", "joy", ("", "?"))]
    table(folder / "train_sent_emo.csv", MELD_COLUMNS, *rows, meld_row("x", 1), meld_row(1, 1, "mixed"))
    table(folder / "dev_sent_emo.csv", MELD_COLUMNS, meld_row(0, 2, "positive", "surprise"))
    return folder


def test_meld_has_sentiment_emotion_and_dialogues(tmp_path):
    said = run("import", "meld", meld_folder(tmp_path / "in"), "-o", tmp_path / "s", status=1)
    assert "clips: 4 (3 train, 1 valid)" in said
    assert "refused train_sent_emo.csv, row 5: invalid literal for int()" in said
    assert "refused train_sent_emo.csv, row 6: sentiment 'mixed'" in said
    clips = FeatureStore(tmp_path / "s").clips()
    assert {name: dict(c.labels) for name, c in clips.items()} == {
        "train_dia0$_$10": {"sentiment": 0.0}, "train_dia0$_$2": {"sentiment": -1.0},
        "train_dia0$_$3": {"sentiment": 1.0}, "dev_dia0$_$2": {"sentiment": 1.0},
    }  # fmt: skip
    assert {name: tuple(c.categories.values()) for name, c in clips.items()} == {
        "train_dia0$_$10": ("neutral", "train_dia0", "Phoebe"), "train_dia0$_$2": ("sadness", "train_dia0", "Phoebe"),
        "train_dia0$_$3": ("joy", "train_dia0", "Phoebe"), "dev_dia0$_$2": ("surprise", "dev_dia0", "Phoebe"),
    }  # fmt: skip
    # Four seconds over "Oh.", "My" and "god": by letters 1.5, 1 and 1.5.
    spoken = clips["train_dia0$_$2"].words
    assert [(w.text, w.start, w.end) for w in spoken] == [("Oh.", 0.0, 1.5), ("My", 1.5, 2.5), ("god", 2.5, 4.0)]
    assert np.isnan([w.start for w in clips["train_dia0$_$3"].words]).all()
    assert siblings("previous", clips, clips) == {
        "train_dia0$_$3": "train_dia0$_$2",
        "train_dia0$_$10": "train_dia0$_$3",
    }


def test_meld_media_are_found_by_part(tmp_path):
    raw = touch(
        tmp_path / "MELD.Raw", "train/train_splits/dia0_utt2.mp4", "dev/dev_splits_complete/dia0_utt2.mp4",
        "train/train_splits/dia0_utt3.mp4", "test/output_repeated_splits_test/._dia0_utt2.mp4",
    )  # fmt: skip
    said = run("import", "meld", meld_folder(tmp_path / "in"), "-o", tmp_path / "s", "--media", raw, status=1)
    assert "media: 3 of 4 clips are linked" in said
    clips = FeatureStore(tmp_path / "s").clips()
    assert {name: c.path and c.path.parent.name for name, c in clips.items()} == {
        "train_dia0$_$2": "train_splits", "train_dia0$_$3": "train_splits", "train_dia0$_$10": None,
        "dev_dia0$_$2": "dev_splits_complete",
    }  # fmt: skip


@pytest.mark.data
def test_meld_of_the_real_files(data, tmp_path):
    said = run("import", "meld", data / "meld", "-o", tmp_path / "s")
    assert said.startswith("clips: 13708 (9989 train, 1109 valid, 2610 test)")
    clips = FeatureStore(tmp_path / "s").clips()
    # What MELD's README counts: sentiments of all three splits.
    assert Counter(c.labels["sentiment"] for c in clips.values()) == {0.0: 6436, -1.0: 4184, 1.0: 3088}
    assert len({name.partition("$_$")[0] for name in clips}) == 1038 + 114 + 280
    assert all(c.words for c in clips.values())


# --- media


def test_cut_files_come_before_recordings_and_videos_before_sounds(tmp_path):
    touch(tmp_path / "Raw", "v/1.wav", "v/1.mp4", "Segmented/v_2.avi", "Full/v.mp4", "Full/v.wav", "notes/v.txt")
    clips = [Clip(f"v$_${n}", start=float(n), end=n + 0.5) for n in (1, 2, 3)] + [Clip("v$_$4"), Clip("other", end=1.0)]
    linked, notes = link_media(clips, tmp_path / "Raw")
    found = [(c.path and c.path.relative_to(tmp_path / "Raw").as_posix(), c.start, c.end) for c in linked]
    assert found == [
        ("v/1.mp4", 0.0, None), ("Segmented/v_2.avi", 0.0, None), ("Full/v.mp4", 3.0, 3.5), (None, 0.0, None),
        (None, 0.0, 1.0),
    ]  # fmt: skip
    assert notes[0].startswith("media: 3 of 5 clips")


def test_hidden_files_are_not_linked(tmp_path):
    """macOS writes `._v_1.mp4` beside `v_1.mp4` on other file systems."""
    touch(tmp_path, "v_1.mp4", "._v_1.mp4", ".cache/v_1.mp4")
    linked, _ = link_media([Clip("v$_$1"), Clip("._v$_$1")], tmp_path)
    assert [clip.path for clip in linked] == [tmp_path / "v_1.mp4", None]


def test_two_files_for_one_clip_are_refused(tmp_path):
    touch(tmp_path, "a/v_1.mp4", "b/v_1.mkv")
    with pytest.raises(InvalidClips, match=r"'v\$_\$1' matches .*a/v_1\.mp4 and .*b/v_1\.mkv"):
        link_media([Clip("v$_$1")], tmp_path)
    with pytest.raises(InvalidClips, match="the media folder does not exist"):
        link_media([Clip("v$_$1")], tmp_path / "nowhere")


def test_media_can_be_linked_by_a_second_import(tmp_path):
    folder = mosei_folder(tmp_path / "in")
    run("import", "mosei", folder, "-o", tmp_path / "s")
    touch(tmp_path / "Raw", "v_a/2.mp4")
    run("import", "mosei", folder, "-o", tmp_path / "s", "--media", tmp_path / "Raw")
    clip = FeatureStore(tmp_path / "s").clips()["v_a$_$2"]
    assert (clip.path, clip.start, clip.end) == (tmp_path / "Raw" / "v_a" / "2.mp4", 0.0, None)


@pytest.mark.data
def test_mosi_is_linked_to_recordings(data, tmp_path):
    touch(tmp_path, "Video/Full/ZUXBRvtny7o.mp4", "Raw/2WGyTLYerpo/44.mp4")
    run("import", "mosi", data / "mosi", "-o", tmp_path / "s", "--media", tmp_path)
    store = FeatureStore(tmp_path / "s")
    clips = store.clips()
    assert sum(c.path is not None for c in clips.values()) == sum("ZUXBRvtny7o" in name for name in clips) + 1
    first = clips["ZUXBRvtny7o$_$1"]
    assert first.end > first.start
    # The utterance means keep the time that they are of.
    assert store["covarep"]["2WGyTLYerpo$_$44"].intervals.shape == (1, 2)


@pytest.mark.data
def test_mosi_without_the_features_of_a_release_has_labels_and_words(data, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("CMU_MOSI_Opinion_Labels.csd", "standard_folds.json"):
        (tmp_path / "in" / name).symlink_to(data / "mosi" / name)
    assert "lacks a table of transcripts" in run("import", "mosi", tmp_path / "in", "-o", tmp_path / "s", status=1)
    words = data / "mosi" / "mertools_cmumosi_transcription-engchi-polish.csv"
    (tmp_path / "in" / "transcription-engchi-polish.csv").symlink_to(words)
    said = run("import", "mosi", tmp_path / "in", "-o", tmp_path / "s")
    assert said.startswith("clips: 2199 (1284 train, 229 valid, 686 test)")
    assert not FeatureStore(tmp_path / "s").sets()


# --- .csd of recordings


def test_a_csd_of_recordings_is_cut_into_the_clips_of_the_store(tmp_path):
    import_mosei(sdk_folder(tmp_path / "in"), tmp_path / "s")
    times = np.arange(20)[:, None] * 0.5 + np.array([[0.0, 0.5]])
    with h5py.File(tmp_path / "x.csd", "w") as file:
        file["COVAREP/data/v/features"] = np.arange(40, dtype=np.float32).reshape(20, 2)
        file["COVAREP/data/v/intervals"] = times
        file["COVAREP/data/unknown/features"] = np.zeros((1, 2), np.float32)
        file["COVAREP/data/unknown/intervals"] = np.zeros((1, 2))
        file["COVAREP/metadata/root name"] = np.array([json.dumps("COVAREP")], dtype=h5py.string_dtype())
    said = run("import", "csd", tmp_path / "x.csd", "-o", tmp_path / "s", "--cut")
    assert ": 2 clips x 2 columns, 0 refused" in said
    stored = FeatureStore(tmp_path / "s")["covarep"]
    # Row k lasts from k/2 to k/2 + 0.5: its middle lies in [0.5, 4) for k = 1 ... 7, in [5, 9) for k = 10 ... 17.
    assert stored["v$_$3"].features[:, 0].tolist() == [2.0 * k for k in range(1, 8)]
    np.testing.assert_allclose(stored["v$_$3"].intervals, times[1:8] - 0.5)
    assert stored["v$_$7"].features[:, 0].tolist() == [2.0 * k for k in range(10, 18)]
    whole = import_csd(tmp_path / "x.csd", tmp_path / "s")
    assert whole.sets[0].key != stored.key


def test_mults_clips_get_the_words_of_those_that_the_store_knows_by_their_times(tmp_path):
    import_mosei(sdk_folder(tmp_path / "in"), tmp_path / "s")
    ids = [[b"v", b"0.5", b"4.04"], [b"v", b"5.0", b"7.0"], [b"u", b"0.5", b"4.0"]]
    part = {"audio": np.ones((3, 2, 5)), "labels": np.ones((3, 1, 1)), "id": np.array(ids)}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"train": part}))
    said = run("import", "mult", tmp_path / "x.pkl", "-o", tmp_path / "s")
    assert "1 clip known to the store by video and times" in said
    store = FeatureStore(tmp_path / "s")
    assert store["mult-audio"].ids() == ["u[0.5,4.0]", "v$_$3", "v[5.0,7.0]"]
    clip = store.clips()["v$_$3"]
    assert (clip.text, clip.labels["sentiment"], clip.end) == ("first words", 1.0, 4.0)


def test_a_clip_without_rows_is_counted_and_a_store_without_parts_is_refused(tmp_path):
    import_mosei(sdk_folder(tmp_path / "in"), tmp_path / "s")
    with h5py.File(tmp_path / "x.csd", "w") as file:
        file["F/data/v/features"], file["F/data/v/intervals"] = np.ones((1, 2), np.float32), np.array([[1.0, 1.5]])
    assert "1 clip: no row is within their time" in run(
        "import", "csd", tmp_path / "x.csd", "-o", tmp_path / "s", "--cut"
    )
    said = run("import", "csd", tmp_path / "x.csd", "-o", tmp_path / "empty", "--cut", status=1)
    assert "has no part of a recording" in said
    assert not Path(tmp_path / "empty").exists()


@pytest.mark.data
def test_a_real_csd_is_cut_into_the_clips_that_it_describes(data, tmp_path):
    """CMU-MOSI's labels are rows, one an utterance: cut as if they were features, each clip gets its own."""
    run("import", "mosi", data / "mosi", "-o", tmp_path / "s")
    labels = data / "mosi" / "CMU_MOSI_Opinion_Labels.csd"
    said = run("import", "csd", labels, "-o", tmp_path / "s", "--cut", "--name", "y")
    assert "1 clip: no row is within their time" in said  # the one utterance of no length
    store = FeatureStore(tmp_path / "s")
    clips, cut = store.clips(), store["y"]
    assert cut.ids() == sorted(clips)
    wrong = [name for name in clips if clips[name].labels["sentiment"] not in cut[name].features[:, 0]]
    assert wrong == ["2WGyTLYerpo$_$44"]
