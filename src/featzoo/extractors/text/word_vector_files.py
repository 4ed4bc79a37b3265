"""The formats of word vectors: GloVe's and word2vec's text, word2vec's binary, gensim's KeyedVectors."""

from __future__ import annotations

import gzip
import pickle
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from zipfile import ZipFile

import numpy as np

from featzoo.errors import MissingWeights
from featzoo.sequence import Array

#: Bytes that are read at a time.
BLOCK = 1 << 23
SAMPLE = 200
HEADER = re.compile(rb"(\d+)[ \t]+(\d+)[ \t\r]*\n")
FASTTEXT = (793712314).to_bytes(4, "little")
KEYED = {"KeyedVectors", "Word2VecKeyedVectors", "EuclideanKeyedVectors", "Vocab", "CompatVocab", "SimpleVocab"}
# Errors from a pickle that is damaged or holds something else.
DAMAGED = (pickle.UnpicklingError, EOFError, AttributeError, LookupError, StopIteration, TypeError, ValueError)
EXPECTED = "expected lines of a token and its numbers, separated by blanks; word2vec's binary; or KeyedVectors.save"


class Block(NamedTuple):
    """Some word vectors.

    Attributes:
        tokens: N tokens, UTF-8.
        vectors: (N, D) float32.
        left_out: Number of truncated lines.
    """

    tokens: Sequence[bytes]
    vectors: Array
    left_out: int = 0


def read_blocks(source: Path) -> Iterator[Block]:
    """The vectors of a file, in its order, a few megabytes at a time; the format is detected from the content.

    Numbers are rounded as gensim rounds them (to float64, then to float32), so that they agree to the bit.

    Args:
        source: Text in any published form (with or without word2vec's header, tokens with spaces in them) or
            word2vec's binary format, either also in .gz or as the only file in a .zip; or a file written by
            gensim's KeyedVectors.save.

    Raises:
        MissingWeights: If it has another format or is damaged.
        OSError, EOFError, zlib.error, zipfile.BadZipFile: If it cannot be read or unpacked.
    """
    with _unpacked(source) as file:
        start = file.read(BLOCK)
        if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
            yield from _keyed_vectors(source)
            return
        if start.startswith(FASTTEXT):
            raise MissingWeights(f"{source} is a fastText model: use the .vec file of the same release")
        header = HEADER.match(start)
        if header is None:
            yield from _text(source, file, start, 0, None)
            return
        count, width = int(header[1]), int(header[2])
        rest = start[header.end() :]
        first = rest.partition(b"\n")[0].rstrip()
        if _trailing_numbers(first) >= width:
            yield from _text(source, file, rest, width, count)
        else:
            yield from _binary(source, file, rest, width, count)


@contextmanager
def _unpacked(source: Path) -> Iterator[BinaryIO]:
    with source.open("rb") as raw:
        start = raw.read(4)
        raw.seek(0)
        if start[:2] == b"\x1f\x8b":
            with gzip.open(raw) as file:
                yield file  # type: ignore[misc]  # a GzipFile has what is used of a BinaryIO
        elif start == b"PK\x03\x04":
            with ZipFile(raw) as archive:
                names = [each.filename for each in archive.infolist() if not each.is_dir()]
                if len(names) != 1:
                    raise MissingWeights(f"{source} holds {len(names)} files ({', '.join(names[:4])}): unpack one")
                with archive.open(names[0]) as member:
                    yield member  # type: ignore[misc]
        else:
            yield raw


def _text(source: Path, file: BinaryIO, rest: bytes, width: int, count: int | None) -> Iterator[Block]:
    """Lines of a token and numbers; `count` lines if a header gives it."""
    number, found = 1 if count is None else 2, 0
    for lines, torn in _lines(file, rest):
        width = width or _width(source, lines)
        block = _parsed(source, lines, number, width, torn)
        number += len(lines)
        wanted = len(block.tokens) if count is None else count - found
        yield Block(block.tokens[:wanted], block.vectors[:wanted], block.left_out)
        found += len(block.tokens)
        if count is not None and found >= count:
            return
    if count is not None:
        raise MissingWeights(f"{source} announces {count} vectors and holds {found}: an incomplete download?")


def _lines(file: BinaryIO, rest: bytes) -> Iterator[tuple[list[bytes], bool]]:
    """Lines, some megabytes at a time, and whether the last line is incomplete."""
    while more := file.read(BLOCK):
        *lines, rest = (rest + more).split(b"\n")
        if lines:
            yield lines, False
    *lines, rest = rest.split(b"\n")
    yield ([*lines, rest], True) if rest else (lines, False)


def _width(source: Path, lines: Sequence[bytes]) -> int:
    """The most common number of trailing numbers in the first lines; a token with spaces may contain numbers itself."""
    counts = Counter(_trailing_numbers(line) for line in lines[:SAMPLE] if line.strip())
    width = counts.most_common(1)[0][0] if counts else 0
    if not width:
        raise MissingWeights(f"{source} holds no word vectors: {EXPECTED}")
    return width


