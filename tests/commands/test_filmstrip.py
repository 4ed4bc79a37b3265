"""Frames of a timeline with the face's box and action units."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from conftest import moving_picture, write_video, write_wav
from matplotlib.figure import Figure

from featzoo.commands.filmstrip import Shot, draw_shots, take_shots
from featzoo.media.clip import Clip
from featzoo.sequence import FeatureSequence

RATE = 10
BOX = ("x", "y", "width", "height")


def intervals(count: int) -> np.ndarray:
    return np.stack([np.arange(count), np.arange(1, count + 1)], axis=1) / RATE


def wide(number: int) -> np.ndarray:
    """A picture of 96 x 48 pixels whose middle 64 columns are `moving_picture`."""
    image = np.zeros((48, 96, 3), np.uint8)
    image[:, 16:80] = moving_picture(number)
    return image


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return Clip("a", write_video(tmp_path / "a.mp4", count=16, rate=RATE, picture=wide))


def test_a_box_is_where_the_frame_shows_what_it_frames(clip: Clip) -> None:
    """The bright square of `moving_picture`, by its pixels in the cropped frames."""
    corners = [(16 + (3 * n) % 52, (2 * n) % 36) for n in range(16)]
    values = np.array([[x, y, 12, 12] for x, y in corners], np.float32)
    shots = take_shots(clip, [FeatureSequence(values, intervals(16), BOX)])
    assert len(shots) == 8
    for shot in shots:
        height, width = shot.image.shape[:2]
        assert (height, width) == (48, 64)
        bright = np.argwhere(shot.image[..., 1] > 140)  # the square is the only bright green
        left, top, across, down = np.array(shot.box) * [width, height, width, height]
        assert [left, top, across, down] == pytest.approx(
            [bright[:, 1].min(), bright[:, 0].min(), np.ptp(bright[:, 1]) + 1, np.ptp(bright[:, 0]) + 1], abs=1
        )


def test_a_frame_without_a_face_has_no_box(clip: Clip) -> None:
    values = np.full((16, 4), np.nan, np.float32)
    assert [shot.box for shot in take_shots(clip, [FeatureSequence(values, intervals(16), BOX)])] == [None] * 8


def test_the_likeliest_action_units_are_named(clip: Clip) -> None:
    values = np.tile(np.array([[0.9, 0.2, 0.6, 0.7, 0.8, 5.0]], np.float32), (16, 1))
    names = ("AU01", "AU02", "AU04", "AU06", "AU12", "Pitch")
    shots = take_shots(clip, [FeatureSequence(values, intervals(16), names)])
    assert {shot.units for shot in shots} == {("AU01 0.90", "AU12 0.80", "AU06 0.70")}


def test_a_clip_without_pictures_has_no_shots(tmp_path: Path) -> None:
    assert take_shots(Clip("a", write_wav(tmp_path / "a.wav", np.zeros(800))), []) == []


def test_boxes_are_drawn_at_their_place() -> None:
    """In a strip of two black frames, only the second has a box: in the left upper quarter of the right half."""
    black = np.zeros((48, 64, 3), np.uint8)
    figure = Figure(figsize=(4, 1), dpi=100)
    axis = figure.add_axes((0, 0, 1, 1))
    draw_shots(axis, [Shot(black, 1.0), Shot(black, 2.0, (0.25, 0.25, 0.25, 0.25))], 2.0)
    out = io.BytesIO()
    figure.savefig(out, format="raw")
    pixels = np.frombuffer(out.getvalue(), np.uint8).reshape(100, 400, 4)
    rows, columns = np.nonzero((pixels[..., 0] > 200) & (pixels[..., 1] > 150) & (pixels[..., 2] < 120))
    assert [rows.min(), rows.max(), columns.min(), columns.max()] == pytest.approx([25, 50, 250, 300], abs=3)
