"""The picture that `feat plot` draws: a clip's waveform, frames, words and features on one time axis."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from featzoo.cache.store import FeatureStore
from featzoo.commands.filmstrip import Shot, draw_shots, take_shots
from featzoo.durable import replacing
from featzoo.errors import ClipError, InvalidOption, MissingFeatures, suggestion
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence

# Lines in one panel; a set with more columns is drawn as a heat map, unless columns are named.
LINES = 4


def draw_timeline(
    store_path: Path,
    clip_id: str,
    requests: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    picture: Path | None = None,
) -> Path:
    """Draw a clip's timeline and return the path of the PNG.

    Args:
        store_path: The feature store.
        clip_id: A clip in it.
        requests: Feature sets; by default all that hold the clip.
        columns: Columns to draw as lines, each from the sets that have it.
        picture: The PNG to write; by default the clip's id with `.png` in the working folder.

    Raises:
        FeatzooError: If there is no such clip, set or column.
    """
    store = FeatureStore(store_path)
    clips = store.clips()
    if clip_id not in clips:
        raise MissingFeatures(f"{store_path} knows no clip '{clip_id}'{suggestion(clip_id, list(clips)[:1000])}")
    sequences = _sequences(store, clip_id, requests)
    if columns is not None:
        _check(columns, sequences)
        sequences = {key: s for key, s in sequences.items() if set(columns) & set(s.names)}
    place = picture or Path(re.sub(r"[^\w.-]+", "_", clip_id) + ".png")
    shots = take_shots(clips[clip_id], _sequences(store, clip_id, ()).values())
    _draw(clips[clip_id], shots, sequences, columns, place)
    return place


def _sequences(store: FeatureStore, clip_id: str, requests: Sequence[str]) -> dict[str, FeatureSequence]:
    """The clip's features by set, without raw pictures and token ids, which are not curves."""
    sets = [store[request] for request in requests] if requests else [s for s in store.sets() if clip_id in s]
    found = {each.key: each[clip_id] for each in sets}
    return {key: s for key, s in found.items() if s.features.ndim == 2 and s.features.dtype.kind == "f"}


def _check(columns: Sequence[str], sequences: dict[str, FeatureSequence]) -> None:
    known = {name for sequence in sequences.values() for name in sequence.names}
    for name in columns:
        if name not in known:
            raise InvalidOption(f"no column '{name}' in {', '.join(sequences) or 'any set'}{suggestion(name, known)}")


