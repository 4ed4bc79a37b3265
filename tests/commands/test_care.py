"""What the commands that look after a store print beyond what the library reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from featzoo import FeatureStore
from featzoo.cli import feat


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """A store of three shards."""
    made = FeatureStore.create(tmp_path / "f")
    for name in "abc":
        made.add("mine", {name: np.ones((2, 3), np.float32)}, names=["x", "y", "z"])
    return made


def test_packing_damaged_shards_advises_the_repair(store: FeatureStore) -> None:
    shard = next(store["mine"].folder.glob("shards/*.h5"))
    shard.write_bytes(shard.read_bytes()[:-50])
    done = CliRunner().invoke(feat, ["pack", "--store", str(store.path)])
    assert done.exit_code == 1
    assert "Repair the store first\n" in done.output
    assert done.output.endswith(f"feat check --repair -o {store.path}\n")


@pytest.mark.parametrize("option", ["--delete", "--set"])
def test_a_set_is_deleted_by_the_new_and_the_old_option(store: FeatureStore, option: str) -> None:
    done = CliRunner().invoke(feat, ["gc", option, "mine", "--yes", "--store", str(store.path)])
    assert done.exit_code == 0, done.output
    assert "1 feature set, " in done.output
    assert not FeatureStore(store.path).sets()


def test_one_set_is_listed_in_the_singular(store: FeatureStore) -> None:
    assert (
        "1 set, 3 stored sequences, 0 damaged files"
        in CliRunner().invoke(feat, ["check", "-o", str(store.path)]).output
    )
