"""Tables in Markdown and LaTeX."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from featzoo.zoo.runs.table_formats import format_table

ROWS = [["recipe", "runs", "mae ↓"], ["psa_mf & co | 50%", "2", "0.1 ± 0.2"], ["tfn", "1", "0.5"]]


def test_markdown_has_a_cell_for_each_value_and_the_best_in_bold() -> None:
    assert format_table(ROWS, [1], "markdown").splitlines() == [
        "| recipe | runs | mae ↓ |",
        "| --- | ---: | ---: |",
        r"| psa\_mf & co \| 50% | 2 | **0.1 ± 0.2** |",
        "| tfn | 1 | 0.5 |",
    ]


def test_latex_escapes_its_special_characters() -> None:
    lines = format_table(ROWS, [1], "latex").splitlines()
    assert lines[0] == r"\begin{tabular}{lrr}"
    assert lines[4] == r"psa\_mf \& co | 50\% & 2 & \textbf{0.1 $\pm$ 0.2} \\"
    assert lines[-1] == r"\end{tabular}"


def test_a_single_row_has_no_best() -> None:
    assert "**" not in format_table(ROWS[:2], [1], "markdown")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex to compile the table")
def test_latex_compiles(tmp_path: Path) -> None:
    table = format_table(ROWS, [1], "latex")
    text = f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}\n{table}\n\\end{{document}}"
    (tmp_path / "a.tex").write_text(text, encoding="utf-8")
    subprocess.run(["pdflatex", "-interaction=batchmode", "a.tex"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
