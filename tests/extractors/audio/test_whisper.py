"""Against transformers' own feature extractor and encoder on the whole clip, padded to 30 s, without a batch."""

import numpy as np
import pytest
from conftest import make_whisper, tone, write_wav

from featzoo.errors import ClipError, InvalidOption, MissingWeights
from featzoo.extractors.audio.whisper import Whisper
from featzoo.extractors.contract import make_extractor
from featzoo.media import audio
from featzoo.media.clip import Clip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_whisper(tmp_path_factory.mktemp("whisper") / "tiny")


def forward(folder, samples):
    """Hidden states (1 + layers, 1500, D) of (N,) samples by transformers alone."""
    import torch

    from featzoo.weights.imports import transformers_module

    transformers = transformers_module()
    prepare = transformers.WhisperFeatureExtractor.from_pretrained(str(folder))
    encoder = transformers.WhisperModel.from_pretrained(str(folder)).eval().encoder
    mel = prepare(samples, sampling_rate=16000, return_tensors="pt").input_features
    with torch.no_grad():
        found = encoder(mel, output_hidden_states=True)
    return torch.cat([*found.hidden_states[:-1], found.last_hidden_state]).numpy()


def sound(clip):
    return audio.decode_audio(clip.path).samples[0]


@pytest.mark.parametrize("layers", [(-1,), (0,), (1, 3)])
def test_rows_are_the_hidden_states_of_the_clip_without_the_padding(tmp_path, model, layers):
    clip = Clip("a", write_wav(tmp_path / "a.wav", tone(1.23)))
    found = Whisper(model=str(model), layers=layers)(clip)
    assert found.features.shape == (62, 16)  # 61.5 rows of 20 ms
    expected = forward(model, sound(clip))[list(layers)].mean(axis=0)[:62]
    np.testing.assert_allclose(found.features, expected, atol=1e-5)
    np.testing.assert_allclose(found.intervals[:, 0], np.arange(62) * 0.02)
    assert found.intervals[-1, 1] == pytest.approx(1.23)


def test_a_weighted_sum_of_layers(tmp_path, model):
    clip = Clip("a", write_wav(tmp_path / "a.wav", tone(0.5)))
    weights = (0.5, -1.0, 2.0, 0.25)
    found = Whisper(model=str(model), layers=(0, 1, 2, 3), layer_weights=weights)(clip)
    np.testing.assert_allclose(found.features, np.tensordot(weights, forward(model, sound(clip)), 1)[:25], atol=1e-5)


def test_a_batch_never_changes_a_clip(tmp_path, model):
    clips = [Clip(f"{n}", write_wav(tmp_path / f"{n}.wav", tone(s, seed=n))) for n, s in enumerate((0.3, 1.0, 0.7))]
    one, many = (Whisper(model=str(model), batch_seconds=s) for s in (30.0, 90.0))
    samples = [sample for clip in clips for sample in many.load(clip)]
    for alone, together in zip(one.encode(samples), many.encode(samples), strict=True):
        np.testing.assert_allclose(alone.features, together.features, atol=1e-5)


def test_long_clips_are_windows_with_context(tmp_path, model):
    """By hand: 125 rows in windows of at most 50, so 42, 41 and 42, each with 10 rows of context on both sides."""
    clip = Clip("a", write_wav(tmp_path / "a.wav", tone(2.5)))
    found = Whisper(model=str(model), window_seconds=1.0, context_seconds=0.2)(clip)
    assert len(found) == 125
    heard, rows = sound(clip), []
    for start, end in ((0, 42), (42, 83), (83, 125)):
        first = max(0, start - 10)
        part = heard[first * 320 : min(125, end + 10) * 320]
        rows.append(forward(model, part)[-1][start - first : end - first])
    np.testing.assert_allclose(found.features, np.concatenate(rows), atol=1e-5)


def test_wrong_models_and_options_are_refused(tmp_path, model, random_speech):
    with pytest.raises(InvalidOption, match="is a model of type 'hubert', not whisper"):
        Whisper(model=str(random_speech / "hubert")).prepare()
    with pytest.raises(InvalidOption, match="has hidden states 0 to 3, not 4"):
        Whisper(model=str(model), layers=(4,)).prepare()
    with pytest.raises(InvalidOption, match="at most 30, Whisper's input"):
        make_extractor("whisper[window_seconds=30.0]")
    with pytest.raises(MissingWeights, match="feat weights get openai/whisper-base"):
        Whisper().prepare()
    with pytest.raises(ClipError, match=r"0\.010 s of sound"):
        Whisper(model=str(model))(Clip("a", write_wav(tmp_path / "a.wav", tone(0.01))))
    Whisper(model=str(model)).prepare()


@pytest.fixture(scope="module")
def converted(model, tmp_path_factory):
    """The same model in CTranslate2's format, by its own converter's functions."""
    from ctranslate2.converters.transformers import WhisperLoader

    from featzoo.weights.imports import transformers_module

    folder = tmp_path_factory.mktemp("ctranslate2")
    transformers = transformers_module()
    settings = transformers.WhisperConfig.from_pretrained(model)
    whole = transformers.WhisperForConditionalGeneration(settings)
    whole.model.load_state_dict(transformers.WhisperModel.from_pretrained(str(model)).state_dict())
    spec = WhisperLoader().get_model_spec(whole.eval())
    spec.register_vocabulary([str(number) for number in range(100)])
    spec.config.lang_ids, spec.config.suppress_ids, spec.config.suppress_ids_begin = [], [], []
    spec.config.alignment_heads = [(0, 0)]
    spec.validate()
    spec.save(str(folder))
    return folder


def test_ctranslate2_gives_the_output_of_transformers(tmp_path, model, converted):
    clip = Clip("a", write_wav(tmp_path / "a.wav", tone(1.23)))
    extractor = Whisper(model=str(converted))
    extractor.prepare()
    found = extractor(clip)
    np.testing.assert_allclose(found.features, forward(model, sound(clip))[-1][:62], atol=1e-4)
    with pytest.raises(InvalidOption, match="which gives layer -1 only"):
        Whisper(model=str(converted), layers=(0,)).prepare()
