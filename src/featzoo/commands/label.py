"""`feat label`: labels from the names of clips."""

from __future__ import annotations

from pathlib import Path

import click

from featzoo.commands.options import DRY_RUN, FOLDER, STORE
from featzoo.commands.printing import echo
from featzoo.wording import count, some


@click.command()
@click.argument("place", metavar="[STORE]", required=False, type=FOLDER)
@click.option("--pattern", required=True, help="Fields of clip ids, or a regular expression with (?P<name>...).")
@click.option("--map", "tables", metavar="COLUMN.CODE=NAME", multiple=True,
              help="Name of a code; several of a column as emotion.W=anger,F=happiness.")  # fmt: skip
@STORE
@DRY_RUN
def label(place: Path | None, pattern: str, tables: tuple[str, ...], store: Path, dry_run: bool) -> None:
    """Read labels from the names of the clips in a store.

    PATTERN is compared with the last part of a clip's id, or with all of it if the pattern has a slash. A field
    becomes a label that is a name: emotion, speaker, session, group, language or any other; `split` is the clip's
    split. {speaker:2} has two letters, and {} is a part that is not kept. Numbers come from labels.csv, which
    `feat extract` reads.

    \b
    feat label --pattern '{speaker}_{emotion}_{take}.wav'
    feat label emodb --pattern '{speaker:2}{text:3}{emotion:1}{take}.wav' --map emotion.W=anger,F=happiness
    feat label ravdess --pattern 'Actor_{speaker}/{}-{}-{emotion}-{}-{}-{}-{}.wav' --map emotion.01=neutral,02=calm
    """
    from featzoo.cache.store import FeatureStore
    from featzoo.commands.label_report import print_categories
    from featzoo.errors import InvalidClips
    from featzoo.media.path_labels import PathPattern, label_clips, read_code_tables

    opened = FeatureStore(place or store)
    records = opened.records()
    found = PathPattern(pattern)
    clips = [record.clip for record in records.values()]
    labelled, others = label_clips(clips, found, read_code_tables(tables))
    if not labelled:
        example = f", such as '{others[0]}'" if others else ""
        raise InvalidClips(f"none of {count(len(clips), 'clip')}{example} matches '{pattern}'")
    # Before anything is printed: a reader such as `head` may close the pipe.
    if not dry_run:
        opened.record(labelled, {record.clip.path: record.media for record in records.values() if record.clip.path})
    named = {clip.id for clip in labelled}
    echo(f"{len(named)} of {count(len(clips), 'clip')} match: {', '.join(found.fields)}")
    if others:
        echo(f"no match: {len(others)} ({some(others)})", fg="yellow")
    print_categories([clip for clip in clips if clip.id not in named] + labelled)
