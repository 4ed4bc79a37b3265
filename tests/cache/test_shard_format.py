"""Shards of format 2: what other programs read of them, and that no flipped bit gives a wrong value."""

from __future__ import annotations

import random
import shutil
import subprocess

import h5py
import numpy as np
import pytest
import xxhash

from featzoo import FeatureSequence, FeatureStore
from featzoo.cache.pack import pack_store
from featzoo.cache.shard import Entry
from featzoo.cache.shard_reader import Mapped, read_header
from featzoo.cache.shard_writer import write_shard
from featzoo.errors import StoreError

NAMES = ("größe", "b")


def made(number, rows=4):
    times = np.arange(rows)[:, None] + np.array([[0.0, 1.0]])
    return FeatureSequence(np.tile(np.float32([number, number + 0.5]), (rows, 1)), times, NAMES)


@pytest.fixture
def shard(tmp_path):
    entries = [Entry("ä.mp4", "s" * 64, made(1)), Entry("b.mp4", "", made(2), {"gap": "ü"})]
    return write_shard(tmp_path, "0" * 64, entries, created=7)


def test_a_check_is_the_xxh3_of_all_that_the_shard_says_of_a_clip(shard):
    with h5py.File(shard) as file:
        rows = made(2).features.tobytes() + made(2).intervals.tobytes()
        head = "\0".join(["<f4(4, 2)", "b.mp4", "", file["notes"][0].decode(), *NAMES]).encode()
        assert file["checks"][1] == xxhash.xxh3_64_intdigest(head + rows)
        assert file["noted"][:].tolist() == [1]


def test_the_tables_attribute_is_the_xxh3_of_attributes_and_tables(shard):
    with h5py.File(shard) as file:
        head = "\0".join(["2", "0" * 64, "7", "<f4(8, 2)"]).encode()
        tables = ("offsets", "clip_ids", "names", "sources", "digests", "checks", "noted", "notes")
        assert file.attrs["tables"] == xxhash.xxh3_64_intdigest(head + b"".join(file[t][:].tobytes() for t in tables))


@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_in_any_order_of_memory_are_stored_alike(tmp_path, order):
    """praat and spectral give columns that lie one behind the other."""
    plain = made(3)
    laid = FeatureSequence(np.asarray(plain.features, order=order), np.asarray(plain.intervals, order=order), NAMES)
    stored = write_shard(tmp_path, "0" * 64, [Entry("c.mp4", "", laid)], created=7)
    with h5py.File(stored) as file:
        np.testing.assert_array_equal(file["features"], plain.features)
        rows = plain.features.tobytes() + plain.intervals.tobytes()
        head = "\0".join(["<f4(4, 2)", "c.mp4", "", "", *NAMES]).encode()
        assert file["checks"][0] == xxhash.xxh3_64_intdigest(head + rows)


@pytest.mark.skipif(not shutil.which("octave-cli"), reason="needs GNU Octave")
def test_octave_loads_a_shard(shard):
    ids = "ids = strtrim(cellstr(s.clip_ids)); printf('%s|', ids{:});"
    rows = "printf('%g ', s.features(:, s.offsets(2)+1:s.offsets(3)))"
    code = f"s = load('{shard}'); {ids} {rows}"
    done = subprocess.run(["octave-cli", "--norc", "--eval", code], capture_output=True, text=True, timeout=60)
    *ids, rows = done.stdout.split("|")
    assert ids == ["ä.mp4", "b.mp4"], done.stderr
    assert rows.split() == ["2", "2.5"] * 4


HDF5R = """
if (!requireNamespace("hdf5r", quietly = TRUE)) quit(status = 77)
library(hdf5r)
file <- H5File$new(commandArgs(TRUE)[1], "r")
ids <- file[["clip_ids"]][]
offsets <- as.numeric(file[["offsets"]][])
i <- which(ids == "b.mp4")
cat(file[["features"]][, (offsets[i] + 1):offsets[i + 1]])
"""


