"""The digest is what it says: recomputed here from the definition."""

import hashlib

import h5py
import numpy as np
import pytest

from featzoo.cache.shard import Entry, VanishedShard, clip_digest
from featzoo.cache.shard_reader import read_header
from featzoo.cache.shard_writer import write_shard
from featzoo.errors import StoreError
from featzoo.sequence import FeatureSequence


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "u1", "<f2"])
@pytest.mark.parametrize("shape", [(3, 2), (0, 2), (2, 3, 4), (2, 0)])
def test_digest_by_definition(dtype, shape):
    features = (np.arange(np.prod(shape)) % 200).reshape(shape).astype(dtype)
    intervals = np.arange(2.0 * shape[0]).reshape(-1, 2)
    little = features.astype(np.dtype(dtype).newbyteorder("<"))
    text = f"{little.dtype.str}{shape}".encode()
    expected = hashlib.sha256(text + little.tobytes() + intervals.tobytes()).hexdigest()
    assert clip_digest(features, intervals) == expected
    assert clip_digest(np.asfortranarray(features), intervals) == expected


def test_digest_tells_shapes_and_types_apart():
    zeros, times = np.zeros((2, 2), "f4"), np.zeros((2, 2))
    digests = {clip_digest(zeros.reshape(s).astype(t), times) for s in [(2, 2), (1, 4)] for t in ("f4", "i4", "f8")}
    assert len(digests) == 6


def test_names_of_shards_never_meet_and_headers_tell_all(tmp_path):
    entry = Entry("a", "source", FeatureSequence(np.zeros((2, 1), np.float32), np.zeros((2, 2)), ("x",)))
    places = {write_shard(tmp_path, "spec", [entry]) for _ in range(5)}
    assert len(places) == 5
    headers = [read_header(place) for place in places]
    assert all(
        (h.clip_ids, h.sources, h.names, h.tail, h.dtype) == (["a"], ["source"], ("x",), (1,), "<f4") for h in headers
    )
    assert len({h.created for h in headers}) == 5


def test_a_folder_that_is_not_there(tmp_path):
    entry = Entry("a", "", FeatureSequence(np.zeros((1, 1)), np.zeros((1, 2)), ("x",)))
    with pytest.raises(StoreError, match="cannot write"):
        write_shard(tmp_path / "none", "spec", [entry])
    with pytest.raises(StoreError, match="is gone"):
        read_header(tmp_path / "none.h5")


def test_a_shard_deleted_while_it_is_opened_is_gone_not_damaged(tmp_path, monkeypatch):
    """HDF5 then says that it cannot retrieve the file's stat info, with no errno."""
    path = tmp_path / "a.h5"
    path.write_bytes(b"x")

    def deleted_meanwhile(*arguments, **options):
        path.unlink()
        raise OSError("Unable to synchronously open file (can't retrieve stat info for file)")

    monkeypatch.setattr(h5py, "File", deleted_meanwhile)
    with pytest.raises(VanishedShard, match="is gone"):
        read_header(path)
