"""Every model extractor on a GPU that is not there: no tensor of the CPU among those of the device."""

from __future__ import annotations

from contextlib import suppress

import pytest
import torch
from fake_cuda import Watch, fake_cuda, put_on_cuda, readable

from featzoo import plugins
from featzoo.extractors.audio import speech
from featzoo.extractors.contract import ModelExtractor, make_extractor
from featzoo.extractors.text import encoder_files
from featzoo.extractors.vision import preprocessing, torchvision_networks
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of

REQUESTS = {
    "bert": "bert[model={bert},layers=[0,-1]]",
    "clip": "clip[model={vision}/clip]",
    "cnn": "cnn[model=resnet18,weights=random,count=2]",
    "hubert": "hubert[model={speech}/hubert]",
    "resnet50": "resnet50[weights=random,count=2]",
    "siglip": "siglip[model={vision}/siglip,count=3]",
    "videomae": "videomae[model={vision}/videomae]",
    "wav2vec2": "wav2vec2[model={speech}/wav2vec2]",
    "wavlm": "wavlm[model={speech}/wavlm]",
}
# What they find in a picture decides what they compute next, in code of other packages; a head, tested with
# heads; and encoders that have no option `precision`.
OTHERS = {"action-units", "clad-teacher", "faces", "speaker", "speech-dimensions", "whisper"}


def test_every_model_extractor_is_checked():
    found = {name for name in plugins.registered(plugins.EXTRACTORS) if issubclass(loaded(name), ModelExtractor)}
    assert found == set(REQUESTS) | OTHERS


def loaded(name):
    return plugins.find(plugins.EXTRACTORS, name)[0]


@pytest.fixture
def models(monkeypatch):
    """The networks that extractors load for a GPU, which stay on the CPU and are forgotten afterwards."""
    found = []

    def placed(model, device, precision):
        found.append((model, precision))
        return model.eval()

    for module in (speech, encoder_files, preprocessing, torchvision_networks):
        monkeypatch.setattr(module, "placed", placed)
    yield found
    for module in (speech, encoder_files, torchvision_networks):
        for function in vars(module).values():
            if hasattr(function, "cache_clear"):
                function.cache_clear()
    for name in ("clip", "siglip", "videomae"):
        for function in vars(__import__(loaded(name).__module__, fromlist=["_"])).values():
            if hasattr(function, "cache_clear"):
                function.cache_clear()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_an_extractor_keeps_to_its_device_and_waits_for_it_once(
    name, precision, models, made, random_bert, random_speech, random_vision, monkeypatch
):
    request = REQUESTS[name]
    for word, folder in (("{bert}", random_bert), ("{speech}", random_speech), ("{vision}", random_vision)):
        request = request.replace(word, str(folder))
    extractor = make_extractor(request[:-1] + f",precision={precision}]")
    samples = list(extractor.load(Clip("talk.mp4", made / "talk.mp4", words=words_of("so unbelievable !", 0.2, 1.8))))
    with suppress(AssertionError, RuntimeError):  # loads the network, then finds no GPU
        extractor.encode(samples, "cuda:0")
    assert models
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    with fake_cuda(), readable(), Watch() as watch:
        for model, _ in models:
            put_on_cuda(model.to(torch.bfloat16) if precision == "bf16" else model)
        sequences = extractor.encode(samples, "cuda:0")
    assert len(sequences) == len(samples)
    assert all(sequence.features.dtype == "float32" for sequence in sequences)
    assert bool(watch.halves) == (precision == "bf16")
    assert watch.waits.count("a copy to the host") == 1