def _draw(
    clip: Clip,
    shots: Sequence[Shot],
    sequences: dict[str, FeatureSequence],
    columns: Sequence[str] | None,
    place: Path,
) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    sound = _sound(clip)
    seconds = _duration(clip, sound, shots, sequences)
    groups = [(key, each) for key, sequence in sequences.items() for each in _panels(sequence, columns)]
    heights = [
        1.0 if sound else 0.0,
        1.1 if shots else 0.0,
        0.5 if clip.words else 0.0,
        *[1.3 if len(groups) == len(sequences) else 0.8] * len(groups),
    ]
    kept = [height for height in heights if height]
    figure, axes = plt.subplots(
        len(kept), 1, figsize=(11, 1.1 * sum(kept) + 0.9), height_ratios=kept, sharex=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    panels = iter(axes[:, 0])
    if sound:
        _waveform(next(panels), sound)
    if shots:
        draw_shots(next(panels), shots, seconds)
    if clip.words:
        _words(next(panels), clip, seconds)
    for key, group in groups:
        _features(next(panels), key, sequences[key], group, seconds)
    axes[-1, 0].set_xlabel("seconds from the clip's start")
    axes[-1, 0].set_xlim(0, seconds)
    figure.suptitle(clip.id, fontsize=11)
    with replacing(place) as temporary:
        figure.savefig(temporary, format=place.suffix[1:] or "png", dpi=110)
    plt.close(figure)


def _sound(clip: Clip) -> tuple[Array, int] | None:
    try:
        sound = clip.audio()
    except ClipError:
        return None  # the features may outlive their media
    return sound.samples[0], sound.rate


def _duration(
    clip: Clip, sound: tuple[Array, int] | None, shots: Sequence[Shot], sequences: dict[str, FeatureSequence]
) -> float:
    ends = [s.intervals[-1, 1] for s in sequences.values() if len(s) and s.timed]
    ends += [len(sound[0]) / sound[1]] if sound else []
    ends += [shots[-1].end] if shots else []
    ends += [word.end for word in clip.words if word.end == word.end]
    ends += [clip.end - clip.start] if clip.end is not None else []
    return float(max(ends, default=1.0))


def _waveform(axis: Any, sound: tuple[Array, int]) -> None:
    samples, rate = sound
    # Draw the envelope of equal blocks, since a line through every sample would hide the quiet parts.
    block = max(1, len(samples) // 2000)
    cut = samples[: len(samples) // block * block].reshape(-1, block)  # (N, block)
    time = np.arange(len(cut)) * block / rate
    axis.fill_between(time, cut.min(axis=1), cut.max(axis=1), color="#33658a", linewidth=0.4)
    axis.set_ylabel("sound", fontsize=8)
    axis.set_yticks([])


def _words(axis: Any, clip: Clip, seconds: float) -> None:
    timed = all(word.start == word.start for word in clip.words)
    step = seconds / len(clip.words)
    for number, word in enumerate(clip.words):
        start, end = (word.start, word.end) if timed else (number * step, (number + 1) * step)
        axis.axvspan(start, end, color="#f6ae2d" if timed else "#dddddd", alpha=0.45, ec="white")
        axis.text((start + end) / 2, 0.5, word.text, ha="center", va="center", fontsize=7, clip_on=True)
    axis.set_yticks([])
    axis.set_ylabel("words" if timed else "words\n(no times)", fontsize=8)


def _panels(sequence: FeatureSequence, columns: Sequence[str] | None) -> list[Sequence[str] | None]:
    """The columns to draw, in one panel, or in one each if a column would be a flat line beside another."""
    named = [name for name in columns or () if name in sequence.names]
    if len(named) < 2 or columns is None:
        return [columns]
    values = np.abs(np.asarray(sequence.features, dtype=np.float64)[:, [sequence.names.index(n) for n in named]])
    sizes = np.max(values, axis=0, initial=0.0, where=np.isfinite(values))
    flat = 20 * sizes[sizes > 0].min(initial=np.inf) < sizes.max()
    return [[name] for name in named] if flat else [columns]


def _features(axis: Any, key: str, sequence: FeatureSequence, columns: Sequence[str] | None, seconds: float) -> None:
    known = ~np.isnan(sequence.intervals).any(axis=1)  # special tokens have no time
    times = sequence.intervals[known] if known.any() else _spread(len(sequence), seconds)
    centre = times.mean(axis=1)
    names = [name for name in columns or sequence.names if name in sequence.names]
    values = np.asarray(sequence.features, dtype=np.float64)[:, [sequence.names.index(n) for n in names]]
    values = values[known] if known.any() else values
    label = key if known.any() else f"{key}\n(no times)"
    axis.set_ylabel(label, fontsize=7)
    axis.tick_params(labelsize=7)
    if columns is None and len(names) > LINES:
        # Tokens of one word share its interval: spread them over it, so that each is visible.
        edges = np.append(_apart(times), times[-1, 1])
        if len(values) > 1 and (np.diff(edges) > 0).all():
            spread = np.nanstd(values, axis=0)
            scaled = (values - np.nanmean(values, axis=0)) / np.where(spread > 0, spread, 1)
            rows = np.arange(len(names) + 1)
            axis.pcolormesh(edges, rows, scaled.T, cmap="RdBu_r", vmin=-2.5, vmax=2.5, rasterized=True)
            axis.set_yticks([len(names) / 2], [f"{len(names)} columns"])
            return
        names, values = names[:LINES], values[:, :LINES]
    for number, name in enumerate(names):
        axis.plot(centre, values[:, number], label=name, linewidth=1, marker="." if len(centre) < 60 else None)
    axis.legend(fontsize=6, loc="upper right", ncols=2)


def _apart(times: Array) -> Array:
    """Start times; rows with the same interval are spaced evenly over it."""
    starts = times[:, 0].copy()
    for start, end in np.unique(times, axis=0):
        same = np.flatnonzero((times[:, 0] == start) & (times[:, 1] == end))
        starts[same] = start + np.arange(len(same)) * (end - start) / len(same)
    return starts


def _spread(count: int, seconds: float) -> Array:
    edges = np.linspace(0, seconds, count + 1)
    return np.stack([edges[:-1], edges[1:]], axis=1)
