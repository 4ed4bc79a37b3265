"""Against librosa 0.11.0 called directly on the whole file, as CH-SIMS' own script does, and closed forms.

1e-4 on MFCC of several hundred dB: float32, summed block by block here and at once there.
"""

import warnings

import numpy as np
import pytest
from conftest import tone, write_wav

from featzoo.errors import ClipError, InvalidOption
from featzoo.extractors.audio import spectral
from featzoo.extractors.audio.spectral import Spectral
from featzoo.extractors.contract import make_extractor
from featzoo.media import audio
from featzoo.media.clip import Clip

librosa = pytest.importorskip("librosa", reason="needs featzoo[spectral]")


@pytest.fixture(autouse=True, scope="module")
def compiled():
    """Other tests use librosa at the same time: its functions are compiled under the extractor's lock."""
    spectral._librosa()


def directly(path):
    """(T, 33) by the recipe of CH-SIMS: librosa.load at 22050 Hz, then zcr, mfcc, chroma_cqt."""
    samples, rate = librosa.load(path, sr=22050)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = (
            librosa.feature.zero_crossing_rate(samples, hop_length=512),
            librosa.feature.mfcc(y=samples, sr=rate, n_mfcc=20, hop_length=512, htk=True),
            librosa.feature.chroma_cqt(y=samples, sr=rate, hop_length=512),
        )
    return np.concatenate(parts).T, len(samples)


def compare(path):
    found = Spectral().extract(Clip("a", path))
    expected, count = directly(path)
    np.testing.assert_allclose(found.features, expected, rtol=1e-5, atol=1e-4)
    assert found.features.shape == (1 + count // 512, 33)
    assert found.features.dtype == np.float32
    return found


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 96000])
def test_made_voice(tmp_path, rate):
    compare(write_wav(tmp_path / "a.wav", tone(1.3, rate), rate))


@pytest.mark.data
@pytest.mark.parametrize("name", ["opensmile.wav", "jfk.flac", "emodb_339/Angry/03a01Wa.wav"])
def test_real_speech(data, name):
    compare(data / "media" / "speech" / name)


def test_stereo_is_averaged(tmp_path):
    compare(write_wav(tmp_path / "a.wav", np.stack([tone(1.0), tone(1.0, pitch=300, seed=1)])))


def test_blocks_do_not_show(tmp_path, monkeypatch):
    monkeypatch.setattr(spectral, "BLOCK", 7)
    compare(write_wav(tmp_path / "a.wav", tone(1.0)))


def test_names_and_intervals(made):
    found = Spectral().extract(Clip("a", made / "voice.wav"))
    assert found.names[:2] == ("zcr", "mfcc_1")
    assert found.names[20:22] == ("mfcc_20", "chroma_1")
    assert found.names[32] == "chroma_12"
    # rows are centred on multiples of 512 samples and tile the clip
    centres = librosa.frames_to_time(np.arange(len(found)), sr=22050, hop_length=512)
    np.testing.assert_allclose(found.intervals[1:-1].mean(axis=1), centres[1:-1])
    np.testing.assert_allclose(found.intervals[1:, 0], found.intervals[:-1, 1])
    assert found.intervals[0, 0] == 0
    assert 2.0 - 512 / 22050 < found.intervals[-1, 1] <= 2.0


def test_zero_crossings_of_a_square_wave(tmp_path):
    """A closed form: half-periods of 25 samples cross zero once in 25 samples; 2048 of them hold 81 or 82."""
    wave = np.where(np.arange(22050) // 25 % 2 == 0, 0.5, -0.5)
    found = Spectral().extract(Clip("a", write_wav(tmp_path / "a.wav", wave, 22050))).features[3:-3, 0]
    starts = np.arange(3, 3 + len(found)) * 512 - 1024
    # crossings between samples 25 k - 1 and 25 k; the first sample of a frame has no neighbour in it
    expected = (starts + 2047) // 25 - starts // 25
    np.testing.assert_allclose(found, expected / 2048, atol=1e-7)


@pytest.mark.parametrize(("pitch", "column"), [(261.626, "chroma_1"), (440.0, "chroma_10"), (880.0, "chroma_10")])
def test_chroma_of_a_note(tmp_path, pitch, column):
    """C is the first pitch class, A the tenth, in every octave."""
    wave = 0.4 * np.sin(2 * np.pi * pitch * np.arange(44100) / 22050)
    found = Spectral().extract(Clip("a", write_wav(tmp_path / "a.wav", wave, 22050)))
    loudest = found.features[20:-20, 21:].argmax(axis=1)
    assert {found.names[21 + number] for number in loudest} == {column}


@pytest.mark.parametrize("rate", [8000, 22050, 48000, 96000])
@pytest.mark.parametrize("kind", ["zeros", "noise", "faint", "clipped", "six"])
def test_bad_input(tmp_path, rate, kind):
    noise = np.random.default_rng(0).normal(size=(6 if kind == "six" else 1, rate // 2))
    factor = {"zeros": 0.0, "noise": 0.1, "faint": 1e-4, "clipped": 100.0, "six": 0.1}[kind]
    clip = Clip("a", write_wav(tmp_path / "a.wav", (factor * noise).clip(-1, 1 - 2**-15), rate))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Spectral().extract(clip)
    assert found.features.shape == (1 + 11025 // 512, 33)
    assert not np.isinf(found.features).any()
    assert not np.isnan(found.features[:, :21]).any()
    assert np.isnan(found.features[:, 21:]).all() == (kind == "zeros")
    assert found.intervals.max() <= 0.5


@pytest.mark.parametrize("seconds", [0.0002, 0.01, 0.05, 0.0928])
def test_too_short(tmp_path, seconds):
    with pytest.raises(ClipError) as caught:
        Spectral().extract(Clip("a", write_wav(tmp_path / "a.wav", tone(seconds))))
    assert caught.value.reason == "too-short"


@pytest.mark.parametrize("seconds", [0.093, 0.095, 0.1, 0.12])
def test_the_shortest_sound_with_a_frame_gives_rows(tmp_path, seconds):
    path = write_wav(tmp_path / "a.wav", tone(seconds))
    found = Spectral().extract(Clip("a", path))
    np.testing.assert_allclose(found.features, directly(path)[0], rtol=1e-5, atol=1e-4)


def test_segment(made):
    samples = audio.decode_audio(made / "voice.wav", 0.5, 1.25).samples[0]
    samples = librosa.resample(samples, orig_sr=16000, target_sr=22050)
    found = Spectral().extract(Clip("a", made / "voice.wav", 0.5, 1.25))
    expected = librosa.feature.mfcc(y=samples, sr=22050, n_mfcc=20, htk=True).T
    np.testing.assert_allclose(found.features[:, 1:21], expected, rtol=1e-5, atol=1e-4)
    assert found.intervals.max() <= 0.75


def test_options():
    with pytest.raises(InvalidOption, match="at least 11025"):
        make_extractor("spectral[rate=8000]")
