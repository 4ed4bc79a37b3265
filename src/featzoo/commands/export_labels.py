"""`feat export csv` and `feat export label-studio`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from featzoo.commands.options import DRY_RUN, FOLDER, STORE, Option
from featzoo.commands.printing import echo_lines

if TYPE_CHECKING:
    from featzoo.exchange.formats.label_studio import Guess
    from featzoo.zoo.runs.predictions import RecordedPredictions
    from featzoo.zoo.target import Target

# A class of several at once is chosen if its probability is above this.
THRESHOLD = 0.5


@click.command(name="csv")
@click.argument("feature_set")
@click.argument("path", type=FOLDER)
@STORE
@click.option("--labels", is_flag=True, help="Add the split and the labels of each clip.")
@DRY_RUN
def export_csv(feature_set: str, path: Path, store: Path, labels: bool, dry_run: bool) -> None:
    """Export a CSV table.

    FEATURE_SET is written to the file PATH with the columns clip, start and end, and one column for each feature. A
    cell is empty where a value was not observed.

    \b
    feat export csv egemaps.functionals egemaps.csv --labels
    """
    from featzoo.exchange.formats.csv_table import export_csv as write

    echo_lines("\n".join(write(store, feature_set, path, labels=labels, dry_run=dry_run)))


@click.command(name="label-studio")
@click.argument("run", type=FOLDER)
@click.argument("path", type=FOLDER)
@click.option("--split", default="test", show_default=True, help="train, valid (dev) or test.")
@click.option("-o", "--store", cls=Option, older=("--output", "--features"), type=FOLDER,
              help="Another feature store than the one the run was trained on.")  # fmt: skip
@DRY_RUN
def export_label_studio(run: Path, path: Path, split: str, store: Path | None, dry_run: bool) -> None:
    """Export a run's predictions for Label Studio.

    The file PATH gets a task for each clip with the predictions that RUN recorded, for people to correct. The labeling
    interface to use is printed.

    \b
    feat export label-studio runs/tfn-2026-11-20-1a2b3c tasks.json
    """
    from featzoo.cache.store import FeatureStore
    from featzoo.errors import FeatzooError
    from featzoo.exchange.formats.label_studio import export_label_studio as write
    from featzoo.vocabulary import split_name
    from featzoo.wording import some
    from featzoo.zoo.runs.folder import RunFolder

    folder = RunFolder.open_finished(run)
    recorded, target = folder.predictions(split_name(split) or split), folder.recipe.target
    clips = FeatureStore(store or folder.store).clips()
    lost = [name for name in recorded.ids if name not in clips]
    if lost:
        raise FeatzooError(f"{store or folder.store} lacks clips that {run} predicts: {some(lost)}")
    classes = {target.columns[0]: target.classes} if target.kind == "class" else {}
    if target.kind == "classes":
        classes = {"classes": target.columns}
    guesses = _guesses(recorded, target)
    lines = write([clips[name] for name in recorded.ids], guesses, classes, folder.path.resolve().name, path, dry_run)
    echo_lines("\n".join(lines))


def _guesses(recorded: RecordedPredictions, target: Target) -> dict[str, Guess]:
    """Clip id to its prediction."""
    from featzoo.exchange.formats.label_studio import Guess

    found = {}
    for name, row in zip(recorded.ids, recorded.pred.tolist(), strict=True):
        if target.kind == "class":
            best = max(range(len(row)), key=row.__getitem__)
            found[name] = Guess({}, {target.columns[0]: [target.classes[best]]}, row[best])
        elif target.kind == "classes":
            chosen = [column for column, value in zip(target.columns, row, strict=True) if value > THRESHOLD]
            found[name] = Guess({}, {"classes": chosen}, min(max(value, 1 - value) for value in row))
        else:
            found[name] = Guess(dict(zip(target.columns, row, strict=True)), {})
    return found
