"""The pretrained heads that come with featzoo: finished runs in folders of the package, found by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from featzoo.config import load
from featzoo.errors import FeatzooError, suggestion
from featzoo.zoo.runs.folder import RECIPE

FOLDER = Path(__file__).parents[1] / "pretrained"
# What is told of a head without reading its run.
CARD = "card.toml"


@dataclass(frozen=True)
class Card:
    """What a pretrained head predicts, from what, how well, and under which licence.

    Attributes:
        predicts: The labels, with their range.
        reads: The inputs.
        held_out: The metrics on clips that training did not see.
        floor: The same metrics of a constant prediction.
        data: The corpus that it was trained on.
        licence: Of the head; that of its corpus where the corpus has one.
        needs: The extras of featzoo that its features need.
    """

    predicts: str
    reads: str
    held_out: str
    floor: str
    data: str
    licence: str
    needs: str


def pretrained() -> dict[str, Path]:
    """The pretrained heads' folders, by name."""
    return {place.parent.name: place.parent for place in sorted(FOLDER.glob(f"*/{CARD}"))}


def card(name: str) -> Card:
    """The card of a pretrained head.

    Raises:
        FeatzooError: If there is no head of that name.
    """
    heads = pretrained()
    if name not in heads:
        raise FeatzooError(f"no pretrained head '{name}'{suggestion(name, heads)}")
    return load(Card, heads[name] / CARD)


def find_run(run: str | Path) -> Path:
    """A run's folder from its path, or from the name of a pretrained head. A run at the path comes first.

    Raises:
        FeatzooError: If there is neither.
    """
    path = Path(run)
    if (path / RECIPE).is_file():
        return path
    heads = pretrained()
    if str(run) in heads:
        return heads[str(run)]
    if path.exists() or path.parent != Path():
        return path  # RunFolder says what is wrong with it
    raise FeatzooError(f"'{run}' is not a run folder or the name of a pretrained head{suggestion(str(run), heads)}")
