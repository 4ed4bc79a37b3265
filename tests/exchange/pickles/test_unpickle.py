"""The restricted unpickler: what researchers save goes in, nothing is run."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import pickletools
import struct
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp
from peak_memory import peak_memory

from featzoo.errors import FeatzooError
from featzoo.exchange.pickles.unpickle import RefusedPickle, load_pickle


def read(tmp_path, raw):
    place = tmp_path / "x.pkl"
    place.write_bytes(raw)
    return load_pickle(place)


def same(one, other):
    """Equal in type, shape and bits, at any depth. The oracle is the unrestricted `pickle.loads`."""
    if isinstance(other, np.ndarray):
        if other.dtype != object:
            return type(one) is np.ndarray and one.dtype == other.dtype and one.tobytes() == other.tobytes()
        return one.shape == other.shape and all(same(a, b) for a, b in zip(one.flat, other.flat, strict=True))
    if isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in other)
    if isinstance(other, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


RAGGED = np.empty(2, dtype=object)
RAGGED[0], RAGGED[1] = np.arange(6.0).reshape(2, 3), [b"a", "ä", None]
VALUES = {
    "float": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">i4"),
    "text": np.array(["video$_$1", "影片"]),
    "bytes": np.array([[b"v", b"0.5", b"1.25"]]),
    "bool": np.array([True, False]),
    "complex": np.array([1 + 2j]),
    "structured": np.array([(1.5, 2)], dtype=[("a", "f4"), ("b", ">i8")]),
    "ragged": RAGGED,
    "scalars": [np.float32(1.5), np.int64(7), np.str_("x"), np.bytes_(b"y"), np.bool_(True)],
    "plain": {"a": (1, 2.5, None, True, b"\x80\xff", "ü", {1, 2}, frozenset({3}), 1 << 80, 1j)},
    "ordered": OrderedDict(b=1, a=2),
    "default": defaultdict(list, {"k": [1]}),
    "empty": np.zeros((0, 5), dtype=np.float64),
    "no axes": np.array(2.5),
    "bytearray": bytearray(b"\x00\x80"),
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", VALUES)
def test_arrays_and_plain_containers_come_back_as_they_were(tmp_path, name, protocol):
    raw = pickle.dumps(VALUES[name], protocol=protocol)
    assert same(read(tmp_path, raw), pickle.loads(raw))


@given(array=stnp.arrays(stnp.scalar_dtypes().filter(lambda d: d.kind in "biufcSU" and d.itemsize <= 16),
                         stnp.array_shapes(min_dims=0, min_side=0)), protocol=st.integers(0, 5))  # fmt: skip
def test_any_array_of_any_shape_and_byte_order(tmp_path_factory, array, protocol):
    raw = pickle.dumps(array, protocol=protocol)
    assert same(read(tmp_path_factory.getbasetemp(), raw), pickle.loads(raw))


def test_both_names_of_numpys_core_are_known(tmp_path):
    """NumPy 2 writes numpy._core, NumPy 1 numpy.core; protocol 0 has the names as lines."""
    raw = pickle.dumps(VALUES["float"], protocol=0)
    assert b"numpy._core.multiarray\n" in raw or b"numpy.core.multiarray\n" in raw
    for core in (b"numpy._core.", b"numpy.core."):
        other = raw.replace(b"numpy._core.", core).replace(b"numpy.core.", core)
        assert same(read(tmp_path, other), VALUES["float"])


def test_a_file_of_python_2(tmp_path):
    """As Python 2.7 and NumPy 1.16 write {'a': numpy.array([1., 2.], '<f4')} with protocol 2: str, not bytes."""
    data = struct.pack("<2f", 1.0, 2.0)
    raw = (
        b"\x80\x02}q\x01U\x01acnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87"
        b"Rq\x04(K\x01K\x02\x85cnumpy\ndtype\nq\x05U\x02f4K\x00K\x01\x87Rq\x06(K\x03U\x01<NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x08" + data + b"tbs."
    )
    pickletools.dis(raw, out=io.StringIO())  # well formed
    assert same(read(tmp_path, raw), {"a": np.array([1.0, 2.0], dtype="<f4")})
    counted = b"\x80\x02c__builtin__\nset\n]K\x07a\x85R."
    assert read(tmp_path, counted) == {7}


@pytest.mark.data
def test_real_files_of_python_2_and_3(data):
    truth = load_pickle(data / "first_impressions" / "annotation_validation.pkl")
    assert sorted(truth) == sorted(
        ["extraversion", "neuroticism", "agreeableness", "conscientiousness", "interview", "openness"]
    )
    assert all(len(scores) == 2000 for scores in truth.values())
    words = load_pickle(data / "glove" / "mustard_glove_dict_5.p")
    assert all(vector.shape == (300,) for vector in words.values())


# What would run, or read memory that is not the file's


def _call(module, name, arguments=b"(", protocol=b"\x80\x02"):
    return protocol + f"c{module}\n{name}\n".encode() + arguments + b"tR."


class Runs:
    def __reduce__(self):
        return os.system, ("touch /tmp/featzoo-was-here",)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"), ("posix", "system"), ("builtins", "eval"), ("__builtin__", "eval"), ("builtins", "getattr"),
        ("subprocess", "Popen"), ("numpy", "load"), ("numpy", "memmap"), ("numpy.testing", "runstring"),
        ("numpy.f2py", "compile"), ("numpy", "fromfile"), ("numpy.core.multiarray", "fromstring"),
        ("copyreg", "_reconstructor"), ("functools", "partial"), ("operator", "attrgetter"), ("pickle", "loads"),
        ("_codecs", "decode"), ("builtins", "object"), ("numpy", "ndarray.tofile"), ("collections", "deque"),
    ],
)  # fmt: skip
def test_every_other_name_is_refused_and_said(tmp_path, module, name):
    with pytest.raises(RefusedPickle, match=rf"asks for {module}\.{name}") as caught:
        read(tmp_path, _call(module, name, b"(U\x04true"))
    assert isinstance(caught.value, FeatzooError)
    assert "x.pkl" in str(caught.value)


@pytest.mark.hostile
def test_a_call_hidden_in_an_object_array_is_refused(tmp_path, monkeypatch):
    hidden = np.empty(1, dtype=object)
    hidden[0] = [{"deep": Runs()}]
    for protocol in range(6):
        with pytest.raises(RefusedPickle, match="system"):
            read(tmp_path, pickle.dumps({"train": hidden}, protocol=protocol))
    with pytest.raises(RefusedPickle, match="system"):
        read(tmp_path, pickle.dumps(defaultdict(os.system)))


class Forged:
    """Pickles as a call with these arguments and this state."""

    def __init__(self, call, arguments, state=None):
        self.parts = (call, arguments) if state is None else (call, arguments, state)

    def __reduce__(self):
        return self.parts


FORGED = {
    "an object array over bytes": (Forged(np.ndarray, ((1,), "O", b"A" * 8)), "over a buffer"),
    "an object dtype that denies it": (
        Forged(np.dtype, ("O8", False, True), (3, "|", None, None, None, -1, -1, 0)),
        "in a way that NumPy would not",
    ),
    "a number that says it is an object": (
        Forged(np.dtype, ("f8", False, True), (3, "<", None, None, None, -1, -1, 63)),
        "in a way that NumPy would not",
    ),
    "a structure that hides an object": (
        Forged(np.dtype, ("V8", False, True), (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 16)),
        "in a way that NumPy would not",
    ),
    "fields beyond the item": (
        Forged(np.dtype, ("V8", False, True), (3, "|", None, ("a",), {"a": (np.dtype("f8"), 4)}, 8, 1, 16)),
        "damaged",
    ),
    "a text of another length": (
        Forged(np.dtype, ("S2", False, True), (3, "|", None, None, None, 4096, 1, 0)),
        "in a way that NumPy would not",
    ),
    "a dtype from a class": (Forged(np.dtype, (dict,)), "of type"),
    "a time": (np.array(["2020-01-01"], dtype="M8[D]"), "of type"),
    "a subclass": (np.array([1.0]).view(np.matrix), r"numpy\.matrix"),
}


@pytest.mark.hostile
@pytest.mark.parametrize("name", FORGED)
def test_states_that_numpy_does_not_check_are_refused(tmp_path, name):
    value, reason = FORGED[name]
    with pytest.raises(RefusedPickle, match=reason):
        read(tmp_path, pickle.dumps(value))


@pytest.mark.hostile
def test_other_ways_to_call_or_change_things(tmp_path):
    for raw, reason in (
        (b"c__builtin__\nset\n(dS'x'\nS'y'\nsb.", "sets the state"),  # BUILD on a class
        (b"\x80\x02cnumpy\ndtype\n}U\x01xU\x01ysb.", "sets the state"),  # BUILD on our own function
        (b"\x80\x02\x82\x01.", "extension 1"),
        (b"Pelsewhere\n.", "outside the pickle"),
        (b"(ios\nsystem\n.", r"os\.system"),  # INST
        (_call("_codecs", "encode", b"(X\x01\x00\x00\x00aU\x03zip"), "encodes with 'zip'"),
    ):
        with pytest.raises(RefusedPickle, match=reason):
            read(tmp_path, raw)


def test_other_libraries_are_named_as_what_they_are(tmp_path):
    import pandas
    import torch

    with pytest.raises(RefusedPickle, match=r"PyTorch tensors: save `tensor\.numpy\(\)`"):
        read(tmp_path, pickle.dumps({"audio": torch.zeros(2)}))
    with pytest.raises(RefusedPickle, match="pandas objects"):
        read(tmp_path, pickle.dumps(pandas.DataFrame({"a": [1]})))
    torch.save({"audio": torch.zeros(2)}, tmp_path / "t.pkl")
    with pytest.raises(RefusedPickle, match=r"torch\.save"):
        load_pickle(tmp_path / "t.pkl")


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_file_cut_anywhere_is_refused(tmp_path, protocol):
    raw = pickle.dumps({"a": VALUES["float"], "b": ["x", 1.5]}, protocol=protocol)
    for length in range(len(raw)):
        with pytest.raises(RefusedPickle):
            read(tmp_path, raw[:length])


@given(raw=st.binary(max_size=60))
def test_random_bytes_give_a_value_or_a_refusal(tmp_path_factory, raw):
    with contextlib.suppress(RefusedPickle):
        read(tmp_path_factory.getbasetemp(), raw)


def test_files_that_are_not_pickles_are_refused(tmp_path):
    with pytest.raises(RefusedPickle, match="is empty"):
        read(tmp_path, b"")
    with pytest.raises(RefusedPickle, match="gzip"):
        read(tmp_path, b"\x1f\x8b\x08\x00")
    with pytest.raises(RefusedPickle, match="an HTML page"):
        read(tmp_path, b"<!DOCTYPE html><html>")
    with pytest.raises(RefusedPickle, match="No such file"):
        load_pickle(tmp_path / "none.pkl")
    huge = b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"abc."  # says it holds 2**60 bytes
    with pytest.raises(RefusedPickle, match="not a pickle"):
        read(tmp_path, huge)


def _shared(levels, width):
    """Lists that each hold the list below `width` times: a small file, width ** levels numbers when written out."""
    value = [0.5]
    for _ in range(levels):
        value = [value] * width
    return value


MEMORY = {
    "bytes of a number": b"cbuiltins\nbytearray\n(I3900000000\ntR.",
    "zeros of a number": b"cbuiltins\nbytes\n(I3900000000\ntR.",
    "an object of bytes without a call": b"\x80\x02cbuiltins\nbytes\nI3900000000\n\x85\x81.",
    "a length beyond the file": b"\x80\x05\x96" + struct.pack("<Q", 3_900_000_000) + b".",
    "lists of the same list": pickle.dumps({"train": {"vision": _shared(10, 16)}}),
    "copies of the same text": b"\x80\x02X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20)
    + b"q\x00(cbuiltins\nlist\nq\x01" + b"h\x01h\x00\x85R" * 1000 + b"l.",
    "a tuple in a tuple, a million deep, as a key": b"\x80\x02}N" + b"\x85" * 1_000_000 + b"K\x01s.",
    "a list that holds itself": b"\x80\x02]q\x00h\x00a.",
    "rows of one text of great length": pickle.dumps({"train": {"vision": [["a"] * 60_000 + ["b" * 60_000]]}}),
}  # fmt: skip


@pytest.mark.hostile
@pytest.mark.parametrize("name", MEMORY)
def test_memory_is_bounded_by_the_size_of_the_file(tmp_path, name):
    place = tmp_path / "x.pkl"
    place.write_bytes(MEMORY[name])
    peak, said = peak_memory("import mmsa", place, "-o", tmp_path / "features")
    assert peak < 600
    assert "x.pkl" in said


def test_parts_that_a_file_shares_are_read(tmp_path):
    """Placeholders of missing clips are often one object."""
    zeros, row = np.zeros((50, 300)), (0.0, 1.0)
    raw = pickle.dumps({"vision": [zeros] * 200, "labels": [row] * 10_000, "text": ["a word"] * 10_000})
    assert same(read(tmp_path, raw), pickle.loads(raw))
