"""Parallel texts: the same rows in several languages, one clip `<row>/<language>` each."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips, InvalidOption
from featzoo.exchange.importing import Account, Arrival, bring_in
from featzoo.exchange.texts.tables import read_table, split_of, yes_or_no
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.vocabulary import TRAIT_COLUMNS, TRAITS

LANGUAGES = ("en", "fr", "ms", "ja", "zh")
# The author's data sets call Malay bm (Bahasa Melayu) and Japanese jp.
ALIASES = {"bm": "ms", "jp": "ja"}
# The flag of `zoo augment` where PIGA gave no good answer: the text is TOGA's.
FELL_BACK = "fallback-toga"
# Names that a table may use for a label.
LABELS = {name: trait for trait, names in TRAIT_COLUMNS.items() for name in names}


class Row(NamedTuple):
    """A text in one language.

    Attributes:
        clip: As it is stored.
        row: The id that it has in all languages.
        language: Two letters.
        method: How the text was made: `source`, `toga`, `piga` ...
        flags: What its maker noted.
    """

    clip: Clip
    row: str
    language: str
    method: str
    flags: tuple[str, ...]


def import_parallel(
    path: Path, store: Path, split: str | None = None, languages: Sequence[str] = (), dry_run: bool = False
) -> Account:
    """Put parallel texts into a store: clips `<row>/<language>` without media, with words, labels and split.

    A row is an object with id, language, text, and where they are known split, labels (trait to 0 or 1), method and
    flags: a line of JSON, or a row of Parquet, where labels may be a struct or one column each. Refused are rows
    that cannot be read, are there twice, or differ from the others of their row in split or labels; so are texts that
    are not those of the same clip in the store.

    Args:
        path: The file.
        store: Made if it is not there; what is in it stays.
        split: Only rows of this split.
        languages: Only rows in these. By default all, and a language that is none of ADAM's five is refused.
        dry_run: Whether only to say what would come in.

    Raises:
        InvalidClips: If the file cannot be read, or nothing in it.
        InvalidOption: If a language is no code of two letters.
    """
    wanted = [ALIASES.get(name, name) for name in languages]
    for name in wanted:
        if len(name) != 2 or not name.isascii() or not name.islower():
            raise InvalidOption(f"'{name}' is no language: codes have two letters, such as fr")
    known = FeatureStore(store).clips() if (store / "STORE.json").is_file() else {}
    rows, refused = read_parallel(path, wanted, known)
    kept = [row for row in rows if (not wanted or row.language in wanted) and (not split or row.clip.split == split)]
    notes = _told(kept)
    if others := len(rows) - len(kept):
        notes.append(f"left out as asked: {others} texts of other languages or splits")
    return bring_in(Arrival([], [row.clip for row in kept], refused, notes), store, dry_run)


def read_parallel(
    path: Path, languages: Iterable[str] = (), known: Mapping[str, Clip] | None = None
) -> tuple[list[Row], dict[str, str]]:
    """The rows of a file of parallel texts that fit together, and why the others do not.

    Args:
        path: As for `import_parallel`.
        languages: That may occur beside ADAM's five.
        known: Clips by id that the rows must fit to.

    Raises:
        InvalidClips: If the file cannot be read.
    """
    file = _File({*LANGUAGES, *languages}, known or {})
    for place, fields in rows_of(path):
        file.take(place, fields)
    return file.rows, file.refused


def rows_of(path: Path) -> Iterator[tuple[str, Mapping[Any, Any] | str]]:
    """Where each row of a .parquet, or else JSON Lines, file is, and its fields; or text, why it could not be read.

    Raises:
        InvalidClips: If the file cannot be read.
    """
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
    """A line's object, or why it is none."""
    try:
        found = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except (ValueError, RecursionError) as error:
        return f"it is not JSON: {error}"
    return found if isinstance(found, dict) else "it is not a JSON object"


