"""Reads untrusted pickles of NumPy arrays and plain containers without executing them.

A pickle is a program: it names functions and calls them. Here it may name only the functions listed below. Each
is our own function with checked arguments, because NumPy's are not safe either: an object array may use arbitrary
bytes as its memory, and a dtype with forged flags turns bytes into pointers.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import struct
import zipfile
import zlib
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from reprlib import repr as brief
from typing import Any, BinaryIO, ClassVar

import numpy as np

from featzoo.exchange.npy_rows import open_archive, read_array, read_header
from featzoo.exchange.pickles.limits import Budget, RefusedPickle
from featzoo.sequence import Array
from featzoo.stand_ins import refuse_stand_in

__all__ = ["RefusedPickle", "load_npz", "load_pickle"]

# Names of refused objects by the first part of the module's name, and how to convert them to arrays.
KNOWN = {
    "torch": "PyTorch tensors: save `tensor.numpy()` in their place",
    "pandas": "pandas objects: save `frame.to_numpy()`, or the table as CSV or Parquet",
    "scipy": "SciPy matrices: save `matrix.toarray()`",
    "sklearn": "a scikit-learn model, which holds no features",
    "joblib": "arrays in joblib's own form: load them with joblib and save them with `pickle.dump`",
    "tensorflow": "TensorFlow objects: save `tensor.numpy()`",
}


def load_pickle(path: Path) -> Any:
    """The content of a pickle file: dicts, lists, tuples, sets, strings, numbers and NumPy arrays.

    Files of Python 2 and of old and new NumPy are read; strings of Python 2 are read as Latin-1, as NumPy recommends.

    Args:
        path: A file of any pickle protocol.

    Raises:
        RefusedPickle: If it is not a pickle, is truncated, or names anything except NumPy arrays and plain containers.
    """
    refuse_stand_in(path, RefusedPickle)
    try:
        with path.open("rb") as file:
            start = file.read(4)
            if start[:2] == b"\x1f\x8b" or start == b"PK\x03\x04":
                kind = "a zip archive (torch.save and numpy.savez make those)" if start[:1] == b"P" else "gzip"
                raise RefusedPickle(f"{path} is {kind}, not a pickle: unpack it, or save it again with pickle.dump")
            if not start:
                raise RefusedPickle(f"{path} is empty: an incomplete download?")
            file.seek(0)
            return _loaded(file, os.fstat(file.fileno()).st_size, path)
    except OSError as error:
        raise RefusedPickle(f"cannot read {path}: {error.strerror or error}") from error


def load_npz(path: Path) -> dict[str, Any]:
    """The arrays of a .npz by name; those of objects, which are pickles, are read like those of `load_pickle`.

    Args:
        path: A file of numpy.savez; an array () of an object is returned as the object.

    Raises:
        RefusedPickle: If it is not a .npz, is truncated, or names anything except NumPy arrays and plain containers.
    """
    refuse_stand_in(path, RefusedPickle)
    try:
        with open_archive(path) as archive:
            return {name.removesuffix(".npy"): _member(archive.read(name), path) for name in archive.namelist()}
    except RefusedPickle:
        raise
    except (OSError, EOFError, ValueError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise RefusedPickle(f"{path} is not a .npz file, or is truncated (an incomplete download?): {error}") from error


def _member(raw: bytes, path: Path) -> Any:
    file = io.BytesIO(raw)
    dtype = read_header(file).dtype
    if dtype.hasobject:
        found = _loaded(file, len(raw), path)
        return found.item() if isinstance(found, np.ndarray) and found.shape == () else found
    file.seek(0)
    return read_array(file)


def _loaded(file: BinaryIO, size: int, path: Path) -> Any:
    """The content of the pickle in an open file of `size` bytes; `path` is its name in errors."""
    try:
        reader = _Plain(_Bounded(file, size), size)
        content = reader.load()
        reader.budget.check_content(content)
        return content
    except RefusedPickle as error:
        raise RefusedPickle(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except (EOFError, pickle.UnpicklingError, struct.error, UnicodeDecodeError) as error:
        raise RefusedPickle(f"{path} is not a pickle, or is truncated (an incomplete download?): {error}") from error
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, MemoryError, RecursionError) as error:
        # Errors from damaged or malicious opcodes.
        met = f"{type(error).__name__}: {error}"
        raise RefusedPickle(f"{path} is not a pickle, or is damaged (an incomplete download?): {met}") from error


class _Bounded:
    """A file that is never read past its end, so a damaged length cannot request more memory than its size."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self.readline = file.readline

    def read(self, count: int) -> bytes:
        return self._file.read(min(count, self._size - self._file.tell()) if count > 1 << 16 else count)


def _dtype(code: Any, *_: Any) -> np.dtype[Any]:
    """numpy.dtype from a type code, as a new copy that then receives its state."""
    code = code.decode("ascii") if isinstance(code, bytes) else code
    if not isinstance(code, str) or not re.fullmatch(r"[<>=|]?[biufcSUOV]\d*|\?", code):
        raise RefusedPickle(f"it holds data of type {brief(code)}; numbers, text and objects can be read")
    return np.dtype(code, copy=True)


