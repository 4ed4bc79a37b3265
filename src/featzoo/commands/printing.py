"""The only way commands print: ids and texts from files cannot control the terminal or forge lines."""

from __future__ import annotations

from typing import Any

import click

from featzoo.wording import printable


def echo(text: object = "", *, err: bool = False, **style: Any) -> None:
    """Print one line, in which controls and line breaks are escaped.

    Args:
        text: The line.
        err: Print to standard error.
        style: Colours, as `click.style` has them.
    """
    click.secho(printable(str(text)), err=err, **style)


def echo_lines(text: str, *, err: bool = False, **style: Any) -> None:
    """Print a text of several lines, such as a table, in which other controls are escaped."""
    click.secho("\n".join(map(printable, text.split("\n"))), err=err, **style)
