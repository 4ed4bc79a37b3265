"""Arrow columns from Python values, and back, without pandas.

`pyarrow.array` and `Table.to_pylist` import pandas wherever it is installed, which takes a third of a second: more than
all else that a run with nothing to compute does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from featzoo.sequence import Array

if TYPE_CHECKING:
    import pyarrow as pa


def table_of(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """A table with one row for each mapping; a missing value is null.

    Args:
        rows: Column to value. Maps are sequences of pairs, structs are mappings.
        schema: Of strings, float64, booleans, and lists, maps and structs of them.
    """
    import pyarrow as pa

    return pa.Table.from_arrays(
        [_array(each.type, [row.get(each.name) for row in rows]) for each in schema], schema=schema
    )


def texts(values: Sequence[str]) -> pa.Array:
    """An array of strings."""
    import pyarrow as pa

    return _array(pa.string(), values)


def numbers(values: Array, valid: Array | None = None) -> pa.Array:
    """An array of float64 or int64 from NumPy, null where `valid` is False."""
    import pyarrow as pa

    kind = pa.float64() if values.dtype == np.float64 else pa.int64()
    bits = None if valid is None else _bits(valid)
    return pa.Array.from_buffers(kind, len(values), [bits, pa.py_buffer(np.ascontiguousarray(values))])


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a table, each as column to value."""
    columns = [column.to_pylist() for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def _array(kind: pa.DataType, values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    valid, children = _bits([value is not None for value in values]), None
    if pa.types.is_string(kind):
        texts = [(value or "").encode() for value in values]
        data = [_offsets(texts), pa.py_buffer(b"".join(texts))]
    elif pa.types.is_boolean(kind):
        data = [_bits([bool(value) for value in values])]
    elif pa.types.is_struct(kind):
        data, children = [], [_array(each.type, [value and value[each.name] for value in values]) for each in kind]
    elif pa.types.is_list(kind) or pa.types.is_map(kind):
        inner = list(chain.from_iterable(value or () for value in values))
        data, children = [_offsets([value or () for value in values])], [_child(kind, inner)]
    else:
        data = [pa.py_buffer(np.array([0.0 if value is None else value for value in values], dtype=np.float64))]
    # Older versions of Arrow end the process for a map whose number of nulls is not known.
    nulls = sum(value is None for value in values)
    return pa.Array.from_buffers(kind, len(values), [valid, *data], null_count=nulls, children=children)


def _child(kind: pa.DataType, inner: Sequence[Any]) -> pa.Array:
    """The values of all lists, or the pairs of all maps."""
    import pyarrow as pa

    if not pa.types.is_map(kind):
        return _array(kind.value_type, inner)
    pair = pa.struct([kind.key_field, kind.item_field])
    return _array(pair, [{kind.key_field.name: key, kind.item_field.name: item} for key, item in inner])


def _offsets(parts: Sequence[Any]) -> pa.Buffer:
    import pyarrow as pa

    ends = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    if ends[-1] > np.iinfo(np.int32).max:
        raise OverflowError(f"{ends[-1]} values in one column: at most {np.iinfo(np.int32).max} fit")
    return pa.py_buffer(ends.astype(np.int32))


def _bits(flags: Sequence[bool] | Array) -> pa.Buffer:
    import pyarrow as pa

    return pa.py_buffer(np.packbits(np.array(flags, dtype=bool), bitorder="little"))
