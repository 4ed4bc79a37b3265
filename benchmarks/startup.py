"""CPU seconds from the shell to the result, beside the bare libraries in the same state of the machine.

    python benchmarks/startup.py [--runs 3] [--only "one clip"]

Counted are the CPU seconds of the command and all its workers; the best of some runs, so that files are in memory and
compiled. The ratio to the bare library is what featzoo adds.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parents[1]
CLIPS = ROOT / "examples" / "clips"
SMILE = """
import sys, opensmile
smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.LowLevelDescriptors)
for path in sys.argv[1:]:
    smile.process_file(path)
"""
FILES = """
import sys, opensmile
smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.LowLevelDescriptors, num_workers=2)
smile.process_files(sys.argv[1:])
"""
MINILM = """
import featzoo.weights.imports, torch
from transformers import AutoModel, AutoTokenizer
"""


def cpu(*command: object) -> float:
    """CPU seconds of a command with its children.

    Raises:
        SystemExit: If it fails.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{command}: {done.stdout}{done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="only the rows with this in their name")
    given = parser.parse_args()
    feat = Path(sys.executable).with_name("feat")
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        many = top / "many"
        many.mkdir()
        noise = np.random.default_rng(0).normal(0, 0.1, 16000 * 3)
        for number in range(200):
            soundfile.write(many / f"{number:03d}.wav", np.roll(noise, number * 97), 16000)
        words = top / "words"
        words.mkdir()
        for name in ("clip01.mp4", "clip01.srt"):
            shutil.copy(CLIPS / name, words)
        one = many / "000.wav"

        def extract(source: Path, request: str, store: str) -> float:
            return cpu(feat, "extract", source, "-x", request, "-o", top / store)

        def fresh(source: Path, request: str) -> float:
            shutil.rmtree(top / "new", ignore_errors=True)
            return extract(source, request, "new")

        sounds = sorted(many.glob("*.wav"))
        rows: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
            "one clip, egemaps": (lambda: fresh(one, "egemaps"), lambda: cpu(sys.executable, "-c", SMILE, one)),
            "one clip, bert.minilm": (lambda: fresh(words, "bert.minilm"), lambda: cpu(sys.executable, "-c", MINILM)),
            "200 clips, cached": (
                lambda: extract(many, "egemaps", "cached"), lambda: cpu(sys.executable, "-c", "import h5py"),
            ),
            "200 clips, egemaps": (lambda: fresh(many, "egemaps"), lambda: cpu(sys.executable, "-c", FILES, *sounds)),
        }  # fmt: skip
        print(f"{'':<24}{'featzoo':>10}{'bare':>10}{'ratio':>8}   CPU seconds")
        for name, measures in rows.items():
            if given.only not in name:
                continue
            if "cached" in name:
                extract(many, "egemaps", "cached")
            ours, bare = (min(measure() for _ in range(given.runs)) for measure in measures)
            print(f"{name:<24}{ours:>10.2f}{bare:>10.2f}{ours / bare:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
