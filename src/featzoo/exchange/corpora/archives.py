"""Unpacking of the archives in which a corpus is distributed, which may hold archives themselves."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from featzoo.durable import replacing
from featzoo.errors import InvalidClips

# Real archives hold an archive of clips in an archive; deeper ones are not a corpus.
DEEPEST = 3


def unpack(archives: Sequence[Path], folder: Path, passwords: Sequence[str] = ()) -> Iterator[Path]:
    """Unpack .zip files, and those in them, into one folder; files that are there with the right size are kept.

    A run that is stopped and started again continues: each file gets its name when it is complete.

    Args:
        archives: The .zip files.
        folder: Where their files are written; the names of inner archives become folders.
        passwords: Passwords to try on encrypted files.

    Yields:
        Each file that was written, or was there.

    Raises:
        InvalidClips: If a file is not a .zip, is damaged, encrypted with another password, or would be written outside
            the folder.
    """
    for archive in archives:
        try:
            with archive.open("rb") as file:
                yield from _unpack(file, archive.name, folder, [p.encode() for p in passwords], 1)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise InvalidClips(f"{archive} cannot be unpacked (an incomplete download?): {error}") from error


def _unpack(file: BinaryIO, name: str, folder: Path, passwords: Sequence[bytes], depth: int) -> Iterator[Path]:
    if depth > DEEPEST:
        raise InvalidClips(f"{name}: archives in archives, {depth} deep")
    with zipfile.ZipFile(file) as opened:
        for member in opened.infolist():
            if member.is_dir():
                continue
            place = folder.joinpath(*_inside(member.filename, name))
            if place.suffix.lower() == ".zip":
                folder.mkdir(parents=True, exist_ok=True)
                # A copy, because seeking in a compressed or encrypted file starts over each time.
                with tempfile.TemporaryFile(dir=folder) as copy:
                    with _opened(opened, member, passwords, name) as source:
                        shutil.copyfileobj(source, copy, 1 << 20)
                    yield from _unpack(copy, f"{name}/{member.filename}", place.with_suffix(""), passwords, depth + 1)
                continue
            if not place.is_file() or place.stat().st_size != member.file_size:
                place.parent.mkdir(parents=True, exist_ok=True)
                with (
                    _opened(opened, member, passwords, name) as source,
                    replacing(place, durable=False) as temporary,
                    temporary.open("wb") as target,
                ):
                    shutil.copyfileobj(source, target, 1 << 20)
            yield place


def _inside(name: str, archive: str) -> tuple[str, ...]:
    """The parts of a member's path.

    Raises:
        InvalidClips: If it leads outside the folder.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0].startswith("/") or ":" in parts[0]:
        raise InvalidClips(f"{archive} holds the file {name!r}, which would be written outside its folder")
    return parts


def _opened(archive: zipfile.ZipFile, member: zipfile.ZipInfo, passwords: Sequence[bytes], name: str) -> BinaryIO:
    """A member, opened with the first password that fits.

    Raises:
        InvalidClips: If none does.
    """
    if not member.flag_bits & 1:
        return archive.open(member)  # type: ignore[return-value]
    for password in passwords:
        try:
            return archive.open(member, pwd=password)  # type: ignore[return-value]
        except RuntimeError:  # the byte with which zip checks a password
            continue
    tried = f"none of the {len(passwords)} passwords fits" if passwords else "it needs a password"
    raise InvalidClips(f"{name} is encrypted, and {tried}: the corpus's page gives it after registration")