def _set_dtype(dtype: np.dtype[Any], state: Any) -> None:
    """Byte order and fields; everything else in the state must be the type's default."""
    _, order, subarray, names, fields, size, _, flags = state[:8]
    honest = dtype
    if names is not None:
        parts = [fields[name] for name in names]
        layout = {"names": list(names), "formats": [part[0] for part in parts], "offsets": [part[1] for part in parts]}
        honest = np.dtype({**layout, "itemsize": dtype.itemsize})  # type: ignore[call-overload]
    expected = (-1, dtype.itemsize) if names is None else (dtype.itemsize,)
    if len(state) != 8 or subarray is not None or size not in expected or flags != honest.flags:
        raise RefusedPickle(f"it describes the type {dtype} in a way that NumPy would not: {brief(state)}")
    if order not in ("<", ">", "=", "|", b"<", b">", b"=", b"|"):
        raise RefusedPickle(f"it gives the byte order {brief(order)}")
    dtype.__setstate__(state)  # type: ignore[attr-defined]


def _array(shape: Any, code: Any, *_: Any) -> Array:
    """numpy.ndarray, empty only: its content comes as a state, which NumPy checks against its type."""
    if shape != (0,) or code not in ("b", b"b"):
        raise RefusedPickle("it makes an array over a buffer: only arrays in NumPy's own pickle form can be read")
    return np.empty(0, dtype=np.int8)


def _reconstruct(kind: Any, shape: Any, code: Any) -> Array:
    if kind is not _array:
        raise RefusedPickle("it holds a subclass of numpy.ndarray: save `numpy.asarray(it)`")
    empty: Array = _array(shape, code)
    return empty


def _scalar(dtype: Any, data: Any = b"") -> Any:
    raw = data.encode("latin1") if isinstance(data, str) else data
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise RefusedPickle("it holds a NumPy scalar of objects")
    return np.frombuffer(raw, dtype=dtype, count=1)[0]


def _frombuffer(buffer: Any, dtype: Any, shape: Any, order: str = "C", *_: Any) -> Array:
    if not isinstance(dtype, np.dtype) or dtype.hasobject or order not in ("C", "F", "K", "A"):
        raise RefusedPickle("it makes an array of objects over a buffer")
    made: Array = np.frombuffer(buffer, dtype=dtype).reshape(shape, order="F" if order == "F" else "C")  # (...)
    return made


def _bytes(*given: Any) -> bytes:
    """bytes, which makes as many zeros as a number says: pickle writes only empty bytes, and text to encode."""
    return bytes(*map(_no_number, given))


def _bytearray(*given: Any) -> bytearray:
    return bytearray(*map(_no_number, given))


def _no_number(value: Any) -> Any:
    if isinstance(value, int | np.ndarray | np.generic):
        raise RefusedPickle(f"it makes bytes from the number {brief(value)}")
    return value


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """_codecs.encode, with which protocols 0 to 2 write bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise RefusedPickle(f"it encodes with {brief(encoding)}; only latin1 is written by pickle")
    return text.encode("latin1")


TYPES = (set, frozenset, list, dict, tuple, int, float, complex, bool, str)
PLAIN: Mapping[str, Callable[..., Any]] = {
    **{each.__name__: each for each in TYPES},
    "bytes": _bytes,
    "bytearray": _bytearray,
}
ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _array,
    ("numpy", "dtype"): _dtype,
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("_codecs", "encode"): _encode,
    **{("builtins", name): each for name, each in PLAIN.items()},
    **{("__builtin__", name): each for name, each in PLAIN.items()},
    ("__builtin__", "long"): int,
    ("__builtin__", "unicode"): str,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
}


_READ: Mapping[int, Callable[[Any], None]] = dict(pickle._Unpickler.dispatch)


# The unpickler in Python, because the one in C does not expose BUILD, the opcode that sets an object's state.
class _Plain(pickle._Unpickler):
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(_READ)
    stack: list[Any]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]
    append: Callable[[Any], None]

    def __init__(self, file: Any, size: int) -> None:
        super().__init__(file, encoding="latin1")
        self.budget, self._size = Budget(size), size

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) in ADMITTED:
            return ADMITTED[module, name]
        owner = KNOWN.get(module.split(".")[0])
        if owner:
            raise RefusedPickle(f"it holds {owner} (it names {module}.{name})")
        raise RefusedPickle(
            f"it asks for {module}.{name}. A pickle may run any program, so only NumPy arrays and plain containers "
            "are read. If you trust the file, load it yourself and save its arrays again with pickle.dump"
        )

    def persistent_load(self, pid: Any) -> Any:
        raise RefusedPickle(f"it points to data outside the pickle ({brief(pid)}), as torch.save does: save arrays")

    def get_extension(self, code: int) -> Any:
        raise RefusedPickle(f"it asks for extension {code} of copyreg's registry: only plain containers are read")

    def load_build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if isinstance(made, np.dtype) and isinstance(state, tuple) and len(state) >= 8:
            _set_dtype(made, state)
        elif type(made) is np.ndarray:
            made.__setstate__(state)
            self.budget.check_array(made)
        else:
            raise RefusedPickle(f"it sets the state of a {type(made).__name__}: only arrays have one")

    def load_reduce(self) -> None:
        _READ[pickle.REDUCE[0]](self)
        self.budget.charge(self.stack[-1])

    def load_bytearray8(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(min(length, self._size))))

    def load_new_tuple(self, code: int) -> None:
        _READ[code](self)
        self.budget.nest(self.stack[-1])

    def load_inst(self) -> None:
        module, name = (self.readline()[:-1].decode("ascii") for _ in range(2))
        self.find_class(module, name)  # says what it is
        self.load_instance()

    def load_instance(self) -> None:
        raise RefusedPickle("it makes an object without a call that can be checked: only arrays and plain containers")

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8
    for _code in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3):
        dispatch[_code[0]] = partial(load_new_tuple, code=_code[0])
    dispatch[pickle.INST[0]] = load_inst
    for _code in (pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX):
        dispatch[_code[0]] = load_instance
