"""Finds classes and recipes by name through entry points; `module:Class` works without registration.

A request is a name with options, in the same form on the command line, in recipes and for
a store: `egemaps`, `bert.minilm`, `egemaps[level=functionals]`, `mypackage.energy:Energy[hop=0.02]`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from featzoo.config import parse_value
from featzoo.errors import InvalidOption, MissingPackage, UnknownName, unknown

EXTRACTORS = "featzoo.extractors"
HEADS = "featzoo.heads"
RECIPES = "featzoo.recipes"


class Request(NamedTuple):
    """A name and the options that differ from its defaults."""

    name: str
    options: Mapping[str, Any]

    def __str__(self) -> str:
        inner = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name}[{inner}]" if inner else self.name


def parse(text: str) -> Request:
    """Parse `name[key=value,...]`.

    Raises:
        InvalidOption: If the text has another form.
    """
    match = re.fullmatch(r"\s*([^\[\]\s]+)\s*(?:\[(.*)\])?\s*", text)
    if not match:
        raise InvalidOption(f"'{text}' is not a name or name[option=value,...]")
    options = {}
    for item in split(match[2] or ""):
        key, equals, value = item.partition("=")
        if not equals:
            raise InvalidOption(f"'{item}' in '{text}' is not option=value")
        options[key.strip()] = parse_value(value.strip())
    return Request(match[1], options)


def split(text: str) -> list[str]:
    """Split a list at its commas, except those inside brackets: `a[x=1,y=2],b` is two requests."""
    parts, depth, start = [], 0, 0
    for position, letter in enumerate(text):
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


@cache
def _points(group: str) -> dict[str, list[EntryPoint]]:
    """The entry points of a group by name; several if packages use the same name."""
    points: dict[str, list[EntryPoint]] = {}
    for point in sorted(entry_points(group=group), key=lambda p: (p.name, p.value)):
        same = points.setdefault(point.name, [])
        if point.value not in [other.value for other in same]:
            same.append(point)
    return points


def registered(group: str) -> list[str]:
    """The names of a group's entry points, sorted."""
    return list(_points(group))


def find(group: str, name: str) -> tuple[type, str]:
    """The class registered as `name`, and the tag of the variant (`minilm` of `bert.minilm`).

    Raises:
        UnknownName: If no entry point of the group and no importable `module:Class` has the name.
        InvalidOption: If several packages have registered the name.
        MissingPackage: If the plugin's module needs a package that is not installed.
    """
    points = _points(group)
    base, _, tag = name.partition(".")
    if ":" in name:
        return _import(name), ""
    if name in points:
        return _load(points[name]), ""
    if base in points:
        return _load(points[base]), tag
    raise unknown(name, group, points)


def recipe_files(own: Path) -> dict[str, list[Path]]:
    """The .toml files of the folder `own` and of the packages registered under `featzoo.recipes`, by their stem.

    The packages are not imported. A name has several files if packages use the same name.

    Raises:
        UnknownName: If a registered package cannot be found.
    """
    files: dict[str, list[Path]] = {}
    for folder in dict.fromkeys([own, *_recipe_folders()]):
        for path in sorted(folder.glob("*.toml")):
            files.setdefault(path.stem, []).append(path)
    return files


def _recipe_folders() -> list[Path]:
    folders = []
    for point in (point for same in _points(RECIPES).values() for point in same):
        try:
            spec = find_spec(point.value)
        except ModuleNotFoundError:
            spec = None
        if spec is None or spec.submodule_search_locations is None:
            raise UnknownName(
                f"{_origin(point)} registers '{point.value}' under {RECIPES}, which is not a package that can be "
                "imported: expected a package that holds .toml files"
            )
        folders += [Path(place) for place in spec.submodule_search_locations]
    return folders


def _load(points: list[EntryPoint]) -> type:
    if len(points) > 1:
        both = " and ".join(f"{_origin(point)} ({point.value})" for point in points)
        raise InvalidOption(f"the name '{points[0].name}' is taken twice, by {both}: rename or uninstall one of them")
    (point,) = points
    try:
        loaded: type = point.load()
    except ModuleNotFoundError as error:
        raise MissingPackage(f"'{point.name}' needs the package {error.name}: pip install {error.name}") from error
    return loaded


def _origin(point: EntryPoint) -> str:
    """The package that registered an entry point."""
    return point.dist.name if point.dist is not None else "a package"


def _import(path: str) -> type:
    module, _, attribute = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise UnknownName(f"cannot import '{module}' of '{path}': {error}") from error
    except AttributeError as error:
        raise UnknownName(f"module '{module}' has no '{attribute}'") from error
    if not isinstance(found, type):
        raise UnknownName(f"'{path}' is not a class")
    return found
