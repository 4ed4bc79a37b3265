"""Extraction from Python in one call."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from featzoo import plugins
from featzoo.cache.store import FeatureStore
from featzoo.extraction.driver import extract_all
from featzoo.extractors.contract import Extractor, make_extractor
from featzoo.media.discovery import find_clips
from featzoo.wording import count


def extract(
    sources: str | Path | Sequence[str | Path],
    extractors: str | Sequence[str | Extractor],
    store: str | Path = "features",
    **options: Any,
) -> FeatureStore:
    """Extract features of clips into a store, and open it. Clips that are stored and unchanged are not computed again.

        store = featzoo.extract("videos/", "egemaps,bert.minilm")
        rows = store["egemaps"]["clip01.mp4"].features  # (T, 25)

    Args:
        sources: A folder, manifest (.csv, .parquet) or media file, or several of them.
        extractors: Requests such as `egemaps,'resnet50[rate=5]'`, or extractors.
        store: The store's folder; created if missing.
        options: The fields of `ExtractOptions`: jobs, device, retry, timeout, memory, backend, scheduler.

    Warns:
        UserWarning: If clips failed; `store[set].failures()` has the reasons.

    Raises:
        FeatzooError: If there are no clips, or nothing can run because of weights, packages, or a store that cannot
            be written.
    """
    given = [sources] if isinstance(sources, str | Path) else sources
    clips = find_clips(*map(Path, given)).clips
    requests = plugins.split(extractors) if isinstance(extractors, str) else extractors
    wanted = [make_extractor(each) if isinstance(each, str) else each for each in requests]
    for extractor in wanted:
        extractor.prepare()
    opened = FeatureStore.create(store)
    report = extract_all(opened, wanted, clips, **options)
    failed = Counter(f"{one.key}: {one.detail.partition(':')[0]}" for one in report.failed)
    for reason, number in failed.items():
        warnings.warn(f"{count(number, 'clip')} failed: {reason}", stacklevel=2)
    return opened
