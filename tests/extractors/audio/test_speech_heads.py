"""Heads of speech encoders, compared with transformers' own forward pass and a head written out here."""

import json

import numpy as np
import pytest
import torch
from conftest import make_speech, tone, write_wav
from safetensors.torch import load_file, save_file

from featzoo.errors import InvalidOption
from featzoo.extractors.audio.speech_heads import Speaker, SpeechDimensions
from featzoo.extractors.contract import make_extractor
from featzoo.media import audio
from featzoo.media.clip import Clip
from featzoo.weights.imports import transformers_module

NAMES = {"0": "arousal", "1": "dominance", "2": "valence"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return Clip("a", write_wav(tmp_path_factory.mktemp("sound") / "a.wav", tone(1.3)))


@pytest.fixture(scope="module")
def xvector(tmp_path_factory):
    """A WavLM of width 16 with an x-vector head and random weights."""
    folder = make_speech(tmp_path_factory.mktemp("speaker") / "model", "wavlm")
    transformers = transformers_module()
    config = transformers.WavLMConfig.from_pretrained(folder)
    config.update({"tdnn_dim": [8, 8, 8, 8, 12], "xvector_output_dim": 6})
    torch.manual_seed(0)
    transformers.WavLMForXVector(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dimensions(tmp_path_factory):
    """A wav2vec 2.0 of width 16 with audEERING's head and random weights."""
    folder = make_speech(tmp_path_factory.mktemp("dimensions") / "model", "wav2vec2", norm="layer")
    torch.manual_seed(0)
    tensors = {f"wav2vec2.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    for name, shape in (("dense", (16, 16)), ("out_proj", (3, 16))):
        tensors |= {f"classifier.{name}.weight": torch.randn(shape), f"classifier.{name}.bias": torch.randn(shape[0])}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"id2label": NAMES}))
    return folder


def prepared(folder, clip):
    prepare = transformers_module().AutoFeatureExtractor.from_pretrained(str(folder))
    return prepare(audio.decode_audio(clip.path).samples[0], sampling_rate=16000, return_tensors="pt").input_values


def test_a_speaker_embedding_is_that_of_transformers(xvector, clip):
    model = transformers_module().WavLMForXVector.from_pretrained(str(xvector)).eval()
    with torch.no_grad():
        expected = model(prepared(xvector, clip)).embeddings.numpy()
    found = Speaker(model=str(xvector))(clip)
    assert found.names[:2] == ("embedding_0", "embedding_1")
    np.testing.assert_allclose(found.features, expected, atol=1e-5)
    np.testing.assert_allclose(found.intervals, [[0.0, 1.285]])  # the last frame begins at 1.26 s and takes 25 ms


def test_dimensions_are_the_mean_state_through_the_head(dimensions, clip):
    model = transformers_module().Wav2Vec2Model.from_pretrained(str(dimensions)).eval()
    head = load_file(dimensions / "model.safetensors")
    with torch.no_grad():
        mean = model(prepared(dimensions, clip)).last_hidden_state[0].mean(dim=0)
        hidden = torch.tanh(head["classifier.dense.weight"] @ mean + head["classifier.dense.bias"])
        expected = head["classifier.out_proj.weight"] @ hidden + head["classifier.out_proj.bias"]
    found = SpeechDimensions(model=str(dimensions))(clip)
    assert found.names == ("arousal", "dominance", "valence")
    np.testing.assert_allclose(found.features[0], expected.numpy(), atol=1e-5)


def test_weights_in_a_pickle_give_the_same(dimensions, clip, tmp_path):
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((dimensions / name).read_bytes())
    torch.save(load_file(dimensions / "model.safetensors"), tmp_path / "pytorch_model.bin")
    found, expected = (SpeechDimensions(model=str(folder))(clip).features for folder in (tmp_path, dimensions))
    np.testing.assert_allclose(found, expected, atol=1e-5)  # tensors lie elsewhere in memory


def test_a_long_clip_has_a_row_for_each_window(dimensions, clip):
    found = SpeechDimensions(model=str(dimensions), window_seconds=1.0)(clip)
    assert found.features.shape == (2, 3)
    assert found.intervals[0, 1] == pytest.approx(found.intervals[1, 0] + 0.005)


def test_a_model_without_the_head_is_refused(random_speech, clip):
    for extractor, kind in ((Speaker, "wavlm"), (SpeechDimensions, "wav2vec2")):
        with pytest.raises(InvalidOption, match=r"has no (x-vector head|head of regression)"):
            extractor(model=str(random_speech / kind))(clip)
    with pytest.raises(InvalidOption, match="is a model of type 'hubert', not wavlm or wav2vec2"):
        make_extractor(f"speaker[model={random_speech / 'hubert'}]").prepare()
