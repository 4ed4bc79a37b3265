"""Values of options that a run does not record, because it was trained before they existed.

A run's recipe records every option of its head. If the default of a new option differs from what heads did before, an
older run must keep what it did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from featzoo.zoo.recipe import Recipe

# Head to the options that came later, with the value that repeats what the head did before.
EARLIER: Mapping[str, Mapping[str, Any]] = {
    "clad": {"teacher_vectors": "raw"},
    "siamese": {"mask_words": True},
}


def with_earlier_options(recorded: Recipe) -> Recipe:
    """A run's recipe, completed by the options that its version did not have.

    Args:
        recorded: The recipe that the run recorded.
    """
    return replace(recorded, options={**EARLIER.get(recorded.head, {}), **recorded.options})
