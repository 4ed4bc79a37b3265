"""Folders, manifests and MMSA-FET's layout to clips, and every refusal."""

import csv
import json
import os
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from featzoo.errors import ClipError, InvalidClips
from featzoo.media.discovery import find_clips, read_manifest

SRT = "1\n00:00:00,000 --> 00:00:01,000\none\n\n2\n00:00:01,000 --> 00:00:02,000\ntwo\n\n"
SRT += "3\n00:00:02,000 --> 00:00:03,000\nthree\n"


def table(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_equal_stems_never_collide(tmp_path):
    touch(tmp_path, "a/x.mp4", "b/x.mp4", "x.mp4", "x.wav", "b/c/x.MOV", ".hidden/x.mp4", "a/.x.mp4", "notes.md")
    found = find_clips(tmp_path)
    assert [clip.id for clip in found.clips] == ["a/x.mp4", "b/c/x.MOV", "b/x.mp4", "x.mp4", "x.wav"]
    assert all(clip.path == tmp_path / clip.id for clip in found.clips)
    assert found.left_aside == ["notes.md"]


def test_several_sources_and_single_files(tmp_path):
    touch(tmp_path, "one/x.mp4", "two/x.mp4")
    assert [c.id for c in find_clips(tmp_path / "one", tmp_path / "two").clips] == ["one/x.mp4", "two/x.mp4"]
    assert [c.id for c in find_clips(tmp_path / "one" / "x.mp4").clips] == ["x.mp4"]
    touch(tmp_path, "deep/one/x.mp4")
    with pytest.raises(InvalidClips, match=r"two clips are called 'one/x\.mp4'"):
        find_clips(tmp_path / "one", tmp_path / "deep" / "one")


def test_a_transcript_by_itself_is_a_text(tmp_path):
    (tmp_path / "essay.txt").write_text("one two three")
    (tmp_path / "said.srt").write_text(SRT)
    plain, timed = find_clips(tmp_path / "essay.txt", tmp_path / "said.srt").clips
    assert (plain.id, plain.path, plain.text) == ("essay.txt", None, "one two three")
    assert [word.end for word in timed.words] == [1, 2, 3]
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ClipError, match=r"broken\.json"):
        find_clips(tmp_path / "broken.json")


