"""Trained heads, from the folders of runs and by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.pretrained import find_run

if TYPE_CHECKING:
    from featzoo.zoo.head import Head


def load_head(run: str | Path, trust: bool = False) -> Head:
    """A trained head, in evaluation mode, on the CPU; the original encoder's weights are not needed.

        head = featzoo.load_head("emotion")

    Args:
        run: A run's folder, or the name of a pretrained head.
        trust: Whether the run may import classes that you have not trained with on this machine.

    Raises:
        UntrustedRun: If it names such classes, and `trust` is not given.
        FeatzooError: If the folder is not that of a finished run.
    """
    return RunFolder.open_finished(find_run(run), trust).head()
