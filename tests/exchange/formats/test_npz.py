"""NumPy's files, as NumPy reads and writes them."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from peak_memory import peak_memory

from featzoo import Clip, FeatureSequence, FeatureStore
from featzoo.errors import InvalidClips
from featzoo.exchange.formats.npz import export_npz, import_npz


def test_numpy_reads_the_file_without_pickle(tmp_path):
    rng = np.random.default_rng(0)
    times = np.arange(5)[:, None] * 0.1 + np.array([[0.0, 0.1]])
    clips = {f"v/{i}": FeatureSequence(rng.normal(size=(i + 2, 2)), times[: i + 2], ("a", "b")) for i in range(3)}
    FeatureStore.create(tmp_path / "s").add("x", clips)
    export_npz(tmp_path / "s", "x", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as held:
        assert held["clip_ids"].tolist() == ["v/0", "v/1", "v/2"]
        assert held["names"].tolist() == ["a", "b"]
        assert held["offsets"].tolist() == [0, 2, 5, 9]
        for number, sequence in enumerate(clips.values()):
            rows = slice(*held["offsets"][number : number + 2])
            np.testing.assert_array_equal(held["features"][rows], sequence.features)
            np.testing.assert_array_equal(held["intervals"][rows], sequence.intervals)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_saved_by_numpy_are_imported(tmp_path, save, order):
    features = np.asarray([[1, 2], [3, -np.inf], [5, 6]], dtype="f4", order=order)
    save(tmp_path / "mine.npz", features=features, offsets=[0, 1, 3], clip_ids=["a", "b"])
    account = import_npz(tmp_path / "mine.npz", tmp_path / "s")
    assert [(came.clips, came.infinite) for came in account.sets] == [(2, 1)]
    found = FeatureStore(tmp_path / "s")["mine"]
    np.testing.assert_array_equal(found["b"].features, [[3, np.nan], [5, 6]])


def test_a_folder_of_one_file_a_clip(tmp_path):
    """Clips that the store knows are found by path or name; a pickle and a cut file are refused, the others stay."""
    folder = tmp_path / "arrays"
    (folder / "deep").mkdir(parents=True)
    np.save(folder / "one.npy", np.ones((4, 2)))
    np.savez(
        folder / "deep" / "two.npz",
        features=np.zeros((2, 2)),
        intervals=[[0, 1], [1, 2]],
        names=["column_0", "column_1"],
    )
    np.save(folder / "vector.npy", np.array([7.0, 8.0]))
    np.save(folder / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    (folder / "cut.npy").write_bytes((folder / "one.npy").read_bytes()[:100])
    store = FeatureStore.create(tmp_path / "s")
    store.record([Clip("videos/one.mp4", path=tmp_path / "one.mp4"), Clip("one.of", path=None)])
    account = import_npz(folder, tmp_path / "s")
    (came,) = account.sets
    assert "pickle" in came.refused["pickled"]
    assert set(came.refused) == {"pickled", "cut", "vector"}  # (2,) is two rows of one column
    found = FeatureStore(tmp_path / "s")["arrays"]
    assert found.ids() == ["deep/two", "videos/one.mp4"]
    np.testing.assert_array_equal(found["deep/two"].intervals, [[0, 1], [1, 2]])


def test_two_files_of_one_clip_are_refused_before_anything_is_stored(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((1, 2)))
    np.savez(tmp_path / "a.npz", np.ones((1, 2)))
    with pytest.raises(InvalidClips, match="both belong to clip 'a'"):
        import_npz(tmp_path, tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"features": np.ones((2, 2))}, "lacks clip_ids, offsets"),
        ({"features": np.ones((2, 2)), "clip_ids": ["a"], "offsets": [0, 1, 2]}, "offsets must be 2 row numbers"),
        ({"features": np.ones((2, 2)), "clip_ids": ["a", "b"], "offsets": [0, 2, 1]}, "never decrease"),
        (
            {"features": np.ones((2, 2)), "clip_ids": ["a"], "offsets": [0, 9]},
            "rows up to 9 were requested, but there are 2",
        ),
        ({"features": np.array([{}]), "clip_ids": ["a"], "offsets": [0, 1]}, "not of numbers"),
        ({"features": np.ones((2, 2)), "clip_ids": np.array(["a", {}]), "offsets": [0, 1, 2]}, "which is a pickle"),
    ],
)
def test_an_npz_that_is_not_a_feature_set_is_refused(tmp_path, arrays, says):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InvalidClips, match=says):
        import_npz(tmp_path / "x.npz", tmp_path / "s")


def test_a_header_that_promises_a_terabyte_costs_nothing(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**11, 2)})
    np.savez(tmp_path / "x.npz", clip_ids=["a"], offsets=[0, 10**11])
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as file:
        file.writestr("features.npy", header.getvalue())
    with pytest.raises(InvalidClips, match="truncated"):
        import_npz(tmp_path / "x.npz", tmp_path / "s")


def _npy(shape, rest=b"", dtype="<f4"):
    """An .npy whose header declares a shape, followed by other bytes than those of its values."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": dtype, "fortran_order": False, "shape": shape})
    return out.getvalue() + rest


