"""Word vectors, converted once from their published files to memory-mapped files.

A converted folder holds `vectors.f4` (N, D) in the file's order, and an index that is searched on disk: the
tokens in order of their bytes (`tokens.u1`), the start of each (`starts.i8`), and its row (`rows.i8`). Opening it
reads none of these, and processes share the pages that they use.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
import zlib
from bisect import bisect_left
from functools import cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from featzoo.durable import replacing
from featzoo.errors import MissingWeights, StoreError
from featzoo.extractors.text.word_vector_files import Block, read_blocks
from featzoo.sequence import Array
from featzoo.weights.locate import file_digest
from featzoo.weights.search import cache_home

#: Raised when the converted files change; part of their folder's name.
FORM = 1
ABANDONED_SECONDS = 86400


class WordVectors:
    """Mapped word vectors.

    Attributes:
        vectors: (N, D) float32, in the order of the file; if a token occurs twice, the first counts.
        left_out: Number of truncated lines at the end of the file.
    """

    def __init__(self, folder: Path) -> None:
        told = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        self.left_out: int = told["left_out"]
        self.vectors = _mapped(folder / "vectors.f4", "<f4").reshape(told["count"], told["width"])  # (N, D)
        self._tokens = _mapped(folder / "tokens.u1", "u1").data
        self._starts = _mapped(folder / "starts.i8", "<i8")
        self._rows = _mapped(folder / "rows.i8", "<i8")

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def width(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    def row(self, token: str) -> int:
        """The row of a token in `vectors`; -1 for an unknown token."""
        wanted = token.encode("utf-8", "surrogatepass")
        place = bisect_left(range(len(self._rows)), wanted, key=self._token)
        found = place < len(self._rows) and self._token(place) == wanted
        return int(self._rows[place]) if found else -1

    def _token(self, place: int) -> bytes:
        return self._tokens[self._starts[place] : self._starts[place + 1]].tobytes()


def source_digest(source: Path) -> str:
    """SHA-256 of a file of vectors, and of the arrays that gensim saved beside it."""
    beside = sorted(source.parent.glob(f"{source.name}.*.npy"))
    if not beside:
        return file_digest(source)
    digests = [file_digest(path) for path in (source, *beside)]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def word_vectors(source: Path) -> WordVectors:
    """The vectors of a file, from its converted folder in the user's cache, which is made if it is missing.

    Raises:
        MissingWeights: If the file cannot be read, is damaged, or is not a file of word vectors; or if the cache
            cannot be written.
    """
    folder = cache_home() / "featzoo" / "vectors" / f"{source_digest(source)[:32]}-{FORM}"
    if not _complete(folder):
        _opened.cache_clear()
        _convert(source, folder)
    return _opened(folder)


@cache
def _opened(folder: Path) -> WordVectors:
    return WordVectors(folder)


def _complete(folder: Path) -> bool:
    """Whether a converted folder is complete, judged by the sizes of its files."""
    try:
        sizes = json.loads((folder / "about.json").read_text(encoding="utf-8"))["sizes"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def _convert(source: Path, folder: Path) -> None:
    """Convert into a temporary folder and rename it, so it is never seen incomplete. The first process wins."""
    log = logging.getLogger("featzoo")
    log.info("converting %s to %s, once", source, folder)
    begin = time.monotonic()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        with replacing(folder) as temporary:
            temporary.mkdir()
            left_out = _write(source, temporary)
            # In this order: a folder that another process renames to this name in between is complete.
            if folder.exists() and not _complete(folder):
                shutil.rmtree(folder, ignore_errors=True)
    except (EOFError, BadZipFile, zlib.error) as error:
        raise MissingWeights(f"{source} is damaged (an incomplete download?): {error}") from error
    except (OSError, StoreError) as error:
        if not _complete(folder):  # otherwise another process was faster
            raise MissingWeights(f"cannot convert {source} into {folder}: {error}") from error
        return
    if left_out:
        log.warning("%s ends in the middle of a line, which is left out: an incomplete download?", source)
    log.info("converted %s in %.1f s", source, time.monotonic() - begin)


def _sweep(folder: Path) -> None:
    """Delete the files left by killed processes."""
    for path in folder.glob(".*.tmp"):
        if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _write(source: Path, folder: Path) -> int:
    """Write a converted folder; only tokens are held in memory. Returns the number of lines left out."""
    tokens: list[bytes] = []
    width = left_out = 0
    with (folder / "vectors.f4").open("wb") as file:
        for block in read_blocks(source):
            _check(source, block, len(tokens))
            tokens += block.tokens
            width, left_out = block.vectors.shape[1], left_out + block.left_out
            file.write(np.ascontiguousarray(block.vectors, dtype="<f4").data)
    if not tokens:
        raise MissingWeights(f"{source} holds no word vectors")
    order = sorted(range(len(tokens)), key=tokens.__getitem__)  # stable: of equal tokens, the first stays first
    (folder / "tokens.u1").write_bytes(b"".join(tokens[number] for number in order))
    lengths = np.fromiter((len(tokens[number]) for number in order), "<i8", len(order))
    np.concatenate([np.zeros(1, "<i8"), lengths.cumsum(dtype="<i8")]).tofile(folder / "starts.i8")
    np.array(order, "<i8").tofile(folder / "rows.i8")
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    told = {"count": len(tokens), "width": width, "left_out": left_out, "sizes": sizes}
    (folder / "about.json").write_text(json.dumps(told), encoding="utf-8")
    return left_out


def _check(source: Path, block: Block, first: int) -> None:
    bad = ~np.isfinite(block.vectors).all(axis=1)
    if bad.any():
        number = int(bad.argmax())
        token = block.tokens[number].decode("utf-8", "replace")
        raise MissingWeights(f"{source}: vector {first + number + 1} ('{token}') is not made of finite numbers")


def _mapped(path: Path, kind: str) -> Array:
    """A file's numbers as a plain array over the map, because access to single elements is faster."""
    return np.asarray(np.memmap(path, kind, "r"))
