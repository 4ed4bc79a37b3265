"""When frames are shown, and the time that a sampled one stands for. Source: the ffmpeg program; closed forms."""

import subprocess
import sys

import av
import numpy as np
import pytest
from conftest import UNEVEN, write_video
from ffmpeg import ffmpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from featzoo.errors import ClipError
from featzoo.media.clip import Clip
from featzoo.media.video import FrameIndex, index_frames
from featzoo.sequence import FeatureSequence


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_pause_in_the_middle_does_not_lengthen_the_last_frame(tmp_path, suffix):
    pause = "setpts='(N+if(gte(N,50),125,0))/25/TB'"
    path = tmp_path / f"a.{suffix}"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=4", "-vf", pause, "-fps_mode", "vfr", "-c:v", "libx264", path)
    index = index_frames(path)
    assert index.end[-1] == pytest.approx(9.0, abs=2e-3)
    assert index.end[49] - index.start[49] == pytest.approx(5.04, abs=2e-3)
    np.testing.assert_array_equal(index.spread(6)[1:5], 49)  # the middles of four parts lie in the pause


def test_a_sampled_frame_stands_for_the_time_until_the_next(made):
    clip = Clip("a", made / "talk.mp4")
    shots = list(clip.frames(rate=5.0))
    np.testing.assert_allclose([s.start for s in shots], np.arange(10) / 5, atol=1e-9)
    np.testing.assert_allclose([s.end for s in shots], np.arange(1, 11) / 5, atol=1e-9)
    assert all(s.time <= s.start < s.time + 0.04 for s in shots)
    shots = list(clip.frames(count=4))
    np.testing.assert_allclose([(s.start, s.end) for s in shots], [(0, 0.5), (0.5, 1), (1, 1.5), (1.5, 2)], atol=1e-9)
    assert all(s.time <= (s.start + s.end) / 2 < s.time + 0.04 for s in shots)
    shots = list(clip.frames(step=20))
    np.testing.assert_allclose([(s.start, s.end) for s in shots], [(0, 0.8), (0.8, 1.6), (1.6, 2)], atol=1e-9)


def test_every_word_finds_rows_of_sampled_frames(made):
    """Words of 0.05 s: the displayed frames alone, 0.04 s of each 0.2 s, would miss most of them."""
    shots = list(Clip("a", made / "talk.mp4").frames(rate=5.0))
    rows = FeatureSequence(np.ones((len(shots), 1)), np.array([(s.start, s.end) for s in shots]), ("one",))
    words = np.stack([np.arange(0, 1.95, 0.05), np.arange(0.05, 2.0, 0.05)], axis=1)
    assert np.isfinite(rows.pool(words).features).all()


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60), st.floats(0.2, 60), st.integers(1, 20))
def test_the_spans_of_sampled_frames_cover_the_clip_in_order(gaps, rate, step):
    edges = np.cumsum([0, *gaps]) / 1000
    index = FrameIndex(np.arange(len(gaps)), edges[:-1], edges[1:], np.array([0]), np.array([1]))
    for chosen, spans in (
        (index.sampled(rate), index.spans(index.sampled(rate), rate)),
        (np.arange(0, len(gaps), step), index.spans(np.arange(0, len(gaps), step))),
    ):
        assert spans[0, 0] == 0
        assert spans[-1, 1] == edges[-1]
        np.testing.assert_array_equal(spans[1:, 0], spans[:-1, 1])
        assert (spans[:, 1] > spans[:, 0]).all()
        # a frame is on display when its span begins
        assert (index.start[chosen] <= spans[:, 0] + 1e-9).all()
        assert (index.end[chosen] > spans[:, 0] - 1e-9).all()


def test_times_of_segments_are_cut_at_its_ends(tmp_path):
    path = write_video(tmp_path / "a.ts", count=100)
    whole, part = index_frames(path), index_frames(path, 1.5, 2.5)
    inside = (whole.end > 1.5) & (whole.start < 2.5)
    np.testing.assert_allclose(part.start, np.maximum(whole.start[inside] - 1.5, 0), atol=1e-9)
    np.testing.assert_allclose(part.end, np.minimum(whole.end[inside], 2.5) - 1.5, atol=1e-9)
    np.testing.assert_array_equal(part.pts, whole.pts[inside])


def test_frames_that_only_touch_a_segment_are_not_in_it(tmp_path):
    """At 8 frames per second all times are exact: frame 8 is shown from 1 s to 1.125 s."""
    path = write_video(tmp_path / "a.mp4", count=24, rate=8)
    whole, part = index_frames(path), index_frames(path, 1.0, 2.0)
    assert (whole.end[7], whole.start[16]) == (1.0, 2.0)
    np.testing.assert_array_equal(part.pts, whole.pts[8:16])
    np.testing.assert_array_equal(part.start, np.arange(8) / 8)
    np.testing.assert_array_equal(part.end, np.arange(1, 9) / 8)


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_recordings_joined_byte_by_byte_are_refused(tmp_path, suffix):
    """Their clocks restart: frames of both would be shown at the same times."""
    part = tmp_path / f"a.{suffix}"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=2", "-c:v", "mpeg2video", part)
    (tmp_path / f"b.{suffix}").write_bytes(2 * part.read_bytes())
    with pytest.raises(ClipError, match="several recordings") as caught:
        index_frames(tmp_path / f"b.{suffix}")
    assert caught.value.reason == "clock-restarts"
    assert len(index_frames(part).pts) == 50


