"""pool() agrees with loops over every row and interval, and with CMU-MultimodalSDK's own `align`."""

import contextlib
import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featzoo.alignment import HOWS, pool

# Milliseconds: that two edges lie exactly 1 ms apart must happen often, since it decides what belongs to what.
TIMES = st.integers(0, 40).map(lambda ms: ms / 1000)
SPANS = st.tuples(TIMES, TIMES).map(sorted)


@st.composite
def streams(draw, instants=True, gaps=True):
    """Features (T, ..., D) float32 and intervals (T, 2), in any order, overlapping as they like."""
    spans = SPANS if instants else SPANS.filter(lambda span: span[1] - span[0] > 0.0015)
    intervals = np.array(draw(st.lists(spans, max_size=8)), dtype=float).reshape(-1, 2)
    shape = (len(intervals), *draw(st.sampled_from([(2,), (2, 3)])))
    value = st.floats(-100, 100, width=32)
    flat = draw(st.lists(value | st.just(math.nan) if gaps else value, min_size=int(np.prod(shape)), max_size=200))
    return np.array(flat[: int(np.prod(shape))], np.float32).reshape(shape), intervals


def naive(features, intervals, onto, how):
    """The definition, a number at a time."""
    out = np.full((len(onto), *features.shape[1:]), np.nan)
    order = sorted(range(len(intervals)), key=lambda t: intervals[t][0])
    for w, (low, high) in enumerate(onto):
        shared = []
        for t in order:
            start, end = intervals[t]
            seconds = min(end, high) - max(start, low)
            if start == end and low <= start < high and high - low >= 0.001:
                shared.append((t, np.finfo(float).eps))
            elif seconds > 0.001:
                shared.append((t, seconds))
        for column in np.ndindex(features.shape[1:]):
            seen = [(float(features[t][column]), s) for t, s in shared if not math.isnan(features[t][column])]
            if how == "first" and shared:
                out[(w, *column)] = features[shared[0][0]][column]
            elif seen:
                values = [value for value, _ in seen]
                mean = sum(values) / len(values)
                out[(w, *column)] = {
                    "mean": mean,
                    "weighted": sum(v * s for v, s in seen) / sum(s for _, s in seen),
                    "sum": sum(values),
                    "std": math.sqrt(sum((v - mean) ** 2 for v in values) / len(values)),
                    "max": max(values),
                    "min": min(values),
                    "first": math.nan,
                }[how]
    return out


@settings(max_examples=60, deadline=None)
@given(streams(), st.lists(SPANS, max_size=5))
@pytest.mark.parametrize("how", HOWS)
def test_pool_is_the_definition(how, stream, onto):
    onto = np.array(onto, dtype=float).reshape(-1, 2)
    found = pool(*stream, onto, how)
    assert found.dtype == np.float32
    # float32 output of values up to 100 (sums: 800)
    np.testing.assert_allclose(found, naive(*stream, onto, how), rtol=1e-6, atol=1e-4)


def test_rows_that_overlap_by_more_than_1_ms_belong_to_an_interval():
    """Cut rows count in full, 1 ms shared is too little, a row may belong to two words."""
    features = np.array([[1.0], [10.0], [100.0]], np.float32)
    intervals = np.array([[0.0, 0.1], [0.1, 0.2], [0.2, 0.3]])
    onto = np.array([[0.05, 0.11], [0.05, 0.1005], [0.15, 0.25], [0.4, 0.5], [0.15, 0.1505], [math.nan, math.nan]])
    found = pool(features, intervals, onto)[:, 0]
    np.testing.assert_allclose(found, [5.5, 1.0, 55.0, math.nan, math.nan, math.nan])
    # 0.05 s of the first row, 0.01 s of the second
    np.testing.assert_allclose(pool(features, intervals, onto[:1], "weighted"), [[(5 * 1 + 1 * 10) / 6]], rtol=1e-6)