def test_a_folder_without_media_is_one_of_texts(tmp_path):
    for name in ("a.txt", "deep/b.srt", "c.txt", "notes.json", "labels.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(SRT if name.endswith("srt") else "one two")
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe\x00")  # half a letter of UTF-16
    (tmp_path / "labels.csv").write_text("id,split,sentiment\na,train,1.5\ndeep/b,test,-1\n")
    found = find_clips(tmp_path)
    assert [(clip.id, clip.path, clip.text, clip.split) for clip in found.clips] == [
        ("a.txt", None, "one two", "train"), ("c.txt", None, "", None), ("deep/b.srt", None, "one two three", "test"),
    ]  # fmt: skip
    assert "c.txt" in found.clips[1].problem
    assert found.left_aside == ["notes.json"]
    assert found.remarks[0] == "no media: each of 3 transcripts is a clip"
    touch(tmp_path, "x.mp4")
    (tmp_path / "labels.csv").unlink()
    (clip,) = find_clips(tmp_path).clips
    assert clip.id == "x.mp4"


def test_transcripts_beside_and_changed_ones_read_again(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "a.srt").write_text(SRT)
    (tmp_path / "b.json").write_text("{")
    found = find_clips(tmp_path)
    assert found.left_aside == []
    a, b = found.clips
    assert (a.text, a.problem) == ("one two three", "")
    assert b.words == ()
    assert "b.json" in b.problem
    (tmp_path / "a.srt").write_text(SRT.replace("two", "TWO"))
    assert find_clips(tmp_path).clips[0].text == "one TWO three"


@pytest.mark.parametrize("suffix", ["", ".mp4"])
def test_labels_with_and_without_suffix(tmp_path, suffix):
    touch(tmp_path, "a.mp4", "d/b.mp4", "c.mp4")
    rows = [
        {"id": "a" + suffix, "split": "Dev", "sentiment": "1.5", "note": "loud", "arousal": "", "text": "own words"},
        {"id": "d/b" + suffix, "split": "Training", "sentiment": "-2"},
    ]
    table(tmp_path / "labels.csv", rows)
    found = find_clips(tmp_path)
    clips = {clip.id: clip for clip in found.clips}
    assert found.left_aside == []
    assert (clips["a.mp4"].split, clips["a.mp4"].labels) == ("valid", {"sentiment": 1.5})
    assert clips["a.mp4"].text == "own words"
    assert (clips["d/b.mp4"].split, clips["d/b.mp4"].labels) == ("train", {"sentiment": -2.0})
    assert (clips["c.mp4"].split, clips["c.mp4"].labels) == (None, {})


@pytest.mark.parametrize(
    "text",
    [
        "id;split;sentiment\na.wav;train;1,5\nb;test;2\n",
        "\ufeffsep=;\r\nID;Split;sentiment;;\r\na.wav;Train;1,5;;\r\nb;test;2;;\r\n;;;;\r\n",
        "id\tsplit\tsentiment\na\ttrain\t1,5\nb.wav\ttest\t2\n",
        "id, split, sentiment\na.wav, train, 1.5\n\nb, test, 2\n",
        '"id","split","sentiment"\n"a.wav","train","1.5"\n"b","test","2"',
    ],
)
def test_labels_are_read_whatever_wrote_the_table(tmp_path, text):
    touch(tmp_path, "a.wav", "b.wav")
    for encoding in ("utf-8", "utf-16"):
        (tmp_path / "labels.csv").write_bytes(text.lstrip("\ufeff" if encoding == "utf-16" else "").encode(encoding))
        found = find_clips(tmp_path)
        described = [(clip.split, dict(clip.labels)) for clip in found.clips]
        assert described == [("train", {"sentiment": 1.5}), ("test", {"sentiment": 2.0})]
        assert found.remarks == ["labels.csv: 2 of 2 clips, labels sentiment"]


def test_a_decimal_comma_between_commas_is_left_out_with_the_line(tmp_path):
    touch(tmp_path, "a.wav", "b.wav", "c.wav")
    (tmp_path / "labels.csv").write_text('id,sentiment,arousal,note\na,"1,5",2,loud\nb,2,NA,\nc,inf,,\n')
    found = find_clips(tmp_path)
    assert [dict(clip.labels) for clip in found.clips] == [{"arousal": 2.0}, {"sentiment": 2.0}, {}]
    assert found.remarks == [
        "labels.csv: 3 of 3 clips, labels sentiment, arousal; names note",
        "labels.csv: 'sentiment' is not a number in 2 rows (line 2: '1,5'): left out",
    ]


def test_a_typeset_minus_sign_is_one(tmp_path):
    """As tables that were copied from a paper have it, also with a decimal comma."""
    touch(tmp_path, "a.wav", "b.wav")
    (tmp_path / "labels.csv").write_text("id;x;y\na;\u22121;\u22120,5\nb;\u22122;3\n", encoding="utf-8")
    assert [dict(clip.labels) for clip in find_clips(tmp_path).clips] == [{"x": -1.0, "y": -0.5}, {"x": -2.0, "y": 3.0}]


def test_a_column_without_numbers_holds_names(tmp_path):
    touch(tmp_path, "a.wav", "b.wav", "c.wav")
    (tmp_path / "labels.csv").write_text(
        'id,split,speaker,emotion,mood,price,rank\na,train,03,anger,none,"1,5",1\n'
        'b,test,3,NA,,"2,5",top\nc,,7,joy,sad,,2\n'
    )
    found = find_clips(tmp_path)
    assert [dict(clip.categories) for clip in found.clips] == [
        {"speaker": "03", "emotion": "anger", "mood": "none"},
        {"speaker": "3"},
        {"speaker": "7", "emotion": "joy", "mood": "sad"},
    ]
    assert [dict(clip.labels) for clip in found.clips] == [{"rank": 1.0}, {}, {"rank": 2.0}]
    assert found.remarks == [
        "labels.csv: 3 of 3 clips, labels rank; names speaker, emotion, mood",
        "labels.csv: 'price' is not a number in 2 rows (line 2: '1,5'): left out",
        "labels.csv: 'rank' is not a number in 1 row (line 3: 'top'): left out",
    ]


def test_a_manifest_may_hold_names_in_parquet_too(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = {"id": ["a", "b"], "speaker": [3, 12], "emotion": ["joy", None], "arousal": [0.5, 1.0]}
    parquet.write_table(pyarrow.table(rows), tmp_path / "clips.parquet")
    clips = find_clips(tmp_path / "clips.parquet").clips
    assert [dict(clip.categories) for clip in clips] == [{"speaker": "3", "emotion": "joy"}, {"speaker": "12"}]
    assert [dict(clip.labels) for clip in clips] == [{"arousal": 0.5}, {"arousal": 1.0}]


def test_a_point_in_a_column_makes_its_commas_no_decimal_commas(tmp_path):
    touch(tmp_path, "a.wav", "b.wav")
    (tmp_path / "labels.csv").write_text("id;income\na;1,500\nb;2.5\n")
    assert [dict(clip.labels) for clip in find_clips(tmp_path).clips] == [{}, {"income": 2.5}]


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_match_in_any_unicode_form(tmp_path, forms):
    name, written = (unicodedata.normalize(form, "José.wav") for form in forms)
    touch(tmp_path, name)
    table(tmp_path / "labels.csv", [{"id": written, "split": "train"}])
    assert find_clips(tmp_path).clips[0].split == "train"
    table(tmp_path / "clips.csv", [{"id": "a", "path": written}])
    assert find_clips(tmp_path / "clips.csv").clips[0].path.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,split\na.mp4,train\na.mp4,test\n", "line 3: 'a.mp4' is there twice, first in line 2"),
        ("id,split\na,train\nb,test\na.mp4,valid\n", "line 4: 'a.mp4' is there twice, first in line 2"),
        ("id,split\n,train\n", "line 2: no id"),
        ("name,split\na,train\n", "no column 'id'"),
        ("", "no column 'id'"),
        ("id,x,x\na,1,2\n", "the column 'x' is there twice"),
    ],
)
def test_labels_that_could_be_read_in_two_ways_are_refused(tmp_path, text, said):
    touch(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InvalidClips, match=said):
        find_clips(tmp_path)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"id": "z"}, "no clip is called 'z'"),
        ({"id": "a"}, "more than one clip is called 'a'"),
        ({"id": "b", "split": "held-out"}, "split 'held-out' of 'b.mp4'"),
    ],
)
def test_bad_labels(tmp_path, row, text):
    touch(tmp_path, "a.mp4", "a.wav", "b.mp4")
    table(tmp_path / "labels.csv", [row])
    with pytest.raises(InvalidClips, match=text):
        find_clips(tmp_path)


