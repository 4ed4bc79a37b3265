"""The clips and extractors of a `feat extract` run, chosen from what the user typed."""

from __future__ import annotations

import os
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from featzoo import plugins
from featzoo.cache.store import FeatureStore
from featzoo.commands.label_report import print_labels
from featzoo.commands.printing import echo
from featzoo.errors import FeatzooError, InvalidClips, InvalidOption, MissingWeights
from featzoo.extraction.plan import NO_WORDS, runnable
from featzoo.extraction.shares import share
from featzoo.extractors.contract import Extractor, make_extractor, usual_extractors
from featzoo.extractors.precision import with_precision
from featzoo.media.clip import Clip
from featzoo.media.discovery import find_clips
from featzoo.wording import count, some

# Skipped files to name.
EXAMPLES = 5


@dataclass(frozen=True)
class Selection:
    """What to extract, and from what.

    Attributes:
        sources: Folders, manifests or media files; empty for the clips in the store.
        extractors: Comma-separated requests; empty for every extractor that can run.
        recipe: The recipe or trained run whose inputs to extract.
        changes: Changes of the recipe, as `zoo train --set` and `--without` make them.
        pattern: Pattern of the clip ids to extract.
        rank: Number of this process's share of the clips, from 0.
        world: Number of shares.
        precision: auto, fp32, bf16 or fp16; see `extractors.precision.with_precision`.
        trust: Whether the run may import classes that its user has not trained with.
        encoding: Encoding of transcripts and tables that do not say theirs; detected if None.
    """

    sources: Sequence[Path] = ()
    extractors: str | None = None
    recipe: str | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    pattern: str | None = None
    rank: int | None = None
    world: int | None = None
    encoding: str | None = None
    precision: str = "auto"
    trust: bool = False


def select_clips(selection: Selection, path: Path) -> list[Clip]:
    """The clips to extract; what is found and skipped is printed.

    Raises:
        FeatzooError: If there are none.
        click.UsageError: If rank and world do not fit together.
    """
    clips = _find(selection, path)
    if selection.pattern is not None:
        matching = [clip for clip in clips if fnmatchcase(clip.id, selection.pattern)]
        if not matching:
            example = clips[0].id if clips else ""
            raise InvalidClips(f"no clip id matches '{selection.pattern}' (one id is '{example}')")
        echo(f"{len(matching)} of {count(len(clips), 'clip')} match {selection.pattern}")
        clips = matching
    return _share(clips, selection.rank, selection.world)


def _find(selection: Selection, path: Path) -> list[Clip]:
    if not selection.sources:
        clips = list(FeatureStore(path).clips().values())
        if not clips:
            raise InvalidClips(f"{path} has no clips yet: feat extract FOLDER -o {path}")
        return clips
    found = find_clips(*selection.sources, encoding=selection.encoding)
    echo(f"{count(len(found.clips), 'clip')} in {', '.join(map(str, selection.sources))}")
    if found.left_aside:
        echo(f"skipped: {len(found.left_aside)} ({some(found.left_aside, EXAMPLES)})")
    for remark in found.remarks:
        echo(remark, fg="yellow" if remark.endswith("left out") else None)
    _print_remarks(found.clips)
    print_labels(found.clips)
    gone = gone_clips(path, selection.sources, found.clips)
    if gone:
        said = f"{count(len(gone), 'clip')} in {path} no longer there: {some(gone)}; feat forget takes clips out"
        echo(said, fg="yellow")
    return found.clips


def gone_clips(path: Path, sources: Sequence[Path], found: Sequence[Clip]) -> list[str]:
    """The clips of a store whose files were in one of the folders, and are not there any more."""
    if not (path / "STORE.json").is_file():
        return []
    folders = [source.resolve() for source in sources if source.is_dir()]
    ids = {clip.id for clip in found}
    return sorted(
        clip.id
        for clip in FeatureStore(path).clips().values()
        if clip.id not in ids
        and clip.path
        and not os.path.lexists(clip.path)
        and any(clip.path.parent.resolve().is_relative_to(folder) for folder in folders)
    )


