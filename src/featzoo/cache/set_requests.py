"""The feature sets of a store that a request means."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from featzoo import plugins
from featzoo.errors import FeatzooError, MissingPackage, MissingWeights, StoreError
from featzoo.extractors.contract import COMMON_OPTIONS, made_by, make_extractor, unkeyed_options, unwritten_defaults

if TYPE_CHECKING:
    from featzoo.cache.featureset import FeatureSet

# Digits of the spec's digest in a key.
DIGITS = 8


def matching(request: str, sets: Sequence[FeatureSet], bad: Mapping[Path, StoreError]) -> list[FeatureSet]:
    """The sets that a request means: a key, or a name or `module:Class` with options.

    A name alone means the default configuration, if that is stored; a pooled or converted set matches only if the
    request names those options, or if no other set matches. Options that are not in the key, such as a path to weights,
    are not compared, but the weights' digests are: no set matches if the weights are not on this machine.

    Args:
        request: The request.
        sets: The sets that can be read.
        bad: `set.json` of the others, and why.

    Raises:
        StoreError: If a set might match whose `set.json` cannot be read.
        InvalidOption: If the extractor does not have such options.
    """
    for found in sets:
        if found.key == request:
            return [found]
    same = [found for found in sets if _same_set(found, request)]
    if same:
        return same
    wanted = plugins.parse(request)
    name, cls = made_by(wanted.name)
    bare = bool(wanted.options) and (bool(cls) or "." not in name)
    _check_unread(bad, request, name, bare)
    unwritten = unwritten_defaults(wanted.name) if wanted.options else {}
    unkeyed = unkeyed_options(wanted.name) & wanted.options.keys()
    compared = {key: value for key, value in wanted.options.items() if key not in unkeyed}
    # A name or a path may choose weights, a number (such as the batch size) does not.
    leads = any(isinstance(wanted.options[option], str) for option in unkeyed)
    try:
        digests = make_extractor(request).digests() if leads else None
    except (MissingWeights, MissingPackage):
        return []
    fitting = [
        found
        for found in sets
        if (found.name.split(".")[0] if bare else found.name) == (name or found.name)
        # Sets from before 0.2.0 do not record their class, so the name must suffice.
        and (not cls or found.provenance.get("class", cls if name else "") == cls)
        and compared.items() <= {**unwritten, **found.options}.items()
        and digests in (None, found.spec.get("digests", {}))
    ]
    return _preferred(request, fitting, COMMON_OPTIONS - wanted.options.keys(), default=not wanted.options)


def _same_set(found: FeatureSet, key: str) -> bool:
    """Whether a set is that of a key which names the variant in another way: 0.2.0 gives both spellings one name."""
    label, _, digest = key.rpartition("-")
    return (
        len(digest) == DIGITS and found.key.endswith(f"-{digest}") and label.split(".")[0] == found.name.split(".")[0]
    )


def _preferred(request: str, fitting: list[FeatureSet], unasked: Collection[str], default: bool) -> list[FeatureSet]:
    """Of several sets, those without pooling or conversion; of these the default one, if no option is named."""
    if len(fitting) > 1:
        fitting = [found for found in fitting if not any(option in found.options for option in unasked)] or fitting
    if len(fitting) > 1 and default:
        try:
            key = make_extractor(request).key
        except FeatzooError:  # it is not installed here, or its weights are not
            return fitting
        fitting = [found for found in fitting if found.key == key] or fitting
    return fitting


def _check_unread(bad: Mapping[Path, StoreError], request: str, name: str, bare: bool) -> None:
    """Refuse a request that a set might match whose `set.json` cannot be read."""
    for place, error in bad.items():
        label = place.parent.name.rpartition("-")[0]
        if place.parent.name == request or (label.split(".")[0] if bare else label) == (name or label):
            raise error
