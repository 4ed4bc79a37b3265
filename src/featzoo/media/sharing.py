"""One decoding pass over a clip's pictures for all extractors that want them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from featzoo.media.video import FrameIndex, decode_frames


class SharedFrames:
    """One decoding pass over a clip's pictures for several readers, each in a thread of its own.

    The pass starts when each of the `readers` has asked for its frames or has left. Queues are short,
    so memory stays bounded however long the clip is, and the slowest reader sets the pace.
    """

    DEPTH = 8

    def __init__(self, path: Path, index: FrameIndex, readers: int) -> None:
        self._path, self._index = path, index
        self._awaited = readers
        self._asked: list[Reader] = []
        self._change = threading.Condition()

    def ask(self, wanted: Any) -> Reader:
        """Where one reader gets its frames. One call for each reader."""
        reader = Reader(set(map(int, wanted)))
        with self._change:
            self._asked.append(reader)
        self._arrive()
        return reader

    def leave(self) -> None:
        """Say that one reader will not ask."""
        self._arrive()

    def _arrive(self) -> None:
        with self._change:
            self._awaited -= 1
            if self._awaited == 0 and self._asked:
                threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        ending: Exception | None = None
        try:
            wanted = np.array(sorted(set().union(*(reader.wanted for reader in self._asked))), dtype=np.int64)
            for number, frame in decode_frames(self._path, self._index, wanted):
                for reader in self._asked:
                    if number in reader.wanted:
                        reader.give((number, frame))
                if all(reader.closed.is_set() for reader in self._asked):
                    break
        except Exception as error:  # noqa: BLE001  (handed to every reader, which raises it in its own thread)
            ending = error
        for reader in self._asked:
            reader.give(ending)


class Reader:
    """A short queue of frames; None or an exception ends it. Others do not wait for one that is `closed`."""

    def __init__(self, wanted: set[int]) -> None:
        self.wanted = wanted
        self.closed = threading.Event()
        self._queue: queue.Queue[tuple[int, Any] | Exception | None] = queue.Queue(SharedFrames.DEPTH)

    def give(self, item: tuple[int, Any] | Exception | None) -> None:
        """Wait until there is room for one more, or nobody reads on."""
        while not self.closed.is_set():
            try:
                self._queue.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def frames(self) -> Iterator[tuple[int, Any]]:
        """Frames by number, as `decode_frames` gives them."""
        try:
            while True:
                item = self._queue.get()
                if item is None:
                    return
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed.set()
