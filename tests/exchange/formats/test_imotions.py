"""iMotions' exports of FACET: a real one of version 6, and small ones for what it does not show."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from featzoo import FeatureStore
from featzoo.errors import InvalidClips
from featzoo.exchange.formats.imotions import import_imotions
from featzoo.extractors.vision.action_units import FACET

HEAD = "#Study : x\n#Version : 6.1\n\nName\tStimulusName\tMediaTime\tFrameNo\tNoOfFaces\tJoy Evidence\tAU1 Evidence\n"
# The order in issue 93 of CMU-MultimodalSDK.
ISSUE = (
    "Anger Contempt Disgust Joy Fear Baseline Sadness Surprise Confusion Frustration AU1 AU2 AU4 AU5 AU6 AU7 AU9 AU10 "
    "AU12 AU14 AU15 AU17 AU18 AU20 AU23 AU24 AU25 AU26 AU28 AU43 Has_Glasses Is_Male Pitch Yaw Roll"
)


def write(path, *rows):
    path.write_text(HEAD + "".join("\t".join(map(str, row)) + "\n" for row in rows))
    return path


@pytest.mark.data
def test_a_real_export(data, tmp_path):
    """519 frames, 215 of them without a face, as the standard library's csv module reads them."""
    path = data / "media" / "au_reference" / "pyfeat_iMotions_Test_v6.txt"
    assert import_imotions(path, tmp_path / "s").complete
    assert import_imotions(path, tmp_path / "s", mosei=True, name="facet35").complete
    lines = path.read_text().splitlines()[5:]
    rows = list(csv.DictReader(lines, delimiter="\t"))
    sequence = FeatureStore(tmp_path / "s")["facet"]["pyfeat_iMotions_Test_v6"]
    assert sequence.features.shape == (519, 49)
    truth = np.array([[float(row[name] or "nan") for name in sequence.names] for row in rows], np.float32)
    np.testing.assert_array_equal(sequence.features, truth)
    assert np.isnan(sequence.features).all(axis=1).sum() == sum(row["NoOfFaces"] == "0" for row in rows) == 215
    np.testing.assert_allclose(sequence.intervals[:, 0], [int(row["MediaTime"]) / 1000 for row in rows])
    np.testing.assert_array_equal(sequence.intervals[:-1, 1], sequence.intervals[1:, 0])
    mapped = FeatureStore(tmp_path / "s")["facet35"]["pyfeat_iMotions_Test_v6"]
    assert mapped.names == tuple(ISSUE.split()) == FACET
    for ours, theirs in {"Anger": "Anger Evidence", "AU43": "AU43 Evidence", "Yaw": "Yaw Degrees",
                         "Is_Male": "IsMale Probability"}.items():  # fmt: skip
        expected = np.array([float(row[theirs] or "nan") for row in rows], np.float32)
        np.testing.assert_array_equal(mapped.features[:, FACET.index(ours)], expected)
    assert np.isnan(mapped.features[:, FACET.index("Baseline")]).all()


def test_respondents_and_stimuli_are_clips_and_other_sensors_are_left_out(tmp_path):
    path = write(
        tmp_path / "study.txt",
        ("ann", "film", 0, 0, 1, "1,5", 2),
        ("ann", "film", 10, "", "", "", ""),  # an eye tracker's row
        ("ann", "film", 20, 0, 1, "1,5", 2),  # the same frame, filled in
        ("ann", "film", 40, 1, 0, 9, 9),  # no face: what is filled in does not count
        ("bob", "film", 5, 0, 1, 7, 8),
        ("ann", "advert", 100, 9, 1, 3, 4),
    )
    account = import_imotions(path, tmp_path / "s")
    assert account.notes == ("study/ann/film: 2 rows of other sensors or repeated frames are left out",)
    found = FeatureStore(tmp_path / "s")["facet"]
    assert found.ids() == ["study/ann/advert", "study/ann/film", "study/bob/film"]
    np.testing.assert_array_equal(found["study/ann/film"].features, [[1.5, 2], [np.nan, np.nan]])
    np.testing.assert_allclose(found["study/ann/film"].intervals, [[0, 0.04], [0.04, 0.08]])


def test_other_text_is_refused_and_the_others_stay(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "a.txt", ("ann", "film", 0, 0, 1, 1, 2))
    (folder / "notes.txt").write_text("hello\n")
    (folder / "empty.txt").write_text(HEAD)
    (folder / "times.txt").write_text(HEAD + "ann\tfilm\t\t0\t1\t1\t2\n")
    write(folder / "words.txt", ("ann", "film", 0, 0, 1, "high", 2))
    (came,) = import_imotions(folder, tmp_path / "s").sets
    assert came.clips == 1
    assert "not an export of FACET" in came.refused["notes"]
    assert "no rows" in came.refused["empty"]
    assert "a time" in came.refused["times"]
    assert "high" in came.refused["words"]
    with pytest.raises(InvalidClips, match=r"contains no \*\.txt"):
        import_imotions(tmp_path / "s" / "clips", tmp_path / "s")


def test_an_export_of_version_5_with_an_eye_tracker(tmp_path):
    """Its rows without a face have -1 faces, those before the first frame the number -1, and headers end in tabs."""
    head = "#Study : x\t\t\t\t\t\t\t\t\n#Version : 5.7.2375.0\t\t\t\t\t\t\t\t\n\t\t\t\t\t\t\t\t\n"
    names = "Name\tStimulusName\tEventSource\tTimestamp\tMediaTime\tFrameNo\tFrameTime\tNoOfFaces\tJoy Evidence\n"
    rows = [
        ("ann", "face", "ET", 7, "", "", "", "", ""),
        ("ann", "face", "Emotient FACET", 36, "", -1, 0, 1, -4.0),
        ("ann", "face", "Emotient FACET", 71, "", 0, 0, 1, -3.0),
        ("ann", "face", "ET", 89, "", 0, 0, 1, -3.0),
        ("ann", "face", "ET|Emotient FACET", 211, "", 1, 33, -1, ""),
        ("ann", "film", "ET", 300, "", 178, 5933, 1, -5.0),  # the last frame of what was shown before
        ("ann", "film", "Emotient FACET", 310, "", 0, 0, 1, -2.0),
        ("ann", "film", "Emotient FACET", 340, 34, 1, 33, 1, -1.0),
    ]
    (tmp_path / "v5.txt").write_text(head + names + "".join("\t".join(map(str, row)) + "\n" for row in rows))
    assert import_imotions(tmp_path / "v5.txt", tmp_path / "s").complete
    found = FeatureStore(tmp_path / "s")["facet"]
    np.testing.assert_array_equal(found["v5/ann/face"].features[:, 0], [-3.0, np.nan])
    np.testing.assert_array_equal(found["v5/ann/film"].features[:, 0], [-2.0, -1.0])
    np.testing.assert_allclose(found["v5/ann/film"].intervals, [[0, 0.033], [0.033, 0.066]])