def _print_remarks(clips: Sequence[Clip]) -> None:
    """Print what was dropped or repaired in transcripts and labels, by kind."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for clip in clips:
        for kind in dict.fromkeys(remark.partition(":")[0] for remark in clip.remarks):
            kinds[kind].append(clip.id)
    for kind, ids in kinds.items():
        echo(f"{kind}: {len(ids)} ({some(ids)})", fg="yellow")


def _share(clips: list[Clip], rank: int | None, world: int | None) -> list[Clip]:
    if rank is None and world is None:
        return clips
    if rank is None or world is None:
        raise click.UsageError("--rank and --world go together: --rank 0 --world 8 extracts the first of 8 shares")
    try:
        mine = share(clips, rank, world)
    except InvalidOption as error:
        raise click.BadParameter(str(error), param_hint="--rank") from error
    echo(f"rank {rank} of {world}: {len(mine)} of {count(len(clips), 'clip')}, which are all that is counted below")
    return mine


def select_extractors(selection: Selection, clips: Sequence[Clip], path: Path) -> list[Extractor]:
    """The extractors to run; those that cannot run here are printed with the reasons.

    Raises:
        FeatzooError: If a requested extractor cannot run here, or none can.
    """
    if selection.extractors:
        chosen = {}
        for request in plugins.split(selection.extractors):
            extractor = make_extractor(request)
            extractor.prepare()
            chosen[extractor.key] = extractor
        return with_precision(list(chosen.values()), selection.precision)
    if selection.recipe:
        return _for_recipe(selection, path, clips)
    extractors, left_out = runnable(usual_extractors(), clips)
    for reason, names in left_out.items():
        short = reason.partition("\n")[0] + (_how_to_transcribe(selection.sources) if reason == NO_WORDS else "")
        echo(f"not run: {', '.join(names)}: {short}")
    if not extractors:
        raise FeatzooError("no extractor can run here: `feat doctor` shows what to install")
    return with_precision(extractors, selection.precision)


def print_missing_transcripts(selection: Selection, extractors: Sequence[Extractor], clips: Sequence[Clip]) -> None:
    """Print how to make transcripts, if an extractor that was asked for reads them and no clip has one."""
    if any("words" in each.reads for each in extractors) and not any(clip.words or clip.problem for clip in clips):
        echo(NO_WORDS + _how_to_transcribe(selection.sources), fg="yellow")


def _how_to_transcribe(sources: Sequence[Path]) -> str:
    """`: feat transcribe FOLDER makes them`, with the folders that were named."""
    return f": {shlex.join(['feat', 'transcribe', *(map(str, sources) if sources else ['FOLDER'])])} makes them"


def _for_recipe(selection: Selection, path: Path, clips: Sequence[Clip]) -> list[Extractor]:
    """The extractors that each input of a recipe or run still needs."""
    from featzoo.zoo.recipe import find_recipe
    from featzoo.zoo.runs.folder import FEATURES, RunFolder

    name = selection.recipe or ""
    if (Path(name) / FEATURES).is_file():
        run = RunFolder.open(Path(name), selection.trust)
        return list({x.key: x for x in run.extractors().values() if x}.values())
    store = FeatureStore(path) if (path / "STORE.json").is_file() else None
    chosen: dict[str, Extractor] = {}
    for role, wanted in find_recipe(name, selection.changes).inputs.items():
        extractor = _for_role(name, role, wanted.features, store, clips) if wanted.features else None
        if extractor is not None:
            chosen[extractor.key] = extractor
    return list(chosen.values())


def _for_role(
    recipe: str, role: str, requests: Sequence[str], store: FeatureStore | None, clips: Sequence[Clip]
) -> Extractor | None:
    """The first extractor that can run here; None if the store has what the role needs."""
    imported = _imported(store, requests, clips)
    if imported:
        echo(f"{role}: {imported} is in the store")
        return None
    reasons, models = [], list[str]()
    held = [request for request in requests if store and (found := store.find(request)) and found.ids()]
    for request in dict.fromkeys([*held, *requests]):  # training reads the first that the store holds
        try:
            extractor = make_extractor(request)
            extractor.prepare()
        except FeatzooError as error:
            models += error.models if isinstance(error, MissingWeights) else ()
            reasons.append(f"  {request}: {error}")
            continue
        echo(f"{role}: {extractor.label}")
        return extractor
    stored = next((found.key for request in requests if store and (found := store.find(request))), "")
    if stored:  # the extractor that made it is not installed here, or has to be named, as a trained run
        echo(f"{role}: {stored} is in the store; clips that are missing from it cannot be computed here")
        return None
    said = f"none of the features that {recipe} accepts as '{role}' can run here:\n" + "\n".join(reasons)
    raise MissingWeights(said, dict.fromkeys(models)) if models else FeatzooError(said)


def _imported(store: FeatureStore | None, requests: Sequence[str], clips: Sequence[Clip]) -> str:
    """The imported set that has every clip. An extractor's own sets do not count: they may be stale."""
    for request in requests if store else ():
        found = store.find(request) if store else None
        if found is not None and not found.reads and all(clip.id in found for clip in clips):
            return found.key
    return ""
