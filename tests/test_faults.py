"""What was reported stored survives: processes are killed, disks filled, folders locked, clocks moved, for real.

`make faults` is the long form, 1,000 kills; it ends with a table. `make test` has 20.
"""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import plugins_for_tests as plugins
import pytest
from conftest import ThisProcess, tone, write_wav
from forks import forks

from featzoo.cache import index
from featzoo.cache.check import check_store
from featzoo.cache.featureset import FeatureSet
from featzoo.cache.pack import pack_store
from featzoo.cache.shard import clip_digest
from featzoo.cache.store import FeatureStore
from featzoo.durable import replacing
from featzoo.errors import MissingFeatures, StoreError
from featzoo.extraction.driver import extract_all
from featzoo.media.clip import Clip
from featzoo.media.discovery import find_clips

pytestmark = [pytest.mark.timeout(300), pytest.mark.faults]

EXTRACT = """
import sys
from pathlib import Path
from featzoo.cache.store import FeatureStore
from featzoo.extraction.driver import extract_all
from featzoo.extractors.contract import make_extractor
from featzoo.media.discovery import find_clips

store = FeatureStore.create(sys.argv[1])
clips = [clip for folder in sys.argv[2].split(":") for clip in find_clips(Path(folder)).clips]
extractors = [make_extractor(name) for name in sys.argv[3:]]
report = extract_all(store, extractors, clips, jobs=2, on_outcome=lambda o: print(o.state, o.key, o.clip, flush=True))
print("done", len(report.outcomes), len(report.failed), flush=True)
"""


def start(store, folders, *extractors):
    # A session of its own: its workers are in one process group with it and die with it.
    return subprocess.Popen(
        [sys.executable, "-c", EXTRACT, str(store), ":".join(map(str, folders)), *extractors],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def account(path, reported):
    """How many clips that were reported stored are not there, and how many sequences are not what was written."""
    tally = Counter(lost=0, bad=0)
    sets = {found.key: found for found in FeatureStore(path).sets()} if (path / "STORE.json").exists() else {}
    for key, clip in reported:
        tally["lost"] += key not in sets or clip not in sets[key]
    for found in sets.values():
        tally["bad"] += len(found.index.bad)
        for clip in found.ids():
            got, place = found[clip], found.place(clip)
            tally["bad"] += clip_digest(got.features, got.intervals) != place.digest
    return tally


def outcomes(lines):
    """State by set and clip, of whole lines only."""
    words = [line.rstrip("\n").split(" ", 2) for line in lines if line.endswith("\n")]
    return {(key, clip): state for state, key, clip in words if state in ("stored", "cached", "failed")}


def run_and_kill(process, wait, within):
    """The lines that a process printed before SIGKILL: anywhere, or `within` seconds of the first clip stored."""
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))
    reader.start()
    while wait and process.poll() is None and not any(line.startswith("stored") for line in lines):
        time.sleep(0.005)
    time.sleep(within)
    with suppress(ProcessLookupError):  # it may have finished
        os.killpg(process.pid, signal.SIGKILL)
    killed = process.wait() == -signal.SIGKILL
    reader.join()
    process.stdout.close()
    process.stderr.close()
    return lines, killed


def test_kills_lose_nothing(tmp_path, examples, kills, count_faults, request):
    seed = request.node.name
    voices = tmp_path / "voices"
    voices.mkdir()
    for number in range(160):
        write_wav(voices / f"v{number:03}.wav", tone(0.3, pitch=100 + number, seed=number))
    store, reported, chance = tmp_path / "features", set(), random.Random(seed)
    work = ([examples, voices], "motion-energy", "plugins_for_tests:Slow")
    tally = Counter(kills=0, lost=0, bad=0)
    for number in range(3 * kills):
        # A set of its own, so that every run has work to be killed in.
        process = start(store, *work, f"plugins_for_tests:Slow[hop=0.{number + 10}]")
        anywhere = number % 4 == 3  # start-up too
        lines, killed = run_and_kill(process, not anywhere, chance.uniform(0.0, 2.0 if anywhere else 0.6))
        reported |= {each for each, state in outcomes(lines).items() if state == "stored"}
        tally.update(account(store, reported), kills=killed)
        if tally["kills"] == kills:
            break
    count_faults("SIGKILL: extract", trials=tally["kills"], lost=tally["lost"], silently_wrong=tally["bad"])
    assert tally["kills"] == kills
    assert (tally["lost"], tally["bad"]) == (0, 0)
    assert len(reported) > 5 * kills
    out, errors = (process := start(store, *work)).communicate(timeout=120)
    assert process.returncode == 0, errors
    # 12 example clips give both; the 160 sounds have no pictures.
    assert out.splitlines()[-1] == f"done {2 * 172} 160"
    states = outcomes(out.splitlines(keepends=True))
    assert len(states) == 2 * 172
    # What had been reported stored is not computed again.
    assert {states[each] for each in reported if each in states} == {"cached"}
    stored = {each for each, state in states.items() if state != "failed"}
    assert account(store, stored) == Counter(lost=0, bad=0)


