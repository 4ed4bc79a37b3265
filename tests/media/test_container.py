"""Sound and pictures come out on time, whole, or with a reason.

Sources: the standard library's wave, NumPy, and PyAV run plainly.
"""

import subprocess
import sys

import av
import numpy as np
import pytest
from conftest import UNEVEN, moving_picture, tone, turn, write_video, write_wav
from hypothesis import given, settings
from hypothesis import strategies as st

from featzoo.errors import ClipError
from featzoo.media import audio as media
from featzoo.media import frame_decoding
from featzoo.media import video as frames
from featzoo.media.clip import Clip


def reason(call, *args, **options):
    with pytest.raises(ClipError) as caught:
        call(*args, **options)
    assert str(caught.value)
    return caught.value.reason


# Sound


def test_wav_samples_are_exact(tmp_path):
    samples = np.random.default_rng(0).integers(-32768, 32768, (2, 4000)).astype(np.int16)
    sound = media.decode_audio(write_wav(tmp_path / "a.wav", samples, 8000))
    assert sound.rate == 8000
    assert sound.samples.dtype == np.float32
    np.testing.assert_array_equal(sound.samples, samples / np.float32(32768))


def test_mono_is_the_mean_of_all_channels(tmp_path):
    samples = np.random.default_rng(0).integers(-32768, 32768, (3, 1000)).astype(np.int16)
    sound = Clip("a", write_wav(tmp_path / "a.wav", samples)).audio()
    assert sound.samples.shape == (1, 1000)
    # float32 sums of three numbers: 1e-6 of full scale
    np.testing.assert_allclose(sound.samples[0], samples.mean(axis=0) / 32768, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 47000), st.integers(1, 8000))
def test_segment_of_wav_is_cut_to_the_sample(tmp_path_factory, first, length):
    path = tmp_path_factory.getbasetemp() / "noise.wav"
    samples = np.random.default_rng(1).integers(-32768, 32768, 48000).astype(np.int16)
    if not path.exists():
        write_wav(path, samples, 16000)
    sound = media.decode_audio(path, first / 16000, (first + length) / 16000)
    np.testing.assert_array_equal(sound.samples[0], samples[first : first + length] / np.float32(32768))


def test_segment_past_the_end_is_empty(made):
    assert reason(media.decode_audio, made / "voice.wav", 5.0, 6.0) == "empty"
    assert reason(frames.index_frames, made / "talk.mp4", 5.0, 6.0) == "empty"


def test_segment_of_compressed_sound_agrees_with_the_whole(made):
    whole = media.decode_audio(made / "talk.mp4")
    part = media.decode_audio(made / "talk.mp4", 1.0, 1.5)
    expected = whole.samples[:, 44100 : 44100 + 22050]
    assert part.samples.shape == expected.shape
    # AAC frames overlap by half only, so a decoder that starts half a second early has settled
    np.testing.assert_allclose(part.samples, expected, atol=1e-4)


def test_sound_that_starts_late_is_preceded_by_silence(tmp_path):
    sound = tone(1.0)
    path = write_video(tmp_path / "late.mkv", sound=(sound, 16000), sound_at=0.5)
    found = media.decode_audio(path)
    assert not found.samples[0, :8000].any()
    # 16-bit PCM: half a step
    np.testing.assert_allclose(found.samples[0, 8000:], sound, atol=0.5 / 32768 + 1e-9)
    part = media.decode_audio(path, 0.25, 0.75)
    np.testing.assert_array_equal(part.samples, found.samples[:, 4000:12000])


