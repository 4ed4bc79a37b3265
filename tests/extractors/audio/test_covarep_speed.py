"""COVAREP's extractor on long sound: memory in a process of its own, and blocks against one piece."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs featzoo[covarep]")

from featzoo.extractors.audio.covarep import analysis, envelope, gci, hmpd, pitch, residual, signals, wavelets

HOUR_MEGABYTES = 1.5 * 1024
# Small blocks keep the buffers, which no length needs more of, from hiding what grows with it.
CHILD = """
import sys, tracemalloc
from pathlib import Path
import numpy as np
from featzoo.extractors.audio.covarep import analysis, gci, pitch, residual, signals

samples = np.fromfile(sys.argv[1], np.float32)
analysis.analyse(samples, 16000)
# Of this program alone: getrusage's maximum also knows what the process held before it became this program.
lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(lines["VmHWM"].split()[0]) / 1024)
residual.STRETCH_SECONDS = residual.SETTLE_SECONDS = 1
for module in (signals, residual, gci, pitch):
    module.BLOCK_SAMPLES = 1 << 13
analysis.INSTANTS_AT_ONCE, analysis.FRAMES_AT_ONCE, analysis.AVERAGED_AT_ONCE = 100, 16, 32
tracemalloc.start()
for part in (samples[: len(samples) // 3], samples):
    tracemalloc.reset_peak()
    analysis.analyse(part, 16000)
    print(tracemalloc.get_traced_memory()[1] / 2**20)
"""


def voice(seconds):
    """A voice of 100 to 140 Hz with pauses, and noise."""
    at = np.arange(round(16000 * seconds)) / 16000
    phase = 2 * np.pi * np.cumsum(120 + 20 * np.sin(at)) / 16000
    sound = sum(np.sin(k * phase) / k for k in range(1, 20)) * (np.sin(2 * at) > -0.8)
    return (0.1 * sound + np.random.default_rng(0).normal(0, 1e-3, len(at))).astype(np.float32)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_an_hour_fits(tmp_path):
    """What a process with 24 s holds, and for an hour more of what 16 s of sound add to it."""
    path = tmp_path / "samples.f32"
    voice(24).tofile(path)
    command = [sys.executable, "-c", CHILD, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    resident, short, long = map(float, done.stdout.split())
    growth = (long - short) * 60 / 16  # MB for a minute
    sound = 60 * 16000 * 4 / 2**20  # the samples themselves, float32
    assert growth > sound  # one float64 array of the sound's length at least: it is measured indeed
    assert resident + 60 * (growth + sound) < HOUR_MEGABYTES


@pytest.fixture
def small_blocks(monkeypatch):
    """Every size at which the stages cut a recording, as small as a few seconds' sound needs to be cut often."""
    for module in (signals, residual, gci, pitch):
        monkeypatch.setattr(module, "BLOCK_SAMPLES", 16001)
    monkeypatch.setattr(residual, "STRETCH_SECONDS", 1)
    monkeypatch.setattr(wavelets, "BLOCK", 1 << 13)
    monkeypatch.setattr(analysis, "INSTANTS_AT_ONCE", 50)
    monkeypatch.setattr(analysis, "FRAMES_AT_ONCE", 37)
    monkeypatch.setattr(analysis, "BLOCK_ROWS", 11)
    monkeypatch.setattr(analysis, "AVERAGED_AT_ONCE", 29)
    monkeypatch.setattr(hmpd, "COLUMNS", 200)
    monkeypatch.setattr(envelope, "BLOCK_ROWS", 5)


@pytest.mark.parametrize("sign", [1, -1])
def test_blocks_equal_the_whole(sign, request):
    """Six seconds in many blocks are what they are in few. HMPDD apart, where logarithms of rounding errors show."""
    sound = sign * voice(6)
    whole = analysis.analyse(sound, 16000)
    request.getfixturevalue("small_blocks")
    cut = analysis.analyse(sound, 16000)
    np.testing.assert_array_equal(cut[:, 1], whole[:, 1])
    np.testing.assert_allclose(cut[:, :61], whole[:, :61], atol=1e-9, rtol=0)
    apart = np.abs(cut[:, 61:] - whole[:, 61:])
    assert np.quantile(apart, 0.99) < 1e-6


def test_float32_is_not_less_exact():
    """The same samples in float32 give the same features: nothing is computed in it."""
    sound = voice(2)
    found = analysis.analyse(sound, 16000)
    np.testing.assert_array_equal(found, analysis.analyse(sound.astype(np.float64), 16000))


def test_elliptic_filter_is_scipys(monkeypatch):
    from scipy import signal

    monkeypatch.setattr(signals, "BLOCK_SAMPLES", 1000)
    sections = signal.ellip(9, 3, 60, 480 / 8000, "highpass", output="sos")
    for length in (1, 2, 20, 5001):
        samples = np.random.default_rng(length).normal(size=length)
        expected = signal.sosfiltfilt(sections, samples, padlen=min(27, length - 1))
        signals.zero_phase_elliptic(samples, 9, 480.0, 16000)
        np.testing.assert_array_equal(samples, expected)


def test_phase_filters_are_scipys():
    from scipy import ndimage, signal

    values = np.random.default_rng(0).normal(size=(119, 7))
    for taps in (np.full(9, 1 / 9), np.hanning(9) / 4):
        expected = signal.filtfilt(taps, [1.0], values, axis=0, padlen=3 * (len(taps) - 1))
        np.testing.assert_array_equal(hmpd._in_order(values, taps), expected)
        np.testing.assert_allclose(hmpd._forth_and_back(values, taps), expected, atol=1e-14)
    expected = ndimage.median_filter(values, size=(9, 1), mode="constant")
    np.testing.assert_array_equal(hmpd._median(values), expected)


def naive_envelope(level, order):
    """One row, by the definition: full spectra, complex FFTs."""
    raised, current = level.copy(), np.zeros(len(level))
    taper = np.where(np.arange(len(level)) <= order, 0.54 + 0.46 * np.cos(np.pi * np.arange(len(level)) / order), 0)
    for _ in range(200):
        cepstrum = np.fft.ifft(np.concatenate([raised, raised[-2:0:-1]])).real[: len(level)]
        cepstrum[1:-1] *= 2
        kept = np.where(taper > 0, cepstrum, 0)
        step = 1 + np.sqrt(((cepstrum**2).sum() - (kept**2).sum()) / (kept**2).sum())
        current = current + step * taper * (kept - current)
        found = (
            np.cos(np.pi * np.outer(np.arange(len(level)), np.arange(order + 1)) / (len(level) - 1))
            @ current[: order + 1]
        )
        if (level - found).max() <= envelope.OVERSHOOT:
            return found
        raised = np.maximum(raised, found)
    return found


def test_envelope_is_the_naive_loops():
    random = np.random.default_rng(1)
    level = np.cumsum(random.normal(0, 0.2, size=(40, 257)), axis=1) + random.normal(size=(40, 257))
    order = random.integers(3, 90, 40)
    found = envelope._smoothed(level, order)
    for row in range(40):
        np.testing.assert_allclose(found[row], naive_envelope(level[row], order[row]), atol=1e-9)
    wide = np.arange(257) < 5
    level[3, wide] = -np.inf
    assert np.isnan(envelope.true_envelope(level, order)).all(axis=1).nonzero()[0].tolist() == [3]
