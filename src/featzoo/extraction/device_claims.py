"""Which GPU a process runs models on: all of them are used, and each process keeps to one."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Sequence
from itertools import chain, count
from typing import NamedTuple

from featzoo.errors import FeatzooError


class _Claim(NamedTuple):
    run: str
    slot: int
    place: socket.socket


_claim: _Claim | None = None
_claiming = threading.Lock()


def claim_device(run: str, devices: Sequence[str]) -> str:
    """The device that this process keeps for a whole run. On one machine, two share a device only if none is free.

    A process that dies releases its device. A process of an earlier run requests the same
    device again, where its models may still be loaded.

    Args:
        run: A name shared by all processes of the run and by no others.
        devices: This machine's devices, the same list in all processes.
    """
    global _claim
    if len(devices) == 1:
        return devices[0]
    with _claiming:
        if _claim is None or _claim.run != run:
            earlier = [] if _claim is None else [_claim.slot]
            if _claim is not None:
                _claim.place.close()
            _claim = next(claim for slot in chain(earlier, count()) if (claim := _take(run, slot)))
        return devices[_claim.slot % len(devices)]


def _take(run: str, slot: int) -> _Claim | None:
    # An abstract socket name belongs to one process at a time, and the kernel frees it when that process ends in any
    # way. A lock file would have to be removed on each host of a cluster.
    place = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        place.bind(f"\0featzoo-{run}-{slot}")
    except OSError as error:
        place.close()
        if error.errno != errno.EADDRINUSE:
            raise FeatzooError(f"cannot claim a GPU for this process: {error}; use the device cuda:0") from error
        return None
    return _Claim(run, slot, place)
