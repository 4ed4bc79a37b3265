"""A run's folder: each file is read once, and a folder that is missing files or damaged is refused."""

import ctypes
import json
import os
import shutil
import struct
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from featzoo.cache.store import FeatureStore
from featzoo.cli import zoo
from featzoo.errors import FeatzooError
from featzoo.extraction.driver import extract_all
from featzoo.extractors.contract import make_extractor
from featzoo.media.discovery import find_clips
from featzoo.zoo.recipe import FOLDER
from featzoo.zoo.runs.compare import compare
from featzoo.zoo.runs.evaluate import evaluate_run
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.run import train_recipe

pytestmark = pytest.mark.usefixtures("one_process")
CLIPS = Path(__file__).parents[3] / "examples" / "clips"
IN_OPEN, IN_NONBLOCK, IN_ISDIR = 0x20, 0x800, 0x40000000


@contextmanager
def counted_opens(folder):
    """How often each file of a folder is opened, by name, as the kernel counts it (inotify)."""
    libc = ctypes.CDLL(None, use_errno=True)
    queue = libc.inotify_init1(IN_NONBLOCK)
    assert queue >= 0, os.strerror(ctypes.get_errno())
    assert libc.inotify_add_watch(queue, os.fsencode(folder), IN_OPEN) >= 0, os.strerror(ctypes.get_errno())
    opens = Counter()
    try:
        yield opens
        data = os.read(queue, 1 << 20)
    finally:
        os.close(queue)
    while data:
        _, mask, _, length = struct.unpack_from("iIII", data)
        if not mask & IN_ISDIR:
            opens[data[16 : 16 + length].rstrip(b"\0").decode()] += 1
        data = data[16 + length :]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, random_bert, one_process):
    """A run on the example clips whose features can be extracted again."""
    folder = tmp_path_factory.mktemp("folder")
    requests = [f"bert.ids[model={random_bert}]", f"bert[model={random_bert}]", "motion-energy", "egemaps"]
    store = FeatureStore.create(folder / "store")
    extract_all(store, [make_extractor(request) for request in requests], find_clips(CLIPS).clips, jobs=2)
    changes = {"training.epochs": 1, "training.batch_size": 4, "options.hidden": 8, "options.wide": 12}
    return train_recipe("psa-mf", folder / "store", folder / "runs", changes, "cpu").path


def test_predict_opens_each_file_of_the_run_once(trained):
    words = ["predict", str(trained), str(CLIPS / "clip10.mp4"), "--device", "cpu", "-j", "1"]
    with counted_opens(trained) as opens:
        done = CliRunner().invoke(zoo, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert opens.keys() >= {"recipe.toml", "features.json", "statistics.safetensors", "weights.safetensors"}
    assert set(opens.values()) == {1}, opens


def test_evaluate_and_compare_open_each_file_of_the_run_once(trained):
    with counted_opens(trained) as opens:
        evaluate_run(trained, device="cpu")
    assert opens.keys() >= {"recipe.toml", "features.json", "environment.json", "metrics.json", "predictions.csv"}
    assert set(opens.values()) == {1}, opens
    with counted_opens(trained) as opens:
        compare([trained], [shutil.copytree(trained, trained.with_name("copy"))], "test", resamples=5)
    assert opens["predictions.csv"] == 2  # by the copy, and by the comparison


def test_recorded_predictions_give_the_recorded_metrics(small_run):
    run = RunFolder.open_finished(small_run.path)
    found = run.predictions("test")
    assert found.pred.shape == found.truth.shape == (8, 1)
    assert float(np.abs(found.pred - found.truth).mean()) == pytest.approx(run.metrics["test"]["mae"], abs=1e-12)
    with pytest.raises(FeatzooError, match="no predictions of split 'train'"):
        run.predictions("train")


@pytest.mark.parametrize("name", ["features.json", "environment.json", "metrics.json"])
def test_a_damaged_file_is_named(small_run, tmp_path, name):
    copy = shutil.copytree(small_run.path, tmp_path / "copy")
    (copy / name).write_text(json.dumps({"sets": {}})[:-1])
    with pytest.raises(FeatzooError, match=f"{name} is damaged"):
        evaluate_run(copy, device="cpu")


def test_a_folder_without_a_recipe_is_refused(tmp_path):
    with pytest.raises(FeatzooError, match=r"is not a run folder: it has no recipe\.toml"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize(("recorded", "expected"), [("", True), ("mask_words = false", False)])
def test_a_run_keeps_what_its_version_did_before_an_option_existed(tmp_path, recorded, expected):
    recipe = (FOLDER / "siamese.toml").read_text(encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(recipe.replace("[options]", f"[options]\n{recorded}"), encoding="utf-8")
    assert RunFolder.open(tmp_path).recipe.options["mask_words"] is expected
