"""Archives as corpora are distributed: archives in archives, some of them encrypted."""

import io
import pickle
import struct
import zipfile
import zlib

import pytest

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips
from featzoo.exchange.corpora.archives import unpack
from featzoo.exchange.corpora.first_impressions_archives import import_first_impressions_archives

TRAITS = ("extraversion", "neuroticism", "agreeableness", "conscientiousness", "interview", "openness")


def zipped(files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def encrypted(name, content, password):
    """A .zip of one stored file, encrypted as PKWARE's APPNOTE 6.1 describes; the standard library only decrypts."""
    keys = [305419896, 591751049, 878082192]

    def crc(before, byte):
        return zlib.crc32(bytes([byte]), before ^ 0xFFFFFFFF) ^ 0xFFFFFFFF

    def update(byte):
        keys[0] = crc(keys[0], byte)
        keys[1] = ((keys[1] + (keys[0] & 255)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = crc(keys[2], keys[1] >> 24)

    for byte in password:
        update(byte)
    digest, out = zlib.crc32(content), bytearray()
    for byte in bytes(11) + bytes([digest >> 24]) + content:
        mask = (keys[2] | 2) & 0xFFFF
        out.append(byte ^ ((mask * (mask ^ 1)) >> 8 & 255))
        update(byte)
    raw = name.encode()
    told = struct.pack("<HHHHHIIIHH", 20, 1, 0, 0, 33, digest, len(out), len(content), len(raw), 0)
    local = b"PK\3\4" + told + raw + bytes(out)
    central = b"PK\1\2" + struct.pack("<H", 20) + told + struct.pack("<HHHII", 0, 0, 0, 0, 0) + raw
    return local + central + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)


def test_archives_in_archives_become_folders_and_complete_files_are_kept(tmp_path):
    inner = zipped({"a.001.mp4": b"one", "b.002.mp4": b"two"})
    (tmp_path / "train-1.zip").write_bytes(zipped({"training80_01.zip": inner, "readme.txt": b"read me"}))
    found = list(unpack([tmp_path / "train-1.zip"], tmp_path / "out"))
    assert {path.relative_to(tmp_path / "out").as_posix(): path.read_bytes() for path in found} == {
        "training80_01/a.001.mp4": b"one", "training80_01/b.002.mp4": b"two", "readme.txt": b"read me",
    }  # fmt: skip
    (tmp_path / "out" / "readme.txt").write_bytes(b"cut")
    (tmp_path / "out" / "training80_01" / "a.001.mp4").write_bytes(b"ONE")  # the size of a complete file
    list(unpack([tmp_path / "train-1.zip"], tmp_path / "out"))
    assert (tmp_path / "out" / "readme.txt").read_bytes() == b"read me"
    assert (tmp_path / "out" / "training80_01" / "a.001.mp4").read_bytes() == b"ONE"


def test_encrypted_files_need_a_password_that_fits(tmp_path):
    (tmp_path / "e.zip").write_bytes(encrypted("c.txt", b"secret text", b"right"))
    with zipfile.ZipFile(tmp_path / "e.zip") as archive:  # another implementation
        assert archive.read("c.txt", pwd=b"right") == b"secret text"
    (found,) = unpack([tmp_path / "e.zip"], tmp_path / "out", ["right"])
    assert found.read_bytes() == b"secret text"
    with pytest.raises(InvalidClips, match="needs a password"):
        list(unpack([tmp_path / "e.zip"], tmp_path / "other"))


@pytest.mark.parametrize("name", ["../out.txt", "/etc/x", "a/../../b"])
def test_files_outside_the_folder_are_refused(tmp_path, name):
    (tmp_path / "bad.zip").write_bytes(zipped({name: b"x"}))
    with pytest.raises(InvalidClips, match="outside its folder"):
        list(unpack([tmp_path / "bad.zip"], tmp_path / "out"))


def test_damaged_archives_are_named(tmp_path):
    (tmp_path / "cut.zip").write_bytes(zipped({"a": b"x" * 1000})[:60])
    with pytest.raises(InvalidClips, match=r"cut\.zip cannot be unpacked"):
        list(unpack([tmp_path / "cut.zip"], tmp_path / "out"))


def test_first_impressions_from_its_archives(tmp_path):
    parts = {"train": ("training", "a.001.mp4"), "val": ("validation", "b.002.mp4"), "test": ("test", "c.003.mp4")}
    for short, (part, clip) in parts.items():
        traits = pickle.dumps({trait: {clip: 0.5} for trait in TRAITS}, protocol=2)
        words = pickle.dumps({clip: f"words of {part}"}, protocol=2)
        end = "" if short == "train" else "-e"
        (tmp_path / f"{short}-annotation{end}.zip").write_bytes(zipped({f"annotation_{part}.pkl": traits}))
        end = "-e" if short == "test" else ""
        (tmp_path / f"{short}-transcription{end}.zip").write_bytes(zipped({f"x/transcription_{part}.pkl": words}))
        clips = encrypted(f"{part}80_01.zip", zipped({clip: b"media"}), b"key")
        (tmp_path / f"{short}-1{'e' if short == 'test' else ''}.zip").write_bytes(clips)
    (tmp_path / "passwords.txt").write_text("wrong\nkey\n")
    account = import_first_impressions_archives(tmp_path, tmp_path / "store", tmp_path / "unpacked")
    assert account.clips == {"train": 1, "valid": 1, "test": 1}
    clip = FeatureStore(tmp_path / "store").clips()["c.003.mp4"]
    assert clip.text == "words of test"
    assert clip.path is not None
    assert clip.path.read_bytes() == b"media"
    with pytest.raises(InvalidClips, match="not the archives of ChaLearn"):
        import_first_impressions_archives(tmp_path / "store", tmp_path / "other", tmp_path / "unpacked")
