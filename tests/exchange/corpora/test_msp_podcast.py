"""MSP-Podcast in its own layout, written by hand."""

from __future__ import annotations

import pytest

from featzoo import FeatureStore
from featzoo.errors import InvalidClips
from featzoo.exchange.corpora.msp_podcast import import_msp_podcast

HEADER = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
ROWS = """MSP-PODCAST_0001_0008.wav,N,2.2,4.0,3.2,127,Male,Train
MSP-PODCAST_0001_0019.wav,X,5.0,3.8,5.2,Unknown,Unknown,Development
MSP-PODCAST_0023_0049_01.wav,A,6.1,2.2,5.8,36,Female,Test1
MSP-PODCAST_2198_0152.wav,H,5.5,6.0,5.0,1500,Female,Test2
"""


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "MSP"
    for place in ("Labels", "Audios", "Transcripts"):
        (folder / place).mkdir(parents=True)
    (folder / "Labels/labels_consensus.csv").write_text(HEADER + ROWS)
    for line in ROWS.splitlines()[:3]:
        (folder / "Audios" / line.split(",")[0]).write_bytes(b"")
    (folder / "Audios/MSP-PODCAST_3000_0001.wav").write_bytes(b"")
    (folder / "Transcripts/MSP-PODCAST_0001_0008.txt").write_text("So it goes\n")
    return folder


def test_labels_partitions_speakers_and_words(corpus, tmp_path):
    account = import_msp_podcast(corpus, tmp_path / "s")
    clips = FeatureStore(tmp_path / "s").clips()
    assert account.complete
    assert {name[12:]: clip.split for name, clip in clips.items()} == {
        "0001_0008": "train", "0001_0019": "valid", "0023_0049_01": "test", "2198_0152": None,
    }  # fmt: skip
    clip = clips["MSP-PODCAST_0001_0008"]
    assert clip.labels == {"arousal": 2.2, "valence": 4.0, "dominance": 3.2}
    assert dict(clip.categories) == {
        "emotion": "neutral", "speaker": "127", "gender": "male", "group": "MSP-PODCAST_0001", "language": "en",
        "partition": "Train",
    }  # fmt: skip
    assert (clip.text, clip.path) == ("So it goes", corpus / "Audios/MSP-PODCAST_0001_0008.wav")
    unknown = clips["MSP-PODCAST_0001_0019"].categories
    assert {"emotion", "speaker", "gender"}.isdisjoint(unknown)


def test_missing_and_unlabelled_files_are_counted(corpus, tmp_path):
    notes = import_msp_podcast(corpus, tmp_path / "s").notes
    assert "emotion: anger 1, happiness 1, neutral 1, no agreement 1" in notes
    assert "partition: Development 1, Test1 1, Test2 1, Train 1" in notes
    assert "1 clip without a known speaker" in notes
    assert "warning: 1 clip without a file" in notes
    assert any(note.startswith("1 sound file without a row in labels_consensus.csv") for note in notes)


def test_older_releases_have_their_partitions_in_a_file(corpus, tmp_path):
    rows = [line.rpartition(",") for line in (HEADER + ROWS).splitlines()]
    (corpus / "Labels/labels_consensus.csv").write_text("\n".join(row for row, _, _ in rows))
    with pytest.raises(InvalidClips, match=r"no column Split_Set, and .* holds no Partitions\.txt"):
        import_msp_podcast(corpus, tmp_path / "s")
    (corpus / "Partitions.txt").write_text("".join(f"{part}; {row.split(',')[0]}\n" for row, _, part in rows[1:]))
    import_msp_podcast(corpus, tmp_path / "s")
    clips = FeatureStore(tmp_path / "s").clips()
    assert clips["MSP-PODCAST_0023_0049_01"].split == "test"
    assert clips["MSP-PODCAST_2198_0152"].categories["partition"] == "Test2"


def test_rows_that_cannot_be_read_are_refused_by_name(corpus, tmp_path):
    rows = "a.wav,N,high,4.0,3.2,1,Male,Train\nb.wav,Q,2.0,4.0,3.2,1,Male,Train\n"
    (corpus / "Labels/labels_consensus.csv").write_text(HEADER + ROWS + rows)
    refused = import_msp_podcast(corpus, tmp_path / "s").refused
    assert "are not numbers" in refused["a"]
    assert refused["b"] == "EmoClass 'Q' is none of A, C, D, F, H, N, O, S, U and X"


def test_a_folder_without_the_table_is_refused(tmp_path):
    with pytest.raises(InvalidClips, match=r"lacks Labels/labels_consensus\.csv"):
        import_msp_podcast(tmp_path, tmp_path / "s")
