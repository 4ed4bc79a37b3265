"""Parallel texts: the same rows in several languages, one clip `<row>/<language>` each."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips, InvalidOption
from featzoo.exchange.importing import Account, Arrival, bring_in
from featzoo.exchange.texts.dataset_folder import dataset_rows
from featzoo.exchange.texts.tables import read_table, split_of, yes_or_no
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.untrusted import parse_json
from featzoo.vocabulary import TRAIT_COLUMNS, TRAITS

LANGUAGES = ("en", "fr", "ms", "ja", "zh")
# The author's data sets call Malay bm (Bahasa Melayu) and Japanese jp.
ALIASES = {"bm": "ms", "jp": "ja"}
# The flag that `zoo augment` sets if PIGA failed and the text is TOGA's.
FELL_BACK = "fallback-toga"
# Names that a table may use for a label.
LABELS = {name: trait for trait, names in TRAIT_COLUMNS.items() for name in names}


class Row(NamedTuple):
    """A text in one language.

    Attributes:
        clip: The clip to store.
        row: The id shared by all languages.
        language: Two letters.
        method: How the text was made: `source`, `toga`, `piga` ...
        flags: Flags set by its maker.
    """

    clip: Clip
    row: str
    language: str
    method: str
    flags: tuple[str, ...]


def import_parallel(
    path: Path, store: Path, split: str | None = None, languages: Sequence[str] = (), dry_run: bool = False,
    labels: Sequence[str] = (),
) -> Account:  # fmt: skip
    """Import parallel texts: clips `<row>/<language>` without media, with words, labels and split.

    A row is an object with id, language, text, and optionally split, labels, method and flags: a line of JSON, or a row
    of Parquet. Labels are a struct (name to number), or columns: those of the Big Five, and those that `labels` names.
    The Big Five are yes or no, other labels any number. Rows are refused that
    cannot be read, occur twice, or differ from other languages of their row in split or labels, and so are texts that
    differ from the same clip's text in the store.

    Args:
        path: The file, or the folder of a data set of Hugging Face's library, which may have a column of texts for
            each language.
        store: The store; created if missing, kept otherwise.
        split: Only rows of this split.
        languages: Only rows in these. By default all, and a language that is not one of ADAM's five is refused.
        dry_run: Only report what would be imported.
        labels: Columns with labels, besides those of the Big Five.

    Raises:
        InvalidClips: If the file, or every row in it, cannot be read.
        InvalidOption: If a language is not a code of two letters.
    """
    wanted = [ALIASES.get(name, name) for name in languages]
    for name in wanted:
        if len(name) != 2 or not name.isascii() or not name.islower():
            raise InvalidOption(f"'{name}' is not a language: codes have two letters, such as fr")
    known = FeatureStore(store).clips() if (store / "STORE.json").is_file() else {}
    rows, refused = read_parallel(path, wanted, known, labels)
    kept = [row for row in rows if (not wanted or row.language in wanted) and (not split or row.clip.split == split)]
    notes = _told(kept)
    if others := len(rows) - len(kept):
        notes.append(f"left out as requested: {others} texts of other languages or splits")
    return bring_in(Arrival([], [row.clip for row in kept], refused, notes), store, dry_run)


def read_parallel(
    path: Path, languages: Iterable[str] = (), known: Mapping[str, Clip] | None = None, labels: Iterable[str] = ()
) -> tuple[list[Row], dict[str, str]]:
    """The consistent rows of a file of parallel texts, and the reasons for refusing the others.

    Args:
        path: The file, as for `import_parallel`.
        languages: Languages that are allowed besides ADAM's five.
        known: Clips by id with which the rows must agree.
        labels: Columns with labels, besides those of the Big Five.

    Raises:
        InvalidClips: If the file cannot be read.
    """
    file = _File({*LANGUAGES, *languages}, known or {}, {*labels})
    for place, fields in rows_of(path):
        file.take(place, fields)
    return file.rows, file.refused


def rows_of(path: Path) -> Iterator[tuple[str, Mapping[Any, Any] | str]]:
    """The place and the fields of each text of a .parquet or JSON Lines file, or of a folder; see `dataset_rows`.

    Text in place of the fields is the reason why they cannot be read.

    Raises:
        InvalidClips: If the file or folder cannot be read.
    """
    if path.is_dir():
        yield from dataset_rows(path)
        return
    if path.suffix.lower() == ".parquet":
        yield from read_table(path)[1]
        return
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield f"line {number}", _object(line)
    except OSError as error:
        raise InvalidClips(f"cannot read {path}: {error.strerror}") from error


def _object(line: bytes) -> Mapping[str, Any] | str:
    """A line's object, or the reason why it has none."""
    try:
        found = parse_json(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except (ValueError, RecursionError) as error:
        return f"it is not JSON: {error}"
    return found if isinstance(found, dict) else "it is not a JSON object"


class _File:
    """The rows of a file, divided into consistent and refused ones.

    Args:
        languages: Allowed languages.
        known: The store's clips.
        labels: Columns with labels, besides those of the Big Five.
    """

    def __init__(self, languages: Collection[str], known: Mapping[str, Clip], labels: Collection[str]) -> None:
        self.languages, self.known, self.labels = languages, known, labels
        self.rows: list[Row] = []
        self.refused: dict[str, str] = {}
        self._seen: dict[str, Row] = {}
        self._first: dict[str, Clip] = {}
        for clip in known.values():
            row, _, language = clip.id.rpartition("/")
            if language in languages:
                self._first.setdefault(row, clip)

    def take(self, place: str, fields: Mapping[Any, Any] | str) -> None:
        """Keep or refuse one row; text is the reason why it could not be read."""
        try:
            if isinstance(fields, str):
                raise ValueError(fields)
            row = _row(fields, self.languages, self.labels)
            self._check(row)
        except UnicodeEncodeError:
            self.refused[place] = "its text is not Unicode: it has half of a character"
            return
        except ValueError as error:
            self.refused[place] = str(error)
            return
        self.rows.append(row)
        self._seen[row.clip.id] = row
        self._first.setdefault(row.row, row.clip)

    def _check(self, row: Row) -> None:
        clip = row.clip
        if clip.id in self._seen:
            raise ValueError(f"{clip.id} occurs twice: by {self._seen[clip.id].method}, then by {row.method}")
        stored = self.known.get(clip.id)
        if stored is not None and stored.words and stored.text != clip.text:
            raise ValueError(
                f"{clip.id} is in the store with another text: import texts of another method into another store"
            )
        first = self._first.get(row.row, clip)
        if any(first.labels.get(trait, value) != value for trait, value in clip.labels.items()):
            raise ValueError(f"the labels of {clip.id} differ from those of {first.id}")
        if first.split and clip.split and first.split != clip.split:
            raise ValueError(f"{clip.id} is {clip.split}, but {first.id} is {first.split}")


def _row(fields: Mapping[str, Any], languages: Collection[str], labels: Collection[str]) -> Row:
    row, text = fields.get("id"), fields.get("text")
    if isinstance(row, bool) or not isinstance(row, str | int) or not str(row).strip():
        raise ValueError("it has no id" if row is None else f"its id is {row!r}, not text")
    row = str(row)
    if any(part in ("", ".", "..") for part in row.replace("\\", "/").split("/")):
        raise ValueError(f"its id {row!r} is not allowed: as a path it would lead outside the store")
    said = fields.get("language")
    language = ALIASES.get(str(said), str(said))
    if language not in languages:
        raise ValueError(f"unknown language {said!r}: {', '.join(sorted(languages))}; languages selects others")
    if not isinstance(text, str) or not text.strip():
        raise ValueError("it has no text")
    text.encode()  # refuses half characters, which JSON can hold
    clip = Clip(
        id=f"{row}/{language}",
        words=words_of(text),
        split=split_of(fields.get("split")),
        labels=_labels(fields, labels),
    )
    flags = fields.get("flags") or []
    flags = flags if isinstance(flags, list) else [flags]
    return Row(clip, row, language, str(fields.get("method") or "unknown"), tuple(map(str, flags)))


def _labels(fields: Mapping[str, Any], columns: Collection[str]) -> dict[str, float]:
    """Name to number, from a struct or from columns; the Big Five, 0 or 1, come first."""
    own = fields.get("labels")
    if own is not None and not isinstance(own, Mapping):
        raise ValueError(f"its labels are {own!r}, not an object such as {{'openness': 1}}")
    if own is None:
        own = {name: value for name, value in fields.items() if name in columns or name.lower() in LABELS}
    found = {}
    for name, value in own.items():
        if value is None:
            continue
        trait = LABELS.get(str(name).lower())
        try:
            found[trait or str(name)] = yes_or_no(value) if trait else _number(value)
        except ValueError as error:
            raise ValueError(f"its label {name}: {error}") from error
    return {name: found[name] for name in (*TRAITS, *found) if name in found}


def _number(value: Any) -> float:
    """A label's number.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(value, bool | int | float) and math.isfinite(value):
        return float(value)
    raise ValueError(f"{value!r} is not a number")


def _told(rows: Sequence[Row]) -> list[str]:
    """A line for each language: the number of texts, methods, flags, and rows without this language."""
    by_language: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_language[row.language].append(row)
    whole = len({row.row for row in rows})
    lines = []
    for language, those in sorted(by_language.items()):
        told = [_counted(row.method for row in those), _counted(flag for row in those for flag in row.flags)]
        lacking = f", {whole - len(those)} of {whole} rows are missing" if len(those) < whole else ""
        lines.append(f"{language}: {len(those)} texts ({'; flags: '.join(filter(None, told))}){lacking}")
    return lines


def _counted(names: Iterator[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in Counter(names).most_common())