ROWS = [
    {"id": "007", "path": "long.mp4", "start": "0.5", "end": "2.2", "split": "train", "valence": "0.5"},
    {"id": "8", "path": "long.mp4", "start": "2", "end": "", "split": "test", "valence": "nan"},
    {"id": "text only", "path": "", "start": "", "end": "", "text": "so it goes", "split": "", "valence": "2"},
]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_manifest_segments_and_their_words(tmp_path, kind):
    touch(tmp_path, "long.mp4")
    (tmp_path / "long.srt").write_text(SRT)
    path = tmp_path / f"clips.{kind}"
    if kind == "csv":
        table(path, ROWS)
    else:
        columns = {
            "id": pa.array([r["id"] for r in ROWS]),
            "path": pa.array([r["path"] or None for r in ROWS]),
            "start": pa.array([0.5, 2.0, None]),
            "end": pa.array([2.2, float("nan"), None]),  # polars and NumPy write empty cells as NaN
            "text": pa.array([None, None, "so it goes"]),
            "split": pa.array(["train", "test", None]),
            "valence": pa.array([0.5, float("nan"), 2.0]),
        }
        parquet.write_table(pa.table(columns), path)
    first, second, third = find_clips(path).clips
    assert (first.id, first.path, first.start, first.end) == ("007", tmp_path / "long.mp4", 0.5, 2.2)
    # words whose middle lies in the segment, their times from its start
    assert [(w.text, w.start, w.end) for w in first.words] == [("one", -0.5, 0.5), ("two", 0.5, 1.5)]
    assert (first.split, first.labels) == ("train", {"valence": 0.5})
    assert (second.start, second.end, second.text, second.labels) == (2.0, None, "three", {})
    assert (third.path, third.text, third.split, third.labels) == (None, "so it goes", None, {"valence": 2.0})


