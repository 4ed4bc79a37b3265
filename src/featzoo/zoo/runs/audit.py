"""Looks for what train and the other splits share: groups, media, texts and nearly equal features."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from featzoo.cache.clip_table import Record
from featzoo.cache.duplicates import across_splits
from featzoo.media.clip import Clip
from featzoo.sequence import Array
from featzoo.wording import count, some
from featzoo.zoo.data.split import Split
from featzoo.zoo.metrics.classification import class_metrics, one_hot
from featzoo.zoo.recipe import Recipe

# Two clips are nearly equal if the cosine of their standardised mean features is at least this.
NEARLY = 0.995
# Shorter texts and sequences of text features are alike by chance ("yes, I know").
WORDS = 5
# Columns of groups whose names must not be in two splits.
APART = ("speaker", "session", "group")
# Larger features are not compared: multiplications of all pairs (about a minute), and values of a split's means.
MOST, MOST_VALUES = 2e11, 5e7


class Finding(NamedTuple):
    """Something that two splits share.

    Attributes:
        kind: `group`, `media`, `text` or `features`.
        text: What it is, with names.
    """

    kind: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        findings: What train shares with dev or test.
        notes: What else bears on the result: what the speaker alone predicts, and what was not compared.
    """

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """One line for each finding and note."""
        if self.findings:
            return [*map(str, self.findings), *self.notes]
        return [
            "train shares no speaker, session, medium, text or nearly equal features with dev and test",
            *self.notes,
        ]


def audit_splits(recipe: Recipe, splits: Mapping[str, Split], records: Mapping[str, Record]) -> Audit:
    """Look for what train shares with dev and test.

    Args:
        recipe: The recipe that they are for.
        splits: train and others.
        records: The store's clips.
    """
    train = splits["train"]
    others = [split for name, split in splits.items() if name != "train"]
    findings = [*_groups(train, others), *_media(splits, records)]
    if "text" in recipe.inputs:
        findings += _texts(splits, {name: record.clip for name, record in records.items()})
    notes = []
    for other in others:
        for role in recipe.inputs:
            found, note = _features(role, train, other)
            findings += found
            notes += note
    return Audit(tuple(findings), (*notes, *identity(recipe, splits)))


def _groups(train: Split, others: Sequence[Split]) -> Iterator[Finding]:
    for other in others:
        for column in APART:
            names = set(other.groups.get(column, ()))
            both = sorted(names & set(train.groups.get(column, ())))
            if both:
                which = f"{len(both)} of the {count(len(names), column)} of {other.name}"
                yield Finding("group", f"{which} are also in train: {some(both)}")


def _media(splits: Mapping[str, Split], records: Mapping[str, Record]) -> Iterator[Finding]:
    """Clips of different splits with the same media or text alone, whatever the splits in the store are."""
    split_of = {clip: name for name, split in splits.items() for clip in split.ids}
    moved = {
        name: Record(replace(record.clip, split=split_of[name]), record.media)
        for name, record in records.items()
        if name in split_of
    }
    found = across_splits(moved)
    if found:
        yield Finding("media", f"the same content in two splits, {count(len(found), 'pair')} of clips: {some(found)}")


def _texts(splits: Mapping[str, Split], clips: Mapping[str, Clip]) -> Iterator[Finding]:
    train = {text: name for name in splits["train"].ids if (text := _text(clips[name]))}
    for other in splits:
        pairs = [(name, train[text]) for name in splits[other].ids if (text := _text(clips[name])) in train]
        if other != "train" and pairs:
            examples = some(f"'{one}' has that of '{whose}'" for one, whose in pairs)
            least = f"of {WORDS} words or more"
            yield Finding(
                "text", f"{count(len(pairs), 'clip')} of {other} with a text {least} that is in train: {examples}"
            )


def _text(clip: Clip) -> str:
    """The words in lower case without punctuation; empty if there are few."""
    words = [re.sub(r"\W+", "", word.text.lower()) for word in clip.words or ()]
    kept = [word for word in words if word]
    return " ".join(kept) if len(kept) >= WORDS else ""


