"""`feat plot`: a picture of one clip and its features."""

from __future__ import annotations

from pathlib import Path

import click

from featzoo.commands.options import FOLDER, STORE, ListOption, comma_list
from featzoo.commands.printing import echo


@click.command()
@click.argument("clip")
@click.argument("feature_sets", nargs=-1)
@STORE
@click.option("--columns", cls=ListOption, help="Comma-separated columns to draw; default: the first of each set.")
@click.option("--to", "picture", type=FOLDER, help="The PNG to write; default: CLIP.png.")
def plot(clip: str, feature_sets: tuple[str, ...], store: Path, columns: str, picture: Path | None) -> None:
    """Draw a clip's timeline with its features.

    Waveform, frames, words and FEATURE_SETS (default: all that hold CLIP) share one time axis. Frames show the face's
    box and its likeliest action units where the store holds `faces` or `action-units`.

    \b
    feat plot clip01.mp4
    feat plot clip01.mp4 egemaps --columns F0semitoneFrom27.5Hz_sma3nz,Loudness_sma3
    """
    from featzoo.commands.timeline import draw_timeline

    echo(f"drew {draw_timeline(store, clip, feature_sets, comma_list(columns) or None, picture)}")
