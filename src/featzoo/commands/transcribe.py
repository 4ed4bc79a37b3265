"""`feat transcribe`: transcripts of sound, or times for given words, written beside the media."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from featzoo.commands.ending import nothing_done_yet, status_of_parts
from featzoo.commands.options import DEVICE, ENCODING, FOLDER
from featzoo.commands.printing import echo
from featzoo.commands.weights import takes_weights
from featzoo.wording import count, some

if TYPE_CHECKING:
    from featzoo.media.transcription import Media, Outcome

# Recordings to name in a list.
EXAMPLES = 5


@click.command()
@click.argument("sources", nargs=-1, required=True, type=FOLDER)
@click.option("--model", default="base", show_default=True, help="tiny to large-v3, turbo, or a CTranslate2 folder.")
@click.option("--language", metavar="CODE", help="Such as en or zh; default: detected in each recording.")
@click.option("--to", type=FOLDER, help="Folder for the transcripts; default: beside the media.")
@click.option("--align", is_flag=True, help="Find times for the words of transcripts that have no times.")
@click.option("--force", is_flag=True, help="Overwrite transcripts that exist already.")
@click.option("--beam", type=click.IntRange(1), default=5, show_default=True, help="Beam size of the search.")
@click.option("--vad/--no-vad", default=True, show_default=True, help="Skip what does not sound like speech.")
@ENCODING
@DEVICE
@takes_weights
def transcribe(
    sources: tuple[Path, ...],
    model: str,
    language: str | None,
    to: Path | None,
    align: bool,
    force: bool,
    beam: int,
    vad: bool,
    encoding: str | None,
    device: str,
) -> None:
    """Write transcripts with word times for media.

    SOURCES are folders, manifests or media files. The transcripts are Whisper's JSON, written beside each media file
    (clip.mp4.json), where `feat extract` reads them. Recordings that have a transcript are skipped. Nothing is
    downloaded. The exit status is 1 if some recordings failed and the others are written, and 3 if all failed.

    \b
    feat transcribe videos/
    feat transcribe clips.csv --model small --language de --device cuda
    feat transcribe videos/ --align          times for the words of .txt files, or of a manifest's text
    """
    from featzoo.media.transcription import find_media, transcribe_all
    from featzoo.media.whisper import Whisper

    with nothing_done_yet():
        media = find_media(sources, to, encoding)
    _print_found(media)

    def load() -> Whisper:
        loaded = Whisper(model, device, language=language, beam=beam, vad=vad)
        echo(f"{'aligning' if align else 'transcribing'} with {loaded.name} on {loaded.device} ({loaded.compute})")
        return loaded

    with _progress(_recordings(media), len(media.found)) as tell:
        outcomes = transcribe_all(media.found, load, align=align, force=force, on_progress=tell)
    failed = _print_outcomes(outcomes, align)
    raise SystemExit(status_of_parts(len(outcomes) - failed, failed))


@contextmanager
def _progress(label: str, total: int) -> Iterator[Callable[[float], None]]:
    """Show a bar on a terminal while the block runs; gives the function that takes the number of recordings done."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f}%"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.update(task, completed=done)


def _print_found(media: Media) -> None:
    clips = sum(len(medium.clips) for medium in media.found)
    segments = f" with {count(clips, 'segment')}" if clips != len(media.found) else ""
    echo(f"{_recordings(media)}{segments}")
    if media.left_aside:
        echo(f"skipped: {len(media.left_aside)} ({some(media.left_aside, EXAMPLES)})")


def _recordings(media: Media) -> str:
    return count(len(media.found), "recording")


def _print_outcomes(outcomes: Sequence[Outcome], align: bool) -> int:
    """Print the result of every recording, and return the number that failed."""
    written = [each for each in outcomes if each.state == "written"]
    failed = [each for each in outcomes if each.state == "failed"]
    kept = len(outcomes) - len(written) - len(failed)
    done, had = ("aligned", "times") if align else ("transcribed", "a transcript")
    echo(f"{len(written)} {done}, {kept} had {had} already, {len(failed)} failed")
    silent = [each.path.name for each in written if not each.words]
    if silent:
        echo(f"without a word: {len(silent)} ({some(silent, EXAMPLES)})")
    for each in written:
        if each.detail:
            echo(f"warning: {each.detail}", err=True, fg="yellow")
    for each in failed:
        echo(f"    {each.path.name}: {each.detail}", fg="yellow")
    return len(failed)
