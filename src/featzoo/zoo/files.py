"""The files of a run folder: never partly written, and read without pickle."""

from __future__ import annotations

import csv
import io
import json
import math
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import save as save_tensors
from torch import Tensor

from featzoo.durable import refused, write
from featzoo.versions import package_versions
from featzoo.vocabulary import GROUPS
from featzoo.zoo.data.split import Array, Split, Statistics
from featzoo.zoo.metrics.classification import entropy
from featzoo.zoo.target import Target


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Add a line of JSON.

    Raises:
        StoreError: If it cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(plain(row)) + "\n")
    except OSError as error:
        raise refused(path.parent, error) from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON; NaN and infinities become null."""
    write(path, json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def plain(value: Any) -> Any:
    """`value` in the types that JSON has."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors."""
    write(path, save_tensors({key: value.detach().cpu().contiguous() for key, value in weights.items()}))


def write_statistics(path: Path, statistics: Statistics) -> None:
    """Write the train split's statistics as safetensors: `mean.<role>` and `std.<role>`."""
    arrays = {f"mean.{role}": value for role, value in statistics.mean.items()}
    write(path, save_arrays(arrays | {f"std.{role}": value for role, value in statistics.std.items()}))


def read_statistics(path: Path) -> Statistics:
    """What `write_statistics` wrote.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is damaged.
    """
    try:
        arrays = load_arrays(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    named = [(key.partition("."), value) for key, value in arrays.items()]
    mean = {role: value for (kind, _, role), value in named if kind == "mean"}
    return Statistics(mean, {role: value for (kind, _, role), value in named if kind == "std"})


def predictions_csv(target: Target, splits: Sequence[tuple[Split, Array]]) -> str:
    """Clip by clip: id, split, groups such as the speaker, truth and pred; of a class also the probabilities.

    With several targets, columns are `truth.name` and `pred.name`. A class has its name in `truth` and `pred`,
    `p.name` is the probability of a class, and `entropy` that of all probabilities, in nats.
    """
    groups = [column for column in GROUPS if all(column in split.groups for split, _ in splits)]
    if target.kind == "class":
        head = ["truth", "pred", *(f"p.{name}" for name in target.classes), "entropy"]
    else:
        many = len(target.columns) > 1
        head = [f"{kind}.{name}" if many else kind for name in target.columns for kind in ("truth", "pred")]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", "split", *groups, *head])
    for split, pred in splits:
        for row, clip in enumerate(split.ids):
            names = [split.groups[column][row] for column in groups]
            writer.writerow([clip, split.name, *names, *_cells(target, split.targets[row], pred[row])])
    return out.getvalue()


def _cells(target: Target, truths: Array, values: Array) -> list[str]:
    if target.kind == "class":
        named = [target.classes[int(number)] for number in (truths[0], values.argmax())]
        return [*named, *(repr(float(value)) for value in [*values, entropy(values)])]
    return [repr(float(x)) for pair in zip(truths, values, strict=True) for x in pair]


def environment(device: str, store: Path) -> dict[str, Any]:
    """The machine, the versions and the command of a run."""
    from accelerate.state import PartialState  # here, because importing it takes longer than reading a run

    cuda = torch.cuda.get_device_name() if device.startswith("cuda") else ""
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "store": str(store.resolve()),
        "commit": commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "device": f"{device} {cuda}".strip(),
        "threads": torch.get_num_threads(),
        "processes": PartialState().num_processes,
        "versions": package_versions(),
    }


def commit() -> str:
    """The git commit of the running code, with `-dirty` for uncommitted changes; "" outside a checkout."""
    here = Path(__file__).parent
    # An installed copy may be inside another repository, which does not track this file.
    if not _git(here, "ls-files", Path(__file__).name):
        return ""
    head = _git(here, "rev-parse", "HEAD")
    return f"{head}-dirty" if head and _git(here, "status", "--porcelain", "--", ".") else head


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
