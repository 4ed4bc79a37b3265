"""The two modes, against what is known of made sound; and the one piece of MATLAB's own output that is public."""

import numpy as np
import pytest
from conftest import tone, write_wav

pytest.importorskip("scipy", reason="needs featzoo[covarep]")
from scipy.io import loadmat

from featzoo.extractors.audio.covarep import NAMES, Covarep, analysis, envelope, harmonic_scale
from featzoo.extractors.audio.covarep.harmonic import Harmonics
from featzoo.media.clip import Clip

MEAN = slice(NAMES.index("HMPDM_0"), NAMES.index("HMPDM_24") + 1)
DEVIATION = slice(NAMES.index("HMPDD_0"), 74)
RATE = 16000


def model(phases, f0=125.0):
    """Harmonic frames (K, H) of flat amplitude, which has no minimum phase, with DC in front."""
    phases = np.concatenate([np.zeros((len(phases), 1)), phases], axis=1)  # (K, H + 1)
    count = np.full(len(phases), phases.shape[1] - 1)
    return Harmonics(np.arange(len(phases)), np.full(len(phases), f0), count, np.ones_like(phases), phases)


def with_distortion(distortion, first=0.0):
    """(K, H + 1) phases of harmonics whose distortion is `distortion` (K, H): p_k+1 = p_k + p_1 + d_k."""
    first = np.broadcast_to(first, (len(distortion), 1))
    return np.concatenate([first, first + np.cumsum(distortion + first, axis=1)], axis=1)


def test_constant_distortion():
    """Whatever the linear phase: the mean is the constant in every band that has harmonics, the deviation 0."""
    constant = np.linspace(-3, 3, 62)
    linear = np.random.default_rng(0).uniform(-np.pi, np.pi, (120, 1))
    turn = harmonic_scale.turned(model(with_distortion(np.tile(constant, (120, 1)), linear)), np.ones(120, bool), RATE)
    mean = harmonic_scale.mean(turn)
    np.testing.assert_allclose(mean[:, :8], np.tile(constant[:8], (120, 1)), atol=1e-9)
    np.testing.assert_allclose(mean[:, 8], constant[8:10].mean(), atol=1e-9)
    assert np.isnan(mean[:, 17:]).all()  # 62 differences reach into the ninth band after the first eight
    found = harmonic_scale.deviation(turn)[:, :62]
    assert found.max() < 1e-6
    cepstrum = harmonic_scale.deviation_cepstrum(harmonic_scale.deviation(turn), np.full(120, 125.0), RATE)
    np.testing.assert_allclose(cepstrum[:, 0], np.log(harmonic_scale.FLOOR), atol=1e-9)
    np.testing.assert_allclose(cepstrum[:, 1:], 0, atol=1e-9)


def test_random_distortion():
    """Independent normal phases of 0.3: what is left of them by the trend is known, and so is the expected length.

    The trend takes a share of each frame with it: of weights k (Hann of 9, forth and back) it leaves a variance
    of 1 - 2 k_0 + sum k^2; over a triangle of weights w the expected square length has another sum.
    """
    spread = 0.3
    random = np.random.default_rng(1).normal(0, spread, (3000, 40))
    turn = harmonic_scale.turned(model(with_distortion(random)), np.ones(3000, bool), RATE)
    found = harmonic_scale.deviation(turn)[50:-50, :40]
    hann = np.hanning(9) / np.hanning(9).sum()
    trend = np.zeros(33)
    trend[8:25] = np.convolve(hann, hann)
    box = np.convolve(np.full(9, 1 / 9), np.full(9, 1 / 9))
    left = -trend
    left[16] += 1
    # -2 ln z is, to second order, the weighted variance: E[e^2] - E[(sum w e)^2]
    average = np.convolve(box, left)
    expected = spread * np.sqrt((left**2).sum() - (average**2).sum())
    assert np.sqrt((found**2).mean()) == pytest.approx(expected, rel=0.03)


def test_unvoiced_frames_count_for_nothing():
    """Random phases in unvoiced frames change no voiced frame, and are NaN themselves."""
    voiced = np.arange(100) < 60
    distortion = np.full((100, 30), 0.8)
    distortion[~voiced] = np.random.default_rng(2).uniform(-np.pi, np.pi, (40, 30))
    turn = harmonic_scale.turned(model(with_distortion(distortion)), voiced, RATE)
    mean, found = harmonic_scale.mean(turn), harmonic_scale.deviation(turn)
    np.testing.assert_allclose(mean[voiced][:, :12], 0.8, atol=1e-9)
    assert found[voiced][:, :30].max() < 1e-6
    assert np.isnan(mean[~voiced]).all()
    assert np.isnan(found[~voiced]).all()


