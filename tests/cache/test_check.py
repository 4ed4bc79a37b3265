"""`feat check`: damage is found whatever it is, and set aside only when asked."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from featzoo import FeatureStore
from featzoo.cache.check import check_store
from featzoo.cli import feat


@pytest.fixture
def store(tmp_path):
    made = FeatureStore.create(tmp_path / "features")
    rng = np.random.default_rng(0)
    for first in (0, 5):
        made.add("x", {f"clip {i}": rng.normal(size=(20, 8)).astype(np.float32) for i in range(first, first + 5)})
    return made


def shards(store):
    return sorted((store["x"].folder / "shards").glob("*.h5"))


def test_a_sound_store_passes(store):
    assert list(check_store(store)) == []


def flip_a_feature(file):
    file["features"][3, 2] += 1e-6


def flip_an_interval(file):
    file["intervals"][0] = (0.0, 1.0)


def swap_two_clips(file):
    file["clip_ids"][0], file["clip_ids"][1] = file["clip_ids"][1], file["clip_ids"][0]
    file["offsets"][1] += 1


def turn_an_interval_round(file):
    file["intervals"][0] = (2.0, 1.0)


@pytest.mark.parametrize("damage", [flip_a_feature, flip_an_interval, swap_two_clips, turn_an_interval_round])
def test_silent_damage_is_found(store, damage):
    """Changes that leave a file that opens and has the right shape."""
    with h5py.File(shards(store)[0], "r+") as file:
        damage(file)
    (found,) = check_store(FeatureStore(store.path))
    assert found.place == shards(store)[0]


@pytest.mark.parametrize("cut", [10, 2000, -100])
def test_a_truncated_shard_is_found_and_its_clips_are_no_longer_held(store, cut):
    place = shards(store)[1]
    place.write_bytes(place.read_bytes()[:cut])
    again = FeatureStore(store.path)
    (found,) = check_store(again)
    assert found.place == place
    assert [damage.place.name for damage in check_store(again, repair=True)] == [place.name]
    assert list(check_store(FeatureStore(store.path))) == []
    assert len(FeatureStore(store.path)["x"]) == 5
    assert (store["x"].folder / "damaged" / place.name).is_file()  # aside, not away


def test_the_command_says_so_and_exits_1(store):
    assert CliRunner().invoke(feat, ["check", "-o", str(store.path)]).exit_code == 0
    with h5py.File(shards(store)[0], "r+") as file:
        flip_a_feature(file)
    done = CliRunner().invoke(feat, ["check", "-o", str(store.path)])
    assert done.exit_code == 1
    assert "differ from those that were written" in done.output
    assert len(shards(store)) == 2  # nothing moved without --repair
