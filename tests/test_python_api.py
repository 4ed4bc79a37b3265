"""The public names: complete on their page, and enough to extract, look and predict without a command."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

import featzoo
from featzoo import FeatzooError


def test_every_public_name_is_documented_and_listed():
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    table = page[page.index("| name |") :]
    for name in featzoo.__all__:
        assert f"`{name}`" in table or f"`{name}(" in table, name
        assert getattr(featzoo, name).__doc__ or name in ("UNKEYED", "Inputs", "Outputs"), name
    assert set(featzoo.__all__) == {name for name in dir(featzoo) if not name.startswith("__")}


def test_the_code_of_the_page_runs(examples, tmp_path):
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0].replace('"examples/clips"', repr(str(examples)))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_package_is_listed_without_importing_its_parts():
    code = "import sys, featzoo; dir(featzoo); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_features_are_extracted_and_read_with_plain_strings(examples, tmp_path):
    store = featzoo.extract(str(examples), "motion-energy", store=str(tmp_path / "f"), jobs=1)
    found = store["motion-energy"]
    assert len(found) == len(list(examples.glob("*.mp4")))
    with pytest.raises(featzoo.FeatzooError, match=r"no 'xyz' in .*: there are clip01.mp4, .* and more"):
        found["xyz"]
    frame = found.to_pandas(pool="mean")
    assert list(frame.index) == list(found)
    labels = {name for clip in store.clips().values() for name in clip.labels}
    assert {"split", *labels, *found.names} <= set(frame.columns)
    for clip in found:
        np.testing.assert_allclose(
            frame.loc[clip, list(found.names)].astype(float), np.nanmean(found[clip].features, 0), rtol=1e-5
        )
    every = found.to_pandas(pool=None, labels=False)
    np.testing.assert_array_equal(every.loc["clip01.mp4"].to_numpy(), found["clip01.mp4"].features)
    np.testing.assert_array_equal(every.loc["clip01.mp4"].index.to_frame().to_numpy(), found["clip01.mp4"].intervals)
    with pytest.raises(FeatzooError, match="labels are of a clip"):
        found.to_pandas(pool=None)


def test_failed_clips_are_a_warning_with_the_reason(tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"not sound" * 100)
    with pytest.warns(UserWarning, match=r"1 clip failed: motion-energy-\w+: unreadable"):
        store = featzoo.extract(tmp_path / "bad.wav", "motion-energy", store=tmp_path / "f", jobs=1)
    assert [failure.clip for failure in store["motion-energy"].failures()] == ["bad.wav"]


def test_what_is_inside_is_shown(tmp_path):
    store = featzoo.FeatureStore.create(tmp_path / "f")
    store.add("mine", {"a": np.zeros((3, 2), np.float32)}, names=["x", "y"])
    assert repr(store["mine"]) == f"FeatureSet({store['mine'].key!r}: 1 clip, 2 columns)"
    assert repr(store) == f"FeatureStore({str(tmp_path / 'f')!r}: {store['mine'].key})"
    assert list(store) == [store["mine"].key]
    assert len(store) == 1
    assert "mine" in store
    assert "other" not in store
