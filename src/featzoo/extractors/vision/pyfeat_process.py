"""py-feat in a separate process, because it changes settings of the process that imports it and downloads weights.

A worker starts one child for each configuration, sends it frames, and gets tables back. The child ends with the
worker in every case. The child gives py-feat the weights that the worker found, so the network is not used.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import Any, NamedTuple

import numpy as np

from featzoo.errors import FeatzooError
from featzoo.sequence import Array

# How often the child checks whether its parent is still alive.
LIFE_SECONDS = 0.5


@dataclass(frozen=True)
class Settings:
    """Settings with which a child is started.

    Attributes:
        detector: `v1` or `v2`.
        models: Groups of columns that have a separate model, which is loaded.
        device: A torch device.
        weights: (repository, file name, path) of each file that py-feat may ask for.
    """

    detector: str
    models: tuple[str, ...]
    device: str
    weights: tuple[tuple[str, str, str], ...]


class Question(NamedTuple):
    """Frames of one size, and the requested columns.

    Attributes:
        images: (B, H, W, 3) uint8 RGB.
        groups: Groups of columns, in the order in which they are returned.
        threshold: Minimum score of a face.
    """

    images: Array
    groups: tuple[str, ...]
    threshold: float


class Table(NamedTuple):
    """py-feat's result for some frames: one row for each face.

    Attributes:
        names: (D) py-feat's column names.
        frames: (R,) the frame, counted from 0, of each row, ascending; within a frame as py-feat orders faces.
        boxes: (R, 4) x, y, width and height in pixels; NaN in the row of a frame without a face.
        values: (R, D).
    """

    names: tuple[str, ...]
    frames: Array
    boxes: Array
    values: Array


class PyFeat:
    """A child process that runs one of py-feat's detectors.

    Args:
        settings: Settings of the child.
        threads: Number of threads that it uses.

    Raises:
        FeatzooError: If py-feat cannot be imported, or refuses its weights.
    """

    def __init__(self, settings: Settings, threads: int) -> None:
        ours, theirs = Pipe()
        self._pipe, self._lock = ours, threading.Lock()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (for as long as the child)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "OMP_NUM_THREADS": str(threads),
            "HF_HUB_OFFLINE": "1",
        }
        code = f"from {__name__} import main; main({theirs.fileno()}, {os.getpid()})"
        # Not multiprocessing: it runs __main__ again, and Dask's workers are daemons, which may not have children.
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        theirs.close()
        self._ask(settings)

    def detect(self, question: Question) -> Table:
        """The faces in some frames.

        Raises:
            RuntimeError: If py-feat fails, or the process has ended.
        """
        answer = self._ask(question)
        if not isinstance(answer, Table):
            raise RuntimeError(f"py-feat's process answered with {type(answer).__name__}")
        return answer

    def close(self) -> None:
        """End the child."""
        self._pipe.close()
        self.process.kill()
        self.process.wait()

    def _ask(self, question: Any) -> Any:
        with self._lock:
            try:
                self._pipe.send(question)
                answer = self._pipe.recv()
            except (EOFError, OSError) as error:
                self.process.wait()
                raise RuntimeError(
                    f"py-feat's process ended with {self.process.returncode} (-9: killed, often for memory): "
                    f"{self._last_words()}"
                ) from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _last_words(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-500:].strip()


def serve(pipe: Connection) -> None:
    """Run as the child: receive settings, then frames, until the pipe is closed.

    Args:
        pipe: Connection to the worker. Each request has one answer, which may be an exception.
    """
    detector = None
    while True:
        try:
            question = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            if isinstance(question, Settings):
                detector = build(question)
                pipe.send(True)
            else:
                pipe.send(table(detector, question))
        except Exception as error:  # noqa: BLE001  (all that goes wrong here is for the worker to record)
            pipe.send(_portable(error))


def build(settings: Settings) -> Any:
    """One of py-feat's detectors, made only from the given files.

    Raises:
        FeatzooError: If py-feat cannot be imported or does not take the weights.
    """
    from featzoo.weights.imports import torchvision_module

    torchvision_module()
    _without_decoder()
    _given_weights({(repository, name): path for repository, name, path in settings.weights})
    import torch

    device = torch.device(settings.device)
    try:
        feat = importlib.import_module("feat")
        if settings.detector == "v2":
            identity = "arcface" if "identity" in settings.models else None
            return feat.Detectorv2(device=device, identity_model=identity)
        return feat.Detectorv1(
            device=device,
            au_model="xgb" if "aus" in settings.models else None,
            emotion_model="resmasknet" if "emotions" in settings.models else None,
            identity_model="arcface" if "identity" in settings.models else None,
            gaze_model="l2cs" if "gaze" in settings.models else None,
        )
    except Exception as error:
        raise FeatzooError(
            f"py-feat's detector {settings.detector} cannot be made: {type(error).__name__}: {error}"
        ) from error


def table(detector: Any, question: Question) -> Table:
    """py-feat's own table of some frames, reduced to the requested columns.

    Args:
        detector: A detector from `build`.
        question: The frames.
    """
    import torch

    frames = torch.from_numpy(question.images).permute(0, 3, 1, 2)  # (B, 3, H, W)
    found = detector.detect(
        frames,
        data_type="tensor",
        batch_size=len(frames),
        progress_bar=False,
        face_detection_threshold=question.threshold,
    )
    names = [name for group in question.groups for name in columns(group, found)]
    boxes = found[["FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight"]]
    return Table(
        tuple(names),
        found["frame"].to_numpy(np.int64),
        boxes.to_numpy(np.float64),
        found[names].to_numpy(np.float32),
    )


def columns(group: str, found: Any) -> list[str]:
    """The names of a group of columns of py-feat's table."""
    lists = {
        "aus": found.au_columns,
        "emotions": found.emotion_columns,
        "pose": found.facepose_columns,
        "box": found.facebox_columns,
        "landmarks": found.landmark_columns,
        "gaze": found.gaze_columns,
        "identity": found.identity_columns,
        "blendshapes": found.blendshape_columns,
        "affect": ["valence", "arousal"],
        "mesh": [name for name in found.columns if str(name).startswith("mesh_")],
    }
    return list(lists[group])


