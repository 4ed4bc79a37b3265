"""Pictures are upright and have square pixels. Sources: the ffmpeg program, Pillow."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from conftest import moving_picture, turn, write_video
from ffmpeg import ffmpeg
from PIL import Image, ImageCms, ImageOps

from featzoo.media.clip import Clip

TURNS = [
    (*turn, *mirror)
    for turn in ([], ["-display_rotation", "90"], ["-display_rotation", "180"], ["-display_rotation", "-90"])
    for mirror in ([], ["-display_hflip"])
]


def quarters():
    """A picture whose four corners tell its orientation."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32], image[:24, 32:], image[24:, :32] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return Image.fromarray(image)


@pytest.fixture(scope="module")
def lossless(tmp_path_factory):
    path = tmp_path_factory.mktemp("lossless") / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:r=5:d=0.4", "-c:v", "libx264rgb", "-qp", "0", path)
    return path


@pytest.mark.parametrize("turn", TURNS, ids=" ".join)
def test_a_video_is_upright_whatever_its_display_matrix(tmp_path, lossless, turn):
    ffmpeg(*turn, "-i", lossless, "-c", "copy", tmp_path / "a.mp4")
    image = next(Clip("a", tmp_path / "a.mp4").frames()).image
    shown = ffmpeg("-i", tmp_path / "a.mp4", "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    assert image.shape == ((64, 48, 3) if len(turn) > 1 and turn[1] != "180" else (48, 64, 3))
    np.testing.assert_array_equal(image, np.frombuffer(shown, np.uint8).reshape(image.shape))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_upright_whatever_its_exif_orientation(tmp_path, suffix, orientation):
    path = tmp_path / f"a.{suffix}"
    image = quarters()
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)
    right = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    found = next(Clip("a", path).frames()).image
    assert found.shape == right.shape
    # chroma is subsampled, which blurs the edges between the quarters
    assert np.abs(found.astype(int) - right).mean() < 8


@pytest.mark.parametrize("aspect", ["64/45", "4/3", "8/9", "1"], ids=["pal-wide", "hdv", "ntsc", "square"])
@pytest.mark.parametrize("turn", [[], ["-display_rotation", "90"]], ids=["upright", "turned"])
def test_pixels_are_square(tmp_path, aspect, turn):
    circle = f"geq=lum='255*lt(hypot((X-32)*{aspect},Y-24),20)':cb=128:cr=128"
    source = f"color=s=64x48:r=5:d=0.4,{circle},setsar={aspect}"
    ffmpeg("-f", "lavfi", "-i", source, "-c:v", "libx264", "-qp", "0", tmp_path / "a.mp4")
    ffmpeg(*turn, "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "b.mp4")
    image = next(Clip("a", tmp_path / "b.mp4").frames(grey=True)).image
    top, left = float(np.ptp(np.nonzero(image > 127)[0])), float(np.ptp(np.nonzero(image > 127)[1]))
    # the circle's edge falls on whole pixels of the coded picture, up to 1.4 displayed ones wide, on both sides
    assert top == pytest.approx(left, abs=3)
    assert image.shape[:: -1 if turn else 1] == (48, round(64 * float(Fraction(aspect))))
    small = next(Clip("a", tmp_path / "b.mp4").frames(grey=True, size=(30, 30))).image
    assert np.ptp(np.nonzero(small > 127)[0]) == pytest.approx(np.ptp(np.nonzero(small > 127)[1]), abs=2)


def test_a_picture_with_a_colour_profile_does_not_crash(tmp_path):
    """PyAV 18 frees the metadata of side data twice, a profile's name among it; so it runs in a process apart."""
    image = quarters()
    exif = image.getexif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(tmp_path / "a.png", exif=exif, icc_profile=profile)
    code = (
        "import gc, sys; from pathlib import Path; from featzoo.media.clip import Clip\n"
        "for _ in range(3): print([f.image.shape for f in Clip('a', Path(sys.argv[1])).frames()]); gc.collect()"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.png"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[(64, 48, 3)]\n" * 3)


def test_rotated_video_comes_upright(tmp_path):
    def left_white(_):
        image = np.zeros((48, 64, 3), np.uint8)
        image[:, :32] = 255
        return image

    path = turn(write_video(tmp_path / "phone.mp4", count=3, picture=left_white))
    image = next(Clip("a", path).frames()).image
    assert image.shape == (64, 48, 3)
    # a quarter turn clockwise takes the left edge to the top
    assert image[:28].min() > 240
    assert image[36:].max() < 15
    cut = next(Clip("a", path).frames(size=(20, 30), grey=True)).image
    assert cut.shape == (20, 30)
    assert cut[:6].min() > 230
    assert cut[-6:].max() < 25


@pytest.mark.parametrize("size", [(48, 64), (24, 64), (48, 20), (96, 128), (7, 13)])
def test_scaled_picture_covers_and_is_cut_at_the_centre(tmp_path, size):
    def marked(_):
        image = np.zeros((48, 64, 3), np.uint8)
        image[20:28, 28:36] = 255
        return image

    path = write_video(tmp_path / "a.mkv", count=1, picture=marked, codec="ffv1", pixels="bgr0")
    image = next(Clip("a", path).frames(size=size, grey=True)).image.astype(float)
    assert image.shape == size
    rows, columns = np.indices(size) + 0.5
    assert abs((image * rows).sum() / image.sum() - size[0] / 2) < 0.75
    assert abs((image * columns).sum() / image.sum() - size[1] / 2) < 0.75


def test_lossless_pictures_are_exact(tmp_path):
    path = write_video(tmp_path / "a.mkv", count=5, codec="ffv1", pixels="bgr0")
    for number, shot in enumerate(Clip("a", path).frames()):
        np.testing.assert_array_equal(shot.image, moving_picture(number))
