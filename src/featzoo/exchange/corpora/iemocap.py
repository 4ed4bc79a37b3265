"""IEMOCAP from local files: its own tree, or MERTools' lists of labels and transcripts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from featzoo.errors import InvalidClips
from featzoo.exchange.corpora.mertools import only, read_table
from featzoo.exchange.importing import Account, Arrival, bring_in
from featzoo.exchange.pickles.unpickle import load_npz
from featzoo.exchange.raw_media import media_below
from featzoo.media.clip import Clip
from featzoo.media.transcripts import Word, words_of
from featzoo.wording import count, some

# The codes of EmoEvaluation, and how many utterances of the complete corpus have each.
EMOTIONS = {
    "ang": ("anger", 1103), "hap": ("happiness", 595), "exc": ("excitement", 1041), "sad": ("sadness", 1084),
    "neu": ("neutral", 1708), "fru": ("frustration", 1849), "fea": ("fear", 40), "sur": ("surprise", 107),
    "dis": ("disgust", 2), "oth": ("other", 3), "xxx": ("", 2507),
}  # fmt: skip
# The published classes; the four count excitement as happiness.
FOUR = {name: name for name in ("anger", "happiness", "neutral", "sadness")} | {"excitement": "happiness"}
SIX = ("happiness", "sadness", "neutral", "anger", "excitement", "frustration")
# MERTools' numbers of classes, in its order.
FILES = {"label_4way.npz": ("emotion4", SIX[:4]), "label_6way.npz": ("emotion6", SIX)}
ATTRIBUTES = ("valence", "activation", "dominance")

# Ses01F_impro01_F000: session 1; the first letter wore the markers, the second spoke.
NAME = re.compile(r"(?P<group>Ses0(?P<session>[1-5])[FM]_\w+)_(?P<gender>[FM])[A-Z]*\d+")
TURN = re.compile(r"\[([\d.]+) - ([\d.]+)\][ \t]+(\w+)[ \t]+(\w{3})[ \t]+\[([\d.]+), *([\d.]+), *([\d.]+)\]")
LINE = re.compile(r"(\w+)[ \t]+\[([\d.]+)-([\d.]+)\]:[ \t]*(.*)")


class Turn(NamedTuple):
    """A line of EmoEvaluation: times in the dialogue (s), and attributes from 1 to 5."""

    start: float
    end: float
    emotion: str
    attributes: tuple[float, float, float]


def import_iemocap(
    folder: Path, store: Path, media: Path | None = None, language: str = "english", dry_run: bool = False
) -> Account:
    """Import IEMOCAP: utterances with emotion, speaker, session, dialogue (`group`) and words.

    From the corpus's own tree, `emotion` is the majority vote (none without a majority), `emotion4` has happiness and
    excitement merged, `emotion6` the six most frequent classes, and `valence`, `activation` and `dominance` are from 1
    to 5. From MERTools' label_4way.npz and label_6way.npz there are only `emotion4` and `emotion6`.

    Args:
        folder: Folder with Session1 to Session5 (EmoEvaluation, transcriptions, sentences/wav), or MERTools' files.
        store: The store; created if missing.
        media: Folder of the utterances' sound; the corpus's own if None.
        language: Of MERTools' transcripts, `english` or `chinese`. The corpus is English.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If the folder holds neither, or a file has another content.
        RefusedPickle: If a .npz holds more than arrays and plain containers.
    """
    lists = [folder / name for name in FILES if (folder / name).is_file()]
    refused: dict[str, str] = {}
    sound = {path.stem: path for path in media_below(media or folder)}
    if lists:
        clips, notes = _from_lists(folder, lists, language, refused)
    else:
        clips, notes = _from_tree(folder, refused)
    clips = [replace(clip, path=sound.get(clip.id)) for clip in clips]
    return bring_in(Arrival([], clips, refused, [*notes, *_account(clips)]), store, dry_run)


def _visible(path: Path, root: Path) -> bool:
    return not any(part.startswith(".") for part in path.relative_to(root).parts)


def _from_tree(folder: Path, refused: dict[str, str]) -> tuple[list[Clip], list[str]]:
    """The utterances of EmoEvaluation with their words, and notes."""
    evaluations = [path for path in sorted(folder.rglob("EmoEvaluation/Ses*.txt")) if _visible(path, folder)]
    if not evaluations:
        raise InvalidClips(
            f"{folder} holds neither Session1/dialog/EmoEvaluation/Ses*.txt nor {' or '.join(FILES)}: IEMOCAP is "
            "imported from local files"
        )
    lines: dict[str, tuple[float, float, str]] = {}
    for path in sorted(folder.rglob("transcriptions/Ses*.txt")):
        for name, start, end, text in LINE.findall(_text(path) if _visible(path, folder) else ""):
            lines[name] = (float(start), float(end), text)
    clips, counts = [], Counter[str]()
    for path in evaluations:
        for start, end, name, code, *attributes in TURN.findall(_text(path)):
            columns = _columns(name)
            if code not in EMOTIONS or not columns:
                refused[name] = f"{path.name}: the name or the emotion '{code}' is not one of IEMOCAP"
                continue
            counts[code] += 1
            emotion = EMOTIONS[code][0]
            named = {
                "emotion": emotion,
                "emotion4": FOUR.get(emotion, ""),
                "emotion6": emotion if emotion in SIX else "",
            }
            labels = dict(zip(ATTRIBUTES, map(float, attributes), strict=True))
            words = _words(lines.get(name), float(end) - float(start))
            columns |= {column: value for column, value in named.items() if value}
            clips.append(Clip(name, words=words, labels=labels, categories=columns))
    wordless = sum(not clip.words for clip in clips)
    return clips, [_missing(counts), *([f"warning: {count(wordless, 'clip')} without words"] if wordless else [])]


def _words(line: tuple[float, float, str] | None, seconds: float) -> tuple[Word, ...]:
    """The words of an utterance, whose time is shared out over them."""
    return words_of(line[2], 0.0, seconds) if line else ()


def _missing(counts: Mapping[str, int]) -> str:
    """How many utterances of each emotion the complete corpus has beyond these."""
    missing = {name or "no majority": total - counts[code] for code, (name, total) in EMOTIONS.items()}
    which = ", ".join(f"{name} {number}" for name, number in missing.items() if number > 0)
    total = sum(number for _, number in EMOTIONS.values())
    if not which:
        return f"complete: all {total} utterances of IEMOCAP"
    return f"warning: {total - sum(counts.values())} of the {total} utterances of IEMOCAP are missing: {which}"


def _from_lists(
    folder: Path, lists: Sequence[Path], language: str, refused: dict[str, str]
) -> tuple[list[Clip], list[str]]:
    """The utterances of MERTools' lists with their words, and notes."""
    table = only(folder, "transcription*.csv")
    texts = {row["name"]: row[language] for row in read_table(table, "name", language)} if table else {}
    labelled: dict[str, dict[str, str]] = {}
    for path in lists:
        column, classes = FILES[path.name]
        for name, number in _numbers(path).items():
            if number not in range(len(classes)) or not _columns(name):
                refused[f"{path.name}: {name}"] = f"its class is {number}, or its name is not one of IEMOCAP"
                continue
            labelled.setdefault(name, _columns(name))[column] = classes[number]
    if language != "english":
        labelled = {name: columns | {"language": "zh"} for name, columns in labelled.items()}
    clips = [Clip(name, words=words_of(texts.get(name, "")), categories=columns) for name, columns in labelled.items()]
    notes = [f"labels: {', '.join(path.name for path in lists)}; words: {table.name if table else 'none'} ({language})"]
    if wordless := sum(not clip.words for clip in clips):
        notes.append(f"warning: {count(wordless, 'clip')} without words")
    return clips, notes


