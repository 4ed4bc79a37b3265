"""Strict conversion of TOML and command-line options to frozen dataclasses, and back; nothing is ignored."""

from __future__ import annotations

import dataclasses
import json
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from featzoo.errors import InvalidOption, suggestion

T = TypeVar("T")


def build(cls: type[T], options: Mapping[str, Any], where: str) -> T:
    """Make the dataclass `cls` from plain values.

    Args:
        cls: A dataclass whose fields are plain types, tuples of them, mappings or dataclasses.
        options: Field name to value, as TOML gives it; a missing field takes its default.
        where: The source of the options, for the error message ("egemaps", "recipe psa-mf.toml").

    Raises:
        InvalidOption: For an unknown or missing field, or a value of another type.
    """
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for name in options:
        if name not in fields:
            raise InvalidOption(f"{where} has no option '{name}'{suggestion(name, fields)}")
    values = {}
    for name, spec in fields.items():
        if name in options:
            values[name] = _convert(options[name], hints[name], f"{where}: {name}")
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            raise InvalidOption(f"{where}: '{name}' is missing")
    try:
        return cls(**values)
    except ValueError as error:
        raise InvalidOption(f"{where}: {error}") from error


def _convert(value: Any, hint: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value in (None, "none") and type(None) in args:
            return None
        for option in (a for a in args if a is not type(None)):
            try:
                return _convert(value, option, where)
            except InvalidOption as error:
                refusal = error
        raise refusal
    if origin is typing.Literal:
        if value not in args:
            raise InvalidOption(f"{where} must be one of {', '.join(map(str, args))}; got {value!r}")
        return value
    if origin is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_convert(item, args[0], where) for item in items)
    if origin in (dict, Mapping) or hint in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise InvalidOption(f"{where} is a table; got {value!r}")
        return {k: _convert(v, args[1], f"{where}.{k}") for k, v in value.items()} if args else dict(value)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise InvalidOption(f"{where} is a table; got {value!r}")
        return build(typing.cast(type, hint), value, where)
    if hint is Any:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise InvalidOption(f"{where} is {_kind(hint)}; got {value!r}")
    return value


def _kind(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}
    return names.get(hint, str(hint))


def load(cls: type[T], path: Path) -> T:
    """Read the recipe file `path` into `cls`.

    Raises:
        InvalidOption: If the file is not TOML or does not fit `cls`.
    """
    return build(cls, read_toml(path), f"recipe {path.name}")


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        InvalidOption: If the file is missing or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidOption(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidOption(f"{path} is not TOML: {error}") from error


def parse_value(text: str) -> Any:
    """A value from the command line: parsed as TOML if it is TOML (`5`, `[1, 2]`, `true`), else a string."""
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return found["value"] if len(found) == 1 else text


def to_toml(made: Any) -> str:
    """A dataclass as TOML, with every default filled in; `read_toml` and `build` restore it."""
    plain: dict[str, Any] = _plain(made)
    return "\n".join(_table(plain, ())) + "\n"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return value


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    lines = [f"[{'.'.join(map(_key, path))}]"] if path else []
    lines += [f"{_key(key)} = {_value(value)}" for key, value in table.items() if not isinstance(value, Mapping)]
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += ["", *_table(value, (*path, key))]
    return lines


def _key(key: str) -> str:
    return key if key.replace("-", "").replace("_", "").isalnum() and key.isascii() else json.dumps(key)


def _value(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    # JSON's strings are TOML's except for DEL; repr gives a float that reads back exactly.
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
