"""CPU time of decoding the frames of a clip, against PyAV run plainly on the same file.

Ours reads when frames are shown and decodes those that are wanted. Plain: for all frames and for 5 a second, one pass
over the file; for 6 frames, a seek to each and a decode from the key frame before it, or one pass if that is faster.
The best of several turns counts on either side, in seconds of CPU over all threads.
Exit status 1 if a target is missed.

    python benchmarks/decode.py [--seconds 20] [--rounds 7] [--containers mp4,mkv]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from figures import missed, verdict

from featzoo.media.frame_decoding import decode_frames
from featzoo.media.video import FrameIndex, index_frames, recording

TARGET = 1.2
HEIGHT, WIDTH, RATE = 360, 640, 25
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


def fastest(way: Callable[[], list[int]], rounds: int) -> float:
    """CPU seconds of the best turn."""
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        way()
        taken.append(time.process_time() - started)
    return min(taken)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--containers", default="mp4,mkv")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for container in options.containers.split(","):
            for gop in (1, 12, 250):
                path = Path(folder) / f"{gop}.{container}"
                write_video(path, options.seconds, gop)
                for name, choose in READINGS.items():
                    stamps = ours(path, choose)
                    plain = {"one pass": fastest(lambda: one_pass(path, stamps), options.rounds)}  # noqa: B023
                    if name == "6 frames":
                        plain["seeking"] = fastest(lambda: seeking(path, stamps), options.rounds)  # noqa: B023
                    way, least = min(plain.items(), key=lambda item: item[1])
                    mine = fastest(lambda: ours(path, choose), options.rounds)  # noqa: B023
                    detail = f"{1e3 * mine:.0f} ms, PyAV ({way}) {1e3 * least:.0f} ms"
                    verdict(f".{container}, a key frame each {gop}: {name}", mine / least, TARGET, detail, most=True)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
