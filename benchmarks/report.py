"""Seconds and megabytes of the two HTML reports on 2,000 clips, beside their limits of 20 s and 15 MB.

    python benchmarks/report.py [--clips 2000]

The clips have five feature sets (25 columns at 100 Hz, 768 columns at 50 Hz ...) and the media of the example clips; a
report shows 12 of them with frames and sound.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from featzoo.cache.store import FeatureStore
from featzoo.media.clip import Clip
from featzoo.reports.run_report import run_report
from featzoo.reports.store_report import store_report
from featzoo.sequence import FeatureSequence

ROOT = Path(__file__).parents[1]
RUN = ROOT / "tests" / "fixtures" / "0.1.0" / "runs" / "lf-dnn"
# Name to columns and rows.
SETS = {"egemaps": (25, 300), "wavlm": (768, 150), "bert": (768, 12), "action-units": (38, 15), "motion": (7, 5)}
SECONDS, MEGABYTES = 20, 15


def make_store(place: Path, number: int) -> FeatureStore:
    """A store of clips with random features, of which every hundredth is far from the others."""
    media = sorted((ROOT / "examples" / "clips").glob("*.mp4"))
    rng = np.random.default_rng(0)
    clips = [
        Clip(f"video{n // 10:03d}/{n:04d}", media[n % len(media)], split=("train", "valid", "test")[n % 3],
             labels={"sentiment": float(np.round(rng.uniform(-3, 3), 1))}, categories={"speaker": f"{n % 40}"})
        for n in range(number)
    ]  # fmt: skip
    store = FeatureStore.create(place)
    store.record(clips)

    def sequences(columns: int, rows: int) -> Iterator[tuple[str, FeatureSequence]]:
        edges = np.linspace(0, 3, rows + 1)
        names = tuple(f"column {k}" for k in range(columns))
        for n, clip in enumerate(clips):
            values = rng.normal(size=(rows, columns)).astype(np.float32) + (5 if n % 100 == 0 else 0)
            yield clip.id, FeatureSequence(values, np.stack([edges[:-1], edges[1:]], axis=1), names)

    for name, (columns, rows) in SETS.items():
        store.add(name, sequences(columns, rows))
    return store


def make_run(place: Path, store: FeatureStore, noise: float) -> Path:
    """A run with predictions of all clips; the rest is that of a small trained one."""
    shutil.copytree(RUN, place)
    rng = np.random.default_rng(1)
    with (place / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "split", "truth", "pred"])
        for name, clip in store.clips().items():
            truth = clip.labels["sentiment"]
            rows.writerow([name, "test", truth, 0.7 * truth + noise * rng.normal()])
    environment = json.loads((place / "environment.json").read_text(encoding="utf-8"))
    (place / "environment.json").write_text(json.dumps(environment | {"store": str(store.path)}), encoding="utf-8")
    return place


def measure(name: str, place: Path, make: Callable[[], object]) -> None:
    """Print a row of the table."""
    started = time.perf_counter()
    make()
    seconds, size = time.perf_counter() - started, place.stat().st_size / 1e6
    print(f"{name:<16} {seconds:8.1f} of {SECONDS} s {size:8.1f} of {MEGABYTES} MB")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=2000)
    number = parser.parse_args().clips
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        store = make_store(top / "features", number)
        runs = [make_run(top / f"run{noise}", store, noise) for noise in (1, 2)]
        page = top / "page.html"
        measure("feat report", page, lambda: store_report(store.path, page))
        measure("zoo report, 2", page, lambda: run_report(runs, page))


if __name__ == "__main__":
    main()
