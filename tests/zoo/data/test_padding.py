"""Padded batches against a loop over every number; a split held on a device gives the very same batches."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featzoo.zoo.data.padding import has_gaps, pad
from featzoo.zoo.data.split import Counts, Split, Statistics, held
from featzoo.zoo.input_spec import InputSpec

WIDTH = 3
NUMBERS = st.floats(-1e6, 1e6, width=32) | st.just(math.nan)


@st.composite
def clips(draw):
    """Arrays (T, 3), or None, in one of the types that a store holds."""
    kind = draw(st.sampled_from([np.float32, np.float16, np.float64]))
    lengths = draw(st.lists(st.none() | st.integers(1, 5), min_size=1, max_size=5))
    numbers = NUMBERS if kind != np.float16 else st.floats(-1000, 1000, width=16) | st.just(math.nan)
    rows = st.lists(numbers, min_size=WIDTH, max_size=WIDTH)
    return [n if n is None else np.array([draw(rows) for _ in range(n)], kind) for n in lengths]


def naive(arrays, mean, std):
    """values, mask and observed, a number at a time, standardised in float64 and rounded once."""
    longest = max([1, *(len(a) for a in arrays if a is not None)])
    values = np.zeros((len(arrays), longest, WIDTH), np.float32)
    mask, observed = np.zeros(values.shape[:2], bool), np.zeros(values.shape, bool)
    for b, array in enumerate(arrays):
        for t, row in enumerate([] if array is None else array):
            mask[b, t] = True
            for d, number in enumerate(row):
                if not math.isnan(number):
                    values[b, t, d] = np.float32((float(number) - mean[d]) / std[d])
                    observed[b, t, d] = True
    return values, mask, observed


def split_of(arrays, scaled, ids=()):
    mean, std = {}, {}
    if scaled:
        mean, std = {"audio": np.array([1.0, -2.0, 1e5])}, {"audio": np.array([1.0, 3.0, 0.7])}
    count = len(arrays)
    features = {"audio": arrays, "text": list(ids) or [None] * count}
    specs = {"audio": InputSpec(WIDTH), "text": InputSpec(1, ids=True)}
    targets = np.linspace(-3, 3, count)[:, None]
    names = tuple(f"c{i}" for i in range(count))
    return Split("train", names, features, targets, specs, Statistics(mean, std), Counts(count))


def same(one, other):
    return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)


@settings(max_examples=150, deadline=None)
@given(clips(), st.booleans())
def test_pad_gives_what_a_loop_gives(arrays, scaled):
    split = split_of(arrays, scaled)
    mean, std = split.scale("audio") or (np.zeros(WIDTH), np.ones(WIDTH))
    found = split.batch(range(len(arrays))).inputs["audio"]
    for tensor, expected in zip(found, naive(arrays, mean, std), strict=True):
        assert same(tensor, torch.from_numpy(expected))


@settings(max_examples=150, deadline=None)
@given(clips(), st.booleans(), st.data())
def test_a_held_split_gives_the_same_batches(arrays, scaled, data):
    words = [None if a is None else np.arange(len(a) + 2)[:, None] + 5 for a in arrays]
    split = split_of(arrays, scaled, words)
    on_device = split.held_on(torch.device("cpu"))
    rows = data.draw(st.lists(st.integers(0, len(arrays) - 1), min_size=1, max_size=6))
    one, other = split.batch(rows), on_device.batch(rows)
    assert one.ids == other.ids
    assert same(one.targets, other.targets)
    for role in ("audio", "text"):
        for host, device in zip(one.inputs[role], other.inputs[role], strict=True):
            assert same(host, device)
    np.testing.assert_array_equal(split.lengths(), on_device.lengths())


def test_a_held_batch_does_not_wait_for_the_device():
    """A tensor on `meta` has a shape and no values: whatever would wait for a value fails."""
    rows = [np.ones((n, WIDTH), np.float32) for n in (2, 5, 3)]
    split = split_of(rows, True, [np.ones((n, 1), int) for n in (1, 2, 3)])
    batch = split.held_on(torch.device("meta")).batch(np.array([2, 0]))
    assert batch.inputs["audio"].values.shape == (2, 3, WIDTH)
    assert batch.inputs["text"].values.shape == (2, 3)
    assert {t.device.type for padded in batch.inputs.values() for t in padded} == {"meta"}
    assert batch.targets.shape == (2, 1)


def test_a_split_is_held_on_a_device_where_it_fits():
    split = split_of([np.ones((2, WIDTH), np.float32)], False)
    cpu = torch.device("cpu")
    assert held([split], "auto", cpu) == [split]
    assert held([split], False, cpu) == [split]
    assert held([split], True, cpu)[0].held["audio"].values.shape == (3, WIDTH)
    assert split.device_bytes() == 2 * WIDTH * 4


@pytest.mark.parametrize(("value", "found"), [(1.0, False), (np.nan, True), (3e38, False)])
def test_has_gaps_finds_nan(value, found):
    """Sums of huge values overflow; that alone is no gap."""
    array = np.array([[3e38, 3e38], [-3e38, -3e38], [value, -3e38]], np.float32)
    assert has_gaps(array) is found
    assert not has_gaps(np.ones((2, 1), np.int64))


def test_token_ids_are_padded_as_whole_numbers():
    found = pad([np.array([[7], [8]]), None, np.array([[9]])], InputSpec(1, ids=True))
    assert found.values.tolist() == [[7, 8], [0, 0], [9, 0]]
    assert found.values.dtype == torch.int64
    assert found.observed.tolist() == found.mask.tolist() == [[True, True], [False, False], [True, False]]
