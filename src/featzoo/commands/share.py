"""`zoo push` and `zoo pull`: copies of runs to share."""

from __future__ import annotations

from pathlib import Path

import click

from featzoo.commands.options import FOLDER, RUN
from featzoo.commands.printing import echo
from featzoo.wording import count


@click.command()
@click.argument("run", type=RUN)
@click.argument("target")
@click.option("--predictions", is_flag=True, help="Also copy predictions.csv: ids and labels of clips.")
@click.option("--public", is_flag=True, help="Let everybody read a new repository of the hub.")
def push(run: Path, target: str, predictions: bool, public: bool) -> None:
    """Copy a finished run to share it.

    TARGET is a new folder, or hub:OWNER/NAME for the Hugging Face hub. The copy lists the SHA-256 of its files, and
    holds no pickle, host name, or path of the store. Features and clips are not copied.

    \b
    zoo push runs/psa-mf-2026-11-20-1a2b3c shared/psa-mf
    zoo push runs/psa-mf-2026-11-20-1a2b3c hub:me/psa-mf
    """
    from featzoo.zoo.runs.bundle import push as copy

    files = copy(run, target, predictions, public)
    echo(f"{target}: {count(len(files), 'file')}")


@click.command()
@click.argument("source")
@click.option("--runs", type=FOLDER, default=Path("runs"), show_default=True, help="Folder of runs to copy into.")
@click.option("--name", default="", help="Name of the copy; default: that of SOURCE.")
def pull(source: str, runs: Path, name: str) -> None:
    """Copy a shared run into ./runs, and check its digests.

    SOURCE is a folder that `zoo push` made, or hub:OWNER/NAME, also with @REVISION. Only the files that it lists are
    copied, and nothing in them is executed.

    \b
    zoo pull shared/psa-mf
    zoo pull hub:me/psa-mf; zoo predict runs/psa-mf clip.mp4
    """
    from featzoo.zoo.runs.bundle import pull as copy

    echo(f"{copy(source, runs, name)}: digests checked")
