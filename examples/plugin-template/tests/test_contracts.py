"""The extractor and the head keep featzoo's contracts."""

import wave

import numpy as np
import torch
from my_plugin.mean_head import MeanHead, Options
from my_plugin.zero_crossings import ZeroCrossings

from featzoo import Clip, InputSpec
from featzoo.testing import check_extractor, check_head


def test_the_extractor_keeps_the_contract_and_counts(tmp_path):
    """A tone of 100 Hz crosses zero 200 times a second."""
    path = tmp_path / "tone.wav"
    tone = np.sin(2 * np.pi * 100 * (np.arange(32000) + 0.5) / 16000)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((tone * 16000).astype("<i2").tobytes())
    found = check_extractor(ZeroCrossings(), Clip("tone.wav", path))
    assert found.features.shape == (20, 1)
    assert np.abs(found.features - 200).max() <= 10  # one crossing at the edge of a window


def test_the_head_keeps_the_contract():
    """With two targets, on five columns."""
    head = MeanHead(Options(), {"audio": InputSpec(width=5)}, targets=2)
    check_head(head, torch.randn(12, 2))
