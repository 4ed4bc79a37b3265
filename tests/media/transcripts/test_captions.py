"""Captions to words: rolling lines once, inline times, tags and entities, and files as careless as they come."""

import math
from itertools import pairwise

import pytest

from featzoo.errors import ClipError
from featzoo.media.transcripts import load_transcript, read_transcript

YOUTUBE = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.429 align:start position:0%
 
red<00:00:00.480><c> fox</c><00:00:00.960><c> ran</c><00:00:01.500><c> off</c>

00:00:02.429 --> 00:00:02.439 align:start position:0%
red fox ran off
 

00:00:02.439 --> 00:00:04.749 align:start position:0%
red fox ran off
no<00:00:02.760><c> no</c><00:00:03.160><c> no</c>

00:00:04.749 --> 00:00:04.759 align:start position:0%
no no no
 

00:00:04.759 --> 00:00:06.000 align:start position:0%
no no no
no<00:00:05.160><c> no</c><00:00:05.480><c> no</c>
"""  # noqa: W293  (the blanks are YouTube's)


def words(tmp_path, text, name="a.srt"):
    (tmp_path / name).write_bytes(text.encode())
    return [(word.text, word.start, word.end) for word in read_transcript(tmp_path / name)]


def texts(tmp_path, text, name="a.srt"):
    return [word for word, _, _ in words(tmp_path, text, name)]


def test_rolling_captions_give_each_word_once_with_its_inline_time(tmp_path):
    assert words(tmp_path, YOUTUBE, "a.vtt") == [
        ("red", 0.16, 0.48), ("fox", 0.48, 0.96), ("ran", 0.96, 1.5), ("off", 1.5, 2.429),
        ("no", 2.439, 2.76), ("no", 2.76, 3.16), ("no", 3.16, 4.749),
        ("no", 4.759, 5.16), ("no", 5.16, 5.48), ("no", 5.48, 6.0),
    ]  # fmt: skip
    notes = load_transcript(tmp_path / "a.vtt").notes
    assert notes == ("rolling captions: 14 repeated words left out",)


def test_rolling_captions_without_their_blanks_and_line_ends_of_windows(tmp_path):
    trimmed = "\r\n".join(line.rstrip() for line in YOUTUBE.splitlines())
    assert words(tmp_path, trimmed, "a.vtt") == words(tmp_path, YOUTUBE, "b.vtt")


def test_rolling_captions_as_srt(tmp_path):
    text = """1
00:00:00,160 --> 00:00:02,429
red fox ran off

2
00:00:02,429 --> 00:00:02,439
red fox ran off

3
00:00:02,439 --> 00:00:04,749
red fox ran off
and then it slept
"""
    found = words(tmp_path, text)
    assert [word for word, _, _ in found] == ["red", "fox", "ran", "off", "and", "then", "it", "slept"]
    assert found[4][1:] == (2.439, pytest.approx(2.439 + 2.31 * 3 / 14))


def test_rolling_captions_of_two_lines_that_move_up(tmp_path):
    lines = ["one two", "three", "four five", "six", "seven"]
    text = "".join(f"00:0{n}.000 --> 00:0{n + 1}.000\n{a}\n{b}\n\n" for n, (a, b) in enumerate(pairwise(lines)))
    assert texts(tmp_path, text) == " ".join(lines).split()


def test_captions_that_grow_word_by_word(tmp_path):
    parts = ["red", "red fox", "red fox ran", "red fox ran\noff"]
    text = "".join(f"00:0{n}.000 --> 00:0{n + 1}.000\n{part}\n\n" for n, part in enumerate(parts))
    assert words(tmp_path, text) == [("red", 0, 1), ("fox", 1, 2), ("ran", 2, 3), ("off", 3, 4)]


def test_a_line_of_chinese_is_cut_by_its_stamps_and_not_repeated(tmp_path):
    text = """WEBVTT

00:00.000 --> 00:02.000
今天<00:01.000><c>天气</c>

00:02.000 --> 00:02.010
今天天气

