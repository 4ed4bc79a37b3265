"""`feat extract` on a Dask cluster against loky: what the engine costs, and what a killed worker loses.

Both have two worker processes on this machine, already up. First 400 clips of 5 ms each as `feat extract` sends
them, several in a task; then 400 tasks of 5 ms, one by one, as both are set up for it. Floor: 400 x 5 ms / 2 = 1.0 s.
Target: Dask takes at most 1.25 times loky's time, and no clip is lost when one of its workers is killed.

    python benchmarks/engines.py [--rounds 5]        needs featzoo[dask]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from distributed import Client
from joblib import Parallel, delayed

from featzoo import FeatureSequence, FeatureStore, extract_all, make_extractor
from featzoo.extraction.dask import Backend
from featzoo.extraction.driver import Outcome, Report
from featzoo.extraction.engines import EACH_AS_DONE
from featzoo.extractors.contract import Extractor
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of

CLIPS, SECONDS, WORKERS, TARGET = 400, 0.005, 2, 1.25


@dataclass(frozen=True)
class Waits(Extractor):
    """Takes 5 ms of any clip."""

    name = "waits"
    modality = "text"
    reads = ("words",)

    def extract(self, clip: Clip) -> FeatureSequence:
        """One row."""
        time.sleep(SECONDS)
        return FeatureSequence(np.zeros((1, 1), np.float32), np.zeros((1, 2)), ("zero",))


@contextmanager
def dask_cluster(folder: Path) -> Iterator[str]:
    """A scheduler and workers as `dask scheduler` and `dask worker` start them; gives the address."""
    dask, note = Path(sys.executable).with_name("dask"), folder / "scheduler.json"
    where = ["--scheduler-file", str(note), "--host", "127.0.0.1", "--no-dashboard"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    commands = (["scheduler", "--port", "0"], ["worker", "--nworkers", str(WORKERS), "--nthreads", "1"])
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    processes = [subprocess.Popen([str(dask), *command, *where], **quiet) for command in commands]
    try:
        while not (note.exists() and note.stat().st_size):
            time.sleep(0.05)
        address = json.loads(note.read_text())["address"]
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(WORKERS, timeout=60)
        yield address
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()


def extract(folder: Path, clips: list[Clip], extractor: Extractor, **how: object) -> tuple[float, Report]:
    """Seconds of one run into a new store, and its account."""
    store = FeatureStore.create(folder / f"store{time.monotonic_ns()}")
    started = time.perf_counter()
    report = extract_all(store, [extractor], clips, jobs=WORKERS, **how)
    return time.perf_counter() - started, report


def one_by_one(**how: object) -> float:
    """Seconds of 400 tasks of 5 ms."""
    parallel = Parallel(**EACH_AS_DONE, **how)
    started = time.perf_counter()
    count = sum(1 for _ in parallel(delayed(time.sleep)(SECONDS) for _ in range(CLIPS)))
    assert count == CLIPS
    return time.perf_counter() - started


def kill_one(folder: Path, clips: list[Clip], extractor: Extractor, address: str) -> tuple[int, int]:
    """Clips stored and clips lost of a run in which a worker is killed at its first stored clip."""
    killed = []

    def kill(_: Outcome) -> None:
        marks = sorted(folder.glob("store*/index/runs/*/*.clip"))
        if marks and not killed:
            killed.append(int(marks[0].name.split(".")[0].rsplit("-", 1)[1]))
            os.kill(killed[0], signal.SIGKILL)

    _, report = extract(folder, clips, extractor, backend="dask", scheduler=address, on_outcome=kill)
    assert killed, "no worker had a clip in hand"
    stored = sum(outcome.state == "stored" for outcome in report.outcomes)
    return stored, len(clips) - stored


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    # By its path, so that workers find it in this file too.
    extractor = make_extractor("engines:Waits")
    clips = [Clip(f"clip{number:03}", words=words_of("so it goes")) for number in range(CLIPS)]
    with tempfile.TemporaryDirectory() as name, dask_cluster(Path(name)) as address, Client(address) as client:
        top = Path(name)
        on_dask = {"backend": "dask", "scheduler": address}
        few = clips[: 4 * WORKERS]
        extract(top, few, extractor)
        extract(top, few, extractor, **on_dask)
        runs, tasks = [], []
        for _ in range(options.rounds):
            runs.append((extract(top, clips, extractor)[0], extract(top, clips, extractor, **on_dask)[0]))
            tasks.append((one_by_one(n_jobs=WORKERS), one_by_one(backend=Backend(client=client), pre_dispatch="all")))
        for title, pairs in (("feat extract, 400 clips of 5 ms", runs), ("400 tasks of 5 ms", tasks)):
            loky, dask = (median(times) for times in zip(*pairs, strict=True))
            ratio = median(dask / loky for loky, dask in pairs)
            print(f"{title}: loky {loky:.2f} s, Dask {dask:.2f} s, median ratio {ratio:.2f} (target {TARGET})")
        stored, lost = kill_one(top, clips, extractor, address)
        print(f"a Dask worker killed in the middle: {stored} of {CLIPS} clips stored, {lost} lost (target 0)")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
