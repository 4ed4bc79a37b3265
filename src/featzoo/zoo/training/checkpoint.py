"""Checkpoints, from which a killed training resumes with the same result."""

from __future__ import annotations

import dataclasses
import io
import math
import pickle
import random
import signal
import time
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate.state import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor

from featzoo.durable import remove, write
from featzoo.errors import FeatzooError
from featzoo.zoo.head import Head
from featzoo.zoo.training.weight_average import WeightAverage

T = TypeVar("T")
# Errors from torch and from our own reading for content that is not a checkpoint's.
DAMAGED = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, MemoryError)


@dataclass(frozen=True)
class Epoch:
    """The result of one epoch.

    Attributes:
        epoch: Counted from 1, over all stages.
        stage: The head's stage.
        losses: Term to its weighted mean over the epoch's train clips; `total` is their sum.
        dev_losses: The same on dev, without dropout.
        dev_mae: Mean absolute error on dev; of classes, that of their probabilities.
        rates: Parameter group to its learning rate at the end of the epoch.
        seconds: Wall time.
        best: Whether it is better than all earlier epochs of the stage, by the criterion.
        chosen_by: Name of the criterion: `MAE`, `loss`, `BA` (mean balanced accuracy) or `UAR`.
        score: Its value.
        gradients: Loss term to its share of the gradient in the epoch's first step: the norm of the term's gradient
            over the sum of all terms' norms. Empty for a single term, and where layers are compiled.
        parts: Parts in which its batches were computed, above 1 where they did not fit in the memory.
    """

    epoch: int
    stage: str
    losses: dict[str, float]
    dev_losses: dict[str, float]
    dev_mae: float
    rates: dict[str, float]
    seconds: float
    best: bool
    chosen_by: str
    score: float
    gradients: dict[str, float] = field(default_factory=dict)
    parts: int = 1


@dataclass
class Trained:
    """The result of training.

    Attributes:
        weights: State of the best dev epoch, on the CPU.
        best: That epoch.
        epochs: Every epoch.
    """

    weights: dict[str, Tensor] = field(default_factory=dict)
    best: Epoch | None = None
    epochs: list[Epoch] = field(default_factory=list)

    @property
    def dev_scores(self) -> tuple[str, float, float] | None:
        """Name of the criterion, the best epoch's score and the last epoch's; None without epochs."""
        return (self.best.chosen_by, self.best.score, self.epochs[-1].score) if self.best else None