def _without_decoder() -> None:
    """Make py-feat importable if torchcodec finds no FFmpeg. py-feat needs it only for decoding, and gets frames."""
    try:
        importlib.import_module("torchcodec.decoders")
    except (ImportError, RuntimeError, OSError):
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchcodec"]:
            del sys.modules[name]
        decoders = types.ModuleType("torchcodec.decoders")
        decoders.__dict__["VideoDecoder"] = None
        package = types.ModuleType("torchcodec")
        package.__dict__["decoders"] = decoders
        sys.modules.update({"torchcodec": package, "torchcodec.decoders": decoders})


def _given_weights(files: Mapping[tuple[str, str], str]) -> None:
    """Answer py-feat's requests to the hub from `files`: py-feat would use only its own folder or the network."""
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def given(repo_id: str, filename: str, **_: Any) -> str:
        if (repo_id, filename) not in files:
            raise LocalEntryNotFoundError(
                f"py-feat asks for {filename} of {repo_id}, which this release of it should not"
            )
        return files[repo_id, filename]

    huggingface_hub.__dict__["hf_hub_download"] = given


def _portable(error: Exception) -> Exception:
    """The error itself if it can be sent, else its text, because classes of py-feat's packages may fail to unpickle."""
    if isinstance(error, FeatzooError):
        return error
    if isinstance(error, MemoryError):
        return MemoryError(str(error))
    return RuntimeError(f"{type(error).__name__}: {error}")


def main(pipe: int, parent: int) -> None:
    """Run as the child of a worker.

    Args:
        pipe: File descriptor of the pipe to the worker.
        parent: The worker's process id.
    """
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    serve(Connection(pipe))


def _end_with(parent: int) -> None:
    """End this process when its parent has ended, even in the middle of a batch."""
    while os.getppid() == parent:
        time.sleep(LIFE_SECONDS)
    os._exit(1)
