"""The settings in which recipes differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from featzoo.zoo.recipe import Recipe

# Fields that do not affect training.
NAMES = ("name", "description", "published", "ablations", "tune")


def settings(recipe: Recipe) -> dict[str, Any]:
    """Dotted name of each field that affects training, to its value."""
    found = _flat({name: value for name, value in asdict(recipe).items() if name not in NAMES})
    return {name: value for name, value in found.items() if name != "training.tracker"}


def differing_settings(recipes: Sequence[Recipe]) -> dict[str, list[str]]:
    """Dotted name of each field in which recipes differ, to its value in each; `-` where it does not exist."""
    flat = [settings(recipe) for recipe in recipes]
    missing = object()
    values = {name: [each.get(name, missing) for each in flat] for name in dict.fromkeys(n for f in flat for n in f)}
    return {
        name: ["-" if value is missing else str(value) for value in of]
        for name, of in values.items()
        if any(value != of[0] for value in of)
    }


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            found |= _flat(inner, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = inner
    return found
