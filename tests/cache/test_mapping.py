"""Files are mapped without keeping them open."""

import os
import resource
from pathlib import Path

import numpy as np
import pytest

from featzoo.cache.mapping import mapped
from featzoo.cache.store import FeatureStore

FEW, SHARDS = 24, 40


@pytest.fixture
def few_descriptors():
    """At most 24 more files may be open at a time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + FEW, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_store_of_more_shards_than_descriptors_is_opened_and_read(tmp_path, few_descriptors):
    store = FeatureStore.create(tmp_path / "f")
    rows = np.arange(SHARDS * 6, dtype=np.float32).reshape(SHARDS, 3, 2)
    for number, each in enumerate(rows):
        store.add("x", {f"clip{number:02d}": each})
    found = FeatureStore(store.path)["x"]
    held = [found[clip_id].features for clip_id in found.ids()]
    assert len(found.index.shards()) == SHARDS
    np.testing.assert_array_equal(held, rows)


def test_the_map_equals_the_file_and_cannot_be_written(tmp_path):
    place = tmp_path / "bytes"
    place.write_bytes(bytes(range(256)) * 40)
    found = mapped(place)
    assert found.tobytes() == place.read_bytes()
    with pytest.raises(ValueError, match="WRITEABLE"):
        found.flags.writeable = True


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="needs /proc")
def test_the_map_lives_as_long_as_a_view_of_it(tmp_path):
    place = tmp_path / "viewed"
    place.write_bytes(bytes(100))
    whole = mapped(place)
    view = whole[10:20]
    del whole
    assert str(place) in Path("/proc/self/maps").read_text()
    assert view.sum() == 0
    del view
    assert str(place) not in Path("/proc/self/maps").read_text()


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="empty"):
        mapped(tmp_path / "empty")
