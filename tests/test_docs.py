"""The documents run: their code, their commands, their links."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from featzoo.cli import feat, zoo

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "examples" / "README.md"])
CLIPS = ROOT / "examples" / "clips"


def blocks(path: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_extractor_of_the_how_to_works_as_written(tmp_path: Path) -> None:
    """It is complete in 25 lines, obeys the contract, and runs from its folder with nothing registered."""
    code, check = blocks(ROOT / "docs/how-to/add-an-extractor.md")
    assert len(code.splitlines()) <= 25
    (tmp_path / "loudness.py").write_text(code)
    clip = str(CLIPS / "clip01.mp4")
    program = "from pathlib import Path\nfrom loudness import Loudness\n" + check.replace("path)", f"Path({clip!r}))")
    environment = {"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment, cwd=tmp_path)
    command = [Path(sys.executable).with_name("feat"), "extract", clip, "-x", "loudness:Loudness[hop=0.05]", "-j", "1"]
    done = subprocess.run(command, check=False, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert "1 stored" in done.stdout, done.stdout + done.stderr


@pytest.mark.usefixtures("one_process")
def test_the_head_of_the_how_to_works_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Head and recipe are complete in 40 lines, keep the contract, and train on features of the example clips."""
    page = ROOT / "docs/how-to/add-a-head.md"
    code, check = blocks(page)
    (recipe,) = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len((code + recipe).splitlines()) <= 40
    (tmp_path / "mean_head.py").write_text(code)
    (tmp_path / "mean.toml").write_text(recipe)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    exec("from mean_head import MeanHead, Options\n" + check, {})  # noqa: S102
    for program, *words in (
        [feat, "extract", str(CLIPS), "-x", "egemaps", "-j", "1"],
        [zoo, "train", "./mean.toml", "--device", "cpu"],
    ):
        done = CliRunner().invoke(program, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    (run,) = (tmp_path / "runs").iterdir()
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 2


def commands() -> list[tuple[str, str]]:
    found = []
    for path in DOCUMENTS:
        for line in path.read_text(encoding="utf-8").splitlines():
            match = re.match(r"\s+(?:\$ )?(?:PYTHONPATH=\. )?((?:feat|zoo) .*)", line)
            if match:
                found.append((path.name, match[1]))
    return found


@pytest.mark.parametrize(("document", "line"), commands())
def test_commands_in_the_documents_exist(document: str, line: str) -> None:
    """Each command's name, options and arguments are understood by the program (nothing is run)."""
    group, *words = shlex.split(line, comments=True)
    command: click.Command = {"feat": feat, "zoo": zoo}[group]
    while isinstance(command, click.Group):
        context = click.Context(command)
        name, found, words = command.resolve_command(context, words)
        assert found is not None, f"{document}: {name}"
        command = found
    command.make_context(command.name, words, resilient_parsing=False)


def test_every_importer_of_a_corpus_has_a_row_with_its_command() -> None:
    page = (ROOT / "docs/reference/corpora.md").read_text(encoding="utf-8")
    importers = feat.commands["import"]
    assert isinstance(importers, click.Group)
    corpora = {"import_corpora", "import_speech", "import_texts"}
    names = {name for name, command in importers.commands.items()
             if command.callback and command.callback.__module__.rpartition(".")[2] in corpora}  # fmt: skip
    assert len(names) >= 19
    assert [name for name in sorted(names - {"parallel"}) if f"| `feat import {name}` |" not in page] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_architecture_names_every_module_at_the_top() -> None:
    page = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    found = {
        path.stem for path in (ROOT / "src/featzoo").iterdir() if path.stem[0] not in "_." and path.suffix != ".typed"
    }
    assert {name for name in found if f"`{name}`" not in page and f"`{name}/`" not in page} == set()
