"""The inputs of heads that read one, two or three of text, audio and vision."""

from __future__ import annotations

from collections.abc import Mapping

from featzoo.errors import InvalidOption
from featzoo.zoo.head import Role
from featzoo.zoo.input_spec import InputSpec

ANY_OF_THREE: Mapping[str, Role] = {
    "text": Role("features of the transcript, such as bert.minilm", optional=True),
    "audio": Role("features of the sound, such as egemaps.functionals", optional=True),
    "vision": Role("features of the picture", optional=True),
}


def read_roles(inputs: Mapping[str, InputSpec]) -> dict[str, int]:
    """Role to the width of its features, of the roles that have features.

    Raises:
        InvalidOption: If there are none.
    """
    found = {role: inputs[role].width for role in ANY_OF_THREE if role in inputs and inputs[role].given}
    if not found:
        raise InvalidOption(f"this head needs at least one input of {', '.join(ANY_OF_THREE)}")
    return found
