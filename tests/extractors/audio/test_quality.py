"""Against closed forms: tones, clipped tones, and bursts in noise of known power."""

import numpy as np
import pytest
from conftest import write_wav

from featzoo.errors import ClipError
from featzoo.extractors.audio.quality import Quality
from featzoo.media.clip import Clip

RATE = 16000


def sine(seconds, amplitude, pitch=500.0):
    """Whole periods, so that power is amplitude ** 2 / 2."""
    return amplitude * np.sin(2 * np.pi * pitch * np.arange(round(seconds * RATE)) / RATE)


def measured(tmp_path, samples, **options):
    """The row by name, and the kinds of notes."""
    clip = Clip("a", write_wav(tmp_path / "a.wav", samples, RATE))
    found = Quality(**options)(clip)
    return dict(zip(found.names, found.features[0].tolist(), strict=True)), set(clip.notes)


@pytest.mark.parametrize("amplitude", [0.9, 0.25, 0.02])
def test_level_and_peak_of_a_tone(tmp_path, amplitude):
    row, notes = measured(tmp_path, sine(1.0, amplitude))
    assert row["level"] == pytest.approx(20 * np.log10(amplitude / np.sqrt(2)), abs=0.01)
    assert row["peak"] == pytest.approx(20 * np.log10(amplitude), abs=0.02)
    assert (row["clipped"], row["silent"]) == (0, 0)
    assert row["offset"] == pytest.approx(0, abs=1e-4)
    assert "clipped" not in notes


@pytest.mark.parametrize("ratio", [5.0, 15.0, 30.0, 45.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_signal_to_noise_of_bursts_in_noise(tmp_path, ratio, seed):
    """1.5 dB: the power of noise in a frame of 320 samples varies by 8 %, which moves its 10th percentile."""
    tone = sine(0.5, 0.3)
    bursts = np.concatenate([part for _ in range(4) for part in (tone, np.zeros(RATE // 2))])
    noise = np.random.default_rng(seed).normal(scale=0.3 / np.sqrt(2) * 10 ** (-ratio / 20), size=len(bursts))
    row, notes = measured(tmp_path, bursts + noise)
    assert row["snr"] == pytest.approx(ratio, abs=1.5)
    assert ("noisy" in notes) == (ratio < 10)


def test_zeros_around_a_recording_do_not_count_as_low_noise(tmp_path):
    noise = np.random.default_rng(0).normal(scale=0.01, size=RATE)
    bursts = np.concatenate([sine(0.5, 0.3), np.zeros(RATE // 2)]) + noise
    plain, _ = measured(tmp_path, bursts)
    padded, _ = measured(tmp_path, np.concatenate([np.zeros(RATE), bursts, np.zeros(RATE)]))
    assert padded["snr"] == pytest.approx(plain["snr"], abs=0.01)


def test_the_share_of_clipped_samples(tmp_path):
    """A sine of twice full scale is above it for two thirds of the time: |sin| > 1/2."""
    row, notes = measured(tmp_path, np.clip(sine(1.0, 2.0, 487.0), -1, 32767 / 32768))
    assert row["clipped"] == pytest.approx(2 / 3, abs=0.005)
    assert "clipped" in notes


def test_the_share_of_silent_frames(tmp_path):
    row, notes = measured(tmp_path, np.concatenate([sine(0.2, 0.5), sine(0.8, 10 ** (-70 / 20))]))
    assert row["silent"] == pytest.approx(0.8)
    assert "mostly-silent" not in notes
    louder, _ = measured(tmp_path, np.concatenate([sine(0.2, 0.5), sine(0.8, 10 ** (-70 / 20))]), silence=-80.0)
    assert louder["silent"] == 0


def test_an_offset_is_noted(tmp_path):
    row, notes = measured(tmp_path, sine(1.0, 0.3) + 0.05)
    assert row["offset"] == pytest.approx(0.05, abs=1e-4)
    assert notes == {"offset", "noisy"}  # a steady tone has no pauses


def test_digital_silence_has_no_ratio_and_the_lowest_level(tmp_path):
    row, notes = measured(tmp_path, np.zeros(RATE))
    assert np.isnan(row["snr"])
    assert (row["level"], row["peak"], row["silent"], row["clipped"]) == (-100, -100, 1, 0)
    assert notes == {"quiet", "mostly-silent", "silent"}


def test_a_row_covers_the_clip_and_a_frame_is_the_least(tmp_path):
    clip = Clip("a", write_wav(tmp_path / "a.wav", sine(0.75, 0.1), RATE))
    np.testing.assert_allclose(Quality()(clip).intervals, [[0, 0.75]])
    with pytest.raises(ClipError, match=r"0\.010 s of sound; one frame is 0\.02 s"):
        Quality()(Clip("b", write_wav(tmp_path / "b.wav", sine(0.01, 0.1), RATE)))
