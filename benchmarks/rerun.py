"""A second `feat extract` over unchanged clips, as a user runs it: a new process, start-up included.

Floor: one `stat` for each clip and reading one index. Target: 1,000 clips under 2 s.

    python benchmarks/rerun.py [--clips 1000]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from extract import write

TARGET = 2.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=1000)
    options = parser.parse_args()
    feat = Path(sys.executable).with_name("feat")
    with tempfile.TemporaryDirectory() as name:
        write(Path(name) / "clips", options.clips, 0.5, 0)
        command = [str(feat), "extract", f"{name}/clips", "-x", "egemaps", "-o", f"{name}/features"]
        for run in ("first", "second", "third"):
            started = time.perf_counter()
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            seconds = time.perf_counter() - started
            print(f"{run} run: {seconds:.2f} s: {printed.splitlines()[1]}")
    assert f"{options.clips} cached" in printed, printed
    print(f"{options.clips} unchanged clips: {seconds:.2f} s (target under {TARGET} s)")


if __name__ == "__main__":
    main()
