"""`zoo split`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from featzoo.commands.options import DRY_RUN, FOLDER, STORE
from featzoo.commands.printing import echo
from featzoo.errors import FeatzooError
from featzoo.vocabulary import SPLITS, split_name
from featzoo.wording import count

if TYPE_CHECKING:
    from featzoo.media.clip import Clip


@click.command()
@click.argument("place", metavar="[STORE]", required=False, type=FOLDER)
@click.option("--by", default="", metavar="COLUMN", help="Keep clips with one name in this column in one split; "
              "default: speaker, or single clips if not every clip has one.")  # fmt: skip
@click.option("--test", "test", default=0.2, show_default=True, help="Share of the clips in test.")
@click.option("--dev", "dev", default=0.2, show_default=True, help="Share of the clips in dev (valid).")
@click.option("--stratify", default="", metavar="LABEL", help="Give each class of this label these shares too.")
@click.option("--seed", default=1, show_default=True, help="Seed of the draw.")
@click.option("--overwrite", is_flag=True, help="Replace the splits that clips have.")
@STORE
@DRY_RUN
def split(
    place: Path | None,
    by: str,
    test: float,
    dev: float,
    stratify: str,
    seed: int,
    overwrite: bool,
    store: Path,
    dry_run: bool,
) -> None:
    """Divide a store's clips into train, dev and test.

    A group, such as a speaker, is never in two splits. The shares are met as nearly as whole groups allow. The same
    clips and options always give the same splits.

    \b
    zoo split --by speaker
    zoo split features --by speaker --seed 1 --test 0.2 --dev 0.2 --stratify emotion
    """
    from featzoo.cache.store import FeatureStore
    from featzoo.commands.label_report import print_categories
    from featzoo.zoo.data.group_split import Shares, split_by_group

    opened = FeatureStore(place or store)
    records = opened.records()
    clips = opened.clips()
    if not clips:
        raise FeatzooError(f"{place or store} has no clips yet: feat extract FOLDER -o {place or store}")
    made = split_by_group(clips, by, Shares(test, dev), stratify, seed)
    before = Counter(name for clip in clips.values() if (name := split_name(clip.split)))
    if before and not (overwrite or dry_run):
        held = ", ".join(f"{name} {before[name]}" for name in SPLITS if before[name])
        raise FeatzooError(f"{count(before.total(), 'clip')} already in a split ({held}): --overwrite replaces them")
    # Before anything is printed: a reader such as `head` may close the pipe.
    if not dry_run:
        opened.record(made.values(), {one.clip.path: one.media for one in records.values() if one.clip.path})
    _print(made)
    print_categories(list(made.values()))


def _print(made: Mapping[str, Clip]) -> None:
    """Print the number of clips of each split."""
    counts = Counter(clip.split for clip in made.values())
    each = [f"{name} {counts[name]} ({counts[name] / len(made):.0%})" for name in SPLITS if counts[name]]
    echo(f"{count(len(made), 'clip')}: {', '.join(each)}")