def test_a_word_whose_middle_is_a_boundary_belongs_to_the_segment_that_begins_there(tmp_path):
    touch(tmp_path, "long.mp4")
    (tmp_path / "long.srt").write_text("1\n00:00:00,500 --> 00:00:01,500\nmiddle\n")
    table(tmp_path / "clips.csv", [
        {"id": "before", "path": "long.mp4", "start": "0", "end": "1"},
        {"id": "after", "path": "long.mp4", "start": "1", "end": "2"},
    ])  # fmt: skip
    before, after = find_clips(tmp_path / "clips.csv").clips
    assert [word.text for word in before.words] == []
    assert [(word.text, word.start, word.end) for word in after.words] == [("middle", -0.5, 0.5)]


def test_words_without_times_go_with_the_word_before_them(tmp_path):
    touch(tmp_path, "long.mp4", "text.mp4")
    words = [{"word": "in", "start": 0, "end": 0.4}, {"word": "1999"}, {"word": "we", "start": 2, "end": 2.4}]
    (tmp_path / "long.json").write_text(json.dumps({"text": "", "words": words}))
    (tmp_path / "text.txt").write_text("so it goes")
    rows = [("a", "long.mp4", 0, 1), ("b", "long.mp4", 1, 3), ("c", "text.mp4", 0, 1)]
    table(tmp_path / "m.csv", [dict(zip(("id", "path", "start", "end"), row, strict=True)) for row in rows])
    a, b, c = find_clips(tmp_path / "m.csv").clips
    assert (a.text, b.text, c.text) == ("in 1999", "we", "")
    assert "words have no times" in c.problem


def test_numbers_as_ids_in_parquet(tmp_path):
    parquet.write_table(pa.table({"id": [7, 8], "text": ["a", "b"]}), tmp_path / "m.parquet")
    assert [clip.id for clip in read_manifest(tmp_path / "m.parquet")] == ["7", "8"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("id,path\n,a.mp4\n", "line 2: no id"),
        ("name,path\nx,a.mp4\n", "no column 'id' in its first line; its columns are 'name', 'path'"),
        ("id,start,end\na,2,1\n", "'a' ends at 1.0 s, before its start"),
        ("id,start\na,soon\n", "start is seconds, 0 or more; got 'soon'"),
        ("id,start\na,-1\n", "got '-1'"),
        ("id,text\na,x\n\na,y\n", "line 4: two clips are called 'a', the first in line 2"),
        (
            "id,text\na,well, I liked it\n",
            "line 2: 3 cells, but 2 columns; a cell with a comma in it is written in quotes",
        ),
        ("id,text,end\na,x\n", "line 2: 2 cells, but 3 columns"),
        ('id,text\nb,"two\nlines"\na,"x\n', "line 4: unexpected end of data"),
        ("id,end, end\na,1,2\n", "the column 'end' is there twice"),
        ("id,split\na,maybe\n", "split 'maybe'"),
        ("id\n", "no clip in"),
    ],
)
def test_bad_manifests(tmp_path, content, text):
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(InvalidClips, match=text):
        find_clips(tmp_path / "m.csv")


