"""Against MTCNN called directly on the same frames, on drawn faces and on real ones."""

import subprocess
import sys

import av
import numpy as np
import pytest
from conftest import UNEVEN, turn, write_video
from hypothesis import given
from hypothesis import strategies as st

from featzoo.errors import ClipError
from featzoo.extractors.vision.faces import BOX, NAMES, Faces, chosen, crop, shrunk
from featzoo.media.clip import Clip

PRESENT, COUNT, PROBABILITY = (NAMES.index(name) for name in ("present", "faces", "probability"))


def drawn(*faces, height=200, width=240):
    """(H, W, 3) uint8: a face, crude but one to MTCNN, at each (x of its centre, y, scale)."""
    from PIL import Image, ImageDraw, ImageFilter

    image = Image.new("RGB", (width, height), (90, 110, 130))
    pen = ImageDraw.Draw(image)
    for cx, cy, scale in faces:
        parts = [(0, -8, 44, 58, (60, 40, 30)), (0, 4, 38, 50, (225, 180, 150))]
        for side in (-16, 16):
            parts += [(side, -8, 8, 4.5, (250, 250, 250)), (side, -8, 4, 4.5, (50, 30, 20))]
            parts += [(side, -19, 10, 2.2, (70, 45, 30))]
        parts += [(0, 10, 4.5, 9, (205, 155, 125)), (0, 17, 7, 3, (190, 135, 110))]
        parts += [(0, 32, 13, 4.5, (170, 70, 70)), (0, 32, 12, 1, (90, 30, 30))]
        for x, y, a, b, colour in parts:
            left, top = cx + scale * (x - a), cy + scale * (y - b)
            pen.ellipse([left, top, left + 2 * scale * a, top + 2 * scale * b], fill=colour)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(1.2)))


def walking(number):
    """A face that walks to the right, and is gone from the 20th frame on."""
    return drawn((70 + 4 * number, 100, 1.0)) if number < 20 else drawn()


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """walk.mp4: a face in 20 of 40 frames. uneven.mkv: the same at a variable rate. two.mkv: two faces."""
    folder = tmp_path_factory.mktemp("faces")
    write_video(folder / "walk.mp4", count=40, picture=walking)
    write_video(folder / "uneven.mkv", times=UNEVEN, picture=walking)
    write_video(folder / "two.mkv", count=3, picture=lambda number: drawn((60, 100, 0.6), (170, 100, 1.0)))
    return folder


def direct(images, **options):
    """MTCNN's own boxes, probabilities and points of each picture, called with one picture at a time."""
    import torch

    from featzoo.weights.imports import torchvision_module

    torchvision_module()
    from facenet_pytorch import MTCNN

    network = MTCNN(keep_all=True, **options)
    return [network.detect(torch.from_numpy(image.copy()), landmarks=True) for image in images]


def expected_rows(images, **options):
    rows = np.full((len(images), len(NAMES)), np.nan)
    rows[:, :2] = 0
    for row, (boxes, probabilities, points) in zip(rows, direct(images, **options), strict=True):
        if boxes is not None:
            left, top, right, bottom = np.asarray(boxes[0], float)  # MTCNN gives the largest first
            row[:7] = 1, len(boxes), left, top, right - left, bottom - top, probabilities[0]
            row[7:] = np.asarray(points[0], float).ravel()
    return rows


def test_equals_mtcnn(videos):
    clip = Clip("walk", videos / "walk.mp4")
    shots = list(clip.frames(rate=10.0))
    found = Faces(rate=10.0, batch_size=7).extract(clip)
    expected = expected_rows([shot.image for shot in shots], thresholds=[0.6, 0.7, 0.9])
    # float32 convolutions whose blocking depends on the batch: 1e-7 of a value, which is below 300 pixels
    np.testing.assert_allclose(found.features, expected, atol=1e-3)
    np.testing.assert_array_equal(found.intervals, [(shot.start, shot.end) for shot in shots])
    there = np.array([shot.time < 0.8 for shot in shots])
    np.testing.assert_array_equal(found.features[:, PRESENT], there)
    assert found.names == NAMES
    # where it was drawn: the head is 76 wide around x = 70 + 4 n
    centres = found.features[there, 2] + found.features[there, 4] / 2
    np.testing.assert_allclose(centres, [70 + 4 * round(shot.time * 25) for shot in shots if shot.time < 0.8], atol=8)


def test_times_of_a_variable_rate(videos):
    found = Faces(rate=None).extract(Clip("uneven", videos / "uneven.mkv"))
    np.testing.assert_allclose(found.intervals[:, 0], np.round(UNEVEN, 3), atol=1e-9)
    np.testing.assert_array_equal(found.features[:, PRESENT], np.arange(40) < 20)


