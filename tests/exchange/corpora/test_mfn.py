"""The Memory Fusion Network's arrays: the real files, all clips accounted for, and what is refused."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from featzoo import FeatureStore
from featzoo.cli import feat
from featzoo.errors import InvalidClips
from featzoo.exchange.corpora.mfn import POM, import_mfn

# Of rated traits, those of POM's personality questionnaire are on a scale of 1 to 5, the others on one of 1 to 7
# (Park, Shim, Chatterjee, Sagae and Morency, ICMI 2014).
UP_TO_5 = {"reserved", "trusting", "relaxed", "outgoing", "thorough", "nervous"}


def write(path, **arrays):
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def raw(path):
    with h5py.File(path) as file:
        return file["d1"][()]


@pytest.mark.data
def test_pom(data, tmp_path):
    folder = data / "pom_youtube_mmmo" / "mfn_new_data" / "pom"
    account = import_mfn(folder, tmp_path / "s")
    assert account.clips == {"train": 600, "valid": 100, "test": 203}
    assert [(came.clips, len(came.columns), came.refused) for came in account.sets] == [(903, 43, {}), (903, 41, {})]
    store = FeatureStore(tmp_path / "s")
    audio, labels = raw(folder / "audio_valid.h5"), raw(folder / "y_valid.h5")
    clips = store.clips()
    for number in (0, 57, 99):
        clip = f"pom/valid/{number:05d}"
        assert list(clips[clip].labels.values()) == labels[number].tolist()
        held = store["mfn-audio"][clip].features
        np.testing.assert_array_equal(np.nan_to_num(held), audio[number])
        assert np.isnan(held).all(axis=1).tolist() == (audio[number] == 0).all(axis=1).tolist()
    highest = {name: max(clip.labels[name] for clip in clips.values()) for name in POM}
    assert {name for name, value in highest.items() if value <= 5} == UP_TO_5


@pytest.mark.data
def test_youtube(data, tmp_path):
    account = import_mfn(data / "pom_youtube_mmmo" / "mfn_new_data" / "youtube", tmp_path / "s")
    assert account.clips == {"train": 173, "valid": 36, "test": 60}
    assert [(came.clips, len(came.columns)) for came in account.sets] == [(269, 74), (269, 36), (96, 300)]
    assert "mfn-text: there is no file for split train, 173 clips without it" in account.notes
    store = FeatureStore(tmp_path / "s")
    assert all(sum(clip.labels.values()) == 1 for clip in store.clips().values())  # one of three classes
    audio = store["mfn-audio"]
    assert audio.names[:3] == ("F0", "VUV", "NAQ")
    f0, voiced = np.concatenate([audio[clip].features for clip in audio])[:, :2].T
    assert 80 < np.nanmean(f0) < 300  # Hz: a mean pitch of people
    np.testing.assert_allclose([np.nanmin(voiced), np.nanmax(voiced)], [0, 1], atol=1e-9)  # means over words


@pytest.mark.data
def test_mosi_labels(data, tmp_path):
    said = CliRunner().invoke(feat, ["import", "mfn", str(data / "mosi"), "-o", str(tmp_path / "s")])
    assert said.exit_code == 0
    assert "clips: 2199 (1284 train, 229 valid, 686 test)" in said.output
    clips = FeatureStore(tmp_path / "s").clips()
    assert len(clips) == 2199
    assert clips["mosi/test/00000"].labels == {"sentiment": pytest.approx(-1.8)}


def test_files_without_features_are_noted_and_columns_are_numbered(tmp_path):
    rows = np.arange(12.0).reshape(2, 3, 2)
    rows[0, 0], rows[1] = 0, 0
    write(tmp_path / "d" / "video_train.h5", d1=rows)
    write(tmp_path / "d" / "y_train.h5", d1=np.array([[1.0, 0], [0, 1]]))
    write(tmp_path / "d" / "y_test.h5", d1=np.array([[0.0, 1]]))
    account = import_mfn(tmp_path / "d", tmp_path / "s")
    assert account.clips == {"train": 2, "test": 1}
    assert account.notes == (
        "mfn-vision: there is no file for split test, 1 clip without it",
        "mfn-vision train: 4 of 6 rows are zero in every column and became NaN; 1 of 2 clips have no other",
    )
    store = FeatureStore(tmp_path / "s")
    np.testing.assert_array_equal(store["mfn-vision"]["d/train/00000"].features, [[np.nan, np.nan], [2, 3], [4, 5]])
    assert store.clips()["d/test/00000"].labels == {"label_0": 0, "label_1": 1}


def test_files_that_do_not_match_are_refused_before_anything_is_stored(tmp_path):
    with pytest.raises(InvalidClips, match=r"no file such as audio_train\.h5"):
        import_mfn(tmp_path, tmp_path / "s")
    write(tmp_path / "d" / "video_train.h5", d1=np.ones((2, 3, 2)))
    write(tmp_path / "d" / "y_train.h5", d1=np.ones((3, 1)))
    with pytest.raises(InvalidClips, match=r"different numbers of clips: .*'video_train.h5': 2"):
        import_mfn(tmp_path / "d", tmp_path / "s")
    write(tmp_path / "d" / "y_train.h5", a=np.ones((2, 1)), b=np.ones((2, 1)))
    with pytest.raises(InvalidClips, match="holds a, b, not one array"):
        import_mfn(tmp_path / "d", tmp_path / "s")
    (tmp_path / "d" / "y_train.h5").write_bytes(b"cut")
    with pytest.raises(InvalidClips, match="cannot be read as HDF5"):
        import_mfn(tmp_path / "d", tmp_path / "s")
    write(tmp_path / "d" / "y_train.h5", d1=np.ones((2, 1)))
    write(tmp_path / "d" / "video_train.h5", d1=np.ones((2, 3)))
    with pytest.raises(InvalidClips, match=r"not \(clips, words, columns\)"):
        import_mfn(tmp_path / "d", tmp_path / "s")
    assert not (tmp_path / "s").exists()
