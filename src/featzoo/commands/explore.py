"""`feat explore`: clips by class and group, and features that differ between classes."""

from __future__ import annotations

from pathlib import Path

import click

from featzoo.commands.options import FOLDER, STORE
from featzoo.commands.printing import echo, echo_lines
from featzoo.wording import count

# Columns that are printed; the file has all of them.
PRINTED = 10


@click.command()
@click.argument("place", metavar="[STORE]", required=False, type=FOLDER)
@click.option("-x", "--set", "request", default="", help="Feature set; default: the first of the store.")
@click.option("--column", default="", help="Column of classes; default: emotion, or the only one.")
@click.option("--to", "folder", type=FOLDER, help="Folder to write tables (CSV) and pictures (PNG) into.")
@STORE
def explore(place: Path | None, request: str, column: str, folder: Path | None, store: Path) -> None:
    """Show how clips and features are spread over classes.

    It prints each class with its clips, speakers, other columns and durations, and the columns of a feature set that
    differ most between classes: eta squared is the share of a column's variance that lies between the classes' means.
    A column whose eta squared of speakers is larger tells speakers rather than classes.

    \b
    feat explore emodb
    feat explore emodb -x egemaps.functionals --to emodb-explored
    """
    from featzoo.cache.store import FeatureStore
    from featzoo.reports.exploration import explore as read
    from featzoo.reports.exploration_files import write_exploration
    from featzoo.zoo.metrics.tables import text_table

    found = read(FeatureStore(place or store), column, request)
    echo_lines(text_table(found.counts()))
    echo("")
    echo(f"{found.key}, {count(len(found.names), 'column')}, by eta squared:")
    echo_lines(text_table(found.effect_table()[: PRINTED + 1]))
    if folder is not None:
        echo(f"wrote {', '.join(write_exploration(found, folder))} into {folder}")
