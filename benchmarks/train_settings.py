"""What the settings of `training` that save time or memory do to PSA-MF, on CMU-MOSI's lengths.

    OMP_NUM_THREADS=1 python benchmarks/train_settings.py [--size minilm|base] [--clips 320] [--batch 32]

Each setting trains two epochs in a process of its own; printed are the CPU seconds of the second (the wall's with them:
on a busy machine only the first are to be compared), what comes before the first step (frozen layers computed, code
compiled with the first epoch), and the process's peak memory. Weights are random: speed does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from train import bert, first_clips, mosi_shaped

from featzoo.zoo.head import make_head
from featzoo.zoo.heads.psa_mf import PsaMf
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.training.loop import accelerator_on, seed_everything, train

HALF = "options.frozen_layers"
SETTINGS = {
    "as the recipe is": {},
    "group_by_length = false": {"training.group_by_length": False},
    "precision = bf16": {"training.precision": "bf16"},
    "gradient_checkpointing = true": {"training.gradient_checkpointing": True},
    "compile = true": {"training.compile": True},
    "half the layers frozen": {HALF: 0},
    "half the layers frozen, not kept": {HALF: 0},
}


def measured(model: str, clips: int, batch: int, name: str) -> dict[str, float]:
    """CPU and wall seconds of the second epoch, CPU seconds of all before it, and the peak memory in bytes."""
    changes = {"training.epochs": 2, "training.batch_size": batch, "training.patience": 0, **SETTINGS[name]}
    if HALF in changes:
        layers = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"]
        changes[HALF] = layers // 2
    if name.endswith("not kept"):
        PsaMf.distil = lambda self, inputs: None  # type: ignore[method-assign]
    recipe = find_recipe("psa-mf.published", changes)
    split, _ = mosi_shaped(clips, model)
    seed_everything(0)
    head = make_head("psa-mf", recipe.options, split.specs, 1)
    marks = [(time.process_time(), time.perf_counter())]
    accelerator = accelerator_on("cpu", recipe.training.precision)
    train(head, split, first_clips(split, 1), recipe.training, accelerator,
          lambda epoch: marks.append((time.process_time(), time.perf_counter())))  # fmt: skip
    (begun, _), (first, middle), (second, end) = marks
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
    return {"cpu": second - first, "wall": end - middle, "before": first - begun - (second - first), "peak": peak}


def main() -> None:
    """Print a line for each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["minilm", "base"], default="minilm")
    parser.add_argument("--clips", type=int, default=320)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--setting", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.model:
        print(json.dumps(measured(given.model, given.clips, given.batch, given.setting)))
        return
    print(f"PSA-MF, {given.size} encoder, {given.clips} clips, batches of {given.batch}, torch {torch.__version__}, "
          f"{torch.get_num_threads()} threads")  # fmt: skip
    print(f"{'':34} CPU s/epoch  wall  once before  peak memory")
    with tempfile.TemporaryDirectory() as folder:
        bert(Path(folder), given.size)
        for name in SETTINGS:
            command = [sys.executable, __file__, "--model", folder, "--setting", name]
            command += ["--clips", str(given.clips), "--batch", str(given.batch)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            one = json.loads(done.stdout.splitlines()[-1])
            print(f"{name:34} {one['cpu']:11.1f} {one['wall']:5.1f} {one['before']:12.1f} {one['peak'] / 1e9:9.2f} GB",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