def test_batches_do_not_matter(videos):
    clips = [Clip("a", videos / "walk.mp4"), Clip("b", videos / "two.mkv")]
    one, many = (Faces(batch_size=size) for size in (1, 16))
    samples = [sample for clip in clips for sample in many.load(clip)]
    for alone, together in zip(one.encode(samples), many.encode(samples), strict=True):
        np.testing.assert_allclose(alone.features, together.features, atol=1e-3)


@pytest.mark.parametrize(("face", "centre"), [("largest", 170), ("central", 170), ("first", None)])
def test_of_several_faces(videos, face, centre):
    row = Faces(face=face).extract(Clip("two", videos / "two.mkv")).features[0]
    (boxes, probabilities, _) = direct([next(Clip("two", videos / "two.mkv").frames()).image])[0]
    assert row[COUNT] == len(boxes) == 2
    if centre is None:
        assert row[PROBABILITY] == pytest.approx(max(probabilities), abs=1e-6)
    else:
        assert row[2] + row[4] / 2 == pytest.approx(centre, abs=8)


def test_which_face():
    faces = np.array([[0, 0, 10, 10], [50, 50, 30, 30], [40, 40, 20, 20.0]])
    assert [chosen(faces, face, 100, 100) for face in ("first", "largest", "central")] == [0, 1, 2]


def test_a_turned_video_is_seen_upright(tmp_path):
    upright = drawn((120, 100, 1.0))
    # A quarter turn clockwise is what the display matrix asks for, so the pictures are stored turned the other way.
    write_video(tmp_path / "turned.mp4", count=3, picture=lambda number: np.rot90(upright).copy())
    turn(tmp_path / "turned.mp4")
    row = Faces(rate=None).extract(Clip("t", tmp_path / "turned.mp4")).features[0]
    straight = Faces().rows([upright])[0]
    np.testing.assert_allclose(row, straight, atol=4)  # H.264 changes pixels a little
    assert row[PRESENT] == 1


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv444p"])
def test_other_pixels(tmp_path, pixels):
    write_video(tmp_path / "x.mkv", count=2, pixels=pixels, picture=lambda number: drawn((120, 100, 1.0)))
    rows = Faces(rate=None).extract(Clip("x", tmp_path / "x.mkv")).features
    with av.open(str(tmp_path / "x.mkv")) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    np.testing.assert_allclose(rows, Faces().rows(pictures), atol=1e-3)
    # The way to YUV and back changes grey levels, which MTCNN's small networks answer to.
    np.testing.assert_allclose(rows, np.tile(Faces().rows([drawn((120, 100, 1.0))])[0], (2, 1)), atol=6)


def test_a_large_picture_is_shrunk_and_its_box_is_not(tmp_path):
    from PIL import Image

    large = Image.fromarray(drawn((120, 100, 1.0))).resize((3840, 3200))
    large.save(tmp_path / "4k.png")
    row = Faces().extract(Clip("4k", tmp_path / "4k.png")).features[0]
    small = np.asarray(large.resize((640, 533), Image.Resampling.BILINEAR))
    expected = expected_rows([small], thresholds=[0.6, 0.7, 0.9])[0]
    # two bilinear filters round some grey levels differently: half a pixel of the small picture, six of the large
    np.testing.assert_allclose(row[BOX], 6 * expected[BOX], atol=3)
    np.testing.assert_allclose(row[7:], 6 * expected[7:], atol=3)
    assert row[PROBABILITY] == pytest.approx(expected[PROBABILITY], abs=0.001)


def test_shrinking_keeps_shape_and_grey_level():
    image = np.full((1080, 1920, 3), 77, np.uint8)
    small, ratio = shrunk(image, 640)
    assert small.shape == (360, 640, 3)
    assert ratio == 3
    assert (small == 77).all()
    assert shrunk(image, None)[0] is image


def test_pictures_too_small_for_a_face_have_none():
    rows = Faces().rows([np.zeros((19, 300, 3), np.uint8), drawn((120, 100, 1.0)), drawn()])
    np.testing.assert_array_equal(rows[:, PRESENT], [0, 1, 0])
    assert np.isnan(rows[0, 2:]).all()


def test_threshold_is_the_least_probability(videos):
    sure = Faces(threshold=0.0).rows([drawn((120, 100, 1.0))])[0, PROBABILITY]
    assert Faces(threshold=float(min(1, sure + 1e-6))).rows([drawn((120, 100, 1.0))])[0, PRESENT] == 0


def test_invalid_options_are_refused(tmp_path):
    for wrong in ({"rate": 0.0}, {"batch_size": 0}, {"min_size": 11}, {"longest": 10}, {"threshold": 1.5}):
        with pytest.raises(ValueError, match=r"positive|pixels|probability"):
            Faces(**wrong)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ClipError) as caught:
        Faces().extract(Clip("e", tmp_path / "empty.mp4"))
    assert caught.value.reason == "empty"


