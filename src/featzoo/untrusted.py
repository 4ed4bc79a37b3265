"""JSON and Parquet of strangers: what is nested too deeply, or declares far more than it holds, is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

# A column that repeats one value needs almost no bytes for a billion rows. Real tables have more bytes than rows.
LEAST_VALUES = 1_000_000
VALUES_PER_BYTE = 16


def parse_json(text: str | bytes) -> Any:
    """A JSON text as plain values.

    Raises:
        ValueError: If it is not JSON, or is nested more deeply than Python reads.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is JSON that is nested too deeply") from error


def open_parquet(path: Path, as_dictionary: Sequence[str] = ()) -> ParquetFile:
    """A Parquet file, opened.

    Args:
        path: The file.
        as_dictionary: Columns of text to read as dictionaries: in the file, a long text may be shared by many rows.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is not Parquet (`pyarrow.ArrowInvalid`), or declares far more values than it has bytes.
    """
    from pyarrow.parquet import ParquetFile

    file = ParquetFile(path)
    shared = [name for name in as_dictionary if name in file.schema_arrow.names]
    if shared:
        file.close()
        file = ParquetFile(path, read_dictionary=shared)
    told, size = file.metadata, path.stat().st_size
    groups = [told.row_group(number) for number in range(told.num_row_groups)]
    values = [sum(group.column(column).num_values for group in groups) for column in range(told.num_columns)]
    most = max([told.num_rows, *values])
    if most > LEAST_VALUES + VALUES_PER_BYTE * size:
        file.close()
        raise ValueError(f"it declares {most} values in a column, but has {size} bytes")
    return file
