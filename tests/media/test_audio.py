"""The sound of a clip: its samples, its channels, its segments and its rate.

Sources: the standard library's wave, NumPy, SciPy, and closed forms.
"""

import numpy as np
import pytest
from conftest import tone, write_video, write_wav
from hypothesis import given, settings
from hypothesis import strategies as st

from featzoo.errors import ClipError
from featzoo.media import audio as media
from featzoo.media.clip import Clip


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


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_numbers_are_a_recorded_reason(tmp_path, value):
    """A float WAV may hold anything; openSMILE and Praat would answer with numbers all the same."""
    wavfile = pytest.importorskip("scipy.io.wavfile", reason="a bare install has no SciPy")

    samples = np.zeros(16000, np.float32)
    samples[5000] = value
    wavfile.write(tmp_path / "odd.wav", 16000, samples)
    with pytest.raises(ClipError, match="not numbers") as caught:
        media.decode_audio(tmp_path / "odd.wav")
    assert caught.value.reason == "damaged"
