"""One channel of several: as ffmpeg mixes them, or the one asked for."""

from __future__ import annotations

import ffmpeg
import numpy as np
import pytest
from conftest import tone, write_wav

from featzoo.errors import ClipError
from featzoo.extractors.contract import make_extractor
from featzoo.media.clip import Clip

EXTRACTORS = ["egemaps", "praat", "spectral", "hubert", "wavlm", "wav2vec2", "covarep", "quality"]


def surround(path, layout, count):
    """Noise in each channel, another in each."""
    rng = np.random.default_rng(0)
    wav = write_wav(path.with_name("noise.wav"), rng.normal(scale=0.1, size=(count, 8000)))
    ffmpeg.ffmpeg("-channel_layout", layout, "-i", wav, "-c:a", "pcm_s16le", path)
    return path


def mixed(path):
    """ffmpeg's mix to 16-bit mono; to floating point it does the same, but louder and without a limit."""
    ffmpeg.ffmpeg("-i", path, "-ac", 1, "-c:a", "pcm_s16le", path.with_name("mixed.wav"))
    return ffmpeg.sound(path.with_name("mixed.wav"))


@pytest.mark.parametrize(
    ("layout", "count"),
    [("mono", 1), ("stereo", 2), ("2.1", 3), ("3.0", 3), ("4.0", 4), ("quad", 4), ("5.0", 5), ("5.1", 6),
     ("5.1(side)", 6), ("6.1", 7), ("7.1", 8), ("7.1(wide)", 8)],
)  # fmt: skip
def test_a_mix_is_what_ffmpeg_makes_of_the_channels(tmp_path, layout, count):
    path = surround(tmp_path / "a.wav", layout, count)
    expected = mixed(path)
    # 16-bit sound: ffmpeg rounds once, we do not
    np.testing.assert_allclose(Clip("a", path).audio().samples, expected, atol=1.5 / 32768)


@pytest.mark.parametrize("count", [6, 8])
def test_six_or_eight_channels_without_names_are_surround_sound(tmp_path, count):
    path = write_wav(tmp_path / "a.wav", np.random.default_rng(0).normal(scale=0.1, size=(count, 8000)))
    expected = mixed(path)
    np.testing.assert_allclose(Clip("a", path).audio().samples, expected, atol=1.5 / 32768)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_other_channels_without_names_count_alike(tmp_path, count):
    samples = np.random.default_rng(0).integers(-9000, 9000, (count, 1000)).astype(np.int16)
    found = Clip("a", write_wav(tmp_path / "a.wav", samples)).audio().samples
    np.testing.assert_allclose(found[0], samples.mean(axis=0) / 32768, atol=1e-6)


def test_a_channel_is_chosen_by_its_number(tmp_path):
    samples = np.random.default_rng(0).integers(-9000, 9000, (3, 1000)).astype(np.int16)
    clip = Clip("a", write_wav(tmp_path / "a.wav", samples))
    for channel, number in (("first", 0), (1, 0), (2, 1), (3, 2)):
        np.testing.assert_array_equal(clip.audio(channel=channel).samples[0], samples[number] / np.float32(32768))
    np.testing.assert_array_equal(clip.audio(channel="all").samples, samples / np.float32(32768))
    for channel in (0, 4, -1):
        with pytest.raises(ClipError, match="channels 1 to 3") as caught:
            clip.audio(channel=channel)
        assert caught.value.reason == "no-channel"


@pytest.mark.parametrize("name", EXTRACTORS)
def test_every_audio_extractor_has_the_channel_in_its_key(name):
    specs = [make_extractor(f"{name}[channel={channel}]") for channel in ("mix", "first", 2)]
    options = {str({**vars(extractor)}["channel"]) for extractor in specs}
    assert options == {"mix", "first", "2"}


def test_each_choice_of_channel_is_a_feature_set_of_its_own():
    keys = {make_extractor(f"egemaps[channel={channel}]").key for channel in ("mix", "first", 2)}
    assert len(keys) == 3


def test_openSMILEs_own_reading_of_a_stereo_file_is_that_of_its_first_channel(tmp_path):  # noqa: N802
    opensmile = pytest.importorskip("opensmile", reason="needs featzoo[egemaps]")
    path = write_wav(tmp_path / "a.wav", np.stack([tone(1.5, pitch=120), tone(1.5, pitch=210)]))
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    expected = smile.process_file(str(path)).to_numpy()
    found = make_extractor("egemaps[level=functionals,channel=first]")(Clip("a", path)).features
    np.testing.assert_allclose(found, expected, rtol=1e-5, equal_nan=True)
    second = make_extractor("egemaps[level=functionals,channel=2]")(Clip("a", path)).features
    assert not np.allclose(found, second, equal_nan=True)


def test_channels_that_cancel_each_other_and_digital_silence_are_noted(tmp_path):
    voice = tone(1.0)
    both = Clip("a", write_wav(tmp_path / "a.wav", np.stack([voice, -voice])))
    assert not both.audio().samples.any()
    assert "cancel" in both.notes["cancelling"]
    one = Clip("a", both.path)
    np.testing.assert_array_equal(one.audio(channel="first").samples[0], both.audio(channel="all").samples[0])
    assert not one.notes
    quiet = Clip("b", write_wav(tmp_path / "b.wav", np.zeros((2, 8000))))
    quiet.audio()
    assert set(quiet.notes) == {"silent"}
    usual = Clip("c", write_wav(tmp_path / "c.wav", np.stack([voice, 0.3 * np.roll(voice, 500)])))
    usual.audio()
    assert not usual.notes


def test_samples_above_full_scale_reach_the_extractors_that_take_floating_point(tmp_path):
    wavfile = pytest.importorskip("scipy.io.wavfile")
    wavfile.write(tmp_path / "loud.wav", 16000, 8 * tone(1.0).astype(np.float32))
    clip = Clip("loud", tmp_path / "loud.wav")
    assert clip.audio().samples.max() > 1
    assert clip.audio(8000).samples.max() > 1
    wavfile.write(tmp_path / "soft.wav", 16000, tone(1.0).astype(np.float32))
    praat = make_extractor("praat")
    loud, soft = (praat(Clip(name, tmp_path / f"{name}.wav")) for name in ("loud", "soft"))
    louder = loud.features[:, loud.names.index("intensity")] - soft.features[:, soft.names.index("intensity")]
    np.testing.assert_allclose(louder[~np.isnan(louder)], 20 * np.log10(8), atol=1e-3)
    make_extractor("egemaps")(clip)
    assert "16-bit" in clip.notes["clipped"]
