"""Names that mean the same everywhere: splits, the Big Five, and the reasons why a clip gives no features."""

from __future__ import annotations

from collections.abc import Mapping

SPLITS = ("train", "valid", "test")

_SPLIT_NAMES = {
    "train": "train", "training": "train", "valid": "valid", "validation": "valid", "val": "valid",
    "dev": "valid", "devel": "valid", "development": "valid", "test": "test", "testing": "test",
}  # fmt: skip

#: The Big Five, in the order that labels are listed in.
TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
#: The columns that tables give each trait, in lower case: the name in Essays, the letter, the full name.
TRAIT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "openness": ("copn", "o", "openness"),
    "conscientiousness": ("ccon", "c", "conscientiousness"),
    "extraversion": ("cext", "e", "extraversion"),
    "agreeableness": ("cagr", "a", "agreeableness"),
    "neuroticism": ("cneu", "n", "neuroticism"),
}

#: Why a clip gives no features, and whether the reason lasts: it lies with the clip, so that the clip is not tried
#: again while it is unchanged. Any other reason is a plugin's own and lasts unless the plugin says `retry=True`.
LASTING: Mapping[str, bool] = {
    "bad-transcript": True,
    "damaged": True,
    "empty": True,
    "encrypted": True,
    "engine": True,
    "error": True,
    "no-audio": True,
    "no-file": True,
    "no-media": True,
    "no-times": True,
    "no-video": True,
    "no-words": True,
    "not-found": True,
    "other-language": True,
    "other-rows": True,
    "out-of-memory": False,  # of this machine, or beside other clips
    "overflow": True,
    "timeout": True,
    "too-short": True,
    "truncated": True,
    "unreadable": True,
    "worker-died": True,
}


def split_name(name: object) -> str | None:
    """The split that a name means, in any case: `train`, `valid` or `test`; None if it means none of them."""
    return _SPLIT_NAMES.get(str(name).strip().lower())


def is_lasting(reason: str, retry: bool = False) -> bool:
    """Whether a clip that failed for this reason is left alone until it changes.

    Args:
        reason: The code of a `ClipError`.
        retry: What the `ClipError` says of itself.
    """
    return not retry and LASTING.get(reason, True)
