"""Tasks reach worker processes by any engine, and what an engine loses is found again: real clusters, real kills."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

import plugins_for_tests as plugins
import pytest
from conftest import same_features, tone, write_wav
from hypothesis import given
from hypothesis import strategies as st
from joblib.externals.loky import get_reusable_executor

from featzoo.cache.store import FeatureStore
from featzoo.commands.extract import memory_bytes
from featzoo.errors import FeatzooError, InvalidOption
from featzoo.extraction import engines
from featzoo.extraction.dask import Backend
from featzoo.extraction.driver import extract_all
from featzoo.extraction.engines import Ray, check_backend
from featzoo.extraction.shares import share
from featzoo.extraction.worker import Setup
from featzoo.media.clip import Clip
from featzoo.media.discovery import find_clips

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def store(tmp_path):
    return FeatureStore.create(tmp_path / "features")


def voices(folder, *names):
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        write_wav(folder / name, tone(0.3, pitch=120 + number, seed=number))
    return find_clips(folder).clips


def many(count):
    return [f"v{number:03}.wav" for number in range(count)]


def account(report):
    return {outcome.clip: (outcome.state, outcome.detail.split(":")[0]) for outcome in report.outcomes}


def copies(feature_set):
    """How often each clip is stored."""
    index = FeatureStore(feature_set.store.path)[feature_set.key].index
    return Counter({clip: len(index.places(clip)) for clip in index.ids()})


def writers(feature_set):
    """The processes that wrote shards: they are named HOST-PID-UUID.h5."""
    return {place.name.rsplit("-", 2)[1] for place in (feature_set.folder / "shards").glob("*.h5")}


# A real Dask cluster: a scheduler and two worker processes, as a user starts them


@contextmanager
def dask_cluster(folder, workers=2):
    """Address and scheduler process. The workers run in another folder than the tests."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    note = folder / "scheduler.json"
    with (folder / "dask.log").open("w") as log:
        quiet = {"cwd": elsewhere, "stdout": log, "stderr": log, "start_new_session": True}
        dask = Path(sys.executable).with_name("dask")
        start = [str(dask)]
        scheduler = subprocess.Popen(
            [
                *start,
                "scheduler",
                "--host",
                "127.0.0.1",
                "--port",
                "0",
                "--no-dashboard",
                "--scheduler-file",
                str(note),
            ],
            **quiet,
        )
        worker = subprocess.Popen(
            [*start, "worker", "--scheduler-file", str(note), "--nworkers", str(workers), "--nthreads", "1",
             "--no-dashboard", "--host", "127.0.0.1"], **quiet,
        )  # fmt: skip
        try:
            while not (note.exists() and note.stat().st_size):
                assert scheduler.poll() is None, (folder / "dask.log").read_text()
                time.sleep(0.05)
            address = json.loads(note.read_text())["address"]
            wait_for(address, workers)
            yield address, scheduler
        finally:
            for process in (worker, scheduler):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
            for process in (worker, scheduler):
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


def wait_for(address, workers):
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=60)


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    with dask_cluster(tmp_path_factory.mktemp("dask")) as (address, _):
        yield address


def test_dask_workers_store_every_clip_once_and_keep_their_model(dask, tmp_path, monkeypatch):
    wait_for(dask, 2)
    monkeypatch.chdir(tmp_path)
    voices(tmp_path / "media", *many(40))
    log = tmp_path / "loads"
    # Relative paths, as on the command line; the workers are in another folder.
    store, clips = FeatureStore.create("features"), find_clips(Path("media")).clips
    extractors = [plugins.Slow(), plugins.KeepsModel(log=str(log))]
    report = extract_all(store, extractors, clips, backend="dask", scheduler=dask, device="cpu")
    assert Counter((o.key, o.state) for o in report.outcomes) == {(x.key, "stored"): 40 for x in extractors}
    slow, kept = (store[x.key] for x in extractors)
    assert set(copies(slow).values()) == set(copies(kept).values()) == {1}
    assert len(writers(slow)) == 2
    loads = log.read_text().split()
    assert len(loads) == len(set(loads))
    assert set(loads) == writers(kept)
    assert same_features(slow["v007.wav"], plugins.loudness(clips[7]))
    assert list((store.path / "index" / "runs").iterdir()) == []


