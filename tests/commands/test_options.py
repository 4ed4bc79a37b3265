"""What all commands share: sections in the help, and errors with a hint."""

from __future__ import annotations

import click
from click.testing import CliRunner

from featzoo.commands.options import Commands
from featzoo.errors import MissingFeatures


@click.command()
def draw() -> None:
    """Draw a picture. More about it."""


@click.command()
def fail() -> None:
    """Fail with a hint."""
    error = MissingFeatures("the store has no pictures")
    error.hint = "feat extract videos/ -x frames"
    raise error


def group() -> Commands:
    made = Commands("made")
    made.add_section("Look", draw)
    made.add_section("Break", fail)
    return made


def test_the_help_lists_commands_under_their_sections_in_order() -> None:
    shown = CliRunner().invoke(group(), ["--help"]).output
    assert shown.endswith("Look:\n  draw  Draw a picture.\n\nBreak:\n  fail  Fail with a hint.\n")


def test_an_error_is_printed_with_its_hint_and_no_traceback() -> None:
    done = CliRunner().invoke(group(), ["fail"])
    assert done.exit_code == 1
    assert done.output == "error: the store has no pictures\nfeat extract videos/ -x frames\n"
