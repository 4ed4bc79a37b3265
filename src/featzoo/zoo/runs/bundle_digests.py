"""The digests of a bundle: a copied run whose files are listed with their SHA-256, and checked before they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from featzoo.errors import FeatzooError
from featzoo.untrusted import parse_json

DIGESTS = "digests.json"


def digest_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_digests(folder: Path) -> Mapping[str, str]:
    """Path inside a bundle to digest.

    Raises:
        FeatzooError: If the list is missing or damaged, or names a file outside the bundle.
    """
    place = folder / DIGESTS
    try:
        listed = parse_json(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FeatzooError(f"{folder} is not a bundle: {DIGESTS} cannot be read ({error})") from error
    if not isinstance(listed, dict) or not all(_inside(name) and isinstance(listed[name], str) for name in listed):
        raise FeatzooError(f"{place} is damaged: expected paths inside the bundle, each with its SHA-256")
    return listed


def check_digests(folder: Path, needed: Collection[str] = ()) -> None:
    """Check that the files of a bundle are those that were listed; the folder of a run without a list is not checked.

    Args:
        folder: A run's folder.
        needed: Files that the list must name.

    Raises:
        FeatzooError: If a file is missing or has another content.
    """
    if not (folder / DIGESTS).is_file():
        return
    listed = read_digests(folder)
    absent = sorted({*needed} - listed.keys())
    if absent:
        raise FeatzooError(f"{folder / DIGESTS} does not list {', '.join(absent)}: the bundle is incomplete")
    for name, digest in listed.items():
        check_digest(folder / name, digest)


def check_digest(path: Path, digest: str) -> None:
    """Check a file's content.

    Raises:
        FeatzooError: If it is missing or has another SHA-256.
    """
    try:
        found = digest_of(path)
    except OSError as error:
        raise FeatzooError(f"{path} cannot be read, but its bundle lists it: {error.strerror or error}") from error
    if found != digest:
        raise FeatzooError(
            f"{path} is not the file that its bundle lists: its SHA-256 is {found}, expected {digest}. Copy it again"
        )


def _inside(name: str) -> bool:
    """Whether a path stays inside the folder that it is relative to, on every system."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and not {"\\", ":"} & {*name}