@pytest.mark.skipif(not shutil.which("Rscript"), reason="needs R with hdf5r")
def test_hdf5r_reads_a_shard(shard, tmp_path):
    (tmp_path / "read.R").write_text(HDF5R)
    done = subprocess.run(["Rscript", tmp_path / "read.R", shard], capture_output=True, text=True, timeout=60)
    if done.returncode == 77:
        pytest.skip("needs R's hdf5r")
    assert done.stdout.split() == ["2", "2.5"] * 4, done.stderr


@pytest.mark.skipif(not shutil.which("h5dump"), reason="needs h5dump")
def test_h5dump_reads_a_shard(shard):
    done = subprocess.run(["h5dump", "-d", "features", shard], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "(7,0): 2, 2.5" in done.stdout


def test_a_flipped_bit_is_an_error_or_changes_nothing(shard):
    """Each read with a header that was read before, as from a saved index, and with that of the flipped file."""
    sound, header, chance = shard.read_bytes(), read_header(shard), random.Random(0)
    refused = 0
    for _ in range(300):
        raw = bytearray(sound)
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        shard.write_bytes(raw)
        for known in (header, None):
            try:
                told = known or read_header(shard)
                held = Mapped(shard, told)
                for number, clip in enumerate(told.clip_ids):
                    held.verify(number, clip, told.digests[number])
            except StoreError:
                refused += 1
                continue
            assert (told.clip_ids, told.created, told.names) == (["ä.mp4", "b.mp4"], 7, NAMES)
            for number in range(2):
                np.testing.assert_array_equal(held.rows(number)[0], made(number + 1).features)
                np.testing.assert_array_equal(held.rows(number)[1], made(number + 1).intervals)
    assert refused > 30


@pytest.fixture
def store(tmp_path):
    return FeatureStore.create(tmp_path / "features")


def add(store, **values):
    return store.add("x", {clip: np.full((3, 2), value, np.float32) for clip, value in values.items()})


def flip(place, value):
    """Change a byte of the rows that hold this value."""
    raw = place.read_bytes()
    at = raw.index(np.float32(value).tobytes() * 2)
    place.write_bytes(raw[:at] + b"\x01" + raw[at + 1 :])


def test_a_damaged_clip_is_an_error_that_names_it_and_other_clips_are_read(store):
    found = add(store, a=7, b=9)
    place = found.index.path(found.place("a").shard)
    flip(place, 7)
    again = FeatureStore(store.path)["x"]
    with pytest.raises(StoreError, match=rf"{place.name}: the bytes of 'a' differ from those that were written"):
        again["a"]
    assert (again["b"].features == 9).all()
    assert FeatureStore(store.path, verify="never")["x"]["a"].features[0, 0] != 7


def test_an_intact_copy_is_read_in_place_of_a_damaged_one(store):
    add(store, a=7)
    found = add(store, a=7)
    flip(found.index.path(found.place("a").shard), 7)
    assert (FeatureStore(store.path)["x"]["a"].features == 7).all()


def test_an_older_value_never_stands_in_for_a_damaged_one(store):
    add(store, a=6)
    found = add(store, a=7)
    flip(found.index.path(found.place("a").shard), 7)
    with pytest.raises(StoreError, match="the bytes of 'a'"):
        FeatureStore(store.path)["x"]["a"]


def test_originals_stay_while_the_packed_shard_is_damaged(store):
    add(store, a=3)
    found = add(store, b=7)
    originals = set(found.index.shards())
    list(pack_store(store))
    found.index.refresh()
    (packed,) = set(found.index.shards()) - originals
    flip(found.index.path(packed), 7)
    list(pack_store(FeatureStore(store.path), grace=0))
    again = FeatureStore(store.path)["x"]
    assert ((again["a"].features == 3).all(), (again["b"].features == 7).all()) == (True, True)
