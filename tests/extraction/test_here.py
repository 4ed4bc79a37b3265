"""A few short files are extracted in the calling process, with the same features, if nothing calls for a worker."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import plugins_for_tests as plugins
from conftest import EXAMPLES

from featzoo.cache.store import FeatureStore
from featzoo.extraction.driver import extract_all
from featzoo.extraction.here import FEW_FILES, _marked, fits_here
from featzoo.extraction.options import ExtractOptions
from featzoo.extraction.worker import Job, Setup
from featzoo.extractors.audio.egemaps import Egemaps
from featzoo.extractors.vision.motion_energy import MotionEnergy
from featzoo.media.clip import Clip
from featzoo.media.discovery import find_clips

CLIPS = find_clips(EXAMPLES / "clip01.mp4", EXAMPLES / "clip02.mp4").clips


def setup_of(store, *extractors):
    return Setup(store, list(extractors), Path(), 600.0)


def jobs_of(*paths):
    return [Job(Clip(str(number), path), {}) for number, path in enumerate(paths)]


def test_the_calling_process_and_workers_give_the_same_features(tmp_path):
    made = []
    for jobs in (1, 2):
        store = FeatureStore.create(tmp_path / str(jobs))
        report = extract_all(store, [Egemaps(), MotionEnergy()], CLIPS, jobs=jobs)
        assert not report.failed
        assert [outcome.state for outcome in report.outcomes] == ["stored"] * 4
        made.append({(one.name, i): one[i].features for one in store.sets() for i in one.ids()})
    assert made[0].keys() == made[1].keys()
    for key, rows in made[0].items():
        np.testing.assert_array_equal(rows, made[1][key])


def test_no_worker_is_started_for_one_clip(tmp_path):
    """A fresh interpreter counts its children: joblib's executor is not even imported."""
    code = (
        "import sys, featzoo\n"
        "store = featzoo.extract(sys.argv[1], 'egemaps', sys.argv[2])\n"
        "assert len(store['egemaps']) == 1\n"
        "print('joblib.externals.loky.process_executor' in sys.modules, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(EXAMPLES / "clip01.mp4"), str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_a_failure_is_recorded_as_by_a_worker(tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"not sound")
    clip = Clip("broken.wav", tmp_path / "broken.wav")
    told = [
        extract_all(FeatureStore.create(tmp_path / str(jobs)), [Egemaps()], [clip], jobs=jobs).failed for jobs in (1, 2)
    ]
    assert told[0] == told[1]
    assert told[0][0].detail.startswith("unreadable")


def test_what_calls_for_workers(tmp_path):
    small = tmp_path / "small.wav"
    shutil.copy(EXAMPLES / "clip01.mp4", small)
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(10_000_000)
    setup, usual = setup_of(tmp_path, Egemaps()), ExtractOptions()
    assert fits_here(setup, usual, jobs_of(small))
    assert fits_here(setup, usual, jobs_of(*[small] * 100))  # windows of one file
    assert fits_here(setup, dataclasses.replace(usual, jobs=1), jobs_of(small))
    for options in ({"jobs": 2}, {"timeout": 5.0}, {"memory": 10**9}, {"backend": "dask"}):
        assert not fits_here(setup, dataclasses.replace(usual, **options), jobs_of(small)), options
    assert not fits_here(setup, usual, jobs_of(large))
    assert not fits_here(setup, usual, jobs_of(*(tmp_path / str(n) for n in range(FEW_FILES + 1))))
    assert not fits_here(setup_of(tmp_path, plugins.Loudness()), usual, jobs_of(small)), "code of others may crash"


def test_after_a_crash_the_next_run_uses_workers(tmp_path):
    """The mark of a process that is gone, as a crash leaves it; that of a live one says nothing."""
    store = FeatureStore.create(tmp_path / "store").path
    setup, jobs = setup_of(store, Egemaps()), jobs_of(EXAMPLES / "clip01.mp4")
    code = (
        "import os, sys; from pathlib import Path; from featzoo.extraction import here\n"
        "with here._marked(Path(sys.argv[1])): os._exit(1)"
    )
    (store / "index").mkdir(exist_ok=True)
    with _marked(store):
        assert fits_here(setup, ExtractOptions(), jobs)
    assert subprocess.run([sys.executable, "-c", code, str(store)], check=False).returncode == 1
    assert not fits_here(setup, ExtractOptions(), jobs)
    assert fits_here(setup, ExtractOptions(), jobs), "the mark counts once"
