"""The `feat` and `zoo` commands from `featzoo.commands`. Heavy packages are imported when needed."""

from __future__ import annotations

import os

import click

from featzoo import __version__
from featzoo.commands.align import align
from featzoo.commands.audit import audit
from featzoo.commands.augment import augment
from featzoo.commands.care import check, gc, lock, merge, pack
from featzoo.commands.doctor import doctor
from featzoo.commands.example import example
from featzoo.commands.exchange import export, import_
from featzoo.commands.explore import explore
from featzoo.commands.export_run import export_run
from featzoo.commands.extract import extract
from featzoo.commands.forget import forget
from featzoo.commands.label import label
from featzoo.commands.leakage import probe_leakage
from featzoo.commands.options import Commands
from featzoo.commands.plot import plot
from featzoo.commands.predict import predict
from featzoo.commands.recipes import list_recipes, show_recipe
from featzoo.commands.report import report, report_runs
from featzoo.commands.reproduce import reproduce
from featzoo.commands.robustness import robustness
from featzoo.commands.runs import leaderboard, list_runs, remove
from featzoo.commands.share import pull, push
from featzoo.commands.split import split
from featzoo.commands.store import list_sets, show
from featzoo.commands.train import evaluate, train
from featzoo.commands.transcribe import transcribe
from featzoo.commands.trials import ablate, compare, layers
from featzoo.commands.tune import tune
from featzoo.commands.weights import weights

__all__ = ["feat", "zoo"]

# torch's threads spin while they wait for each other. If other processes need the cores too, each thread then waits
# for one that is not running: an epoch of PSA-MF on two busy cores took seven times as long as with sleeping threads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def feat() -> None:
    """Extract features from media into a store that other projects can read.

    \b
    feat extract videos/                     every extractor that can run here
    feat extract videos/ -x egemaps,bert.minilm -j 8
    feat extract videos/ --for psa-mf        what a recipe needs
    feat ls; feat show egemaps; feat plot clip01.mp4
    feat doctor                              what can run here, what is missing
    """


feat.add_section("Extract", extract, label, transcribe, align)
feat.add_section("Look", list_sets, show, explore, plot, report)
feat.add_section("Exchange", import_, export)
feat.add_section("Care", check, pack, forget, gc, merge, lock)
feat.add_section("Set up", doctor, example, weights)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def zoo() -> None:
    """Train, evaluate and apply published heads on stored features.

    \b
    zoo list
    zoo train psa-mf                         on ./features, into ./runs
    zoo train psa-mf --set training.epochs=3 --seed 7
    zoo evaluate runs/psa-mf-...
    zoo predict runs/psa-mf-... videos/
    zoo predict emotion clip.wav             with a pretrained head
    """


zoo.add_section("Recipes", list_recipes, show_recipe)
zoo.add_section("Train", split, audit, train, tune, ablate, layers)
zoo.add_section("Evaluate and apply", evaluate, compare, robustness, report_runs, predict, export_run)
zoo.add_section("Papers", reproduce)
zoo.add_section("Runs", list_runs, leaderboard, remove, push, pull)
zoo.add_section("Parallel texts", augment, probe_leakage)
