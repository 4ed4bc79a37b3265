"""One failing call at every point at which an operation changes a file: nothing broken goes live, nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fault_table import is_long, long_form

HERE = Path(__file__).parent
OPERATIONS = ["add", "pack", "gc", "merge", "import", "repair", "export"]
ERRORS = {errno.EIO: "EIO", errno.ENOSPC: "ENOSPC", errno.EROFS: "EROFS", 0: "half a write"}
# Calls that are tried of an operation that has this many; FEATZOO_FAULTS takes a share of them.
MOST = 100
STOPPED = {0: "done", 1: "a StoreError", 2: "done, no call failed"}

# In `make test`; `pytest -m faults` has every operation with every error.
USUAL = {("add", errno.EIO), ("pack", errno.EIO), ("merge", errno.EIO)}

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="builds a library to preload with cc"),
]


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    library = tmp_path_factory.mktemp("shim") / "failing_calls.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, HERE / "failing_calls.c", "-ldl"], check=True)
    return library


@pytest.mark.parametrize("error", ERRORS, ids=ERRORS.get)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_failing_call_neither_breaks_nor_loses_a_clip(tmp_path, shim, operation, error, count_faults, request):
    if (operation, error) not in USUAL and not is_long(request.config):
        pytest.skip("only with -m faults")
    step = round(MOST / long_form(request.config, MOST, MOST))
    command = [sys.executable, HERE / "failing_calls.py", operation, str(error), str(step), shim, tmp_path]
    environment = {**os.environ, "LD_PRELOAD": str(shim)}
    limit = 3000 if is_long(request.config) else 250
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit)
    trials = [json.loads(line) for line in done.stdout.splitlines()]
    problems = [problem for trial in trials for problem in trial["wrong"]]
    lost = sum(problem.startswith("lost") for problem in problems)
    count_faults(
        f"failing calls: {ERRORS[error]}",
        trials=len(trials) - 1,
        lost=lost,
        silently_wrong=len(problems) - lost,
        tracebacks=sum(trial["status"] == 3 for trial in trials),
        SIGSEGV=sum(trial["status"] == -signal.SIGSEGV for trial in trials),
    )
    assert done.returncode == 0, done.stderr
    assert [trial for trial in trials if trial["wrong"] or trial["status"] not in STOPPED] == [], done.stderr
    assert len(trials) > 1 or not error  # merge links its files and repair moves them: neither writes
    if not error:
        assert {trial["status"] for trial in trials} <= {0, 2}  # half a write is no error
