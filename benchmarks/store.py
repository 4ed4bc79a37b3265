"""Every speed claim of the store in one run: ours and the peer beside each other, as ratios with their targets.

- Reads: random whole clips, all files in the page cache. A read is done when the clip's largest value is known: every
  byte has been looked at, on all sides alike. Peers: one HDF5 dataset per clip, the same with gzip-9 as in .csd files,
  a .npy file per clip; floor: a bare np.memmap of the same bytes. Each way has a hundred turns of a hundredth of a
  second, other clips in every turn, and its best turn counts (by rows: clips differ in length). Seconds are the
  process's CPU time: other processes make a turn longer, not slower. But ours and the floor wait for memory, which
  other processes use too, while the peers compute: their ratio is lower on a busy machine. How fast arrays are had
  whose bytes nobody looks at is printed beside it.
- Verification: first reads of all clips, each compared with its checksum, against first reads that are not; and later
  reads of a store that verifies against one that does not. A store is opened and its files mapped anew for each first
  pass. A read is done when the largest value of the features and of the intervals is known: the checksum covers both,
  and an unverified read that nobody looks at touches no byte of the file. Beside it: both copied to new arrays, and the
  price where nobody looks at them, which is that of the hash.
- Batches: shuffled padded batches of 64 through torch's DataLoader. Peer: a dataset that reads one HDF5 dataset per
  clip and pads in its collate function, with 0 and 2 workers (wall time), whichever is faster.
- Opening: a packed store of 100,000 clips and 6 feature sets in a fresh process, and one clip read from each set. (The
  store is made once and kept in the temporary folder.)
- Alignment: 50 videos of 100 words, 74 columns at 100 Hz and 35 at 30 Hz, read from a store, against mmsdk's align on
  arrays in memory, if mmsdk can be imported (see benchmarks/alignment.py).
- A million clips: benchmarks/large_store.py, and engines: benchmarks/engines.py, run at the end.

Exit status 1 if a target is missed or could not be measured.

    python benchmarks/store.py [--clips 2199] [--only reads,verification,batches,opening,large,alignment,engines]
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import figures
import h5py
import numpy as np
from alignment import measure

from featzoo import FeatureSequence, FeatureStore
from featzoo.cache.owner import Verify
from featzoo.cache.pack import pack_store
from featzoo.cache.shard import FORMAT

# Rows of a clip, and columns: an encoder's words or frames, 144 KB a clip; eGeMAPS of 2 to 7 s, 45 KB.
SHAPES = {"512 wide": (20, 121, 512), "25 wide": (200, 701, 25)}
GZIPPED = 200  # clips: writing them takes a second per fifty
CLIPS, SETS = 100_000, 6
FIRST_READS = 15  # passes over all clips
VERIFY: tuple[Verify, ...] = ("first", "never")
OPENED = """
import json, sys, time
from pathlib import Path
from featzoo import FeatureStore
import featzoo.cache.featureset, numpy, h5py
def peak():  # of this program alone: getrusage's also knows what the parent took before exec
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024
bare = peak()
started = time.perf_counter()
store = FeatureStore(sys.argv[1])
rows = sum(float(found["clip/77777.mp4"].features.sum()) for found in store.sets())
seconds = time.perf_counter() - started
held = peak()
clips = sum(len(found) for found in store.sets())
print(json.dumps({"seconds": seconds, "mb": held, "bare": bare, "clips": clips}))
"""


def made_clips(count: int, shape: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """Clips of float32 rows."""
    rng, (fewest, most, columns) = np.random.default_rng(0), shape
    return {
        f"folder/clip{i}.mp4": rng.standard_normal((rng.integers(fewest, most), columns), np.float32)
        for i in range(count)
    }


def reads(top: Path, label: str, clips: Mapping[str, np.ndarray], file: h5py.File, store: FeatureStore) -> None:
    """Random whole-clip reads, every byte looked at."""
    columns = next(iter(clips.values())).shape[1]
    ids = np.random.default_rng(1).permutation(list(clips)).tolist()
    few = ids[:GZIPPED]
    with h5py.File(top / "gzip.h5", "w") as packed:
        for clip in few:
            packed.create_dataset(clip, data=clips[clip], compression="gzip", compression_opts=9)
    (top / "npy").mkdir()
    for number, array in enumerate(clips.values()):
        np.save(top / "npy" / f"{number}.npy", array)
    numbers = {clip: number for number, clip in enumerate(clips)}
    np.concatenate(list(clips.values())).tofile(top / "bare.f32")
    bare = np.memmap(top / "bare.f32", np.float32, "r").reshape(-1, columns)  # (sum T, D)
    edges = np.cumsum([0, *map(len, clips.values())]).tolist()
    spans = {clip: slice(edges[i], edges[i + 1]) for clip, i in numbers.items()}
    mean = np.mean([len(array) for array in clips.values()])
    weights = {clip: len(array) / mean for clip, array in clips.items()}
    found = store["x"]
    for clip in few[:3]:
        assert np.array_equal(found[clip].features, clips[clip])
        assert np.array_equal(bare[spans[clip]], clips[clip])

    def way(read: Callable[[str], np.ndarray], chosen: list[str]) -> Callable[[], float]:
        return figures.turns(itertools.cycle(chosen), lambda clip: read(clip).max(), weights.__getitem__, len(chosen))

    with h5py.File(top / "gzip.h5", "r") as packed:
        rate = figures.best(
            {
                "store": way(lambda clip: found[clip].features, ids),
                "memmap": way(lambda clip: bare[spans[clip]], ids),
                "dataset": way(lambda clip: file[clip][:], ids),
                "npy": way(lambda clip: np.load(top / "npy" / f"{numbers[clip]}.npy"), ids),
                "gzip": way(lambda clip: packed[clip][:], few),
            }
        )
    untouched = {
        "store": figures.turns(itertools.cycle(ids), lambda clip: found[clip].features, weights.__getitem__, len(ids)),
        "dataset": figures.turns(itertools.cycle(ids), lambda clip: file[clip][:], weights.__getitem__, len(ids)),
    }
    for peer, name, target in (
        ("dataset", "reads / one dataset per clip", 10),
        ("gzip", "reads / gzip-9 dataset per clip (.csd)", 50),
        ("npy", "reads / .npy per clip", 5),
        ("memmap", "reads / bare np.memmap", 0.8),
    ):
        figures.verdict(
            f"{label}: {name}", rate["store"] / rate[peer], target, f"{rate['store']:,.0f} / {rate[peer]:,.0f} clips/s"
        )
    rate = figures.best(untouched)
    detail = f"{rate['store']:,.0f} / {rate['dataset']:,.0f} clips/s"
    figures.note(f"{label}: reads / dataset per clip, bytes not looked at", rate["store"] / rate["dataset"], detail)


LOOKS: dict[str, Callable[[FeatureSequence], object]] = {
    "each byte looked at": lambda read: (read.features.max(), read.intervals.max()),
    "copied to new arrays": lambda read: (read.features.copy(), read.intervals.copy()),
    "bytes not looked at": lambda read: None,
}


def verification(label: str, clips: Mapping[str, np.ndarray], store: FeatureStore) -> None:
    """What the checksums cost: first reads, and later ones."""
    ids = np.random.default_rng(2).permutation(list(clips)).tolist()

    def later(verify: Verify, look: Callable[[FeatureSequence], object]) -> Callable[[], float]:
        found = FeatureStore(store.path, verify)["x"]

        def whole() -> float:
            for clip in ids:
                look(found[clip])
            return len(ids)

        return whole

    def seconds(verify: Verify, look: Callable[[FeatureSequence], object]) -> float:
        whole = later(verify, look)
        started = time.process_time()
        whole()
        return time.process_time() - started

    found = {(name, verify): math.inf for name in LOOKS for verify in VERIFY}
    for _ in range(FIRST_READS):
        for name, verify in found:
            found[name, verify] = min(found[name, verify], seconds(verify, LOOKS[name]))
    ratio = {name: found[name, "never"] / found[name, "first"] for name in LOOKS}
    rates = {name: " / ".join(f"{len(ids) / found[name, each]:,.0f}" for each in VERIFY) + " clips/s" for name in LOOKS}
    looked, *others = LOOKS
    figures.verdict(f"{label}: verified / unverified first reads", ratio[looked], 0.7, rates[looked])
    for name in others:
        figures.note(f"{label}: the same, {name}", ratio[name], rates[name])
    rate = figures.best({verify: later(verify, LOOKS[looked]) for verify in VERIFY}, rounds=FIRST_READS)
    detail = f"{rate['first']:,.0f} / {rate['never']:,.0f} clips/s"
    figures.verdict(f"{label}: later reads with / without verification", rate["first"] / rate["never"], 0.9, detail)


def batches(file_path: Path, label: str, clips: Mapping[str, np.ndarray], store: FeatureStore) -> None:
    """Epochs of padded batches."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    from featzoo.zoo.data.torch_dataset import StoreDataset

    class PerClip(Dataset):  # type: ignore[type-arg]
        """As it is usually written: one clip at a time, the file opened by the process that reads."""

        def __init__(self) -> None:
            self.ids, self.file = list(clips), None

        def __len__(self) -> int:
            return len(self.ids)

        def __getitem__(self, number: int) -> torch.Tensor:
            self.file = self.file or h5py.File(file_path, "r")
            return torch.from_numpy(self.file[self.ids[number]][:])

    def padded(rows: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        steps = torch.tensor([len(row) for row in rows])
        values = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (B, T, D)
        return values, torch.arange(values.shape[1]) < steps[:, None]

    def endless(loader: Any) -> Iterator[Any]:
        """Whole batches, epoch after epoch."""
        while True:
            yield from loader

    def loader(dataset: Any, collate: Any, workers: int = 0) -> Any:
        keep = workers > 0
        return DataLoader(
            dataset, 64, True, collate_fn=collate, num_workers=workers, persistent_workers=keep, drop_last=True
        )

    def epoch(batches: Any) -> Callable[[], float]:
        return lambda: 64 * sum(1 for _ in batches)

    torch.set_num_threads(1)
    ours, theirs = StoreDataset(store, {"x": "x"}), PerClip()
    alone = {
        "ours": figures.turns(endless(loader(ours, ours.collate)), lambda batch: None, lambda batch: 64, len(clips)),
        "workers=0": figures.turns(endless(loader(theirs, padded)), lambda batch: None, lambda batch: 64, len(clips)),
    }
    rate = figures.best(alone) | figures.best(
        {"workers=2": epoch(loader(theirs, padded, 2))}, rounds=3, clock=time.perf_counter
    )
    peer = max(rate["workers=0"], rate["workers=2"])
    detail = f"{rate['ours']:,.0f} / {rate['workers=0']:,.0f} (workers=0), {rate['workers=2']:,.0f} (2) clips/s"
    figures.verdict(f"{label}: padded batches / DataLoader, dataset per clip", rate["ours"] / peer, 8, detail)


def big_store() -> Path:
    """A packed store of 100,000 clips and 6 feature sets, made if it is not there."""
    path = Path(tempfile.gettempdir()) / f"featzoo-benchmark-store-{FORMAT}-{CLIPS}x{SETS}"
    if (path / "made").is_file():
        return path
    store = FeatureStore.create(path)
    names = tuple(f"column_{i}" for i in range(16))
    times = np.stack([np.arange(4), np.arange(1, 5)], axis=1).astype(np.float64)
    rows = np.random.default_rng(0).normal(size=(CLIPS, 4, 16)).astype(np.float32)
    for number in range(SETS):
        pairs = ((f"clip/{i:05d}.mp4", FeatureSequence.stored(rows[i], times, names)) for i in range(CLIPS))
        store.add(f"set{number}", pairs)
    list(pack_store(store, grace=0))
    (path / "made").touch()
    return path


def opening() -> None:
    """Time and memory until a clip of each of six sets has been read, in a fresh process."""
    path = big_store()
    command = [sys.executable, "-c", OPENED, str(path)]
    runs = []
    for _ in range(6):  # the first saves the index
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        runs.append(json.loads(done.stdout))
    first, found = runs[0], min(runs[1:], key=lambda run: run["seconds"])
    assert found["clips"] == CLIPS * SETS
    figures.verdict(
        "opening 100,000 clips x 6 sets, seconds", found["seconds"], 0.5, f"first time {first['seconds']:.2f}", True
    )
    mb = max(run["mb"] for run in runs[1:])
    figures.verdict("the same, MB resident", mb, 200, f"{found['bare']:.0f} of them Python, NumPy and h5py", True)


def other(name: str) -> None:
    """Figures from a script of their own."""
    if subprocess.run([sys.executable, str(Path(__file__).with_name(f"{name}.py"))]).returncode:
        figures.missed.append(name)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=2199, help="2199 is CMU-MOSI's number")
    parser.add_argument("--only", default="reads,verification,batches,opening,alignment,large,engines")
    options = parser.parse_args()
    wanted = options.only.split(",")
    print(f"{'':<6}{'ours / peer':<57} {'figure':>8}  target")
    if {"reads", "verification", "batches"} & set(wanted):
        for label, shape in SHAPES.items():
            with tempfile.TemporaryDirectory() as name:
                top = Path(name)
                clips = made_clips(options.clips, shape)
                store = FeatureStore.create(top / "features")
                store.add("x", clips)
                with h5py.File(top / "clips.h5", "w") as file:
                    for clip, array in clips.items():
                        file[clip] = array
                if "reads" in wanted:
                    with h5py.File(top / "clips.h5", "r") as file:
                        reads(top, label, clips, file, store)
                if "verification" in wanted:
                    verification(label, clips, store)
                if "batches" in wanted:
                    batches(top / "clips.h5", label, clips, store)
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        if "opening" in wanted:
            opening()
        if "alignment" in wanted:
            measure(top)
        if "large" in wanted:
            other("large_store")
        if "engines" in wanted:
            other("engines")
    if figures.missed:
        sys.exit(f"missed: {', '.join(figures.missed)}")


if __name__ == "__main__":
    main()