def test_two_writers_on_one_store_lose_nothing(tmp_path):
    folders = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        folders.append(tmp_path / folder)
        for number in range(30):
            write_wav(tmp_path / folder / f"{folder}{number}.wav", tone(0.2, seed=number))
    store = tmp_path / "features"
    both = [
        start(store, order, "plugins_for_tests:Slow", "plugins_for_tests:Loudness")
        for order in (folders, folders[::-1])
    ]
    for process in both:
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert out.splitlines()[-1] == "done 120 0"
    wanted = {f"{folder}{number}.wav" for folder in ("one", "two") for number in range(30)}
    found = FeatureStore(store)
    assert {frozenset(each.ids()) for each in found.sets()} == {frozenset(wanted)}
    assert len(found.sets()) == 2
    assert account(store, {(each.key, clip) for each in found.sets() for clip in each.ids()}) == Counter(lost=0, bad=0)
    assert set(found.clip_ids()) == wanted


ADDER = """
import sys
import numpy as np
from featzoo import FeatureStore
from featzoo.cache.featureset import FeatureSet
from featzoo.cache.pack import pack_store
store, me = FeatureStore.create(sys.argv[1]), sys.argv[2]
for i in range(25):
    store.add("x", {f"{me}/{i}": np.full((3, 2), i, np.float32)})
    if i % 8 == 7:
        list(pack_store(store, grace=0))
"""


@pytest.mark.slow
def test_five_writers_that_pack_each_others_shards_lose_nothing(tmp_path):
    store = tmp_path / "features"
    writers = [subprocess.Popen([sys.executable, "-c", ADDER, str(store), str(me)], stderr=subprocess.PIPE, text=True)
               for me in range(5)]  # fmt: skip
    for process in writers:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    for _ in range(2):
        list(pack_store(FeatureStore(store), grace=0))
    found = FeatureStore(store)["x"]
    assert found.ids() == sorted(f"{me}/{i}" for me in range(5) for i in range(25))
    assert all((found[clip].features == int(clip.split("/")[1])).all() for clip in found)
    assert len(found.index.shards()) == 1
    assert list(check_store(FeatureStore(store))) == []


# The disk


