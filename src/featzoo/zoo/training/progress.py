"""Progress of a training on stderr: a bar with rate and remaining time, and one plain line per epoch."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from featzoo.wording import printable
from featzoo.zoo.training.checkpoint import Epoch


class TrainingProgress:
    """A bar if the terminal supports it, and lines in any case.

    Args:
        batch_size: Clips in a step, for the rate.
        shown: False shows nothing, for processes other than the first.
    """

    def __init__(self, batch_size: int, shown: bool = True) -> None:
        self.console = Console(stderr=True, quiet=not shown, soft_wrap=True, highlight=False)
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(),
            MofNCompleteColumn(), TextColumn("steps"),
            _Rate(batch_size), TextColumn("at most"), TimeRemainingColumn(),
            console=self.console, transient=True, disable=not (shown and self.console.is_terminal),
        )  # fmt: skip
        self.task = self.bar.add_task("training", total=None)

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def step(self, done: int, total: int) -> None:
        """Move the bar."""
        self.bar.update(self.task, description="training", completed=done, total=total)

    def read(self, done: int, total: int) -> None:
        """Move the bar for batches that frozen parts read once."""
        self.bar.update(self.task, description="frozen parts", completed=done, total=total)

    def epoch(self, epoch: Epoch) -> None:
        """Print an epoch's line, with each term's share of the gradient; a star marks the best epoch so far."""
        terms = "  ".join(f"{name} {value:.4f}" for name, value in epoch.losses.items())
        if epoch.gradients:
            terms += "  (gradient: " + ", ".join(f"{k} {100 * v:.0f} %" for k, v in epoch.gradients.items()) + ")"
        if epoch.parts > 1:
            terms += f"  (batches in {epoch.parts} parts)"
        star = " *" if epoch.best else ""
        dev = f"dev {epoch.chosen_by} {epoch.score:.4f}"
        self.line(f"epoch {epoch.epoch:3d}  {terms}  {dev}  {epoch.seconds:.1f} s{star}")

    def line(self, text: str) -> None:
        """Print a line above the bar."""
        self.console.print(printable(text), markup=False)


class _Rate(ProgressColumn):
    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size

    def render(self, task: Task) -> Text:
        """Clips per second."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed * self.batch_size:.0f} clips/s" if speed else "")
