"""The how-to pages work when they are typed, from what `feat example` makes and tiny sets in true formats.

What they cannot run is in `docs.not_run`, with the reason. Slow steps run in the slow tests. The share that runs is
printed after the tests, with the steps that take more than a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from augment.api import serving

from docs.not_run import NOT_RUN, reason
from docs.pages import DOCS, steps
from docs.reader import follow
from docs.stock import Stock
from docs.worlds import WORLDS, World

PAGES = sorted(path.name for path in (DOCS / "how-to").glob("*.md"))
REAL = "corpora/"
WITH_SLOW = [page for page, world in WORLDS.items() if world.slow]


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    return Stock(tmp_path_factory.mktemp("stock"))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server that translates."""
    with serving() as api:
        yield api.url


@pytest.fixture
def variables() -> Iterator[None]:
    """What a page puts into the environment is taken back."""
    before = dict(os.environ)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        os.environ.pop(name, None)
    yield
    os.environ.clear()
    os.environ.update(before)


def of(table: dict[str, Any], text: str, default: object) -> Any:
    """The value of the first beginning of a text."""
    return next((value for beginning, value in table.items() if text.startswith(beginning)), default)


@pytest.mark.usefixtures("one_process", "variables")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page in WORLDS]
    + [pytest.param(page, marks=pytest.mark.slow, id=f"all of {page}") for page in PAGES if page in WITH_SLOW],
)
def test_the_steps_of_a_page_run_in_its_order(
    page: str,
    stock: Stock,
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    print_table: Callable[[list[str]], None],
    request: pytest.FixtureRequest,
) -> None:
    world: World = WORLDS[page]
    left_out = () if request.node.get_closest_marker("slow") else world.slow
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("FEATZOO_WEIGHTS", str(stock.weights))
    world.make(stock)
    every = steps(f"how-to/{page}")
    typed = [step for step in every if not reason(page, step) and not step.text.startswith(left_out)]
    told = [f"docs/how-to/{page}: {len(typed)} of {len(every)} steps run"]
    for step in typed:
        began = time.process_time()
        follow(step, of(world.status, step.text, 0), of(world.more, step.text, "").replace("URL", server), True)
        took = time.process_time() - began
        told += [f"{took:6.1f} CPU s  {step.name or step.text.splitlines()[0]}"] if took > 1 else []
    print_table(told)


@pytest.mark.data
@pytest.mark.usefixtures("one_process")
def test_the_real_corpora_are_imported_as_the_page_shows(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    real = [step for step in steps("how-to/datasets.md") if step.text.startswith("feat") and REAL in step.text]
    assert len(real) >= 6
    for step in real:
        follow(replace(step, text=step.text.replace(REAL, f"{data}/")))


@pytest.mark.parametrize(("page", "most"), [("add-a-head.md", 40), ("add-an-extractor.md", 25)])
def test_own_code_takes_few_lines(page: str, most: int) -> None:
    assert sum(len(step.text.splitlines()) for step in steps(f"how-to/{page}") if step.kind == "file") <= most


def test_every_page_with_steps_is_typed_or_says_why_not() -> None:
    others = {page for page in PAGES if page not in WORLDS}
    assert [page for page in others for step in steps(f"how-to/{page}") if not reason(page, step)] == []


@pytest.mark.parametrize(("page", "beginning"), [(page, beginning) for page, beginning, _ in NOT_RUN])
def test_what_is_not_run_is_on_its_page(page: str, beginning: str) -> None:
    assert any(step.text.startswith(beginning) for step in steps(f"how-to/{page}"))
