"""Every recipe of a paper has its entry, and every entry its recipe."""

from __future__ import annotations

import re

from click.testing import CliRunner

from featzoo.cli import zoo
from featzoo.zoo.citations import FILE, citation, entries
from featzoo.zoo.recipe import recipes


def test_recipes_whose_description_names_a_paper_have_its_entry() -> None:
    for name, recipe in recipes().items():
        named = re.search(r"arXiv (\d{4}\.\d{5})", recipe.description)
        if named:
            entry = citation(recipe)
            assert entry is not None, name
            assert named[1] in entry


def test_no_entry_is_lost_or_unused() -> None:
    text = FILE.read_text(encoding="utf-8")
    found = entries()
    assert len(found) == text.count("\n@") + 1
    assert all(entry.count("{") == entry.count("}") for entry in found.values())
    used = {citation(recipe) for recipe in recipes().values()}
    assert {key for key, entry in found.items() if entry not in used} == set()


def test_a_recipe_without_a_paper_says_so() -> None:
    shown = CliRunner().invoke(zoo, ["show", "mult", "--bibtex"])
    assert shown.output.startswith("@inproceedings{mult,")
    done = CliRunner().invoke(zoo, ["show", "text-alone", "--bibtex"])
    assert done.exit_code == 1
    assert "follows no single paper" in done.output
