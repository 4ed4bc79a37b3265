"""Pages of the site that are made from the program when it is built: README, commands, extractors, heads, recipes, API.

A hook of MkDocs (`hooks:` in mkdocs.yml): `on_files` adds them to the pages in docs/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click

import featzoo
from featzoo.cli import feat, zoo
from featzoo.zoo.recipe import FOLDER

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://github.com/featzoo/featzoo/blob/main/"


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages."""
    from mkdocs.structure.files import File

    for place, text in pages().items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links out of docs/, to an example or a source file, lead to the repository."""
    above = "../" * page.file.src_uri.count("/")
    return re.sub(rf"\]\({above}\.\./(?!\.)", f"]({REPOSITORY}", markdown)


def pages() -> dict[str, str]:
    """The text of each generated page by its place under docs/."""
    return {
        "index.md": front(),
        "reference/commands-feat.md": commands("feat", feat),
        "reference/commands-zoo.md": commands("zoo", zoo),
        "reference/extractors.md": classes("Extractors", "featzoo.extractors", EXTRACTORS),
        "reference/heads.md": classes("Heads", "featzoo.heads", HEADS),
        "reference/recipes.md": recipes(),
        "reference/api.md": api(),
    }


def front() -> str:
    """The README, with its links as seen from docs/."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.sub(r"\]\(docs/", "](", text)


def commands(program: str, group: click.Group) -> str:
    """The help of each command of a program."""
    parts = [f"# Commands of `{program}`\n", "Each text is the command's own `--help`.\n"]
    for name, command in walk(program, group):
        context = click.Context(command, info_name=name, max_content_width=96, terminal_width=96)
        parts.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """The command and all below it."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            if found is not None and not found.hidden:
                yield from walk(f"{name} {below}", found)


EXTRACTORS = """All extractors also have these options:

::: featzoo.extractors.contract.Extractor
    options: {heading_level: 2, members: false, skip_local_inventory: true}
"""
HEADS = """A head's options are set in a recipe's `[options]` table, or with `--set options.NAME=VALUE`.
Their defaults follow the paper that is named, except where *Differences* says otherwise.
"""


def classes(title: str, group: str, introduction: str) -> str:
    """The docstring of each registered class."""
    parts = [f"# {title}\n", introduction]
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        if point.value.startswith("featzoo."):
            path = point.value.replace(":", ".")
            parts.append(f"## {point.name}\n\n::: {path}\n    options: {{members: false}}\n")
    return "\n".join(parts)


def recipes() -> str:
    """Each recipe as it is written, and the keys that a recipe can have."""
    parts = [
        "# Recipes\n",
        "A recipe is a TOML file. `zoo show NAME` prints one with every default filled in.\n",
        "## Keys\n\n::: featzoo.zoo.recipe\n    options: {show_root_heading: false, members_order: source}\n",
        "::: featzoo.zoo.target.Target\n\n::: featzoo.zoo.split_rule.SplitRule\n",
    ]
    for path in sorted(FOLDER.glob("*.toml")):
        parts.append(f"## {path.stem}\n\n```toml\n{path.read_text(encoding='utf-8')}```\n")
    return "\n".join(parts)


def api() -> str:
    """The docstring of each public name of the package."""
    parts = ["# The Python API in full\n", "Short, with an example: [Python API](python.md).\n"]
    for name in featzoo.__all__:
        module, _, other = featzoo._PLACES[name].partition(":")
        parts.append(f"::: featzoo.{module}.{other or name}\n    options: {{heading_level: 2}}\n")
    return "\n".join(parts)
