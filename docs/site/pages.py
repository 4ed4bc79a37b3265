"""Pages of the site that are made from the program when it is built: commands, importers, heads, recipes and others.

A hook of MkDocs (`hooks:` in mkdocs.yml): `on_files` adds them to the pages in docs/.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click

import featzoo
from featzoo.cli import feat, zoo
from featzoo.zoo.recipe import FOLDER, find_recipe

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
        "tutorials/features-in-python.md": notebook(ROOT / "docs/tutorials/features-in-python.ipynb"),
        "reference/commands-feat.md": commands("feat", feat),
        "reference/commands-zoo.md": commands("zoo", zoo),
        "reference/importers.md": importers(),
        "reference/extractors.md": classes("Extractors", "featzoo.extractors", EXTRACTORS),
        "reference/heads.md": classes("Heads", "featzoo.heads", HEADS),
        "reference/recipes.md": recipes(),
        "reference/api.md": api(),
    }


def front() -> str:
    """The README, with its links as seen from docs/."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.sub(r"\]\(docs/", "](", text)


def notebook(path: Path) -> str:
    """A notebook's text, code and outputs, with a link to the file below its title."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", []):
            image = output["data"].get("image/png")
            shown = "".join(output["data"]["text/plain"])
            parts.append(f"![The figure](data:image/png;base64,{image.strip()})" if image else f"```text\n{shown}\n```")
    title, _, rest = parts[0].partition("\n\n")
    return "\n\n".join([title, f"[Download this notebook]({path.name})", rest, *parts[1:]]) + "\n"


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


IMPORTERS = """Every command also has `-o STORE` and `--dry-run`, which reads and checks everything and writes nothing.
Nothing is downloaded, and no code in a file is run. An entry that cannot be read is named with the reason, and the
others are imported.
"""
OF_ALL = {"store", "dry_run"}


def importers() -> str:
    """Each command of `feat import` and `feat export`: the files that it reads or writes, and its options."""
    parts = ["# Importers and exporters\n", IMPORTERS]
    for verb in ("import", "export"):
        group = feat.commands[verb]
        for section, names in group.sections.items():
            parts.append(f"## {verb.capitalize()}: {section[0].lower()}{section[1:]}\n")
            parts += [importer(f"feat {verb} {name}", group.commands[name]) for name in names]
    return "\n".join(parts)


def importer(name: str, command: click.Command) -> str:
    """A command's help as a part of a page."""
    parts = [f"### {name}\n"]
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "")):
        example = paragraph.startswith("\b")
        lines = [line.strip() for line in paragraph.removeprefix("\b").strip().splitlines()]
        parts.append("".join(f"    {line}\n" for line in lines) if example else "\n".join(lines) + "\n")
    options = [
        parameter
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.name not in OF_ALL
    ]
    if options:
        rows = [f"| {option_name(each)} | {each.help} |\n" for each in options]
        parts.append("".join(["| option | |\n|---|---|\n", *rows]))
    return "\n".join(parts)


def option_name(option: click.Option) -> str:
    """An option as it is typed, and its default."""
    if option.is_flag:
        return f"`{option.opts[0]}`"
    value = option.make_metavar(click.Context(click.Command("")))
    default = f" ({option.default})" if option.show_default and option.default else ""
    return f"`{option.opts[0]} {value}`{default}".replace("|", r"\|")


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
    names = sorted(path.stem for path in FOLDER.glob("*.toml"))
    parts = [
        "# Recipes\n",
        "A recipe is a TOML file. `zoo show NAME` prints one with every default filled in.\n",
        "## Keys\n\n::: featzoo.zoo.recipe\n    options: {show_root_heading: false, members_order: source}\n",
        "::: featzoo.zoo.target.Target\n\n::: featzoo.zoo.split_rule.SplitRule\n",
    ]
    parts.append("## Overview\n\n| recipe | head | inputs | |\n|---|---|---|---|\n" + "".join(map(overview, names)))
    for path in sorted(FOLDER.glob("*.toml")):
        parts.append(f"## {path.stem}\n\n```toml\n{path.read_text(encoding='utf-8')}```\n")
    return "\n".join(parts)


def overview(name: str) -> str:
    """A recipe's row in the table."""
    recipe = find_recipe(name)
    cells = [f"[`{name}`](#{name.replace('.', '')})", f"`{recipe.head}`", ", ".join(recipe.inputs), recipe.description]
    return f"| {' | '.join(cells)} |\n"


def api() -> str:
    """The docstring of each public name of the package."""
    parts = ["# The Python API in full\n", "Short, with an example: [Python API](python.md).\n"]
    for name in featzoo.__all__:
        module, _, other = featzoo._PLACES[name].partition(":")
        parts.append(f"::: featzoo.{module}.{other or name}\n    options: {{heading_level: 2}}\n")
    return "\n".join(parts)
