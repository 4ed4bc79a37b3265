"""ELAN's files, as pympi-ling writes them and as its format describes them."""

import pytest

from featzoo.errors import ClipError
from featzoo.media.transcripts import find_transcript, read_transcript


def words(path):
    return [(word.text, round(word.start, 6), round(word.end, 6)) for word in read_transcript(path)]


@pytest.fixture
def eaf():
    made = pytest.importorskip("pympi", reason="needs featzoo[elan]").Elan.Eaf()
    made.remove_tier("default")
    return made


def test_the_utterances_of_two_speakers_are_in_order_of_time(tmp_path, eaf):
    eaf.add_linguistic_type("utterance")
    for speaker, rows in (("Anna", [(0, 1000, "hello you"), (3000, 4000, "bye")]), ("Ben", [(1500, 2000, "hi")])):
        eaf.add_tier(speaker, ling="utterance", part=speaker)
        for row in rows:
            eaf.add_annotation(speaker, *row)
    eaf.add_tier("comments")
    eaf.add_annotation("comments", 0, 4000, "a comment")
    eaf.to_file(tmp_path / "a.eaf")
    assert find_transcript(tmp_path / "a.wav") == tmp_path / "a.eaf"
    assert words(tmp_path / "a.eaf") == [("hello", 0, 0.625), ("you", 0.625, 1), ("hi", 1.5, 2), ("bye", 3, 4)]


def test_words_that_divide_an_utterance_share_its_time(tmp_path, eaf):
    eaf.add_linguistic_type("words", constraints="Symbolic_Subdivision", timealignable=False)
    eaf.add_tier("Anna")
    eaf.add_annotation("Anna", 1000, 2000, "so it goes")
    eaf.add_tier("Anna words", parent="Anna", ling="words")
    before = None
    for word in ("so", "it", "goes"):
        eaf.add_ref_annotation("Anna words", "Anna", 1500, word, before)
        before = f"a{eaf.maxaid}"
    eaf.to_file(tmp_path / "a.eaf")
    assert words(tmp_path / "a.eaf") == [("so", 1, 1.25), ("it", 1.25, 1.5), ("goes", 1.5, 2)]


@pytest.mark.parametrize(
    ("files", "skipped"),
    [
        ({"a.wav": 0}, 0),
        ({"a.wav": 1500}, 1.5),
        ({"interview.mp4": 250}, 0.25),
        ({"camera.mp4": 0, "a.wav": 1500}, 1.5),
        ({"my%20camera.mp4": 700, "b.wav": 1500}, 0.7),
    ],
)
def test_times_count_from_the_start_of_the_recording_that_elan_skips_a_part_of(tmp_path, eaf, files, skipped):
    """ELAN's media offset is the place in the recording at which the annotations have time 0."""
    for file, offset in files.items():
        eaf.add_linked_file(f"file:///C:/films/{file}", f"./{file}", "video/mp4", offset)
    eaf.add_tier("Anna")
    eaf.add_annotation("Anna", 1000, 2000, "hello")
    eaf.to_file(tmp_path / "a.eaf")
    assert words(tmp_path / "a.eaf") == [("hello", 1 + skipped, 2 + skipped)]


def test_a_time_that_is_not_set_is_unknown(tmp_path):
    slots = '<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="500"/><TIME_SLOT TIME_SLOT_ID="ts2"/>'
    annotation = '<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">'
    (tmp_path / "a.eaf").write_text(
        f'<?xml version="1.0" encoding="UTF-8"?><ANNOTATION_DOCUMENT><TIME_ORDER>{slots}</TIME_ORDER>'
        f'<TIER TIER_ID="words"><ANNOTATION>{annotation}<ANNOTATION_VALUE>hello</ANNOTATION_VALUE>'
        "</ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>"
    )
    (word,) = read_transcript(tmp_path / "a.eaf")
    assert word.text == "hello"
    assert word.end != word.end


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<ANNOTATION_DOCUMENT>", "not XML"),
        ('<!DOCTYPE x [<!ENTITY a "aaaa">]><ANNOTATION_DOCUMENT>&a;</ANNOTATION_DOCUMENT>', "defines entities"),
        ("<html/>", "not an annotation file"),
        ('<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="PAL-frames"/></ANNOTATION_DOCUMENT>', "in milliseconds"),
        (
            '<ANNOTATION_DOCUMENT><HEADER><MEDIA_DESCRIPTOR TIME_ORIGIN="late"/></HEADER></ANNOTATION_DOCUMENT>',
            "TIME_ORIGIN is not a number",
        ),
        (
            '<ANNOTATION_DOCUMENT><TIER TIER_ID="w"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a1" '
            'ANNOTATION_REF="a9"/></ANNOTATION></TIER></ANNOTATION_DOCUMENT>',
            "annotations of 'w' have no parent",
        ),
    ],
)
def test_files_that_are_not_elans_are_refused(tmp_path, text, said):
    (tmp_path / "a.eaf").write_text(text)
    with pytest.raises(ClipError, match=said):
        read_transcript(tmp_path / "a.eaf")
