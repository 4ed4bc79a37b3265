"""First Impressions as it is distributed: Python 2 pickles, transcripts, clips somewhere below."""

import pickle

import pytest
from click.testing import CliRunner

from featzoo.cache.exchange.first_impressions import import_first_impressions
from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.errors import InvalidClips

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


@pytest.mark.data
def test_the_real_one(data, tmp_path):
    done = CliRunner().invoke(
        feat, ["import", "first-impressions", str(data / "first_impressions"), "-o", str(tmp_path / "fi")]
    )
    assert done.exit_code == 0, done.output
    assert "clips: 8000 (6000 train, 2000 valid)" in done.output
    assert "librosa-26-" in done.output
    assert "1 clips have media" in done.output
