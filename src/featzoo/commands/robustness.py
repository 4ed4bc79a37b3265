"""`zoo robustness`."""

from __future__ import annotations

from pathlib import Path

import click

from featzoo.commands.options import DEVICE, FOLDER, TRUST, Option
from featzoo.commands.printing import echo, echo_lines
from featzoo.commands.trials import SHOWN


@click.command()
@click.argument("run", type=FOLDER)
@click.option("-o", "--store", cls=Option, older=("--features",), type=FOLDER,
              help="Another feature store than the one the run was trained on.")  # fmt: skip
@click.option("--split", default="test", show_default=True, help="train, valid (dev) or test.")
@click.option("--against", "others", multiple=True, type=FOLDER, metavar="RUN",
              help="Show this run beside, such as one of a single input; repeatable.")  # fmt: skip
@click.option("--to", type=FOLDER, help="Folder for the table and the picture; default: the run's.")
@TRUST
@DEVICE
def robustness(
    run: Path, store: Path | None, split: str, others: tuple[Path, ...], to: Path | None, trust: bool, device: str
) -> None:
    """Measure what a run loses on missing, noisy or short inputs.

    Noise is added to features, not to sound or pictures: in each column, it has the variance of the train split divided
    by the signal-to-noise ratio.

    \b
    zoo robustness runs/tfn-2026-11-20-1a2b3c
    zoo robustness runs/tfn-2026-11-20-1a2b3c --against runs/text-alone-2026-11-20-4d5e6f
    """
    from featzoo.zoo.runs.folder import RunFolder

    folder = RunFolder.open_finished(run, trust)
    from featzoo.durable import write
    from featzoo.zoo.metrics.tables import text_table
    from featzoo.zoo.runs.robustness import measure_robustness
    from featzoo.zoo.runs.robustness_files import ROBUSTNESS, robustness_csv, robustness_picture, robustness_table

    found = measure_robustness(run, store, split, others, device, trust)
    metrics = SHOWN[folder.recipe.target.metrics]
    place = to or run
    echo_lines(text_table(robustness_table(found, metrics)))
    echo(f"{found.split}; noise is added to features, with the variance of the train split divided by the ratio")
    if found.without_noise:
        echo(f"no noise in {', '.join(found.without_noise)}: token ids")
    place.mkdir(parents=True, exist_ok=True)
    write(place / ROBUSTNESS, robustness_csv(found))
    write(place / "robustness.png", robustness_picture(found, metrics[0]))
    echo(f"table: {place / ROBUSTNESS}")
    echo(f"plot: {place / 'robustness.png'}")
