"""Samples of one model extractor, gathered across clips so that batches are full."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from featzoo.devices import float32_products
from featzoo.errors import ClipError, FeatzooError
from featzoo.extractors.contract import ModelExtractor
from featzoo.sequence import FeatureSequence, concatenate

LOG = logging.getLogger(__name__)


class Window:
    """Samples that wait until they fill an extractor's window, and the results by clip.

    Args:
        extractor: The extractor that encodes them.
        device: The device for encoding.
        guard: Context that marks clips as in progress.
        keep: Called with the features of a clip whose samples are all encoded.
        fail: Called with a clip that could not be encoded and the error; the other clips of its batch continue.
    """

    def __init__(
        self,
        extractor: ModelExtractor,
        device: str,
        guard: Callable[[Sequence[str]], Any],
        keep: Callable[[str, FeatureSequence], None],
        fail: Callable[[str, BaseException], None],
    ) -> None:
        self._extractor, self._device = extractor, device
        self._guard, self._keep, self._fail = guard, keep, fail
        self._lock = threading.RLock()
        self._waiting: list[tuple[str, Any]] = []
        # Of all that wait: a sum over them for each sample would take longer than short texts themselves.
        self._size = 0
        self._parts: dict[str, list[FeatureSequence]] = {}
        self._ended: set[str] = set()
        self._dropped: set[str] = set()

    def put(self, clip_id: str, sample: Any) -> None:
        """Add a sample, and encode if the window is full. Other threads keep decoding meanwhile."""
        with self._lock:
            if clip_id in self._dropped:
                return
            self._waiting.append((clip_id, sample))
            self._size += len(sample)
            if self._size >= self._extractor.window:
                self._encode()

    def end(self, clip_id: str) -> None:
        """Record that the clip has no more samples."""
        with self._lock:
            if clip_id not in self._dropped:
                self._ended.add(clip_id)
            self._hand_on()

    def drop(self, clip_id: str) -> None:
        """Drop the samples of a clip that has failed."""
        with self._lock:
            self._dropped.add(clip_id)
            self._waiting = [(name, sample) for name, sample in self._waiting if name != clip_id]
            self._size = sum(len(sample) for _, sample in self._waiting)
            self._parts.pop(clip_id, None)
            self._ended.discard(clip_id)

    def flush(self) -> None:
        """Encode the waiting samples."""
        with self._lock:
            if self._waiting:
                self._encode()

    def _encode(self) -> None:
        waiting, self._waiting, self._size = self._waiting, [], 0
        try:
            self._take(waiting)
        except (Exception, SystemExit):  # noqa: BLE001  (one bad sample must not cost the batch: each clip again, alone)
            for clip_id in dict.fromkeys(name for name, _ in waiting):
                own = [(name, sample) for name, sample in waiting if name == clip_id]
                self._attempt(clip_id, partial(self._take, own))
        self._hand_on()

    def _take(self, waiting: Sequence[tuple[str, Any]]) -> None:
        with self._guard([name for name, _ in waiting]), float32_products(self._device):
            encoded = self._encoded([sample for _, sample in waiting])
        if len(encoded) != len(waiting):
            raise ValueError(f"encode gave {len(encoded)} sequences for {len(waiting)} samples")
        for (clip_id, _), part in zip(waiting, encoded, strict=True):
            self._parts.setdefault(clip_id, []).append(part)

    def _encoded(self, samples: Sequence[Any]) -> list[FeatureSequence]:
        """The samples' features; batches that do not fit in the device's memory are halved, from then on."""
        while True:
            try:
                return self._extractor.encode(samples, self._device)
            except RuntimeError as error:
                smaller = halved(self._extractor) if type(error).__name__ == "OutOfMemoryError" else None
                if smaller is None:
                    raise
            self._extractor = smaller
            _free_memory()
            said = "%s: a batch does not fit in the memory of %s: continuing with batches of half the size"
            LOG.warning(said, smaller.label, self._device)

    def _hand_on(self) -> None:
        waiting = {clip_id for clip_id, _ in self._waiting}
        for clip_id in [name for name in self._ended if name not in waiting]:
            self._ended.discard(clip_id)
            parts = self._parts.pop(clip_id, [])
            self._attempt(clip_id, partial(self._finish, clip_id, parts))

    def _finish(self, clip_id: str, parts: Sequence[FeatureSequence]) -> None:
        self._keep(clip_id, concatenate(parts))

    def _attempt(self, clip_id: str, step: Callable[[], None]) -> None:
        try:
            step()
        except (Exception, SystemExit) as error:
            if isinstance(error, FeatzooError) and not isinstance(error, ClipError):
                raise  # a problem of the machine or the store, not of this clip
            self.drop(clip_id)
            self._fail(clip_id, error)


def halved(extractor: ModelExtractor) -> ModelExtractor | None:
    """The same extractor, with the same features, in batches of half the size; None if they are the smallest."""
    for option, smallest in (("batch_size", 2), ("batch_seconds", 2.0)):
        size = getattr(extractor, option, 0)
        if size >= smallest:
            half: dict[str, Any] = {option: size // 2 if option == "batch_size" else size / 2}
            return dataclasses.replace(extractor, **half)
    return None


def _free_memory() -> None:
    """Give what torch keeps for later tensors back to the device."""
    import torch

    torch.cuda.empty_cache()
