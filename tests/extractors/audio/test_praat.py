"""Against Praat's own commands (praat-parselmouth 0.4.7, Praat 6.1.38) on the same samples, and closed forms.

The extractor reads contours through parselmouth's methods; the tests ask Praat by its menu commands
(`praat.call`) and by a Praat script. 1e-6 relative is float32's rounding: both are one engine.
"""

import warnings

import numpy as np
import pytest
from conftest import tone, write_wav

from featzoo.errors import ClipError, InvalidOption
from featzoo.extractors.audio.praat import FRAMES, FUNCTIONALS, Praat
from featzoo.extractors.contract import make_extractor
from featzoo.media import audio
from featzoo.media.clip import Clip

parselmouth = pytest.importorskip("parselmouth", reason="needs featzoo[praat]")

FILES = ["opensmile.wav", "deepspeech_LDC93S1_pcms16le_1_8000.wav", "jfk.flac", "emodb_339/Angry/03a01Wa.wav"]


def praat_sound(path):
    sound = audio.decode_audio(path)
    return parselmouth.Sound(sound.samples.astype(float).mean(axis=0).astype(np.float32).astype(float), sound.rate)


def by_commands(sound, floor=75, ceiling=600, highest=5500):
    """(T, 9) by Praat's commands, queried frame by frame at the middles of 10 ms steps."""
    call = parselmouth.praat.call
    pitch = call(sound, "To Pitch", 0.01, floor, ceiling)
    intensity = call(sound, "To Intensity", floor, 0.01, "yes")
    harmonicity = call(sound, "To Harmonicity (cc)", 0.01, floor, 0.1, 1.0)
    formant = call(sound, "To Formant (burg)", 0.01, 5, highest, 0.025, 50)
    rows = []
    for number in range(int(sound.duration / 0.01 + 1e-9)):
        time = (number + 0.5) * 0.01
        level = call(intensity, "Get value at time", time, "nearest")
        hnr = call(harmonicity, "Get value at time", time, "nearest")
        row = [
            call(pitch, "Get value at time", time, "Hertz", "linear"),
            level if level > -299 else np.nan,
            hnr if hnr > -199 else np.nan,
        ]
        row += [call(formant, "Get value at time", n, time, "hertz", "Linear") for n in (1, 2, 3)]
        row += [call(formant, "Get bandwidth at time", n, time, "hertz", "Linear") for n in (1, 2, 3)]
        rows.append(row)
    return np.array(rows, dtype=float)


SCRIPT = """
sound = selected("Sound")
pulses = To PointProcess (periodic, cc): 75, 600
v1 = Get jitter (local): 0, 0, 0.0001, 0.02, 1.3
v2 = Get jitter (rap): 0, 0, 0.0001, 0.02, 1.3
v3 = Get jitter (ppq5): 0, 0, 0.0001, 0.02, 1.3
selectObject: sound, pulses
v4 = Get shimmer (local): 0, 0, 0.0001, 0.02, 1.3, 1.6
v5 = Get shimmer (apq3): 0, 0, 0.0001, 0.02, 1.3, 1.6
v6 = Get shimmer (apq5): 0, 0, 0.0001, 0.02, 1.3, 1.6
selectObject: sound
pitch = To Pitch: 0.01, 75, 600
v7 = Get mean: 0, 0, "Hertz"
v8 = Get standard deviation: 0, 0, "Hertz"
selectObject: sound
harmonicity = To Harmonicity (cc): 0.01, 75, 0.1, 1.0
v9 = Get mean: 0, 0
writeInfoLine: v1, " ", v2, " ", v3, " ", v4, " ", v5, " ", v6, " ", v7, " ", v8, " ", v9
selectObject: sound
"""


def by_script(sound):
    """The first nine functionals, by a Praat script that prints them."""
    _, text = parselmouth.praat.run(sound, SCRIPT, capture_output=True)
    return np.array([np.nan if "undefined" in word else float(word) for word in text.split()])


def compare(path, rtol=1e-6):
    clip, sound = Clip("a", path), praat_sound(path)
    frames, row = Praat().extract(clip), Praat(level="functionals").extract(clip)
    expected = by_commands(sound)
    np.testing.assert_allclose(frames.features, expected, rtol=rtol, atol=1e-4, equal_nan=True)
    np.testing.assert_allclose(row.features[0, :9], by_script(sound), rtol=rtol, equal_nan=True)
    voiced = expected[~np.isnan(expected[:, 0])]
    np.testing.assert_allclose(row.features[0, 9:], np.nanmean(voiced[:, 3:6], axis=0), rtol=rtol)
    assert frames.names == FRAMES
    assert row.names == FUNCTIONALS
    return frames, row


