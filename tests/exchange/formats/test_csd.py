"""CMU-MultimodalSDK's .csd, in and out."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from peak_memory import peak_memory

from featzoo import Clip, FeatureSequence, FeatureStore, Word
from featzoo.errors import InvalidClips, StoreError
from featzoo.exchange.formats.csd import METADATA, export_csd, import_csd
from featzoo.exchange.plain_hdf5 import read_texts


@pytest.fixture
def store(tmp_path):
    made = FeatureStore.create(tmp_path / "features")
    rng = np.random.default_rng(0)
    rows = {}
    for number in range(4):
        times = np.arange(number + 1)[:, None] * 0.01 + np.array([[0.0, 0.02]])
        rows[f"folder/clip {number} 100%.mp4"] = FeatureSequence(
            rng.normal(size=(number + 1, 3)), times, ("a", "b", "c")
        )
    made.add("audio.x", rows)
    return made


def test_round_trip_keeps_names_times_columns_and_every_bit(store, tmp_path):
    said = export_csd(store.path, "audio.x", tmp_path / "x.csd")
    assert "4 entries x 3 columns" in said[1]
    (came,) = import_csd(tmp_path / "x.csd", tmp_path / "again").sets
    assert (came.clips, came.infinite, came.refused) == (4, 0, {})
    again, before = FeatureStore(tmp_path / "again")[came.key], store["audio.x"]
    assert again.ids() == before.ids()
    assert again.names == before.names
    for clip in before:
        np.testing.assert_array_equal(again[clip].features, before[clip].features)
        np.testing.assert_array_equal(again[clip].intervals, before[clip].intervals)
        assert again[clip].features.dtype == np.float64


def test_the_file_is_laid_out_as_the_sdk_reads_it(store, tmp_path):
    """What the SDK's reader does: first key, data and metadata under it, [0] of each metadata set, 2-d arrays.

    The published package 0.0.6 itself was run on such a file: see docs/how-to/exchange.md.
    """
    export_csd(store.path, "audio.x", tmp_path / "x.csd", {"creator": "me"})
    with h5py.File(tmp_path / "x.csd") as file:
        (root,) = file.keys()
        metadata = {key: json.loads(held[0]) for key, held in file[root]["metadata"].items()}
        assert set(METADATA) <= set(metadata)
        assert (metadata["root name"], metadata["creator"]) == (root, "me") == ("audio.x", "me")
        for entry in file[root]["data"].values():
            assert len(entry["features"].shape) == 2
            assert entry["intervals"].shape == (entry["features"].shape[0], 2)


@pytest.mark.parametrize("write", [json.dumps, str, lambda value: str(value).encode()])
def test_metadata_of_all_versions_is_read(tmp_path, write):
    """JSON (master), plain text (0.0.6) and bytes; column names under the SDK's slip of a key."""
    with h5py.File(tmp_path / "x.csd", "w") as file:
        entry = file.create_group("COVAREP/data/video 1")
        entry["features"] = np.array([[1.0, -np.inf, np.inf], [np.nan, 2.0, 3.0]])
        entry["intervals"] = np.array([[0.0, 0.01], [0.01, 0.02]])
        bad = file.create_group("COVAREP/data/video 2")
        bad["features"], bad["intervals"] = np.zeros((2, 3)), np.zeros((1, 2))
        for key, value in {
            "root name": "COVAREP",
            "dimension namescomputational sequence version": ["F0", "VUV", "NAQ"],
        }.items():
            file[f"COVAREP/metadata/{key}"] = np.array([write(value)], dtype=h5py.string_dtype())
    (came,) = import_csd(tmp_path / "x.csd", tmp_path / "store").sets
    assert came.clips == 1
    assert came.infinite == 2
    assert "need intervals" in came.refused["video 2"]
    found = FeatureStore(tmp_path / "store")["covarep"]
    assert found.names == ("F0", "VUV", "NAQ")
    np.testing.assert_array_equal(found["video 1"].features, [[1.0, np.nan, np.nan], [np.nan, 2.0, 3.0]])


@pytest.mark.data
def test_the_real_label_file_of_cmu_mosi(data, tmp_path):
    (came,) = import_csd(data / "mosi" / "CMU_MOSI_Opinion_Labels.csd", tmp_path / "store").sets
    found = FeatureStore(tmp_path / "store")["opinion-segment-labels"]
    assert (came.clips, came.refused) == (93, {})
    assert sum(len(found[video]) for video in found) == 2199
    assert found.names == ("sentiment score",)
    np.testing.assert_allclose(found["03bSnISJMiM"].features[:3, 0], [2.4, -0.8, -1.0])
    assert found.provenance["csd"]["dataset name"] == "CMU-MOSI"