@pytest.mark.faults
def test_a_dask_worker_that_is_killed_loses_no_clip(dask, store, tmp_path, count_faults):
    wait_for(dask, 2)
    clips = voices(tmp_path / "media", *many(60))
    killed = []

    def kill(_):
        marks = sorted(store.path.glob("index/runs/*/*.clip"))
        if marks and not killed:
            killed.append(int(marks[0].name.split(".")[0].rsplit("-", 1)[1]))
            os.kill(killed[0], signal.SIGKILL)

    report = extract_all(store, [plugins.Slow()], clips, backend="dask", scheduler=dask, on_outcome=kill)
    assert killed
    count_faults("Dask: a worker killed", trials=1, lost=60 - len({*copies(store["slow"])}))
    assert len(report.outcomes) == 60
    assert {state for state, _ in account(report).values()} == {"stored"}
    assert set(copies(store["slow"])) == {clip.id for clip in clips}
    assert list((store.path / "index" / "runs").iterdir()) == []


def test_clips_that_end_their_dask_worker_are_set_aside(dask, store, tmp_path):
    """One crashes, one hangs: each is tried twice, recorded with its reason, and the run goes on."""
    wait_for(dask, 2)
    clips = voices(tmp_path / "media", "die.wav", "sleep.wav", "raise.wav", *many(12))
    log = tmp_path / "deaths"
    extractor = plugins.Trouble(log=str(log))
    report = extract_all(store, [extractor], clips, backend="dask", scheduler=dask, timeout=2.0)
    found = account(report)
    assert len(report.outcomes) == len(found) == 15
    assert found.pop("die.wav") == ("failed", "worker-died")
    assert found.pop("sleep.wav") == ("failed", "timeout")
    assert found.pop("raise.wav") == ("failed", "error")
    assert {state for state, _ in found.values()} == {"stored"}
    assert store["trouble"].failure("die.wav").reason == "worker-died"
    assert log.read_text().split() == ["died", "died"]


