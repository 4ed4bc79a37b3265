"""FeatureSequence refuses what is malformed; pool() agrees with a naive loop."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featzoo.sequence import FeatureSequence, concatenate

TIMES = st.floats(0, 10).map(lambda t: round(t, 2))


@st.composite
def sequences(draw):
    count = draw(st.integers(0, 8))
    intervals = np.array([sorted((draw(TIMES), draw(TIMES))) for _ in range(count)]).reshape(-1, 2)
    values = st.one_of(st.floats(-100, 100, width=32), st.just(math.nan))
    shape = draw(st.sampled_from([(count, 2), (count, 2, 3)]))
    flat = [draw(values) for _ in range(int(np.prod(shape)))]
    return FeatureSequence(np.array(flat, np.float32).reshape(shape), intervals, tuple("abc"[: shape[-1]]))


def naive_pool(sequence, onto):
    """For each target and column: the mean of observed values, weighted by the seconds of overlap."""
    flat = sequence.features.reshape(len(sequence), int(np.prod(sequence.features.shape[1:]))).astype(float)
    out = np.full((len(onto), flat.shape[1]), np.nan)
    for w, (low, high) in enumerate(onto):
        for k in range(flat.shape[1]):
            total = weight = 0.0
            for t, (start, end) in enumerate(sequence.intervals):
                seconds = max(0.0, min(high, end) - max(low, start))
                if start == end and low <= start < high:
                    seconds = np.finfo(float).eps
                if seconds > 0 and not math.isnan(flat[t, k]):
                    total += seconds * flat[t, k]
                    weight += seconds
            if weight > 0:
                out[w, k] = total / weight
    return out.reshape(len(onto), *sequence.features.shape[1:])


@settings(max_examples=150, deadline=None)
@given(sequences(), st.lists(st.tuples(TIMES, TIMES).map(sorted), max_size=5))
def test_pool_is_the_weighted_mean(sequence, onto):
    onto = np.array(onto, dtype=float).reshape(-1, 2)
    pooled = sequence.pool(onto)
    assert pooled.features.dtype == np.float32
    assert pooled.names == sequence.names
    np.testing.assert_array_equal(pooled.intervals, onto)
    # float32 output of values up to 100
    np.testing.assert_allclose(pooled.features, naive_pool(sequence, onto), rtol=1e-5, atol=1e-4)


def test_pool_of_a_constant_is_the_constant_and_of_nothing_is_nan():
    sequence = FeatureSequence(np.full((10, 1), 3.0), np.stack([np.arange(10), np.arange(1, 11)], 1), ("a",))
    found = sequence.pool(np.array([[0.3, 4.7], [9.5, 20.0], [12.0, 13.0], [math.nan, math.nan]])).features[:, 0]
    np.testing.assert_allclose(found, [3.0, 3.0, math.nan, math.nan])
    assert len(sequence.pool(np.zeros((0, 2)))) == 0


def test_pool_needs_times():
    sequence = FeatureSequence(np.zeros((2, 1)), np.full((2, 2), np.nan), ("a",))
    assert not sequence.timed
    with pytest.raises(ValueError, match="without times"):
        sequence.pool(np.array([[0, 1]]))


@pytest.mark.parametrize(
    ("features", "intervals", "names", "text"),
    [
        (np.zeros(3), np.zeros((3, 2)), ("a",), "shape"),
        (np.zeros((3, 1)), np.zeros((2, 2)), ("a",), "need intervals"),
        (np.zeros((3, 2)), np.zeros((3, 2)), ("a",), "names"),
        (np.zeros((1, 1)), np.array([[2.0, 1.0]]), ("a",), "ends before"),
        (np.array([[np.inf]]), np.zeros((1, 2)), ("a",), "infinite"),
        (np.zeros((1, 1)), np.array([[0.0, np.inf]]), ("a",), "infinite"),
        (np.array([["x"]]), np.zeros((1, 2)), ("a",), "numbers"),
        (np.array([[None]]), np.zeros((1, 2)), ("a",), "numbers"),
    ],
)
def test_malformed_sequences_are_refused(features, intervals, names, text):
    with pytest.raises(ValueError, match=text):
        FeatureSequence(features, intervals, names)


def test_unknown_times_are_allowed():
    assert len(FeatureSequence(np.zeros((2, 1)), np.array([[np.nan, np.nan], [0, 1]]), ("a",))) == 2


def test_concatenate():
    parts = [FeatureSequence(np.full((n, 1), n, np.float32), np.full((n, 2), float(n)), ("a",)) for n in (1, 2, 0)]
    whole = concatenate(parts)
    assert whole.features[:, 0].tolist() == [1, 2, 2]
    assert whole.intervals[:, 0].tolist() == [1, 2, 2]
    with pytest.raises(ValueError, match="no pieces"):
        concatenate([])
    with pytest.raises(ValueError, match="different columns"):
        concatenate([parts[0], FeatureSequence(np.zeros((1, 1)), np.zeros((1, 2)), ("b",))])
