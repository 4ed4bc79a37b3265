"""What the commands share: options, and how errors are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from featzoo.errors import FeatzooError

FOLDER = click.Path(path_type=Path)
STORE = click.option(
    "-o",
    "--output",
    "store",
    type=FOLDER,
    default=Path("features"),
    show_default=True,
    help="The feature store.",
)
DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")


class Commands(click.Group):
    """A group that shows a FeatzooError without its traceback and exits 1; usage errors exit 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except FeatzooError as error:
            click.secho(f"error: {error}", err=True, fg="red")
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("\nstopped. What was stored stays; the same command again goes on from there.", err=True)
            ctx.exit(130)