def test_unreadable_entries_and_lossy_exports_are_refused(store, tmp_path):
    (tmp_path / "cut.csd").write_bytes(b"\x89HDF\r\n\x1a\n" + b"0" * 100)
    with pytest.raises(InvalidClips, match="truncated download"):
        import_csd(tmp_path / "cut.csd", tmp_path / "s")
    with h5py.File(tmp_path / "other.csd", "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(InvalidClips, match=r"not a \.csd file"):
        import_csd(tmp_path / "other.csd", tmp_path / "s")
    (tmp_path / "x.csd").write_text("mine")
    with pytest.raises(StoreError, match="exists"):
        export_csd(store.path, "audio.x", tmp_path / "x.csd")
    with pytest.raises(StoreError, match=r"\*\.csd"):
        export_csd(store.path, "audio.x", tmp_path / "x.h5")


def write_words(path, entries):
    """As the SDK's CMU_MOSEI_TimestampedWords.csd: byte strings (N, 1), with `sp` where nothing is said."""
    with h5py.File(path, "w") as file:
        for name, rows in entries.items():
            group = file.create_group(f"words/data/{name}")
            group["features"] = np.array([[text.encode()] for text, _, _ in rows], dtype="S32")
            group["intervals"] = np.array([times for _, *times in rows])
        file["words/metadata/root name"] = [json.dumps("words")]


ROWS = [("sp", 0.0, 0.5), ("so", 0.5, 1.0), ("long", 1.0, 1.5), ("sp", 1.5, 2.0), ("caf\u00e9", 2.0, 2.5)]


def test_a_sequence_of_words_becomes_the_words_of_clips(tmp_path):
    write_words(tmp_path / "w.csd", {"a": ROWS, "b": ROWS[:2]})
    account = import_csd(tmp_path / "w.csd", tmp_path / "s")
    assert (account.sets, account.complete) == ((), True)
    clips = FeatureStore(tmp_path / "s").clips()
    assert [tuple(word) for word in clips["a"].words] == [ROWS[1], ROWS[2], ROWS[4]]
    assert clips["b"].text == "so"


def test_a_sequence_of_words_is_cut_into_the_stores_clips_and_gives_them_times(tmp_path):
    store = FeatureStore.create(tmp_path / "s")
    words = tuple(map(Word, ["long", "caf\u00e9"]))
    store.record([Clip("a$_$0", start=0.9, end=2.6, words=words, split="test"), Clip("z$_$0", start=0, end=1)])
    write_words(tmp_path / "w.csd", {"a": ROWS})
    assert import_csd(tmp_path / "w.csd", tmp_path / "s", cut=True).complete
    (first, second) = FeatureStore(tmp_path / "s").clips()["a$_$0"].words
    assert (first.text, second.text) == ("long", "caf\u00e9")
    np.testing.assert_allclose([first[1:], second[1:]], [[0.1, 0.6], [1.1, 1.6]])
    assert FeatureStore(tmp_path / "s").clips()["a$_$0"].split == "test"


def _entry(data, name="clip"):
    entry = data.create_group(name)
    entry["features"], entry["intervals"] = np.ones((2, 1), np.float32), np.array([[0.0, 1.0], [1.0, 2.0]])


def _external_storage(data, secret):
    entry = data.create_group("clip")
    entry.create_dataset("features", (8, 1), "u1", external=[(str(secret), 0, 8)])
    entry["intervals"] = np.zeros((8, 2))


def _external_link(data, secret):
    with h5py.File(secret.with_name("other.h5"), "w") as other:
        _entry(other)
    data["clip"] = h5py.ExternalLink(str(secret.with_name("other.h5")), "/clip")


def _soft_link(data, _secret):
    _entry(data, "real")
    data["clip"] = h5py.SoftLink(data["real"].name)


def _virtual(data, secret):
    _external_link(data, secret)
    del data["clip"]
    layout = h5py.VirtualLayout((2, 1), np.float32)
    layout[:] = h5py.VirtualSource(str(secret.with_name("other.h5")), "/clip/features", (2, 1))
    entry = data.create_group("clip")
    entry.create_virtual_dataset("features", layout)
    entry["intervals"] = np.zeros((2, 2))


def _lists(data, _secret):
    entry = data.create_group("clip")
    entry.create_dataset("features", (2, 1), h5py.vlen_dtype(np.float32))
    entry["intervals"] = np.zeros((2, 2))


def _no_group(data, _secret):
    data["clip"] = np.ones(3)


def _nothing_in_it(data, _secret):
    data.create_group("clip")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (_external_storage, "stored in another file"),
        (_external_link, "link to another place"),
        (_soft_link, "link to another place"),
        (_virtual, "stored in another file"),
        (_lists, "not numbers or text"),
        (_no_group, "is not a group"),
        (_nothing_in_it, "it has no 'features'"),
    ],
)
@pytest.mark.hostile
def test_an_entry_that_is_not_an_array_in_the_file_is_refused(tmp_path, write, reason):
    secret = tmp_path / "secret"
    secret.write_bytes(b"a secret of this machine")
    with h5py.File(tmp_path / "x.csd", "w") as file:
        data = file.create_group("COVAREP").create_group("data")
        write(data, secret)
        _entry(data, "good")
    (came,) = import_csd(tmp_path / "x.csd", tmp_path / "features").sets
    assert reason in came.refused["clip"]
    assert "good" in FeatureStore(tmp_path / "features")[came.key].ids()


