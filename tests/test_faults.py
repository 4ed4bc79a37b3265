"""What was reported stored survives SIGKILL at any moment, and any number of writers."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from conftest import tone, write_wav

from featzoo.cache.shard import clip_digest
from featzoo.cache.store import FeatureStore

pytestmark = pytest.mark.timeout(240)

EXTRACT = """
import sys
from pathlib import Path
from featzoo.cache.store import FeatureStore
from featzoo.extract import extract_all
from featzoo.extractors.contract import make_extractor
from featzoo.manifests import find_clips

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


def check(path, reported):
    """Every clip reported stored is there, with the digest of its bytes as it was written."""
    sets = {found.key: found for found in FeatureStore(path).sets()} if (path / "STORE.json").exists() else {}
    for key, clip in reported:
        found = sets[key]
        got, place = found[clip], found.index.places(clip)[-1]
        assert clip_digest(got.features, got.intervals) == place.digest
    for found in sets.values():
        assert found.index.bad == {}


def kill_and_resume(tmp_path, examples, kills, seed):
    voices = tmp_path / "voices"
    voices.mkdir()
    for number in range(160):
        write_wav(voices / f"v{number:03}.wav", tone(0.3, pitch=100 + number, seed=number))
    store, reported, chance, interrupted = tmp_path / "features", set(), random.Random(seed), 0
    work = ([examples, voices], "motion-energy", "plugins_for_tests:Slow")
    for number in range(kills):
        # A set of its own, so that every run has work to be killed in.
        process = start(store, *work, f"plugins_for_tests:Slow[hop=0.{number + 10}]")
        lines = []
        reader = threading.Thread(target=lambda p=process, out=lines: out.extend(iter(p.stdout.readline, "")))
        reader.start()
        if number % 4 == 3:
            time.sleep(chance.uniform(0.1, 2.0))  # anywhere, start-up too
        else:
            while process.poll() is None and not any(line.startswith("stored") for line in lines):
                time.sleep(0.005)
            time.sleep(chance.uniform(0.0, 0.6))  # in the middle of the work
        with suppress(ProcessLookupError):  # it may have finished
            os.killpg(process.pid, signal.SIGKILL)
        interrupted += process.wait() == -signal.SIGKILL
        reader.join()
        process.stdout.close()
        process.stderr.close()
        for line in lines:
            state, *rest = line.rstrip("\n").split(" ", 2)
            if state == "stored" and line.endswith("\n"):
                reported.add(tuple(rest))
        check(store, reported)
    assert interrupted > kills // 2
    assert len(reported) > 10 * kills // 2
    process = start(store, *work)
    out, errors = process.communicate(timeout=120)
    lines = out.splitlines()
    assert process.returncode == 0, errors
    # 12 example clips give both; the 160 sounds have no pictures.
    assert lines[-1] == f"done {2 * 172} 160"
    accounted = {tuple(line.split(" ", 2)[1:]) for line in lines[:-1]}
    assert len(accounted) == 2 * 172
    states = {tuple(line.split(" ", 2)[1:]): line.split(" ", 1)[0] for line in lines[:-1]}
    # What had been reported stored is not computed again.
    assert {states[each] for each in reported if each in states} == {"cached"}
    check(store, {each for each, state in states.items() if state != "failed"})


def test_four_kills_lose_nothing(tmp_path, examples):
    kill_and_resume(tmp_path, examples, 4, seed=1)


@pytest.mark.faults
def test_twenty_kills_lose_nothing(tmp_path, examples):
    kill_and_resume(tmp_path, examples, 20, seed=2)


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
    check(store, {(each.key, clip) for each in found.sets() for clip in each.ids()})
    assert set(found.clip_ids()) == wanted


def test_a_full_disk_is_an_error_that_says_so(tmp_path):
    """A file size limit stands in for a full disk: the write is refused half-way, and nothing half is left."""
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
