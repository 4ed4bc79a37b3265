"""Against a naive loop, and a moving square whose motion is known by pen and paper."""

import math
from itertools import pairwise

import numpy as np
import pytest
from conftest import write_video
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from featzoo.errors import ClipError
from featzoo.extractors.vision.motion_energy import NAMES, MotionEnergy, statistics
from featzoo.media.clip import Clip


def naive_statistics(image):
    height, width = image.shape
    total = sum(image[r][c] for r in range(height) for c in range(width))
    values = sorted(image[r][c] for r in range(height) for c in range(width))
    middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
    if total == 0:
        return [0.0, 0.0] + [math.nan] * 5
    entropy = centre_x = centre_y = 0.0
    for r in range(height):
        for c in range(width):
            share = image[r][c] / total
            entropy -= share * math.log2(share) if share > 0 else 0.0
            centre_x += share * (c + 0.5) / width
            centre_y += share * (r + 0.5) / height
    spread_x = spread_y = 0.0
    for r in range(height):
        for c in range(width):
            share = image[r][c] / total
            spread_x += share * ((c + 0.5) / width - centre_x) ** 2
            spread_y += share * ((r + 0.5) / height - centre_y) ** 2
    return [total / (height * width), middle, entropy, centre_x, centre_y, math.sqrt(spread_x), math.sqrt(spread_y)]


@settings(max_examples=80, deadline=None)
@given(
    hnp.arrays("f8", hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.sampled_from([0, 0.25, 0.5, 1]))
)
def test_statistics(image):
    np.testing.assert_allclose(statistics(image), naive_statistics(image), atol=1e-6)


def naive(clip, window, hop, height, width, threshold):
    """Every window from its definition: pairs of frames whose later one is first shown inside it."""
    shots = [(s.start, s.end, s.image.astype(int)) for s in clip.frames(size=(height, width), grey=True)]
    pairs = [(b[0], b[1], np.abs(b[2] - a[2]) > threshold) for a, b in pairwise(shots)]
    rows, number = [], 0
    while True:
        start = number * hop
        inside = [moved for time, _, moved in pairs if start <= time < start + window]
        over = pairs[-1][0] < start + window
        if inside:
            end = pairs[-1][1] if over else start + window
            rows.append((start, end, naive_statistics(np.mean(inside, axis=0))))
        if over:
            return rows
        number += 1


@pytest.mark.parametrize("name", ["talk.mp4", "uneven.mkv"])
@pytest.mark.parametrize("options", [{}, {"window": 0.5, "hop": 0.5}, {"window": 0.3, "hop": 0.7}])
def test_windows(made, name, options):
    extractor = MotionEnergy(height=12, width=16, **options)
    clip = Clip("a", made / name)
    found = extractor.extract(clip)
    expected = naive(clip, extractor.window, extractor.hop, 12, 16, 16)
    np.testing.assert_allclose(found.intervals, [(a, b) for a, b, _ in expected], atol=1e-9)
    # float32 output
    np.testing.assert_allclose(found.features, [row for _, _, row in expected], atol=1e-5)
    assert found.names == NAMES


def walking(number):
    """Black, and an 8 x 8 white square that steps 8 to the right with each frame."""
    image = np.zeros((32, 64), np.uint8)
    image[8:16, 8 * number : 8 * number + 8] = 255
    return image


def test_a_walking_square(tmp_path):
    """Two frames: the square leaves columns 0-8 and fills 8-16; rows 8-16 of 32."""
    path = write_video(tmp_path / "a.mkv", count=2, rate=2, picture=walking, codec="ffv1", pixels="gray")
    found = MotionEnergy(height=32, width=64, window=1.0, hop=1.0).extract(Clip("a", path))
    row = dict(zip(NAMES, found.features[0].tolist(), strict=True))
    assert found.features.shape == (1, 7)
    assert row["energy"] == pytest.approx(2 * 64 / (32 * 64))
    assert row["median"] == 0.0
    assert row["entropy"] == pytest.approx(7.0)  # 128 pixels alike
    assert row["center_x"] == pytest.approx(8 / 64)
    assert row["center_y"] == pytest.approx(12 / 32)
    # the variance of n neighbouring pixels is (n^2 - 1) / 12
    assert row["spread_x"] == pytest.approx(math.sqrt((16**2 - 1) / 12) / 64, rel=1e-5)
    assert row["spread_y"] == pytest.approx(math.sqrt((8**2 - 1) / 12) / 32, rel=1e-5)


def test_stillness_is_zero_energy_and_the_rest_not_observed(tmp_path):
    path = write_video(tmp_path / "a.mkv", count=30, picture=lambda _: walking(0), codec="ffv1", pixels="gray")
    found = MotionEnergy().extract(Clip("a", path))
    assert (found.features[:, :2] == 0).all()
    assert np.isnan(found.features[:, 2:]).all()


def test_the_threshold_is_exceeded_not_reached(tmp_path):
    def steps(number):
        return np.full((32, 64), (0, 16, 33)[number], np.uint8)

    path = write_video(tmp_path / "a.mkv", count=3, rate=2, picture=steps, codec="ffv1", pixels="gray")
    found = MotionEnergy(height=32, width=64, window=5.0).extract(Clip("a", path))
    assert found.features[0, 0] == 0.5


def test_one_frame_is_too_short(tmp_path):
    path = write_video(tmp_path / "a.mkv", count=1)
    with pytest.raises(ClipError) as caught:
        MotionEnergy().extract(Clip("a", path))
    assert caught.value.reason == "too-short"
    with pytest.raises(ValueError, match="positive"):
        MotionEnergy(hop=0)
