"""Windows along a clip cover it, are all of one length, and hold the sound and the words of their time."""

import wave
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featzoo.errors import InvalidOption
from featzoo.media.clip import Clip
from featzoo.media.transcripts import Word
from featzoo.media.windows import check_windows, seconds_of, windows_of

RATE = 8000


@pytest.fixture(scope="module")
def ten_seconds(tmp_path_factory):
    """A WAV of 10 s, and its samples."""
    place = tmp_path_factory.mktemp("windows") / "ten.wav"
    samples = np.random.default_rng(0).integers(-20000, 20000, 10 * RATE).astype("<i2")
    with wave.open(str(place), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return place, samples / 32768


def test_windows_of_three_seconds_every_second(ten_seconds):
    made = windows_of(Clip("ten.wav", ten_seconds[0]), 3, 1)
    assert [(piece.start, piece.end) for piece in made] == [(s, s + 3) for s in range(8)]
    assert made[2].id == "ten.wav@2.00"


def test_a_window_has_the_sound_of_its_time(ten_seconds):
    place, samples = ten_seconds
    piece = windows_of(Clip("ten.wav", place, start=1.0), 3, 1)[2]
    np.testing.assert_array_equal(piece.audio().samples[0], samples[3 * RATE : 6 * RATE].astype(np.float32))


def test_a_window_has_the_words_whose_middle_is_in_it():
    words = (Word("one", 0.0, 0.9), Word("two", 0.9, 1.3), Word("then"), Word("three", 1.9, 2.3))
    made = windows_of(Clip("a", words=words, end=4.0), 2, 2)
    assert [piece.text for piece in made] == ["one two then", "three"]
    assert made[1].words[0][1:] == pytest.approx((-0.1, 0.3))
    assert [piece.text for piece in windows_of(Clip("a", words=(Word("when"),), end=4.0), 2, 2)] == ["", ""]


def test_a_clip_that_is_shorter_than_a_window_is_one_window(ten_seconds):
    (piece,) = windows_of(Clip("ten.wav", ten_seconds[0]), 60, 5)
    assert (piece.start, piece.end) == (0.0, 10.0)


def test_a_clip_of_unknown_length_has_no_windows(tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"not sound")
    assert windows_of(Clip("a", words=(Word("when"),)), 3, 1) == []
    assert windows_of(Clip("broken.wav", tmp_path / "broken.wav"), 3, 1) == []


@given(total=st.floats(0.2, 500), window=st.floats(0.1, 50), share=st.floats(0.05, 1))
def test_windows_cover_a_clip(total, window, share):
    hop = max(0.1, window * share)
    made = windows_of(Clip("a", start=7.0, end=7.0 + total), window, hop)
    starts, ends = [piece.start - 7 for piece in made], [piece.end - 7 for piece in made]
    assert starts[0] == pytest.approx(0, abs=1e-5)
    assert ends[-1] == pytest.approx(total, abs=1e-5)
    assert all(0 < b - a <= hop + 1e-5 for a, b in pairwise(starts))
    assert all(b - a == pytest.approx(min(window, total), abs=1e-5) for a, b in zip(starts, ends, strict=True))


@pytest.mark.parametrize(("window", "hop"), [(0, 0), (3, 4), (3, 0.01), (float("nan"), 1), (float("inf"), 1)])
def test_windows_that_cannot_be_cut_are_refused(window, hop):
    with pytest.raises(InvalidOption, match=r"(window|hop) must be at least 0\.1 s"):
        check_windows(window, hop)


def test_the_length_of_a_segment_is_that_of_its_table(ten_seconds):
    assert seconds_of(Clip("a", ten_seconds[0], start=2.0, end=5.5)) == 3.5
    assert seconds_of(Clip("a", ten_seconds[0], start=2.0)) == 8.0
