"""Pointers and web pages in place of data are named as what they are, wherever such files are read."""

import pytest

from featzoo.errors import ClipError, InvalidClips
from featzoo.exchange.formats.csd import import_csd
from featzoo.exchange.pickles.mmsa import import_mmsa
from featzoo.exchange.pickles.unpickle import load_npz
from featzoo.exchange.texts.essays import import_essays
from featzoo.exchange.texts.mbti import import_mbti
from featzoo.media.clip import Clip
from featzoo.media.discovery import find_clips
from featzoo.stand_ins import stand_in

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb\nsize 12345\n"
ANNEX = b"/annex/objects/MD5E-s1234--0123456789abcdef0123456789abcdef.mp4\n"
PAGE = b"\n<!-- sign in -->\n<!DOCTYPE html>\n<html lang=en><head><title>Google Drive</title>"
FILES = {"Git-LFS": LFS, "git-annex": ANNEX, "HTML page": PAGE}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("a.pkl", lambda path: import_mmsa(path, path.parent / "s")),
        ("a.csd", lambda path: import_csd(path, path.parent / "s")),
        ("a.npz", load_npz),
        ("a.csv", lambda path: import_essays(path, path.parent / "s")),
        ("a.parquet", lambda path: import_mbti(path, path.parent / "s")),
        ("a.parquet", find_clips),
        ("a.csv", find_clips),
        ("a.mp4", lambda path: Clip("a", path).audio()),
        ("a.wav", lambda path: Clip("a", path).audio()),
    ],
)
def test_a_stand_in_is_named_by_every_reader(tmp_path, kind, name, read):
    path = tmp_path / name
    path.write_bytes(FILES[kind])
    with pytest.raises((InvalidClips, ClipError), match=kind):
        read(path)


def test_data_are_not_stand_ins(tmp_path):
    for raw in (b"", b"id,text\na,<html>\n", b"\x80\x04N.", b"version 1\n", b"<htmlish"):
        (tmp_path / "a").write_bytes(raw)
        assert stand_in(tmp_path / "a") == ""
    assert stand_in(tmp_path / "missing") == ""


@pytest.mark.parametrize("read", [import_essays, import_mbti])
def test_a_binary_file_is_not_a_table_of_texts(tmp_path, read):
    (tmp_path / "a.csv").write_bytes(b"PK\x03\x04\0\0text,type\n\0\xff")
    with pytest.raises(InvalidClips, match="a binary file"):
        read(tmp_path / "a.csv", tmp_path / "s")
