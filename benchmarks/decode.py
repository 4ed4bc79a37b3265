"""CPU time of decoding the frames and the sound of a clip, against PyAV run plainly on the same file.

Frames: ours reads when frames are shown and decodes those that are wanted. Plain: for all frames and for 5 a second,
one pass over the file; for 6 frames, a seek to each and a decode from the key frame before it, or one pass if that is
faster.
Sound, two channels to one in floating point: PyAV's frames to NumPy arrays and their mean, or FFmpeg's resampler.
The best of a dozen or more turns counts on either side, in seconds of CPU over all threads.
Exit status 1 if a target is missed.

    python benchmarks/decode.py [--seconds 20] [--rounds 12] [--containers mp4,mkv,ts] [--sounds mp3,m4a,wav,flac]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import numpy as np
from figures import missed, verdict

from featzoo.media.audio import decode_audio
from featzoo.media.frame_decoding import decode_frames
from featzoo.media.video import FrameIndex, index_frames, recording

TARGET = 1.2
HEIGHT, WIDTH, RATE = 360, 640, 25
SOUND_RATE = 44100
READINGS: dict[str, Callable[[FrameIndex], np.ndarray]] = {
    "all frames": lambda index: np.arange(len(index.pts)),
    "5 a second": lambda index: index.sampled(5.0),
    "6 frames": lambda index: index.spread(6),
}


def write_video(path: Path, seconds: float, gop: int) -> None:
    """H.264 of things that move, 640 x 360, 25 frames a second, with B-frames where key frames are apart."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    grain = np.random.default_rng(0).integers(0, 12, (5, HEIGHT, WIDTH, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.options = {"preset": "veryfast", "g": str(gop)}
        for number in range(round(seconds * RATE)):
            wave = 100 + 80 * np.sin(x / 40 + number / 9) * np.cos(y / 30 - number / 14)
            image = np.repeat(wave.astype(np.uint8)[..., None], 3, axis=2) + grain[number % 5]  # (H, W, 3)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def write_sound(path: Path, seconds: float) -> None:
    """A tone and noise in two channels, in the usual codec of the container."""
    time = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    noise = np.random.default_rng(0).standard_normal((2, len(time)))
    sound = (0.3 * np.sin(2 * np.pi * 220 * time) + 0.02 * noise).astype(np.float32)  # (2, N)
    with av.open(str(path), "w") as container:
        codec = container.format.name if path.suffix == ".flac" else container.default_audio_codec
        stream = container.add_stream(codec, rate=SOUND_RATE, layout="stereo")
        frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="stereo")
        frame.sample_rate = SOUND_RATE
        container.mux([*stream.encode(frame), *stream.encode(None)])


def ours(path: Path, choose: Callable[[FrameIndex], np.ndarray]) -> list[int]:
    """Time stamps of the chosen frames, each of which is decoded."""
    recording.cache_clear()
    index = index_frames(path)
    return [frame.pts for _, frame in decode_frames(path, index, choose(index)) if frame is not None]


def one_pass(path: Path, stamps: list[int]) -> list[int]:
    """The same in one pass of PyAV."""
    wanted = set(stamps)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        return [frame.pts for frame in container.decode(stream) if frame.pts in wanted]


def seeking(path: Path, stamps: list[int]) -> list[int]:
    """The same by a seek to each."""
    found = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for stamp in stamps:
            container.seek(stamp, stream=stream)
            found.append(next(frame.pts for frame in container.decode(stream) if frame.pts >= stamp))
    return found


def averaged(path: Path) -> np.ndarray:
    """The mean of the channels, frame by frame."""
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray().mean(axis=0) for frame in container.decode(audio=0)])


def resampled(path: Path) -> np.ndarray:
    """The channels mixed by FFmpeg."""
    resampler = av.AudioResampler(format="fltp", layout="mono")
    with av.open(str(path)) as container:
        blocks = [block for frame in container.decode(audio=0) for block in resampler.resample(frame)]
        return np.concatenate([block.to_ndarray()[0] for block in [*blocks, *resampler.resample(None)]])


def fastest(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """CPU seconds of each way's best turn; the ways take turns, so that a busy machine slows all alike.

    What takes milliseconds gets more turns, until they come to two seconds.
    """
    taken: dict[str, list[float]] = {name: [] for name in ways}
    while len(taken["featzoo"]) < rounds or sum(taken["featzoo"]) < 2.0:
        for name, way in ways.items():
            started = time.process_time()
            way()
            taken[name].append(time.process_time() - started)
    return {name: min(times) for name, times in taken.items()}


def compare_frames(folder: Path, container: str, options: argparse.Namespace) -> None:
    """The lines on one container."""
    for gop in (1, 12, 250):
        path = folder / f"{gop}.{container}"
        write_video(path, options.seconds, gop)
        for name, choose in READINGS.items():
            stamps = ours(path, choose)
            plain = {"one pass": partial(one_pass, path, stamps)}
            if name == "6 frames":
                plain["seeking"] = partial(seeking, path, stamps)
            compare(f".{container}, a key frame each {gop}: {name}", partial(ours, path, choose), plain, options.rounds)


def compare_sound(path: Path, options: argparse.Namespace) -> None:
    """The line on one kind of sound."""
    write_sound(path, options.seconds)
    plain = {"mean": partial(averaged, path), "resampler": partial(resampled, path)}
    compare(f"{path.suffix}: sound", partial(decode_audio, path, channel="mix"), plain, options.rounds)


def compare(name: str, mine: Callable[[], object], plain: dict[str, Callable[[], object]], rounds: int) -> None:
    """One line, against the fastest plain way."""
    taken = fastest({"featzoo": mine, **plain}, rounds)
    ours_took = taken.pop("featzoo")
    way, least = min(taken.items(), key=lambda item: item[1])
    verdict(name, ours_took / least, TARGET, f"{1e3 * ours_took:.0f} ms, PyAV ({way}) {1e3 * least:.0f} ms", most=True)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--containers", default="mp4,mkv,ts")
    parser.add_argument("--sounds", default="mp3,m4a,wav,flac")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for container in options.containers.split(","):
            compare_frames(Path(folder), container, options)
        for container in options.sounds.split(","):
            compare_sound(Path(folder) / f"sound.{container}", options)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
