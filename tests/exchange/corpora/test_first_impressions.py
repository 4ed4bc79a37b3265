"""First Impressions as it is distributed: Python 2 pickles, transcripts, clips somewhere below."""

import pickle

import pytest
from click.testing import CliRunner

from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.errors import InvalidClips, InvalidOption
from featzoo.exchange.corpora.first_impressions import import_first_impressions

TRAITS = ("extraversion", "neuroticism", "agreeableness", "conscientiousness", "interview", "openness")


def distribution(folder):
    folder.mkdir()
    for number, (part, names) in enumerate({"training": ["a.001.mp4", "b.002.mp4"], "test": ["c.003.mp4"]}.items()):
        traits = {t: dict.fromkeys(names, 0.1 * number + 0.01 * k) for k, t in enumerate(TRAITS)}
        (folder / f"annotation_{part}.pkl").write_bytes(pickle.dumps(traits, protocol=2))
        # Python 2 wrote UTF-8 bytes; read back as Latin-1 they are these characters.
        texts = {n: "caf\u00e9 is open".encode().decode("latin-1") for n in names}
        (folder / f"transcription_{part}.pkl").write_bytes(pickle.dumps(texts, protocol=2))
    below = folder / "train" / "training80_01"
    below.mkdir(parents=True)
    (below / "a.001.mp4").write_bytes(b"x")
    header = "filename,mfcc1,mfcc2,ValueOpenness\n"
    (folder / "some_audio_training.csv").write_text(header + "a.001,1.5,-2,0.3\nb.002,inf,1,0.3\n")
    return folder


def test_labels_words_media_and_features(tmp_path):
    account = import_first_impressions(distribution(tmp_path / "fi"), tmp_path / "store")
    assert account.clips == {"train": 2, "test": 1}
    store = FeatureStore(tmp_path / "store")
    clip = store.clips()["a.001.mp4"]
    assert clip.labels == pytest.approx(
        {"openness": 0.05, "conscientiousness": 0.03, "extraversion": 0.0, "agreeableness": 0.02,
         "emotional_stability": 0.01, "interview": 0.04}
    )  # fmt: skip
    assert [word.text for word in clip.words] == ["caf\u00e9", "is", "open"]
    assert clip.categories == {"group": "a"}  # the video, whose clips must not be in two splits
    assert clip.path is not None
    assert store.clips()["b.002.mp4"].path is None
    assert store["librosa-26"]["a.001.mp4"].names == ("mfcc1", "mfcc2")
    assert store["librosa-26"]["a.001.mp4"].features.tolist() == [[1.5, -2.0]]
    assert account.sets[0].infinite == 1
    assert any("1 clips have media" in note for note in account.notes)


def test_other_folders_and_pickles_are_refused(tmp_path):
    with pytest.raises(InvalidClips, match=r"lacks annotation_training\.pkl"):
        import_first_impressions(tmp_path, tmp_path / "store")
    (tmp_path / "annotation_training.pkl").write_bytes(pickle.dumps({"other": 1}))
    with pytest.raises(InvalidClips, match="not a table of traits"):
        import_first_impressions(tmp_path, tmp_path / "store")


def undivided(folder, videos=40):
    """Without test annotations: three clips of each train video; one of each and a strange one to validate."""
    folder.mkdir()
    names = {"training": [f"v-{v}_.00{n}.mp4" for v in range(videos) for n in range(3)]}
    names["validation"] = [f"v-{v}_.009.mp4" for v in range(videos)] + ["strange.000.mp4"]
    for part, those in names.items():
        traits = {t: dict.fromkeys(those, 0.5) for t in TRAITS}
        (folder / f"annotation_{part}.pkl").write_bytes(pickle.dumps(traits, protocol=2))
    return folder


def test_a_dev_split_of_whole_videos(tmp_path):
    folder = undivided(tmp_path / "fi")
    account = import_first_impressions(folder, tmp_path / "store", dev_share=0.25)
    clips = FeatureStore(tmp_path / "store").clips()
    splits = {split: {i for i, clip in clips.items() if clip.split == split} for split in ("train", "valid", "test")}
    assert splits["test"] == {i for i in clips if i.endswith("009.mp4")} | {"strange.000.mp4"}
    assert len(splits["valid"]) == 10 * 3
    videos = {split: {i.split(".")[0] for i in ids} for split, ids in splits.items()}
    assert not videos["train"] & videos["valid"]
    assert any("30 of its 41 clips are from videos that also have clips in train" in note for note in account.notes)
    import_first_impressions(folder, tmp_path / "again", dev_share=0.25)
    assert {i: c.split for i, c in FeatureStore(tmp_path / "again").clips().items()} == {
        i: c.split for i, c in clips.items()
    }
    half = import_first_impressions(folder, tmp_path / "half", dev_share=0.5)
    more = {i for i, clip in FeatureStore(tmp_path / "half").clips().items() if clip.split == "valid"}
    assert splits["valid"] < more, "a larger share adds videos and takes none away"
    assert half.clips == {"train": 60, "valid": 60, "test": 41}


def test_no_dev_split_is_made_where_none_is_needed_or_possible(tmp_path):
    with pytest.raises(InvalidOption, match=r"annotation_test\.pkl is there"):
        import_first_impressions(distribution(tmp_path / "fi"), tmp_path / "store", dev_share=0.1)
    with pytest.raises(InvalidOption, match=r"such as 0\.1; got 1\.5"):
        import_first_impressions(undivided(tmp_path / "other"), tmp_path / "store", dev_share=1.5)


@pytest.mark.data
def test_the_real_one(data, tmp_path):
    done = CliRunner().invoke(
        feat, ["import", "first-impressions", str(data / "first_impressions"), "-o", str(tmp_path / "fi")]
    )
    assert done.exit_code == 0, done.output
    assert "clips: 8000 (6000 train, 2000 valid)" in done.output
    assert "librosa-26-" in done.output
    assert "1 clips have media" in done.output


@pytest.mark.data
def test_the_real_one_with_a_dev_split_of_ten_percent(data, tmp_path):
    """Counted from metadata_train.csv and metadata_validation.csv: 2,624 train videos, 2,000 validation clips."""
    source = data / "first_impressions"
    account = import_first_impressions(source, tmp_path / "fi", dev_share=0.1)
    assert account.clips == {"train": 5367, "valid": 633, "test": 2000}
    assert any("262 of the train split's 2624 videos" in note for note in account.notes)