def test_frames_without_times_have_the_usual_distance(tmp_path):
    """H.264 in MPEG-PS as PyAV writes it: some frames have no time at all."""
    path = write_video(tmp_path / "a.mpg", count=50, options={"g": "1"})
    index = index_frames(path)
    assert len(index.pts) == 50
    np.testing.assert_allclose(np.diff(index.start), 0.04, atol=2e-3)


@pytest.mark.parametrize("suffix", ["mkv", "ts", "flv", "wmv", "mov"])
def test_a_recording_whose_clock_starts_late_is_not_taken_for_half_a_file(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    codec = ("-c:v", "wmv2") if suffix == "wmv" else ("-c:v", "libx264")
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=2", *codec, "-output_ts_offset", 20, path)
    index = index_frames(path)
    assert len(index.pts) == 50
    assert index.start[0] == pytest.approx(0, abs=0.1)


def test_frame_times_are_the_containers(made):
    index = index_frames(made / "uneven.mkv")
    np.testing.assert_allclose(index.start, UNEVEN, atol=1e-9)  # written in whole milliseconds
    np.testing.assert_allclose(index.end[:-1], UNEVEN[1:], atol=1e-9)
    assert index.end[-1] > index.start[-1]
    with av.open(str(made / "uneven.mkv")) as container:
        shown = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(index.start, shown, atol=1e-9)


def test_packets_are_not_held(tmp_path):
    """An hour of video is gigabytes of packets; here they are 100 MB, of which the times alone are kept."""
    rest = np.random.default_rng(0).integers(0, 256, (500, 500), dtype=np.uint8)
    path = write_video(tmp_path / "a.mkv", count=400, codec="rawvideo", pixels="gray", picture=lambda _: rest)
    assert path.stat().st_size > 95e6
    code = (
        "import sys; from pathlib import Path; from featzoo.media.video import index_frames\n"
        "import av\n"
        "status = Path('/proc/self/status')\n"
        "peak = lambda: int(status.read_text().split('VmHWM:')[1].split()[0]) >> 10\n"
        "before = peak(); count = len(index_frames(Path(sys.argv[1])).pts); print(count, peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    count, grown = map(int, done.stdout.split())
    assert count == 400
    assert grown < 30


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=60), st.integers(1, 20), st.floats(0.2, 60))
def test_count_and_rate_choose_what_is_on_display(gaps, count, rate):
    edges = np.cumsum([0, *gaps]) / 1000
    index = FrameIndex(np.arange(len(gaps)), edges[:-1], edges[1:], np.array([0]), np.array([1]))

    def shown(time):
        return max([n for n in range(len(gaps)) if edges[n] <= time], default=0)

    middles = [(k + 0.5) * edges[-1] / count for k in range(count)]
    near = [any(abs(m - edge) < 1e-9 for edge in edges) for m in middles]
    for got, middle, doubtful in zip(index.spread(count), middles, near, strict=True):
        assert doubtful or got == shown(middle)
    chosen = index.sampled(rate)
    assert len(chosen) <= np.ceil(edges[-1] * rate + 1e-6)
    assert (np.diff(chosen) > 0).all()
    ticks = [k / rate for k in range(int(edges[-1] * rate) + 2)]
    expected = {shown(t) for t in ticks if t < edges[-1] - 1e-9}
    assert len(expected ^ set(chosen.tolist())) <= sum(any(abs(t - e) < 1e-9 for e in edges) for t in ticks)


def test_fewer_frames_than_asked_for_repeat(made):
    shots = list(Clip("a", made / "talk.mp4", 0.0, 0.12).frames(count=6))
    assert [round(s.time, 3) for s in shots] == [0.0, 0.0, 0.04, 0.04, 0.08, 0.08]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_hole_round_which_frames_are_reordered_is_healthy(tmp_path, suffix):
    """Declared durations are longer than what is shown, and decoding times as FFmpeg makes them up go back."""
    path, hole = tmp_path / f"a.{suffix}", "select='not(between(n,1,15))'"
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=2.4", "-c:v", "libx264", "-g", 5, "-bf", 2, "-vf", hole,
           "-fps_mode", "vfr", "-output_ts_offset", 7.25, path)  # fmt: skip
    index = index_frames(path)
    assert len(index.pts) == 45
    assert index.start[1] - index.start[0] == pytest.approx(0.64, abs=1e-3)
