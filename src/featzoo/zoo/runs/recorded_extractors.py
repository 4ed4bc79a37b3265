"""Extractors from the specs that a run recorded: the same features again, or an error that says what differs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from featzoo import plugins
from featzoo.errors import FeatzooError, UnknownName
from featzoo.extractors.contract import Extractor, spec_digest


def rebuild(run: str, role: str, recorded: Mapping[str, Any]) -> Extractor:
    """The extractor of a recorded feature set.

    Args:
        run: The run's name, for messages.
        role: The input that reads the set, for messages.
        recorded: What `feature_choice.describe` recorded of the set.

    Raises:
        FeatzooError: If the set was imported, or the extractor makes other features here.
    """
    spec = recorded["spec"]
    if not spec.get("reads"):
        raise FeatzooError(
            f"run {run} reads its {role} from {recorded['key']}, which was imported: no extractor makes it from media. "
            f"Train on extracted features, or predict without {role}"
        )
    cls: Any
    cls, tag = _class_of(recorded)
    fields = {field.name for field in dataclasses.fields(cls)}
    options = {**cls.variants.get(tag, {}), **spec["options"]}
    if "model" in fields and recorded["model"]:
        options["model"] = recorded["model"]
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    made: Extractor = cls(**{key: value for key, value in options.items() if key in fields}, tag=tag)
    made.prepare()
    if spec_digest(made.spec()) != recorded["digest"]:
        raise FeatzooError(
            f"run {run} reads its {role} from {recorded['key']}; {made.label} makes {made.key} here: "
            f"{_differences(spec, made.spec())}. Use the weights and the featzoo version of the run"
        )
    return made


def _class_of(recorded: Mapping[str, Any]) -> tuple[type, str]:
    """The class that made a recorded set, and its variant's tag."""
    path = recorded.get("class", "")
    if ":" in plugins.parse(recorded["request"]).name:
        return plugins.find(plugins.EXTRACTORS, path or plugins.parse(recorded["request"]).name)
    try:
        return plugins.find(plugins.EXTRACTORS, recorded["name"])
    except UnknownName:
        if not path:
            raise
        return plugins.find(plugins.EXTRACTORS, path)


def _differences(recorded: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    differing = [key for key in sorted({*recorded, *here}) if recorded.get(key) != here.get(key)]
    return "; ".join(f"{key} was {recorded.get(key)}, is {here.get(key)}" for key in differing)
