"""The transcript beside a recording: which of several it is, and what happens to the others."""

import json
import unicodedata

import pytest

from featzoo.media.transcripts import Neighbours, find_transcript, read_beside

SRT = "1\n00:00:00,000 --> 00:00:01,000\nso long\n"


def beside(media, encoding=None):
    return read_beside(media, Neighbours(), encoding)


@pytest.mark.parametrize("name", ["clip.en.vtt", "clip.en-orig.srt", "clip.mp4.zh-Hans.srt", "clip.de.txt", "clip.VTT"])
def test_a_language_may_stand_before_the_suffix(tmp_path, name):
    (tmp_path / name).write_text(SRT)
    assert find_transcript(tmp_path / "clip.mp4") == tmp_path / name


def test_a_language_that_is_the_name_of_another_recording_is_not_one(tmp_path):
    for name in ("clip.wav", "clip.one.wav"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "clip.one.txt").write_text("hello")
    assert find_transcript(tmp_path / "clip.wav") is None
    assert find_transcript(tmp_path / "clip.one.wav") == tmp_path / "clip.one.txt"


def test_of_two_languages_the_unmarked_or_original_is_taken_or_else_none(tmp_path):
    media = tmp_path / "clip.mp4"
    for name in ("clip.de.srt", "clip.en.srt"):
        (tmp_path / name).write_text(SRT)
    found = beside(media)
    assert found.words == ()
    assert "clip.de.srt and clip.en.srt differ in language: name the right one clip.srt" in found.problem
    for name in ("clip.en-orig.srt", "clip.srt"):
        (tmp_path / name).write_text(SRT)
        assert beside(media).path == tmp_path / name
        assert beside(media).problem == ""


def test_json_of_something_else_does_not_hide_the_text_beside_it(tmp_path):
    media = tmp_path / "clip.mp4"
    (tmp_path / "clip.json").write_text(json.dumps({"fps": 25}))
    assert find_transcript(media) is None
    assert "not the JSON of a speech recogniser" in beside(media).problem
    (tmp_path / "clip.txt").write_text("so long")
    found = beside(media)
    assert (found.path, [word.text for word in found.words], found.problem) == (
        tmp_path / "clip.txt",
        ["so", "long"],
        "",
    )
    assert find_transcript(media) == tmp_path / "clip.txt"


def test_a_damaged_transcript_before_a_good_one_is_noted(tmp_path):
    (tmp_path / "clip.json").write_text('{"text": "half')
    (tmp_path / "clip.srt").write_text(SRT)
    found = beside(tmp_path / "clip.mp4")
    assert [word.text for word in found.words] == ["so", "long"]
    assert found.notes[0].startswith("transcript that cannot be read: clip.json: not JSON")


def test_a_name_is_matched_in_any_unicode_form(tmp_path):
    (tmp_path / unicodedata.normalize("NFC", "José.txt")).write_text("hola")
    found = beside(tmp_path / unicodedata.normalize("NFD", "José.mp4"))
    assert [word.text for word in found.words] == ["hola"]


def test_the_encoding_that_is_named_is_used(tmp_path):
    (tmp_path / "clip.txt").write_bytes("naïve café".encode("cp1252"))
    assert "clip.txt: its encoding is uncertain" in beside(tmp_path / "clip.mp4").problem
    assert beside(tmp_path / "clip.mp4", "cp1252").words[0].text == "naïve"
