"""The feature sets of a store that a recipe reads, or that a run was trained on."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featzoo.errors import InvalidOption, MissingFeatures, StoreError
from featzoo.wording import count, some
from featzoo.zoo.input_spec import InputSpec, holds_token_ids
from featzoo.zoo.recipe import Recipe

if TYPE_CHECKING:
    from featzoo.cache.featureset import FeatureSet
    from featzoo.cache.store import FeatureStore


@dataclass(frozen=True)
class Chosen:
    """The feature set that a role reads.

    Attributes:
        request: The alternative of the recipe that the store holds; "" if the recipe does not use the role.
        features: The set; None if the recipe does not use the role.
        spec: Width and kind.
    """

    request: str
    features: FeatureSet | None
    spec: InputSpec

    @property
    def key(self) -> str:
        """The set's key, "" if the recipe does not use the role."""
        return self.features.key if self.features is not None else ""


def choose(store: FeatureStore, recipe: Recipe) -> dict[str, Chosen]:
    """The first alternative of each role that the store holds.

    Args:
        store: A feature store.
        recipe: The recipe.

    Raises:
        MissingFeatures: If the store holds no set for a role.
        InvalidOption: If a set holds logits of other targets than the recipe's, or in another order.
    """
    chosen: dict[str, Chosen] = {}
    lacking: dict[str, str] = {}
    for role, wanted in recipe.inputs.items():
        if not wanted.features:
            chosen[role] = Chosen("", None, InputSpec(1, given=False))
            continue
        for request in wanted.features:
            found = store.find(request)
            if found is not None and found.ids():
                _same_targets(role, found, recipe.target.columns)
                chosen[role] = Chosen(request, found, _spec(found))
                break
        else:
            lacking[role] = f"{role} (any of {', '.join(wanted.features)})"
    if lacking:
        raise MissingFeatures(
            f"recipe {recipe.name} needs features that the store does not hold: {'; '.join(lacking.values())}", lacking
        )
    return chosen


def _same_targets(role: str, features: FeatureSet, columns: Sequence[str]) -> None:
    """Check that columns `logit_<target>`, as made by `clad-teacher`, match the recipe's targets in order."""
    theirs = [name.removeprefix("logit_") for name in features.names if name.startswith("logit_")]
    if theirs and theirs != list(columns):
        raise InvalidOption(
            f"input {role}: {features.key} holds logits of {', '.join(theirs)}; the recipe predicts "
            f"{', '.join(columns)}. Expected the same in the same order: set target.columns to {json.dumps(theirs)}"
        )


def _spec(features: FeatureSet) -> InputSpec:
    first = features[features.ids()[0]].features
    model = str(features.provenance.get("model", "") or features.spec.get("model", ""))
    width = math.prod(first.shape[1:])
    return InputSpec(width, ids=holds_token_ids(first.dtype, width), model=model)


def describe(chosen: Mapping[str, Chosen]) -> dict[str, dict[str, Any]]:
    """Role to the set that it reads, which a run records and later requires."""
    return {
        role: {
            "request": one.request,
            "key": one.key,
            "name": one.features.name if one.features is not None else "",
            "class": one.features.provenance.get("class", "") if one.features is not None else "",
            "digest": one.features.digest if one.features is not None else "",
            "width": one.spec.width,
            "ids": one.spec.ids,
            "model": one.spec.model,
            "licence": str(one.features.provenance.get("licence", "")) if one.features is not None else "",
            "names": list(one.features.names) if one.features is not None else [],
            "spec": dict(one.features.spec) if one.features is not None else {},
        }
        for role, one in chosen.items()
    }


def unfinished(store: FeatureStore, chosen: Mapping[str, Chosen]) -> list[str]:
    """A line for each extracted set that lacks clips of the store which did not fail either.

    Sets that were imported are as they were published, and are not named.
    """
    known, lines = set(store.clip_ids()), []
    for role, one in chosen.items():
        if one.features is None or not one.features.reads:
            continue
        lacking = known - set(one.features.ids())
        if lacking:  # else no failure, a small file each, is read
            lacking -= {failure.clip for failure in one.features.failures()}
        if lacking:
            of = f"{len(lacking)} of {count(len(known), 'clip')} ({some(sorted(lacking))})"
            lines.append(
                f"{role}: {one.key} has neither features nor a failure of {of}: its extraction was for other clips, or "
                "is not finished"
            )
    return lines


# The fields of a recorded set that are read, and their types.
RECORDED = {"request": str, "key": str, "digest": str, "width": int, "ids": bool, "model": str, "spec": dict}


def checked_record(recorded: Mapping[str, Any]) -> Mapping[str, Any]:
    """A set that a run recorded, whose fields have their types.

    Raises:
        LookupError, TypeError: If one is missing or has another type.
    """
    for name, kind in RECORDED.items():
        if not isinstance(recorded[name], kind):
            raise TypeError(f"{name} is {recorded[name]!r}")
    return recorded


def same_sets(
    store: FeatureStore, run: Path, sets: Mapping[str, Mapping[str, Any]], without: Collection[str] = ()
) -> dict[str, Chosen]:
    """The sets that a run was trained on, digest for digest.

    Args:
        store: The store to search.
        run: The run's folder, for the message.
        sets: Role to the record from `describe`.
        without: Roles whose set may be missing: they are masked then.

    Raises:
        StoreError: If the store does not hold exactly these sets.
    """
    chosen = {}
    for role, one in sets.items():
        spec = InputSpec(one["width"], one["ids"], one["model"], bool(one["key"]))
        if not one["key"]:
            chosen[role] = Chosen("", None, spec)
            continue
        found = store.find(one["key"])
        if found is None or found.digest != one["digest"]:
            if role in without:
                chosen[role] = Chosen("", None, spec)
                continue
            other = _like(store, one["request"])
            holds = f"{other.key}, made with other settings or weights" if other else "no set of that name"
            raise StoreError(
                f"run {run.name} reads its {role} from {one['key']}; the store holds {holds}. "
                f"The right one is made by: feat extract <folder> -x '{one['request']}' "
                f"with the settings under '{role}' in {run / 'features.json'}"
            )
        chosen[role] = Chosen(one["request"], found, spec)
    return chosen


def _like(store: FeatureStore, request: str) -> FeatureSet | None:
    try:
        return store.find(request)
    except StoreError:  # several sets match it
        return None
