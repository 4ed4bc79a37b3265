"""The versions of the packages that features, runs and `feat doctor` report."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata

#: Whose versions may change a number: featzoo, what it computes with, and what reads and writes its files.
PACKAGES = (
    "featzoo", "numpy", "scipy", "av", "h5py", "torch", "torchvision", "transformers", "accelerate", "safetensors",
    "opensmile", "praat-parselmouth", "librosa",
)  # fmt: skip


def package_versions() -> Mapping[str, str]:
    """The installed packages of `PACKAGES`, each with its version."""
    versions = {}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions
