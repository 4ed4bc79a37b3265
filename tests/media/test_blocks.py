"""Sound keeps its time: holes are silence of their length, and a segment is the cut of the whole.

Sources: ffmpeg's own decoding and packet times, and sound whose clicks are at known times.
"""

from __future__ import annotations

import re
import subprocess

import av
import ffmpeg
import numpy as np
import pytest
from conftest import write_wav
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featzoo.errors import ClipError
from featzoo.media.audio import decode_audio

RATE = 16000
CLICKS = np.arange(0.5, 10, 1.0)


def clicks(path):
    """Ten seconds with a click of 50 ms at 0.5, 1.5 ... 9.5 s."""
    time = np.arange(10 * RATE) / RATE
    sound = 0.5 * np.sin(2 * np.pi * 1000 * time) * ((time % 1 >= 0.5) & (time % 1 < 0.55))
    return write_wav(path, sound)


def heard(sound):
    """When the clicks of a sound begin, seconds."""
    loud = np.flatnonzero(np.abs(sound.samples[0]) > 0.05) / sound.rate
    return loud[np.diff(loud, prepend=-1.0) > 0.2]


def lose(source, target, keep):
    """Copy a file without the sound packets whose number and time `keep` refuses."""
    with av.open(str(source)) as given, av.open(str(target), "w") as kept:
        streams = {stream.index: kept.add_stream_from_template(stream) for stream in given.streams}
        number, zero = 0, (given.start_time or 0) / 1e6
        for packet in given.demux():
            if packet.pts is None:
                continue
            if packet.stream.type == "audio":
                number += 1
                if not keep(number, float(packet.pts * packet.time_base) - zero):
                    continue
            packet.stream = streams[packet.stream.index]
            kept.mux(packet)
    return target


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """Clicks with a picture that runs on, in containers and codecs that keep time stamps."""
    folder = tmp_path_factory.mktemp("filmed")
    wav = clicks(folder / "clicks.wav")
    picture = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=10", "-g", 10)
    for name, codecs in {
        "aac.mkv": ("-c:v", "libx264", "-c:a", "aac"),
        "aac.mp4": ("-c:v", "libx264", "-c:a", "aac"),
        "aac.ts": ("-c:v", "libx264", "-c:a", "aac"),
        "opus.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus"),
        "vorbis.mkv": ("-c:v", "mpeg4", "-c:a", "libvorbis"),
        "mp2.mpg": ("-c:v", "mpeg2video", "-r", 25, "-c:a", "mp2"),
        "mp3.flv": ("-c:v", "flv", "-c:a", "libmp3lame", "-ar", 44100),
        "flac.mkv": ("-c:v", "mpeg4", "-c:a", "flac"),
        "pcm.mkv": ("-c:v", "mpeg4", "-c:a", "pcm_s16le"),
        "wma.asf": ("-c:v", "msmpeg4", "-c:a", "wmav2"),
    }.items():
        ffmpeg.ffmpeg("-i", wav, *picture, *codecs, folder / name)
    return folder


FILMED = [
    "aac.mkv",
    "aac.mp4",
    "aac.ts",
    "opus.webm",
    "vorbis.mkv",
    "mp2.mpg",
    "mp3.flv",
    "flac.mkv",
    "pcm.mkv",
    "wma.asf",
]


@pytest.mark.parametrize("name", FILMED)
def test_sound_without_holes_is_all_there_without_a_note(filmed, name):
    sound = decode_audio(filmed / name)
    assert not sound.notes
    # Codecs without a declared delay (MP2, MP3 in FLV, WMA) are heard up to 70 ms late by every player.
    np.testing.assert_allclose(heard(sound), CLICKS, atol=0.07)


@pytest.mark.parametrize("name", [n for n in FILMED if n not in ("mp2.mpg", "wma.asf")])
def test_later_sound_stays_on_time_where_packets_are_lost(filmed, tmp_path, name):
    path = lose(filmed / name, tmp_path / name, lambda _, time: not 2.8 <= time < 5.2)
    whole = decode_audio(filmed / name)
    sound = decode_audio(path)
    expected = [click for click in heard(whole) if not 2.8 < click < 5.2]
    found = [click for click in heard(sound) if not 2.6 < click < 5.4]  # where decoders fade out and in
    np.testing.assert_allclose(found, expected, atol=0.02)
    total = float(re.match(r"([\d.]+) s of sound are missing", sound.notes["sound-gap"])[1])
    assert total == pytest.approx(2.4, abs=0.1)
    # Of the same length as with the packets
    assert abs(sound.samples.shape[1] - whole.samples.shape[1]) < 0.1 * sound.rate


@pytest.mark.parametrize("name", ["aac.mkv", "aac.mp4", "opus.webm", "mp3.flv"])
@pytest.mark.parametrize("lost", [3, 10])
def test_single_packets_that_are_lost_do_not_add_up(filmed, tmp_path, name, lost):
    path = lose(filmed / name, tmp_path / name, lambda number, _: number < 3 or number % lost)
    last = heard(decode_audio(path))[-1]
    # A packet of AAC holds 64 ms here, and the one with the click's start may be lost.
    assert last == pytest.approx(heard(decode_audio(filmed / name))[-1], abs=0.07)


