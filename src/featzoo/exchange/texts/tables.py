"""Tables of texts with yes-or-no personality labels: reading them, and the splits of ADAM's author for two of them."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips, InvalidOption, StoreError
from featzoo.exchange.importing import Account, Arrival, bring_in
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.stand_ins import refuse_stand_in
from featzoo.untrusted import open_parquet
from featzoo.vocabulary import split_name
from featzoo.weights.imports import require
from featzoo.wording import count

YES_OR_NO = {"y": 1.0, "n": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0, "true": 1.0, "false": 0.0}
# csv's own limit is 128 KB a field; the longest essays and lists of posts are longer.
LONGEST_FIELD = 1 << 26


class Text(NamedTuple):
    """One row of a table.

    Attributes:
        id: The clip's id.
        text: The text to store; empty if it is missing.
        labels: Trait to 0 or 1, in the order of `TRAITS`.
        split: train, valid or test; None if the row does not give it.
        empty: The reason for refusing an empty text.
    """

    id: str
    text: str
    labels: Mapping[str, float]
    split: str | None = None
    empty: str = "its text is empty"


def read_table(path: Path) -> tuple[list[str], Iterator[tuple[str, dict[str | None, Any]]]]:
    """A table's columns, and its rows with their places; a row of another length has the key None.

    A .csv is read as UTF-8 or else as ISO-8859-1, the encoding of the distributed Essays. A file called .parquet is
    read as Parquet.

    Raises:
        InvalidClips: If it cannot be read.
    """
    refuse_stand_in(path, InvalidClips)
    try:
        if path.suffix.lower() == ".parquet":
            try:
                with open_parquet(path) as file:
                    table = file.read()
            except ValueError as error:
                raise InvalidClips(f"{path} is not Parquet: {error}") from error
            return table.column_names, ((f"row {i}", row) for i, row in enumerate(table.to_pylist(), start=1))
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidClips(f"cannot read {path}: {error.strerror}") from error
    if b"\0" in raw and not raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InvalidClips(f"{path} is a binary file, not a text table; export a spreadsheet as CSV first")
    try:
        text = raw.decode("utf-16" if b"\0" in raw else "utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("iso-8859-1")
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        rows = [(f"row {i}", row) for i, row in enumerate(reader, start=1)]
    except csv.Error as error:
        raise InvalidClips(f"{path} is not a table of comma-separated values: {error}") from error
    finally:
        csv.field_size_limit(before)
    return list(reader.fieldnames or ()), iter(rows)


def find_columns(columns: Iterable[str], wanted: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What is wanted, by the names that a table may use for it (in any case), to the table's column."""
    there = {column.strip().lower(): column for column in columns if column}
    found = {key: next((there[name] for name in names if name in there), None) for key, names in wanted.items()}
    return {key: column for key, column in found.items() if column is not None}


def check_fields(row: Mapping[Any, Any], columns: Iterable[str]) -> None:
    """Refuse a row of another length than the header's, or without a value in one of the columns.

    Raises:
        ValueError: For such a row.
    """
    if None in row:
        raise ValueError("it has more fields than there are columns")
    if lacking := [column for column in columns if row[column] is None]:
        raise ValueError(f"it has no {', '.join(lacking)}")


def texts_of(
    rows: Iterable[tuple[str, Mapping[Any, Any]]],
    columns: Mapping[str, str],
    labels: Callable[[Mapping[Any, Any]], Mapping[str, float]],
) -> tuple[list[Text], dict[str, str]]:
    """The rows of a table as texts, and the reasons for refusing the others.

    Args:
        rows: The place of each row, and its fields.
        columns: Required values to their columns: `text`, `id` and `split` if the table has them, and others.
        labels: Returns the labels of a row; its ValueError refuses the row.
    """
    texts, refused = [], {}
    for number, (place, row) in enumerate(rows):
        name = str(row[columns["id"]]) if "id" in columns else str(number)
        try:
            check_fields(row, columns.values())
            own = split_of(row[columns["split"]]) if "split" in columns else None
            texts.append(Text(name, str(row[columns["text"]]), labels(row), own))
        except ValueError as error:
            refused[f"{place} ({name})"] = str(error)
    return texts, refused


