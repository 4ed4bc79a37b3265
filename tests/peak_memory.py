"""Memory that a command takes for a file of a stranger."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from pathlib import Path
from featzoo.cli import feat
try:
    feat()
finally:
    # Not getrusage, which counts the process that started this one.
    print("peak", Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


def peak_memory(command, *arguments, status=1):
    """Peak memory in MB of a `feat` command that must fail with a message, and the message."""
    line = [sys.executable, "-c", PROGRAM, *command.split(), *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return int(done.stdout.rsplit("peak ", 1)[1]) / 1024, done.stderr
