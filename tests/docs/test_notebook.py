"""The notebook runs from its first cell to its last, and its cells give what they show."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from docs.pages import DOCS

BOOK = DOCS / "tutorials" / "features-in-python.ipynb"


def test_the_cells_of_the_notebook_give_what_they_show(
    one_process: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in json.loads(BOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        code = "".join(cell["source"])
        body = ast.parse(code).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), "cell", "exec"), names)  # noqa: S102
        given = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None  # noqa: S307
        shown = [output["data"] for output in cell["outputs"]]
        if plt.get_fignums():
            assert "image/png" in shown[0], code
            plt.close("all")
        elif given is not None:
            assert repr(given) == "".join(shown[0]["text/plain"]), code
