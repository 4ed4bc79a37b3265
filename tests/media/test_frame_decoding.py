"""The frames of any file are those that ffmpeg decodes, at its times. Source: the ffmpeg program."""

import av
import numpy as np
import pytest
from conftest import UNEVEN, damage, moving_picture, write_video
from ffmpeg import examples, ffmpeg, times
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from featzoo.errors import ClipError
from featzoo.media import frame_decoding
from featzoo.media.clip import Clip, Decoder
from featzoo.media.frame_decoding import decode_frames
from featzoo.media.video import index_frames

HEIGHT, WIDTH = 48, 64
X264 = ["-c:v", "libx264", "-preset", "ultrafast"]
REFRESH = [*X264, "-tune", "zerolatency", "-x264-params", "intra-refresh=1"]
OPEN_GOP = ["-c:v", "libx264", "-x264-params", "open-gop=1"]
# Container, encoder, and whether it can reorder frames.
KINDS = [
    ("mpg", ["-c:v", "mpeg2video"], True), ("mpg", ["-c:v", "mpeg1video"], True), ("vob", ["-c:v", "mpeg2video"], True),
    ("ts", ["-c:v", "mpeg2video"], True), ("ts", X264, True), ("m2ts", X264, True), ("ts", REFRESH, False),
    ("mp4", REFRESH, False), ("mkv", OPEN_GOP, True), ("ts", OPEN_GOP, True), ("mp4", X264, True), ("mov", X264, True),
    ("mkv", X264, True), ("flv", X264, True), ("avi", X264, True), ("avi", ["-c:v", "mpeg4"], True),
    ("mp4", ["-c:v", "mpeg4"], True), ("avi", ["-c:v", "mjpeg"], False), ("mkv", ["-c:v", "ffv1"], False),
    ("webm", ["-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "10"], False), ("wmv", ["-c:v", "wmv2"], False),
    ("m2ts", [*X264, "-x264-params", "interlaced=1"], True), ("flv", ["-c:v", "flv1"], False),
    ("ts", ["-c:v", "libx265", "-x265-params", "log-level=none"], False),
]  # fmt: skip


def coded(path):
    """The planes of each frame that ffmpeg decodes, in its order, (F, 1.5 H, W) for 4:2:0."""
    raw = ffmpeg("-noautorotate", "-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", "yuv420p",
                 "-f", "rawvideo", "-")  # fmt: skip
    return np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT * 3 // 2, WIDTH)


def planes(frame):
    return frame.reformat(format="yuv420p").to_ndarray()


@st.composite
def recordings(draw):
    """Arguments for ffmpeg, and the suffix of the file."""
    suffix, encoder, reorders = draw(st.sampled_from(KINDS))
    gop, between = draw(st.sampled_from([1, 2, 5, 12, 30, 250])), draw(st.integers(0, 3)) if reorders else 0
    offset, hole = draw(st.sampled_from([0, 0.5, 7.25, 100])), draw(st.integers(0, 30))
    start = draw(st.integers(1, 20))
    lost = ["-vf", f"select='not(between(n,{start},{start + hole - 1}))'", "-fps_mode", "vfr"] if hole else []
    order = ["-bf", between] if reorders else []
    return suffix, [*encoder, "-g", gop, *order, "-pix_fmt", "yuv420p", *lost, "-output_ts_offset", offset]


@settings(max_examples=examples(40))
@given(recordings(), st.data())
def test_frames_and_times_are_those_of_ffmpeg(tmp_path_factory, recording, data):
    suffix, options = recording
    path = tmp_path_factory.mktemp("any") / f"a.{suffix}"
    ffmpeg("-f", "lavfi", "-i", f"testsrc=s={WIDTH}x{HEIGHT}:r=25:d=2.4", *options, path)
    right, shown = coded(path), times(path, "v")[:, 0]
    # FFmpeg gives some frames at the end of an MPEG-PS the time of another
    assume((np.diff(shown) > 0).all())
    index = index_frames(path)
    # MPEG's clock counts milliseconds to a few microseconds, Matroska's and FLV's whole milliseconds
    np.testing.assert_allclose(index.start - index.start[0], shown - shown[0], atol=2e-3)
    np.testing.assert_array_equal(index.end[:-1], index.start[1:])
    wanted = np.array(sorted(data.draw(st.sets(st.integers(0, len(right) - 1), min_size=1))))
    jump = data.draw(st.sampled_from([0, 4, frame_decoding.JUMP]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frame_decoding, "JUMP", jump)
        found = list(decode_frames(path, index, wanted))
    assert [number for number, _ in found] == wanted.tolist()
    for number, frame in found:
        np.testing.assert_array_equal(planes(frame), right[number], err_msg=f"frame {number}")


@pytest.mark.parametrize(
    ("suffix", "encoder"),
    [("mkv", X264), ("mp4", X264), ("mov", ["-c:v", "mjpeg"]), ("mkv", ["-c:v", "ffv1"]), ("mp4", ["-c:v", "libx265"])],
)
def test_frames_of_a_recording_of_key_frames_after_its_sound_are_those_of_ffmpeg(tmp_path, suffix, encoder):
    """Such a recording is decoded without the probing from which FFmpeg otherwise knows its format."""
    path = tmp_path / f"a.{suffix}"
    ffmpeg("-f", "lavfi", "-i", f"testsrc=s={WIDTH}x{HEIGHT}:r=25:d=2", "-f", "lavfi", "-i", "sine=d=2",
           "-map", "1:a", "-map", "0:v", *encoder, "-g", 1, "-pix_fmt", "yuvj420p" if "mjpeg" in encoder else "yuv420p",
           path)  # fmt: skip
    right, index = coded(path), index_frames(path)
    assert len(index.keys) == len(right) == 50
    for number, frame in decode_frames(path, index, np.arange(3, 50, 20)):
        np.testing.assert_array_equal(planes(frame), right[number])


@pytest.mark.parametrize("suffix", ["mkv", "ts", "avi"])
def test_a_recording_of_key_frames_is_opened_once(tmp_path, suffix, monkeypatch):
    path, places = tmp_path / f"a.{suffix}", []
    ffmpeg("-f", "lavfi", "-i", f"testsrc=s={WIDTH}x{HEIGHT}:r=25:d=1", "-c:v", "mpeg2video", "-g", 1, path)
    index, whole = index_frames(path), frame_decoding.opened
    monkeypatch.setattr(frame_decoding, "opened", lambda place, **how: places.append(place) or whole(place, **how))
    assert len(list(decode_frames(path, index, np.arange(3)))) == 3
    assert places == [path]


@pytest.mark.data
@pytest.mark.parametrize("name", ["sbwe5n", "lbax4n", "bbaf2n", "lrwp9a", "pwij3p"])
def test_frames_of_grid_are_those_of_ffmpeg(data, name):
    path = data / "media" / "speaking_face" / "grid" / f"{name}.mpg"
    index = index_frames(path)
    raw = ffmpeg("-i", path, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    right = np.frombuffer(raw, np.uint8).reshape(len(index.pts), -1)
    for wanted in (np.arange(75), np.arange(0, 75, 5), np.array([70])):
        for number, frame in decode_frames(path, index, wanted):
            np.testing.assert_array_equal(frame.to_ndarray().ravel(), right[number])


def test_a_recording_cut_from_a_longer_one_begins_with_its_first_whole_frame(tmp_path):
    ffmpeg("-f", "lavfi", "-i", f"testsrc=s={WIDTH}x{HEIGHT}:r=25:d=3", *X264, "-g", 25, "-bf", 2, tmp_path / "a.ts")
    raw = (tmp_path / "a.ts").read_bytes()
    (tmp_path / "b.ts").write_bytes(raw[188 * round(len(raw) / 188 * 0.2) :])
    right, found = coded(tmp_path / "b.ts"), list(Clip("a", tmp_path / "b.ts").frames(grey=True))
    assert 0 < len(found) == len(right)
    shown = times(tmp_path / "b.ts", "v")[:, 0]
    np.testing.assert_allclose([f.start - found[0].start for f in found], shown - shown[0], atol=2e-3)


@pytest.mark.parametrize("gop", [1, 12])
def test_a_damaged_frame_is_left_out_and_noted(tmp_path, gop):
    whole = write_video(tmp_path / "a.mkv", count=100, options={"g": str(gop), "bf": "0"})
    clip = Clip("a", damage(whole, tmp_path / "b.mkv", {31}))
    shots = list(clip.frames())
    assert 98 <= len(shots) < 100
    assert clip.notes["damaged-frames"].startswith(f"{100 - len(shots)} of 100 frames")
    assert 31 not in [round(shot.time * 25) for shot in shots]
    right = {round(shot.time * 25): shot.image for shot in Clip("a", whole).frames()}
    before = [shot for shot in shots if gop == 1 or shot.time < 31 / 25 or shot.time >= 36 / 25]
    for shot in before:
        np.testing.assert_array_equal(shot.image, right[round(shot.time * 25)])


def test_more_damage_than_the_limit_fails_the_clip(tmp_path):
    whole = write_video(tmp_path / "a.mkv", count=100, options={"g": "1"})
    path = damage(whole, tmp_path / "b.mkv", set(range(20, 32)))
    with pytest.raises(ClipError, match="10%") as caught:
        list(Clip("a", path).frames())
    assert caught.value.reason == "damaged"
    assert len(list(Clip("a", path, source=Decoder(max_damage=0.2)).frames())) == 88


def test_a_healthy_clip_has_no_notes(tmp_path):
    clip = Clip("a", write_video(tmp_path / "a.ts", count=60, picture=moving_picture))
    assert len(list(clip.frames())) == 60
    assert not clip.notes


def test_a_damaged_sample_is_replaced_by_the_nearest_frame_of_its_part(tmp_path):
    whole = write_video(tmp_path / "a.mkv", count=100, options={"g": "1"})
    clip = Clip("a", damage(whole, tmp_path / "b.mkv", {24, 25, 26, 50}))
    shots = list(clip.frames(count=2, grey=True))
    assert [(s.start, s.end, round(s.time * 25)) for s in shots] == [(0, 2, 23), (2, 4, 75)]
    assert clip.notes["damaged-frames"] == "4 of 100 frames (4.0%) are damaged"
    right = {round(s.time * 25): s.image for s in Clip("a", whole).frames(grey=True)}
    np.testing.assert_array_equal(shots[0].image, right[23])


def plainly(path):
    """Every frame in order, by PyAV alone."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("name", ["talk.mp4", "uneven.mkv"])
@settings(max_examples=examples(20), deadline=None)
@given(st.data())
def test_seeking_gives_the_frames_of_a_sequential_pass(made, name, data):
    expected = plainly(made / name)
    index = index_frames(made / name)
    wanted = np.array(sorted(data.draw(st.sets(st.integers(0, len(expected) - 1), min_size=1))))
    found = list(decode_frames(made / name, index, wanted))
    assert [number for number, _ in found] == wanted.tolist()
    for number, frame in found:
        np.testing.assert_array_equal(frame.to_ndarray(format="rgb24"), expected[number])


def test_frames_of_a_segment_are_those_on_display(made):
    shots = list(Clip("a", made / "uneven.mkv", 1.0, 2.0).frames())
    ends = np.append(UNEVEN[1:], np.inf)
    inside = (ends > 1.0) & (UNEVEN < 2.0)
    assert len(shots) == inside.sum()
    np.testing.assert_allclose([s.start for s in shots], np.maximum(UNEVEN[inside] - 1.0, 0), atol=1e-9)
    np.testing.assert_allclose([s.end for s in shots], np.minimum(ends[inside], 2.0) - 1.0, atol=1e-9)
    expected = [image for image, kept in zip(plainly(made / "uneven.mkv"), inside, strict=True) if kept]
    for shot, image in zip(shots, expected, strict=True):
        # our scaler rounds as FFmpeg's AREA filter does; RGB differs by a few levels from bicubic chroma
        assert np.abs(shot.image.astype(int) - image).mean() < 3


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["decord_unordered.mov", "torchcodec_nasa_13013.mp4", "moviepy_no_duration.webm", "small_webm.webm"]
)
def test_seeking_in_real_files(data, name):
    path = data / "media" / "odd" / name
    index = index_frames(path)
    every = np.arange(min(len(index.pts), 150))
    whole = {n: f.to_ndarray(format="gray").copy() for n, f in decode_frames(path, index, every)}
    for number in range(0, len(every), 7):
        ((_, frame),) = decode_frames(path, index, np.array([number]))
        np.testing.assert_array_equal(frame.to_ndarray(format="gray"), whole[number], err_msg=f"frame {number}")
