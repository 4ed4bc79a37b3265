"""The papers of recipes and heads as BibTeX."""

from __future__ import annotations

import re
from pathlib import Path

from featzoo.zoo.recipe import Recipe

FILE = Path(__file__).with_name("citations.bib")
ENTRY = re.compile(r"^@\w+\{([^,]+),.*?^\}", re.DOTALL | re.MULTILINE)


def entries() -> dict[str, str]:
    """BibTeX entries by key: the name of a recipe or head."""
    return {match[1]: match[0] for match in ENTRY.finditer(FILE.read_text(encoding="utf-8"))}


def citation(recipe: Recipe) -> str | None:
    """The entry of a recipe's paper: of its name, its name's first part, or its head; None if it describes no paper."""
    known = entries()
    base = recipe.name.split(".")[0]
    for key in (base, base.split("-")[0], recipe.head):
        if key in known:
            return known[key]
    return None
