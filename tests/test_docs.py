"""The documents: their commands exist, their links lead somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from featzoo.cli import feat, zoo

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "examples" / "README.md"])


def commands() -> list[tuple[str, str]]:
    found = []
    for path in DOCUMENTS:
        for line in path.read_text(encoding="utf-8").splitlines():
            match = re.match(r"\s+(?:\$ )?(?:PYTHONPATH=\. )?((?:feat|zoo) .*)", line)
            if match:
                found.append((path.name, match[1]))
    return found


@pytest.mark.parametrize(("document", "line"), commands())
def test_commands_in_the_documents_exist(document: str, line: str) -> None:
    """Each command's name, options and arguments are understood by the program (nothing is run)."""
    group, *words = shlex.split(line, comments=True)
    command: click.Command = {"feat": feat, "zoo": zoo}[group]
    while isinstance(command, click.Group):
        context = click.Context(command)
        name, found, words = command.resolve_command(context, words)
        assert found is not None, f"{document}: {name}"
        command = found
    command.make_context(command.name, words, resilient_parsing=False)


def test_every_importer_of_a_corpus_has_a_row_with_its_command() -> None:
    page = (ROOT / "docs/reference/corpora.md").read_text(encoding="utf-8")
    importers = feat.commands["import"]
    assert isinstance(importers, click.Group)
    corpora = {"import_corpora", "import_speech", "import_texts"}
    names = {name for name, command in importers.commands.items()
             if command.callback and command.callback.__module__.rpartition(".")[2] in corpora}  # fmt: skip
    assert len(names) >= 19
    assert [name for name in sorted(names - {"parallel"}) if f"| `feat import {name}` |" not in page] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_architecture_names_every_module_at_the_top() -> None:
    page = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    found = {
        path.stem for path in (ROOT / "src/featzoo").iterdir() if path.stem[0] not in "_." and path.suffix != ".typed"
    }
    assert {name for name in found if f"`{name}`" not in page and f"`{name}/`" not in page} == set()