def test_ffmpeg_fills_the_same_hole(filmed, tmp_path):
    path = lose(filmed / "pcm.mkv", tmp_path / "hole.mov", lambda _, time: not 3.1 <= time < 4.3)
    expected = ffmpeg.sound(path, "-af", "aresample=async=1:min_hard_comp=0.01")
    found = decode_audio(path).samples
    assert abs(found.shape[1] - expected.shape[1]) <= 1
    shared = min(found.shape[1], expected.shape[1])
    np.testing.assert_allclose(found[:, :shared], expected[:, :shared], atol=1e-4)


def test_time_stamps_that_jitter_leave_the_sound_as_it_is(filmed, tmp_path):
    """Live recordings stamp packets as they arrive, some ms early or late."""
    rng = np.random.default_rng(0)
    with av.open(str(filmed / "aac.mkv")) as given, av.open(str(tmp_path / "live.mkv"), "w") as kept:
        stream = kept.add_stream_from_template(given.streams.audio[0])
        for number, packet in enumerate(given.demux(audio=0)):
            if packet.pts is None:
                continue
            packet.pts = packet.dts = packet.pts + int(rng.integers(0, 12)) + (40 if number % 50 == 30 else 0)
            packet.stream = stream
            kept.mux(packet)
    plain = ffmpeg.sound(filmed / "aac.mkv")
    sound = decode_audio(tmp_path / "live.mkv")
    assert not sound.notes
    assert abs(sound.samples.shape[1] - plain.shape[1]) < 0.03 * sound.rate


@pytest.mark.parametrize(
    ("name", "codecs"),
    [("ts", "-c:a mp2"), ("mpg", "-c:a mp2"), ("ogg", "-c:a libvorbis"), ("opus", "-c:a libopus"), ("mkv", "-c:a aac")],
)
def test_recordings_appended_to_each_other_are_refused_if_their_clock_restarts(tmp_path, name, codecs):
    ffmpeg.ffmpeg("-i", clicks(tmp_path / "a.wav"), *codecs.split(), tmp_path / f"a.{name}")
    both = tmp_path / f"both.{name}"
    both.write_bytes((tmp_path / f"a.{name}").read_bytes() * 2)
    for segment in ((), (11.0, 15.0)):
        with pytest.raises(ClipError, match="several recordings") as caught:
            decode_audio(both, *segment)
        assert caught.value.reason == "clock-restarts"


@pytest.mark.parametrize("name", ["mp3", "aac", "flac"])
def test_appended_files_without_a_clock_lie_end_to_end(tmp_path, name):
    ffmpeg.ffmpeg("-i", clicks(tmp_path / "a.wav"), tmp_path / f"a.{name}")
    both = tmp_path / f"both.{name}"
    both.write_bytes((tmp_path / f"a.{name}").read_bytes() * 2)
    found = heard(decode_audio(both))
    assert len(found) == 20
    np.testing.assert_allclose(np.diff(found), 1.0, atol=0.15)


# Segments


def encoders():
    """The program's sound encoders."""
    listed = subprocess.run([ffmpeg.FFMPEG, "-hide_banner", "-encoders"], capture_output=True, text=True, check=True)
    return sorted(re.findall(r"^ A[\w.]{5} (\w+)", listed.stdout, re.MULTILINE))


def encoded(folder, codec, containers):
    """Five seconds of noise and tones in the first container that takes the codec."""
    source = folder / "source.wav"
    if not source.exists():
        rng, time = np.random.default_rng(0), np.arange(5 * RATE) / RATE
        wave = 0.3 * np.sin(2 * np.pi * (200 + 300 * time) * time) * (np.sin(8 * time) > -0.5)
        write_wav(source, np.stack([wave, 0.5 * wave]) + 0.05 * rng.normal(size=(2, len(time))))
    for container in containers:
        for rate, channels in ((16000, 1), (48000, 2), (8000, 1), (44100, 1)):
            path = folder / f"{codec}.{container}"
            try:
                ffmpeg.ffmpeg("-i", source, "-ar", rate, "-ac", channels, "-strict", -2, "-c:a", codec, path)
                ffmpeg.sound(path)
            except RuntimeError:
                continue
            return path
    return None


SEGMENTS = ((3.1, 3.9), (0.7, 1.25), (2.0, 2.5), (2.25, 4.0), (4.0, 4.5))
# The codecs of files that people have, in the containers that they have them in.
USUAL = [
    ("adpcm_ms", "wav"), ("adpcm_ima_wav", "wav"), ("adpcm_ima_qt", "mov"), ("libmp3lame", "mp3"), ("aac", "aac"),
    ("aac", "mp4"), ("aac", "ts"), ("mp2", "mpg"), ("ac3", "vob"), ("mp2", "ts"), ("eac3", "mkv"), ("libvorbis", "ogg"),
    ("libopus", "webm"), ("flac", "flac"), ("alac", "m4a"), ("alac", "caf"), ("wmav2", "wma"), ("libmp3lame", "avi"),
    ("pcm_s24le", "wav"), ("pcm_s16be", "aiff"), ("pcm_mulaw", "au"), ("libmp3lame", "flv"), ("g722", "mkv"),
]  # fmt: skip


