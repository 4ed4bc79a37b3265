"""IEMOCAP in its own layout, written by hand, and MERTools' lists of it."""

from __future__ import annotations

import csv
from collections import Counter

import numpy as np
import pytest

from featzoo import FeatureStore
from featzoo.errors import InvalidClips
from featzoo.exchange.corpora.iemocap import import_iemocap
from featzoo.exchange.pickles.unpickle import RefusedPickle

EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]	{0}_F000	neu	[2.5000, 2.5000, 2.5000]
C-E2:	Neutral;	()
C-E3:	Neutral;	()
A-E3:	val 3; act 2; dom  2;	()

[10.0100 - 11.3925]	{0}_M000	exc	[4.0000, 3.5000, 2.0000]
C-E2:	Excited;	()

[12.0 - 14.0]	{0}_F001	hap	[4.0000, 3.0000, 2.0000]
[15.0 - 16.0]	{0}_M001	xxx	[2.0000, 3.0000, 2.0000]
[17.0 - 18.0]	{0}_F002	fru	[2.0000, 3.0000, 2.0000]
[19.0 - 20.0]	{0}_F003	sur	[2.0000, 3.0000, 2.0000]
"""
TRANSCRIPTION = """{0}_F000 [006.2901-008.2357]: Excuse me.
{0}_MXX0 [009.0000-009.5000]: Hm.
M: [LAUGHTER]
{0}_M000 [010.0100-011.3925]: Do you have your forms?
{0}_F001 [012.0000-014.0000]: Yeah.
{0}_M001 [015.0000-016.0000]: Let me see them.
{0}_F002 [017.0000-018.0000]: Is there a problem?
"""


@pytest.fixture
def release(tmp_path):
    root = tmp_path / "IEMOCAP_full_release"
    for session, dialogue in ((1, "Ses01F_impro01"), (5, "Ses05M_script01_1b")):
        place = root / f"Session{session}"
        for folder in ("dialog/EmoEvaluation/Categorical", "dialog/transcriptions", f"sentences/wav/{dialogue}"):
            (place / folder).mkdir(parents=True)
        (place / f"dialog/EmoEvaluation/{dialogue}.txt").write_text(EVALUATION.format(dialogue))
        (place / f"dialog/EmoEvaluation/._{dialogue}.txt").write_bytes(b"\x00\x05\x16\x07")
        (place / f"dialog/EmoEvaluation/Categorical/{dialogue}_e2_cat.txt").write_text(
            f"{dialogue}_F000 :Neutral; ()\n"
        )
        (place / f"dialog/transcriptions/{dialogue}.txt").write_text(TRANSCRIPTION.format(dialogue))
        for name in ("F000", "M000", "F001", "M001", "F002"):
            (place / f"sentences/wav/{dialogue}/{dialogue}_{name}.wav").write_bytes(b"")
    return root


def test_the_tree_gives_labels_speakers_sessions_words_and_sound(release, tmp_path):
    account = import_iemocap(release, tmp_path / "s")
    clips = FeatureStore(tmp_path / "s").clips()
    assert len(clips) == 12
    assert account.complete
    clip = clips["Ses05M_script01_1b_M000"]
    assert clip.labels == {"valence": 4.0, "activation": 3.5, "dominance": 2.0}
    assert dict(clip.categories) == {
        "emotion": "excitement", "emotion4": "happiness", "emotion6": "excitement", "speaker": "05M", "session": "5",
        "group": "Ses05M_script01_1b", "gender": "male", "language": "en",
    }  # fmt: skip
    assert clip.text == "Do you have your forms?"
    assert (clip.words[0].start, clip.words[-1].end) == (0.0, pytest.approx(11.3925 - 10.01))
    assert clip.path == release / "Session5/sentences/wav/Ses05M_script01_1b/Ses05M_script01_1b_M000.wav"
    assert clips["Ses01F_impro01_F003"].path is None
    assert "warning: 2 clips without a file: Ses01F_impro01_F003, Ses05M_script01_1b_F003" in account.notes
    assert "warning: 2 clips without words" in account.notes


def test_four_classes_hold_excitement_as_happiness_and_six_do_not(release, tmp_path):
    import_iemocap(release, tmp_path / "s")
    clips = FeatureStore(tmp_path / "s").clips().values()
    counts = {column: Counter(clip.categories.get(column) for clip in clips) for column in ("emotion4", "emotion6")}
    assert counts["emotion4"] == {"neutral": 2, "happiness": 4, None: 6}
    assert counts["emotion6"] == {"neutral": 2, "happiness": 2, "excitement": 2, "frustration": 2, None: 4}
    assert {clip.categories.get("emotion") for clip in clips if clip.id.endswith("M001")} == {None}


def test_missing_utterances_are_counted(release, tmp_path):
    notes = "\n".join(import_iemocap(release, tmp_path / "s").notes)
    assert "10027 of the 10039 utterances of IEMOCAP are missing: anger 1103, happiness 593" in notes
    assert "protocol: leave one session out" in notes


def lists(folder, labels, table="transcription-engchi-polish.csv"):
    """MERTools' files: an array () of a dict of dicts, and a table of texts."""
    folder.mkdir(exist_ok=True)
    for ways, rows in labels.items():
        content = {name: {"emo": number, "val": -10} for name, number in rows.items()}
        np.savez_compressed(folder / f"label_{ways}way.npz", whole_corpus=np.array(content, dtype=object))
    with (folder / table).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("name", "chinese", "english"), ("Ses02F_impro01_M003", "好", "All right.")])
    return folder


