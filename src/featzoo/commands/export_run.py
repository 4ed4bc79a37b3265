"""`zoo export`: a run's head for programs without PyTorch."""

from __future__ import annotations

from pathlib import Path

import click

from featzoo.commands.options import FOLDER, TRUST
from featzoo.commands.printing import echo
from featzoo.wording import count


@click.command(name="export")
@click.argument("run", type=FOLDER)
@click.option("--onnx", "path", required=True, type=FOLDER, metavar="[FILE]", is_flag=False, flag_value="head.onnx",
              help="The ONNX file to write; without a name, head.onnx.")  # fmt: skip
@TRUST
def export_run(run: Path, path: Path, trust: bool) -> None:
    """Export a run's head as an ONNX file.

    The file takes features as they are stored, with the standardisation in it. Its predictions are compared with
    PyTorch's on the run's own clips; if they differ, or the head cannot be exported, nothing is written.

    \b
    zoo export runs/lf-dnn-2026-11-20-1a2b3c --onnx head.onnx
    """
    from featzoo.zoo.runs.folder import RunFolder

    RunFolder.open_finished(run, trust)
    from featzoo.zoo.runs.onnx_export import export_onnx

    echo("exporting: a head of many layers, such as mult, takes minutes", err=True)
    made = export_onnx(run, path, trust)
    for name, shape in made.inputs.items():
        echo(f"{name}: ({', '.join(map(str, shape))})")
    echo(f"prediction: (batch, {len(made.outputs)}): {', '.join(made.outputs)}")
    echo(f"largest difference to PyTorch on {count(made.clips, 'clip')}: {made.difference:.1e}")
    echo(f"written: {made.path}")
