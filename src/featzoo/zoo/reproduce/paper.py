"""The papers that `zoo reproduce` knows: files to look for, steps, and published figures, described in TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featzoo.config import load
from featzoo.errors import UnknownName, suggestion

FOLDER = Path(__file__).parent / "papers"
# The name of a recipe without one of its ablations.
FULL = "full model"


@dataclass(frozen=True)
class Step:
    """One import.

    Attributes:
        importer: A name in `imports.IMPORTERS`.
        file: Pattern of the path below the user's folder, in lower case; `*` also stands for folders.
        published: The file's name as it is distributed, for messages.
        folder: Whether the importer reads the file's folder.
        also: Names of other files that must lie in the same folder.
        options: The importer's options.
    """

    importer: str
    file: str
    published: str
    folder: bool = False
    also: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """One form in which the data are published.

    Attributes:
        name: Of the form.
        get: Where its authors publish it.
        steps: The imports, in order.
    """

    name: str
    get: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Extraction:
    """A feature set to extract.

    Attributes:
        features: A request, such as `bert.ids`.
        clips: Pattern of the clips' ids.
    """

    features: str
    clips: str = "*"


@dataclass(frozen=True)
class Teacher:
    """A head that is trained first, whose outputs the row's recipe reads.

    Attributes:
        recipe: Its recipe.
        set: Dotted field to value.
        features: Request for its outputs, in which `{run}` is its run's folder.
        clips: Pattern of the ids of the clips that it reads.
    """

    recipe: str
    features: str
    clips: str = "*"
    set: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """The figures from which costs are estimated; see `estimate`.

    Attributes:
        clips: Clips in all splits.
        train: Clips of the train split, in all languages.
        dev: Clips of the dev split.
        epochs: Passes over the train split.
        operations: Floating-point operations to train on a clip once, forward and backward.
        parameters: Weights that are trained.
        activations: Bytes that a clip of a batch needs on the device.
        batch: Clips in a batch.
        features: Bytes on disk of a clip's features.
        extract: Seconds of one core to extract a clip's features.
    """

    clips: int
    train: int
    dev: int
    epochs: int
    operations: float
    parameters: float
    activations: float
    batch: int
    features: float
    extract: float


@dataclass(frozen=True)
class Row:
    """One row of a paper's results: a data set, and the figures of one or several variants.

    Attributes:
        data: The data set.
        table: The place of the figures in the paper.
        recipe: The recipe that is trained.
        sources: Forms of the data; the first whose files are all there is used.
        extract: Feature sets to extract.
        published: Variant (`full model`, or an ablation of the recipe) to metric to the paper's figure.
        work: For the estimate of costs.
        set: Changes of the recipe.
        teacher: A head to train first.
        differences: What differs from the paper in this row, besides the head's own differences.
    """

    data: str
    table: str
    recipe: str
    sources: tuple[Source, ...]
    extract: tuple[Extraction, ...]
    published: Mapping[str, Mapping[str, float]]
    work: Work
    set: Mapping[str, Any] = field(default_factory=dict)
    teacher: Teacher | None = None
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Paper:
    """A paper.

    Attributes:
        title: Its title.
        reference: Where it is.
        protocol: The paper's protocol that its rows follow, in sentences.
        rows: Name to row.
    """

    title: str
    reference: str
    protocol: tuple[str, ...]
    rows: Mapping[str, Row]


def papers() -> list[str]:
    """The names of the papers."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find_paper(name: str) -> Paper:
    """A paper by name.

    Raises:
        UnknownName: If there is none of that name.
    """
    if name not in papers():
        raise UnknownName(f"no paper '{name}'{suggestion(name, papers())}")
    return load(Paper, FOLDER / f"{name}.toml")
