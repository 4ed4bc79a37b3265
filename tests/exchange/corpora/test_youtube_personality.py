"""YouTube Personality as it is distributed: two tables separated by blanks, and a folder of transcripts."""

import numpy as np
import pytest
from click.testing import CliRunner

from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.errors import InvalidClips
from featzoo.exchange.corpora.youtube_personality import FEATURES, SCORES, import_youtube_personality


def distribution(folder, scores="V1 4.9 3.7 1 7 5.5\nV2 5 5 4.6 5.3 4.4\n"):
    (folder / "transcripts").mkdir(parents=True)
    (folder / SCORES).write_text("vlogId Extr Agr Cons Emot Open\n" + scores)
    (folder / FEATURES).write_text("vlogId mean.pitch hogv.median\nV1 178.15 0.5\nV2 239.32 7\n\n")
    (folder / "transcripts" / "V1.txt").write_text("\ufeffYou know - what I see.", encoding="utf-8")
    return folder


def test_scores_become_0_to_1_and_sound_and_motion_two_sets(tmp_path):
    account = import_youtube_personality(distribution(tmp_path / "yt"), tmp_path / "store")
    assert account.clips == {"test": 2}
    assert "1 vlogs have no words" in account.notes
    store = FeatureStore(tmp_path / "store")
    clip = store.clips()["V1"]
    assert clip.labels == pytest.approx(
        {"extraversion": 3.9 / 6, "agreeableness": 2.7 / 6, "conscientiousness": 0, "emotional_stability": 1,
         "openness": 4.5 / 6}
    )  # fmt: skip
    assert clip.words[0].text == "You"
    sound = store["youtube-personality-sound"]["V2"]
    assert sound.names == ("mean.pitch",)
    assert sound.features.tolist() == [[np.float32(239.32)]]
    assert store["youtube-personality-motion"]["V2"].features.tolist() == [[7.0]]


def test_wrong_tables_are_refused_by_name(tmp_path):
    with pytest.raises(InvalidClips, match="lacks YouTube-Personality-Personality_impression_scores"):
        import_youtube_personality(tmp_path, tmp_path / "store")
    for number, (scores, said) in enumerate({"V1 4.9 3.7 1 7.5 5\n": "Emot of V1 is 7.5", "V1 4 3\n": "not a table",
                                             "V1 4.9 x 1 7 5\n": "Agr of V1 is x"}.items()):  # fmt: skip
        with pytest.raises(InvalidClips, match=said):
            import_youtube_personality(distribution(tmp_path / f"yt{number}", scores), tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.data
def test_the_real_one(data, tmp_path):
    """Numbers of its README.txt; labels against NumPy's own reading of the table."""
    done = CliRunner().invoke(
        feat, ["import", "youtube-personality", str(data / "youtube_personality"), "-o", str(tmp_path / "yt")]
    )
    assert done.exit_code == 0, done.output
    assert "clips: 404 (404 test)" in done.output
    assert "youtube-personality-sound-73e619e5: 404 clips x 21 columns" in done.output
    assert "0 vlogs have no words" in done.output
    clips = FeatureStore(tmp_path / "yt").clips()
    table = np.genfromtxt(data / "youtube_personality" / SCORES, skip_header=1, usecols=(1, 2, 3, 4, 5))
    read = np.array([clip.labels["extraversion"] for clip in clips.values()])
    assert read.mean() == pytest.approx((table[:, 0].mean() - 1) / 6, abs=1e-12)
    assert all(0 <= value <= 1 for clip in clips.values() for value in clip.labels.values())
    assert 100_000 < sum(len(clip.words) for clip in clips.values()) < 260_000  # "~240K word tokens", README.txt
