"""Shared names: splits, groups, the Big Five, and the reasons why a clip has no features."""

from __future__ import annotations

from collections.abc import Mapping

SPLITS = ("train", "valid", "test")

#: Columns that group clips. They hold names, also where each name is a number.
GROUPS = ("speaker", "session", "group", "language")

_SPLIT_NAMES = {
    "train": "train", "training": "train", "valid": "valid", "validation": "valid", "val": "valid",
    "dev": "valid", "devel": "valid", "development": "valid", "test": "test", "testing": "test",
}  # fmt: skip

#: The Big Five, in the order of labels.
TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
#: Column names for each trait in tables, in lower case: the name in Essays, the letter, the full name.
TRAIT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "openness": ("copn", "o", "openness"),
    "conscientiousness": ("ccon", "c", "conscientiousness"),
    "extraversion": ("cext", "e", "extraversion"),
    "agreeableness": ("cagr", "a", "agreeableness"),
    "neuroticism": ("cneu", "n", "neuroticism"),
}

#: Reasons why a clip has no features, and whether the reason lasts, so that the unchanged clip is not tried again.
#: Any other reason comes from a plugin and lasts unless the plugin sets `retry=True`.
LASTING: Mapping[str, bool] = {
    "bad-transcript": True,
    "clock-restarts": True,
    "damaged": True,
    "empty": True,
    "encrypted": True,
    "engine": True,
    "error": True,
    "no-audio": True,
    "no-channel": True,
    "no-file": True,
    "no-media": True,
    "no-times": True,
    "no-video": True,
    "no-words": True,
    "not-found": True,
    "other-language": True,
    "other-rows": True,
    "out-of-memory": False,  # caused by this machine or by other clips
    "overflow": True,
    "timeout": True,
    "too-short": True,
    "truncated": True,
    "unreadable": True,
    "worker-died": True,
}


def split_name(name: object) -> str | None:
    """The split for a name in upper or lower case: `train`, `valid` or `test`; None for any other name."""
    return _SPLIT_NAMES.get(str(name).strip().lower())


def is_lasting(reason: str, retry: bool = False) -> bool:
    """Whether a clip that failed for this reason is not tried again until it changes.

    Args:
        reason: The code of a `ClipError`.
        retry: The `retry` of the `ClipError`.
    """
    return not retry and LASTING.get(reason, True)
