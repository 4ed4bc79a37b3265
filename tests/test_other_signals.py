"""A signal from a file beside the clip: extracted, kept up to date and trained on under a role of any name."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import ROOT
from joblib.externals.loky import get_reusable_executor

from featzoo.cache.store import FeatureStore
from featzoo.cli import feat, zoo
from featzoo.errors import ClipError
from featzoo.extractors.contract import make_extractor
from featzoo.media.clip import Clip
from featzoo.testing import check_extractor

REQUEST = "heart_rate:HeartRate"
RECIPE = f"""
head = "heads_for_tests:MeanHead"
inputs.physio = {{ features = ["{REQUEST}"], standardise = true }}
target.columns = ["sentiment"]
training.epochs = 1
"""


def run(command, *words, status=0):
    result = CliRunner().invoke(command, words, catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result.output


def write(path, rates, rate=4.0):
    path.write_text("seconds,bpm\n" + "".join(f"{n / rate},{bpm}\n" for n, bpm in enumerate(rates)))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The example clips, all but clip05 with a file of heart rates."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    monkeypatch.chdir(tmp_path)
    get_reusable_executor().shutdown(wait=True)  # its workers may be older than this path
    (tmp_path / "videos").mkdir()
    for number, path in enumerate(sorted((ROOT / "examples" / "clips").iterdir())):
        shutil.copy(path, tmp_path / "videos")
        if path.suffix == ".mp4" and path.stem != "clip05":
            write(tmp_path / "videos" / f"{path.stem}.physio.csv", [70 + number + k for k in range(8)])
    (tmp_path / "mine.toml").write_text(RECIPE)
    return tmp_path


def test_a_signal_is_extracted_from_the_file_beside_the_clip(folder):
    said = run(feat, "extract", "videos", "-x", REQUEST, "-j", "1", status=1)
    assert "11 stored" in said
    assert "no-file" in said
    found = FeatureStore("features")[REQUEST]
    assert found["clip01.mp4"].features[:, 0].tolist() == [70 + k for k in range(8)]
    assert np.allclose(found["clip01.mp4"].intervals[3], [0.75, 1.0])
    assert found.failure("clip05.mp4").reason == "no-file"
    shown = run(feat, "show", REQUEST)
    assert "reads: file:.physio.csv" in shown
    assert "modality: physio" in shown


def test_only_clips_whose_file_has_changed_are_extracted_again(folder):
    run(feat, "extract", "videos", "-x", REQUEST, "-j", "1", status=1)
    assert "11 cached" in run(feat, "extract", "videos", "-x", REQUEST, "-j", "1", status=1)
    run(feat, "extract", "videos", "-x", "motion-energy[pool=mean]", "-j", "1")  # says nothing of the files
    store = FeatureStore("features")
    assert store[REQUEST].holds("clip01.mp4", store.source("clip01.mp4", ("file:.physio.csv",)))
    write(Path("videos/clip02.mp4.physio.csv"), [50, 51])
    write(Path("videos/clip05.physio.csv"), [60])
    said = run(feat, "extract", "videos", "-x", REQUEST, "-j", "1")
    assert "2 stored" in said
    assert "10 cached" in said
    assert FeatureStore("features")[REQUEST]["clip02.mp4"].features[:, 0].tolist() == [50, 51]


def test_the_example_extractor_keeps_the_contract(folder):
    found = check_extractor(make_extractor(REQUEST), Clip("a", folder / "videos" / "clip01.mp4"))
    assert len(found) == 8
    part = make_extractor(REQUEST).extract(Clip("a", folder / "videos" / "clip01.mp4", 0.5, 1.5))
    assert part.features[:, 0].tolist() == [72, 73, 74, 75]
    assert part.intervals[-1].tolist() == [0.75, 1.0]


def test_a_file_that_cannot_be_read_is_a_failure_with_a_reason(folder):
    (folder / "videos" / "clip01.physio.csv").write_text("time,rate\n0,70\n")
    with pytest.raises(ClipError, match="expected the columns seconds and bpm"):
        make_extractor(REQUEST).extract(Clip("a", folder / "videos" / "clip01.mp4"))


def test_a_recipe_reads_a_signal_under_a_role_of_any_name(folder):
    run(zoo, "train", "./mine.toml", "--media", "videos", "--device", "cpu")
    (made,) = (folder / "runs").iterdir()
    assert "clip02.mp4" in run(zoo, "predict", str(made), "videos/clip02.mp4", "--device", "cpu")
