"""One flipped bit in each kind of file of a store: no wrong value, no hang, no traceback, no crash."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fault_table import is_long, long_form

SCRIPT = Path(__file__).with_name("flips.py")
KINDS = ["shard", "index", "set", "clips", "marker", "failure", "note", "digests", "shard-1", "clips-1"]
# Flips of each kind, in `make test` and with `-m faults`; a process makes at most a few.
USUAL, LONG, AT_ONCE = 4, 700, 100
# Seconds without a line after which a flip counts as a hang; the slowest takes a few.
HANG = 120

pytestmark = [pytest.mark.faults, pytest.mark.timeout(6000)]


def pytest_generate_tests(metafunc):
    """All kinds in one process, or with `-m faults` a test of each."""
    kinds = [(kind,) for kind in KINDS] if is_long(metafunc.config) else [KINDS]
    metafunc.parametrize("kinds", kinds, ids=",".join)


def flips(kinds, count, seed, folder):
    """The lines of a run of flips.py, and how it ended: a process that says nothing for long is killed."""
    command = [sys.executable, SCRIPT, ",".join(kinds), str(count), str(seed), folder]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []
    timer = threading.Timer(HANG, process.kill)
    timer.start()
    for line in process.stdout:
        timer.cancel()
        timer = threading.Timer(HANG, process.kill)
        timer.start()
        lines.append(json.loads(line))
    timer.cancel()
    errors = process.stderr.read()
    return lines, process.wait(), errors


def test_a_flipped_bit_is_an_error_or_changes_nothing(tmp_path, kinds, count_faults, request):
    whole = long_form(request.config, USUAL, LONG)
    done = 0
    for seed in range(-(-whole // AT_ONCE)):
        count = min(AT_ONCE, whole - seed * AT_ONCE)
        folder = tmp_path / str(seed)
        folder.mkdir()
        lines, status, errors = flips(kinds, count, seed, folder)
        results = lines[1::2]
        count_faults(
            f"flips: {','.join(kinds)}",
            trials=len(results),
            silently_wrong=sum(bool(each["wrong"]) for each in results),
            tracebacks=sum(bool(each["tracebacks"]) for each in results),
            hangs=status == -signal.SIGKILL,
            SIGSEGV=status == -signal.SIGSEGV,
        )
        assert status == 0, (lines[-1:], errors)
        assert [
            each for each in zip(lines[::2], results, strict=True) if each[1]["wrong"] or each[1]["tracebacks"]
        ] == []
        done += len(results)
    assert done == whole * len(kinds)
