"""Merges the shards of a run while it goes on, so that a long run does not leave thousands of small files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from featzoo.cache.featureset import FeatureSet
from featzoo.cache.pack import pack_set
from featzoo.errors import StoreError
from featzoo.extraction.worker import Receipt

# Number of shards above which a set is packed during a run.
PILE = 512


def packing(receipts: Iterable[Receipt], sets: Mapping[str, FeatureSet]) -> Iterator[Receipt]:
    """Pass receipts on, and pack a set whenever it has many shards.

    A shard has at least one clip, so the shards are counted again after as many clips. A set that cannot be packed,
    because a shard is damaged, is left as it is: its features are stored all the same.

    Args:
        receipts: The receipts of a run.
        sets: The feature sets by key.
    """
    stored: Counter[str] = Counter()
    for receipt in receipts:
        yield receipt
        if receipt.state == "stored":
            stored[receipt.key] += 1
        if stored[receipt.key] >= PILE:
            stored[receipt.key] = 0
            with suppress(StoreError):
                pack_set(sets[receipt.key], fewest=PILE, gradual=True)