class _File:
    """The rows of a file, sorted into those that fit together and those that are refused.

    Args:
        languages: That may occur.
        known: What the store holds.
    """

    def __init__(self, languages: Collection[str], known: Mapping[str, Clip]) -> None:
        self.languages, self.known = languages, known
        self.rows: list[Row] = []
        self.refused: dict[str, str] = {}
        self._seen: dict[str, Row] = {}
        self._first: dict[str, Clip] = {}
        for clip in known.values():
            row, _, language = clip.id.rpartition("/")
            if language in languages:
                self._first.setdefault(row, clip)

    def take(self, place: str, fields: Mapping[Any, Any] | str) -> None:
        """Keep or refuse one row; text is why it could not be read."""
        try:
            if isinstance(fields, str):
                raise ValueError(fields)
            row = _row(fields, self.languages)
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
            raise ValueError(f"{clip.id} is there twice: by {self._seen[clip.id].method}, then by {row.method}")
        stored = self.known.get(clip.id)
        if stored is not None and stored.words and stored.text != clip.text:
            raise ValueError(f"{clip.id} is in the store with another text: another method's go into another store")
        first = self._first.get(row.row, clip)
        if any(first.labels.get(trait, value) != value for trait, value in clip.labels.items()):
            raise ValueError(f"the labels of {clip.id} are not those of {first.id}")
        if first.split and clip.split and first.split != clip.split:
            raise ValueError(f"{clip.id} is {clip.split}, but {first.id} is {first.split}")


def _row(fields: Mapping[str, Any], languages: Collection[str]) -> Row:
    row, text = fields.get("id"), fields.get("text")
    if isinstance(row, bool) or not isinstance(row, str | int) or not str(row).strip():
        raise ValueError("it has no id" if row is None else f"its id is {row!r}, not text")
    row = str(row)
    if any(part in ("", ".", "..") for part in row.replace("\\", "/").split("/")):
        raise ValueError(f"its id {row!r} is no name: as a path it would lead elsewhere")
    said = fields.get("language")
    language = ALIASES.get(str(said), str(said))
    if language not in languages:
        raise ValueError(f"unknown language {said!r}: {', '.join(sorted(languages))}; languages selects others")
    if not isinstance(text, str) or not text.strip():
        raise ValueError("it has no text")
    text.encode()  # refuses half characters, which JSON can hold
    clip = Clip(
        id=f"{row}/{language}", words=words_of(text), split=split_of(fields.get("split")), labels=_labels(fields)
    )
    flags = fields.get("flags") or []
    flags = flags if isinstance(flags, list) else [flags]
    return Row(clip, row, language, str(fields.get("method") or "unknown"), tuple(map(str, flags)))


def _labels(fields: Mapping[str, Any]) -> dict[str, float]:
    """Trait to 0 or 1, from a struct or from columns; what is not known is not in it."""
    own = fields.get("labels")
    if own is not None and not isinstance(own, Mapping):
        raise ValueError(f"its labels are {own!r}, not an object such as {{'openness': 1}}")
    if own is None:
        own = {name: value for name, value in fields.items() if name.lower() in LABELS}
    found = {}
    for name, value in own.items():
        if str(name).lower() not in LABELS:
            raise ValueError(f"unknown label {name!r}: there are {', '.join(TRAITS)}")
        if value is not None:
            try:
                found[LABELS[str(name).lower()]] = yes_or_no(value)
            except ValueError as error:
                raise ValueError(f"its label {name}: {error}") from error
    return {trait: found[trait] for trait in TRAITS if trait in found}


def _told(rows: Sequence[Row]) -> list[str]:
    """A line for each language: how many texts, by which method, with which flags, and how many rows lack it."""
    by_language: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_language[row.language].append(row)
    whole = len({row.row for row in rows})
    lines = []
    for language, those in sorted(by_language.items()):
        told = [_counted(row.method for row in those), _counted(flag for row in those for flag in row.flags)]
        lacking = f", {whole - len(those)} of {whole} rows lack it" if len(those) < whole else ""
        lines.append(f"{language}: {len(those)} texts ({'; flags: '.join(filter(None, told))}){lacking}")
    return lines


def _counted(names: Iterator[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in Counter(names).most_common())
