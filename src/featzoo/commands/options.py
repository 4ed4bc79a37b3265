"""Shared by the commands: options, groups with sections, and how errors are shown."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featzoo.commands.ending import (
    ended_by_sigterm,
    flush_output,
    of_system,
    silence_output,
    status_of,
    status_of_parts,
)
from featzoo.commands.printing import echo, echo_lines
from featzoo.devices import NAMES as DEVICE_NAMES
from featzoo.devices import parse_device
from featzoo.errors import FeatzooError, InvalidOption, MissingWeights, UntrustedRun

if TYPE_CHECKING:
    from featzoo.exchange.importing import Account

FOLDER = click.Path(path_type=Path)


class RunPath(click.Path):
    """The folder of a run, or the name of a pretrained head."""

    name = "run"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The run's folder."""
        from featzoo.zoo.runs.pretrained import find_run

        return find_run(Path(str(super().convert(value, param, ctx))))


RUN = RunPath(path_type=Path)


class Option(click.Option):
    """An option that also accepts older spellings, which its help does not show."""

    def __init__(self, names: Sequence[str], *, older: Sequence[str] = (), **settings: Any) -> None:
        super().__init__([*names, *older], **settings)
        self._older = older

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Leave the older spellings out."""
        every, self.opts = self.opts, [name for name in self.opts if name not in self._older]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = every


class ListOption(click.Option):
    """An option of comma-separated names that may be repeated: the value is all of them, with commas."""

    def __init__(self, names: Sequence[str], **settings: Any) -> None:
        super().__init__(names, multiple=True, **settings)

    def process_value(self, ctx: click.Context, value: Any) -> str:
        """The names of every time that the option is given."""
        return ",".join(super().process_value(ctx, value))


def _device_name(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    """Refuse a wrong name before anything is read."""
    try:
        parse_device(value)
    except InvalidOption as error:
        raise click.BadParameter(str(error), ctx, parameter) from error
    return value


STORE = click.option(
    "-o", "--store", "store", cls=Option, older=("--output", "--features"), type=FOLDER, default=Path("features"),
    show_default=True, help="Feature store to use.",
)  # fmt: skip
DEVICE = click.option("--device", default="auto", show_default=True, callback=_device_name, help=f"{DEVICE_NAMES}.")
ENCODING = click.option(
    "--encoding", help="Encoding of transcripts and tables that are not UTF-8, such as gbk or cp1252."
)
TRUST = click.option(
    "--trust", is_flag=True, help="Import the classes (module:Class) that a run names; they are remembered as trusted."
)
MEDIA = click.option("--media", type=FOLDER, metavar="DIR", help="Link the clips to the media files below DIR.")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Show what would be done; write nothing.")


class Commands(click.Group):
    """A group of commands that lists them by section, and prints a FeatzooError without its traceback.

    A FeatzooError or an error of the system, such as a full disk, exits 1, a usage error 2, and a command that has done
    nothing of a work with parts 3. A signal exits with 128 and its number, as shells report it, and so does a closed
    pipe.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.sections: dict[str, list[str]] = {}

    def add_section(self, title: str, *commands: click.Command) -> None:
        """Add commands under a heading of the help, in this order."""
        self.sections[title] = [str(command.name) for command in commands]
        for command in commands:
            self.add_command(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse an option that is given twice, of which click would drop the first without a word."""
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not isinstance(command, click.Group):
            own = click.Context(command, info_name=name, parent=ctx, resilient_parsing=True)
            given = Counter(command.make_parser(own).parse_args(list(rest))[2])
            for option, times in given.items():
                one_value = isinstance(option, click.Option) and not (option.multiple or option.is_flag or option.count)
                if one_value and times > 1:
                    raise click.UsageError(f"{option.opts[0]} is given {times} times, and takes one value", own)
        return name, command, rest

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

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the program; SIGTERM ends it as Ctrl+C does."""
        with ended_by_sigterm():
            return super().main(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except FeatzooError as error:
            echo_lines(f"error: {error}", err=True, fg="red")
            hint = error.hint or _hint(error)
            if hint:
                echo_lines(hint, err=True)
            ctx.exit(error.exit_status)
        except ModuleNotFoundError as error:
            module = (error.name or "").partition(".")[0]
            extra = extra_with(module, self.name or "")
            if extra is None:
                raise
            echo(f"error: this needs the package {module}: pip install 'featzoo[{extra}]'", err=True, fg="red")
            ctx.exit(1)
        except KeyboardInterrupt as error:
            echo_lines("\nstopped. Finished work is kept; run the same command again to continue.", err=True)
            ctx.exit(status_of(error))
        except BrokenPipeError:  # `feat ls | head -1` has seen enough
            silence_output()
            ctx.exit(128 + signal.SIGPIPE)
        except (OSError, MemoryError) as error:  # the machine's fault, whatever the command was doing
            echo_lines(f"error: {of_system(error)}", err=True, fg="red")
            flush_output()
            ctx.exit(1)


def _hint(error: FeatzooError) -> str:
    """The command line to type for errors of some kinds; empty for others."""
    if isinstance(error, UntrustedRun):
        where = "zoo predict, zoo evaluate, zoo train --resume or feat extract --for"
        return f"If you trust the run: add --trust to {where}, once"
    return without_network(error.models) if isinstance(error, MissingWeights) else ""


def without_network(models: Iterable[str]) -> str:
    """How to get models onto a machine that has no network; empty if there are no models to get."""
    commands = " && ".join(f"feat weights get {model} --to weights" for model in models)
    return commands and (
        f"Without a network: run {commands} on a machine that has one; copy the folder `weights` here, and add "
        "--weights weights or set FEATZOO_WEIGHTS to it"
    )


def extra_with(module: str, preferred: str = "") -> str | None:
    """The extra of featzoo that installs `module`: `preferred` if it does, else the smallest that does, else None."""
    package = {"sklearn": "scikit-learn", "PIL": "pillow"}.get(module, module).replace("_", "-")
    needs: dict[str, int] = {}
    having = []
    for requirement in metadata.requires("featzoo") or ():
        match = re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)['\"]", requirement)
        if match is not None:
            name, extra = match.groups()
            needs[extra] = needs.get(extra, 0) + 1
            if name.lower().replace("_", "-") == package.lower():
                having.append(extra)
    if preferred in having:
        return preferred
    return min(having, key=needs.__getitem__, default=None)


def comma_list(text: str) -> tuple[str, ...]:
    """The names in a comma-separated option value."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def print_account(account: Account) -> None:
    """Print what an import wrote; exit with status 1 if it refused an entry, or 3 if it imported none."""
    for line in account.lines():
        echo(line, fg="yellow" if line.lstrip().startswith(("refused", "warning")) else None)
    if not account.complete:
        written = sum(account.clips.values()) + sum(each.clips for each in account.sets)
        raise SystemExit(status_of_parts(written, 1))