def test_statistics_against_naive_loops():
    """Frames with differing numbers of harmonics, some unvoiced."""
    random = np.random.default_rng(3)
    turn = harmonic_scale.turned(model(with_distortion(random.normal(0, 1, (70, 20)))), random.random(70) < 0.8, RATE)
    turn[:, 30:40, 10:] = np.nan
    mean, found = harmonic_scale.mean(turn), harmonic_scale.deviation(turn)
    z = turn[0] + 1j * turn[1]

    def smooth(values, taps):
        kernel, reach = np.convolve(taps, taps), len(taps) - 1
        out = np.full(values.shape, np.nan, complex)
        for frame in range(len(values)):
            for column in range(values.shape[1]):
                near = range(max(frame - reach, 0), min(frame + reach + 1, len(values)))
                terms = [(kernel[n - frame + reach], values[n, column]) for n in near]
                terms = [(w, v) for w, v in terms if np.isfinite(v)]
                if sum(w for w, _ in terms) > 0:
                    out[frame, column] = sum(w * v for w, v in terms) / sum(w for w, _ in terms)
        return out

    wide = smooth(z, np.ones(25))
    trend = smooth(z, np.hanning(9))
    with np.errstate(invalid="ignore"):
        left = smooth(z * np.conj(trend) / np.abs(trend), np.ones(9))
    for frame in range(70):
        for band, columns in enumerate([[0], [1], [2], [3], [4], [5], [6], [7], [8, 9], [10, 11, 12]]):
            seen = [wide[frame, k] / abs(wide[frame, k]) for k in columns if np.isfinite(z[frame, k])]
            if seen:
                assert mean[frame, band] == pytest.approx(np.angle(sum(seen)), abs=1e-6)
            else:
                assert np.isnan(mean[frame, band])
    expected = np.where(np.isfinite(z), np.sqrt(-2 * np.log(np.minimum(np.abs(left), 1))), np.nan)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_distortion_of_sound():
    """Cosines with phases c (k - 1) have a distortion of c everywhere; the highest harmonics feel the edge."""
    time = np.arange(RATE) / RATE
    sound = sum(np.cos(2 * np.pi * 125 * k * time + 0.7 * (k - 1)) for k in range(1, 64)) * 0.01
    found = analysis.analyse(sound, RATE, corrected=True)
    rows = found[20:-20]
    assert (rows[:, 1] == 1).all()
    turned = analysis.polarity(sound, RATE) < 0  # a sign moves every phase, and so the distortion, by pi
    np.testing.assert_allclose(np.angle(np.exp(1j * (rows[:, MEAN][:, :13] - 0.7 - np.pi * turned))), 0, atol=0.01)
    assert rows[:, DEVIATION][:, 0].max() < np.log(0.01)


def test_modes_differ_where_they_should(tmp_path):
    """Of voiced sound F0, voicing, the source and peakSlope are the same; Rd, MCEP's ends and HMPD are not."""
    clip = Clip("a", write_wav(tmp_path / "a.wav", np.concatenate([tone(0.8), tone(0.4, pitch=140)])))
    one, other = (Covarep(compat=compat).extract(clip).features for compat in ("covarep", "corrected"))
    voiced = other[:, 1] == 1
    inner = voiced & np.roll(voiced, 2) & np.roll(voiced, -2)
    assert voiced.sum() > 80
    for name in ("F0", "VUV", "peakSlope"):
        column = NAMES.index(name)
        np.testing.assert_array_equal(one[inner, column], other[inner, column], err_msg=name)
    for name in ("Rd", "MCEP_0", "HMPDM_3", "HMPDD_0"):
        column = NAMES.index(name)
        assert np.abs(one[inner, column] - other[inner, column]).max() > 1e-3, name
    unobserved = np.isnan(other).all(axis=0)
    assert set(np.flatnonzero(unobserved)) <= {10, *range(MEAN.start + 12, MEAN.stop)}
    # 220 Hz has 36 harmonics, 140 Hz 57: bands past the fourteenth have none


