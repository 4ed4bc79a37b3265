"""Hazumi: Japanese dialogues with an agent, with sentiment for each exchange and the Big Five of each person."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from featzoo.errors import InvalidClips
from featzoo.exchange.corpora.hazumi_people import BY_OTHERS, Traits, personality
from featzoo.exchange.corpora.hazumi_words import Spoken, spoken_in, spoken_words
from featzoo.exchange.importing import Account, Arrival, Incoming, Rows, bring_in
from featzoo.exchange.raw_media import media_below
from featzoo.media.clip import Clip
from featzoo.sequence import Array
from featzoo.vocabulary import TRAITS
from featzoo.wording import count, some

TIMES = ("start(exchange)[ms]", "end(system)[ms]", "end(exchange)[ms]")
# Columns that are not features: times, labels and, in front of them, Kinect's own clock.
NO_FEATURE = re.compile(r"(kinect)?(start|end)\(.*|(SS|TS|TC)(_ternary|\d*)")
# The first that matches a column's name decides its set. Names: Hazumi1911's README.
SETS: Mapping[str, tuple[str, re.Pattern[str]]] = {
    "is09": ("audio", re.compile(r"pcm_.*|voiceProb_.*|F0_.*")),
    "openface": ("vision", re.compile(r"\d+_(acceleration|velocity)_.*|AU\d+.*")),
    "motion": (
        "motion",
        re.compile(r"(Hand|Head|Shoulder|Spine|Neck|Elbow|Wrist)\w*_(acceleration|velocity)_.*|duration"),
    ),
    "physiology": ("physiology", re.compile(r"(EDA|HR|BVP|TEMP)_.*")),
    "words": ("text", re.compile(r"word#\d+|noun|verb|adjective|adverbs?|interjection|len[SU].*|[a-z]{2}")),
}
GENDERS = {"F": "female", "M": "male"}
PERSON = re.compile(r"\d{4}(?P<gender>[FM])(?P<decade>\d\d)\d\d")


class Exchange(NamedTuple):
    """A row of a dump file: its clip, participant, times in seconds, labels and the values of every column."""

    clip: str
    person: str
    times: tuple[float, float, float]
    labels: dict[str, float]
    values: Array


def import_hazumi(folder: Path, store: Path, media: Path | None = None, dry_run: bool = False) -> Account:
    """Import a release of Hazumi, such as Hazumi1911: a clip for each exchange, with words, labels and five sets.

    Clip ids are `<participant>/<row of the dump file>`; `speaker` is the participant. An exchange is what the agent
    says and the participant's answer; words are the answer's, their times spread over it.

    Labels: `sentiment` is the mean of the annotators' TS1 to TS5 (from 1 to 7) and `sentiment_1` to `sentiment_5` are
    the five; `topic_continuance` is the mean of TC1 to TC5 and `self_sentiment` the participant's own SS. The Big Five,
    `openness` and so on by the participant and `openness_by_others` as the mean of the third parties, are from the ten
    items (A to J) of the questionnaires: (item + 8 - reversed item) / 2, then (score - 1) / 6, so from 0 to 1.

    Sets, one row a clip: `hazumi-is09` (openSMILE), `hazumi-openface`, `hazumi-motion` (Kinect), `hazumi-physiology`
    and `hazumi-words` (counts of words and of parts of speech, and the agent's dialogue act), as far as the release has
    the columns; and `hazumi-big-five` and `hazumi-big-five-by-others`, the participant's traits, for heads that read a
    personality vector.

    Args:
        folder: Folder with `dumpfiles`, and with `elan` and `questionnaire` for words and personality.
        store: The store; created if missing.
        media: Folder of the participants' videos, `1911F2001.mp4`, to link the clips to.
        dry_run: Only report what would be imported.

    Raises:
        InvalidClips: If there is no dump file, its columns are not Hazumi's, or a questionnaire cannot be read.
    """
    dumps = sorted((folder / "dumpfiles").glob("*.csv"))
    if not dumps:
        raise InvalidClips(f"{folder} has no dumpfiles/*.csv: give the folder of a release, such as Hazumi1911")
    refused: dict[str, str] = {}
    header = _header(dumps[0])
    exchanges = [each for path in dumps for each in _exchanges(path, header, refused)]
    people = sorted({each.person for each in exchanges})
    traits, notes = personality(folder / "questionnaire", people)
    spoken, more = spoken_in(folder / "elan", {p: [e.times for e in exchanges if e.person == p] for p in people})
    recordings = {path.stem: path for path in media_below(media)} if media else {}
    clips = [_clip(each, spoken, traits, recordings) for each in exchanges]
    sets = [*_feature_sets(exchanges, header), *_trait_sets(exchanges, traits)]
    notes = [*notes, *more, *_notes(clips, header, people, bool(media))]
    return bring_in(Arrival(sets, clips, refused, notes), store, dry_run)


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file), [])
    if missing := [name for name in (*TIMES, "TS1") if name not in header]:
        raise InvalidClips(f"{path} lacks the columns {', '.join(missing)}: it is not a dump file of Hazumi")
    return header


def _exchanges(path: Path, header: Sequence[str], refused: dict[str, str]) -> Iterator[Exchange]:
    """The rows of a participant's dump file; those that are wrong go to `refused`."""
    person = path.stem
    with path.open(encoding="utf-8-sig", newline="") as file:
        names, *rows = csv.reader(file)
    if names != list(header):
        raise InvalidClips(f"{path}: its columns are not those of the first dump file")
    for number, row in enumerate((row for row in rows if row), start=1):
        clip = f"{person}/{number:03d}"
        try:
            values = np.array([float(cell or "nan") for cell in row])
            if len(values) != len(header):
                raise ValueError(f"{len(values)} cells, but {len(header)} columns")
            found = dict(zip(header, values.tolist(), strict=True))
            start, answer, end = (found[name] / 1000 for name in TIMES)
            if not start <= answer <= end or start == end:
                raise ValueError(f"its times are {start:g}, {answer:g} and {end:g} s, not in order")
            yield Exchange(clip, person, (start, answer, end), _labels(found), values)
        except ValueError as error:
            refused[clip] = f"{path.name}: {error}"


def _labels(row: Mapping[str, float]) -> dict[str, float]:
    seen = {name: value for name, value in row.items() if value == value}
    annotators, topic = ([seen[name] for name in seen if re.fullmatch(rf"{kind}\d", name)] for kind in ("TS", "TC"))
    labels = {f"sentiment_{name[2:]}": value for name, value in seen.items() if re.fullmatch(r"TS\d", name)}
    if annotators:
        labels["sentiment"] = float(np.mean(annotators))
    if topic:
        labels["topic_continuance"] = float(np.mean(topic))
    if "SS" in seen:
        labels["self_sentiment"] = seen["SS"]
    return labels


def _clip(exchange: Exchange, spoken: Spoken, traits: Mapping[str, Traits], recordings: Mapping[str, Path]) -> Clip:
    start, answer, end = exchange.times
    said = spoken.get((exchange.person, start))
    own = traits.get(exchange.person, {})
    columns = {"speaker": exchange.person, "language": "ja"}
    if named := PERSON.fullmatch(exchange.person):
        columns |= {"gender": GENDERS[named["gender"]], "age_group": named["decade"]}
    if said and said.act:
        columns["dialogue_act"] = said.act
    return Clip(
        exchange.clip,
        recordings.get(exchange.person),
        start,
        end,
        words=spoken_words(said, answer - start, end - start),
        labels={**exchange.labels, **own},
        categories=columns,
    )


def _feature_sets(exchanges: Sequence[Exchange], header: Sequence[str]) -> Iterator[Incoming]:
    for name, (modality, _) in SETS.items():
        columns = [i for i, column in enumerate(header) if _set_of(column) == name]
        if columns:
            rows = [(each, each.values[columns]) for each in exchanges]
            provenance = {"source": "Hazumi dump files", "modality": modality}
            entries = _entries(rows, [header[i] for i in columns])
            yield Incoming(f"hazumi-{name}", entries, {"level": "exchange"}, provenance)


def _trait_sets(exchanges: Sequence[Exchange], traits: Mapping[str, Traits]) -> Iterator[Incoming]:
    for name, ending in (("hazumi-big-five", ""), ("hazumi-big-five-by-others", BY_OTHERS)):
        names = [trait + ending for trait in TRAITS]
        known = {p: np.array([own[trait] for trait in names]) for p, own in traits.items() if names[0] in own}
        if known:
            rows = [(each, known[each.person]) for each in exchanges if each.person in known]
            provenance = {"source": "Hazumi questionnaires", "modality": "personality"}
            yield Incoming(name, _entries(rows, names), {"level": "participant"}, provenance)


def _entries(rows: Iterable[tuple[Exchange, Array]], names: Sequence[str]) -> Iterator[tuple[str, Callable[[], Rows]]]:
    """A set's single row (D,) of each exchange, as long as the exchange."""
    for each, values in rows:
        times = np.array([[0.0, each.times[2] - each.times[0]]])  # (1, 2)
        yield each.clip, partial(Rows, values[None].astype(np.float32), times, names)  # (1, D)


def _set_of(column: str) -> str:
    """The set of a column; empty for times and labels, and for columns that no set has."""
    if NO_FEATURE.fullmatch(column):
        return ""
    return next((name for name, (_, pattern) in SETS.items() if pattern.fullmatch(column)), "")


def _notes(clips: Sequence[Clip], header: Sequence[str], people: Sequence[str], media: bool) -> Iterator[str]:
    yield f"{count(len(people), 'participant')}, column speaker; protocol: leave one participant out"
    labelled = sum("sentiment" in clip.labels for clip in clips)
    yield f"sentiment: the annotators' mean, from 1 to 7, of {labelled} of {count(len(clips), 'clip')}"
    yield f"{sum(not clip.words for clip in clips)} clips without words (the participant said nothing)"
    if left := [name for name in header if not NO_FEATURE.fullmatch(name) and not _set_of(name)]:
        yield f"not imported: {count(len(left), 'column')} of no known kind: {some(left)}"
    if media and (without := sorted({clip.categories["speaker"] for clip in clips if clip.path is None})):
        yield f"warning: {count(len(without), 'participant')} without a recording: {some(without)}"
    yield "licence: Osaka University, for research; the videos are given out by NII IDR under an agreement"