@pytest.mark.parametrize(("old", "new"), [(16000, 8000), (44100, 16000), (8000, 48000), (22050, 16000)])
def test_resampled_sound_has_the_length_and_pitch(old, new):
    time = np.arange(old * 2) / old
    sine = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    found = media.resample(media.Audio(sine[None], old), new)
    assert found.rate == new
    assert abs(found.samples.shape[1] - 2 * new) <= 1
    expected = np.sin(2 * np.pi * 440 * np.arange(found.samples.shape[1]) / new)
    inner = slice(new // 10, -new // 10)
    # the resampler's pass band is flat to well under 1 % at 440 Hz, and it adds no delay
    np.testing.assert_allclose(found.samples[0, inner], expected[inner], atol=0.01)


def test_resampling_to_the_same_rate_changes_nothing_and_to_none_is_refused():
    sound = media.Audio(np.zeros((6, 100), np.float32), 16000)
    assert media.resample(sound, 16000) is sound
    assert media.resample(sound, 8000).samples.shape == (6, 50)
    with pytest.raises(ValueError, match="positive"):
        media.resample(sound, 0)


def test_a_title_that_is_not_utf8_does_not_stop_decoding(tmp_path):
    path = tmp_path / "title.mp3"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mp3", rate=16000)
        container.metadata["title"] = "zzzzzz"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    path.write_bytes(path.read_bytes().replace(b"zzzzzz", b"\xff\xe9zzzz"))
    assert media.decode_audio(path).samples.shape[1] >= 16000


# Pictures


def test_frame_times_are_the_containers(made):
    index = frames.index_frames(made / "uneven.mkv")
    np.testing.assert_allclose(index.start, UNEVEN, atol=1e-9)  # written in whole milliseconds
    np.testing.assert_allclose(index.end[:-1], UNEVEN[1:], atol=1e-9)
    assert index.end[-1] > index.start[-1]
    with av.open(str(made / "uneven.mkv")) as container:
        shown = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(index.start, shown, atol=1e-9)


def plainly(path):
    """Every frame in order, by PyAV alone."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("name", ["talk.mp4", "uneven.mkv"])
@settings(max_examples=20, deadline=None)
@given(st.data())
def test_seeking_gives_the_frames_of_a_sequential_pass(made, name, data):
    expected = plainly(made / name)
    index = frames.index_frames(made / name)
    wanted = np.array(sorted(data.draw(st.sets(st.integers(0, len(expected) - 1), min_size=1))))
    found = list(frame_decoding.decode_frames(made / name, index, wanted))
    assert [number for number, _ in found] == wanted.tolist()
    for number, frame in found:
        np.testing.assert_array_equal(frame.to_ndarray(format="rgb24"), expected[number])


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


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=60), st.integers(1, 20), st.floats(0.2, 60))
def test_count_and_rate_choose_what_is_on_display(gaps, count, rate):
    edges = np.cumsum([0, *gaps]) / 1000
    index = frames.FrameIndex(np.arange(len(gaps)), edges[:-1], edges[1:], np.array([0]), np.array([1]))

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


# Bad media, each with its reason


def test_reasons_of_files_that_are_not_media(tmp_path):
    (tmp_path / "zero.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    for call in (media.decode_audio, frames.index_frames):
        assert reason(call, tmp_path / "missing.mp4") == "not-found"
        assert reason(call, tmp_path / "zero.mp4") == "empty"
        assert reason(call, tmp_path / "noise.mp4") == "unreadable"
        assert reason(call, tmp_path) == "unreadable"


def test_reasons_of_media_without_the_medium(tmp_path, made):
    assert reason(media.decode_audio, made / "uneven.mkv") == "no-audio"
    assert reason(frames.index_frames, made / "voice.wav") == "no-video"
    write_wav(tmp_path / "none.wav", np.zeros((1, 0), np.int16))
    assert reason(media.decode_audio, tmp_path / "none.wav") in ("empty", "unreadable")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
def test_half_a_download_is_not_taken_for_the_whole(tmp_path, share):
    path = write_video(
        tmp_path / "long.mp4", count=150, sound=(tone(6.0, 44100), 44100),
        container_options={"movflags": "faststart"},
    )  # fmt: skip
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    index_reason = None
    try:
        index = frames.index_frames(path)
        list(frame_decoding.decode_frames(path, index, np.arange(len(index.pts))))
    except ClipError as error:
        index_reason = error.reason
    assert index_reason in ("truncated", "unreadable", "damaged")
    assert reason(media.decode_audio, path) in ("truncated", "unreadable")


def test_damaged_middle_never_hangs_nor_crashes(tmp_path, made):
    raw = bytearray((made / "talk.mp4").read_bytes())
    rng = np.random.default_rng(0)
    for trial in range(6):
        copy = bytearray(raw)
        for place in rng.integers(2000, len(raw) - 100, 30):
            copy[place] ^= 0xFF
        path = tmp_path / f"{trial}.mp4"
        path.write_bytes(copy)
        for medium in ("audio", "frames"):
            try:
                got = getattr(Clip("a", path), medium)()
                if medium == "frames":
                    list(got)
            except ClipError as error:
                assert error.reason  # noqa: PT017


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "sound", "pictures"),
    [
        ("mp4parse_short-cenc.mp4", "encrypted", "encrypted"),
        ("pydub_test1_empty.wav", "empty", "no-video"),
        ("moviepy_with-attached-pic.mp3", "", "no-video"),
        ("decord_video_90.mov", None, ""),
        ("mirdata_6ch_44100.wav", "", "no-video"),
        ("pydub_test1-8bit.wav", "", "no-video"),
        ("moviepy_no_duration.webm", None, ""),
        ("gomp4_sample_fragmented.mp4", None, ""),
        ("small_AudioVideoInterleave.avi", "no-audio", "empty"),
        ("decord_unordered.mov", None, ""),
        ("torchcodec_h264_10bits.mp4", None, ""),
        ("small_png-truncated.png", "no-audio", None),
    ],
)
def test_odd_files_of_the_world(data, name, sound, pictures):
    """None: either way, so long as it ends and has a reason."""
    clip = Clip("a", data / "media" / "odd" / name)
    for expected, read in ((sound, clip.audio), (pictures, lambda: [s.image.shape for s in clip.frames()])):
        found = ""
        try:
            result = read()
        except ClipError as error:
            found = error.reason
        else:
            assert len(result) if isinstance(result, list) else result.samples.shape[1]
        assert expected is None or found == expected


@pytest.mark.data
@pytest.mark.parametrize(
    "name", ["decord_unordered.mov", "torchcodec_nasa_13013.mp4", "moviepy_no_duration.webm", "small_webm.webm"]
)
def test_seeking_in_real_files(data, name):
    path = data / "media" / "odd" / name
    index = frames.index_frames(path)
    every = np.arange(min(len(index.pts), 150))
    whole = {n: f.to_ndarray(format="gray").copy() for n, f in frame_decoding.decode_frames(path, index, every)}
    for number in range(0, len(every), 7):
        ((_, frame),) = frame_decoding.decode_frames(path, index, np.array([number]))
        np.testing.assert_array_equal(frame.to_ndarray(format="gray"), whole[number], err_msg=f"frame {number}")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_a_recorded_reason(tmp_path, value):
    """A float WAV may hold anything; openSMILE and Praat would answer with numbers all the same."""
    wavfile = pytest.importorskip("scipy.io.wavfile", reason="a bare install has no SciPy")

    samples = np.zeros(16000, np.float32)
    samples[5000] = value
    wavfile.write(tmp_path / "odd.wav", 16000, samples)
    with pytest.raises(ClipError, match="not numbers") as caught:
        media.decode_audio(tmp_path / "odd.wav")
    assert caught.value.reason == "damaged"
