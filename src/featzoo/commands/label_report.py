"""Counts of clips by label, class and split, as `feat extract` and `feat label` print them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from featzoo.commands.printing import echo
from featzoo.media.clip import Clip
from featzoo.vocabulary import GROUPS, SPLITS, split_name
from featzoo.wording import count, some

# Columns with more names are printed as one line with the numbers of names.
CLASSES = 20
# Labels to name in a line.
LABELS = 8
NO_SPLIT = "no split"


def print_labels(clips: Sequence[Clip]) -> None:
    """Print the number of clips with labels, the range of each number, the clips of each split, and the classes."""
    labelled = [clip for clip in clips if clip.labels or any(name not in GROUPS for name in clip.categories)]
    values: dict[str, list[float]] = {}
    for clip in labelled:
        for name, value in clip.labels.items():
            values.setdefault(name, []).append(value)
    names = list(dict.fromkeys(name for clip in labelled for name in clip.categories if name not in GROUPS))
    spans = [f"{name} {_span(those)}" for name, those in values.items()]
    shown = some([*spans, *names], LABELS)
    counts = Counter(split_name(clip.split) for clip in clips)
    each = ", ".join(f"{counts[split]} {split}" for split in SPLITS if counts[split]) or "no splits"
    echo(f"labels: {len(labelled)} of {count(len(clips), 'clip')}{'; ' if shown else ''}{shown}; {each}")
    if not labelled and not any(clip.categories for clip in clips):
        echo("    to give labels: a labels.csv in the folder, or `feat label` if the files' names hold them")
    print_categories(clips)


def _span(values: Sequence[float]) -> str:
    finite = [value for value in values if math.isfinite(value)]
    return f"{min(finite):g} to {max(finite):g}" if finite else "without values"


def print_categories(clips: Sequence[Clip]) -> None:
    """Print the number of clips of each class in each split, and the names of groups such as speakers."""
    for column in dict.fromkeys(name for clip in clips for name in clip.categories):
        counts = Counter((_split(clip), clip.categories.get(column, "")) for clip in clips)
        names = sorted({name for _, name in counts if name})
        splits = [split for split in (*SPLITS, NO_SPLIT) if any(one == split for one, _ in counts)]
        if column in GROUPS or len(names) > CLASSES:
            echo(_names(column, names, splits, counts))
        else:
            unnamed = [""] if any(not name for _, name in counts) else []
            for line in _table(column, [*names, *unnamed], splits, counts):
                echo(line)


def _split(clip: Clip) -> str:
    return split_name(clip.split) or NO_SPLIT


def _names(column: str, names: Sequence[str], splits: Sequence[str], counts: Counter[tuple[str, str]]) -> str:
    """`speaker: 10 names; train 8 (03, 08, 09 and 5 more), test 2 (15, 16)`."""
    each = []
    for split in splits:
        here = [name for name in names if counts[split, name]]
        each.append(f"{split} {len(here)} ({some(here)})" if here else f"{split} 0")
    return f"{column}: {len(names)} in all; {', '.join(each)}"


def _table(column: str, names: Sequence[str], splits: Sequence[str], counts: Counter[tuple[str, str]]) -> list[str]:
    """A row for each class, a column for each split."""
    rows = [[column, *splits], *([name or "(none)", *(str(counts[split, name]) for split in splits)] for name in names)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(splits) + 1)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells))
    return lines