def test_a_task_that_dask_gives_up_is_an_error_and_not_a_wait_for_ever(dask):
    from distributed import Client, KilledWorker
    from joblib import Parallel, delayed

    with Client(dask, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        run = Parallel(backend=Backend(client=client), return_as="generator_unordered", batch_size=1)
        with pytest.raises(KilledWorker):
            list(run([delayed(abs)(-1), delayed(os._exit)(1), delayed(abs)(-2)]))


def test_dask_clusters_that_cannot_be_used_are_refused_with_what_to_type(store, tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "CONNECT_SECONDS", 1.0)
    from distributed import Client

    clips = voices(tmp_path / "media", "a.wav")
    with pytest.raises(FeatzooError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        extract_all(store, [plugins.Loudness()], clips, backend="dask", scheduler="tcp://127.0.0.1:9")
    with (
        Client(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as client,
        pytest.raises(FeatzooError, match="--nthreads 1"),
    ):
        extract_all(store, [plugins.Loudness()], clips, backend="dask", scheduler=client.scheduler.address)
    with pytest.raises(InvalidOption, match="dask scheduler"):
        check_backend("dask", None)
    with pytest.raises(InvalidOption, match="loky's workers run on this machine"):
        check_backend("loky", "tcp://x:1")
    with pytest.raises(InvalidOption, match="expected one of loky, dask, ray"):
        check_backend("spark", None)


@pytest.mark.faults
@pytest.mark.parametrize("sign", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_dask_scheduler_that_ends_ends_the_run_and_the_next_goes_on(store, tmp_path, monkeypatch, sign, count_faults):
    monkeypatch.setattr(engines, "CONNECT_SECONDS", 2.0)
    clips = voices(tmp_path / "media", *many(60))
    stored = []
    with dask_cluster(tmp_path) as (address, scheduler):

        def end(outcome):
            stored.append(outcome.clip)
            if scheduler.poll() is None:
                os.killpg(scheduler.pid, sign)
                scheduler.wait()

        with pytest.raises(FeatzooError, match="no Dask scheduler answers"):
            extract_all(store, [plugins.Slow()], clips, backend="dask", scheduler=address, on_outcome=end)
    again = account(extract_all(FeatureStore(store.path), [plugins.Slow()], clips, jobs=2))
    lost = sum(again.get(clip, ("",))[0] != "cached" for clip in stored)
    count_faults(f"Dask: the scheduler gets {sign.name}", trials=1, lost=lost + len(clips) - len(again))
    assert lost == 0
    assert len(again) == len(clips)
    assert {state for state, _ in again.values()} <= {"cached", "stored"}


@pytest.mark.slow
@pytest.mark.faults
def test_a_dask_scheduler_that_stands_still_delays_the_run(store, tmp_path, count_faults):
    clips = voices(tmp_path / "media", *many(30))
    stopped = []
    with dask_cluster(tmp_path) as (address, scheduler):

        def stop(_):
            if not stopped:
                stopped.append(scheduler.pid)
                os.killpg(scheduler.pid, signal.SIGSTOP)
                threading.Timer(3.0, os.killpg, (scheduler.pid, signal.SIGCONT)).start()

        report = extract_all(store, [plugins.Slow()], clips, backend="dask", scheduler=address, on_outcome=stop)
    assert stopped
    count_faults("Dask: the scheduler gets SIGSTOP", trials=1, lost=len(clips) - len({*copies(store["slow"])}))
    assert {state for state, _ in account(report).values()} == {"stored"}
    assert len(report.outcomes) == len(clips)


# Ray


@pytest.mark.timeout(600)  # starting Ray takes half a minute on a busy machine
def test_ray_actors_store_every_clip_and_a_crash_costs_its_clip(store, tmp_path):
    ray = pytest.importorskip("ray", reason="pip install 'featzoo[ray]'")
    clips = voices(tmp_path / "media", "die.wav", *many(20))
    log = tmp_path / "loads"
    try:
        extractors = [plugins.Trouble(), plugins.KeepsModel(log=str(log))]
        good = clips[1:]
        report = extract_all(store, extractors[1:], good, jobs=2, backend="ray", device="cpu")
        assert [o.state for o in report.outcomes] == ["stored"] * 20
        loads = log.read_text().split()
        assert set(loads) == writers(store["keeps-model"])
        assert len(loads) == len(set(loads))
        found = account(extract_all(store, extractors[:1], clips, jobs=2, backend="ray"))
    finally:
        ray.shutdown()
    assert found.pop("die.wav") == ("failed", "worker-died")
    assert {state for state, _ in found.values()} == {"stored"}
    assert len(found) == 20


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "somewhere"])
def test_a_ray_cluster_that_is_not_there_is_an_error_at_once(address, tmp_path):
    setup = Setup(tmp_path, [plugins.Loudness()], tmp_path, 1.0)
    with pytest.raises(FeatzooError, match=f"no Ray cluster answers at {address}"):
        next(Ray(address, 2).run(setup, [], False))


# Ranks: no engine at all


@given(st.sets(st.text(), max_size=60), st.integers(1, 9), st.data())
def test_each_clip_belongs_to_one_rank_whatever_the_others_are(ids, world, data):
    clips = [Clip(name) for name in ids]
    shares = [[clip.id for clip in share(clips, rank, world)] for rank in range(world)]
    assert sorted(chain(*shares)) == sorted(ids)
    fewer = data.draw(st.sets(st.sampled_from(sorted(ids)))) if ids else set()
    for rank in range(world):
        kept = {clip.id for clip in share([Clip(name) for name in fewer], rank, world)}
        assert kept == fewer & set(shares[rank])


def test_the_share_of_a_rank_is_that_of_other_machines_and_python_versions():
    """SHA-256 of "a" and "b" begin ca978112ca1bbdca and 3e23e8160039594a (FIPS 180-4; `printf a | sha256sum`)."""
    clips = [Clip("a"), Clip("b")]
    assert [c.id for c in share(clips, 0xCA978112CA1BBDCA % 1000, 1000)] == ["a"]
    assert [c.id for c in share(clips, 0x3E23E8160039594A % 1000, 1000)] == ["b"]


def test_shares_are_of_like_size():
    # 2,400 in 8: each is binomial, 300 with a standard deviation of 16; 80 is five of those.
    sizes = [len(share([Clip(f"clip{i:05}.mp4") for i in range(2400)], rank, 8)) for rank in range(8)]
    assert max(abs(size - 300) for size in sizes) < 80


def test_three_ranks_fill_one_store_at_once(tmp_path):
    voices(tmp_path / "media", *many(30))
    command = [
        sys.executable, "-c", "from featzoo.cli import feat; feat()", "extract", str(tmp_path / "media"),
        "-x", "plugins_for_tests:Slow,plugins_for_tests:Loudness", "-o", str(tmp_path / "features"),
        "-j", "1", "--world", "3",
    ]  # fmt: skip
    ranks = [
        subprocess.Popen([*command, "--rank", str(rank)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for rank in range(3)
    ]
    taken = 0
    for number, process in enumerate(ranks):
        out, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
        mine = int(out.split(f"rank {number} of 3: ")[1].split(" of 30 clips")[0])
        # The report counts this rank's clips alone.
        assert out.count(f"{mine} stored") == 2
        assert "feat pack" in out
        taken += mine
    assert taken == 30
    found = FeatureStore(tmp_path / "features")
    for feature_set in found.sets():
        assert copies(feature_set) == dict.fromkeys(many(30), 1)
    assert found.clip_ids() == many(30)


@pytest.mark.slow
@pytest.mark.faults
def test_a_rank_that_is_killed_loses_its_own_clips_only_until_it_runs_again(tmp_path, count_faults):
    voices(tmp_path / "media", *many(30))
    store = tmp_path / "features"

    def start(rank):
        command = [
            sys.executable, "-c", "from featzoo.cli import feat; feat()", "extract", str(tmp_path / "media"), "-v",
            "-x", "plugins_for_tests:Slow", "-o", str(store), "-j", "1", "--world", "3", "--rank", str(rank),
        ]  # fmt: skip
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )

    ranks = [start(rank) for rank in range(3)]
    while "stored" not in (line := ranks[1].stdout.readline()):
        assert line, "the rank ended before its first clip was stored"
    os.killpg(ranks[1].pid, signal.SIGKILL)
    assert [process.wait(100) for process in ranks] == [0, -signal.SIGKILL, 0]
    shares = [{clip.id for clip in share(find_clips(tmp_path / "media").clips, rank, 3)} for rank in range(3)]
    held = {*FeatureStore(store)["slow"]}
    lost = len((shares[0] | shares[2]) - held)
    said, _ = start(1).communicate(timeout=100)
    found = FeatureStore(store)["slow"]
    count_faults("ranks: one of three killed", trials=1, lost=lost + len({*many(30)} - {*found}))
    assert lost == 0
    assert held & shares[1], said
    assert copies(found) == dict.fromkeys(many(30), 1)


# Models, memory, devices


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_worker_process_loads_a_model_once(store, tmp_path, jobs):
    # loky replaces a worker that has grown by 300 MB, as those of earlier tests may have.
    get_reusable_executor().shutdown(wait=True, kill_workers=True)
    clips = voices(tmp_path / "media", *many(40))
    log = tmp_path / "loads"
    extractor = plugins.KeepsModel(log=str(log))
    extract_all(store, [extractor], clips, jobs=jobs, device="cpu")
    loads = log.read_text().split()
    assert 1 <= len(loads) == len(set(loads)) <= jobs
    assert set(loads) == writers(store["keeps-model"])


@pytest.mark.faults
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_clip_that_takes_too_much_memory_is_set_aside(store, tmp_path):
    clips = voices(tmp_path / "media", "hoard.wav", *many(8))
    report = extract_all(store, [plugins.Hoards()], clips, jobs=2, memory=memory_bytes("0.8GB"))
    found = account(report)
    assert found.pop("hoard.wav") == ("failed", "out-of-memory")
    assert {state for state, _ in found.values()} == {"stored"}
    assert len(found) == 8
    assert "memory limit of 0.8 GB" in store["hoards"].failure("hoard.wav").message
    with pytest.raises(FeatzooError, match="before its first clip"):
        extract_all(store, [plugins.Louder()], clips, jobs=1, memory=1_000_000)


@pytest.mark.parametrize(
    ("text", "size"), [("4GB", 4_000_000_000), ("1.5 MB", 1_500_000), ("2GiB", 2_147_483_648), ("1KiB", 1024)]
)
def test_sizes(text, size):
    assert memory_bytes(text) == size


CLAIM = """
import sys
from featzoo.extraction.device_claims import claim_device
names = ["gpu0", "gpu1", "gpu2"]
print(claim_device(sys.argv[1], names), flush=True)
for line in sys.stdin:
    print(claim_device(line.strip(), names), flush=True)
"""


def claimant(run):
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIM, run], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return process, process.stdout.readline().strip()


def ask(process, run):
    process.stdin.write(f"{run}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="several CUDA devices: Linux")
def test_each_process_of_a_run_keeps_a_gpu_of_its_own(tmp_path):
    run, other = f"{tmp_path.name}-{os.getpid()}", f"{tmp_path.name}-{os.getpid()}-other"
    claims = [claimant(run) for _ in range(3)]
    try:
        assert sorted(device for _, device in claims) == ["gpu0", "gpu1", "gpu2"]
        assert [ask(process, run) for process, _ in claims] == [device for _, device in claims]
        # A killed process gives its device back at once, to the one that takes its place.
        lost, device = claims[1]
        lost.kill()
        lost.wait()
        claims.append(claimant(run))
        assert claims[-1][1] == device
        # More processes than devices share evenly.
        claims += [claimant(run) for _ in range(3)]
        assert sorted(found for _, found in claims[-3:]) == ["gpu0", "gpu1", "gpu2"]
        # In another run a process asks for the device that its models are on.
        assert ask(claims[2][0], other) == claims[2][1]
        assert ask(claims[0][0], other) == claims[0][1]
    finally:
        for process, _ in claims:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
