"""Everything that a GPU must show, in one script, meant for 8 minutes on one GPU.

    python benchmarks/gpu.py [--json gpu.json] [--steps a,b,c,d]
    python benchmarks/gpu.py --dry-run

The second runs every step on the CPU with small sizes, which tries the script and measures nothing.

(a) `pytest -m gpu`: every head trains and evaluates as on the CPU and never makes the host wait, every extractor gives
    the features of the CPU, a stopped run resumes with the same digits, two processes share the GPU.
(b) An epoch of PSA-MF with an encoder of BERT-base's size, on made sets of the sizes of CMU-MOSI and CMU-MOSEI, against
    a plain loop of the released code's structure and against the encoder's own forward and backward pass; evaluation.
(c) ResNet-50, BERT-base and HuBERT-base in full batches, against the bare forward pass on data in device memory.
(d) `feat extract` of real-sized clips with four extractors: frames per second, and the part that limits it.

The table has a ratio, its target and a verdict for each; the JSON has the same and all seconds. It needs this
repository, torch, transformers and the packages that it lists where they are missing, with the command that carries
them. Weights are random: speed does not depend on them. No network is used.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Module to package: what the steps import, beside torch.
NEEDED = {
    "accelerate": "accelerate", "av": "av", "click": "click", "h5py": "h5py", "joblib": "joblib",
    "charset_normalizer": "charset-normalizer", "matplotlib": "matplotlib", "opensmile": "opensmile", "PIL": "pillow",
    "pyarrow": "pyarrow", "pytest": "pytest", "pytest_timeout": "pytest-timeout", "hypothesis": "hypothesis",
    "rich": "rich", "safetensors": "safetensors", "sklearn": "scikit-learn", "tensorboard": "tensorboard",
    "torch": "torch", "torchvision": "torchvision", "transformers": "transformers",
}  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """How much each step does.

    Attributes:
        device: The device.
        mosi: Clips of a set of CMU-MOSI's size.
        mosei: Clips of a set of CMU-MOSEI's size.
        evaluated: Clips of an evaluation: CMU-MOSEI's test split.
        encoder: Size of the encoder, `base` or `minilm`.
        batch: Clips in a step of training.
        images: Images, texts and clips of sound for (c).
        texts: Texts.
        sounds: Clips of ten seconds.
        videos: Clips for (d).
        height: Rows of a video.
        seconds: Seconds of a video.
        rounds: How often (c) is measured; the median counts.
    """

    device: str = "cuda:0"
    mosi: int = 1284
    mosei: int = 16326
    evaluated: int = 4659
    encoder: str = "base"
    batch: int = 32
    images: int = 8192
    texts: int = 8192
    sounds: int = 384
    videos: int = 500
    height: int = 480
    seconds: int = 5
    rounds: int = 3


# Videos of one second: a CPU needs a minute for ResNet-50 on those of five seconds.
DRY = Sizes("cpu", 8, 8, 4, "minilm", 4, 4, 8, 2, 2, 64, 1, 1)


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        step: a, b, c or d.
        name: What was measured.
        value: The figure, a ratio if it is compared with a reference.
        target: Least value that passes; the largest one where `most` is true. None if there is none.
        most: Whether less is better.
        detail: The seconds behind it.
    """

    step: str
    name: str
    value: float
    target: float | None
    most: bool = False
    detail: dict[str, float | str] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """PASS, MISS, or nothing to reach."""
        if self.target is None:
            return "-"
        return "PASS" if (self.value <= self.target if self.most else self.value >= self.target) else "MISS"


def missing() -> list[str]:
    """Packages that are not installed."""
    return [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]


def tests(sizes: Sizes) -> list[Row]:
    """(a)"""
    environment = os.environ | ({"FEATZOO_GPU_TESTS": "cpu"} if sizes.device == "cpu" else {})
    command = [sys.executable, "-m", "pytest", "-n0", "-m", "gpu", "tests/gpu", "-rf"]
    if importlib.util.find_spec("xdist") is None:
        command.remove("-n0")
    if sizes.device == "cpu":  # one of each kind
        command += ["-k", "lmf or resnet50 or does_not_fit"]
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    return [Row("a", "pytest -m gpu: exit status", done.returncode, 0, True, {"s": time.perf_counter() - started})]


def machine(device: str) -> dict[str, str]:
    """The card, its driver, and torch's version."""
    import torch

    found = {"torch": torch.__version__, "date": time.strftime("%Y-%m-%d"), "device": device}
    if device.startswith("cuda"):
        ask = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        said = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.splitlines()
        found |= {"card": torch.cuda.get_device_name(), "driver": said[0].rpartition(",")[2].strip() if said else "?"}
    return found


def steps() -> dict[str, Callable[[Sizes], list[Row]]]:
    """Letter to step."""
    import gpu_measures

    return {"a": tests, "b": gpu_measures.training, "c": gpu_measures.forward, "d": gpu_measures.end_to_end}


def print_table(rows: list[Row]) -> None:
    """Name, value, target and verdict of each row."""
    print(f"\n{'':2} {'measured':58} {'value':>9} {'target':>9}  verdict")
    for row in rows:
        target = "-" if row.target is None else f"{'<=' if row.most else '>='} {row.target:g}"
        print(f"{row.step:2} {row.name:58} {row.value:9.3g} {target:>9}  {row.verdict}")
        if row.detail:
            said = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.detail.items())
            print(f"   {said}")


def main() -> None:
    """Run the steps, print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("gpu.json"))
    parser.add_argument("--steps", default="a,b,c,d")
    parser.add_argument("--dry-run", action="store_true")
    given = parser.parse_args()
    if lacking := missing():
        print(f"missing: {', '.join(lacking)}. Where there is a network:\n"
              f"  pip download -d wheels {' '.join(lacking)}\n"
              "and here, with the folder carried along:\n"
              f"  pip install --no-index --find-links wheels {' '.join(lacking)}")  # fmt: skip
        raise SystemExit(2)
    import torch

    sizes = DRY if given.dry_run else Sizes()
    if sizes.device != "cpu" and not torch.cuda.is_available():
        raise SystemExit(f"torch {torch.__version__} finds no GPU here: use --dry-run to try the script on the CPU")
    about, rows = machine(sizes.device), []
    for letter, step in steps().items():
        if letter in given.steps.split(","):
            print(f"--- ({letter})", flush=True)
            rows += step(sizes)
            table = [asdict(row) | {"verdict": row.verdict} for row in rows]
            written = {"machine": about, "dry_run": given.dry_run, "rows": table}
            given.json.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    print_table(rows)
    if given.dry_run:
        print("a dry run on the CPU with small sizes: the figures say nothing about a GPU")


if __name__ == "__main__":
    main()