def test_corrected_masks_unvoiced_sound(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.concatenate([tone(0.8), np.zeros(4000), tone(0.8)]))
    found = Covarep(compat="corrected").extract(Clip("a", path))
    voiced = found.features[:, 1] == 1
    assert voiced.any()
    assert not voiced.all()
    masked = [0, *range(2, 10), *range(36, 74)]
    assert np.isnan(found.features[~voiced][:, masked]).all()
    assert np.isfinite(found.features[voiced][:, [0, 9, 36, 61]]).mean() > 0.9


def test_true_envelope_of_few_cepstra():
    """A spectrum that is its own smooth envelope comes back within the 2 dB that the iteration may leave."""
    place = np.pi * np.arange(2049) / 2048
    level = -3 + sum(c * np.cos(k * place) for k, c in enumerate((0.0, 1.2, -0.5, 0.3, 0.1)))[None]
    found = envelope.true_envelope(level, np.array([60]))
    np.testing.assert_allclose(found, level, atol=envelope.OVERSHOOT)
    assert np.abs(found - level).mean() < 0.02


@pytest.mark.parametrize("f0", [100.0, 200.0])
def test_true_envelope_of_harmonics_of_an_all_pole(f0):
    """Through the peaks of a harmonic spectrum: at no harmonic more than 2 dB under the all-pole's curve, and near it.

    Above it the iteration may go further, beside sharp resonances.
    """
    from scipy import signal

    poles = [0.97 * np.exp(2j * np.pi * 700 / RATE), 0.95 * np.exp(2j * np.pi * 1800 / RATE)]
    filter_ = np.real(np.poly([*poles, *np.conj(poles)]))
    number = np.arange(1, int(RATE / 2 / f0))
    _, response = signal.freqz([1.0], filter_, worN=2 * np.pi * number * f0 / RATE)
    time = np.arange(4096) / RATE
    window = np.blackman(int(3 * RATE / f0) // 2 * 2 + 1)
    sound = sum(
        abs(h) * np.cos(2 * np.pi * f0 * k * time[: len(window)]) for k, h in zip(number, response, strict=True)
    )
    level = np.log(np.abs(np.fft.rfft(sound * window * 2 / window.sum(), 4096)))[None]
    found = envelope.true_envelope(level, envelope.cepstral_order(np.array([f0]), RATE))[0]
    at_harmonics = np.interp(number * f0, np.arange(2049) * RATE / 4096, found)
    inner = slice(1, -2)
    over = (at_harmonics - np.log(np.abs(response)))[inner]
    assert over.min() > -envelope.OVERSHOOT - 1e-9
    assert np.median(np.abs(over)) < envelope.OVERSHOOT


@pytest.mark.data
def test_matlabs_own_segment(data, tmp_path):
    """A segment of CMU-MOSI as MATLAB's COVAREP wrote it: order of columns, ranges, what unvoiced rows hold."""
    folder = data / "mosi" / "covarep_sample"
    names = tuple((folder / "covarep_labels.txt").read_text().split())
    assert names == NAMES
    rows = loadmat(folder / "ZUXBRvtny7o_9.mat")["features"].astype(np.float64)
    ours = Covarep().extract(Clip("a", write_wav(tmp_path / "a.wav", tone(1.0, pitch=180)))).features
    assert rows.shape[1] == ours.shape[1] == 74
    for each in (rows, ours):
        column = {name: each[:, k] for k, name in enumerate(names)}
        pitch = column["F0"][column["F0"] > 1]
        assert ((pitch >= 50 / 2) & (pitch <= 500)).all()  # halves where a neighbour is 0
        assert set(np.unique(column["VUV"])) <= {0.0, 1.0}
        inner = column["Rd"][column["Rd"] > 0]
        assert ((inner >= 0.15) & (inner <= 2.5)).all()
        assert ((column["Rd_conf"] >= 0) & (column["Rd_conf"] <= 1)).all()
        assert (np.abs(each[:, MEAN]) <= np.pi + 1e-6).all()
        assert np.abs(each[:, MEAN][:, :4]).max() < 1e-9  # bins below F0: the fault that `covarep` keeps
        assert (column["MDQ"] >= 0).all()
        assert ((column["creak"] >= 0) & (column["creak"] <= 1)).all()
    # Halves of F0: the grid falls between two frames of whole hertz.
    assert np.allclose(2 * rows[:, 0], np.round(2 * rows[:, 0]))
    assert np.allclose(2 * ours[:, 0], np.round(2 * ours[:, 0]))