def test_key():
    assert Faces(batch_size=3).key == Faces().key
    others = [Faces(longest=None), Faces(face="first"), Faces(min_size=40), Faces(threshold=0.8), Faces(rate=1.0)]
    assert len({each.key for each in [*others, Faces()]}) == 6
    assert sorted(Faces().digests()) == ["onet", "pnet", "rnet"]


@given(
    x=st.floats(-50, 250), y=st.floats(-50, 200), width=st.floats(1, 300), height=st.floats(1, 300),
    margin=st.floats(0, 1),
)  # fmt: skip
def test_crops_are_square_and_inside(x, y, width, height, margin):
    frame = np.arange(120 * 200 * 3, dtype=np.uint32).reshape(120, 200, 3)
    part = crop(frame, (x, y, width, height), margin)
    side = max(1, round(max(width, height) * (1 + 2 * margin)))
    assert part.shape == (min(side, 120), min(side, 200), 3)
    assert np.isin(part, frame).all()
    inside = x >= side and y >= side and x + 2 * side < 200 and y + 2 * side < 120
    if inside:
        top, left = np.argwhere(frame[..., 0] == part[0, 0, 0])[0]
        assert abs(top + side / 2 - (y + height / 2)) <= 1
        assert abs(left + side / 2 - (x + width / 2)) <= 1


def test_crop_around_a_known_box():
    frame = np.random.default_rng(0).integers(0, 255, (100, 200, 3), np.uint8)
    np.testing.assert_array_equal(crop(frame, (50, 40, 20, 10), margin=0.0), frame[35:55, 50:70])
    np.testing.assert_array_equal(crop(frame, (50, 40, 20, 20), margin=0.5), frame[30:70, 40:80])
    np.testing.assert_array_equal(crop(frame, (-10, 0, 20, 20), margin=0.0), frame[0:20, 0:20])
    for wrong in ((np.nan,) * 4, (0, 0, 0, 5)):
        with pytest.raises(ValueError, match="positive size"):
            crop(frame, wrong)


MEMORY = """
import sys
from pathlib import Path


def peak():  # MB of this program alone: getrusage also knows what the process held before it became this program
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024


from featzoo.media.clip import Clip
from featzoo.extractors.vision.faces import Faces
# faces of 300 pixels and more, so that the networks see a picture of a few pixels
faces = Faces(rate=None, longest=None, min_size=300)
for name in sys.argv[1:]:
    print(len(faces.extract(Clip(name, Path(name)))), peak())
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path):
    still = np.zeros((360, 640, 3), np.uint8)
    names = [str(write_video(tmp_path / f"{n}.mp4", count=n, picture=lambda _: still)) for n in (60, 400)]
    done = subprocess.run([sys.executable, "-c", MEMORY, *names], capture_output=True, text=True, check=True)
    (short, little), (long, much) = (map(int, line.split()) for line in done.stdout.split("\n")[:2])
    assert (short, long) == (60, 400)
    # 340 frames more would be 235 MB if they were kept
    assert much - little < 60


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("face_video_no_speech/pyfeat_no_face.mp4", 0.0, 0.0),
        ("face_video_no_speech/pyfeat_single_face.mp4", 1.0, 1.0),
        ("face_images/pyfeat_single_face.jpg", 1.0, 1.0),
        ("face_images/pyfeat_free-mountain-vector-01.jpg", 0.0, 0.0),
        ("face_images/pyfeat_Image_with_alpha.png", 1.0, 1.0),
        ("speaking_face/grid/bbaf2n.mpg", 1.0, 1.0),
    ],
)
def test_real_presence(data, name, least, most):
    """A face where a human sees one, and none where there is none."""
    found = Faces(rate=1.0).extract(Clip(name, data / "media" / name))
    assert least <= found.features[:, PRESENT].mean() <= most


@pytest.mark.data
@pytest.mark.parametrize(("name", "first"), [("face_noface", 1), ("noface_face", 0)])
def test_a_face_that_comes_or_goes(data, name, first):
    """It changes once, and as the name says."""
    clip = Clip(name, data / "media" / "face_video_no_speech" / f"pyfeat_{name}.mov")
    present = Faces(rate=2.0).extract(clip).features[:, PRESENT]
    assert present[0] == first
    assert present[-1] == 1 - first
    assert np.abs(np.diff(present)).sum() == 1


@pytest.mark.data
def test_five_faces_as_mtcnn_has_them(data):
    image = next(Clip("m", data / "media" / "face_images" / "pyfeat_multi_face.jpg").frames()).image
    row = Faces().rows([image])
    assert row[0, COUNT] == 5  # as many as a human counts
    np.testing.assert_allclose(row, expected_rows([image], thresholds=[0.6, 0.7, 0.9]), atol=1e-4)
