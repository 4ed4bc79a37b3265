"""CREMA-D from a folder as its repository has it: media, rows of its real summary, and responses written by hand."""

from __future__ import annotations

import pytest

from featzoo import FeatureStore
from featzoo.errors import InvalidClips
from featzoo.exchange.corpora.crema_d import import_crema_d

# Rows of the corpus's own table.
SUMMARY = """"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"
"1","1001_IEO_NEU_XX","N","69.1","N","92.22","N","64.78"
"7","1001_IEO_SAD_HI","N","60.14","A:F","30.67:51.00","N","63.5"
"9","1001_IEO_ANG_MD","A:D","37.2:58.6","A","45.5","A","44.2"
"""
RESPONSES = "localid,queryType,clipName,respEmo,respLevel\n"
NAMES = ("1001_IEO_NEU_XX", "1001_IEO_SAD_HI", "1001_IEO_ANG_MD")


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "CREMA-D"
    for kind, suffix in (("AudioWAV", "wav"), ("AudioMP3", "mp3"), ("VideoFlash", "flv")):
        (folder / kind).mkdir(parents=True)
        for name in NAMES:
            (folder / kind / f"{name}.{suffix}").write_bytes(b"")
    (folder / "processedResults").mkdir()
    (folder / "processedResults/summaryTable.csv").write_text(SUMMARY)
    (folder / "VideoDemographics.csv").write_text('"ActorID","Age","Sex","Race"\n1001,51,"Male","Caucasian"\n')
    return folder


def labels(store, column):
    return {name: clip.categories.get(column) for name, clip in FeatureStore(store).clips().items()}


def test_votes_stand_beside_the_acted_emotion_and_ties_have_none(corpus, tmp_path):
    account = import_crema_d(corpus, tmp_path / "s")
    assert account.complete
    assert labels(tmp_path / "s", "emotion") == dict(zip(NAMES, ("neutral", "sadness", "anger"), strict=True))
    assert labels(tmp_path / "s", "emotion_voice") == dict(zip(NAMES, ("neutral", "neutral", None), strict=True))
    assert labels(tmp_path / "s", "emotion_face") == dict(zip(NAMES, ("neutral", None, "anger"), strict=True))
    assert labels(tmp_path / "s", "emotion_multimodal") == dict(
        zip(NAMES, ("neutral", "neutral", "anger"), strict=True)
    )
    assert "emotion_voice: 1 clip without a label (votes are tied or missing)" in account.notes
    assert set(labels(tmp_path / "s", "gender").values()) == {"male"}
    assert set(labels(tmp_path / "s", "speaker").values()) == {"1001"}


def test_videos_are_preferred_and_media_chooses(corpus, tmp_path):
    import_crema_d(corpus, tmp_path / "video")
    import_crema_d(corpus, tmp_path / "sound", corpus / "AudioWAV")
    kinds = [{c.path.suffix for c in FeatureStore(tmp_path / s).clips().values()} for s in ("video", "sound")]
    assert kinds == [{".flv"}, {".wav"}]
    assert labels(tmp_path / "sound", "emotion_voice") == labels(tmp_path / "video", "emotion_voice")


def test_files_that_are_only_pointers_are_not_preferred(corpus, tmp_path):
    """The repository's zip file holds Git-LFS pointers for all media."""
    for path in (corpus / "VideoFlash").iterdir():
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    import_crema_d(corpus, tmp_path / "s")
    assert {clip.path.suffix for clip in FeatureStore(tmp_path / "s").clips().values()} == {".wav"}


def test_responses_are_counted_by_stimulus(corpus, tmp_path):
    (corpus / "processedResults/summaryTable.csv").unlink()
    votes = [("1", NAMES[1], "S")] * 3 + [("1", NAMES[1], "N")] * 2  # the voice: sadness
    votes += [("2", NAMES[1], "A")] * 2 + [("2", NAMES[1], "F")] * 2  # the face: a tie
    votes += [("3", NAMES[1], "N")]
    rows = "".join(f"{n},{kind},{clip},{vote},50\n" for n, (kind, clip, vote) in enumerate(votes))
    (corpus / "finishedResponses.csv").write_text(RESPONSES + rows)
    account = import_crema_d(corpus, tmp_path / "s")
    assert "votes: counted in finishedResponses.csv" in account.notes
    found = FeatureStore(tmp_path / "s").clips()[NAMES[1]].categories
    assert {key: value for key, value in found.items() if key.startswith("emotion")} == {
        "emotion": "sadness", "emotion_voice": "sadness", "emotion_multimodal": "neutral",
    }  # fmt: skip


def test_a_folder_of_sound_alone_has_the_acted_emotion(corpus, tmp_path):
    account = import_crema_d(corpus / "AudioWAV", tmp_path / "s")
    assert any(note.startswith("warning: no votes") for note in account.notes)
    assert labels(tmp_path / "s", "emotion_voice") == dict.fromkeys(NAMES)
    assert "warning: 7439 of the 7442 clips of CREMA-D are missing" in "\n".join(account.notes)


def test_a_summary_without_votes_is_refused(corpus, tmp_path):
    (corpus / "processedResults/summaryTable.csv").write_text("FileName,VoiceVote\n")
    with pytest.raises(InvalidClips, match="has no column FaceVote, MultiModalVote"):
        import_crema_d(corpus, tmp_path / "s")
