"""The site's generated pages have every command, extractor, head, recipe and public name."""

from __future__ import annotations

import importlib.util
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import click
import pytest

import featzoo
from featzoo.cli import feat, zoo
from featzoo.zoo.recipe import FOLDER

ROOT = Path(__file__).parents[1]


def module(name: str) -> ModuleType:
    """A script of docs/site."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"docs/site/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def site() -> ModuleType:
    return module("pages")


def below(name: str, group: click.Group) -> list[str]:
    names = []
    for word, command in group.commands.items():
        names.append(f"{name} {word}")
        if isinstance(command, click.Group):
            names += below(f"{name} {word}", command)
    return names


def test_generated_pages_leave_nothing_out(site: ModuleType) -> None:
    pages = site.pages()
    for program, group in (("feat", feat), ("zoo", zoo)):
        page = pages[f"reference/commands-{program}.md"]
        assert [name for name in below(program, group) if f"## {name}\n" not in page] == []
    exchange = [name for name in below("feat", feat) if name.startswith(("feat import ", "feat export "))]
    assert len(exchange) > 30
    assert [name for name in exchange if f"### {name}\n" not in pages["reference/importers.md"]] == []
    for kind in ("extractors", "heads"):
        names = [point.name for point in entry_points(group=f"featzoo.{kind}") if point.value.startswith("featzoo.")]
        assert names
        assert [name for name in names if f"## {name}\n" not in pages[f"reference/{kind}.md"]] == []
    assert [
        path.stem for path in FOLDER.glob("*.toml") if f"## {path.stem}\n" not in pages["reference/recipes.md"]
    ] == []
    assert [name for name in featzoo.__all__ if f".{name}\n" not in pages["reference/api.md"] and name != "train"] == []


def test_the_front_page_is_the_readme_with_its_links(site: ModuleType) -> None:
    front = site.pages()["index.md"]
    assert front.startswith("# featzoo")
    assert "](tutorials/first-features.md)" in front
    assert "](docs/" not in front


def test_every_page_is_in_the_navigation(site: ModuleType) -> None:
    written = {str(path.relative_to(ROOT / "docs")) for path in ROOT.glob("docs/**/*.md")} | set(site.pages())
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page for page in sorted(written) if page not in text] == []


def test_a_recording_is_a_picture_of_its_lines() -> None:
    lines = [("$ feat show 'a<b' && echo", "typed"), ("1 < 2 & 3", "")]
    picture = ElementTree.fromstring(module("recording").picture(lines))  # noqa: S314
    assert [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")] == [line for line, _ in lines]


def test_the_site_works_without_a_network() -> None:
    """No fonts or figures of stars from other servers, and a search that needs no server at all."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in text
    assert "\n  - offline" in text
    assert "\n  polyfills: [javascripts/iframe-worker.js]" in text
    assert (ROOT / "docs/javascripts/iframe-worker.js").is_file()
    assert "\nrepo_url:" not in text
