import errno
import io
import os
import stat
from pathlib import Path

import pytest

from featzoo.durable import move, replacing, write, write_new
from featzoo.errors import StoreError


@pytest.fixture
def trace(monkeypatch):
    """The calls of os.fsync and os.replace in order, with what was on disk under each name at that moment.

    A kill cannot show a missing sync, since the kernel keeps what a dead process wrote; only a power cut would.
    """
    calls = []
    fsync, replace = os.fsync, os.replace

    def traced_fsync(handle):
        status = os.fstat(handle)
        name = os.path.realpath(f"/proc/self/fd/{handle}")
        calls.append(("sync folder" if stat.S_ISDIR(status.st_mode) else "sync", name, status.st_size))
        fsync(handle)

    def traced_replace(source, target):
        calls.append(("rename", str(source), str(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", traced_fsync)
    monkeypatch.setattr(os, "replace", traced_replace)
    return calls


linux = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads the names of open files from /proc")


@linux
def test_a_file_is_synced_whole_then_renamed_then_its_folder_is_synced(tmp_path, trace):
    place = tmp_path / "a.json"
    write(place, "Grüße")
    (sync, temporary, size), rename, folder = trace
    assert (sync, size) == ("sync", 7)
    assert Path(temporary).parent == tmp_path
    assert temporary != str(place)
    assert rename == ("rename", temporary, str(place))
    assert folder[:2] == ("sync folder", str(tmp_path))
    assert place.read_bytes() == "Grüße".encode()


@linux
def test_every_file_of_a_folder_is_synced_before_the_folder_is_renamed(tmp_path, trace):
    with replacing(tmp_path / "export") as temporary:
        (temporary / "data").mkdir(parents=True)
        (temporary / "data" / "rows").write_bytes(b"123")
        (temporary / "about").write_bytes(b"12")
    kinds = [kind for kind, *_ in trace]
    assert kinds.index("rename") == len(kinds) - 2
    synced = {os.path.relpath(name, temporary) for kind, name, _ in trace[:-2]}
    assert synced == {".", "data", "data/rows", "about"}
    assert trace[-1][:2] == ("sync folder", str(tmp_path))
    assert (tmp_path / "export" / "data" / "rows").read_bytes() == b"123"


def test_files_that_need_not_be_durable_are_renamed_without_a_sync(tmp_path, trace):
    write(tmp_path / "a", b"1", durable=False)
    assert [kind for kind, *_ in trace] == ["rename"]


def half_a_file(place):
    with replacing(place) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError


def half_a_folder(place):
    with replacing(place) as temporary:
        (temporary / "data").mkdir(parents=True)
        (temporary / "data" / "rows").write_bytes(b"123")
        raise KeyboardInterrupt


def test_an_error_while_writing_keeps_the_old_file_and_leaves_no_other(tmp_path):
    place = tmp_path / "a"
    place.write_text("old")
    with pytest.raises(ZeroDivisionError):
        half_a_file(place)
    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]


def test_an_error_while_writing_a_folder_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        half_a_folder(tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_keeps_the_old_file_and_says_why(tmp_path, monkeypatch, call):
    place = tmp_path / "a"
    place.write_text("old")

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(StoreError, match=r"cannot write to .*: No space left on device \(the disk is full: free some"):
        write(place, "new")
    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]


@linux
def test_a_folder_that_cannot_be_synced_does_not_stop_a_write(tmp_path, monkeypatch):
    """As on some network file systems."""
    fsync = os.fsync

    def files_only(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", files_only)
    write(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"


def test_a_missing_folder_is_an_error_that_names_it(tmp_path):
    with pytest.raises(StoreError, match=r"cannot write to .*/gone: No such file or directory"):
        write(tmp_path / "gone" / "a", "new")


def test_a_name_of_the_longest_length_can_be_written(tmp_path):
    for place in (tmp_path / ("x" * 255), tmp_path / ("顔" * 85)):
        write(place, "new")
        assert place.read_text() == "new"


@linux
def test_a_move_is_synced_in_the_new_folder_before_the_old_one(tmp_path, trace):
    (tmp_path / "shards").mkdir()
    place, target = tmp_path / "shards" / "a.h5", tmp_path / "damaged" / "a.h5"
    place.write_bytes(b"1")
    move(place, target)
    assert [call[:2] for call in trace] == [
        ("sync folder", str(tmp_path)),
        ("rename", str(place)),
        ("sync folder", str(target.parent)),
        ("sync folder", str(place.parent)),
    ]
    assert target.read_bytes() == b"1"


def test_a_move_that_fails_leaves_the_file_where_it_was(tmp_path):
    place = tmp_path / "a.h5"
    place.write_bytes(b"1")
    (tmp_path / "damaged").write_bytes(b"a file of that name")
    with pytest.raises(StoreError, match="cannot write to"):
        move(place, tmp_path / "damaged" / "a.h5")
    assert place.read_bytes() == b"1"


def test_a_failed_write_leaves_no_view_of_what_was_to_be_written(monkeypatch, tmp_path):
    """A BytesIO that is collected while there is one prints a traceback, from Python 3.13 on."""
    image, read_only = io.BytesIO(b"content"), os.open(os.devnull, os.O_RDONLY)
    monkeypatch.setattr(os, "open", lambda *_: read_only)
    with pytest.raises(OSError, match="Bad file") as caught, image.getbuffer() as content:
        write_new(tmp_path / "a", content)
    image.close()  # while the frames of the error are there
    assert caught.value.errno == errno.EBADF
