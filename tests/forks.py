"""Processes that start as copies of one that has made its imports, which take longer than what most of them do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

PROGRAM = """
{program}
import json, os, sys
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        deed(*json.loads(line))
        sys.stdout.flush()
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Forks:
    """One copy at a time of a process, which calls `deed` of its program."""

    def __init__(self, process):
        self._process, self.child = process, 0

    def start(self, *arguments):
        """Begin a deed; arguments are what JSON holds."""
        self._process.stdin.write(json.dumps(list(arguments)) + "\n")
        self._process.stdin.flush()
        self.child = int(self._process.stdout.readline())

    def wait(self):
        """The exit status, negative for a signal."""
        return int(self._process.stdout.readline())

    def run(self, *arguments):
        """The exit status of a deed."""
        self.start(*arguments)
        return self.wait()

    def kill(self):
        """End the copy by SIGKILL, and give its exit status: another one if it had ended before."""
        os.kill(self.child, signal.SIGKILL)
        return self.wait()


@contextmanager
def forks(program, **options):
    """Copies of a process that has run `program`, which defines `deed(*arguments)`."""
    command = [sys.executable, "-c", PROGRAM.format(program=program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            yield Forks(process)
        finally:
            process.stdin.close()
