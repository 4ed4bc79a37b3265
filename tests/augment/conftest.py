"""A server to ask, and sources to translate."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from augment.api import serving, text_of
from featzoo.cli import zoo


@pytest.fixture
def api(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as running:
        yield running


@pytest.fixture
def source(tmp_path):
    """Writes English rows, by number or as given."""

    def write(*rows, name="english.jsonl", split="train"):
        place = tmp_path / name
        made = [
            {"id": f"r{row}", "language": "en", "text": text_of(row), "split": split, "labels": {"openness": row % 2}}
            if isinstance(row, int)
            else row
            for row in rows
        ]
        place.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
        return place

    return write


@pytest.fixture
def run(api, tmp_path):
    """Runs `zoo augment` against the server; the output is `out.jsonl` unless -o says otherwise."""

    def augment(source: Path, *options: str, yes: bool = True, **more) -> Result:
        given = ["augment", str(source), *options]
        for name, value in (("--endpoint", api.url), ("--model", "m1"), ("-o", str(tmp_path / "out.jsonl"))):
            if name not in options:
                given += [name, value]
        if "--backoff" not in options:
            given += ["--backoff", "0.01"]
        return CliRunner().invoke(zoo, given + ["--yes"] * yes, catch_exceptions=False, **more)

    return augment


@pytest.fixture
def rows(tmp_path):
    """The rows of an output file."""
    return lambda name="out.jsonl": [
        json.loads(line) for line in (tmp_path / name).read_text(encoding="utf-8").splitlines()
    ]
