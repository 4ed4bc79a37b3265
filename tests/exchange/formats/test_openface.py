"""OpenFace's CSV files: real output of version 2, and small files for each of its habits."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from click.testing import CliRunner

from featzoo import Clip, FeatureStore
from featzoo.cli import feat
from featzoo.errors import InvalidClips
from featzoo.exchange.formats.openface import frame_intervals, import_openface

OLD = "frame, face_id, timestamp, confidence, success, gaze_0_x, x_0, x_1, AU01_r, AU01_c\n"


def write(path, *rows, header=OLD):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header + "".join(", ".join(map(str, row)) + "\n" for row in rows))
    return path


def read(tmp_path, name="openface"):
    return FeatureStore(tmp_path / "s")[name]


@pytest.mark.data
def test_real_output(data, tmp_path):
    """The standard library's csv module as the second reader."""
    path = data / "media" / "au_reference" / "pyfeat_OpenFace_Test.csv"
    account = import_openface(path, tmp_path / "s")
    assert account.complete
    with path.open() as file:
        rows = [{name.strip(): value for name, value in row.items()} for row in csv.DictReader(file)]
    sequence = read(tmp_path)["pyfeat_OpenFace_Test"]
    assert sequence.features.shape == (100, 429)  # 431 columns, without frame and timestamp
    assert sequence.names == tuple(list(rows[0])[i] for i in range(431) if i not in (0, 1))
    truth = np.array([[float(row[name]) for name in sequence.names] for row in rows], np.float32)
    np.testing.assert_array_equal(sequence.features, truth)
    stamps = [float(row["timestamp"]) for row in rows]
    np.testing.assert_array_equal(sequence.intervals[:, 0], stamps)
    np.testing.assert_array_equal(sequence.intervals[:-1, 1], stamps[1:])


def test_a_frame_without_a_face_was_not_observed(tmp_path):
    """All but confidence and success is NaN, also what the C library printed for 0/0."""
    write(
        tmp_path / "a.csv",
        (1, 0, 0.0, 0.9, 1, 0.1, 5, 9, 2.5, 1),
        (2, 0, 0.04, 0.2, 0, 0.1, 5, 9, 3.5, 1),
        (3, 0, 0.12, 0.8, 1, "-nan(ind)", 5, 9, "inf", 0),
    )
    account = import_openface(tmp_path / "a.csv", tmp_path / "s")
    nan = np.nan
    rows = [[0.9, 1, 0.1, 5, 9, 2.5, 1], [0.2, 0, nan, nan, nan, nan, nan], [0.8, 1, nan, 5, 9, nan, 0]]
    np.testing.assert_array_equal(read(tmp_path)["a"].features, np.array(rows, np.float32))
    assert account.sets[0].infinite == 1
    np.testing.assert_allclose(read(tmp_path)["a"].intervals, [[0, 0.04], [0.04, 0.12], [0.12, 0.18]], atol=1e-12)


def test_columns_are_chosen_by_pattern_and_make_another_set(tmp_path):
    write(tmp_path / "a.csv", (1, 0, 0.0, 0.9, 0, 0.1, 5, 9, 2.5, 1))
    import_openface(tmp_path / "a.csv", tmp_path / "s")
    import_openface(tmp_path / "a.csv", tmp_path / "s", columns="gaze_*, AU*_r")
    few = read(tmp_path, "openface[columns=gaze_*+AU*_r]")
    assert few.names == ("gaze_0_x", "AU01_r")
    assert np.isnan(few["a"].features).all()  # success is 0, though it is not among the columns
    with pytest.raises(InvalidClips, match=r"no column is called AU\*_x"):
        import_openface(tmp_path / "a.csv", tmp_path / "s", columns="AU*_x")


def test_of_several_faces_the_surest_is_kept(tmp_path):
    """Face 1 is sure in two frames, face 0 in one; a row lasts to the next frame, not to the face's next row."""
    write(
        tmp_path / "a.csv",
        (1, 0, 0.0, 0.9, 1, 0, 0, 90, 0, 0),
        (1, 1, 0.0, 0.8, 1, 1, 0, 10, 0, 0),
        (2, 0, 0.1, 0.9, 0, 0, 0, 90, 0, 0),
        (3, 1, 0.2, 0.8, 1, 1, 0, 10, 0, 0),
    )
    account = import_openface(tmp_path / "a.csv", tmp_path / "s")
    assert account.notes == ("a: 2 faces; face_id 1 is kept, 2 rows of others are left out",)
    sequence = read(tmp_path)["a"]
    assert sequence.features[:, 2].tolist() == [1, 1]
    np.testing.assert_allclose(sequence.intervals, [[0, 0.1], [0.2, 0.3]], atol=1e-12)


def test_of_equally_sure_faces_the_largest_is_kept(tmp_path):
    write(tmp_path / "a.csv", (1, 0, 0.0, 0.9, 1, 0, 0, 10, 0, 0), (1, 1, 0.0, 0.9, 1, 1, 0, 90, 0, 0))
    import_openface(tmp_path / "a.csv", tmp_path / "s")
    assert read(tmp_path)["a"].features[0, 2] == 1


def test_a_folder_with_one_bad_file(tmp_path):
    """Clips that the store knows are found by path or stem; a bad file is refused with its reason, status 1."""
    row = (1, 0, 0.0, 0.9, 1, 0.1, 5, 9, 2.5, 1)
    for name in ("one", "deep/two", "strange.v2"):
        write(tmp_path / "out" / f"{name}.csv", row)
    write(tmp_path / "out" / "no.csv", (1, 2), header="a,b\n")
    write(tmp_path / "out" / "empty.csv")
    write(tmp_path / "out" / "back.csv", row, (2, 0, 0.3, *row[3:]), (3, 0, 0.1, *row[3:]))
    store = FeatureStore.create(tmp_path / "s")
    paths = ("videos/one.mp4", "deep/two.mp4", "other/two.mp4", "strange.v1")
    store.record([Clip(path, path=tmp_path / path) for path in paths])
    arguments = ["import", "openface", str(tmp_path / "out"), "-o", str(tmp_path / "s")]
    said = CliRunner().invoke(feat, arguments)
    assert said.exit_code == 1
    assert "refused no: it is not a CSV of OpenFace: it has no column 'frame'" in said.output
    assert "refused empty: Empty CSV file" in said.output
    assert "refused back: time stamps go backwards after row 2" in said.output
    assert read(tmp_path).ids() == ["deep/two.mp4", "strange.v2", "videos/one.mp4"]


def test_intervals_of_frames():
    np.testing.assert_array_equal(frame_intervals(np.array([0.0, 0.0, 1.0, 3.0, 4.0])),
                                  [[0, 1], [0, 1], [1, 3], [3, 4], [4, 5]])  # fmt: skip
    for unknown in ([np.nan, np.nan], [0.0, 0.0]):
        assert np.isnan(frame_intervals(np.array(unknown))).all()
    assert frame_intervals(np.array([2.0])).tolist() == [[2, 2]]
    assert frame_intervals(np.array([])).shape == (0, 2)
