"""Detects files that replace the expected data: pointers to a large-file store, and saved web pages."""

from __future__ import annotations

import re
from pathlib import Path

from featzoo.errors import FeatzooError


def stand_in(path: Path) -> str:
    """A description of a pointer or web page found in place of a data file; empty for any other file."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError:
        return ""
    if start.startswith(b"version https://git-lfs.github.com/spec/"):
        return "a Git-LFS pointer, not the file itself: run `git lfs pull`"
    if re.match(rb"/annex/objects/|(\.\./)*\.git/annex/objects/", start):
        return "a git-annex pointer, not the file itself: run `git annex get` or `datalad get`"
    if re.match(rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype html|html|head)\b", start, re.IGNORECASE | re.DOTALL):
        return "an HTML page, not the file itself: open it in a browser to see why the download failed"
    return ""


def refuse_stand_in(path: Path, error: type[FeatzooError]) -> None:
    """Raise `error` if a file only replaces the expected data."""
    if found := stand_in(path):
        raise error(f"{path} is {found}")
