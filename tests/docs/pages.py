"""The steps of a page: its commands with the output that it shows, its Python, and the files that it gives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PROGRAMS = (
    "feat", "zoo", "python", "pip", "export", "for", "sbatch", "srun", "accelerate", "torchrun", "dask", "hf", "eval",
)  # fmt: skip
COMMAND = re.compile(rf"(?:\w+=\S+ )*(?:{'|'.join(PROGRAMS)})\b(?!\.)")
NAMED = re.compile(r"`([\w-]+\.(?:py|toml|csv))`[^`]*:$")


@dataclass(frozen=True)
class Step:
    """One thing that a reader of a page does.

    Attributes:
        kind: `command`, `python`, `session` (lines with `>>>`), or `file`.
        text: The command, the code, or the file's content.
        shown: The output that the page shows for a command.
        name: Of a file.
    """

    kind: str
    text: str
    shown: str = ""
    name: str = ""


def steps(page: str) -> list[Step]:
    """The steps of a page below docs/, in its order."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    return [step for language, before, block in blocks(lines) for step in in_block(language, before, block)]


def blocks(lines: list[str]) -> Iterator[tuple[str, str, list[str]]]:
    """The language, the line of text before, and the lines of each block that is fenced or indented by four spaces."""
    before, number = "", 0
    while number < len(lines):
        line = lines[number]
        fence = re.fullmatch(r"```(\w+)", line)
        if fence:
            end = lines.index("```", number)
            yield fence[1], before, lines[number + 1 : end]
        elif line.startswith("    ") and not lines[number - 1].strip():
            end = next((n for n in range(number, len(lines)) if not lines[n].startswith("    ")), len(lines))
            yield "", before, [each[4:] for each in lines[number:end]]
        else:
            before = line if line.strip() else before
            end = number + 1
        number = end + 1 if fence else end


def in_block(language: str, before: str, block: list[str]) -> Iterator[Step]:
    """The steps in a block."""
    named = NAMED.search(before)
    if named and language in ("python", "toml"):
        yield Step("file", "\n".join([*block, ""]), name=named[1])
    elif language == "python":
        yield Step("python", "\n".join([*block, ""]))
    elif not language and block[0].startswith(">>> "):
        yield Step("session", "\n".join([*block, ""]))
    elif not language and any(line.startswith("$ ") for line in block):
        starts = [n for n, line in enumerate(block) if line.startswith("$ ")]
        for start, end in zip(starts, [*starts[1:], len(block)], strict=True):
            yield Step("command", block[start][2:], "\n".join(block[start + 1 : end]))
    elif language in ("", "sh"):
        yield from (Step("command", line) for line in block if COMMAND.match(line))


def is_as_shown(shown: str, printed: str) -> bool:
    """Whether the output is the one shown, apart from white space and what `...` stands for."""
    pattern = re.escape(" ".join(shown.split()))
    return re.fullmatch(re.sub(r"(\\ )?\\\.\\\.\\\.(\\ )?", ".*", pattern), " ".join(printed.split())) is not None
