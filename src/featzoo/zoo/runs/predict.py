"""Predictions for new media, from exactly the features that heads were trained on.

torch is imported by what needs it, so that a wrong run or source is refused at once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from featzoo.cache.store import FeatureStore
from featzoo.errors import FeatzooError, InvalidOption
from featzoo.extraction.driver import Outcome, extract_all
from featzoo.extractors.contract import Extractor
from featzoo.media.clip import Clip
from featzoo.media.discovery import find_clips
from featzoo.media.windows import check_windows, windows_of
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.listing import finished_in
from featzoo.zoo.runs.predicted import Predicted, Prediction, combined
from featzoo.zoo.target import Target

if TYPE_CHECKING:
    from featzoo.zoo.runs.apply import Sets


def predict(
    run: str | Path | Sequence[str | Path],
    sources: str | Path | Sequence[str | Path],
    *,
    window: float | None = None,
    hop: float | None = None,
    store: str | Path | None = None,
    without: Sequence[str] = (),
    jobs: int = -1,
    device: str = "auto",
    encoding: str | None = None,
    trust: bool = False,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Predicted:
    """Extract what a head was trained on from new clips, and predict.

    Args:
        run: A finished run's folder, a folder of runs such as seeds, the name of a pretrained head, or several of them.
            The mean of several runs is predicted.
        sources: A media file, folder or manifest, or several; transcripts lie beside the media.
        window: Also predict each window of this many seconds along the clips.
        hop: Seconds between the starts of windows; by default the window.
        store: Where to keep the features; by default they are thrown away.
        without: Roles to mask, for features that cannot be extracted here.
        jobs: Worker processes; -1 is one for each core.
        device: auto, cpu, cuda, cuda:N or mps.
        encoding: Of transcripts and tables that are not UTF-8 and have no byte order mark; detected if None.
        trust: Whether the runs may import classes that you have not trained with on this machine.
        on_outcome: Called for each clip of each feature set.

    Raises:
        UntrustedRun: If a run names such classes, and `trust` is not given.
        InvalidOption: If the windows are too short, or are to be kept, or `run` is none, such as a head.
        FeatzooError: If a run is unfinished, runs differ in targets, features cannot be made, or there is no clip.
    """
    folders = open_runs(run, trust)
    clips, pieces = _cut(sources, encoding, window, _checked(window, hop, store))
    extractors = [folder.extractors(without) for folder in folders]
    with _opened(store) as kept:
        every = [*clips.values(), *chain.from_iterable(pieces.values())]
        extract_all(kept, _distinct(extractors), every, jobs=jobs, device=device, on_outcome=on_outcome)
        made = _Made(folders, extractors, kept, [clip.id for clip in every], device)
        predictions = tuple(_whole(made, clips[i], pieces[i]) for i in sorted(clips))
    return Predicted(tuple(folder.path for folder in folders), made.target, _used(extractors), predictions, clips)


def open_runs(run: str | Path | Sequence[str | Path], trust: bool = False) -> list[RunFolder]:
    """The finished runs that are named; see `predict`.

    Raises:
        FeatzooError: If there is none, one is not finished, or they predict different targets.
        InvalidOption: If `run` is none, such as a head.
    """
    if not isinstance(run, str | Path | Sequence):
        raise InvalidOption(
            f"predict needs a run's folder or name, which says what features its head reads; got {type(run).__name__}"
        )
    names = [run] if isinstance(run, str | Path) else run
    paths = list(dict.fromkeys(path for name in names for path in finished_in(name)))
    if not paths:
        raise FeatzooError("no run to predict with")
    folders = [RunFolder.open_finished(path, trust) for path in paths]
    first = folders[0].recipe.target
    for folder in folders[1:]:
        other = folder.recipe.target
        if (other.outputs, other.predicts) != (first.outputs, first.predicts):
            raise FeatzooError(
                f"{folders[0].path} predicts {', '.join(first.outputs)} and {folder.path} predicts "
                f"{', '.join(other.outputs)}: several runs must predict the same"
            )
    return folders


@contextmanager
def _opened(store: str | Path | None) -> Iterator[FeatureStore]:
    """The store in which features are kept, or one that is deleted at the end."""
    if store is not None:
        yield FeatureStore.create(store)
        return
    with tempfile.TemporaryDirectory(prefix="featzoo-") as folder:
        yield FeatureStore.create(Path(folder) / "features")


def _cut(
    sources: str | Path | Sequence[str | Path], encoding: str | None, window: float | None, hop: float
) -> tuple[dict[str, Clip], dict[str, list[Clip]]]:
    """The clips, and the windows of each, by the clip's id."""
    given = [sources] if isinstance(sources, str | Path) else sources
    clips = {clip.id: clip for clip in find_clips(*map(Path, given), encoding=encoding).clips}
    return clips, {name: list(windows_of(clip, window, hop)) if window else [] for name, clip in clips.items()}