@pytest.mark.hostile
@pytest.mark.parametrize("kind", [np.float32, h5py.string_dtype()])
def test_a_declared_shape_takes_no_memory(tmp_path, kind):
    with h5py.File(tmp_path / "x.csd", "w") as file:
        entry = file.create_group("COVAREP/data/clip")
        entry.create_dataset("features", (1_000_000_000, 4), kind, chunks=(1000, 4))
        entry.create_dataset("intervals", (1_000_000_000, 2), np.float64, chunks=(1000, 2))
    peak, said = peak_memory("import csd", tmp_path / "x.csd", "-o", tmp_path / "features")
    assert peak < 400
    assert "bytes, but at most" in said


@pytest.mark.hostile
def test_many_words_that_point_to_one_long_text_take_no_memory(tmp_path):
    """A text of variable length is a pointer into the file: a million of them may point to the same one."""
    with h5py.File(tmp_path / "x.csd", "w") as file:
        entry = file.create_group("COVAREP/data/clip")
        entry.create_dataset("features", (2, 1), h5py.string_dtype())[:] = [["a" * 1_000_000], ["b"]]
        words = entry["features"].id.get_offset()
        number = 100_000
        entry["intervals"] = np.zeros((number, 2))
        del entry["features"]
        entry.create_dataset("features", (number, 1), h5py.string_dtype())
        entry["features"][0] = "x"
        target = entry["features"].id.get_offset()
    raw = bytearray((tmp_path / "x.csd").read_bytes())
    raw[target : target + 16 * number] = bytes(raw[words : words + 16]) * number
    (tmp_path / "x.csd").write_bytes(raw)
    peak, said = peak_memory("import csd", tmp_path / "x.csd", "-o", tmp_path / "features")
    assert peak < 800
    assert "longer than the file" in said


@pytest.mark.hostile
def test_a_flipped_bit_in_words_never_hangs(tmp_path):
    """HDF5 itself never returns from 18 of these 512 files: those with a wrong size in the heap."""
    path = tmp_path / "words.csd"
    with h5py.File(path, "w") as file:
        entry = file.create_group("words/data/clip")
        entry.create_dataset("features", (3, 1), h5py.string_dtype())[:] = [["one"], ["two"], ["three"]]
        entry["intervals"] = np.array([[0.0, 0.5], [0.5, 1.0], [1.0, 2.0]])
    whole = path.read_bytes()
    heap = whole.index(b"GCOL")
    for bit in range(8 * heap, 8 * (heap + 64)):
        raw = bytearray(whole)
        raw[bit // 8] ^= 1 << bit % 8
        path.write_bytes(raw)
        with h5py.File(path) as file:
            try:
                found = read_texts(file["words/data/clip"], "features")
            except ValueError:
                continue
        assert sum(one != other for one, other in zip(found, ("one", "two", "three"), strict=True)) <= 1


def test_nested_metadata_is_kept_as_text(tmp_path):
    with h5py.File(tmp_path / "x.csd", "w") as file:
        _entry(file.create_group("COVAREP").create_group("data"))
        file["COVAREP/metadata/contact"] = "[" * 100_000
    (came,) = import_csd(tmp_path / "x.csd", tmp_path / "features").sets
    assert came.clips == 1
