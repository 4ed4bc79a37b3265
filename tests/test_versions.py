"""One list of packages stands behind the versions in feature sets, runs and `feat doctor`."""

from __future__ import annotations

import av
import h5py
import numpy as np
import torch
from click.testing import CliRunner

from featzoo import __version__
from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.extraction.driver import extract_all
from featzoo.extractors.contract import make_extractor
from featzoo.versions import PACKAGES, package_versions
from featzoo.zoo.files import environment


def test_versions_are_those_that_the_packages_tell_of_themselves() -> None:
    versions = package_versions()
    told = {"featzoo": __version__, "numpy": np.__version__, "av": av.__version__, "h5py": h5py.__version__}
    assert told.items() <= versions.items()
    # PyPI's torch leaves its build out of the package's version: 2.13.0 is torch 2.13.0+cu130.
    assert versions["torch"].partition("+")[0] == torch.__version__.partition("+")[0]


def test_a_set_a_run_and_doctor_report_the_same_versions(tmp_path) -> None:
    store = FeatureStore.create(tmp_path / "store")
    extract_all(store, [make_extractor("motion-energy")], [], jobs=1)
    versions = package_versions()
    assert store["motion-energy"].provenance["versions"] == versions
    assert environment("cpu", store.path)["versions"] == versions
    line = next(
        line for line in CliRunner().invoke(feat, ["doctor"]).output.splitlines() if line.startswith("packages")
    )
    assert line == "packages: " + ", ".join(f"{name} {versions.get(name, '(not installed)')}" for name in PACKAGES)
