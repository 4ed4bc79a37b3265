"""CMU-MOSI's importer, on the real files."""

from __future__ import annotations

import csv
import shutil
from collections import Counter

import numpy as np
import pytest
from scipy.io import loadmat

from featzoo import FeatureStore
from featzoo.errors import InvalidClips, InvalidOption
from featzoo.exchange.corpora.mosi import COVAREP, UTTERANCES, import_mosi

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def mosi(data, tmp_path_factory):
    place = tmp_path_factory.mktemp("mosi") / "store"
    said = list(import_mosi(data / "mosi", place).lines())
    assert said[0] == "clips: 2199 (1284 train, 229 valid, 686 test)"
    assert said[-1].startswith("warning: bc-lstm-video was made by a network that had seen the labels")
    return FeatureStore(place)


def test_every_clip_has_words_split_label_and_both_sets(mosi):
    clips = mosi.clips()
    assert Counter(clip.split for clip in clips.values()) == {"train": 1284, "valid": 229, "test": 686}
    assert all(clip.words and -3 <= clip.labels["sentiment"] <= 3 for clip in clips.values())
    # One utterance of the published table has no length.
    assert [name for name, clip in clips.items() if clip.end <= clip.start] == ["2WGyTLYerpo$_$44"]
    assert mosi["covarep"].ids() == mosi["bc-lstm-video"].ids() == sorted(clips)
    assert mosi["covarep"]["ZUXBRvtny7o$_$9"].features.shape == (1, 73)


def test_rows_are_the_utterances_they_are_said_to_be(mosi, data):
    """A published COVAREP segment's column means are its row: five digits, as the release rounds to five."""
    segment = loadmat(data / "mosi" / "covarep_sample" / "ZUXBRvtny7o_9.mat")["features"]
    names = (data / "mosi" / "covarep_sample" / "covarep_labels.txt").read_text().split()
    stored = mosi["covarep"]["ZUXBRvtny7o$_$9"]
    assert list(stored.names) == names[:73] == list(COVAREP)
    np.testing.assert_allclose(stored.features[0], segment[:, :73].mean(axis=0), rtol=2e-4, atol=2e-5)


def test_scores_agree_with_the_classes_of_another_release(mosi, data):
    """bc-LSTM's two classes are the sign of the score: an independent check of utterance numbers."""
    with (data / "mosi" / UTTERANCES / "transcripts.csv").open(newline="") as file:
        classes = {"$_$".join(row[0].rsplit("_", 1)): row[3] == "1" for row in csv.reader(file)}
    clips = mosi.clips()
    agree = [classes[name] == (clip.labels["sentiment"] >= 0) for name, clip in clips.items()]
    assert np.mean(agree) > 0.99


def test_the_leak_is_recorded_with_the_features(mosi):
    assert "558 of the 686 test clips" in mosi["bc-lstm-video"].provenance["warning"]
    assert "warning" not in mosi["covarep"].provenance


def test_files_that_do_not_fit_are_refused(data, tmp_path):
    with pytest.raises(InvalidClips, match=r"lacks CMU_MOSI_Opinion_Labels\.csd"):
        import_mosi(tmp_path, tmp_path / "store")
    shutil.copytree(data / "mosi", tmp_path / "mosi", copy_function=shutil.copyfile)
    table = tmp_path / "mosi" / UTTERANCES / "audio" / "audio_test0.csv"
    rows = table.read_text().splitlines()
    table.chmod(0o644)
    table.write_text("\n".join(rows[::-1]))
    with pytest.raises(InvalidClips, match="is not in the order of text_test"):
        import_mosi(tmp_path / "mosi", tmp_path / "store")


def test_texts_in_two_languages_are_parallel_clips(data, tmp_path):
    """The same segments, splits and scores, each group one video; capitals become lower case unless they are kept."""
    with next((data / "mosi").glob("*transcription*.csv")).open(encoding="utf-8-sig", newline="") as file:
        rows = {"$_$".join(row["name"].rsplit("_", 1)): row for row in csv.DictReader(file)}
    said = list(import_mosi(data / "mosi", tmp_path / "store", languages=["en", "zh"]).lines())
    assert any("en: 2199 transcripts in capitals became lower case" in line for line in said)
    found = FeatureStore(tmp_path / "store").clips()
    assert len(found) == 2 * 2199
    for name, row in list(rows.items())[:50]:
        english, chinese = found[f"{name}/en"], found[f"{name}/zh"]
        assert english.text == " ".join(row["english"].lower().split())
        assert chinese.text == " ".join(row["chinese"].split())
        assert (english.split, english.labels) == (chinese.split, chinese.labels)
        assert english.categories["group"] == name.partition("$_$")[0]
        sign = {"positive": float(english.labels["sentiment"] > 0)} if english.labels["sentiment"] else {}
        assert dict(english.labels) == {"sentiment": english.labels["sentiment"], **sign}
    import_mosi(data / "mosi", tmp_path / "kept", languages=["en"], keep_case=True)
    assert all(clip.text.upper() == clip.text for clip in FeatureStore(tmp_path / "kept").clips().values())
    with pytest.raises(InvalidOption, match="texts in en and zh; got languages fr"):
        import_mosi(data / "mosi", tmp_path / "none", languages=["fr"])
