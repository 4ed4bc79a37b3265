"""Corpora whose labels are in the names of their files: the import that their tables share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips
from featzoo.exchange.importing import Account, Arrival, bring_in
from featzoo.exchange.raw_media import media_below
from featzoo.media.clip import Clip
from featzoo.media.discovery import VIDEOS
from featzoo.stand_ins import stand_in
from featzoo.wording import count, some

LOSSLESS = {".flac", ".wav"}
# The files of each clip, with the codes in their names. A clip is known by its columns.
Takes = dict[tuple[tuple[str, str], ...], dict[Path, dict[str, str]]]


@dataclass(frozen=True)
class Corpus:
    """A corpus whose file names hold the labels.

    Attributes:
        title: Its name in messages.
        pattern: Regular expression of a file's path without its suffix; its beginning may be any folders. Each named
            group is a column, except those that begin with `_`.
        codes: Column to code to name; a column without a table keeps its code.
        clips: Number of clips of each emotion in the complete corpus.
        licence: Terms of use.
        protocol: How results on it are reported.
        fixed: Columns that have the same value for all clips.
        derived: Column to the column that decides it, and the table from the name there to the name here.
        identity: Format of a clip's id, from the codes; the file's name without its suffix if empty.
        aside: Kinds of files that belong to the corpus and are not imported, with the pattern of their names.
    """

    title: str
    pattern: str
    codes: Mapping[str, Mapping[str, str]]
    clips: Mapping[str, int]
    licence: str
    protocol: str
    fixed: Mapping[str, str] = field(default_factory=dict)
    derived: Mapping[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    identity: str = ""
    aside: Mapping[str, str] = field(default_factory=dict)

    def columns(self, codes: Mapping[str, str]) -> dict[str, str]:
        """The names of a file's codes, with the derived and fixed columns, without those that are empty."""
        named = {key: self.codes.get(key, {}).get(code, code) for key, code in codes.items() if key[0] != "_"}
        derived = {column: table.get(named[source], "") for column, (source, table) in self.derived.items()}
        return {column: name for column, name in {**named, **derived, **self.fixed}.items() if name}


def import_named(corpus: Corpus, folder: Path, store: Path, dry_run: bool = False) -> Account:
    """Import a corpus by the names of its files, which may be in any folders below `folder`.

    Args:
        corpus: The corpus.
        folder: Folder with its media files.
        store: The store; created if missing.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If no file has a name of this corpus.
    """
    clips, notes = find_named(corpus, folder, store)
    return bring_in(Arrival([], clips, {}, [*notes, *terms(corpus)]), store, dry_run)


def find_named(corpus: Corpus, folder: Path, store: Path) -> tuple[list[Clip], list[str]]:
    """The clips of a corpus in a folder, and notes on files that are missing or belong to no clip.

    Several files of one clip, such as a video and its sound, give one clip: videos are preferred, then lossless sound.
    A file that is a clip of the store already keeps that clip's id.

    Raises:
        InvalidClips: If no file has a name of this corpus.
    """
    root = folder.resolve()
    takes, others = _takes(corpus, root)
    if not takes:
        example = f", such as {some(others, 1)}" if others else ""
        raise InvalidClips(
            f"{folder} holds no file of {corpus.title}: {count(len(others), 'media file')} with other names{example}"
        )
    stored = FeatureStore(store).clips().values() if (store / "STORE.json").is_file() else ()
    ids = {clip.path: clip.id for clip in stored if clip.path and not clip.start and clip.end is None}
    clips = []
    for files in takes.values():
        path = min(files, key=_preference) if len(files) > 1 else next(iter(files))
        name = corpus.identity.format(**files[path]) or path.stem
        columns = corpus.columns(files[path])
        clips.append(Clip(ids.get(path, name), path, split=columns.pop("split", None), categories=columns))
    return clips, [*_completeness(corpus, clips), *_files(corpus, takes, clips, others)]


def terms(corpus: Corpus) -> list[str]:
    """The licence and protocol of a corpus, as lines for the user."""
    return [f"licence: {corpus.licence}", f"protocol: {corpus.protocol}"]


def _takes(corpus: Corpus, root: Path) -> tuple[Takes, list[str]]:
    """The files of each clip with their codes, and the paths of media files with other names."""
    expression = re.compile(rf"(?:.*/)?{corpus.pattern}")
    takes: Takes = {}
    others = []
    for path in media_below(root):
        inside = path.relative_to(root)
        found = expression.fullmatch(inside.with_suffix("").as_posix())
        if found is None:
            others.append(inside.as_posix())
        else:
            codes = found.groupdict(default="")
            key = tuple(sorted((column, name) for column, name in corpus.columns(codes).items() if column != "split"))
            takes.setdefault(key, {})[path] = codes
    return takes, others


def _preference(path: Path) -> tuple[bool, bool, bool, Path]:
    suffix = path.suffix.lower()
    return bool(stand_in(path)), suffix not in VIDEOS, suffix not in LOSSLESS, path


def _completeness(corpus: Corpus, clips: Sequence[Clip]) -> Iterator[str]:
    """The clips of each emotion, and how many are missing or too many."""
    found = Counter(clip.categories["emotion"] for clip in clips)
    total = sum(corpus.clips.values())
    yield "emotion: " + ", ".join(f"{name} {found[name]}" for name in corpus.clips if found[name])
    speakers = sorted({clip.categories["speaker"] for clip in clips})
    yield f"{count(len(speakers), 'speaker')}: {some(speakers)}"
    missing = {name: number - found[name] for name, number in corpus.clips.items() if found[name] < number}
    extra = {name: found[name] - number for name, number in corpus.clips.items() if found[name] > number}
    if missing:
        which = ", ".join(f"{name} {number}" for name, number in missing.items())
        yield f"warning: {sum(missing.values())} of the {total} clips of {corpus.title} are missing: {which}"
    if extra:
        which = ", ".join(f"{name} {number}" for name, number in extra.items())
        yield f"warning: {count(sum(extra.values()), 'clip')} more than {corpus.title} has: {which}"
    if not missing and not extra:
        yield f"complete: all {total} clips of {corpus.title}"


def _files(corpus: Corpus, takes: Takes, clips: Sequence[Clip], others: Sequence[str]) -> Iterator[str]:
    """The kinds of linked files, and the files that were left out."""
    kinds = Counter(clip.file.suffix.lower() for clip in clips)
    yield "media: " + ", ".join(f"{number} {suffix}" for suffix, number in sorted(kinds.items()))
    linked = {clip.path for clip in clips}
    again = [path.name for files in takes.values() for path in files if path not in linked]
    if again:
        yield f"{count(len(again), 'other file')} of the same clips: {some(again)}"
    for kind, pattern in corpus.aside.items():
        names = [name for name in others if re.fullmatch(rf"(?:.*/)?{pattern}", name.rpartition(".")[0])]
        others = [name for name in others if name not in set(names)]
        if names:
            yield f"not imported, {kind}: {some(names)}"
    if others:
        yield f"warning: {count(len(others), 'file')} with other names, not imported: {some(others)}"
    if why := stand_in(clips[0].file):
        yield f"warning: {clips[0].file.name} is {why}"