def test_made_voice(made):
    frames, row = compare(made / "voice.wav")
    assert frames.features.shape == (200, 9)
    assert frames.features.dtype == np.float32
    np.testing.assert_allclose(frames.intervals[:, 0], np.arange(200) * 0.01)
    np.testing.assert_allclose(np.diff(frames.intervals, axis=1), 0.01)
    np.testing.assert_allclose(row.intervals, [[0.0, 2.0]])


@pytest.mark.data
@pytest.mark.parametrize("name", FILES)
def test_real_speech(data, name):
    frames, _ = compare(data / "media" / "speech" / name)
    pitch = frames.features[:, 0]
    assert 0.05 < np.isnan(pitch).mean() < 0.95
    assert np.nanmin(pitch) >= 75


@pytest.mark.parametrize("pitch", [100.0, 220.0, 440.0])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_pitch_of_a_tone(tmp_path, pitch, rate):
    """A closed form: harmonics of a steady pitch. The wav file's 16 bits leave less than 0.01 Hz."""
    time = np.arange(rate) / rate
    voice = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 6)) * 0.2
    clip = Clip("a", write_wav(tmp_path / "a.wav", voice, rate))
    found = Praat().extract(clip).features[:, 0]
    assert np.isnan(found).sum() <= 5  # at the edges, where the window does not fit
    np.testing.assert_allclose(found[~np.isnan(found)], pitch, rtol=2e-4)
    row = dict(zip(FUNCTIONALS, Praat(level="functionals").extract(clip).features[0], strict=True))
    assert row["pitch_mean"] == pytest.approx(pitch, rel=2e-4)
    assert row["pitch_sd"] < 0.05
    assert row["jitter_local"] < 2e-4
    assert row["shimmer_local"] < 2e-3


def test_intensity_is_that_of_the_sine(tmp_path):
    """A sine of amplitude A has 10 log10(A^2 / 2 / (2e-5)^2) dB re 20 uPa."""
    voice = 0.25 * np.sin(2 * np.pi * 200 * np.arange(16000) / 16000)
    found = Praat().extract(Clip("a", write_wav(tmp_path / "a.wav", voice))).features[20:80, 1]
    np.testing.assert_allclose(found, 10 * np.log10(0.25**2 / 2 / 4e-10), atol=0.01)


def pulse_train(periods, amplitudes, rate=48000):
    """Sum of band-limited pulses: a Gaussian of 0.4 ms at the end of each period."""
    times = np.cumsum(periods)
    time = np.arange(round((times[-1] + 0.05) * rate)) / rate
    wave = sum(a * np.exp(-0.5 * ((time - t) / 2e-4) ** 2) for t, a in zip(times, amplitudes, strict=True))
    return wave - wave.mean()


@pytest.mark.parametrize("share", [0.01, 0.02])
def test_known_jitter(tmp_path, share):
    """Periods that alternate between T (1 - s) and T (1 + s): |difference| / mean is 2 s.

    1 % of it comes from where Praat finds the peaks between samples.
    """
    periods = 0.008 * (1 + share * np.array([1, -1] * 60))
    path = write_wav(tmp_path / "a.wav", 0.5 * pulse_train(periods, np.ones(120)), 48000)
    row = dict(zip(FUNCTIONALS, Praat(level="functionals").extract(Clip("a", path)).features[0], strict=True))
    assert row["jitter_local"] == pytest.approx(2 * share, rel=0.05)
    # |p - (p + 2 q) / 3| / T = 4 s / 3
    assert row["jitter_rap"] == pytest.approx(4 * share / 3, rel=0.05)


def test_known_shimmer(tmp_path):
    """Amplitudes that alternate between 1 + s and 1 - s: |difference| / mean is 2 s."""
    share = 0.05
    heights = 0.5 * (1 + share * np.array([1, -1] * 60))
    path = write_wav(tmp_path / "a.wav", pulse_train(np.full(120, 0.008), heights), 48000)
    row = dict(zip(FUNCTIONALS, Praat(level="functionals").extract(Clip("a", path)).features[0], strict=True))
    assert row["shimmer_local"] == pytest.approx(2 * share, rel=0.1)
    assert row["jitter_local"] < 1e-3


