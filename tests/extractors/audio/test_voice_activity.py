"""Against faster-whisper's own functions on the file, and on sound whose pauses are known."""

import numpy as np
import pytest
from conftest import tone, write_wav
from ffmpeg import sound

from featzoo.errors import ClipError, InvalidOption
from featzoo.extractors.audio.voice_activity import VoiceActivity
from featzoo.extractors.contract import make_extractor
from featzoo.media.clip import Clip

vad = pytest.importorskip("faster_whisper.vad", reason="needs featzoo[asr]")
pytest.importorskip("onnxruntime", reason="needs featzoo[asr]")


@pytest.fixture
def speech(data, tmp_path):
    """Speech at 16 kHz in 16 bits, which needs no resampling: faster-whisper rounds after its own."""
    voice = Clip("a", data / "media" / "speech" / "jfk.flac").audio(16000).samples[0]
    return write_wav(tmp_path / "speech.wav", voice)


@pytest.mark.data
def test_probabilities_and_segments_are_those_of_faster_whisper(speech):
    samples = sound(speech, "-ac", "1", "-ar", "16000")[0]
    options = vad.VadOptions(threshold=0.5, min_speech_duration_ms=250, min_silence_duration_ms=100, speech_pad_ms=30)
    expected = [(s["start"] / 16000, s["end"] / 16000) for s in vad.get_speech_timestamps(samples, options)]
    found = VoiceActivity()(Clip("a", speech))
    probability = vad.get_vad_model()(np.pad(samples, (0, -len(samples) % 512))).ravel()
    np.testing.assert_allclose(found.features[:, 0], probability, atol=1e-6)
    middle = found.intervals.mean(axis=1)
    inside = [any(start <= at < end for start, end in expected) for at in middle]
    np.testing.assert_array_equal(found.features[:, 1], inside)
    row = VoiceActivity(level="functionals")(Clip("a", speech))
    lengths = [end - start for start, end in expected]
    assert row.names == ("share", "segments", "longest", "start")
    np.testing.assert_allclose(
        row.features[0], [sum(lengths) / (len(samples) / 16000), len(expected), max(lengths), expected[0][0]], rtol=1e-5
    )


@pytest.mark.data
def test_a_pause_between_two_sentences_is_found(tmp_path, speech):
    voice = Clip("a", speech).audio(16000).samples[0]
    sentence = voice[round(0.3 * 16000) : round(2.2 * 16000)]
    pause = np.zeros(2 * 16000, np.float32)
    path = write_wav(tmp_path / "a.wav", np.concatenate([pause, sentence, pause, sentence, pause]))
    row = VoiceActivity(level="functionals", least_silence=1.0)(Clip("a", path))
    share, segments, longest, start = row.features[0]
    assert segments == 2
    assert share == pytest.approx(2 * 1.9 / 9.8, abs=0.05)
    assert longest == pytest.approx(1.9, abs=0.25)
    assert start == pytest.approx(2.0, abs=0.15)


def test_frames_tile_the_clip_without_speech(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.zeros(16000 + 100))
    found = VoiceActivity()(Clip("a", path))
    assert found.features.shape == (32, 2)
    np.testing.assert_allclose(found.intervals[:, 0], np.arange(32) * 0.032)
    np.testing.assert_allclose(found.intervals[1:, 0], found.intervals[:-1, 1])
    assert found.intervals[-1, 1] == pytest.approx(1.00625)
    assert not found.features[:, 1].any()
    row = VoiceActivity(level="functionals")(Clip("a", path)).features[0]
    assert row[:3].tolist() == [0, 0, 0]
    assert np.isnan(row[3])


def test_sound_of_another_rate_is_resampled(tmp_path):
    found = VoiceActivity()(Clip("a", write_wav(tmp_path / "a.wav", tone(1.0, 44100), 44100)))
    assert len(found) == 32


def test_too_short_sound_and_wrong_options_are_refused(tmp_path):
    with pytest.raises(ClipError, match=r"one frame is 0\.032 s"):
        VoiceActivity()(Clip("a", write_wav(tmp_path / "a.wav", tone(0.02))))
    with pytest.raises(InvalidOption, match="threshold is a probability"):
        make_extractor("voice-activity[threshold=2.0]")


def test_the_digest_of_the_model_is_in_the_key():
    assert len(VoiceActivity().digests()["weights"]) == 64
    VoiceActivity().prepare()