def yes_or_no(value: Any) -> float:
    """1 or 0 of y and n, 1 and 0, true and false.

    Raises:
        ValueError: If it is anything else.
    """
    found = YES_OR_NO.get(str(value).strip().lower())
    if found is None:
        raise ValueError(f"{value!r} is neither y, 1 nor n, 0")
    return found


def split_of(value: Any) -> str | None:
    """train, valid or test, from any of their synonyms; None for an empty value.

    Raises:
        ValueError: If it is not a split.
    """
    given = str("" if value is None else value).strip()
    split = split_name(given)
    if given and split is None:
        raise ValueError(f"its split is {value!r}, not train, valid (or dev, validation) or test")
    return split


def arrive(
    texts: Sequence[Text], refused: Mapping[str, str], split: str | None, full: int, notes: Sequence[str] = ()
) -> Arrival:
    """Rows of a corpus of English texts as clips without media, with splits.

    Args:
        texts: Rows that could be read, in the file's order.
        refused: Rows that could not be read.
        split: Split of all rows; None uses the rows' own, or makes the author's if they have none.
        full: Number of rows in the whole corpus.
        notes: Notes for the user.

    Raises:
        InvalidOption: If there are too few rows of some pattern of labels to split them.
    """
    refused = dict(refused)
    if split is not None:
        splits: list[str | None] = [split] * len(texts)
    elif any(text.split for text in texts):
        splits = [text.split for text in texts]
        notes = [*notes, "splits: the file's own"]
    else:
        splits = list(author_splits([text.labels for text in texts]))
        notes = [*notes, _how_split(len(texts), full)]
    clips = []
    for text, part in zip(texts, splits, strict=True):
        if not text.text.strip():
            refused[text.id] = text.empty
        elif part is None:
            refused[text.id] = "it has no split, but other rows have one"
        else:
            clips.append(Clip(id=text.id, words=words_of(text.text), split=part, labels=dict(text.labels)))
    return Arrival([], clips, refused, notes)


def bring_texts(arrival: Arrival, store: Path, dry_run: bool) -> Account:
    """Import texts with `bring_in` into a store that has no other texts under the same ids.

    Raises:
        StoreError: If it has other texts: it would keep them, and the new ones would be lost silently.
    """
    known = FeatureStore(store).clips() if (store / "STORE.json").is_file() else {}
    other = [c.id for c in arrival.clips if c.id in known and known[c.id].words and known[c.id].text != c.text]
    if other:
        raise StoreError(
            f"{store} has other texts for {count(len(other), 'clip')}, such as '{other[0]}': give another store"
        )
    return bring_in(arrival, store, dry_run)


def author_splits(labels: Sequence[Mapping[str, float]]) -> list[str]:
    """A split for each row: a fifth is test, a fifth of the rest valid, both stratified by the rows' label patterns.

    Args:
        labels: Labels of each row, in the file's order; the order of its labels makes the pattern.

    Raises:
        InvalidOption: If there are too few rows of some pattern.
        MissingPackage: If scikit-learn is not installed.

    Reference: `dataset/dataset_spliting.ipynb` of github.com/jingjie00's repository on adaptive focal loss, which
        gave jingjietan/essays-big5 and jingjietan/kaggle-mbti on Hugging Face: scikit-learn's train_test_split with
        test_size 0.2 and random_state 42, twice.
    """
    require("sklearn", "zoo")
    from sklearn.model_selection import train_test_split

    # Patterns are strings as in the author's code, because scikit-learn's draw depends on their sorted order.
    patterns = [str(int("".join(str(int(value)) for value in one.values()), 2)) for one in labels]
    splits = ["train"] * len(labels)
    rows = list(range(len(labels)))
    for name in ("test", "valid"):
        strata = [patterns[i] for i in rows]
        try:
            rows, drawn = train_test_split(rows, test_size=0.2, random_state=42, stratify=strata)
        except ValueError as error:
            kinds = f"{len(labels)} texts of {len(set(patterns))} patterns of labels"
            raise InvalidOption(
                f"{kinds} are too few to split ({error}): name one split, or add a column 'split' to the file"
            ) from error
        for i in drawn:
            splits[i] = name
    return splits


def _how_split(rows: int, full: int) -> str:
    how = "splits: scikit-learn's train_test_split, 0.2, seed 42, stratified by all labels, twice"
    if rows == full:
        return f"{how}: those that ADAM's author published"
    return f"{how}; the whole corpus has {full:,} texts, this file {rows:,}: its splits are not the published ones"
