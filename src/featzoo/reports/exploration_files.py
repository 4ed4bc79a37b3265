"""The tables and pictures of an exploration as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from featzoo.durable import refused, write
from featzoo.reports.exploration import Exploration
from featzoo.reports.exploration_pictures import components, distributions, spread


def write_exploration(found: Exploration, folder: Path) -> list[str]:
    """Write the tables and pictures into a folder, which is made if it is missing.

    Returns:
        The names of the files.

    Raises:
        StoreError: If the folder cannot be written.
    """
    files: dict[str, str | bytes] = {"classes.csv": _csv(found.counts()), "columns.csv": _csv(found.effect_table())}
    files |= {f"{column}.csv": _csv(found.cross_table(column)) for column in found.groups}
    files |= {"spread.png": spread(found), "distributions.png": distributions(found), "pca.png": components(found)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refused(folder, error) from error
    for name, content in files.items():
        write(folder / name, content)
    return list(files)


def _csv(rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
