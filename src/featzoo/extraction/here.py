"""Extraction in the calling process, for a few short files: starting a worker would take longer than the work.

There is no watchdog here, and a crash ends the whole command. So only featzoo's own extractors run here, without a time
or memory limit that somebody set. A mark in the store stays behind after a crash: the next run finds it and uses
workers, which record the clip that crashes them as failed.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from featzoo.extraction.options import ExtractOptions
from featzoo.extraction.worker import Job, Receipt, Setup, forget_setups, run_chunk
from featzoo.extractors.contract import Extractor
from featzoo.unfinished import lives

# More files than this, or larger ones, are worth a worker on every core.
FEW_FILES, FEW_BYTES = 4, 8_000_000
MARK = "in-process"


@dataclass(frozen=True)
class Here:
    """The calling process, as an engine; see `engines.Engine`."""

    spread = False

    def run(self, setup: Setup, jobs: Sequence[Job], alone: bool) -> Iterator[list[Receipt]]:
        """The receipts of all jobs."""
        try:
            with _marked(setup.store):
                yield run_chunk(replace(setup, own_process=False), jobs, uuid.uuid4().hex)
        finally:
            forget_setups()  # and with it the models, which would stay loaded


def fits_here(setup: Setup, options: ExtractOptions, jobs: Sequence[Job]) -> bool:
    """Whether jobs run in the calling process."""
    set_by_user = (options.backend, options.timeout, options.memory) != (
        ExtractOptions.backend, ExtractOptions.timeout, ExtractOptions.memory,
    )  # fmt: skip
    if set_by_user or options.jobs > 1 or not all(map(_own, setup.extractors)):
        return False
    files = {job.clip.path or job.clip.id for job in jobs}
    if len(files) > FEW_FILES or sum(_size(file) for file in files if isinstance(file, Path)) > FEW_BYTES:
        return False
    return not _crashed(setup.store)


def _own(extractor: Extractor) -> bool:
    return type(extractor).__module__.startswith("featzoo.")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # its clip fails, here as in a worker
        return 0


@contextmanager
def _marked(store: Path) -> Iterator[None]:
    mark = store / "index" / f"{MARK}-{socket.gethostname()}-{os.getpid()}"
    with suppress(OSError):  # a store that cannot be written is refused later, with its reason
        mark.parent.mkdir(exist_ok=True)
        mark.touch()
    try:
        yield
    finally:
        with suppress(OSError):
            mark.unlink(missing_ok=True)


def _crashed(store: Path) -> bool:
    """Whether an earlier run ended in its own process, on this machine; its mark is removed."""
    found = False
    for mark in (store / "index").glob(f"{MARK}-{socket.gethostname()}-*"):
        process = mark.name.rpartition("-")[2]
        if process.isdigit() and not lives(int(process)):
            found = True
            with suppress(OSError):
                mark.unlink(missing_ok=True)
    return found