def test_formants_of_resonators(tmp_path):
    """A falling source through five two-pole resonators: Burg's poles lie at their frequencies, within 5 %."""
    rate, wanted = 11000, ((700, 80), (1220, 90), (2600, 120), (3400, 200), (4500, 250))
    wave = 0.97 ** (np.arange(rate) % (rate // 105))  # -6 dB an octave, which Praat's pre-emphasis takes back
    for frequency, width in wanted:
        radius, out = np.exp(-np.pi * width / rate), np.zeros(rate + 2)
        for n in range(rate):
            out[n + 2] = wave[n] + 2 * radius * np.cos(2 * np.pi * frequency / rate) * out[n + 1] - radius**2 * out[n]
        wave = out[2:]
    path = write_wav(tmp_path / "a.wav", 0.9 * wave / np.abs(wave).max(), rate)
    found = Praat().extract(Clip("a", path)).features[10:-10]
    np.testing.assert_allclose(np.median(found[:, 3:6], axis=0), [f for f, _ in wanted[:3]], rtol=0.05)


def test_silence_then_voice(tmp_path):
    """Nothing of digital silence is observed: never 0, never -200 or -300."""
    voice = tone(2.0)
    voice[:16000] = 0.0
    found = Praat().extract(Clip("a", write_wav(tmp_path / "a.wav", voice))).features
    assert np.isnan(found[:90]).all()
    assert np.isnan(found[:97, 3:]).all()  # a formant window is 50 ms
    assert not np.isnan(found[110:190, :4]).any()
    seen = found[~np.isnan(found[:, 1]), 1]
    assert seen.min() > 0


@pytest.mark.parametrize("level", ["frames", "functionals"])
@pytest.mark.parametrize("rate", [8000, 22050, 48000, 96000])
@pytest.mark.parametrize("kind", ["zeros", "noise", "faint", "clipped", "six"])
def test_bad_input(tmp_path, level, rate, kind):
    noise = np.random.default_rng(0).normal(size=(6 if kind == "six" else 1, rate // 2))
    factor = {"zeros": 0.0, "noise": 0.1, "faint": 1e-4, "clipped": 100.0, "six": 0.1}[kind]
    clip = Clip("a", write_wav(tmp_path / "a.wav", (factor * noise).clip(-1, 1 - 2**-15), rate))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Praat(level=level).extract(clip)
    assert found.features.shape == ((50, 9) if level == "frames" else (1, 12))
    assert not np.isinf(found.features).any()
    assert found.intervals.max() <= 0.5
    if kind == "zeros":
        assert np.isnan(found.features).all()


@pytest.mark.parametrize("seconds", [0.0002, 0.01, 0.05, 0.0853])
def test_too_short(tmp_path, seconds):
    with pytest.raises(ClipError) as caught:
        Praat().extract(Clip("a", write_wav(tmp_path / "a.wav", tone(seconds))))
    assert caught.value.reason == "too-short"


@pytest.mark.parametrize("seconds", [0.0855, 0.09, 0.1])
@pytest.mark.parametrize("level", ["frames", "functionals"])
def test_the_shortest_sound_with_a_window_gives_rows(tmp_path, seconds, level):
    found = Praat(level=level).extract(Clip("a", write_wav(tmp_path / "a.wav", tone(seconds))))
    assert len(found) == (1 if level == "functionals" else int(seconds * 100 + 1e-9))


@pytest.mark.parametrize("hundredths", [29, 57, 58])
def test_a_clip_of_a_whole_number_of_frames_has_that_many(tmp_path, hundredths):
    """0.29 / 0.01 is less than 29 in floating point."""
    seconds = hundredths / 100
    found = Praat().extract(Clip("a", write_wav(tmp_path / "a.wav", tone(seconds))))
    assert len(found) == hundredths
    np.testing.assert_allclose(found.intervals[-1], [seconds - 0.01, seconds], rtol=1e-12)
    assert found.intervals[-1, 1] <= seconds


def test_options(made):
    clip = Clip("a", made / "voice.wav")
    assert len(Praat(hop=0.005).extract(clip)) == 400
    assert np.nanmax(Praat(pitch_ceiling=150.0).extract(clip).features[:, 0]) <= 150
    slow = audio.resample(audio.decode_audio(made / "voice.wav"), 8000)
    expected = by_commands(parselmouth.Sound(slow.samples[0].astype(float), 8000), highest=4000)
    found = make_extractor("praat[rate=8000,formant_ceiling=4000]").extract(clip).features
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-4, equal_nan=True)
    assert make_extractor("praat.functionals").level == "functionals"
    for bad in ("pitch_floor=700", "hop=0.0", "rate=0", "formant_ceiling=-1"):
        with pytest.raises(InvalidOption):
            make_extractor(f"praat[{bad}]")
