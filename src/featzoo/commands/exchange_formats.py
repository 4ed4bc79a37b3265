"""`feat import` and `feat export` of single feature sets in other programs' formats."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from featzoo.commands.options import DRY_RUN, FOLDER, STORE, ListOption, print_account
from featzoo.commands.printing import echo_lines

NAME = click.option("--name", help="Name of the feature set; default: the file's own.")


def _named(default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--name", default=default, show_default=True, help="Name of the feature set.")


def _function(direction: str, name: str) -> Callable[..., Any]:
    """`import_NAME` or `export_NAME` of the format's module, which is imported only when the command runs."""
    found: Callable[..., Any] = getattr(import_module(f"featzoo.exchange.formats.{name}"), f"{direction}_{name}")
    return found


def _importer(name: str, text: str) -> click.Command:
    @click.command(name=name, help=text)
    @click.argument("path", type=FOLDER)
    @STORE
    @NAME
    @DRY_RUN
    def command(path: Path, store: Path, **options: Any) -> None:
        print_account(_function("import", name)(path, store, **options))

    return command


def _exporter(name: str, text: str) -> click.Command:
    @click.command(name=name, help=text)
    @click.argument("feature_set")
    @click.argument("path", type=FOLDER)
    @STORE
    @DRY_RUN
    def command(feature_set: str, path: Path, store: Path, dry_run: bool) -> None:
        echo_lines("\n".join(_function("export", name)(store, feature_set, path, dry_run=dry_run)))

    return command


@click.command(name="csd")
@click.argument("path", type=FOLDER)
@STORE
@NAME
@click.option(
    "--cut", is_flag=True, help="Treat each entry as a whole recording and cut it at the clip times in the store."
)
@DRY_RUN
def import_csd(path: Path, store: Path, **options: Any) -> None:
    """Import a CMU-MultimodalSDK file (.csd).

    PATH becomes one feature set. The exit status is 1 if an entry cannot be read; the others are imported.

    \b
    feat import csd words.csd
    feat import csd CMU_MOSEI_COVAREP.csd -o mosei --cut      after feat import mosei
    """
    print_account(_function("import", "csd")(path, store, **options))


@click.command(name="audformat")
@click.argument("path", type=FOLDER)
@STORE
@NAME
@click.option(
    "--dtype",
    type=click.Choice(["float16", "float32", "float64"]),
    help="Type of the features, which a .csv does not tell.",
)
@DRY_RUN
def import_audformat(path: Path, store: Path, **options: Any) -> None:
    """Import an audformat or audinterface table.

    PATH is a .csv or .parquet with the columns file, start and end, and one column for each feature.

    \b
    feat import audformat egemaps.csv --dtype float32
    """
    print_account(_function("import", "audformat")(path, store, **options))


@click.command()
@click.argument("path", type=FOLDER)
@STORE
@click.option(
    "--columns", cls=ListOption, help="Comma-separated patterns of columns to keep: 'AU*_r,gaze_*'; default: all."
)
@_named("openface")
@DRY_RUN
def openface(path: Path, store: Path, **options: Any) -> None:
    """Import OpenFace CSV files.

    PATH is one file or a folder with one file for each clip. Frames without a face are NaN (not observed).

    \b
    feat import openface processed/ --columns 'AU*_r'
    """
    print_account(_function("import", "openface")(path, store, **options))


@click.command()
@click.argument("path", type=FOLDER)
@STORE
@click.option("--mosei", is_flag=True, help="Keep the 35 FACET 4.2 columns of CMU-MOSEI, in its order.")
@_named("facet")
@DRY_RUN
def imotions(path: Path, store: Path, **options: Any) -> None:
    """Import FACET features exported by iMotions.

    PATH is a .txt file or a folder of them. Frames without a face are NaN (not observed).

    \b
    feat import imotions exports/ --mosei
    """
    print_account(_function("import", "imotions")(path, store, **options))


@click.command(name="elan")
@click.argument("path", type=FOLDER)
@STORE
@DRY_RUN
def import_elan(path: Path, store: Path, **options: Any) -> None:
    """Import ELAN annotation files (.eaf).

    PATH is one file or a folder of them. Each utterance becomes a clip with its words; tiers of numbers become labels.

    \b
    feat import elan annotations/ -o features
    """
    print_account(_function("import", "elan")(path, store, **options))


@click.command(name="elan")
@click.argument("path", type=FOLDER)
@STORE
@DRY_RUN
def export_elan(path: Path, store: Path, dry_run: bool) -> None:
    """Export ELAN annotation files (.eaf).

    The folder PATH gets one file for each recording, with its clips' texts, timed words and labels as tiers.

    \b
    feat export elan annotations/ -o features
    """
    echo_lines("\n".join(_function("export", "elan")(store, path, dry_run=dry_run)))


PARQUET = "columns clip, start and end, and one column for each feature"
WEBDATASET = "for each clip, key.features.npy, key.intervals.npy and key.json"

IMPORT_FORMATS = (
    import_csd,
    _importer(
        "parquet",
        f"Import a Parquet table of one feature set.\n\nPATH has the {PARQUET}."
        "\n\n\b\nfeat import parquet egemaps.parquet -o features",
    ),
    _importer(
        "npz",
        "Import NumPy arrays (.npz or .npy).\n\nPATH is a .npz of a whole feature set, or a folder with one .npy or "
        ".npz file for each clip.\n\n\b\nfeat import npz egemaps.npz -o features",
    ),
    _importer(
        "webdataset",
        f"Import a WebDataset tar file.\n\nPATH has, {WEBDATASET}."
        "\n\n\b\nfeat import webdataset egemaps.tar -o features",
    ),
    _importer(
        "huggingface",
        "Import a Hugging Face data set folder.\n\nPATH is a folder of .parquet files with one row for each clip, "
        "with its split and labels.\n\n\b\nfeat import huggingface egemaps-hf -o features",
    ),
    import_audformat,
    openface,
    imotions,
    import_elan,
)
EXPORT_FORMATS = (
    _exporter(
        "csd",
        "Export a CMU-MultimodalSDK file (.csd).\n\nFEATURE_SET is written to the file PATH."
        "\n\n\b\nfeat export csd egemaps egemaps.csd",
    ),
    _exporter(
        "parquet",
        f"Export a Parquet table.\n\nFEATURE_SET is written to the file PATH with the {PARQUET}."
        "\n\n\b\nfeat export parquet egemaps egemaps.parquet",
    ),
    _exporter(
        "npz",
        "Export NumPy arrays (.npz).\n\nFEATURE_SET is written to the file PATH as features, intervals, offsets, "
        "clip_ids and names.\n\n\b\nfeat export npz egemaps egemaps.npz",
    ),
    _exporter(
        "webdataset",
        f"Export a WebDataset tar file.\n\nFEATURE_SET is written to the file PATH: {WEBDATASET}."
        "\n\n\b\nfeat export webdataset egemaps egemaps.tar",
    ),
    _exporter(
        "huggingface",
        "Export a folder that load_dataset reads.\n\nFEATURE_SET is written to the folder PATH for Hugging Face's "
        "load_dataset, with one row for each clip and one file for each split."
        "\n\n\b\nfeat export huggingface egemaps egemaps-hf",
    ),
    _exporter(
        "audformat",
        "Export an audformat table.\n\nFEATURE_SET is written to PATH (.csv or .parquet) with the columns file, start "
        "and end, and one column for each feature.\n\n\b\nfeat export audformat egemaps egemaps.csv",
    ),
    export_elan,
)
