"""Five formats give the same words; bad files give a reason."""

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featzoo.errors import ClipError
from featzoo.media.transcripts import find_transcript, read_transcript, words_of

SRT = "1\n00:00:00,500 --> 00:00:01,250\nhello there\n\n2\n00:00:02,000 --> 00:00:03,000\n<i>so</i> long\n"
VTT = "WEBVTT\n\n00:00.500 --> 00:01.250\nhello there\n\n00:00:02.000 --> 00:00:03.000\n<v Ann>so</v> long\n"


def textgrid(tier="words"):
    rows = [(0.0, 0.5, ""), (0.5, 0.875, "hello"), (0.875, 1.25, "there"), (1.25, 2.0, " "), (2.0, 3.0, 'so "long"')]
    intervals = "".join(
        f'        intervals [{i}]:\n            xmin = {a}\n            xmax = {b}\n            text = "{t}"\n'
        for i, (a, b, t) in enumerate([(a, b, t.replace('"', '""')) for a, b, t in rows], 1)
    )
    return (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 3\ntiers? <exists>\nsize = 1\n'
        f'item []:\n    item [1]:\n        class = "IntervalTier"\n        name = "{tier}"\n        xmin = 0\n'
        f"        xmax = 3\n        intervals: size = {len(rows)}\n{intervals}"
    )


WHISPER_WORDS = {
    "segments": [
        {"start": 0.5, "end": 1.25, "text": " hello there",
         "words": [{"word": " hello", "start": 0.5, "end": 0.875}, {"word": " there", "start": 0.875, "end": 1.25}]},
        {"start": 2.0, "end": 3.0, "text": " so long"},
    ]
}  # fmt: skip


def times(words):
    return [(w.text, round(w.start, 6), round(w.end, 6)) for w in words]


# Two words of five letters share 0.75 s; "so long" is 2 and 4 letters of 1 s.
EXPECTED = [
    ("hello", 0.5, 0.875),
    ("there", 0.875, 1.25),
    ("so", 2.0, round(2 + 1 / 3, 6)),
    ("long", round(2 + 1 / 3, 6), 3.0),
]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.srt", SRT), ("a.vtt", VTT), ("a.json", json.dumps(WHISPER_WORDS)), ("a.SRT", SRT)],
)
def test_formats_with_times(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert times(read_transcript(tmp_path / name)) == EXPECTED


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
def test_textgrid_in_each_encoding_of_praat(tmp_path, encoding):
    (tmp_path / "a.TextGrid").write_text(textgrid(), encoding=encoding)
    found = times(read_transcript(tmp_path / "a.TextGrid"))
    assert found[:2] == EXPECTED[:2]
    assert [word for word, _, _ in found[2:]] == ["so", '"long"']


def test_textgrid_prefers_the_tier_of_words(tmp_path):
    two = textgrid("phones").replace("size = 1", "size = 2")
    (tmp_path / "a.TextGrid").write_text(
        two + textgrid("Words").split("item []:\n")[1].replace("item [1]", "item [2]").replace("hello", "HELLO")
    )
    assert read_transcript(tmp_path / "a.TextGrid")[0].text == "HELLO"


def test_plain_text_has_no_times(tmp_path):
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "a.txt").write_bytes("  so très\n bien ".encode(encoding))
        words = read_transcript(tmp_path / "a.txt")
        assert [word.text for word in words] == ["so", "très", "bien"]
        assert all(math.isnan(word.start) and math.isnan(word.end) for word in words)


def test_whisper_without_segments_and_words_without_times(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"text": " so long "}))
    assert [word.text for word in read_transcript(tmp_path / "a.json")] == ["so", "long"]
    # WhisperX leaves out the times of numerals
    aligned = {
        "segments": [
            {
                "start": 0,
                "end": 1,
                "text": "in 1999",
                "words": [{"word": "in", "start": 0, "end": 0.4}, {"word": "1999"}],
            }
        ]
    }
    (tmp_path / "a.json").write_text(json.dumps(aligned))
    assert math.isnan(read_transcript(tmp_path / "a.json")[1].start)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.floats(0, 100), st.floats(0.01, 50))
def test_an_interval_is_shared_out_without_gaps(text, start, length):
    words = words_of(text, start, start + length)
    assert [word.text for word in words] == text.split()
    if words:
        assert words[0].start == start
        assert words[-1].end == pytest.approx(start + length)
        for one, following in pairwise(words):
            assert one.end == pytest.approx(following.start)
            assert one.end - one.start == pytest.approx(length * len(one.text) / sum(len(w.text) for w in words))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"{"),
        ("a.json", b"[1, 2]"),
        ("a.json", b'{"segments": [{"text": "no times"}]}'),
        ("a.json", b'{"a": 1}'),
        ("a.TextGrid", b"not a grid"),
        ("a.TextGrid", b""),
        ("a.vtt", b"no header\n"),
        ("a.srt", b"\xff\xfe\x00\x01\x02"),
        ("a.doc", b"x"),
    ],
)
def test_bad_files_have_a_reason(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ClipError, match="a\\.") as caught:
        read_transcript(tmp_path / name)
    assert caught.value.reason == "bad-transcript"


def test_the_more_precise_transcript_is_taken(tmp_path):
    media = tmp_path / "clip.one.mp4"
    for expected in ("clip.one.txt", "clip.one.srt", "clip.one.mp4.vtt", "clip.one.json", "clip.one.TextGrid"):
        (tmp_path / expected).write_text("x")
        assert find_transcript(media) == tmp_path / expected
    assert find_transcript(tmp_path / "other.mp4") is None
