"""Corpora whose labels are in file names: the folders are made by hand in the layouts in which they are distributed."""

from __future__ import annotations

from collections import Counter

import pytest
from click.testing import CliRunner

from featzoo import FeatureStore
from featzoo.cli import feat
from featzoo.errors import InvalidClips
from featzoo.exchange.corpora.acted_speech import CORPORA, CREMA_D
from featzoo.exchange.corpora.file_names import import_named
from featzoo.media.clip import Clip


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def imported(tmp_path, corpus, *names):
    """The clips of a corpus by id, and the lines of the account."""
    account = import_named(CORPORA[corpus], touch(tmp_path / "in", *names), tmp_path / "store")
    assert account.complete
    return FeatureStore(tmp_path / "store").clips(), list(account.lines())


# A file of each corpus, and all that its name says, by the corpus's own description.
FILES = {
    "emodb": (
        "wav/15a05Wb.wav", "15a05Wb",
        {"speaker": "15", "sentence": "a05", "emotion": "anger", "take": "b", "gender": "male", "language": "de"},
    ),
    "ravdess": (
        "Audio_Speech_Actors_01-24/Actor_12/03-01-06-02-02-01-12.wav", "03-01-06-02-02-01-12",
        {"speaker": "12", "sentence": "dogs", "emotion": "fear", "intensity": "strong", "take": "01", "fold": "3",
         "gender": "female", "language": "en"},
    ),
    "savee": (
        "AudioData/JK/sa07.wav", "JK_sa07",
        {"speaker": "JK", "sentence": "07", "emotion": "sadness", "gender": "male", "language": "en"},
    ),
    "tess": (
        "TESS Toronto emotional speech set data/YAF_pleasant_surprised/YAF_bath_ps.wav", "YAF_bath_ps",
        {"speaker": "YAF", "sentence": "bath", "emotion": "surprise", "gender": "female", "language": "en"},
    ),
    "esd": (
        "Emotion Speech Dataset/0011/Sad/train/0011_001123.wav", "0011_001123",
        {"speaker": "0011", "emotion": "sadness", "take": "001123", "gender": "male", "language": "en"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("corpus", FILES)
def test_a_name_gives_its_columns(tmp_path, corpus):
    file, name, columns = FILES[corpus]
    clips, _ = imported(tmp_path, corpus, file)
    assert dict(clips[name].categories) == columns
    assert clips[name].path == tmp_path / "in" / file


@pytest.mark.parametrize(("corpus", "emotions"), [("emodb", 7), ("ravdess", 8), ("savee", 7), ("tess", 7), ("esd", 5)])
def test_every_code_of_an_emotion_has_a_class_with_clips(corpus, emotions):
    table = CORPORA[corpus]
    assert len(table.clips) == emotions
    assert set(table.codes["emotion"].values()) <= set(table.clips)


def test_the_numbers_of_clips_are_the_published_ones():
    sizes = {name: sum(corpus.clips.values()) for name, corpus in {**CORPORA, "crema-d": CREMA_D}.items()}
    assert sizes == {"emodb": 535, "ravdess": 1440, "savee": 480, "tess": 2800, "esd": 35000, "crema-d": 7442}


def test_a_copy_with_speakers_in_the_names_gives_the_same_savee_clips(tmp_path):
    clips, _ = imported(tmp_path, "savee", "ALL/DC_a01.wav", "ALL/DC_su15.wav", "ALL/KL_n30.wav")
    assert {name: clip.categories["emotion"] for name, clip in clips.items()} == {
        "DC_a01": "anger", "DC_su15": "surprise", "KL_n30": "neutral",
    }  # fmt: skip


def test_the_misspelt_file_of_tess_belongs_to_the_older_speaker(tmp_path):
    clips, _ = imported(tmp_path, "tess", "OAF_neutral/OA_bite_neutral.wav", "OAF_neutral/OAF_boat_neutral.wav")
    assert {clip.categories["speaker"] for clip in clips.values()} == {"OAF"}


def test_esd_takes_its_split_from_the_folders(tmp_path):
    names = [f"0003/Happy/{part}/0003_00070{n}.wav" for n, part in enumerate(("evaluation", "test", "train"))]
    clips, _ = imported(tmp_path, "esd", *names, "0004/Happy/0004_000701.wav")
    assert [clips[f"0003_00070{n}"].split for n in range(3)] == ["valid", "test", "train"]
    assert clips["0004_000701"].split is None
    assert clips["0003_000700"].categories["language"] == "zh"


def test_missing_and_other_files_are_counted(tmp_path):
    names = ["03a01Fa.wav", "03a01Wa.wav", "notes.wav", "._03a01Fa.wav", "labels.txt"]
    clips, lines = imported(tmp_path, "emodb", *names)
    assert list(clips) == ["03a01Fa", "03a01Wa"]
    assert lines[:5] == [
        "clips: 2 (2 no split)",
        "emotion: anger 1, happiness 1",
        "1 speaker: 03",
        "warning: 533 of the 535 clips of EMO-DB are missing: anger 126, boredom 81, disgust 46, fear 69, "
        "happiness 70, neutral 79, sadness 62",
        "media: 2 .wav",
    ]
    assert "warning: 1 file with other names, not imported: notes.wav" in lines


def test_clips_beyond_the_corpus_are_counted(tmp_path):
    _, lines = imported(tmp_path, "savee", *[f"JE/{code}{n:02}.wav" for code in "adfhn" for n in range(1, 99)])
    assert "warning: 152 clips more than SAVEE has: anger 38, disgust 38, fear 38, happiness 38" in lines


def test_a_complete_corpus_is_said_to_be_complete(tmp_path):
    codes = {"a": 15, "d": 15, "f": 15, "h": 15, "n": 30, "sa": 15, "su": 15}
    names = [
        f"{s}/{code}{n:02}.wav" for s in ("DC", "JE", "JK", "KL") for code, m in codes.items() for n in range(1, m + 1)
    ]
    clips, lines = imported(tmp_path, "savee", *names)
    assert len(clips) == 480
    assert "complete: all 480 clips of SAVEE" in lines


def test_files_of_one_take_are_one_clip_and_video_is_preferred(tmp_path):
    clips, lines = imported(
        tmp_path, "ravdess",
        "Video/01-01-03-01-01-01-01.mp4", "Audio/03-01-03-01-01-01-01.wav", "Video/02-01-03-01-01-01-01.mp4",
        "Song/03-02-03-01-01-01-01.wav",
    )  # fmt: skip
    assert list(clips) == ["01-01-03-01-01-01-01"]
    assert "1 other file of the same clips: 03-01-03-01-01-01-01.wav" in lines
    assert any(line.startswith("not imported, songs and recordings without sound: Song/03-02") for line in lines)
    assert not any("with other names" in line for line in lines)


def test_a_copy_of_a_folder_inside_itself_adds_no_clips(tmp_path):
    """As TESS is on a well-known site."""
    clips, lines = imported(tmp_path, "tess", "a/OAF_back_angry.wav", "a/a/OAF_back_angry.wav")
    assert len(clips) == 1
    assert clips["OAF_back_angry"].path == tmp_path / "in/a/OAF_back_angry.wav"
    assert "1 other file of the same clips: OAF_back_angry.wav" in lines


def test_a_file_that_the_store_knows_keeps_its_id(tmp_path):
    """`feat extract FOLDER` names clips by path; the import then labels these clips and adds none."""
    file = touch(tmp_path / "in", "wav/03a01Fa.wav") / "wav/03a01Fa.wav"
    FeatureStore.create(tmp_path / "store").record([Clip("wav/03a01Fa.wav", file)])
    clips, _ = imported(tmp_path, "emodb", "wav/03a01Fa.wav")
    assert {name: clip.categories["emotion"] for name, clip in clips.items()} == {"wav/03a01Fa.wav": "happiness"}


def test_pointers_to_files_that_were_not_downloaded_are_said(tmp_path):
    folder = touch(tmp_path / "in", "03a01Fa.wav")
    (folder / "03a01Fa.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    lines = list(import_named(CORPORA["emodb"], folder, tmp_path / "store").lines())
    assert any("a Git-LFS pointer" in line for line in lines)


def test_a_folder_without_files_of_the_corpus_is_refused(tmp_path):
    with pytest.raises(InvalidClips, match=r"no file of EMO-DB: 1 media file with other names, such as x\.wav"):
        import_named(CORPORA["emodb"], touch(tmp_path / "in", "x.wav"), tmp_path / "store")
    with pytest.raises(InvalidClips, match="folder does not exist"):
        import_named(CORPORA["emodb"], tmp_path / "none", tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_the_command_prints_licence_and_protocol(tmp_path):
    folder = touch(tmp_path / "in", "0011/Sad/0011_001123.wav")
    result = CliRunner().invoke(feat, ["import", "esd", str(folder), "-o", str(tmp_path / "store"), "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "licence: research only" in result.output
    assert "protocol: the folders train" in result.output
    assert not (tmp_path / "store").exists()


@pytest.mark.data
def test_the_real_emodb(tmp_path, data):
    account = import_named(CORPORA["emodb"], data / "emodb", tmp_path / "store")
    clips = FeatureStore(tmp_path / "store").clips().values()
    assert Counter(clip.categories["emotion"] for clip in clips) == {
        "anger": 127, "happiness": 71, "neutral": 79, "sadness": 62,
    }  # fmt: skip
    assert len({clip.categories["speaker"] for clip in clips}) == 10
    assert any("196 of the 535 clips of EMO-DB are missing: boredom 81" in line for line in account.lines())


@pytest.mark.data
def test_the_real_ravdess(tmp_path, data):
    account = import_named(CORPORA["ravdess"], data / "ravdess", tmp_path / "store")
    clips = FeatureStore(tmp_path / "store").clips().values()
    assert "complete: all 1440 clips of RAVDESS (speech)" in account.lines()
    assert Counter(clip.categories["fold"] for clip in clips) == dict.fromkeys("123456", 240)
