"""The failures of a feature set: one small file for each clip, so that two processes do not write to the same file."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from featzoo import documents
from featzoo.durable import refused, remove
from featzoo.errors import DamagedFile
from featzoo.vocabulary import is_lasting


class Failure(NamedTuple):
    """The reason why a clip has no features.

    Attributes:
        clip: Its id.
        source: The digest of the inputs.
        reason: A short code, see `featzoo.vocabulary.LASTING`.
        message: The reason as a sentence.
        attempts: Number of times that the clip has failed.
        retry: Whether the extractor asked for another attempt.
    """

    clip: str
    source: str
    reason: str
    message: str
    attempts: int
    retry: bool = False

    @property
    def lasting(self) -> bool:
        """Whether the clip is not tried again until it changes."""
        return is_lasting(self.reason, self.retry)


class Failures:
    """The failures recorded in a set's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "failures"

    def add(self, clip_id: str, source: str, reason: str, message: str, retry: bool) -> None:
        """Record a failure, with one more attempt than before.

        Raises:
            StoreError: If the folder cannot be written.
        """
        before = self.get(clip_id)
        entry = {
            "clip": clip_id,
            "source": source,
            "reason": reason,
            "message": message,
            "attempts": before.attempts + 1 if before else 1,
            "retry": retry,
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise refused(self._folder.parent, error) from error
        documents.save(self._place(clip_id), entry, durable=False)

    def remove(self, clip_ids: Iterable[str]) -> None:
        """Delete any failures of these clips."""
        for clip_id in clip_ids:
            remove(self._place(clip_id))

    def get(self, clip_id: str) -> Failure | None:
        """The clip's last failure; None if it did not fail."""
        return _read(self._place(clip_id))

    def all(self) -> list[Failure]:
        """All recorded failures, by clip."""
        found = [_read(place) for place in self._folder.glob("*.json")]
        return sorted(failure for failure in found if failure is not None)

    def _place(self, clip_id: str) -> Path:
        return self._folder / f"{hashlib.sha256(clip_id.encode()).hexdigest()[:24]}.json"


def read_failure(place: Path) -> Failure:
    """One recorded failure.

    Raises:
        FileNotFoundError: If it was deleted.
        DamagedFile: If it is damaged.
    """
    entry = documents.read(place, unchecked=(*Failure._fields, "at"))
    try:
        return Failure(**{name: entry[name] for name in Failure._fields if name in entry})
    except TypeError as error:
        raise DamagedFile(f"{place} is damaged: {error}") from error


def _read(place: Path) -> Failure | None:
    try:
        return read_failure(place)
    except (FileNotFoundError, DamagedFile):
        return None  # the clip is tried again
