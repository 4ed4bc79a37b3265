"""Texts of variable length, read without HDF5: the same as h5py's, and an error where HDF5 loops for ever."""

import io
import random
import shutil
from pathlib import Path

import h5py
import pytest

from featzoo.cache.heap import heap_texts
from featzoo.cache.shard_reader import read_header
from featzoo.errors import DamagedShard

FIXTURE = Path(__file__).parents[1] / "fixtures" / "0.1.0" / "features"
# One text fills a heap of its own, and all of them several.
TEXTS = ["", "a", "ünï", "12345678", "x" * 5000, *(f"clip {number}" * (number % 40) for number in range(700))]


def place_of(path, name="texts"):
    with h5py.File(path) as file:
        return file[name].id.get_offset(), file[name].size


def texts_of(path, name="texts"):
    with path.open("rb") as raw:
        return heap_texts(raw, *place_of(path, name))


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("texts", data=TEXTS, dtype=h5py.string_dtype())
    return path


def test_texts_are_those_that_h5py_wrote_and_reads(written):
    assert texts_of(written) == TEXTS
    for shard in FIXTURE.glob("*/shards/*.h5"):
        with h5py.File(shard) as file:
            held = [name for name in file if file[name].dtype.kind == "O"]
            wanted = {name: list(file[name].asstr()[:]) for name in held}
        assert wanted
        assert {name: texts_of(shard, name) for name in wanted} == wanted


def test_a_flipped_bit_is_an_error_or_another_letter(written):
    """Each bit of the references and of the heaps' headers, and many of the rest: none takes long."""
    whole, chance = written.read_bytes(), random.Random(1)
    heap, place = whole.index(b"GCOL"), place_of(written)
    for bit in [*range(8 * heap, 8 * (heap + 48)), *(chance.randrange(8 * heap, 8 * len(whole)) for _ in range(600))]:
        raw = bytearray(whole)
        raw[bit // 8] ^= 1 << bit % 8
        try:
            found = heap_texts(io.BytesIO(raw), *place)
        except ValueError:
            continue
        assert len(found) == len(TEXTS)
        assert sum(one != other for one, other in zip(found, TEXTS, strict=True)) <= 1


def test_the_bit_with_which_hdf5_never_returns(tmp_path):
    (shard,) = (FIXTURE / "motion-energy-d12eba51" / "shards").glob("vm-3062-*.h5")
    copy = tmp_path / shard.name
    shutil.copy(shard, copy)
    raw = bytearray(copy.read_bytes())
    raw[20874 // 8] ^= 1 << 20874 % 8
    copy.write_bytes(raw)
    with pytest.raises(DamagedShard, match="is damaged"):
        read_header(copy)


def test_texts_that_share_a_long_one_are_refused(tmp_path):
    """A stranger needs 16 bytes for each further copy in memory."""
    path = tmp_path / "shared.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("texts", data=["x" * 100_000, *"abcd"], dtype=h5py.string_dtype())
    place, count = place_of(path)
    raw = bytearray(path.read_bytes())
    for number in range(1, count):
        raw[place + 16 * number : place + 16 * number + 16] = raw[place : place + 16]
    with pytest.raises(ValueError, match="together longer than the file"):
        heap_texts(io.BytesIO(raw), place, count)