def test_files_that_are_no_tables(tmp_path):
    (tmp_path / "m.parquet").write_bytes(b"not parquet")
    (tmp_path / "m.csv").write_bytes(b"id\n\xff\xfe\x00")
    (tmp_path / "empty").mkdir()
    for source, text in (
        ("m.parquet", "cannot read"),
        ("m.csv", "cannot read"),
        ("empty", "no clip in"),
        ("no", "no such"),
    ):
        with pytest.raises(InvalidClips, match=text):
            find_clips(tmp_path / source)


def test_mmsa_layout(tmp_path):
    touch(tmp_path, "Raw/v[1]/0001.mp4", "Raw/v[1]/2.mp4", "Raw/w/1.mp4")
    rows = [
        {
            "video_id": "v[1]",
            "clip_id": "0001",
            "text": "so good",
            "label": "2.4",
            "label_T": "1",
            "annotation": "Positive",
            "mode": "train",
        },
        {
            "video_id": "w",
            "clip_id": "1",
            "text": "bad",
            "label": "-3",
            "label_T": "",
            "annotation": "Negative",
            "mode": "valid",
        },
        {
            "video_id": "w",
            "clip_id": "9",
            "text": "gone",
            "label": "0",
            "label_T": "",
            "annotation": "Neutral",
            "mode": "test",
        },
    ]
    table(tmp_path / "label.csv", rows)
    first, second, third = find_clips(tmp_path).clips
    assert first.id == "v[1]$_$0001"
    assert first.path == tmp_path / "Raw" / "v[1]" / "0001.mp4"
    assert (first.split, first.text, first.labels) == ("train", "so good", {"sentiment": 2.4, "sentiment_text": 1.0})
    assert (second.split, second.labels) == ("valid", {"sentiment": -3.0})
    assert (third.split, third.path.exists()) == ("test", False)


def test_mmsa_refusals(tmp_path):
    (tmp_path / "Raw").mkdir()
    (tmp_path / "label.csv").write_text("video_id,clip_id,text\n../..,1,x\n")
    with pytest.raises(InvalidClips, match="leads out of the folder"):
        find_clips(tmp_path)
    (tmp_path / "label.csv").write_text("video,clip\na,1\n")
    with pytest.raises(InvalidClips, match="no column 'video_id'"):
        find_clips(tmp_path)


def test_a_name_that_is_not_unicode_is_left_aside_with_a_word(tmp_path):
    touch(tmp_path, "good.wav")
    try:
        with Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")).open("wb") as file:
            file.write(b"x")
    except OSError:
        pytest.skip("this file system admits Unicode names only")
    found = find_clips(tmp_path)
    assert [clip.id for clip in found.clips] == ["good.wav"]
    assert len(found.left_aside) == 1
    json.dumps(found.left_aside).encode("utf-8")
    assert "not Unicode" in found.left_aside[0].encode("utf-8").decode()


def test_links_to_media_that_are_not_here_are_clips_that_fail(tmp_path):
    """git-annex and DataLad leave such links, and labels.csv names them."""
    touch(tmp_path, "a.mp4")
    (tmp_path / "b.mp4").symlink_to("annex/objects/b.mp4")
    (tmp_path / "notes.md").symlink_to("annex/objects/notes.md")
    (tmp_path / "a.srt").symlink_to("annex/objects/a.srt")
    table(tmp_path / "labels.csv", [{"id": "a", "split": "train"}, {"id": "b", "split": "test"}])
    a, b = find_clips(tmp_path).clips
    assert (b.id, b.split) == ("b.mp4", "test")
    assert "a.srt: No such file" in a.problem
    with pytest.raises(ClipError) as caught:
        b.audio()
    assert caught.value.reason == "not-found"


def test_example_clips(examples):
    found = find_clips(examples)
    assert len(found.clips) == 12
    assert found.left_aside == []
    assert {clip.split for clip in found.clips} == {"train", "valid", "test"}
    assert all(clip.words and "sentiment" in clip.labels for clip in found.clips)