def _trailing_numbers(line: bytes) -> int:
    """Number of trailing numbers in a line; its first field is always a token."""
    found = 0
    for field in reversed(line.rstrip().split(b" ")[1:]):
        try:
            float(field)
        except ValueError:
            break
        found += 1
    return found


def _parsed(source: Path, lines: Sequence[bytes], first: int, width: int, torn: bool) -> Block:
    """Lines as vectors; `first` is the number of the first line, and the last may be truncated if `torn`."""
    tokens, numbers, left_out = [], [], 0
    for number, line in enumerate(map(bytes.rstrip, lines), first):
        if not line:
            continue
        token, _, rest = line.partition(b" ")
        if rest.count(b" ") != width - 1:  # a token with spaces: the numbers are counted from the right
            token, *fields = line.rsplit(b" ", width)
            rest = b" ".join(fields)
            if len(fields) < width and torn and number == first + len(lines) - 1:
                left_out = 1
                continue
            if len(fields) < width:
                raise _bad_line(source, number, line, width)
        tokens.append(token)
        numbers.append(rest)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # NumPy's error for text that is not a number
        try:
            values = np.fromstring(b" ".join(numbers), np.float32, sep=" ")
        except (DeprecationWarning, ValueError):
            values = np.empty(0, np.float32)
    if values.size != len(tokens) * width:
        for number, line in enumerate(lines, first):
            if line.strip() and _trailing_numbers(line) < width:
                raise _bad_line(source, number, line, width)
    return Block(tokens, values.reshape(len(tokens), width), left_out)  # (N, D)


def _bad_line(source: Path, number: int, line: bytes, width: int) -> MissingWeights:
    shown = line[:40].decode("utf-8", "replace")
    return MissingWeights(f"{source}, line {number} does not end in {width} numbers as the others do: '{shown}...'")


def _binary(source: Path, file: BinaryIO, rest: bytes, width: int, count: int) -> Iterator[Block]:
    """word2vec's binary format: a token, a space, and the vector's bytes; some programs add a line feed."""
    size, left = 4 * width, count
    while left:
        tokens, vectors, at = [], [], 0
        while left:
            blank = rest.find(b" ", at)
            if blank < 0 or blank + 1 + size > len(rest):
                break
            tokens.append(rest[at:blank].lstrip(b"\n"))
            vectors.append(rest[blank + 1 : blank + 1 + size])
            at = blank + 1 + size
            left -= 1
        yield Block(tokens, np.frombuffer(b"".join(vectors), "<f4").reshape(len(tokens), width))  # (N, D)
        more = file.read(BLOCK) if left else b""
        if left and not more:
            raise MissingWeights(f"{source} announces {count} vectors and holds {count - left}: incomplete download?")
        rest = rest[at:] + more


def _keyed_vectors(source: Path) -> Iterator[Block]:
    """A file of KeyedVectors.save: a pickle, with its arrays inside it or in files beside it."""
    with source.open("rb") as file:
        try:
            saved = _Gensim(file).load()
            state = saved.state
            vectors = state.get("vectors")
            tokens = next(state[name] for name in ("index_to_key", "index2word", "index2entity") if name in state)
        except DAMAGED as error:
            raise MissingWeights(f"{source} is not a KeyedVectors file of gensim, or is damaged: {error}") from error
    if isinstance(vectors, _StoredArray):
        vectors = vectors.values
    if "vectors" in state.get("__numpys", ()):
        vectors = np.load(source.with_name(f"{source.name}.vectors.npy"), mmap_mode="r", allow_pickle=False)
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or len(vectors) < len(tokens):
        raise MissingWeights(f"{source}: no array with one vector for each of its {len(tokens)} tokens")
    step = max(1, BLOCK // (4 * vectors.shape[1]))
    for start in range(0, len(tokens), step):
        # gensim replaces a token that occurs a second time by None.
        named = [row for row in range(start, min(start + step, len(tokens))) if tokens[row] is not None]
        names = [tokens[row].encode("utf-8", "surrogatepass") for row in named]
        yield Block(names, np.asarray(vectors[named], np.float32).reshape(len(named), -1))  # (N, D)


class _StoredObject:
    """One of gensim's objects, without its code."""

    def __init__(self, *_given: Any) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state


class _StoredType:
    """A NumPy dtype, of plain numbers only."""

    def __init__(self, code: str, *_given: Any) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


class _StoredArray:
    """A NumPy array; None if it does not consist of numbers."""

    def __init__(self, *_given: Any) -> None:
        self.values: Array | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, raw = state
        if kind.code in ("f2", "f4", "f8"):
            flat = np.frombuffer(raw, kind.order + kind.code)
            self.values = flat.reshape(shape, order="F" if fortran else "C")


class _Gensim(pickle.Unpickler):
    """Reads KeyedVectors without executing a pickle's code: every class that it may name is defined here."""

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("gensim.models.") and name in KEYED:
            return _StoredObject
        if module.split(".")[0] == "numpy" and name in ("_reconstruct", "ndarray", "scalar"):
            return _StoredArray
        if (module, name) == ("numpy", "dtype"):
            return _StoredType
        raise pickle.UnpicklingError(f"it holds {module}.{name} (of a whole model, save its .wv)")
