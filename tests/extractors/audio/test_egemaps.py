"""Against opensmile-python called directly on the same samples, and what openSMILE says of its own frames."""

import warnings

import numpy as np
import pytest
from conftest import tone, write_wav

from featzoo.errors import ClipError, InvalidOption
from featzoo.extractors.audio.egemaps import LOUDEST, Egemaps
from featzoo.extractors.contract import make_extractor
from featzoo.media import audio
from featzoo.media.clip import Clip

opensmile = pytest.importorskip("opensmile", reason="needs featzoo[egemaps]")

LEVELS = {
    "lld": opensmile.FeatureLevel.LowLevelDescriptors,
    "lld_de": opensmile.FeatureLevel.LowLevelDescriptors_Deltas,
    "functionals": opensmile.FeatureLevel.Functionals,
}
FILES = [
    "opensmile.wav", "deepspeech_LDC93S1_pcms16le_1_8000.wav", "jfk.flac", "deepspeech_LDC93S1_pcms16le_2_44100.wav",
    "emodb_339/Angry/03a01Wa.wav",
]  # fmt: skip


def directly(path, level, feature_set="eGeMAPSv02"):
    """openSMILE's own table for the mean of all channels, no sample above 32767/32768."""
    sound = audio.decode_audio(path)
    samples = np.minimum(sound.samples.mean(axis=0), np.float32(32767 / 32768))
    smile = opensmile.Smile(opensmile.FeatureSet[feature_set], LEVELS[level])
    return smile.process_signal(samples, sound.rate), len(samples) / sound.rate


def compare(path, level, feature_set="eGeMAPSv02"):
    found = Egemaps(level=level, feature_set=feature_set).extract(Clip("a", path))
    expected, seconds = directly(path, level, feature_set)
    assert list(found.names) == list(expected.columns)
    # The same program on the same samples; 1e-6 is one step of float32.
    np.testing.assert_allclose(found.features, expected.to_numpy(), rtol=1e-6, atol=1e-7, equal_nan=True)
    start, end = (expected.index.get_level_values(n).total_seconds().to_numpy() for n in ("start", "end"))
    # openSMILE moves the edges of its last row (deltas: of two) to the end of the file
    last = -2 if level == "lld_de" else -1
    np.testing.assert_allclose(found.intervals[:last, 0], start[:last], atol=1e-9)
    np.testing.assert_allclose(found.intervals[:last, 1], end[:last], atol=1e-9)
    assert found.intervals[-1, 1] <= seconds + 1e-9
    assert found.features.dtype == np.float32
    return found


@pytest.mark.parametrize(("level", "columns"), [("lld", 25), ("functionals", 88)])
def test_made_voice(made, level, columns):
    found = compare(made / "voice.wav", level)
    assert found.features.shape[1] == columns
    assert len(found) == (1 if level == "functionals" else pytest.approx(200, abs=10))


@pytest.mark.data
@pytest.mark.parametrize("level", ["lld", "functionals"])
@pytest.mark.parametrize("name", FILES)
def test_real_speech(data, name, level):
    compare(data / "media" / "speech" / name, level)


@pytest.mark.parametrize("feature_set", ["GeMAPSv01b", "eGeMAPSv01b", "ComParE_2016", "emobase", "eGeMAPSv02"])
def test_other_sets(made, feature_set):
    compare(made / "voice.wav", "lld", feature_set)


def test_pitch_is_the_tone(tmp_path):
    """A closed form: the F0 column of a 220 Hz voice is 12 log2(220 / 27.5) semitones."""
    time = np.arange(32000) / 16000
    voice = sum(np.sin(2 * np.pi * 220 * k * time) / k for k in range(1, 9)) * 0.2
    found = Egemaps().extract(Clip("a", write_wav(tmp_path / "a.wav", voice)))
    pitch = found.features[:, found.names.index("F0semitoneFrom27.5Hz_sma3nz")]
    assert np.median(pitch[pitch > 0]) == pytest.approx(36.0, abs=0.1)


def test_a_sample_of_plus_one_does_not_turn_over(tmp_path):
    """Floats of exactly +1.0 become -32768 inside openSMILE; ours are lowered by one step first."""
    import av

    voice = tone(1.0)
    voice[4000::400] = 1.0
    path = tmp_path / "loud.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(voice[None], format="flt", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert audio.decode_audio(path).samples.max() == 1.0
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.LowLevelDescriptors)
    raw, safe = (smile.process_signal(v, 16000).to_numpy() for v in (voice, np.minimum(voice, LOUDEST)))
    assert np.abs(raw - safe).max() > 0.1
    found = Egemaps().extract(Clip("a", path))
    np.testing.assert_allclose(found.features, safe, rtol=1e-6, atol=1e-7)


def test_resampling_first(made):
    found = Egemaps(rate=8000).extract(Clip("a", made / "voice.wav"))
    sound = audio.resample(audio.decode_audio(made / "voice.wav"), 8000)
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.LowLevelDescriptors)
    np.testing.assert_allclose(found.features, smile.process_signal(sound.samples[0], 8000), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("seconds", [0.001, 0.015, 0.04])
@pytest.mark.parametrize("level", ["lld", "functionals"])
def test_too_short_is_a_reason_and_no_warning(tmp_path, seconds, level):
    clip = Clip("a", write_wav(tmp_path / "a.wav", tone(seconds)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ClipError) as caught:
            Egemaps(level=level).extract(clip)
    assert caught.value.reason == "too-short"


def test_segment(made):
    whole = audio.decode_audio(made / "voice.wav").samples[0]
    found = Egemaps(level="functionals").extract(Clip("a", made / "voice.wav", 0.5, 1.25))
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    np.testing.assert_allclose(found.features, smile.process_signal(whole[8000:20000], 16000), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.intervals, [[0.0, 0.75]])


def test_unknown_set():
    with pytest.raises(InvalidOption, match=r"no feature set 'egemapsv02'.*did you mean 'eGeMAPSv02'"):
        make_extractor("egemaps[feature_set=egemapsv02]").prepare()
    make_extractor("egemaps[feature_set=emobase]").prepare()
    with pytest.raises(InvalidOption, match=r"egemaps: .*not available for feature set 'eGeMAPSv02'"):
        make_extractor("egemaps[level=lld_de]").prepare()


def test_deltas(made):
    make_extractor("egemaps[feature_set=emobase,level=lld_de]").prepare()
    compare(made / "voice.wav", "lld_de", "emobase")
