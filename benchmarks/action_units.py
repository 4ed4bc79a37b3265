"""action-units beside py-feat itself: frames a CPU-second on the same frames and weights, and memory against length.

    PYTHONPATH=.venv/py-feat .venv/bin/python benchmarks/action_units.py [--frames 16] [--height 360]

(`make test-action-units` puts py-feat there.) The weights are random, made as in the tests; the networks cost what they
always cost, but for the second detector's backbone, which is a small one: what featzoo adds weighs more here. Counted
are CPU-seconds of one thread, on our side of the worker and its child, so that neighbours on the machine do not count.
Target: at least 0.9 of py-feat's rate at its best batch size; memory of the child flat in length.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests" / "extractors" / "vision"))
BATCHES = (1, 4, 16)


def own(frames: Path, folder: Path) -> None:
    """py-feat's own rate at each batch size, in this process: a warm pass, then a timed one."""
    import pyfeat_for_tests
    import torch

    feat = pyfeat_for_tests.feat_module()
    from feat.utils import io

    io.get_resource_path = lambda: str(folder)
    detector = feat.Detectorv2(identity_model=None)
    pixels = torch.from_numpy(np.load(frames)).permute(0, 3, 1, 2)  # (B, 3, H, W)
    options = {"data_type": "tensor", "progress_bar": False}
    detector.detect(pixels[:2], batch_size=2, **options)
    for size in BATCHES:
        start = time.process_time()
        detector.detect(pixels, batch_size=size, **options)
        print(size, len(pixels) / (time.process_time() - start))


def taken(child: int) -> float:
    """CPU-seconds of this process and its child so far."""
    fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--own", nargs=2, type=Path)
    given = parser.parse_args()
    if given.own:
        own(*given.own)
        return
    from conftest import moving_picture, write_video

    from featzoo.extractors.vision import action_units
    from featzoo.media.clip import Clip

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        width = given.height * 16 // 9

        def picture(number: int) -> np.ndarray:
            return moving_picture(number, given.height, width)

        video = Clip("video", write_video(folder / "video.mp4", count=given.frames, picture=picture))
        np.save(folder / "frames.npy", np.stack([shot.image for shot in video.frames()]))
        run = [sys.executable, "-W", "ignore"]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        environment.setdefault("OMP_NUM_THREADS", "1")
        script = ROOT / "tests" / "extractors" / "vision" / "pyfeat_for_tests.py"
        subprocess.run([*run, script, "make", folder, folder / "frames.npy"], check=True, env=environment)
        os.environ["FEATZOO_WEIGHTS"] = str(folder)
        import torch

        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
        ours: dict[int, float] = {}
        theirs: dict[int, float] = {}
        command = [*run, __file__, "--own", folder / "frames.npy", folder]
        done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
        for line in done.stdout.splitlines():
            size, rate = line.split()
            theirs[int(size)] = float(rate)
        action_units.ActionUnits(rate=None).extract(Clip("warm", video.path, end=0.08))
        (child,) = (each.process.pid for each in action_units._processes.values())
        for size in BATCHES:
            extractor = action_units.ActionUnits(rate=None, batch_size=size)
            start = taken(child)
            extractor.extract(video)
            ours[size] = given.frames / (taken(child) - start)
        for size in BATCHES:
            print(f"batch {size:2d}: py-feat {theirs[size]:6.2f} frames a CPU-second, action-units {ours[size]:6.2f}")
        best = max(theirs, key=lambda size: theirs[size])
        print(
            f"v2, {width} x {given.height}, {environment['OMP_NUM_THREADS']} thread: action-units at its best / "
            f"py-feat at its best ({best}): {max(ours.values()) / theirs[best]:.2f} (target 0.9), decoding included"
        )
        small = write_video(folder / "small.mp4", count=600)
        for end in (2.0, 24.0):
            rows = len(action_units.ActionUnits(rate=None, threshold=1.0).extract(Clip("long", small, end=end)))
            status = Path(f"/proc/{child}/status").read_text()
            most = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024
            print(f"memory of the child after a clip of {rows} frames: {most} MB at most")


if __name__ == "__main__":
    main()
