"""What makes a clip's features stale, and what does not."""

import hashlib
import json
import os
import shutil
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featzoo.cache.source import source_digest
from featzoo.digests import ContentDigests
from featzoo.media.clip import Clip
from featzoo.media.transcripts import Word

CLIP = Clip("a", None, 1.0, 2.5, (Word("so", 0.0, 0.5), Word("long")))


def test_digest_depends_on_what_is_read():
    everything = ["audio", "video", "words"]
    base = source_digest(CLIP, "m", everything)
    for other in (
        replace(CLIP, start=1.5), replace(CLIP, end=None), replace(CLIP, words=CLIP.words[:1]),
        replace(CLIP, words=(Word("so", 0.0, 0.6), CLIP.words[1])),
        replace(CLIP, words=(Word("So", 0.0, 0.5), CLIP.words[1])),
    ):  # fmt: skip
        assert source_digest(other, "m", everything) != base
    assert source_digest(CLIP, "other", everything) != base


def test_digest_does_not_depend_on_names_labels_or_what_is_not_read(tmp_path):
    moved = replace(CLIP, id="b", path=tmp_path / "elsewhere.mp4", labels={"x": 1.0}, split="test")
    assert source_digest(moved, "m", ["audio", "words"]) == source_digest(CLIP, "m", ["words", "audio"])
    assert source_digest(replace(CLIP, words=()), "m", ["video"]) == source_digest(CLIP, "m", ["video"])
    assert source_digest(replace(CLIP, start=0.0), "x", ["words"]) == source_digest(CLIP, "m", ["words"])


@pytest.mark.parametrize(("word", "stale"), [("[SEP]", True), ("so</s>", True), ("[sep]", False), ("<so>", False)])
def test_only_texts_with_a_tokenizers_mark_are_stale_since_0_1(word, stale):
    """0.1 read such marks as its own; all other texts have the digest that 0.1 gave them."""
    clip = replace(CLIP, words=(Word(word, 0.0, 0.5),))
    plain = json.dumps({"words": [[word, 0.0, 0.5]]}).encode()
    assert (source_digest(clip, "", ["words"]) != hashlib.sha256(plain).hexdigest()) == stale


def test_whole_numbers_and_floats_are_one_segment():
    assert source_digest(Clip("a", None, 1, 2), "m", ["audio"]) == source_digest(
        Clip("a", None, 1.0, 2.0), "m", ["audio"]
    )


@given(
    st.lists(st.tuples(st.text(), st.floats(0, 10)), max_size=3),
    st.lists(st.tuples(st.text(), st.floats(0, 10)), max_size=3),
)
def test_digests_of_different_words_differ(one, two):
    clips = [Clip("a", words=tuple(Word(t, round(s, 3), round(s, 3) + 1) for t, s in words)) for words in (one, two)]
    equal = clips[0].words == clips[1].words
    assert (source_digest(clips[0], "", ["words"]) == source_digest(clips[1], "", ["words"])) == equal


@pytest.fixture
def settled(tmp_path):
    """A file that has not changed for a while."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"one" * 100)
    time.sleep(0.15)
    return path


@pytest.fixture
def reads(monkeypatch):
    """The files whose content is read."""
    opened = []
    original = hashlib.file_digest

    def counted(file, name):
        opened.append(file.name)
        return original(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return opened


def digest(memory, path):
    digests = ContentDigests(memory)
    found = digests.of([path])
    digests.save()
    return found.get(path)


def test_content_is_read_once(tmp_path, settled, reads):
    expected = hashlib.sha256(settled.read_bytes()).hexdigest()
    assert [digest(tmp_path / "m", settled) for _ in range(3)] == [expected] * 3
    assert len(reads) == 1


def test_change_of_equal_size_and_restored_date_is_noticed(tmp_path, settled):
    before = settled.stat()
    first = digest(tmp_path / "m", settled)
    settled.write_bytes(b"two" * 100)
    os.utime(settled, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert settled.stat().st_mtime_ns == before.st_mtime_ns
    assert digest(tmp_path / "m", settled) != first


def test_replaced_by_another_file_of_equal_size_and_date_is_noticed(tmp_path, settled):
    before = settled.stat()
    first = digest(tmp_path / "m", settled)
    (tmp_path / "other").write_bytes(b"two" * 100)
    os.utime(tmp_path / "other", ns=(before.st_atime_ns, before.st_mtime_ns))
    (tmp_path / "other").replace(settled)
    assert digest(tmp_path / "m", settled) != first


def test_change_right_after_reading_is_noticed(tmp_path):
    path = tmp_path / "a.wav"
    seen = set()
    for content in (b"aaa", b"bbb", b"ccc", b"ddd"):
        path.write_bytes(content)
        seen.add(digest(tmp_path / "m", path))
    assert len(seen) == 4


def test_touching_moving_and_copying_change_nothing(tmp_path, settled):
    first = digest(tmp_path / "m", settled)
    os.utime(settled)
    assert digest(tmp_path / "m", settled) == first
    shutil.copy(settled, tmp_path / "copy")
    assert digest(tmp_path / "m", tmp_path / "copy") == first
    settled.rename(tmp_path / "moved")
    assert digest(tmp_path / "m", tmp_path / "moved") == first
    assert digest(tmp_path / "m", settled) is None


@pytest.mark.parametrize("text", ["{", "[]", "", '{"x": 1}'])
def test_a_damaged_memory_is_made_again(tmp_path, settled, text):
    first = digest(tmp_path / "m", settled)
    (place,) = (tmp_path / "m").iterdir()
    place.write_text(text.replace('"x"', f'"{settled}"'))
    assert digest(tmp_path / "m", settled) == first
