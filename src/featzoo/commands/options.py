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
    """A group of commands that lists them by section, and prints a FeatzooError without its traceback.

    A FeatzooError exits 1, a usage error 2.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.sections: dict[str, list[str]] = {}

    def add_section(self, title: str, *commands: click.Command) -> None:
        """Add commands under a heading of the help, in this order."""
        self.sections[title] = [str(command.name) for command in commands]
        for command in commands:
            self.add_command(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the sections; a command of no section comes first."""
        grouped = {name for names in self.sections.values() for name in names}
        rest = [name for name in self.list_commands(ctx) if name not in grouped]
        width = max(map(len, self.commands), default=0)
        for title, names in {"Commands": rest, **self.sections}.items():
            shown = [self.commands[name] for name in names if not self.commands[name].hidden]
            rows = [(f"{c.name:<{width}}", c.get_short_help_str(formatter.width - 6 - width)) for c in shown]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except FeatzooError as error:
            click.secho(f"error: {error}", err=True, fg="red")
            if error.hint:
                click.echo(error.hint, err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("\nstopped. What was stored stays; the same command again goes on from there.", err=True)
            ctx.exit(130)
