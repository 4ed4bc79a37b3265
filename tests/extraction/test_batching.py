"""Batches that do not fit in the memory of a device are halved."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch

from featzoo.extraction.batching import Window, halved
from featzoo.extractors.audio.speech import Hubert
from featzoo.extractors.contract import UNKEYED, ModelExtractor
from featzoo.sequence import FeatureSequence


@dataclass(frozen=True)
class Hungry(ModelExtractor):
    """The rows themselves; batches of more than `room` do not fit."""

    name = "hungry"
    modality = "audio"
    reads = ("audio",)
    tried: ClassVar[list[int]] = []

    room: int = 8
    batch_size: int = field(default=32, metadata=UNKEYED)

    def encode(self, samples, device="cpu"):
        self.tried.append(self.batch_size)
        if self.batch_size > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [FeatureSequence(rows, np.zeros((len(rows), 2)), ("x",)) for rows in samples]


def encoded(extractor):
    """Clip to features, and clip to failure, of two clips."""
    kept, failed = {}, {}
    window = Window(extractor, "cpu", lambda clips: nullcontext(), kept.__setitem__, failed.__setitem__)
    for clip in ("a", "b"):
        window.put(clip, np.full((3, 1), ord(clip), np.float32))
        window.end(clip)
    window.flush()
    return kept, failed


def test_a_batch_that_does_not_fit_is_halved_and_it_is_logged(caplog):
    Hungry.tried.clear()
    with caplog.at_level(logging.WARNING):
        kept, failed = encoded(Hungry())
    assert not failed
    assert {clip: sequence.features.tolist() for clip, sequence in kept.items()} == {
        "a": [[97.0]] * 3, "b": [[98.0]] * 3,
    }  # fmt: skip
    assert Hungry.tried == [32, 16, 8]
    assert [record.getMessage() for record in caplog.records] == [
        "hungry: a batch does not fit in the memory of cpu: continuing with batches of half the size"
    ] * 2


def test_a_row_that_does_not_fit_alone_fails_its_clip():
    kept, failed = encoded(Hungry(room=0))
    assert not kept
    assert set(failed) == {"a", "b"}
    assert all(isinstance(error, torch.OutOfMemoryError) for error in failed.values())


def test_halving_keeps_the_key():
    assert halved(Hungry()) == Hungry(batch_size=16)
    assert halved(Hubert()) == Hubert(batch_seconds=16.0)
    assert halved(Hungry()).key == Hungry().key
    assert halved(Hungry(batch_size=1)) is None
