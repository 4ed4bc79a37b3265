"""`feat ls --where` and `--to`: clips that meet a condition, printed or written as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from featzoo.commands.printing import echo
from featzoo.durable import write
from featzoo.errors import InvalidOption
from featzoo.wording import count

if TYPE_CHECKING:
    import pyarrow

    from featzoo.cache.store import FeatureStore


def list_clips(store: FeatureStore, feature_set: str | None, where: str, place: Path | None) -> None:
    """Print the clips with the columns that the condition names, or write them with all columns.

    Raises:
        InvalidOption: If the condition is not one, or the file is neither .parquet nor .csv.
        StoreError: If the store lacks the set, a clip table is damaged, or the file cannot be written.
    """
    from featzoo.cache.conditions import columns_of

    sets = [feature_set] if feature_set else []
    if place is not None:
        _write(store, place, where, sets)
        return
    columns = list(dict.fromkeys(["clip", *columns_of(where)]))
    # Without its set, a clip has the same row for each set.
    found = store.query(where, columns, sets).group_by(columns, use_threads=False).aggregate([])
    for row in zip(*(column.to_pylist() for column in found.columns), strict=True):
        echo("  ".join(_shown(value) for value in row))
    echo(count(len(found), "row" if {"set", "state"} & {*columns} else "clip"), err=True)


def _shown(value: object) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _write(store: FeatureStore, place: Path, where: str, sets: list[str]) -> None:
    if place.suffix not in (".parquet", ".csv"):
        raise InvalidOption(f"{place} must end with .parquet or .csv")
    found = store.query(where, sets=sets)
    write(place, _encoded(found, place.suffix))
    echo(f"{count(len(found), 'row')} in {place}")


def _encoded(table: pyarrow.Table, suffix: str) -> bytes:
    import pyarrow
    from pyarrow import csv, parquet

    image = pyarrow.BufferOutputStream()
    if suffix == ".csv":
        csv.write_csv(table, image)
    else:
        parquet.write_table(table, image)
    content: bytes = image.getvalue().to_pybytes()
    return content