def _numbers(path: Path) -> dict[str, int]:
    """Utterance to class, from `{"whole_corpus": {name: {"emo": class, ...}}}`."""
    rows: Any = load_npz(path).get("whole_corpus")
    try:
        return {str(name): int(value["emo"]) for name, value in rows.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidClips(
            f"{path} is not a label file of MERTools: expected whole_corpus with 'emo' of each name"
        ) from error


def _columns(name: str) -> dict[str, str]:
    """The columns that an utterance's name gives; empty for any other name."""
    found = NAME.fullmatch(name)
    if found is None:
        return {}
    return {
        "speaker": f"0{found['session']}{found['gender']}",
        "session": found["session"],
        "group": found["group"],
        "gender": "female" if found["gender"] == "F" else "male",
        "language": "en",
    }


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InvalidClips(f"cannot read {path}: {error.strerror or error}") from error


def _account(clips: Sequence[Clip]) -> Iterator[str]:
    for column in ("emotion", "emotion4", "emotion6"):
        counts = Counter(name for clip in clips if (name := clip.categories.get(column)))
        if counts:
            each = ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))
            yield f"{column}: {counts.total()} clips; {each}"
    yield "emotion4: happiness holds excitement"
    without = [clip.id for clip in clips if clip.path is None]
    yield f"media: {len(clips) - len(without)} of {count(len(clips), 'clip')} are linked to files"
    if without and len(without) < len(clips):
        yield f"warning: {count(len(without), 'clip')} without a file: {some(without)}"
    yield "licence: an agreement with the University of Southern California, for research"
    yield "protocol: leave one session out (5 sessions of two speakers), column session"
