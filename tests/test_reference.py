"""The reference names everything that the program has."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

from featzoo import plugins
from featzoo.commands import import_corpora
from featzoo.commands.import_speech import SPEECH
from featzoo.commands.import_texts import TEXTS
from featzoo.exchange.corpora.acted_speech import CORPORA, CREMA_D
from featzoo.vocabulary import LASTING
from featzoo.zoo.metrics.classification import one_hot
from featzoo.zoo.metrics.targets import HIGHER_IS_BETTER, target_metrics
from featzoo.zoo.recipe import Ablation, Input, Recipe, Stage, Training
from featzoo.zoo.split_rule import SplitRule
from featzoo.zoo.target import Target

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
SOURCES = Path(__file__).parents[1] / "src" / "featzoo"
# Errors that are handled before a user can see them.
INTERNAL = {"VanishedShard", "NotATranscript", "UncertainTranscript", "UnknownEncoding", "UncertainEncoding"}
# The rows of a corpus's table.
PARTS = ["get it", "licence", "size", "labels", "splits"]
METRICS = (REFERENCE / "metrics.md").read_text(encoding="utf-8")
KINDS = get_type_hints(Target)["metrics"].__args__
# Rows of the page that a prediction without errors does not bring to the end of their range.
NOT_AT_THE_END = {"support", "sd_ratio"}


def rows(kind: str) -> dict[str, list[str]]:
    """Metric to the further cells of its row in a section of the page."""
    (section,) = re.findall(rf"^## `{kind}`\n(.*?)(?=^## )", METRICS, flags=re.DOTALL | re.MULTILINE)
    cells = [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in cells}


def measured(kind: str, flawless: bool) -> dict[str, float]:
    """The metrics of 300 predictions, by name; those of single classes, labels and languages together."""
    rng = np.random.default_rng(5)
    columns = ("low", "middle", "high") if kind == "class" else ("one",)
    ids = [f"{number // 3}/{('en', 'fr', 'ja')[number % 3]}" for number in range(300)]
    if kind == "class":
        truth = rng.integers(0, 3, (300, 1)).astype(float)
        pred = one_hot(truth, 3) if flawless else rng.dirichlet([1, 1, 1], 300)
    elif kind == "binary":
        truth = rng.integers(0, 2, (300, 1)).astype(float)
        pred = truth if flawless else rng.random((300, 1))
    else:
        low, high = {"sentiment": (-3, 3), "sims": (-1, 1), "traits": (0, 1)}.get(kind, (-50, 50))
        truth = rng.uniform(low, high, (300, 1))
        pred = truth if flawless else rng.uniform(low, high, (300, 1))
    found = target_metrics(kind, pred, truth, columns, truth, ids)
    return {name.rpartition(".")[2]: value for name, value in found.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_metric_has_a_row_with_its_range_and_direction(kind: str) -> None:
    page = rows(kind)
    random, flawless = measured(kind, False), measured(kind, True)
    assert sorted(page) == sorted(random)
    for name, (_, span, better, *_) in page.items():
        numbers = [float(number) for number in re.findall(r"-?\d+", span)]
        low = -math.inf if span.startswith("up to") else numbers[0]
        high = math.inf if span.startswith("from") else numbers[-1]
        assert low <= random[name] <= high, name
        if name in NOT_AT_THE_END:
            continue
        assert better == ("higher" if HIGHER_IS_BETTER[name] else "lower"), name
        assert flawless[name] == pytest.approx(high if better == "higher" else low), name


def test_every_reason_is_described() -> None:
    page = (REFERENCE / "failures.md").read_text(encoding="utf-8")
    assert [reason for reason in LASTING if f"| `{reason}`" not in page and f", `{reason}` |" not in page] == []


def raised_errors() -> dict[str, str]:
    """The classes of errors in the sources that a user can meet, with the class that each extends."""
    found = {}
    for path in SOURCES.rglob("*.py"):
        for name, base in re.findall(
            r"^class ([A-Z]\w+)\((\w+)\):", path.read_text(encoding="utf-8"), flags=re.MULTILINE
        ):
            found[name] = base
    known = {"FeatzooError", "TrainingStopped"}
    while more := {name for name, base in found.items() if base in known} - known:
        known |= more
    return {name: found[name] for name in known - INTERNAL}


def test_every_error_is_described_below_what_it_extends() -> None:
    page = (REFERENCE / "failures.md").read_text(encoding="utf-8")
    errors = raised_errors()
    assert len(errors) >= 17
    assert [name for name, base in errors.items() if f"| `{name}` | `{base}` |" not in page] == []


def test_the_example_of_errors_prints_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(
        r"```python\n(.*?)```", (REFERENCE / "failures.md").read_text(encoding="utf-8"), flags=re.DOTALL
    )
    exec(code, {})  # noqa: S102
    assert "elsewhere" in capsys.readouterr().out


def corpus_pages() -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in (REFERENCE / "corpora").glob("*.md")}


def test_every_importer_of_a_corpus_has_a_page_in_the_overview() -> None:
    overview, pages = (REFERENCE / "corpora.md").read_text(encoding="utf-8"), corpus_pages()
    names = {command.name for command in itertools.chain(import_corpora.CORPORA, SPEECH, TEXTS)} - {"parallel"}
    assert set(pages) == names
    assert [name for name in names if f"(corpora/{name}.md) | `feat import {name}` |" not in overview] == []
    for name, page in pages.items():
        assert re.findall(r"^## (.+)$", page, flags=re.MULTILINE) == ["Import", "Train", "Expect", "Traps"], name
        assert f"\n    feat import {name} " in page, name
        assert re.findall(r"^\| ([a-z ]+) \|", page, flags=re.MULTILINE) == PARTS, name


def test_the_numbers_of_clips_are_those_that_the_importers_expect() -> None:
    pages = corpus_pages()
    for name, corpus in {**CORPORA, "crema-d": CREMA_D}.items():
        assert f"| size | {sum(corpus.clips.values()):,} clips" in pages[name], name
        (labels,) = re.findall(r"^\| labels \| (.*) \|$", pages[name], flags=re.MULTILINE)
        assert [count for count in set(corpus.clips.values()) if f"{count:,}" not in labels] == [], name


def test_the_overview_names_every_extractor_and_head() -> None:
    page = (REFERENCE / "overview.md").read_text(encoding="utf-8")
    for kind in ("extractors", "heads"):
        names = {point.name for point in entry_points(group=f"featzoo.{kind}") if point.value.startswith("featzoo.")}
        assert [name for name in sorted(names) if f"`{name}`" not in page] == []


def test_the_glossary_is_sorted_and_has_only_terms_that_pages_use() -> None:
    glossary = REFERENCE / "glossary.md"
    terms = re.findall(r"^\| (?!term )([^|]+) \|", glossary.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(terms) > 40
    assert terms == sorted(terms, key=str.lower)
    pages = [path for path in REFERENCE.parent.rglob("*.md") if path != glossary]
    text = " ".join(" ".join(path.read_text(encoding="utf-8").split()) for path in pages).lower()
    assert [term for term in terms if term.split(",")[0].lower() not in text] == []


def undocumented(cls: type[Any]) -> list[str]:
    """The fields of a dataclass that the docstrings of it and its bases do not describe."""
    described = "\n".join(base.__doc__ or "" for base in cls.__mro__)
    return [
        f"{cls.__name__}.{field.name}"
        for field in dataclasses.fields(cls)
        if not re.search(rf"^\s+{field.name}: ", described, flags=re.MULTILINE)
    ]


def test_every_key_of_a_recipe_is_described() -> None:
    classes = (Recipe, Input, Target, SplitRule, Training, Stage, Ablation)
    assert [name for cls in classes for name in undocumented(cls)] == []


def test_every_option_of_an_extractor_is_described() -> None:
    classes = [plugins.find(plugins.EXTRACTORS, name)[0] for name in plugins.registered(plugins.EXTRACTORS)]
    ours = {cls for cls in classes if cls.__module__.startswith("featzoo.")}
    assert len(ours) > 15
    assert [name for cls in ours for name in undocumented(cls) if not name.endswith(".tag")] == []