def test_mertools_lists_give_both_sets_of_classes(tmp_path):
    labels = {4: {"Ses02F_impro01_M003": 0, "Ses02F_impro01_F001": 3}, 6: {"Ses02F_impro01_M003": 4}}
    account = import_iemocap(lists(tmp_path / "in", labels), tmp_path / "s")
    clips = FeatureStore(tmp_path / "s").clips()
    found = {n: (c.categories.get("emotion4"), c.categories.get("emotion6"), c.text) for n, c in clips.items()}
    assert found == {
        "Ses02F_impro01_M003": ("happiness", "excitement", "All right."), "Ses02F_impro01_F001": ("anger", None, ""),
    }  # fmt: skip
    assert "warning: 1 clip without words" in account.notes
    import_iemocap(tmp_path / "in", tmp_path / "zh", language="chinese")
    chinese = FeatureStore(tmp_path / "zh").clips()["Ses02F_impro01_M003"]
    assert (chinese.text, chinese.categories["language"]) == ("好", "zh")


def test_an_unknown_class_or_name_is_refused(tmp_path):
    labels = {4: {"Ses02F_impro01_M003": 4, "dia0_utt1": 0, "Ses02F_impro01_M004": 1}}
    account = import_iemocap(lists(tmp_path / "in", labels), tmp_path / "s")
    assert set(account.refused) == {"label_4way.npz: Ses02F_impro01_M003", "label_4way.npz: dia0_utt1"}
    assert list(FeatureStore(tmp_path / "s").clips()) == ["Ses02F_impro01_M004"]


def test_a_list_that_would_run_code_is_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (print, ("run",))

    np.savez(tmp_path / "label_4way.npz", whole_corpus=np.array({"a": Hostile()}, dtype=object))
    with pytest.raises(RefusedPickle, match=r"asks for builtins\.print"):
        import_iemocap(tmp_path, tmp_path / "s")


def test_other_folders_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidClips, match="holds neither Session1/dialog/EmoEvaluation"):
        import_iemocap(tmp_path / "empty", tmp_path / "s")
    np.savez(tmp_path / "label_6way.npz", whole_corpus=np.arange(3))
    with pytest.raises(InvalidClips, match="is not a label file of MERTools"):
        import_iemocap(tmp_path, tmp_path / "s")


@pytest.mark.data
def test_the_real_lists_have_the_published_numbers(tmp_path, data):
    import_iemocap(data / "iemocap_text", tmp_path / "s")
    clips = FeatureStore(tmp_path / "s").clips().values()
    four = Counter(clip.categories["emotion4"] for clip in clips if "emotion4" in clip.categories)
    six = Counter(clip.categories["emotion6"] for clip in clips if "emotion6" in clip.categories)
    assert four == {"happiness": 1636, "sadness": 1084, "neutral": 1708, "anger": 1103}
    assert (six.total(), six["happiness"], six["excitement"], six["frustration"]) == (7433, 648, 1041, 1849)
    assert len({clip.categories["speaker"] for clip in clips}) == 10
    assert all(clip.words for clip in clips)
