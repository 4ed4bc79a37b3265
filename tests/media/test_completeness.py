"""Half a file does not pass for the whole, and a stream that is shorter than another is not half a file."""

from __future__ import annotations

import subprocess
import sys

import ffmpeg
import numpy as np
import pytest
from conftest import tone, write_wav

from featzoo.errors import ClipError
from featzoo.media.audio import decode_audio
from featzoo.media.video import index_frames

FORMATS = {
    "wav": (), "ogg": ("-c:a", "libvorbis"), "opus": ("-c:a", "libopus"), "caf": ("-c:a", "pcm_s16be"),
    "aiff": (), "flac": (), "avi": ("-c:a", "pcm_s16le"), "ts": ("-c:a", "aac"), "m2ts": ("-c:a", "ac3"), "wma": (),
    "mka": ("-c:a", "flac"),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("halves")
    rng = np.random.default_rng(0)
    write_wav(folder / "source.wav", np.clip(tone(6.0) + 0.1 * rng.normal(size=96000), -1, 1))
    for name, codec in FORMATS.items():
        ffmpeg.ffmpeg("-i", folder / "source.wav", *codec, "-vn", folder / f"whole.{name}")
    return folder


@pytest.mark.parametrize("name", FORMATS)
def test_a_whole_file_is_read(folder, name):
    sound = decode_audio(folder / f"whole.{name}")
    assert sound.samples.shape[1] / sound.rate == pytest.approx(6.0, abs=0.1)


@pytest.mark.parametrize("share", [0.4, 0.5, 0.77])
@pytest.mark.parametrize("name", FORMATS)
def test_part_of_a_file_is_truncated(folder, tmp_path, name, share):
    raw = (folder / f"whole.{name}").read_bytes()
    size = int(len(raw) * share) | 1  # a transport stream that is cut between packets looks whole
    part = tmp_path / f"part.{name}"
    part.write_bytes(raw[:size])
    with pytest.raises(ClipError) as caught:
        decode_audio(part)
    assert caught.value.reason == "truncated"
    if name in ("ogg", "opus", "ts", "m2ts"):  # their headers declare no size that the message could name
        assert "that it declares" not in str(caught.value)
    # A segment of what is there is good.
    assert decode_audio(part, 0.25, 0.75).samples.any()


def test_half_a_short_utterance_is_truncated(tmp_path):
    for name in ("wav", "flac"):
        whole = tmp_path / f"whole.{name}"
        ffmpeg.ffmpeg("-i", write_wav(tmp_path / "a.wav", tone(1.0)), whole)
        (tmp_path / f"half.{name}").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        with pytest.raises(ClipError) as caught:
            decode_audio(tmp_path / f"half.{name}")
        assert caught.value.reason == "truncated"


def test_the_pictures_of_half_a_file_are_truncated(tmp_path):
    path = tmp_path / "a.avi"
    ffmpeg.ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=6", "-c:v", "mjpeg", path)
    assert len(index_frames(path).pts) == 150
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ClipError) as caught:
        index_frames(path)
    assert caught.value.reason == "truncated"


def test_a_wav_written_to_a_pipe_does_not_know_its_length(folder, tmp_path):
    piped = subprocess.run(
        [ffmpeg.FFMPEG, "-loglevel", "error", "-i", folder / "source.wav", "-f", "wav", "-"],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    (tmp_path / "a.wav").write_bytes(piped)
    assert decode_audio(tmp_path / "a.wav").samples.shape[1] == 96000


@pytest.mark.parametrize(("sound", "picture"), [(3, 8), (8, 3)])
@pytest.mark.parametrize(
    ("name", "codecs"),
    [("mkv", "-c:v mpeg4 -c:a aac"), ("webm", "-c:v libvpx -deadline realtime -c:a libopus"),
     ("flv", "-c:v flv -c:a libmp3lame -ar 44100"), ("wmv", "-c:v msmpeg4 -c:a wmav2"), ("mp4", "-c:v mpeg4 -c:a aac")],
)  # fmt: skip
def test_streams_of_other_lengths_are_healthy(tmp_path, name, codecs, sound, picture):
    path = tmp_path / f"a.{name}"
    ffmpeg.ffmpeg("-f", "lavfi", "-i", f"sine=d={sound}", "-f", "lavfi", "-i", f"testsrc=s=64x48:r=10:d={picture}",
                  *codecs.split(), path)  # fmt: skip
    found = decode_audio(path)
    assert found.samples.shape[1] / found.rate == pytest.approx(sound, abs=0.15)
    assert index_frames(path).end[-1] == pytest.approx(picture, abs=0.15)


def test_a_segment_that_ends_after_the_recording_is_noted_or_refused(folder):
    path = folder / "source.wav"  # 6 s
    assert not decode_audio(path, 2.0, 6.0).notes
    assert not decode_audio(path, 2.0, 6.05).notes
    part = decode_audio(path, 2.0, 6.8)
    assert part.samples.shape[1] == 64000
    assert "6.80 s" in part.notes["short"]
    with pytest.raises(ClipError, match=r"ends at 9\.00 s") as caught:
        decode_audio(path, 5.0, 9.0)
    assert caught.value.reason == "truncated"
    with pytest.raises(ClipError) as caught:
        decode_audio(path, 6.0, 9.0)
    assert caught.value.reason == "empty"


def test_a_segment_past_sound_that_ends_before_the_pictures_is_noted(tmp_path):
    path = tmp_path / "a.mkv"
    ffmpeg.ffmpeg("-f", "lavfi", "-i", "sine=d=3", "-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=9",
                  "-c:v", "mpeg4", "-c:a", "flac", path)  # fmt: skip
    assert "the sound at 3.0" in decode_audio(path, 2.0, 8.0).notes["short"]


@pytest.mark.slow
def test_a_long_stereo_recording_takes_the_memory_of_one_channel(tmp_path):
    """Ten minutes of MP3 in stereo: 106 MB as one channel of float32, 212 MB as two."""
    path = tmp_path / "a.mp3"
    ffmpeg.ffmpeg("-f", "lavfi", "-i", "anoisesrc=r=44100:a=0.1:d=600", "-ac", 2, "-b:a", "64k", path)
    code = (
        "import sys; from pathlib import Path; from featzoo.media.clip import Clip\n"
        "import av\n"
        "status = Path('/proc/self/status')\n"
        "peak = lambda: int(status.read_text().split('VmHWM:')[1].split()[0]) >> 10\n"
        "before = peak(); sound = Clip('a', Path(sys.argv[1])).audio()\n"
        "print(sound.samples.nbytes >> 20, peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    held, grown = map(int, done.stdout.split())
    assert held == 100
    assert grown < 1.5 * held
