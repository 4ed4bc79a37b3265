"""Tables as aligned text, Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence

from featzoo.zoo.metrics.tables import text_table

FORMATS = ("text", "markdown", "latex")

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
}  # fmt: skip


def format_table(rows: Sequence[Sequence[str]], best: Sequence[int | None], style: str) -> str:
    """A table as text; its first column is aligned to the left, the others to the right.

    Args:
        rows: The titles first.
        best: The row of the best value in each of the last columns, which Markdown and LaTeX print in bold.
        style: One of `FORMATS`; LaTeX needs the package booktabs.
    """
    if style == "text":
        return text_table(rows)
    escape, bold = (_markdown, "**{}**") if style == "markdown" else (_latex, r"\textbf{{{}}}")
    first = len(rows[0]) - len(best)
    cells = [[escape(cell) for cell in row] for row in rows]
    for column, row in enumerate(best, first):
        if row is not None and len(rows) > 2:
            cells[row][column] = bold.format(cells[row][column])
    if style == "markdown":
        rule = ["---"] + ["---:"] * (len(rows[0]) - 1)
        return "\n".join(f"| {' | '.join(row)} |" for row in [cells[0], rule, *cells[1:]])
    lines = [f"{' & '.join(row)} \\\\" for row in cells]
    columns = "l" + "r" * (len(rows[0]) - 1)
    body = "\n".join(lines[1:])
    return f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{lines[0]}\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}"


def _markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<>\[\]])", r"\\\1", text)


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