def _distinct(extractors: Sequence[Mapping[str, Extractor | None]]) -> list[Extractor]:
    """Each extractor once; several runs may need the same."""
    return list({one.key: one for of in extractors for one in of.values() if one is not None}.values())


def _checked(window: float | None, hop: float | None, store: str | Path | None) -> float:
    """The hop, if the options fit each other."""
    if window is None:
        if hop is not None:
            raise InvalidOption("hop needs window, the length of the windows in seconds")
        return 0.0
    if store is not None:
        raise InvalidOption("the features of windows are not kept: give window or store, not both")
    hop = window if hop is None else hop
    check_windows(window, hop)
    return hop


class _Made:
    """What the heads made of the extracted features.

    Attributes:
        target: What they predict.
    """

    def __init__(
        self, folders: Sequence[RunFolder], extractors: Sequence[Mapping[str, Extractor | None]], store: FeatureStore,
        ids: Sequence[str], device: str,
    ) -> None:  # fmt: skip
        from featzoo.zoo.runs.apply import apply_head

        self.target: Target = folders[0].recipe.target
        self._sets: list[Sets] = [
            {role: store.find(one.key) if one is not None else None for role, one in of.items()} for of in extractors
        ]
        pairs = zip(folders, self._sets, strict=True)
        self._outputs = [apply_head(folder, store, ids, sets, device) for folder, sets in pairs]

    def prediction(self, clip: Clip, name: str) -> Prediction:
        """The prediction for a clip or window, of the clip called `name`."""
        missing = {role: why for sets in self._sets for role, why in _missing(sets, clip.id).items()}
        if not all(clip.id in outputs for outputs in self._outputs):
            return Prediction(name, {}, missing)
        return combined(self.target, name, [outputs[clip.id] for outputs in self._outputs], missing)


def _whole(made: _Made, clip: Clip, pieces: Sequence[Clip]) -> Prediction:
    windows = tuple(
        replace(
            made.prediction(piece, clip.id),
            start=round(piece.start - clip.start, 6),
            end=round((piece.end or 0.0) - clip.start, 6),
        )
        for piece in pieces
    )
    return replace(made.prediction(clip, clip.id), windows=windows)


def _used(extractors: Sequence[Mapping[str, Extractor | None]]) -> dict[str, str]:
    """Role to the keys of the sets that the runs read."""
    keys: dict[str, dict[str, None]] = {}
    for of in extractors:
        for role, one in of.items():
            keys.setdefault(role, {}).update({one.key: None} if one is not None else {})
    return {role: ", ".join(of) for role, of in keys.items()}


def _missing(sets: Sets, clip_id: str) -> dict[str, str]:
    """Role to the reason why a clip lacks it."""
    found = {}
    for role, one in sets.items():
        failure = one.failure(clip_id) if one is not None else None
        if one is not None and failure is not None and not one.holds(clip_id):
            found[role] = f"{failure.reason}: {failure.message}"
    return found
