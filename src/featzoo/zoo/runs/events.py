"""TensorBoard's events of a training, written at once: its own writer is a thread, and prints tracebacks."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from featzoo.durable import refused


class EventsFile:
    """A new file of events.

    Args:
        folder: Made if it is missing.

    Raises:
        StoreError: If it cannot be written, from any method.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        now = time.time()
        name = f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / name).open("xb", buffering=0)
        except OSError as error:
            raise refused(folder, error) from error
        self._write(Event(wall_time=now, file_version="brain.Event:2"))

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Add the values of a step, by tag."""
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, event: Event) -> None:
        try:
            RecordWriter(self._file).write(event.SerializeToString())
        except OSError as error:
            raise refused(self._folder, error) from error
