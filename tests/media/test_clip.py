"""A clip's media are decoded once for all that want them, and nobody waits for one that has stopped."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import plugins_for_tests as plugins
import pytest
from conftest import same_features

from featzoo.errors import ClipError
from featzoo.extractors.vision.motion_energy import MotionEnergy
from featzoo.extractors.vision.raw_frames import Frames
from featzoo.media import sharing
from featzoo.media.audio import decode_audio
from featzoo.media.clip import Clip
from featzoo.media.frame_decoding import decode_frames
from featzoo.media.sharing import Seat, SharedClip
from featzoo.media.transcripts import Word

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def passes(monkeypatch):
    """The decoding passes that are begun: the numbers of frames of each."""
    begun = []

    def counted(path, index, wanted):
        begun.append(len(wanted))
        return decode_frames(path, index, wanted)

    monkeypatch.setattr("featzoo.media.clip.decode_frames", counted)
    monkeypatch.setattr(sharing, "decode_frames", counted)
    return begun


def together(clip, extractors):
    """What each gives, one thread each, sharing what is decoded; an exception where it raised one."""
    shared = SharedClip(len(extractors))

    def run(extractor):
        seat = Seat(shared)
        try:
            return extractor.extract(replace(clip, source=seat))
        except ClipError as error:
            return error
        finally:
            seat.leave()

    with ThreadPoolExecutor(len(extractors)) as pool:
        return list(pool.map(run, extractors))


def test_several_extractors_decode_once_and_give_what_each_alone_gives(made, passes):
    clip = Clip("a", made / "talk.mp4")
    extractors = [MotionEnergy(), Frames(count=3), Frames(rate=5.0, height=20, width=30), plugins.Means()]
    alone = [extractor.extract(clip) for extractor in extractors]
    passes.clear()
    shared = together(clip, extractors)
    assert passes == [50]
    for one, other in zip(alone, shared, strict=True):
        assert same_features(one, other)


def test_only_wanted_frames_are_decoded(made, passes):
    together(Clip("a", made / "talk.mp4"), [Frames(count=2), Frames(count=3)])
    assert len(passes) == 1
    assert passes[0] <= 5


@pytest.mark.parametrize("odd", [plugins.FirstFrame, plugins.Breaks, plugins.NeverLooks])
def test_a_reader_that_stops_does_not_hang_the_others(made, odd):
    clip = Clip("a", made / "talk.mp4")
    expected = [MotionEnergy().extract(clip), plugins.Means().extract(clip)]
    found = together(clip, [odd(), MotionEnergy(), plugins.Means()])
    assert same_features(found[1], expected[0])
    assert same_features(found[2], expected[1])
    if odd is plugins.Breaks:
        assert found[0].reason == "odd"


def test_one_that_does_not_say_it_looks_keeps_nobody_waiting(made):
    shared = SharedClip(2)
    clip = Clip("a", made / "talk.mp4")
    done = threading.Event()

    def look():
        plugins.Undeclared().extract(replace(clip, source=Seat(shared, reader=False)))
        done.set()

    threading.Thread(target=look, daemon=True).start()
    assert done.wait(10)


def test_bad_media_fail_every_reader_with_the_reason(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"not a film" * 100)
    found = together(Clip("a", tmp_path / "x.mp4"), [MotionEnergy(), Frames()])
    assert [error.reason for error in found] == ["unreadable", "unreadable"]


def test_sound_is_decoded_once(made, monkeypatch):
    calls = []
    monkeypatch.setattr("featzoo.media.clip.decode_audio", lambda *a: calls.append(a) or decode_audio(*a))
    shared = SharedClip(0)
    clips = [replace(Clip("a", made / "voice.wav"), source=Seat(shared)) for _ in range(3)]
    found = [clip.audio().samples for clip in clips]
    assert len(calls) == 1
    np.testing.assert_array_equal(found[0], found[2])


def test_text_and_words():
    clip = Clip("a", words=(Word("so"), Word("it", 0.5, 1.0)))
    assert clip.text == "so it"
    assert math.isnan(clip.words[0].start)
    assert clip.spoken() == clip.words
    for bad, code in ((Clip("a"), "no-words"), (Clip("a", problem="broken"), "bad-transcript")):
        with pytest.raises(ClipError) as caught:
            bad.spoken()
        assert caught.value.reason == code
    with pytest.raises(ClipError) as caught:
        Clip("a").audio()
    assert caught.value.reason == "no-media"
