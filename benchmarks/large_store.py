"""A store of a million clips: what `feat ls`, opening it and a condition cost, in fresh processes.

The store (one feature set; split, speaker, emotion and valence of each clip) is made once and kept in the temporary
folder. Seconds of commands are CPU time, which includes the start of Python. Opening is timed by the clock from before
featzoo is imported, the best of five. The store's index is saved by the first process that opens it, whose time is
printed beside.

Exit status 1 if a target is missed.

    python benchmarks/large_store.py [--clips 1000000]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import figures
import numpy as np
import pyarrow as pa
import xxhash
from pyarrow import parquet

from featzoo import FeatureSequence, FeatureStore
from featzoo.cache.pack import pack_store
from featzoo.cache.shard import FORMAT

RUN = """
import json, sys, time
from pathlib import Path
def peak():
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024
path, number = sys.argv[1], int(sys.argv[2])
started = time.perf_counter()
"""
LS = 'from featzoo.cli import feat\nfeat(["ls", "-o", path], standalone_mode=False)\n'
WHERE = """
from featzoo import FeatureStore
store = FeatureStore(path)
found = store.query("split = 'test' and emotion = 'angry' and seconds > 2", ["clip"])
assert len(found) == number // 25, len(found)
"""
OPEN = """
from featzoo import FeatureStore
store = FeatureStore(path)
assert len(store["x"]) == number
assert store["x"][f"folder/{number // 2:07d}.mp4"].features[0, 0] == number // 2
"""
END = 'print(json.dumps({"wall": time.perf_counter() - started, "cpu": time.process_time(), "mb": peak()}))'


def made_store(count: int) -> Path:
    """A packed store with its catalogue, made if it is not there."""
    path = Path(tempfile.gettempdir()) / f"featzoo-benchmark-large-{FORMAT}-{count}"
    if (path / "made").is_file():
        return path
    store = FeatureStore.create(path)
    numbers = np.arange(count)
    ids = [f"folder/{i:07d}.mp4" for i in range(count)]
    names = pa.array(["speaker", "emotion"]).take(pa.array(np.tile([0, 1], count)))
    emotions = np.array(["angry", "sad", "happy", "neutral"])[numbers % 4]
    speakers = np.char.add("s", (numbers % 100).astype(str))
    values = pa.array(np.stack([speakers, emotions], axis=1).ravel())
    ones, twos = (pa.array(np.arange(0, width * count + 1, width, dtype=np.int32)) for width in (1, 2))
    table = pa.table({
        "id": ids,
        "path": ids,
        "start": np.zeros(count),
        "end": 1.0 + numbers // 20 % 10,
        "split": np.array(["test", "train", "train", "valid", "train"])[numbers // 4 % 5],
        "labels": pa.MapArray.from_arrays(ones, pa.array(["valence"] * count), pa.array(numbers / 1)),
        "categories": pa.MapArray.from_arrays(twos, names, values),
        "media": ["0" * 64] * count,
    })  # fmt: skip
    image = pa.BufferOutputStream()
    parquet.write_table(table, image)
    content = image.getvalue().to_pybytes()
    (path / "clips").mkdir()
    (path / "clips" / f"{1:020d}-{xxhash.xxh3_64_hexdigest(content)}.parquet").write_bytes(content)
    times, columns = np.array([[0.0, 1.0]]), ("a", "b")
    rows = np.repeat(numbers.astype(np.float32)[:, None, None], 2, axis=2)  # (N, 1, 2)
    store.add("x", ((clip, FeatureSequence.stored(rows[i], times, columns)) for i, clip in enumerate(ids)))
    list(pack_store(store, grace=0))
    (path / "made").touch()
    return path


def run(path: Path, count: int, work: str) -> dict[str, Any]:
    """Wall and CPU seconds and peak memory of some lines of Python in a fresh process."""
    command = [sys.executable, "-c", RUN + work + END, str(path), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=1_000_000)
    count = parser.parse_args().clips
    path = made_store(count)
    first = run(path, count, OPEN)
    found = {name: run(path, count, work) for name, work in (("ls", LS), ("where", WHERE))}
    what = f"{count:,} clips: "
    figures.verdict(f"{what}feat ls, CPU seconds", found["ls"]["cpu"], 2, "", most=True)
    figures.verdict(f"{what}feat ls, MB", found["ls"]["mb"], 500, "", most=True)
    opened = min((run(path, count, OPEN) for _ in range(5)), key=lambda each: each["wall"])
    detail = f"{opened['cpu']:.2f} CPU, {opened['mb']:.0f} MB; first time {first['wall']:.2f}"
    figures.verdict(f"{what}open and read a clip, seconds", opened["wall"], 1, detail, most=True)
    figures.note(
        f"{what}a condition on four columns, CPU seconds", found["where"]["cpu"], f"{found['where']['mb']:.0f} MB"
    )
    if figures.missed:
        sys.exit(f"missed: {', '.join(figures.missed)}")


if __name__ == "__main__":
    main()