HOSTILE_ARRAYS = {
    "a huge shape": _npy((10**9, 4), b"12345678"),
    "a product beyond 64 bits": _npy((1 << 40, 1 << 40), b"12345678"),
    "a negative shape": _npy((-1, 4), b"12345678"),
    "values of no bytes": _npy((10**12,), b"", "<U0"),
    "a header that is not closed": b"\x93NUMPY\x01\x00\x10\x00" + b"{'descr': (((((((",
    "a nested header": b"\x93NUMPY\x01\x00\x40\x1f" + b"(" * 8000,
}


@pytest.mark.parametrize("name", HOSTILE_ARRAYS)
@pytest.mark.parametrize("within", ["a folder of .npy", "a folder of .npz", "a set"])
def test_an_array_takes_no_more_memory_than_its_file_gives(tmp_path, name, within):
    raw, folder = HOSTILE_ARRAYS[name], tmp_path / "arrays"
    folder.mkdir()
    if within == "a folder of .npy":
        (folder / "clip.npy").write_bytes(raw)
    else:
        with zipfile.ZipFile(folder / "clip.npz", "w") as archive:
            archive.writestr("features.npy", raw)
    if within == "a set":
        with zipfile.ZipFile(tmp_path / "set.npz", "w") as archive:
            archive.writestr("features.npy", raw)
            for member, array in {"offsets": np.array([0, 10**9]), "clip_ids": np.array(["clip"])}.items():
                out = io.BytesIO()
                np.save(out, array)
                archive.writestr(f"{member}.npy", out.getvalue())
    peak, said = peak_memory("import npz", tmp_path / "set.npz" if within == "a set" else folder, "-o", tmp_path / "s")
    assert peak < 400
    assert "array" in said


@pytest.mark.hostile
def test_an_archive_whose_members_lie_over_each_other_is_refused(tmp_path):
    """Members that lie over each other, as in zip bombs: each of a thousand is the same compressed part."""
    out = io.BytesIO()
    np.save(out, np.zeros(1 << 24, dtype=np.uint8))
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", out.getvalue())
        (member,) = archive.infolist()
        for number in range(200):
            again = zipfile.ZipInfo(f"array_{number}.npy")
            for field in ("compress_type", "file_size", "compress_size", "CRC", "header_offset"):
                setattr(again, field, getattr(member, field))
            archive.filelist.append(again)
            archive.NameToInfo[again.filename] = again
    with pytest.raises(InvalidClips, match="would take 3372246144 in memory, more than"):
        import_npz(tmp_path / "x.npz", tmp_path / "s")


@pytest.mark.hostile
@pytest.mark.parametrize("within", ["a folder of .npz", "a set"])
def test_an_array_that_inflates_to_far_more_than_its_file_is_refused(tmp_path, zeros, within):
    """400 KB that inflate to 400 MB; numpy.savez_compressed writes such a file from zeros."""
    place = zeros if within == "a set" else zeros.parent
    peak, said = peak_memory("import npz", place, "-o", tmp_path / "s")
    assert peak < 300
    assert "in memory, more than features do" in said


@pytest.fixture(scope="module")
def zeros(tmp_path_factory):
    place = tmp_path_factory.mktemp("zeros") / "clip.npz"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, shape in {"features": (100_000_000, 1), "offsets": (2,), "clip_ids": (1,)}.items():
            with archive.open(f"{name}.npy", "w") as member:
                member.write(_npy(shape))
                for _ in range(0, shape[0], 1_000_000):
                    member.write(bytes(4_000_000))
    return place


def test_padded_features_that_compress_well_are_imported(tmp_path):
    padded = np.zeros((40, 200, 100), np.float32)
    padded[:, :20] = np.random.default_rng(0).standard_normal((40, 20, 100), np.float32)
    np.savez_compressed(tmp_path / "x.npz", features=padded, offsets=range(41), clip_ids=[f"c{n}" for n in range(40)])
    import_npz(tmp_path / "x.npz", tmp_path / "s")
    np.testing.assert_array_equal(FeatureStore(tmp_path / "s")["x"]["c7"].features[0], padded[7])
