"""Run by test_failing_calls.py with failing_calls.c preloaded: OPERATION ERROR STEP SHIM FOLDER.

Makes the operation once for every STEP-th call in it that changes a file, each time on a new store and with that call
failing, and prints one line of JSON for each: the call, how the process ended, and what is wrong with the store.
"""

import ctypes
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

from featzoo.cache.check import check_store
from featzoo.cache.featureset import FeatureSet
from featzoo.cache.gc import find_garbage, remove_garbage
from featzoo.cache.merge import merge_stores
from featzoo.cache.pack import pack_store
from featzoo.cache.shard import Entry
from featzoo.cache.store import FeatureStore
from featzoo.errors import StoreError
from featzoo.exchange.formats.csd import export_csd
from featzoo.exchange.formats.npz import export_npz, import_npz
from featzoo.media.clip import Clip
from featzoo.sequence import FeatureSequence

COLUMNS = ("a", "b")
# Clips of the store, each in a shard.
COUNT = 4


def made(number: int) -> FeatureSequence:
    """The features of clip `number`, which its id tells."""
    times = np.arange(5 + number)[:, None] + np.array([[0.0, 1.0]])
    return FeatureSequence(np.full((5 + number, 2), number, np.float32), times, COLUMNS)


def store_of(path: Path, numbers: range) -> FeatureStore:
    store = FeatureStore.create(path)
    for number in numbers:
        store.add("x", {f"c{number}": made(number)})
    store.record([Clip(f"c{number}", labels={"n": float(number)}) for number in numbers])
    return store


def prepare(top: Path) -> None:
    """What the operations work on."""
    store = store_of(top / "features", range(COUNT))
    store_of(top / "other", range(COUNT - 1, COUNT + 2))
    store_of(top / "few", range(1))
    export_npz(top / "other", "x", top / "in.npz")
    found = store["x"]
    found.write([Entry("old", source, made(3)) for source in ("", "")])  # of two copies one is garbage


def repairable(top: Path) -> None:
    damaged = sorted((top / "features").glob("x-*/shards/*.h5"))[0]
    damaged.write_bytes(damaged.read_bytes()[:3000])


def add(top: Path) -> None:
    store = FeatureStore.create(top / "features")
    store.add("x", {f"c{number}": made(number) for number in (20, 21)})
    store.add("y", {"c1": made(1)})
    store.record([Clip("c20", labels={"n": 20.0})])


def pack(top: Path) -> None:
    store = FeatureStore(top / "features")
    for _ in range(2):
        list(pack_store(store, grace=0))


def gc(top: Path) -> None:
    store = FeatureStore(top / "features")
    for _ in range(2):
        remove_garbage(store, list(find_garbage(store, grace=0)), grace=0)


def merge(top: Path) -> None:
    list(merge_stores(FeatureStore(top / "features"), FeatureStore(top / "other")))


def bring_in(top: Path) -> None:
    import_npz(top / "in.npz", top / "features", "x")


def repair(top: Path) -> None:
    list(check_store(FeatureStore(top / "features"), repair=True))


def export(top: Path) -> None:
    export_csd(top / "few", "x", top / "out.csd")
    export_npz(top / "few", "x", top / "out.npz")


OPERATIONS: dict[str, Callable[[Path], None]] = {
    "add": add, "pack": pack, "gc": gc, "merge": merge, "import": bring_in, "repair": repair, "export": export,
}  # fmt: skip


def wrong(top: Path, operation: str) -> Iterator[str]:
    """What is not as it should be in the store and beside it."""
    store = FeatureStore(top / "features")
    if operation != "repair":
        yield from (f"{damage.place.name}: {damage.problem}" for damage in check_store(store))
    lost = {*(f"c{number}" for number in range(COUNT)), "old"} - {*store["x"]}
    if len(lost) > (operation == "repair"):  # it has one clip in the damaged shard
        yield f"lost {sorted(lost)}"
    for found in store.sets():
        yield from _wrong_in(found)
    for name, clip in store.clips().items():
        if clip.labels and dict(clip.labels) != {"n": float(name[1:])}:
            yield f"label of {name}"
    yield from (f"left {place.name}" for place in top.rglob("*.tmp"))
    if (top / "out.csd").exists():
        with h5py.File(top / "out.csd") as file:
            for clip, group in file["x/data"].items():
                if not (group["features"][:] == number_of(clip)).all():
                    yield f"{clip} in out.csd"
    if (top / "out.npz").exists() and len(np.load(top / "out.npz")["clip_ids"]) != 1:
        yield "out.npz"


def number_of(clip: str) -> int:
    return 3 if clip == "old" else int(clip[1:])


def _wrong_in(found: FeatureSet) -> Iterator[str]:
    for clip in found:
        if not np.array_equal(found[clip].features, made(number_of(clip)).features):
            yield f"features of {clip}"


def in_a_process(work: Callable[[], int]) -> int:
    """The exit status of a forked process, negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            status = work()
        except StoreError:
            status = 1
        except BaseException as error:  # noqa: BLE001  (reported by the status)
            print(json.dumps(repr(error)), file=sys.stderr, flush=True)
            status = 3
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    name, error, step, library, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], Path(sys.argv[5])
    shim = ctypes.CDLL(library)
    prepare(folder / "made")
    if name == "repair":
        repairable(folder / "made")
    top = folder / "trial"

    def work() -> int:
        shim.arm(number, error, str(top).encode())
        OPERATIONS[name](top)
        return 2 if shim.remaining() >= 0 else 0

    def verdict() -> int:
        problems = list(wrong(top, name))
        print(json.dumps({"call": number, "status": status, "wrong": problems}), flush=True)
        return 0

    number, status = 0, 0
    while status not in (2, 3):
        shutil.rmtree(top, ignore_errors=True)
        shutil.copytree(folder / "made", top)
        status = in_a_process(work)
        if in_a_process(verdict):
            print(json.dumps({"call": number, "status": status, "wrong": ["cannot be looked at"]}), flush=True)
        number += step


if __name__ == "__main__":
    main()
