"""Files that are damaged, incomplete or not media are refused, each with its reason."""

import av
import numpy as np
import pytest
from conftest import tone, write_video, write_wav

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


def test_segment_past_the_end_is_empty(made):
    assert reason(media.decode_audio, made / "voice.wav", 5.0, 6.0) == "empty"
    assert reason(frames.index_frames, made / "talk.mp4", 5.0, 6.0) == "empty"


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
def test_odd_files_are_read_or_refused_with_a_reason(data, name, sound, pictures):
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
