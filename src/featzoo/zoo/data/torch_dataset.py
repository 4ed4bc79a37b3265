"""A PyTorch dataset over a feature store: whole padded batches from mapped files, in the training process itself.

    from torch.utils.data import DataLoader
    from featzoo.zoo.data.torch_dataset import StoreDataset

    dataset = StoreDataset("features", {"audio": "egemaps", "text": "bert.minilm"}, labels=["sentiment"], split="train")
    for batch in DataLoader(dataset, batch_size=64, shuffle=True, collate_fn=dataset.collate):
        batch.inputs["audio"].values       # (B, T, D) float32, 0 where nothing was observed
        batch.inputs["audio"].mask         # (B, T) bool
        batch.targets                      # (B, K) float32

Workers are not needed: handing a batch from one process to another costs more than reading it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidOption, MissingFeatures, suggestion
from featzoo.sequence import Array
from featzoo.zoo.data.padding import has_gaps, pad
from featzoo.zoo.data.split import Batch
from featzoo.zoo.input_spec import InputSpec, holds_token_ids

# States of a clip's values: not read yet, all observed, some NaN.
UNKNOWN, WHOLE, GAPS = 0, 1, 2


class StoreDataset(Dataset[Batch]):
    """Clips of a store, read a batch at a time; it can be pickled, and survives a fork.

    Args:
        store: A feature store, or its path.
        features: Role names of your choice to the feature sets that they read.
        ids: The clips; by default all that have every role, every label and the `split`, in order of their ids.
            If a clip named here lacks a role, all its steps in the role are masked.
        labels: Names of the labels that become targets.
        split: Only clips of this split.

    Attributes:
        ids: N clip ids.
        targets: (N, K) float32.
        specs: Role to the width and kind of its features.

    Raises:
        MissingFeatures: If the store lacks a set or a clip.
        InvalidOption: If a clip named in `ids` lacks a label.
    """

    def __init__(
        self,
        store: FeatureStore | str | Path,
        features: Mapping[str, str],
        ids: Sequence[str] | None = None,
        labels: Sequence[str] = (),
        split: str | None = None,
    ) -> None:
        opened = store if isinstance(store, FeatureStore) else FeatureStore(store)
        self._sets: dict[str, FeatureSet] = {role: opened[request] for role, request in features.items()}
        stored = {role: set(found.ids()) for role, found in self._sets.items()}
        values = _values(opened, labels, split)
        if ids is None:
            everywhere = set.intersection(*stored.values()) if stored else set()
            ids = sorted(everywhere & values.keys() if labels or split else everywhere)
        elif labels or split:
            for clip_id in ids:
                if clip_id not in values:
                    lacks = f"a label of {', '.join(labels)}, or is not of split {split}"
                    raise InvalidOption(f"clip '{clip_id}' lacks {lacks}{suggestion(clip_id, list(values)[:1000])}")
        if not ids:
            counts = ", ".join(f"{len(stored[role])} have {found.key}" for role, found in self._sets.items())
            raise MissingFeatures(
                f"no clip to read: {counts or 'no features requested'}; {len(values)} have the labels"
            )
        self.ids = tuple(ids)
        self.targets = torch.tensor([values.get(i, []) for i in self.ids], dtype=torch.float32)  # (N, K)
        self.specs = {role: _spec(found) for role, found in self._sets.items()}
        self._held = {role: np.array([i in stored[role] for i in self.ids]) for role in self._sets}
        self._arrays: dict[tuple[str, int], Array | None] = {}
        self._known = {role: np.full(len(self.ids), UNKNOWN, dtype=np.uint8) for role in self._sets}

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> Batch:
        """One clip, as a batch of one."""
        return self.__getitems__([row])

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """The clips `rows`, padded to the longest of them; a DataLoader calls this once per batch."""
        inputs = {}
        for role, spec in self.specs.items():
            arrays = [self._read(role, row, spec) for row in rows]
            inputs[role] = pad(arrays, spec, gaps=self._gaps(role, rows, arrays))
        ids = tuple(self.ids[row] for row in rows)
        return Batch(ids, inputs, self.targets[torch.as_tensor(rows, dtype=torch.int64)])  # (B, K)

    @staticmethod
    def collate(batch: Batch) -> Batch:
        """A DataLoader's `collate_fn`, which returns the batch unchanged."""
        return batch

    def __getstate__(self) -> dict[str, Any]:
        """The state without the mapped arrays, which another process maps itself."""
        return {**self.__dict__, "_arrays": {}}

    def _read(self, role: str, row: int, spec: InputSpec) -> Array | None:
        """A clip's (T, D), mapped; looked up in the store once."""
        place = role, row
        try:
            return self._arrays[place]
        except KeyError:
            array = self._sets[role].array(self.ids[row]) if self._held[role][row] else None
            self._arrays[place] = None if array is None else array.reshape(len(array), spec.width)  # (T, D)
            return self._arrays[place]

    def _gaps(self, role: str, rows: Sequence[int], arrays: Sequence[Array | None]) -> bool:
        """Whether any of the clips has NaN; each is read once."""
        known = self._known[role]
        if (known[rows] == UNKNOWN).any():
            for row, array in zip(rows, arrays, strict=True):
                known[row] = GAPS if array is not None and has_gaps(array) else WHOLE
        return bool((known[rows] == GAPS).any())


def _spec(found: FeatureSet) -> InputSpec:
    kind = found.kind
    if kind is None:
        raise MissingFeatures(f"nothing is stored in {found.key}")
    width = math.prod(kind[2])
    return InputSpec(width, ids=holds_token_ids(kind[1], width))


def _values(store: FeatureStore, labels: Sequence[str], split: str | None) -> dict[str, list[float]]:
    """Clip id to its labels, for the clips of the split that have all of them."""
    if isinstance(labels, str):
        raise InvalidOption(f"labels must be a list of names: ['{labels}']")
    if not labels and split is None:
        return {}
    found, clips = {}, store.clips()
    for name in labels:
        if not any(name in clip.labels for clip in clips.values()) and any(
            name in c.categories for c in clips.values()
        ):
            raise InvalidOption(f"the label '{name}' holds names, and targets are numbers: read FeatureStore.clips()")
    for clip_id, clip in clips.items():
        values = [clip.labels.get(name, math.nan) for name in labels]
        if split in (None, clip.split) and not any(math.isnan(value) for value in values):
            found[clip_id] = values
    return found
