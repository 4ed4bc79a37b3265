"""`feat extract -x resnet50` against the network's bare forward pass, and beside video_features' way.

Bare: batches that are already decoded, resized and normalised, in as many processes and threads as ours (on a GPU:
one process, batches on the GPU). Ours also opens, seeks, decodes, resizes, digests and stores. Start-up is left out on
all sides: processes and networks are warm before the clock starts. Weights are random: they take the same time.
`decode` is our reading of the same frames without the network; `limit` is what the two could give together: on the CPU
they share the cores, on a GPU the slower one decides. video_features' way: one video after the other, each frame
through torchvision's transforms on a PIL picture, batches that end with the video, one process whose torch has all
the threads.

    OMP_NUM_THREADS=1 python benchmarks/vision.py [--device cpu] [--clips 6] [--rate 4] [--rounds 3] [--precision fp32]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from statistics import median

import av
import numpy as np
from figures import missed, note, verdict

from featzoo import FeatureStore, extract_all, find_clips, make_extractor
from featzoo.extraction.worker import Job, Setup, run_chunk
from featzoo.media.clip import Clip
from featzoo.weights.imports import torchvision_module

TARGET = 0.9
BATCH = 32
HEIGHT, WIDTH, FRAME_RATE = 360, 640, 30


def write_video(path: Path, seconds: float, seed: int) -> None:
    """H.264 as a phone gives it: 640 x 360, 30 frames a second, key frames far apart, things that move, some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    grain = [rng.integers(0, 12, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(5)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FRAME_RATE)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.options = {"preset": "veryfast"}
        for number in range(int(seconds * FRAME_RATE)):
            wave = 100 + 80 * np.sin(x / 40 + number / 9 + seed) * np.cos(y / 30 - number / 14)
            image = np.repeat(wave.astype(np.uint8)[..., None], 3, axis=2) + grain[number % 5]  # (H, W, 3)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


@cache
def network(device: str, precision: str):
    import torch

    torchvision_module()
    from torchvision.models import resnet50

    made = resnet50()
    made.fc = torch.nn.Identity()
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    return made.eval().to(device, dtype, memory_format=torch.channels_last), dtype


def bare(frames: int, threads: int, device: str, precision: str) -> float:
    """Seconds for so many frames through the network, in one process."""
    import torch

    torch.set_num_threads(threads)
    made, dtype = network(device, precision)
    batch = torch.randn(BATCH, 3, 224, 224).to(device, dtype, memory_format=torch.channels_last)
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        made(batch if device != "cpu" else batch[:1])
        started = time.perf_counter()
        for first in range(0, frames, BATCH):
            rows = made(batch[: min(BATCH, frames - first)])
        rows.float().cpu()  # waits for the device
    return time.perf_counter() - started


def read(path: str, rate: float) -> int:
    """Frames of one clip made ready for the network, which is left out."""
    import torch

    torch.set_num_threads(1)
    extractor = make_extractor(f"resnet50[weights=random,rate={rate}]")
    return sum(len(sample) for sample in extractor.load(Clip("a", Path(path))))


def warm_up(path: str) -> None:
    """What a process has once and for all."""
    bare(1, 1, "cpu", "fp32")
    read(path, 1.0)


def video_features_way(paths: list[Path], rate: float, threads: int, device: str, precision: str) -> float:
    """Seconds for all clips, one after the other."""
    import torch

    torch.set_num_threads(threads)
    made, dtype = network(device, precision)
    from torchvision import transforms

    prepare = transforms.Compose(
        [transforms.ToPILImage(), transforms.Resize(232), transforms.CenterCrop(224), transforms.ToTensor(),
         transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    )  # fmt: skip

    def forward(batch: list[torch.Tensor]) -> None:
        made(torch.stack(batch).to(device, dtype)).float().cpu()

    started = time.perf_counter()
    with torch.inference_mode():
        for path in paths:
            batch, due = [], 0.0
            with av.open(str(path)) as container:
                for frame in container.decode(video=0):
                    if frame.time < due - 1e-6:
                        continue
                    due += 1 / rate
                    batch.append(prepare(frame.to_ndarray(format="rgb24")))
                    if len(batch) == BATCH:
                        forward(batch)
                        batch = []
            if batch:
                forward(batch)
    return time.perf_counter() - started


def ours(folder: Path, store: Path, options: argparse.Namespace) -> float:
    """Seconds of `feat extract` in worker processes that are already up."""
    clips = find_clips(folder).clips
    extractor = make_extractor(f"resnet50[weights=random,rate={options.rate},precision={options.precision}]")
    created = FeatureStore.create(store)
    started = time.perf_counter()
    report = extract_all(created, [extractor], clips, jobs=options.jobs, device=options.device)
    seconds = time.perf_counter() - started
    assert all(outcome.state == "stored" for outcome in report.outcomes), report.failed[:3]
    return seconds


def one_process(top: Path, number: int, options: argparse.Namespace) -> tuple[float, float]:
    """CPU seconds of the bare forward pass and of ours (`run_chunk`) for two clips, in this process with one thread.

    Where others use the machine, this says more than the clock.
    """
    extractor = make_extractor(f"resnet50[weights=random,rate={options.rate}]")
    place = top / f"alone{number}"
    FeatureStore.create(place / "store")
    (place / "scratch").mkdir()
    setup = Setup(place / "store", [extractor], place / "scratch", 600.0, device="cpu", jobs=os.cpu_count())
    jobs = [Job(clip, {extractor.key: "source"}) for clip in find_clips(top / "clips").clips[:2]]
    begun = time.process_time()
    receipts = run_chunk(setup, jobs, "task")
    mine = time.process_time() - begun
    assert [receipt.state for receipt in receipts] == ["stored"] * 2
    begun = time.process_time()
    bare(2 * int(options.seconds * options.rate), 1, "cpu", "fp32")
    return time.process_time() - begun, mine


def one_round(pool: ProcessPoolExecutor, top: Path, number: int, options: argparse.Namespace) -> dict[str, float]:
    """Seconds of each way for the same frames."""
    paths = sorted((top / "clips").glob("*.mp4"))
    frames, jobs, device, precision = options.frames, options.jobs, options.device, options.precision
    found: dict[str, float] = {}
    if device == "cpu":
        share = [len(part) for part in np.array_split(np.arange(frames), jobs)]
        calls = pool.map(bare, share, [options.threads] * jobs, [device] * jobs, [precision] * jobs)
        found["bare"] = max(calls)
    else:
        found["bare"] = bare(frames, jobs, device, precision)
    started = time.perf_counter()
    if device == "cpu":
        list(pool.map(read, map(str, paths), [options.rate] * len(paths)))
    else:
        with ThreadPoolExecutor(jobs) as threads:  # as the process of a GPU does it
            list(threads.map(read, map(str, paths), [options.rate] * len(paths)))
    found["decode"] = time.perf_counter() - started
    found["ours"] = ours(top / "clips", top / f"store{number}", options)
    cores = options.threads * jobs
    found["video_features"] = video_features_way(paths, options.rate, cores, device, precision)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rate", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--cpu-seconds", action="store_true", help="only the measure that load disturbs least")
    options = parser.parse_args()
    options.threads = max(1, (os.cpu_count() or 1) // options.jobs)
    options.frames = options.clips * int(options.seconds * options.rate)
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        make_clips(top, options)
        if options.device == "cpu":
            pairs = [one_process(top, number, options) for number in range(options.rounds + 1)][1:]
            ratio = median(floor / mine for floor, mine in pairs)
            verdict("run_chunk / bare forward, CPU seconds", ratio, TARGET, f"load {os.getloadavg()[0]:.1f}")
        if not options.cpu_seconds:
            with ProcessPoolExecutor(options.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
                list(pool.map(warm_up, [str(top / "warm" / "000.mp4")] * options.jobs))
                ours(top / "warm", top / "warm-store", options)
                tell([one_round(pool, top, number, options) for number in range(options.rounds)], options)
    raise SystemExit(bool(missed))


def make_clips(top: Path, options: argparse.Namespace) -> None:
    """Three videos, and copies of them: `clips`, and short ones to warm up with."""
    for folder, clips, seconds in (("warm", 4 * options.jobs, 1.0), ("clips", options.clips, options.seconds)):
        (top / folder).mkdir()
        for number in range(clips):
            path = top / folder / f"{number:03d}.mp4"
            if number < 3:
                write_video(path, seconds, number)
            else:
                path.write_bytes((top / folder / f"{number % 3:03d}.mp4").read_bytes())


def tell(rounds: list[dict[str, float]], options: argparse.Namespace) -> None:
    """Print rates and ratios."""
    rates = {way: median(options.frames / each[way] for each in rounds) for way in rounds[0]}
    shared = 1 / (1 / rates["bare"] + 1 / rates["decode"])
    limit = shared if options.device == "cpu" else min(rates["bare"], rates["decode"])
    how = f"{options.device}, {options.precision}, {options.jobs} jobs, {options.rounds} rounds"
    print(f"{options.frames} frames of {options.clips} clips; {how}, load {os.getloadavg()[0]:.1f}")
    for way, rate in rates.items():
        note(f"{way}, frames/s", rate, "median")
    note("limit of decode and forward together", limit, "frames/s")
    ratio = median(each["bare"] / each["ours"] for each in rounds)
    verdict("feat extract / bare forward", ratio, TARGET, f"limit / bare {limit / rates['bare']:.2f}")
    verdict("feat extract / video_features' way", median(e["video_features"] / e["ours"] for e in rounds), 1.0, "")


if __name__ == "__main__":
    main()
