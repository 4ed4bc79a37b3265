"""Reads the log of a run's epochs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from featzoo.errors import FeatzooError
from featzoo.untrusted import parse_json


def read_epochs(log: Path) -> list[dict[str, Any]]:
    """The epochs so far, with the fields of `training.checkpoint.Epoch`; None for values that are not finite.

    Args:
        log: The run's `metrics.jsonl`; if there is none, no epoch has ended yet.

    Raises:
        FeatzooError: If it is damaged. A last line that was not written whole is left out.
    """
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise FeatzooError(f"{log} cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(dict(parse_json(line)))
        except (TypeError, ValueError) as error:
            if number == len(lines):
                break
            raise FeatzooError(f"{log}, line {number} is damaged: {error}") from error
    return found
