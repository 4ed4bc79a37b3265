"""The independent units of a split that a bootstrap draws and a permutation test swaps: speakers, groups or clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from featzoo.wording import count
from featzoo.zoo.metrics.binary import languages_of, rows_of
from featzoo.zoo.metrics.classification import Array

# With fewer units, even a difference of the same sign in each of them has a two-sided probability above .05 by chance:
# 2 / 2^5 = .06.
FEWEST = 6


class Units(NamedTuple):
    """What a bootstrap draws and a permutation test swaps.

    Attributes:
        numbers: (N,) number of each clip's unit.
        name: speaker, group, session, text or clip.
        within: What all units belong to, as in `one speaker`; "" if nothing is known of it.
    """

    numbers: Array
    name: str
    within: str = ""

    @property
    def total(self) -> int:
        """How many units there are."""
        return int(self.numbers.max(initial=-1)) + 1

    @property
    def enough(self) -> bool:
        """Whether there are enough to tell a difference from chance."""
        return self.total >= FEWEST

    def __str__(self) -> str:
        return count(self.total, self.name) + (f" of {self.within}" if self.within else "")


def units_of(ids: Sequence[str], groups: Mapping[str, Sequence[str]]) -> Units:
    """The speakers of clips, if each has one and there are several; else groups or sessions, texts, or clips.

    Texts are units of clips that are one text in several languages.

    Args:
        ids: N clip ids.
        groups: Column to N names.
    """
    for column in ("speaker", "group", "session"):
        names = groups.get(column, ())
        if len(set(names)) > 1:
            return Units(np.unique(list(names), return_inverse=True)[1], column)
    within = "one speaker" if len(set(groups.get("speaker", ()))) == 1 else ""
    return Units(rows_of(ids), "text" if languages_of(ids) else "clip", within)
