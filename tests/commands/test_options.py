"""What all commands share: sections in the help, and errors with a hint."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import featzoo
from featzoo.commands.options import STORE, Commands, ListOption, comma_list
from featzoo.errors import MissingFeatures

# Of the source: the commands' own words, and the options of other programs.
ALLOWED = (
    "commands/",
    "cli.py",
    "extraction/engines.py",
    "media/whisper.py",
    "extractors/text/glove.py",
    "zoo/files.py",
)


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


@click.command()
@click.option("-x", "--names", cls=ListOption)
@click.option("--to", "-t")
@click.option("--set", "changes", multiple=True)
@click.option("--yes", is_flag=True)
def take(names: str, to: str, changes: tuple[str, ...], yes: bool) -> None:
    click.echo(f"{names} {to} {changes} {yes}")


def test_an_option_given_twice_is_refused_and_a_list_is_joined() -> None:
    made = Commands("made")
    made.add_command(take)
    done = CliRunner().invoke(
        made, ["take", "-x", "a,b", "--names", "c", "-t", "1", *["--set", "x=1"] * 2, "--yes", "--yes"]
    )
    assert done.output == "a,b,c 1 ('x=1', 'x=1') True\n"
    done = CliRunner().invoke(made, ["take", "-t", "1", "--to", "2"])
    assert done.exit_code == 2
    assert "--to is given 2 times, and takes one value" in done.output


@click.command()
@STORE
def look(store: Path) -> None:
    """Look into a store."""
    click.echo(store)


@pytest.mark.parametrize("name", ["-o", "--store", "--output", "--features"])
def test_a_store_is_named_by_any_of_its_spellings(name: str) -> None:
    assert CliRunner().invoke(look, [name, "mine"]).output == "mine\n"


def test_help_shows_only_the_present_spellings() -> None:
    shown = CliRunner().invoke(look, ["--help"]).output
    assert "-o, --store PATH" in shown
    assert "--output" not in shown
    assert "--features" not in shown


def test_messages_of_the_library_name_no_option_of_the_command_line() -> None:
    """The commands add what to type; a caller from Python has no options to type."""
    source = Path(featzoo.__file__).parent
    named = [
        f"{path.relative_to(source)}:{number}: {line.strip()}"
        for path in source.rglob("*.py")
        if not path.relative_to(source).as_posix().startswith(ALLOWED)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"(?<!-)--[a-z]", line)
    ]
    assert not named


def test_a_comma_list_ignores_spaces_and_empty_parts() -> None:
    assert comma_list(" a, b,,c ") == ("a", "b", "c")
    assert comma_list("") == ()
