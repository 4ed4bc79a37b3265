"""Reading whole clips at random from the store, against one HDF5 dataset per clip, same data, same order.

Floor: a bare `np.memmap` of the same bytes. Warm: all files are in the page cache. Also with every byte summed.
Target: at least 8 times one dataset per clip.

    python benchmarks/store_read.py [--clips 4000]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import h5py
import numpy as np

from featzoo import FeatureStore

TARGET = 8.0


def rate(read: Callable[[int], np.ndarray], order: np.ndarray) -> float:
    """Clips per second, the median of five rounds after one to warm up."""
    figures = []
    for _ in range(6):
        started = time.perf_counter()
        for number in order:
            read(number)
        figures.append(len(order) / (time.perf_counter() - started))
    return median(figures[1:])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=4000)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(rng.integers(20, 121), 512)).astype(np.float32) for _ in range(options.clips)]
    ids = [f"folder/clip{number}.mp4" for number in range(options.clips)]
    edges = np.cumsum([0, *map(len, arrays)])
    order = rng.permutation(options.clips)
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        store = FeatureStore.create(top / "features")
        stored = store.add("x", zip(ids, arrays, strict=True))
        np.concatenate(arrays).tofile(top / "bare.f32")
        bare = np.memmap(top / "bare.f32", np.float32, "r").reshape(-1, 512)  # (sum T, D)
        with h5py.File(top / "per_clip.h5", "w") as file:
            for clip_id, array in zip(ids, arrays, strict=True):
                file[clip_id] = array
        with h5py.File(top / "per_clip.h5", "r") as file:
            for number in (0, options.clips - 1):
                assert np.array_equal(stored[ids[number]].features, arrays[number])
            found = {
                "dataset per clip": rate(lambda i: file[ids[i]][:], order),
                "store[set][clip]": rate(lambda i: stored[ids[i]].features, order),
                "np.memmap": rate(lambda i: bare[edges[i] : edges[i + 1]], order),
                "dataset per clip, summed": rate(lambda i: file[ids[i]][:].sum(), order),
                "store[set][clip], summed": rate(lambda i: stored[ids[i]].features.sum(), order),
                "np.memmap, summed": rate(lambda i: bare[edges[i] : edges[i + 1]].sum(), order),
            }
    for way, figure in found.items():
        print(f"{way:<28} {figure:>10,.0f} clips/s")
    ratio = found["store[set][clip]"] / found["dataset per clip"]
    print(
        f"store/dataset per clip: {ratio:.1f} (target {TARGET}); with every byte summed on both sides "
        f"{found['store[set][clip], summed'] / found['dataset per clip, summed']:.1f}"
    )


if __name__ == "__main__":
    main()