def _features(role: str, train: Split, other: Split) -> tuple[list[Finding], list[str]]:
    """Clips whose mean features are nearly those of a train clip."""
    if train.specs[role].ids or not train.specs[role].given:
        return [], []
    sizes = len(other), len(train)
    if max(sizes) * train.specs[role].width > MOST_VALUES or math.prod(sizes) * train.specs[role].width > MOST:
        return [], [f"{role}: {sizes[0]} and {sizes[1]} clips of {other.name} and train are too many to compare"]
    least = WORDS if role == "text" else 1
    ours, our_rows = _means(other, role, least)
    theirs, their_rows = _means(train, role, least)
    if not len(ours) or len(theirs) < 2:
        return [], []
    mean, std = theirs.mean(axis=0), theirs.std(axis=0)
    useful = std > 1e-6 * np.abs(mean)
    ours, theirs = (_unit(((one - mean) / np.where(useful, std, 1.0))[:, useful]) for one in (ours, theirs))
    pairs = []
    for start in range(0, len(ours), 256):
        cosines = ours[start : start + 256] @ theirs.T
        nearest = cosines.argmax(axis=1)
        rows = np.flatnonzero(cosines.max(axis=1) >= NEARLY)
        pairs += [(other.ids[our_rows[start + i]], train.ids[their_rows[nearest[i]]]) for i in rows]
    if not pairs:
        return [], []
    examples = some(f"'{one}' and '{whose}'" for one, whose in pairs)
    text = f"{count(len(pairs), 'clip')} of {other.name} with nearly the {role} features of a train clip: {examples}"
    return [Finding("features", text)], []


def _means(split: Split, role: str, least: int) -> tuple[Array, list[int]]:
    """Means over observed steps of the clips with at least so many steps, and their row numbers."""
    rows = [row for row, array in enumerate(split.features[role]) if array is not None and len(array) >= least]
    means = []
    for row in rows:
        array = np.asarray(split.features[role][row], dtype=np.float64)
        seen = ~np.isnan(array)
        means.append(np.where(seen, array, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1))
    return np.array(means).reshape(len(rows), split.specs[role].width), rows


def _unit(rows: Array) -> Array:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Array = rows / np.where(length > 0, length, 1.0)
    return unit


def identity(recipe: Recipe, splits: Mapping[str, Split], folds: int = 5, seed: int = 0) -> list[str]:
    """How far the speaker alone predicts the label, in random folds over the clips of all splits.

    Each clip is predicted as the most frequent class, or the mean, of its speaker's clips in the other folds.
    """
    if not all("speaker" in split.groups for split in splits.values()):
        return []
    speakers = np.concatenate([split.groups["speaker"] for split in splits.values()])
    truth = np.concatenate([split.targets for split in splits.values()])
    there = ~np.isnan(truth).any(axis=1)
    speakers, truth = speakers[there], truth[there]
    if recipe.target.kind == "classes" or len(set(speakers)) < 2:
        return []
    part = np.random.default_rng(seed).permutation(len(truth)) % folds
    pred = np.zeros(len(truth))
    for fold in range(folds):
        for speaker in set(speakers[part == fold]):
            held = (part == fold) & (speakers == speaker)
            seen = (part != fold) & (speakers == speaker)
            labels = truth[seen if seen.any() else part != fold, 0]
            pred[held] = np.bincount(labels.astype(int)).argmax() if recipe.target.kind == "class" else labels.mean()
    column = recipe.target.columns[0]
    if recipe.target.kind == "class":
        names = recipe.target.classes
        uar, chance = class_metrics(one_hot(pred, len(names)), truth, names)["uar"], 1 / len(names)
        return [f"the speaker alone predicts {column} with a UAR of {uar:.3f}; chance is {chance:.3f}"]
    error, constant = np.abs(pred - truth[:, 0]).mean(), np.abs(truth[:, 0] - truth[:, 0].mean()).mean()
    return [f"the speaker alone predicts {column} with an MAE of {error:.3f}; that of a constant is {constant:.3f}"]
