"""Words: pooling stored features against mmsdk's align, with its mean over 50 videos of 100 words; run by store.py too.

74 columns at 100 Hz and 35 at 30 Hz; ours are read from a store, mmsdk's are arrays in memory. Needs the published
package, which is not ours to install:

    pip install --no-deps --target /tmp/mmsdk cmu-multimodal-sdk==0.0.6 requests validators tqdm
    PYTHONPATH=/tmp/mmsdk python benchmarks/alignment.py
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import figures
import numpy as np

from featzoo import FeatureSequence, FeatureStore


def measure(top: Path) -> None:
    """Words, from the store, against mmsdk on arrays in memory."""
    rng = np.random.default_rng(0)
    streams: dict[str, dict[str, FeatureSequence]] = {"fast": {}, "slow": {}}
    words: dict[str, np.ndarray] = {}
    for video in range(50):
        edges = np.sort(np.round(rng.uniform(0, 60, 101), 3))
        words[f"video{video}"] = np.stack([edges[:-1], edges[1:]], axis=1)
        for name, rate, columns in (("fast", 100, 74), ("slow", 30, 35)):
            start = np.arange(60 * rate) / rate
            values = rng.standard_normal((len(start), columns), np.float32)
            times = np.stack([start, start + 1 / rate], axis=1)
            streams[name][f"video{video}"] = FeatureSequence(values, times, tuple(map(str, range(columns))))
    store = FeatureStore.create(top / "align")
    sets = {name: store.add(name, entries) for name, entries in streams.items()}

    def ours() -> dict[str, dict[str, np.ndarray]]:
        return {name: {i: found[i].pool(words[i]).features for i in words} for name, found in sets.items()}

    seconds = min(timed(ours)[0] for _ in range(5))
    try:
        theirs = [timed_mmsdk(streams, words) for _ in range(3)]
    except ImportError as error:
        figures.missed.append("alignment")
        print(
            f"----  word alignment / mmsdk: not measured ({error}): see benchmarks/alignment.py; ours {seconds:.3f} s"
        )
        return
    aligned, pooled = theirs[0][1], ours()
    for name, entries in pooled.items():
        for clip, rows in entries.items():
            for number, row in enumerate(rows):
                given = aligned[name].data.get(f"{clip}[{number}]")
                same = np.isnan(row).all() if given is None else np.allclose(row, given["features"][0], atol=1e-5)
                assert same, (name, clip, number)
    peer = min(each[0] for each in theirs)
    figures.verdict("word alignment / mmsdk", peer / seconds, 10, f"{seconds:.3f} s / {peer:.2f} s, equal to 1e-5")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds, and what came of it."""
    started = time.process_time()
    found = work()
    return time.process_time() - started, found


def timed_mmsdk(streams: Mapping[str, Mapping[str, FeatureSequence]], words: Mapping[str, np.ndarray]) -> Any:
    """mmsdk's align with a mean as its collapse function."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        from mmsdk.mmdatasdk import computational_sequence, mmdataset

        dataset = mmdataset.__new__(mmdataset)
        dataset.computational_sequences = {}
        spoken = {i: {"features": np.zeros((len(each), 1)), "intervals": each} for i, each in words.items()}
        entries = {
            name: {i: {"features": each.features, "intervals": each.intervals} for i, each in of.items()}
            for name, of in streams.items()
        }
        for name, data in {**entries, "words": spoken}.items():
            dataset.computational_sequences[name] = computational_sequence(name)
            dataset.computational_sequences[name].setData(data, name)
        mean = [lambda intervals, features: np.average(features, axis=0)]
        return timed(lambda: dataset.align("words", collapse_functions=mean))[0], dataset


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name))
    if figures.missed:
        sys.exit(f"missed: {', '.join(figures.missed)}")


if __name__ == "__main__":
    main()
