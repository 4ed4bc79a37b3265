"""Tables of audformat and audinterface: a DataFrame with a (file, start, end) index, as CSV or Parquet.

`file` is a clip's id; start and end count from the clip's start. pandas stores times as whole nanoseconds, so they are
rounded to 1e-9 s; featzoo's Parquet and .npz files keep them exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips, StoreError
from featzoo.exchange.description import describe, plain_name
from featzoo.exchange.exporting import Outgoing, deliver
from featzoo.exchange.importing import Account, Arrival, Incoming, Rows, bring_in
from featzoo.sequence import Array, FeatureSequence
from featzoo.weights.imports import require

INDEX = ("file", "start", "end")


def to_frame(store: FeatureStore, request: str) -> Any:
    """A feature set in audinterface's form: a DataFrame with a (file, start, end) index and one column per feature.

    Clips without rows are left out. An unknown time is NaT.

    Raises:
        MissingFeatures: If the store does not hold the set.
        MissingPackage: If pandas is not installed.
        StoreError: If its rows are not vectors, or two columns have the same name.
    """
    pandas = require("pandas", "audformat")
    found = store[request]
    description = describe(found)
    names = description.names
    if len(description.row) != 1:
        raise StoreError(
            f"{found.key} has rows of shape {description.row}: a table holds vectors; export it as parquet"
        )
    if len({*names, *INDEX}) < len(names) + len(INDEX):
        raise StoreError(
            f"{found.key}: two columns have the same name, or one is called {' or '.join(INDEX)}: export it as parquet"
        )
    sequences = [found[clip] for clip in found]
    files = np.repeat(np.array(found.ids(), dtype=object), [len(each) for each in sequences])
    times = np.concatenate([each.intervals for each in sequences])  # (sum T, 2)
    spans = [pandas.to_timedelta(_nanoseconds(times[:, side])) for side in (0, 1)]
    index = pandas.MultiIndex.from_arrays([pandas.Index(files, dtype="string"), *spans], names=list(INDEX))
    return pandas.DataFrame(np.concatenate([each.features for each in sequences]), index=index, columns=list(names))


def _nanoseconds(seconds: Array) -> Array:
    unknown = np.isnan(seconds)
    whole = np.round(np.where(unknown, 0.0, seconds) * 1e9).astype("timedelta64[ns]")
    return np.where(unknown, np.timedelta64("NaT", "ns"), whole)


def from_frame(frame: Any, dtype: str | None = None) -> Iterator[tuple[str, FeatureSequence]]:
    """The sequences of a table indexed by (file, start, end), or by file only, for `FeatureStore.add`.

    Args:
        frame: A DataFrame of numbers.
        dtype: Type of the features; by default one that fits all columns.

    Raises:
        ValueError: If the index has other levels, or a column is not numeric.
    """
    for file, read in _entries(frame, dtype):
        rows = read()
        times = np.full((len(rows.features), 2), np.nan) if rows.intervals is None else rows.intervals
        yield file, FeatureSequence(rows.features, times, tuple(rows.names))


def _entries(frame: Any, dtype: str | None = None) -> Iterator[tuple[str, Callable[[], Rows]]]:
    if "file" not in frame.index.names:
        raise ValueError(f"the index is {list(frame.index.names)}, audformat's is (file, start, end)")
    odd = [column for column, kind in frame.dtypes.items() if getattr(kind, "kind", "O") not in "fiub"]
    if odd or not len(frame.columns):
        raise ValueError(f"column '{odd[0]}' holds {frame.dtypes[odd[0]]}, not numbers" if odd else "it has no columns")
    kind = np.dtype(dtype) if dtype else np.result_type(*(kind.type for kind in frame.dtypes.unique()))
    names = tuple(str(column) for column in frame.columns)
    for file, rows in frame.groupby(level="file", sort=False):
        yield str(file), partial(_rows, rows, names, kind)


def _rows(rows: Any, names: tuple[str, ...], kind: np.dtype[Any]) -> Rows:
    timed = {"start", "end"} <= set(rows.index.names)
    spans = [_seconds(rows.index.get_level_values(side)) for side in ("start", "end")] if timed else None
    return Rows(rows.to_numpy(kind), np.stack(spans, axis=-1) if spans else None, names)  # (T, D), (T, 2)


def _seconds(times: Any) -> Array:
    whole = times.to_numpy().astype("timedelta64[ns]")
    return np.where(np.isnat(whole), np.nan, whole.astype(np.int64) / 1e9)


def export_audformat(store_path: Path, request: str, path: Path, dry_run: bool = False) -> list[str]:
    """Write a feature set as the .csv or .parquet of an audformat table. Returns a description of it.

    Args:
        store_path: The store.
        request: A feature set of rows (T, D).
        path: The file; an existing one is not overwritten.
        dry_run: Only report what would be written.

    Raises:
        MissingFeatures: If the store holds no such set.
        MissingPackage: If pandas is not installed.
        StoreError: If the set is not a table, or the file exists or cannot be written.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise StoreError(f"{path}: audformat's tables are called *.csv or *.parquet")
    frame = to_frame(FeatureStore(store_path), request)
    write = partial(_write, frame.reset_index(), path.suffix)
    return deliver(Outgoing(path, [f"{len(frame)} rows x {len(frame.columns)} columns"], write), dry_run)


