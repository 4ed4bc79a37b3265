"""`feat import` and `feat export` of tables and archives, added to the groups of `cli_exchange`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from featzoo.commands.exchange import DRY_RUN, _account, export_, import_
from featzoo.commands.options import FOLDER, STORE

__all__ = ["export_", "import_"]

NAME = click.option("--name", help="Of the feature set; default: the file's own.")

# By format: what `feat import` and `feat export` say of it. The functions are `import_<format>` and `export_<format>`
# of the module of that name.
BOTH_WAYS = {
    "parquet": (
        "A long table PATH (.parquet): columns clip, start, end, and one for each feature.",
        "A FEATURE_SET as a long table PATH: columns clip, start, end, and one for each feature.",
        "egemaps.parquet",
    ),
    "npz": (
        "NumPy's PATH: a .npz of a whole set, or a folder of one .npy or .npz a clip.",
        "A FEATURE_SET as NumPy's PATH (.npz): features, intervals, offsets, clip_ids, names.",
        "egemaps.npz",
    ),
    "webdataset": (
        "WebDataset's tar file PATH: key.features.npy, key.intervals.npy, key.json.",
        "A FEATURE_SET as WebDataset's tar file PATH: key.features.npy, key.intervals.npy, key.json.",
        "egemaps.tar",
    ),
    "huggingface": (
        "A Hugging Face data set's folder PATH of .parquet files: a row a clip, with split and labels.",
        "A FEATURE_SET as a folder PATH that Hugging Face's load_dataset reads: a row a clip, a file a split.",
        "egemaps-hf",
    ),
}


def _call(way: str, name: str) -> Callable[..., Any]:
    called: Callable[..., Any] = getattr(import_module(f"featzoo.exchange.formats.{name}"), f"{way}_{name}")
    return called


def _add_import(name: str, says: str, example: str) -> None:
    @import_.command(name=name, help=f"{says}\n\n\b\nfeat import {name} {example} -o features")
    @click.argument("path", type=FOLDER)
    @STORE
    @NAME
    @DRY_RUN
    def command(path: Path, store: Path, **options: Any) -> None:
        _account(_call("import", name)(path, store, **options))


def _add_export(name: str, says: str, example: str) -> None:
    @export_.command(name=name, help=f"{says}\n\n\b\nfeat export {name} egemaps {example}")
    @click.argument("feature_set")
    @click.argument("path", type=FOLDER)
    @STORE
    @DRY_RUN
    def command(feature_set: str, path: Path, store: Path, dry_run: bool) -> None:
        click.echo("\n".join(_call("export", name)(store, feature_set, path, dry_run=dry_run)))


for _name, (_import, _export, _example) in BOTH_WAYS.items():
    _add_import(_name, _import, _example)
    _add_export(_name, _export, _example)

_add_export(
    "audformat", "A FEATURE_SET as an audformat table PATH (.csv or .parquet): file, start, end.", "egemaps.csv"
)


@import_.command()
@click.argument("path", type=FOLDER)
@STORE
@NAME
@click.option("--dtype", type=click.Choice(["float16", "float32", "float64"]), help="Of the features; a .csv has none.")
@DRY_RUN
def audformat(path: Path, store: Path, **options: Any) -> None:
    """A table PATH (.csv or .parquet) of audformat or audinterface: file, start, end, and one column a feature.

    \b
    feat import audformat egemaps.csv --dtype float32
    """
    _account(_call("import", "audformat")(path, store, **options))


@import_.command()
@click.argument("path", type=FOLDER)
@STORE
@click.option("--columns", help="Patterns to keep, with commas: 'AU*_r,gaze_*'; default: all.")
@click.option("--name", default="openface", show_default=True, help="Of the feature set.")
@DRY_RUN
def openface(path: Path, store: Path, **options: Any) -> None:
    """OpenFace's CSV file PATH, or a folder of them: a clip a file. Frames without a face are NaN (not observed).

    \b
    feat import openface processed/ --columns 'AU*_r'
    """
    _account(_call("import", "openface")(path, store, **options))


@import_.command()
@click.argument("path", type=FOLDER)
@STORE
@click.option("--mosei", is_flag=True, help="Keep CMU-MOSEI's 35 FACET 4.2 columns, in its order.")
@click.option("--name", default="facet", show_default=True, help="Of the feature set.")
@DRY_RUN
def imotions(path: Path, store: Path, **options: Any) -> None:
    """iMotions' export of FACET, a .txt PATH or a folder of them. Frames without a face are NaN (not observed).

    \b
    feat import imotions exports/ --mosei
    """
    _account(_call("import", "imotions")(path, store, **options))


@import_.command()
@click.argument("folder", type=FOLDER)
@STORE
@DRY_RUN
def mfn(folder: Path, store: Path, **options: Any) -> None:
    """The Memory Fusion Network's arrays in FOLDER (audio_train.h5, y_train.h5 ...): POM, YouTube, MMMO.

    \b
    feat import mfn new_data/pom -o pom
    """
    _account(_call("import", "mfn")(folder, store, **options))


@import_.command(name="youtube-personality")
@click.argument("folder", type=FOLDER)
@STORE
@DRY_RUN
def youtube_personality(folder: Path, store: Path, dry_run: bool) -> None:
    """The YouTube Personality data set in FOLDER: 404 vlogs' words, features and impressions of the Big Five.

    \b
    feat import youtube-personality FOLDER -o yt
    feat extract -o yt -x 'bert.minilm[output=words]'
    zoo evaluate runs/siamese-text-... --features yt
    """
    from featzoo.exchange.corpora.youtube_personality import import_youtube_personality

    _account(import_youtube_personality(folder, store, dry_run))
