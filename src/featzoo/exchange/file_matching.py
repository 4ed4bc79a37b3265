"""The clip that a file belongs to. Tools name output after the media, mostly without the folder or suffix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips


def files_of(place: Path, suffixes: Iterable[str]) -> list[Path]:
    """The file itself, or all files with one of the suffixes in a folder and its subfolders, sorted.

    Raises:
        InvalidClips: If no file is found.
    """
    if place.is_file():
        return [place]
    wanted = tuple(suffixes)
    found = sorted(path for path in place.rglob("*") if path.suffix.lower() in wanted and path.is_file())
    if not found:
        raise InvalidClips(f"{place} is not a file, and contains no *{' or *'.join(wanted)}")
    return found


def clip_ids(place: Path, files: Iterable[Path], store_path: Path) -> list[tuple[str, Path]]:
    """The clip of each file: one in the store with the file's path or name without suffixes, or else that path.

    Args:
        place: The folder or file to import.
        files: The files in it.
        store_path: The store; it need not exist.

    Raises:
        InvalidClips: If two files belong to one clip.
    """
    known = FeatureStore(store_path).clips().values() if (store_path / "STORE.json").is_file() else ()
    bare = {clip.id: clip.id.removesuffix(clip.path.suffix) if clip.path else clip.id for clip in known}
    by_path = _unique(bare)
    by_stem = _unique({clip: PurePosixPath(short).name for clip, short in bare.items()})
    taken: dict[str, Path] = {}
    for path in files:
        own = path.with_suffix("").relative_to(place if place.is_dir() else place.parent).as_posix()
        clip = by_path.get(own) or by_stem.get(path.stem) or own
        if clip in taken:
            raise InvalidClips(f"{path} and {taken[clip]} both belong to clip '{clip}': import one of them")
        taken[clip] = path
    return list(taken.items())


def _unique(found: dict[str, str]) -> dict[str, str]:
    counts = Counter(found.values())
    return {short: clip for clip, short in found.items() if counts[short] == 1}