def _write(table: Any, suffix: str, path: Path) -> None:
    if suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False, engine="pyarrow")


def import_audformat(
    path: Path, store_path: Path, name: str | None = None, dtype: str | None = None, dry_run: bool = False
) -> Account:
    """Import an audformat table of features as one feature set.

    A file that is the medium of one of the store's clips belongs to that clip; any other becomes a new clip.

    Args:
        path: A .csv or .parquet with columns `file`, optionally `start` and `end`, and numbers.
        store_path: The store; created if missing.
        name: Name of the set; by default the file's.
        dtype: Type of the features; a CSV does not contain it, and gives float64 or integers.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If the file has another format.
        MissingPackage: If pandas is not installed.
    """
    pandas = require("pandas", "audformat")
    try:
        frame = _read(pandas, path)
        entries = list(_entries(frame, dtype))
    except (OSError, ValueError) as error:
        raise InvalidClips(f"{path} is not a table of features in audformat's form: {error}") from error
    media = _media(store_path)
    renamed = ((media.get(file, file), read) for file, read in entries)
    incoming = Incoming(name or plain_name(path), renamed, provenance={"source": path.name})
    return bring_in(Arrival([incoming]), store_path, dry_run)


def _read(pandas: Any, path: Path) -> Any:
    if path.suffix == ".parquet":
        table = pandas.read_parquet(path).reset_index()
        table = table.drop(columns="index", errors="ignore")
    else:
        # A file may be called NA.
        gaps = {"keep_default_na": False, "na_values": ["", "nan", "NaN", "NaT"]}
        table = pandas.read_csv(path, dtype={"file": "string"}, float_precision="round_trip", **gaps)
    if "file" not in table.columns:
        raise ValueError(f"it has no column 'file', only {', '.join(map(str, table.columns[:8]))}")
    index = [column for column in INDEX if column in table.columns]
    for column in index[1:]:
        # Numbers are seconds in audformat; pandas would read them as nanoseconds.
        unit = "s" if table[column].dtype.kind in "iuf" else None
        table[column] = pandas.to_timedelta(table[column], unit=unit)
    return table.set_index(index)


def _media(store_path: Path) -> dict[str, str]:
    """Clip ids by media file, for files that are exactly one clip."""
    if not (store_path / "STORE.json").is_file():
        return {}
    media = {clip.id: str(clip.path) for clip in FeatureStore(store_path).clips().values() if clip.path}
    counts = Counter(media.values())
    return {path: clip for clip, path in media.items() if counts[path] == 1}
