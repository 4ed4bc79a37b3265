"""The steps of how-to pages that no test runs, and why."""

from __future__ import annotations

from docs.pages import Step

HUB = "downloads weights, or needs those of the hub"
MACHINES = "needs a cluster, a GPU, or several processes"
OTHER_SHELLS = "needs zsh or fish; tests/commands/test_completion.py has their scripts"
CORPUS = "needs the corpus itself; tests/exchange/corpora reads it"
MINUTES = "measures for minutes"

# Page, beginning of the step, reason.
NOT_RUN = (
    ("add-an-extractor.md", "feat extract videos/ -x 'hubert", HUB),
    ("augment.md", "zoo augment essays --languages", HUB),
    ("clusters.md", "srun", MACHINES),
    ("clusters.md", "feat pack -o /shared", MACHINES),
    ("clusters.md", "dask", MACHINES),
    ("clusters.md", "feat extract /shared", MACHINES),
    ("clusters.md", "python benchmarks", MINUTES),
    ("datasets.md", "feat import mosi", CORPUS),
    ("datasets.md", "feat extract -o mosi --for psa-mf", CORPUS),
    ("datasets.md", "feat extract -o parallel", CORPUS),
    ("datasets.md", "zoo train adam --store parallel", CORPUS),
    ("datasets.md", "feat import mosei corpora", CORPUS),
    ("datasets.md", "python -c", CORPUS),
    ("datasets.md", "feat import sims", CORPUS),
    ("datasets.md", "feat import meld corpora", CORPUS),
    ("datasets.md", "feat extract -o meld --for", "needs the videos of MELD"),
    ("datasets.md", "zoo train psa-mf --store meld", "needs the videos of MELD"),
    ("datasets.md", "feat import emodb corpora", CORPUS),
    ("datasets.md", "feat import iemocap corpora", CORPUS),
    ("exchange.md", ">>> from mmsdk", "needs cmu-multimodal-sdk"),
    ("exchange.md", "feat import mosi CMU", CORPUS),
    ("exchange.md", "feat import hazumi", CORPUS),
    ("exchange.md", ">>> from MMSA", "needs MMSA"),
    ("gpus.md", "feat extract videos/ -x resnet50", HUB),
    ("gpus.md", "accelerate", MACHINES),
    ("gpus.md", "for seed", MACHINES),
    ("gpus.md", "sbatch", MACHINES),
    ("gpus.md", "python benchmarks", MINUTES),
    ("predict.md", "python benchmarks", "needs CMU-MOSI"),
    ("predict.md", "zoo predict runs/sentiment", "needs CMU-MOSI"),
    ("predict.md", "zoo push runs/psa-mf-... hub:", "needs an account of the hub"),
    ("predict.md", "zoo pull", "needs an account of the hub"),
    ("reproduce.md", "zoo reproduce", "needs the corpora; tests/zoo/reproduce runs it"),
    ("run-the-zoo.md", "zoo train --resume", "needs a training that was stopped"),
    ("run-the-zoo.md", "feat extract -o mosi -x 'bert.ids[model=roberta", HUB),
    ("run-the-zoo.md", "zoo train strong", HUB),
    ("run-the-zoo.md", "zoo predict runs/strong", HUB),
    ("shell-completion.md", 'eval "$(_FEAT_COMPLETE=zsh', OTHER_SHELLS),
    ("shell-completion.md", 'eval "$(_ZOO_COMPLETE=zsh', OTHER_SHELLS),
    ("shell-completion.md", "_FEAT", OTHER_SHELLS),
    ("shell-completion.md", "_ZOO", OTHER_SHELLS),
    ("train-fast.md", "OMP_NUM_THREADS", MINUTES),
    ("train-fast.md", "python benchmarks", MINUTES),
    ("train-fast.md", "accelerate", MACHINES),
    ("train-fast.md", "torchrun", MACHINES),
    ("transcribe.md", "feat weights", HUB),
    ("transcribe.md", "feat transcribe", HUB),
    ("tune.md", "zoo train lf-dnn --store mosi --track", "needs mlflow"),
    ("weights.md", "feat weights get", HUB),
    ("weights.md", "feat extract", HUB),
)


def reason(page: str, step: Step) -> str:
    """Why a step is not run; empty if it is."""
    return next((why for where, beginning, why in NOT_RUN if where == page and step.text.startswith(beginning)), "")
