"""Run by test_flips.py: KIND,KIND,... COUNT SEED FOLDER.

Flips one bit of a file of each KIND in a copy of a store, then reads everything and runs the commands; prints one line
of JSON for each flip: the file, the bit, the values that were wrong, and the commands that ended in a traceback.
"""

import hashlib
import json
import random
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.index import SetIndex
from featzoo.cache.pack import pack_store
from featzoo.cache.shard import Entry
from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.digests import SETTLED_SECONDS, ContentDigests
from featzoo.errors import FeatzooError
from featzoo.media.clip import Clip
from featzoo.media.transcripts import Word
from featzoo.sequence import FeatureSequence

KINDS = {
    "shard": "x-*/shards/*.h5",
    "index": "index/*.index",
    "set": "x-*/set.json",
    "clips": "clips/*.parquet",
    "marker": "STORE.json",
    "failure": "x-*/failures/*.json",
    "note": "x-*/merged/*.json",
    "digests": "index/digests-*.json",
}
# Files that featzoo 0.1 wrote.
OLDER = {"shard-1": "motion-energy-*/shards/*.h5", "clips-1": "clips/*.parquet"}
FIXTURE = Path(__file__).parents[1] / "fixtures" / "0.1.0" / "features"
CLIPS = 4
SPEC = {"reads": [], "options": {"size": 3}}
PROVENANCE = {"host": "here", "created": "2026-01-01T00:00:00Z"}
COLUMNS = ("größe", "b")


def made(number: int) -> FeatureSequence:
    times = np.arange(2 + number)[:, None] + np.array([[0.0, 1.0]])
    return FeatureSequence(np.full((2 + number, 2), number, np.float32), times, COLUMNS)


def clip(number: int) -> Clip:
    words = (Word(f"wörd {number}", 0.0, 0.5),)
    return Clip(f"c{number}", labels={"n": float(number)}, split="test" if number % 2 else "train", words=words)


def prepare(path: Path) -> None:
    """A store with files of every kind; merged shards and those that replace them are both there."""
    SetIndex.SAVE_AFTER = 1
    store = FeatureStore.create(path)
    found = store.add("x", {}, spec=SPEC, provenance=PROVENANCE)
    for number in range(CLIPS):
        found.write([Entry(f"c{number}", "s" * 64, made(number), {"gap": f"nöte {number}"} if number % 3 == 0 else {})])
    store.record(map(clip, range(CLIPS)))
    found.fail("lost", "s" * 64, "no-audio", "it has no sound")
    list(pack_store(store))
    found.index.refresh()
    FeatureStore(path)["x"].index  # noqa: B018  (saves it)
    media = path.parent / "media.wav"
    media.write_bytes(bytes(1000))
    time.sleep(2 * SETTLED_SECONDS)  # the digest of a file that has just changed is not kept
    digests = ContentDigests(path / "index")
    digests.of([media])
    digests.save()


def wrong_values(path: Path, repaired: bool = False) -> Iterator[str]:
    """What a read gives that is not what was written; an error is not wrong, nor is what a repair has set aside."""
    for request in ("x", "x[size=3]"):
        try:
            store = FeatureStore(path)
            found = store[request]
        except FeatzooError:
            continue
        if (found.options, found.reads, found.provenance) != (SPEC["options"], (), PROVENANCE):
            yield "spec or provenance"
        told = bool(found.index.bad or found.index.newer or repaired)
        if found.ids() != [f"c{number}" for number in range(CLIPS)] and not told:
            yield "ids"
        for number in range(CLIPS):
            yield from wrong_clip(store, found, number, repaired)
        failure = found.failure("lost")
        if failure and (failure.source, failure.reason, failure.message) != ("s" * 64, "no-audio", "it has no sound"):
            yield "failure"
    media = path.parents[1] / "media.wav"
    if ContentDigests(path / "index").of([media])[media] != hashlib.sha256(bytes(1000)).hexdigest():
        yield "digest of media"


def wrong_clip(store: FeatureStore, found: FeatureSet, number: int, repaired: bool) -> Iterator[str]:
    name = f"c{number}"
    try:
        got, want = found[name], made(number)
        same = np.array_equal(got.features, want.features) and np.array_equal(got.intervals, want.intervals)
        if not same or got.names != COLUMNS:
            yield f"features of {name}"
        if not found.holds(name, "s" * 64):
            yield f"source of {name}"
        if found.notes(name) != ({"gap": f"nöte {number}"} if number % 3 == 0 else {}):
            yield f"notes of {name}"
    except FeatzooError:
        pass
    try:
        if store.clips().get(name) not in (clip(number), None if repaired else clip(number)):
            yield f"labels of {name}"
    except FeatzooError:
        pass


def tracebacks(path: Path, name: str) -> Iterator[str]:
    """Commands that ended in a traceback; after a repair nothing is damaged."""
    for line in ("ls", f"ls {name}", f"show {name}", "check", "check --repair", "ls", "check"):
        done = CliRunner().invoke(feat, [*line.split(), "-o", str(path)])
        if done.exception and not isinstance(done.exception, SystemExit):
            yield f"feat {line}: " + "".join(traceback.format_exception(done.exception))[-600:]
    if done.exit_code:
        yield f"still damaged: {done.output}"


def main(kind: str, count: int, seed: int, top: Path) -> None:
    source, name = top / "features", "x"
    if kind in OLDER:
        source, name = FIXTURE, "motion-energy"
    else:
        prepare(source)
    chance = random.Random(f"{kind} {seed}")
    places = [place.relative_to(source) for place in sorted(source.glob({**KINDS, **OLDER}[kind]))]
    for _ in range(count):
        place = chance.choice(places)
        copy = Path(shutil.copytree(source, top / "flipped" / "features"))
        raw = bytearray((copy / place).read_bytes())
        bit = chance.randrange(8 * len(raw))
        raw[bit // 8] ^= 1 << bit % 8
        (copy / place).write_bytes(raw)
        print(json.dumps({"place": str(place), "bit": bit}), flush=True)
        # Format 1 has no checksums for most of its values: only its errors are looked at.
        wrong = [] if kind in OLDER else sorted({*wrong_values(copy)})
        broken = [*tracebacks(copy, name)]
        if kind not in OLDER:
            wrong += [f"{each}, repaired" for each in wrong_values(copy, repaired=True)]
        print(json.dumps({"wrong": wrong, "tracebacks": broken}), flush=True)
        shutil.rmtree(top / "flipped")


if __name__ == "__main__":
    for each in sys.argv[1].split(","):
        main(each, int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]) / each)
