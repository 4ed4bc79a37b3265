"""COVAREP's features: CPU seconds per second of sound, by stage, beside COVAREP under Octave.

    OMP_NUM_THREADS=1 python benchmarks/covarep.py [--minutes 2]

Sound: the clips of ../shared/data/covarep_reference end to end (or a made voice), repeated.
"""

import argparse
import os
import resource
import time
from functools import wraps
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from featzoo import media
from featzoo.extractors.covarep import analysis, hmpd

# CPU seconds per second of sound, GNU Octave 7.3, one thread, ten clips of 16 kHz, without creak (covarep.md, 16).
OCTAVE = 2.45
DATA = Path(os.environ.get("FEATZOO_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
STAGES = [
    (analysis, "srh"), (analysis, "residual"), (analysis, "polarity"), (analysis, "sedreams"),
    (analysis, "glottal_flow"), (analysis, "voice_quality"), (analysis, "mdq"), (analysis, "peak_slope"),
    (analysis, "spectra"), (analysis, "harmonics"), (analysis, "residual_phases"), (analysis, "rd_msp"),
    (analysis, "true_envelope"), (analysis, "warped_cepstrum"), (hmpd, "phase_distortion"),
    (hmpd, "phase_distortion_mean"), (hmpd, "phase_distortion_deviation"),
]  # fmt: skip


def sound(seconds):
    files = sorted((DATA / "covarep_reference").glob("[!e]*_16k.wav"))
    if files:
        whole = np.concatenate([media.decode_audio(file).samples[0] for file in files])
    else:
        at = np.arange(16000 * 10) / 16000
        whole = 0.1 * sum(np.sin(2 * np.pi * k * 120 * at) / k for k in range(1, 20))
    return np.resize(whole, int(seconds * 16000))


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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=2.0)
    seconds = 60 * parser.parse_args().minutes
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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(
        f"wall {seconds / wall:.1f} x real time; {OCTAVE / (total / seconds):.0f} x less CPU than Octave's {OCTAVE}; "
    )
    print(f"peak memory {peak:.2f} GB")


if __name__ == "__main__":
    main()