def test_rows_that_only_touch_an_interval_do_not_belong_to_it():
    """Quarters of a second are exact: the rows end where the interval starts, and start where it ends."""
    intervals = np.array([[0.0, 0.25], [0.25, 0.5], [0.5, 0.75]])
    features = np.array([[1.0], [10.0], [100.0]])
    for how in HOWS:
        assert pool(features, intervals, np.array([[0.25, 0.5]]), how).item() == (0.0 if how == "std" else 10.0)
    # A row that shares exactly 1 ms does not count either, one that shares more does.
    for end, expected in ((0.001, math.nan), (0.0011, 1.0)):
        np.testing.assert_array_equal(pool(features[:1], np.array([[0.0, end]]), np.array([[0.0, 0.5]])), [[expected]])


def test_instants_belong_to_the_interval_that_starts_with_them():
    at = np.array([[0.25, 0.25], [0.5, 0.5]])
    onto = np.array([[0.0, 0.25], [0.25, 0.5], [0.5, 0.75]])
    np.testing.assert_array_equal(pool(np.array([[1.0], [2.0]]), at, onto)[:, 0], [math.nan, 1.0, 2.0])


def test_rows_inside_each_other_and_out_of_order():
    intervals = np.array([[3.0, 4.0], [0.0, 10.0], [1.0, 2.0]])
    found = pool(np.array([[1.0], [2.0], [4.0]]), intervals, np.array([[1.5, 1.8], [3.5, 9.0], [8.0, 9.0]]))
    np.testing.assert_allclose(found[:, 0], [3.0, 1.5, 2.0])


def test_instants_count_where_they_lie():
    at = np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]])
    found = pool(np.array([[1.0], [2.0], [4.0]]), at, np.array([[0.1, 0.3], [0.25, 0.35], [0.31, 0.4]]))
    np.testing.assert_allclose(found[:, 0], [1.5, 4.0, math.nan])


def test_types():
    rows, times, onto = np.full((3, 1), 60000, np.float16), np.array([[0, 1], [1, 2], [2, 3]]), np.array([[0, 3]])
    assert pool(rows, times, onto).dtype == np.float16
    assert pool(rows, times, onto).item() == 60000
    assert pool(rows, times, onto, "sum").item() == 180000  # more than float16 holds
    assert pool(rows.astype(np.int64), times, onto).dtype == np.float32
    assert pool(rows.astype(np.float64), times, onto).dtype == np.float64
    with pytest.raises(ValueError, match=r"pooling must be one of mean, .*; got 'median'"):
        pool(rows, times, onto, "median")


def aligned_by_mmsdk(streams, words, collapse):
    """What the published package gives: stream, then `video[number]`, to its features."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        pytest.importorskip("mmsdk", reason="pip install cmu-multimodal-sdk==0.0.6")
        from mmsdk.mmdatasdk import computational_sequence, mmdataset

        dataset = mmdataset.__new__(mmdataset)
        dataset.computational_sequences = {}
        for name, entries in {**streams, "words": words}.items():
            made = computational_sequence(name)
            made.setData({k: {"features": f, "intervals": i} for k, (f, i) in entries.items()}, name)
            dataset.computational_sequences[name] = made
        dataset.align("words", collapse_functions=[collapse])
        return {name: dataset[name].data for name in streams}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(streams(instants=False, gaps=False), st.lists(SPANS, min_size=1, max_size=5)), max_size=3))
def test_equal_to_mmsdk(videos):
    videos = {f"video{n}": each for n, each in enumerate(videos) if len(each[0][0]) and each[0][0].ndim == 2}
    stream = {name: features for name, (features, _) in videos.items()}
    onto = {name: np.array(spans, dtype=float) for name, (_, spans) in videos.items()}
    words = {name: (np.zeros((len(spans), 1)), spans) for name, spans in onto.items()}
    for how, function in (("mean", np.mean), ("max", np.max), ("std", np.std), ("sum", np.sum)):
        theirs = aligned_by_mmsdk({"x": stream}, words, lambda _, rows, of=function: of(rows, axis=0))["x"]
        for name, spans in onto.items():
            ours = pool(*stream[name], spans, how)
            for number, row in enumerate(ours):
                # float32 sums of up to 8 values of up to 100, theirs in float32 throughout
                if f"{name}[{number}]" in theirs:
                    np.testing.assert_allclose(row, theirs[f"{name}[{number}]"]["features"][0], rtol=1e-4, atol=1e-4)
                else:
                    assert np.isnan(row).all()
