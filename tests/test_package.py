"""The package as it is installed and imported."""

from __future__ import annotations

import subprocess
import sys

from conftest import ROOT


def test_a_clone_in_the_working_folder_does_not_hide_the_installed_package(tmp_path):
    """From the folder above a clone, `featzoo` is the package, not the clone's folder as a namespace package."""
    (tmp_path / "featzoo").symlink_to(ROOT, target_is_directory=True)
    code = "import featzoo; print(featzoo.__version__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
