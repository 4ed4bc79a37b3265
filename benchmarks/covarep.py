"""COVAREP's features: CPU seconds per second of sound, by stage, beside COVAREP under Octave; memory; linearity.

    OMP_NUM_THREADS=1 python benchmarks/covarep.py [--minutes 2] [--long 10] [--longest 60]

Sound: the clips of ../shared/data/covarep_reference end to end (or a made voice), repeated, with noise at -80 dB.
Lengths over a minute run in processes of their own, whose peak memory is theirs alone; --longest 0 leaves the hour out.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from functools import wraps
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from featzoo.extractors.audio.covarep import analysis, hmpd
from featzoo.media.audio import decode_audio

# CPU seconds per second of sound, GNU Octave 7.3, one thread, ten clips of 16 kHz, without creak (covarep.md, 16).
OCTAVE = 2.45
DATA = Path(os.environ.get("FEATZOO_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
STAGES = [
    (analysis, "srh"), (analysis, "turns"), (analysis, "residual"), (analysis, "polarity"), (analysis, "sedreams"),
    (analysis, "glottal_flow"), (analysis, "voice_quality"), (analysis, "mdq"), (analysis, "peak_slope"),
    (analysis, "spectra"), (analysis, "harmonics"), (analysis, "residual_phases"), (analysis, "rd_msp"),
    (analysis, "true_envelope"), (analysis, "warped_cepstrum"), (hmpd, "phase_distortion"),
    (hmpd, "turned"), (hmpd, "phase_distortion_mean"), (hmpd, "phase_distortion_deviation"),
]  # fmt: skip


def sound(seconds):
    files = sorted((DATA / "covarep_reference").glob("[!e]*_16k.wav"))
    if files:
        whole = np.concatenate([decode_audio(file).samples[0] for file in files])
    else:
        at = np.arange(16000 * 10) / 16000
        whole = 0.1 * sum(np.sin(2 * np.pi * k * 120 * at) / k for k in range(1, 20))
    samples = np.resize(whole.astype(np.float32), int(seconds * 16000))
    random = np.random.default_rng(0)
    for first in range(0, len(samples), 1 << 20):  # no clip comes twice to the last bit
        part = samples[first : first + (1 << 20)]
        part += random.normal(0, 1e-4, len(part)).astype(np.float32)
    return samples


def timed(spent, module, name):
    function = getattr(module, name)

    @wraps(function)
    def call(*args, **options):
        begin = time.process_time()
        try:
            return function(*args, **options)
        finally:
            spent[name] = spent.get(name, 0.0) + time.process_time() - begin

    setattr(module, name, call)


def alone(minutes):
    """CPU seconds per second of sound, and the peak memory in GB of a process that does nothing else."""
    command = [sys.executable, __file__, "--child", str(minutes)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [float(value) for value in answer.split()]


def child(minutes):
    samples = sound(60 * minutes)
    begin = time.process_time()
    analysis.analyse(samples, 16000)
    spent = time.process_time() - begin
    print(spent / (60 * minutes), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--long", type=float, default=10.0)
    parser.add_argument("--longest", type=float, default=60.0)
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    seconds = 60 * options.minutes
    samples = sound(seconds)
    analysis.analyse(samples[:32000], 16000)  # tables that are made once
    spent = {}
    for module, name in STAGES:
        timed(spent, module, name)
    begin, clock = time.process_time(), time.perf_counter()
    analysis.analyse(samples, 16000)
    total, wall = time.process_time() - begin, time.perf_counter() - clock
    print(f"{seconds:.0f} s of sound at 16 kHz, one thread\n{'stage':<28}{'CPU s / s':>10}{'x real time':>13}")
    for name, value in [*spent.items(), ("total", total)]:
        print(f"{name:<28}{value / seconds:>10.4f}{seconds / max(value, 1e-9):>13.0f}")
    rate = OCTAVE / (total / seconds)
    print(f"CPU {seconds / total:.1f}, wall {seconds / wall:.1f} x real time; {rate:.0f} x less CPU than Octave")
    short = alone(1)
    print(f"{'minutes':>8}{'CPU s / s':>11}{'peak GB':>9}")
    for minutes, (cost, peak) in [(1, short), *((m, alone(m)) for m in (options.long, options.longest) if m)]:
        print(f"{minutes:>8.0f}{cost:>11.4f}{peak:>9.2f}   {cost / short[0]:.2f} x the cost of a minute")


if __name__ == "__main__":
    main()
