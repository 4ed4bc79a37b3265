"""Temporary files of writers that were killed are deleted by the next writer; those of live writers never."""

from __future__ import annotations

import subprocess
import sys

import pytest

from featzoo.durable import write
from featzoo.unfinished import temporary

WRITER = """
import sys
from pathlib import Path
from featzoo.durable import replacing
with replacing(Path(sys.argv[1])) as place:
    if sys.argv[2] == "folder":
        place.mkdir()
        place = place / "part"
    place.write_text("half of it")
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(tmp_path):
    """A process that is in the middle of writing a file or a folder."""
    started = []

    def start(kind):
        line = [sys.executable, "-c", WRITER, str(tmp_path / kind), kind]
        started.append(subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "writing\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_writer_left_is_deleted_by_the_next_one(tmp_path, writer, kind):
    process = writer(kind)
    process.kill()
    process.wait()
    assert len(list(tmp_path.glob(".*.tmp"))) == 1
    write(tmp_path / "other", "content")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_live_writer_keeps_its_file(tmp_path, writer):
    process = writer("file")
    write(tmp_path / "other", "content")
    process.communicate("")
    assert process.returncode == 0
    assert (tmp_path / "file").read_text(encoding="utf-8") == "half of it"


def test_files_of_other_machines_and_programs_stay(tmp_path):
    name = temporary(tmp_path / "x").name
    space = name.split("-")[1]
    theirs = [tmp_path / name.replace(space, "0" * 12), tmp_path / ".draft.tmp", tmp_path / "notes.tmp"]
    for place in theirs:
        place.write_text("", encoding="utf-8")
    write(tmp_path / "other", "content")
    assert sorted(tmp_path.iterdir()) == sorted([*theirs, tmp_path / "other"])