00:02.010 --> 00:04.000
今天天气
真好
"""
    assert words(tmp_path, text, "a.vtt") == [("今天", 0, 1), ("天气", 1, 2), ("真好", 2.01, 4)]


def test_what_is_said_twice_stays_twice(tmp_path):
    cues = ["No.", "No.", "Never,\never.", "ever.", "Yes.", "Yes."]
    text = "".join(f"{n}\n00:0{n}.000 --> 00:0{n}.900\n{cue}\n\n" for n, cue in enumerate(cues, 1))
    assert texts(tmp_path, text) == " ".join(cues).split()
    assert load_transcript(tmp_path / "a.srt").notes == ()


def test_the_cue_at_the_edge_of_two_joined_parts_is_one(tmp_path):
    cue = "00:01.000 --> 00:02.000\nhello\n\n"
    assert texts(tmp_path, f"WEBVTT\n\n{cue}{cue}00:02.000 --> 00:03.000\nhello\n", "a.vtt") == ["hello", "hello"]


def test_tags_entities_and_unseen_marks_are_not_words(tmp_path):
    text = (
        "1\n00:00:01,000 --> 00:00:02,000\n"
        '{\\an8}<font color="#ffff00">A &amp; B</font> &lt;tag&gt;&nbsp;&quot;x&quot;\n'
        "<i>I&#39;m</i>&lrm;<br>a < b and c > d\n\u200b\n"
    )
    assert texts(tmp_path, text) == ["A", "&", "B", "<tag>", '"x"', "I'm", "a", "<", "b", "and", "c", ">", "d"]
    voices = (
        "WEBVTT\n\n00:00.000 --> 00:01.000\n<v.loud Ann Lee>hello</v> <c.yellow.bg_blue>you</c> <lang en>two</lang>\n"
    )
    assert texts(tmp_path, voices, "a.vtt") == ["hello", "you", "two"]


@pytest.mark.parametrize(
    "text",
    [
        "\n\n1\n00:00:01,000 --> 00:00:02,000\nso long\n\n2\n00:00:03,000 --> 00:00:04,000\n42\n",
        "00:00:01,000 --> 00:00:02,000\nso long\n\n00:00:03,000 --> 00:00:04,000\n42\n",
        "1\n00:00:01,000 --> 00:00:02,000\nso long\n2\n00:00:03,000 --> 00:00:04,000\n42",
        "1\r\n00:01.0 --> 00:02.000 X1:10 X2:20\r\n\r\nso\r\n\r\nlong\r\n\r\n7\r\n0:00:03,000-->0:00:04,000\r\n42\r\n",
        "1\n00:01 --> 00:02\nso\nlong\n\n\n\n\n2\n00:03 --> 00:04\n42\n\n3\n00:04 --> 00:05\n\n",
    ],
)
def test_indices_and_empty_lines_may_be_missing_or_too_many(tmp_path, text):
    found = words(tmp_path, text)
    assert [word for word, _, _ in found] == ["so", "long", "42"]
    assert (found[0][1], found[1][2], *found[2][1:]) == (1, 2, 3, 4)


def test_comments_styles_and_identifiers_of_webvtt_are_not_words(tmp_path):
    text = """WEBVTT - a title

STYLE
::cue { color: red }

NOTE a comment
of two lines

intro
00:01.000 --> 00:02.000 line:0
hello

NOTE another

second cue
100:00:03.000 --> 100:00:04.000
there
"""
    assert words(tmp_path, text, "a.vtt") == [("hello", 1, 2), ("there", 360003, 360004)]
    assert words(tmp_path, "WEBVTT\n", "a.vtt") == []


def test_a_cue_that_ends_before_it_starts_keeps_its_words_without_times(tmp_path):
    text = "1\n00:00:05,000 --> 00:00:02,000\nso long\n\n2\n00:00:06,000 --> 00:00:07,000\nok\n"
    (tmp_path / "a.srt").write_text(text)
    found = load_transcript(tmp_path / "a.srt")
    assert [word.text for word in found.words] == ["so", "long", "ok"]
    assert all(math.isnan(time) for word in found.words[:2] for time in word[1:])
    assert found.words[2][1:] == (6, 7)
    assert found.notes == ("impossible times: 2 words keep none",)


@pytest.mark.parametrize(
    ("text", "said"),
    [("just text\n", "no line of times"), ("1\n00:00:01 --> soon\nhello\n", "line 2: '00:00:01 --> soon'")],
)
def test_captions_without_readable_times_are_refused(tmp_path, text, said):
    with pytest.raises(ClipError, match=said):
        words(tmp_path, text)