@dataclass
class Progress:
    """The state of a training in one of its stages: everything on which the next epoch depends.

    Attributes:
        stage: Number of the stage, from 0.
        head: The head in training.
        optimizer: The stage's optimiser.
        schedule: The stage's schedule; its plain attributes are saved.
        order: The generator for the order of clips.
        result: The result so far, over all stages.
        average: The average of this stage's weights.
        number: Epochs done in this stage.
        best_rank: Lowest `EpochScore.rank` of this stage.
        best_number: The epoch of this stage with that rank.
        parts: Parts in which a batch is computed, so that it fits in the memory.
    """

    stage: int
    head: Head
    optimizer: Any
    schedule: Any
    order: np.random.Generator
    result: Trained
    average: WeightAverage
    number: int = 0
    best_rank: tuple[float, ...] = (math.inf,)
    best_number: int = 0
    parts: int = 1

    def state(self) -> dict[str, Any]:
        """Tensors and plain values for `restore`. All processes of a training call this together."""
        kept = {k: v for k, v in vars(self.schedule).items() if isinstance(v, int | float | list)}
        return {
            "stage": self.stage, "number": self.number, "parts": self.parts,
            "best_rank": self.best_rank, "best_number": self.best_number,
            "head": self.head.state_dict(), "average": self.average.state(),
            "optimizer": self.optimizer.state_dict(), "schedule": kept,
            "weights": self.result.weights, "epochs": [dataclasses.asdict(epoch) for epoch in self.result.epochs],
            "best": self.result.best and self.result.best.epoch,
            "order": self.order.bit_generator.state,
            "own": gather_object([{"memory": self.head.memory, "random": _random_state()}]),
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a `state`.

        Raises:
            FeatzooError: If it is not the state of such a training.
        """
        try:
            self._restore(state)
        except DAMAGED as error:
            said = " ".join(str(error).split())[:300]
            raise FeatzooError(
                f"the checkpoint is not of this recipe ({said}): delete it, and the run starts over"
            ) from error

    def _restore(self, state: dict[str, Any]) -> None:
        self.number, self.best_rank, self.best_number = state["number"], tuple(state["best_rank"]), state["best_number"]
        self.parts = state.get("parts", 1)  # a state of featzoo 0.1 has none
        self.head.load_state_dict(state["head"])
        self.average.restore(state["average"])
        own = state["own"][PartialState().process_index]
        self.head.memory = own["memory"]
        self.optimizer.load_state_dict(state["optimizer"])
        vars(self.schedule).update(state["schedule"])
        self.result.weights = state["weights"]
        self.result.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        self.result.best = self.result.epochs[state["best"] - 1] if state["best"] else None
        self.order.bit_generator.state = state["order"]
        _set_random_state(own["random"])


class Checkpoint:
    """A file with the newest state, which is never partly written.

    Args:
        path: The file; the first of several processes writes it, all read it.
        seconds: Minimum time between two writes, which happen after epochs.

    Attributes:
        saved: Number of epochs after which the state was last saved, or 0.
        stop: Number of the signal that shall stop the training after its next epoch, or None.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self.path = path
        self.seconds, self._since = seconds, time.monotonic()
        self.saved = self._offered = 0
        self.stop: int | None = None

    @property
    def behind(self) -> bool:
        """Whether an epoch has ended since the last save."""
        return self._offered > self.saved

    def offer(self, progress: Progress) -> None:
        """Save the state if the last one is old enough by the first process's clock, or the training is to stop.

        To stop, the signal `stop` is raised after the save.
        """
        self._offered = len(progress.result.epochs)
        due, stop = of_first((time.monotonic() - self._since >= self.seconds, self.stop))
        if not due and stop is None:
            return
        state = progress.state()
        if PartialState().is_main_process:
            out = io.BytesIO()
            torch.save(state, out)
            write(self.path, out.getvalue())
        self.saved, self._since = self._offered, time.monotonic()
        if stop is not None:
            signal.raise_signal(stop)

    def load(self) -> dict[str, Any] | None:
        """The newest state; None if none has been saved.

        Raises:
            FeatzooError: If the file is damaged, or was written by another number of processes.
        """
        if not self.path.is_file():
            return None
        try:
            # Only tensors and plain values, because a run folder may come from another person.
            _check_archive(self.path)
            state = dict(torch.load(self.path, map_location="cpu", weights_only=True))
            before = len(state["own"])
        except (*DAMAGED, OSError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error) as error:
            said = str(error).partition("\n")[0]
            raise FeatzooError(f"{self.path} is damaged ({said}): delete it, and the run starts over") from error
        self.saved = len(state.get("epochs", ()))
        now = PartialState().num_processes
        if before != now:
            raise FeatzooError(f"{self.path} is of a training by {before} processes, not {now}: go on with {before}")
        return state

    def remove(self) -> None:
        """Delete the file after training."""
        if PartialState().is_main_process:
            remove(self.path)


def _check_archive(path: Path) -> None:
    """Check that a file is an archive of torch.save's, which takes no more memory than it has bytes."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        size = sum(member.file_size for member in members)
        pickles = [archive.read(member) for member in members if member.filename.endswith("data.pkl")]
    packed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    # The one call that torch allows in a checkpoint and that makes as many bytes as a number says.
    if packed or size > path.stat().st_size or any(b"bytearray" in pickled for pickled in pickles):
        raise ValueError("it is not a file of torch.save")


def of_first(value: T) -> T:
    """The `value` of the first process of a training; all processes call this at the same point."""
    held = [value]
    broadcast_object_list(held)
    return held[0]


def _random_state() -> dict[str, Any]:
    kind, keys, *rest = np.random.get_state(legacy=True)
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "python": random.getstate(), "numpy": [kind, np.asarray(keys).tolist(), *rest],
        "torch": torch.get_rng_state(), "cuda": cuda,
    }  # fmt: skip


def _set_random_state(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
