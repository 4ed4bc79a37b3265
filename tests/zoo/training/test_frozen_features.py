"""What frozen parts make of a split: in memory or in files, the same; the rest stays as the store has it."""

import dataclasses
import resource

import numpy as np
import pytest
import torch

from featzoo.cache.store import FeatureStore
from featzoo.errors import FeatzooError
from featzoo.zoo.data.load import load_split
from featzoo.zoo.head import make_head
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.training import frozen_features as activations
from featzoo.zoo.training import remembered
from zoo.conftest import SMALL

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(remembered, "_MADE", type(remembered._MADE)())


@pytest.fixture(scope="module")
def frozen(small_store):
    """A head whose first two of three layers are frozen, and its train split."""
    recipe = find_recipe("psa-mf", SMALL | {"options.frozen_layers": 2})
    train = load_split(FeatureStore(small_store), recipe, "train")
    return make_head("psa-mf", recipe.options, train.specs, 1), train


def test_files_hold_what_memory_holds(frozen, monkeypatch):
    head, train = frozen
    told = []
    in_memory = activations.for_stage(head, train, "main", 8, CPU, lambda *step: told.append(step))
    assert told == [(done, len(train) // 8) for done in range(1, len(train) // 8 + 1)]
    monkeypatch.setattr(remembered, "LARGEST", 0)
    monkeypatch.setattr(activations, "IN_MEMORY", 1000)
    monkeypatch.setattr(activations, "FILE", 4096)
    in_files = activations.for_stage(head, train, "main", 8, CPU)
    for role in ("text", "text-aligned"):
        assert any(isinstance(array, np.memmap) for array in in_files.features[role])
        assert any(not isinstance(array, np.memmap) for array in in_files.features["text"])
        for one, other in zip(in_memory.features[role], in_files.features[role], strict=True):
            assert np.array_equal(one, other)


def test_what_is_not_distilled_stays_as_it_is_in_the_store(frozen):
    head, train = frozen
    kept = activations.for_stage(head, train, "main", 8, CPU)
    assert kept.features["audio"] is train.features["audio"]
    assert set(kept.statistics.mean) == set(train.statistics.mean) == {"audio", "vision"}
    before, after = train.batch([3, 1]), kept.batch([3, 1])
    for role in ("audio", "vision", "personality"):
        for one, other in zip(before.inputs[role], after.inputs[role], strict=True):
            assert torch.equal(one, other)
    assert torch.equal(before.targets, after.targets)
    assert np.array_equal(kept.lengths(), train.lengths())  # so the same clips come together
    assert not kept.specs["text"].ids
    assert kept.specs["text"].width == 16


def test_a_full_disk_says_so(frozen, monkeypatch):
    """A limit on the size of files stands for it: the space is asked for before anything is written."""
    head, train = frozen
    monkeypatch.setattr(activations, "IN_MEMORY", 0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(FeatzooError, match=r"no room in .* \(0\.3 GB more; File too large\): set TMPDIR"):
            activations.for_stage(head, train, "main", 8, CPU)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_next_seed_need_not_compute_it_again(small_store, monkeypatch):
    """Another head with the same frozen weights has it from memory; with others, or on other inputs, it does not."""
    recipe = find_recipe("psa-mf", SMALL | {"options.frozen_layers": 2})
    train = load_split(FeatureStore(small_store), recipe, "train")
    torch.manual_seed(1)
    heads = [make_head("psa-mf", recipe.options, train.specs, 1) for _ in range(2)]
    assert not torch.equal(heads[0].text.weight, heads[1].text.weight)
    runs = []
    for head in heads:
        monkeypatch.setattr(head, "distil", lambda inputs, of=head.distil: runs.append(1) or of(inputs))
    first = activations.for_stage(heads[0], train, "main", 8, CPU)
    assert len(runs) == 3
    again = activations.for_stage(heads[1], train, "main", 8, CPU)
    assert len(runs) == 4  # one batch, which shows that there is something to keep
    assert again.features["text"] is first.features["text"]
    activations.for_stage(
        heads[1],
        dataclasses.replace(train, features=train.features | {"text": train.features["text"][::-1]}),
        "main",
        8,
        CPU,
    )
    assert len(runs) == 7
    with torch.no_grad():
        heads[1].encoder.layers[1].output.dense.bias[3] += 1
    other = activations.for_stage(heads[1], train, "main", 8, CPU)
    assert len(runs) == 10
    assert not np.array_equal(other.features["text"][0], first.features["text"][0])
