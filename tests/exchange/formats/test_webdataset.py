"""WebDataset's tar files: keys, members, and archives that mean harm."""

from __future__ import annotations

import io
import json
import re
import tarfile

import numpy as np
import pytest

from featzoo import Clip, FeatureSequence, FeatureStore
from featzoo.exchange.formats.webdataset import export_webdataset, import_webdataset

CLIP = "folder/ü 1.take.mp4"


def npy(array, **options):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array), **options)
    return buffer.getvalue()


def write_tar(path, members, mode="w"):
    with tarfile.open(path, mode) as file:
        for name, data in members:
            about = tarfile.TarInfo(name)
            about.size = len(data)
            file.addfile(about, io.BytesIO(data))
    return path


@pytest.fixture
def tar(tmp_path):
    store = FeatureStore.create(tmp_path / "s")
    clips = {CLIP: FeatureSequence(np.arange(6.0).reshape(3, 2), np.arange(6.0).reshape(3, 2), ("a", "b"))}
    store.add("x", {**clips, "two": np.ones((1, 2))}, names=["a", "b"])
    store.record([Clip(CLIP, split="test", labels={"mood": 0.5}, categories={"emotion": "joy"})])
    export_webdataset(tmp_path / "s", "x", tmp_path / "x.tar")
    return tmp_path / "x.tar"


def test_webdatasets_rule_of_keys_finds_every_member(tar):
    """The package ends a key at the first dot of the last part: its expression, applied to our names."""
    rule = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$")
    with tarfile.open(tar) as file:
        found = [rule.match(name).groups() for name in file.getnames()]
        keys = [key for key, _ in found]
        assert keys == [keys[0]] * 3 + ["two"] * 3
        assert [extension for _, extension in found[:3]] == ["features.npy", "intervals.npy", "json"]
        members = {extension: file.extractfile(f"{keys[0]}.{extension}").read() for _, extension in found[:3]}
    np.testing.assert_array_equal(np.load(io.BytesIO(members["features.npy"])), np.arange(6.0).reshape(3, 2))
    about = json.loads(members["json"])
    assert (about["clip"], about["split"], about["labels"]) == (CLIP, "test", {"mood": 0.5, "emotion": "joy"})


def test_the_package_reads_it(tar):
    import webdataset

    samples = list(webdataset.WebDataset(str(tar), shardshuffle=False).decode())
    assert [sample["json"]["clip"] for sample in samples] == [CLIP, "two"]
    np.testing.assert_array_equal(samples[0]["features.npy"], np.arange(6.0).reshape(3, 2))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_other_peoples_tar_files_come_in(tmp_path, mode):
    """`key.npy` will do, other members are passed over, an entry without an array is refused."""
    path = write_tar(
        tmp_path / "theirs.tar",
        [
            ("sub/k1.npy", npy(np.ones((4, 2)))),
            ("sub/k1.jpg", b"no array"),
            ("k%2E2.npy", npy(-np.inf * np.ones((1, 2)))),
            ("k3.txt", b"no array"),
            ("k4.npy", npy(np.array([{}]), allow_pickle=True)),
            ("k5.npy", npy(np.ones((9, 2)))[:140]),
        ],
        mode,
    )
    (came,) = import_webdataset(path, tmp_path / "s").sets
    assert FeatureStore(tmp_path / "s")["theirs"].ids() == ["k.2", "sub/k1"]
    assert came.infinite == 2
    assert "no features.npy" in came.refused["k3"]
    assert "not of numbers" in came.refused["k4"]
    assert "truncated" in came.refused["k5"]


def test_nothing_is_ever_written_beside_the_store(tmp_path):
    """Names that climb, absolute names and links: read as clip ids or passed over, nothing is extracted."""
    inside = tmp_path / "inside"
    inside.mkdir()
    path = write_tar(
        inside / "x.tar", [("../escaped.npy", npy(np.ones((1, 2)))), ("/root/a.npy", npy(np.ones((1, 2))))]
    )
    with tarfile.open(path, "a") as file:
        link = tarfile.TarInfo("b.npy")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    (came,) = import_webdataset(path, inside / "s").sets
    assert came.clips == 2
    assert sorted(each.name for each in inside.iterdir()) == ["s", "x.tar"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["inside"]


def test_a_sparse_member_is_not_read(tmp_path):
    """GNU tar writes a file of zeros as a map without bytes: this one declares eight terabytes."""
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT) as file:
        for name, sparse in (("a.features.npy", True), ("b.features.npy", False)):
            about, raw = tarfile.TarInfo(name), npy(np.ones((2, 1)))
            about.size = len(raw)
            if sparse:
                about.pax_headers = {"GNU.sparse.size": str(1 << 43), "GNU.sparse.map": f"0,{len(raw)}"}
            file.addfile(about, io.BytesIO(raw))
    (came,) = import_webdataset(tmp_path / "x.tar", tmp_path / "s").sets
    assert came.clips == 1
