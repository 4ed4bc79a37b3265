"""`feat extract` of eGeMAPS low-level descriptors against openSMILE alone.

Floor: bare `opensmile.Smile.__call__` on already decoded sound in as many threads as cores; ours also
opens, decodes, digests and stores. Start-up is left out on both sides: the worker processes and openSMILE
are warm before the clock starts. Target: at least 0.9 of the bare rate.

    python benchmarks/extract.py [--clips 200] [--seconds 3] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
import opensmile

from featzoo import FeatureStore, extract_all, find_clips, make_extractor

RATE = 16000
TARGET = 0.9


def make_sound(seed: int, seconds: float) -> np.ndarray:
    """Voiced-like sound, (N,) int16: pulses through noise, so that pitch trackers have work to do."""
    rng = np.random.default_rng(seed)
    time_ = np.arange(int(RATE * seconds)) / RATE
    pitch = 120 + 60 * np.sin(2 * np.pi * 0.7 * time_ + seed)
    voice = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / RATE)) * (np.sin(2 * np.pi * 3 * time_) > -0.3)
    return np.clip(6000 * voice + rng.normal(0, 400, len(time_)), -32768, 32767).astype(np.int16)


def write(folder: Path, count: int, seconds: float, first: int) -> None:
    folder.mkdir()
    for number in range(first, first + count):
        with wave.open(str(folder / f"clip{number:04d}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(make_sound(number, seconds).tobytes())


def bare(sounds: list[np.ndarray], threads: int) -> float:
    """Clips per second of openSMILE alone, one instance a thread."""
    levels = opensmile.FeatureLevel.LowLevelDescriptors
    smiles = [opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, levels) for _ in range(threads)]
    shares = [sounds[i::threads] for i in range(threads)]

    def work(number: int) -> None:
        for sound in shares[number]:
            smiles[number](sound, RATE)

    for number in range(threads):
        smiles[number](sounds[0], RATE)
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    return len(sounds) / (time.perf_counter() - started)


def ours(folder: Path, store: Path, jobs: int) -> float:
    """Clips per second of `feat extract` in worker processes that are already up."""
    clips = find_clips(folder).clips
    started = time.perf_counter()
    report = extract_all(FeatureStore.create(store), [make_extractor("egemaps")], clips, jobs=jobs)
    seconds = time.perf_counter() - started
    assert all(outcome.state == "stored" for outcome in report.outcomes), report.failed[:3]
    return len(clips) / seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    jobs = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        write(top / "warm", 4 * jobs, options.seconds, 10_000)
        write(top / "clips", options.clips, options.seconds, 0)
        sounds = [make_sound(i, options.seconds).astype(np.float32)[None] / 32768 for i in range(options.clips)]
        ours(top / "warm", top / "warm-store", jobs)
        pairs = [
            (bare(sounds, jobs), ours(top / "clips", top / f"store{number}", jobs)) for number in range(options.rounds)
        ]
    ratios = [mine / floor for floor, mine in pairs]
    for floor, mine in pairs:
        print(f"bare openSMILE {floor:6.1f} clips/s   feat extract {mine:6.1f} clips/s   ratio {mine / floor:.2f}")
    print(f"{options.clips} clips of {options.seconds} s, {jobs} threads or processes")
    print(f"extract/bare: median ratio {median(ratios):.2f} (target {TARGET})")


if __name__ == "__main__":
    main()