def in_namespace(mounts, *command):
    """Run a command where `mounts` hold for it alone; skips where the system does not allow that."""
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode != 0:
        pytest.skip("needs user namespaces (unshare -Urm)")
    return subprocess.run(
        ["unshare", "-Urm", "sh", "-c", f'{mounts} && exec "$@"', "sh", *map(str, command)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


FULL = """
import sys
from contextlib import suppress
from pathlib import Path
import numpy as np
from click.testing import CliRunner
from featzoo.cache.check import check_store
from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.errors import StoreError

disk, media = Path(sys.argv[1]), sys.argv[2]
store = FeatureStore.create(disk / "features")
ballast = disk / "ballast"
ballast.write_bytes(bytes(500_000))
stored = []
try:
    for number in range(100):
        store.add("x", {f"c{number}": np.full((10_000, 3), number, np.float32)})
        stored.append(number)
except StoreError as error:
    print("refused:", error)
assert 3 < len(stored) < 20, stored
rest = disk / "rest"
with suppress(OSError), rest.open("wb", buffering=0) as file:
    while True:
        file.write(bytes(1000))
done = CliRunner().invoke(feat, ["extract", media, "-x", "plugins_for_tests:Loudness", "-j", "1",
                                 "-o", str(disk / "features")])
print(done.exit_code, "extract:", done.output)
found = FeatureStore(store.path)["x"]
assert found.ids() == sorted(f"c{n}" for n in stored)
assert all((found[f"c{n}"].features == n).all() for n in stored)
assert not list(check_store(FeatureStore(store.path)))
assert not list(store.path.rglob("*.tmp"))
ballast.unlink()
rest.unlink()
store.add("x", {"after": np.zeros((10_000, 3), np.float32)})
assert len(FeatureStore(store.path)["x"]) == len(stored) + 1
print("goes on")
"""


def test_a_full_disk_says_so_and_costs_nothing_that_was_stored(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "media").mkdir()
    for number in range(3):
        write_wav(tmp_path / "media" / f"{number}.wav", tone(3.0, seed=number))
    mounts = f"mount -t tmpfs -o size=2m none {disk}"
    done = in_namespace(mounts, sys.executable, "-c", FULL, disk, tmp_path / "media")
    assert done.returncode == 0, done.stdout + done.stderr
    refused, extract = done.stdout.splitlines()[0], done.stdout.split("extract:")[1]
    assert refused.startswith("refused: cannot write to")
    assert "the disk is full" in refused
    assert "\n1 extract:" in done.stdout
    assert "the disk is full" in extract
    assert "Traceback" not in done.stdout + done.stderr
    assert "goes on" in extract


def test_a_quota_on_files_is_an_error_that_says_so(tmp_path):
    """A file size limit: the write is refused half-way, and nothing half is left."""
    code = """
import resource, signal, sys
import numpy as np
from featzoo.cache.store import FeatureStore
from featzoo.errors import StoreError
store = FeatureStore.create(sys.argv[1])
store.add("x", {"small": np.zeros((10, 3), np.float32)})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    store.add("x", {"large": np.ones((100_000, 3), np.float32)})
except StoreError as error:
    print("refused:", error)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "features")], capture_output=True, text=True)
    assert done.stdout.startswith("refused: cannot write to"), done.stderr
    found = FeatureStore(tmp_path / "features")["x"]
    assert found.ids() == ["small"]
    assert found.index.bad == {}
    assert [p.name for p in (tmp_path / "features").rglob("*.tmp")] == []


READ_ONLY = """
import sys
from click.testing import CliRunner
from featzoo.cache.store import FeatureStore
from featzoo.cli import feat

path, here, more = sys.argv[1:]
found = FeatureStore(path)["loudness"]
assert len(found) == 9 and all(len(found[clip].features) for clip in found), len(found)
for words in (["ls"], ["check"], ["extract", here, "-x", "plugins_for_tests:Loudness", "-j", "1"],
              ["extract", more, "-x", "plugins_for_tests:Loudness", "-j", "1"], ["pack"]):
    done = CliRunner().invoke(feat, [*words, "-o", path])
    print(f"{words[0]} {done.exit_code}:", done.output)
"""


def test_a_read_only_store_is_read_and_refuses_the_rest(tmp_path, monkeypatch):
    here, more, store = tmp_path / "here", tmp_path / "more", tmp_path / "features"
    for folder in (here, more):
        folder.mkdir()
        for number in range(9):
            write_wav(folder / f"{folder.name}{number}.wav", tone(0.3, seed=number))
    monkeypatch.setattr("featzoo.extraction.driver.make_engine", lambda *asked: ThisProcess())
    for clip in find_clips(here).clips:  # shards enough that an index is wanted
        extract_all(FeatureStore.create(store), [plugins.Loudness()], [clip], jobs=1)
    shutil.rmtree(store / "index")
    mounts = f"mount --bind {store} {store} && mount -o remount,ro,bind {store}"
    done = in_namespace(mounts, sys.executable, "-c", READ_ONLY, store, here, more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ls 0:" in done.stdout
    assert "check 0: 1 set, 9 stored sequences, 0 damaged" in done.stdout
    assert "9 cached" in done.stdout.split("extract 0:")[1]
    refused = done.stdout.split("extract 1:")[1]
    assert "the file system is read-only: choose another folder; stored features can still be read" in refused
    assert "read-only" in refused.split("pack 1:")[1]
    assert "Traceback" not in done.stdout + done.stderr


def fails(source, target):
    raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), source)


def exists(source, target):
    if Path(target).exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    Path(source).rename(target)


def copies(source, target):
    shutil.copyfile(source, target)


def keeps_old(source, target):
    Path(source).unlink()


@pytest.mark.parametrize("rename", [fails, exists, copies, keeps_old])
def test_a_file_system_without_atomic_rename_is_refused_and_explained(tmp_path, monkeypatch, rename):
    monkeypatch.setattr(os, "replace", rename)
    with pytest.raises(StoreError, match=r"cannot replace a file in one step.*make it on a local disk"):
        FeatureStore.create(tmp_path / "features")
    assert list((tmp_path / "features").iterdir()) == []


def test_a_rename_that_fails_later_leaves_nothing_half(tmp_path, monkeypatch):
    store = FeatureStore.create(tmp_path / "features")
    found = store.add("x", {"a": np.zeros((1, 2), np.float32)})
    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(StoreError, match="cannot write"):
        store.add("x", {"b": np.zeros((1, 2), np.float32)})
    with pytest.raises(StoreError, match="cannot write"):
        store.record([Clip("a")])
    assert FeatureStore(store.path)["x"].ids() == ["a"]
    assert list(found.store.path.rglob("*.tmp")) == []


# Clocks


AT = """
import time
import numpy as np
import featzoo.cache.clip_table, pyarrow.parquet
from featzoo import Clip, FeatureStore
from featzoo.cache.pack import pack_store

def deed(path, days, what, value):
    shift, real, real_ns = 86400 * days, time.time, time.time_ns
    time.time, time.time_ns = lambda: real() + shift, lambda: real_ns() + round(shift * 1e9)
    store = FeatureStore.create(path)
    if what == "write":
        store.add("x", {"a": np.full((1, 2), value, np.float32)})
        store.record([Clip("a", labels={"y": float(value)})])
    elif what == "other":
        store.add("x", {"b": np.full((1, 2), value, np.float32)})
    else:
        list(pack_store(store, grace=0))
"""


@pytest.fixture(scope="module")
def processes_at():
    with forks(AT) as started:
        yield started


@pytest.mark.parametrize("days", [(1, 0, -1), (-1, 1, 0), (0, -1, -1), (400, -400, 0)])
def test_the_last_write_counts_with_any_clocks(tmp_path, processes_at, days):
    """Each process sees what those before wrote; their clocks are days apart."""
    store = tmp_path / "features"
    for number, day in enumerate(days):
        for deed, when in (("write", day), ("other", 0), ("pack", -day)):
            assert processes_at.run(str(store), when, deed, number) == 0
        found = FeatureStore(store)
        assert found["x"]["a"].features[0, 0] == number
        assert found.clips()["a"].labels == {"y": number}
        from featzoo import reader

        assert reader.Store(store).read("x", "a")[0][0, 0] == number


def test_a_copy_written_during_a_pack_stays_the_newest(tmp_path, monkeypatch):
    store = FeatureStore.create(tmp_path / "features")
    for value in range(3):
        store.add("x", {"a": np.full((1, 2), value, np.float32)})
    put = FeatureSet.put

    def meanwhile(found, entries, created):
        monkeypatch.setattr(FeatureSet, "put", put)
        FeatureStore(store.path).add("x", {"a": np.full((1, 2), 9, np.float32)})
        put(found, entries, created)

    monkeypatch.setattr(FeatureSet, "put", meanwhile)
    list(pack_store(FeatureStore(store.path), grace=0))
    assert FeatureStore(store.path)["x"]["a"].features[0, 0] == 9


# Network file systems: another host's shards appear late, half, or vanish between two looks


@pytest.fixture
def late(tmp_path, monkeypatch):
    """A store, an open reader of it, and the names of shards that the reader's host does not list yet."""
    store = FeatureStore.create(tmp_path / "features")
    store.add("x", {"a": np.zeros((1, 2), np.float32)})
    reader, hidden, listing = FeatureStore(store.path)["x"], set(), index._list
    monkeypatch.setattr(index, "_list", lambda folder: listing(folder) - hidden)
    assert reader.ids() == ["a"]
    return store, reader, hidden


def names_of(store):
    return {place.name for place in (store["x"].folder / "shards").glob("*.h5")}


def test_a_shard_that_is_listed_late_is_picked_up(late):
    store, reader, hidden = late
    before = names_of(store)
    store.add("x", {"b": np.ones((1, 2), np.float32)})
    hidden |= names_of(store) - before
    with pytest.raises(MissingFeatures):
        reader["b"]
    hidden.clear()
    assert reader["b"].features[0, 0] == 1


def test_a_shard_that_arrives_in_pieces_is_bad_only_until_it_is_whole(late):
    store, reader, _ = late
    before = names_of(store)
    store.add("x", {"b": np.ones((1, 2), np.float32)})
    place = reader.folder / "shards" / (names_of(store) - before).pop()
    whole = place.read_bytes()
    place.write_bytes(whole[:1000])
    with pytest.raises(MissingFeatures, match="1 of its shards cannot be read"):
        reader["b"]
    place.write_bytes(whole)
    assert reader["b"].features[0, 0] == 1
    assert reader.index.bad == {}


def test_a_shard_that_vanishes_between_listing_and_opening_is_not_missing(late, monkeypatch):
    """It was packed: its clips are in a shard that the first listing did not have."""
    store, reader, _ = late
    store.add("x", {"b": np.ones((1, 2), np.float32)})
    read, packed = index.read_header, []

    def pack_first(place):
        if not packed:
            packed.append(place)
            for _ in range(2):
                list(pack_store(FeatureStore(store.path), grace=0))
        return read(place)

    monkeypatch.setattr(index, "read_header", pack_first)
    assert reader["b"].features[0, 0] == 1
    assert reader.index.bad == {}
    assert not packed[0].exists()


def test_readers_whose_shards_are_packed_away_again_and_again(late):
    store, reader, _ = late
    for value in range(5):
        store.add("x", {"a": np.full((1, 2), value, np.float32)})
        for _ in range(2):
            list(pack_store(FeatureStore(store.path), grace=0))
        assert np.isfinite(reader["a"].features).all()
    assert len(names_of(store)) == 1


# Files


def test_an_error_inside_leaves_neither_the_file_nor_its_rest(tmp_path):
    with suppress(KeyError), replacing(tmp_path / "x") as temporary:
        temporary.write_text("half")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_shard_of_zeros_is_found_by_check_and_computed_again(tmp_path):
    """As after a crash of the machine: right name, right size, no content."""
    (tmp_path / "media").mkdir()
    for number in range(3):
        write_wav(tmp_path / "media" / f"{number}.wav", tone(0.5, seed=number))
    clips, store = find_clips(tmp_path / "media").clips, FeatureStore.create(tmp_path / "features")
    extract_all(store, [plugins.Loudness()], clips, jobs=1)
    list(pack_store(FeatureStore(store.path), grace=0))
    list(pack_store(FeatureStore(store.path), grace=0))
    (shard,) = store.path.rglob("shards/*.h5")
    wanted = {clip.id: np.array(store["loudness"][clip.id].features) for clip in clips}
    raw = shard.read_bytes()
    start = raw.index(wanted["0.wav"].tobytes())
    shard.write_bytes(raw[:start] + bytes(12) + raw[start + 12 :])
    assert [damage.place for damage in check_store(FeatureStore(store.path), repair=True)] == [shard]
    again = FeatureStore(store.path)
    report = extract_all(again, [plugins.Loudness()], clips, jobs=1)
    assert Counter(o.state for o in report.outcomes) == {"stored": 3}
    for name, features in wanted.items():
        np.testing.assert_array_equal(again["loudness"][name].features, features)


# Workers


def test_a_crash_in_native_code_costs_its_own_clip(tmp_path):
    """SIGSEGV, SIGABRT and SIGKILL, as a decoder, a library or the kernel's memory killer give them."""
    (tmp_path / "media").mkdir()
    deeds = ["segv", "abort", "kill"]
    for name in (*deeds, *(f"good{i}" for i in range(6))):
        write_wav(tmp_path / "media" / f"{name}.wav", tone(0.3))
    clips, store = find_clips(tmp_path / "media").clips, FeatureStore.create(tmp_path / "features")
    report = extract_all(store, [plugins.Crashes()], clips, jobs=2)
    states = {o.clip: (o.state, o.detail.split(":")[0]) for o in report.outcomes}
    assert {clip.split(".")[0] for clip, (_, why) in states.items() if why == "worker-died"} == {*deeds}
    assert sum(state == "stored" for state, _ in states.values()) == 6
    ledger = json.loads(next((store["crashes"].folder / "failures").glob("*.json")).read_text())
    assert ledger["reason"] == "worker-died"
