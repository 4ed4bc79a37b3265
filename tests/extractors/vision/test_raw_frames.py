"""Frames as they are, when they are shown."""

import numpy as np
import pytest
from conftest import UNEVEN, moving_picture, write_video

from featzoo.extractors.vision.raw_frames import Frames
from featzoo.media.clip import Clip


def test_lossless_frames_are_the_pictures(tmp_path):
    path = write_video(tmp_path / "a.mkv", count=10, codec="ffv1", pixels="bgr0")
    found = Frames(rate=25.0, height=48, width=64).extract(Clip("a", path))
    assert found.features.dtype == np.uint8
    assert found.features.shape == (10, 48, 64, 3)
    for number, image in enumerate(found.features):
        np.testing.assert_array_equal(image, moving_picture(number))
    assert found.names == ("red", "green", "blue")


def test_times_are_the_containers(made):
    found = Frames(rate=1000.0).extract(Clip("a", made / "uneven.mkv"))
    np.testing.assert_allclose(found.intervals[:, 0], UNEVEN, atol=1e-9)
    np.testing.assert_allclose(found.intervals[:-1, 1], UNEVEN[1:], atol=1e-9)


@pytest.mark.parametrize("count", [1, 6, 80])
def test_count(made, count):
    found = Frames(count=count, height=6, width=8).extract(Clip("a", made / "uneven.mkv"))
    assert found.features.shape == (count, 6, 8, 3)
    end = found.intervals[-1, 1] if count == 80 else UNEVEN[-1]
    for (start, stop), middle in zip(found.intervals, (np.arange(count) + 0.5) * end / count, strict=True):
        # the container's end is known to a frame, which moves the middles by as much at most
        assert start - 0.2 <= middle <= stop + 0.2
    assert (np.diff(found.intervals[:, 0]) >= 0).all()


def test_wrong_options():
    for options in ({"count": 0}, {"rate": 0.0}, {"height": 0}):
        with pytest.raises(ValueError, match="positive"):
            Frames(**options)
