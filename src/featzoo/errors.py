"""Errors that a user can act on; the commands print them without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class FeatzooError(Exception):
    """An error that a user can fix. The message says what is wrong, what was expected and what to do.

    Attributes:
        hint: A command line to type. Only a command that catches the error sets it, and it is printed below the
            message.
        exit_status: Of the command; one that can finish a part of its work sets another if it has finished none.
    """

    hint: str = ""
    exit_status: int = 1


class UnknownName(FeatzooError):
    """An unknown name."""


class InvalidOption(FeatzooError):
    """An option or recipe field of the wrong name, type or range."""


class MissingPackage(FeatzooError):
    """A package that an extractor or head needs is not installed."""


class MissingWeights(FeatzooError):
    """Model weights that are not on this machine.

    Attributes:
        models: Names of the missing models that can be downloaded; empty for damaged weights, or those of one's own.
    """

    def __init__(self, message: str, models: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.models = tuple(models)


class MissingFeatures(FeatzooError):
    """A recipe asks for features, labels or splits that the store does not hold.

    Attributes:
        roles: The recipe's inputs for which the store holds no feature set.
    """

    def __init__(self, message: str, roles: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.roles = tuple(roles)


class StoreError(FeatzooError):
    """A feature store that cannot be used as requested, or a file that cannot be written."""


class DamagedFile(StoreError):
    """A file of a store whose bytes differ from those that were written."""


class DamagedShard(DamagedFile):
    """A shard whose bytes differ from those that were written."""


class NewerFormat(StoreError):
    """An intact file of a format that a later featzoo writes and this one cannot read."""


class UntrustedRun(FeatzooError):
    """A run that names code which its user has neither trained with nor trusted."""


class InvalidClips(FeatzooError):
    """A manifest, label file or folder of clips that cannot be read."""


class TrainingStopped(KeyboardInterrupt):
    """A training that Ctrl+C or SIGTERM has stopped; `resume_run` continues it. Its cause is the interrupt.

    Attributes:
        run: The run's folder.
        saved: The number of epochs in the saved state; without any, the training starts over.
    """

    def __init__(self, run: Path, saved: int) -> None:
        super().__init__(f"training stopped: {run}")
        self.run = run
        self.saved = saved


class ClipError(FeatzooError):
    """Features cannot be computed from one clip; the other clips are not affected.

    Attributes:
        reason: A short code that is stored with the failure, such as `no-audio`. featzoo's own reasons are
            listed in `featzoo.vocabulary.LASTING`; a plugin may add others.
        retry: Whether the next run tries the unchanged clip again. This is for temporary causes, such as a
            server that did not answer.
    """

    def __init__(self, reason: str, message: str, retry: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry = retry

    def __reduce__(self) -> tuple[type[ClipError], tuple[str, str, bool]]:
        return (type(self), (self.reason, str(self), self.retry))


def unknown(name: str, kind: str, known: Iterable[str]) -> UnknownName:
    """An `UnknownName` that suggests the nearest of the `known` names."""
    return UnknownName(f"no '{name}' among {kind}{suggestion(name, known)}")


def suggestion(name: str, known: Iterable[str], most: int = 60) -> str:
    """`: did you mean 'x'?`, or the first of what there is, `most` names, if none is similar."""
    choices = sorted(known)
    lower = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(name.lower(), lower, n=1)
    if near:
        return f": did you mean '{lower[near[0]]}'?"
    more = " and more" if len(choices) > most else ""
    return f": there are {', '.join(choices[:most])}{more}" if choices else ": none exist"
