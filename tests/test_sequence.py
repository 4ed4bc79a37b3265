"""FeatureSequence refuses what is malformed."""

import math

import numpy as np
import pytest

from featzoo.sequence import FeatureSequence, concatenate


def test_pool_keeps_columns_and_takes_the_intervals():
    sequence = FeatureSequence(np.full((10, 1), 3.0), np.stack([np.arange(10), np.arange(1, 11)], 1), ("a",))
    onto = np.array([[0.3, 4.7], [9.5, 20.0], [12.0, 13.0], [math.nan, math.nan]])
    found = sequence.pool(onto)
    np.testing.assert_allclose(found.features[:, 0], [3.0, 3.0, math.nan, math.nan])
    np.testing.assert_array_equal(found.intervals, onto)
    assert found.names == ("a",)
    assert len(sequence.pool(np.zeros((0, 2)))) == 0


def test_pool_needs_times():
    sequence = FeatureSequence(np.array([[1.0], [5.0]]), np.full((2, 2), np.nan), ("a",))
    assert not sequence.timed
    with pytest.raises(ValueError, match="without times"):
        sequence.pool(np.array([[0, 1]]))
    # Rows whose time is not known, such as [CLS], are left out.
    partly = FeatureSequence(sequence.features, np.array([[np.nan, np.nan], [0, 1]]), ("a",))
    assert partly.pool(np.array([[0, 1]])).features.tolist() == [[5.0]]


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