def check_segments(path):
    """Segments in any order are the cut of the whole; the whole is what ffmpeg decodes."""
    whole = decode_audio(path)
    assert not whole.notes
    for start, end in SEGMENTS:
        cut = whole.samples[:, round(start * whole.rate) : round(end * whole.rate)]
        np.testing.assert_array_equal(decode_audio(path, start, end).samples, cut, err_msg=f"{path.name} {start} {end}")
    expected = ffmpeg.sound(path)
    shared = min(whole.samples.shape[1], expected.shape[1])
    # Versions of FFmpeg differ in whether the padding at the end is cut off.
    assert abs(whole.samples.shape[1] - expected.shape[1]) < 0.15 * whole.rate
    np.testing.assert_allclose(whole.samples[:, :shared], expected[:, :shared], atol=2e-4, err_msg=path.name)


@pytest.mark.parametrize(("codec", "container"), USUAL)
def test_a_segment_is_the_cut_of_the_whole(tmp_path, codec, container):
    check_segments(encoded(tmp_path, codec, [container]))


# Muxed by ffmpeg so that no decoder reads them right.
UNREADABLE = {"comfortnoise", "libopencore_amrnb"}


@pytest.mark.parametrize("codec", [codec for codec in encoders() if codec not in UNREADABLE])
def test_a_segment_of_every_codec_is_the_cut_of_the_whole(tmp_path, codec):
    # Matroska does not say how long the last frame of TTA is.
    path = encoded(tmp_path, codec, ["tta"] if codec == "tta" else ["mkv", "mov", "wav", "caf"])
    if path is None:
        pytest.skip(f"no container here takes {codec}")
    check_segments(path)


@settings(max_examples=ffmpeg.examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_segment_of_sound_with_holes_is_the_cut_of_the_whole(filmed, tmp_path, data):
    name = data.draw(st.sampled_from(FILMED))
    first, length = data.draw(st.floats(0.5, 7)), data.draw(st.floats(0.0, 2.5))
    path = lose(filmed / name, tmp_path / name, lambda _, time: not first <= time < first + length)
    whole = decode_audio(path)
    for _ in range(3):
        start = round(data.draw(st.floats(0, 9)), 3)
        end = round(start + data.draw(st.floats(0.05, 0.9)), 3)
        cut = whole.samples[:, round(start * whole.rate) : round(end * whole.rate)]
        np.testing.assert_array_equal(decode_audio(path, start, end).samples, cut)


# Random files

MADE = st.tuples(
    st.sampled_from(
        ["aac.mkv", "aac.mp4", "aac.ts", "libopus.webm", "libvorbis.mkv", "flac.mkv", "libmp3lame.flv", "pcm_s16le.mkv"]
    ),
    st.sampled_from([0.0, 0.37, 1.5]),  # when the pictures start
    st.sampled_from([0.0, 0.21, 2.0]),  # when the sound starts
    st.lists(st.tuples(st.floats(1.0, 5.0), st.floats(0.1, 1.2)), max_size=2),  # holes
)


@settings(max_examples=ffmpeg.examples(6), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MADE)
def test_sound_is_where_ffmpeg_has_it(tmp_path, made):
    """Each decoded frame of ffmpeg's, which leaves holes out, lies in ours at ffmpeg's own time of it."""
    name, pictures, sounds, holes = made
    codec, container = name.split(".")
    codecs = {"webm": "libvpx", "flv": "flv"}.get(container, "mpeg2video")
    whole, path = tmp_path / f"whole.{container}", tmp_path / f"made.{container}"
    ffmpeg.ffmpeg(
        "-itsoffset", pictures, "-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=7",
        "-itsoffset", sounds, "-f", "lavfi", "-i", "aevalsrc='0.4*sin(2*PI*(200+90*t)*t)':s=44100:d=7",
        "-c:v", codecs, "-deadline", "realtime", "-c:a", codec, whole,
    )  # fmt: skip
    lose(whole, path, lambda _, time: not any(first <= time < first + length for first, length in holes))
    ours = decode_audio(path)
    theirs, times = ffmpeg.sound(path), ffmpeg.times(path, "a")
    with av.open(str(path)) as opened:
        zero = opened.start_time / 1e6
    ends = np.cumsum(np.round(times[:, 1] * ours.rate).astype(int))
    slack = round(0.016 * ours.rate)  # what time stamps may be off before they count
    for number in range(0, len(times), 9):
        place, end = round((times[number, 0] - zero) * ours.rate), ends[number]
        frame = theirs[0, end - round(times[number, 1] * ours.rate) : end]
        if np.abs(frame).max(initial=0) < 0.05 or place < slack:
            continue
        around = ours.samples[0, place - slack : place + len(frame) + slack]
        shifts = np.lib.stride_tricks.sliding_window_view(around, len(frame))
        assert np.abs(shifts - frame).max(axis=1).min() < 1e-3, (name, times[number])
