"""Effects of classes, compared with SciPy and closed forms, and the files of `feat explore`."""

import csv

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.errors import InvalidOption
from featzoo.media.clip import Clip
from featzoo.reports.exploration import cohens_d, eta_squared, explore
from featzoo.sequence import FeatureSequence

NAMES = ("anger", "joy", "sadness")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """36 clips of three classes and four speakers: `class` tells classes apart, `voice` speakers."""
    rng = np.random.default_rng(0)
    made = FeatureStore.create(tmp_path_factory.mktemp("explore") / "features")
    clips, features = [], {}
    for number in range(36):
        emotion, speaker = number % 3, number // 9
        name = f"{number}.wav"
        gender = "f" if speaker < 3 else "m"
        clips.append(Clip(name, categories={"emotion": NAMES[emotion], "speaker": f"s{speaker}", "gender": gender}))
        rows = rng.normal(size=(4, 3)) + np.array([10 * emotion, 10 * speaker, 0])
        rows[0, 2] = np.nan
        intervals = np.stack([np.arange(4), np.arange(1, 5)], axis=1) * (1 + emotion) / 4
        features[name] = FeatureSequence(rows.astype(np.float32), intervals, ("class", "voice", "noise"))
    made.add("energy", features)
    made.record(clips)
    return made


def test_eta_squared_is_the_share_of_variance_between_classes():
    """F of a one-way analysis of variance gives it: eta squared = F a / (F a + b) with a and b degrees of freedom."""
    rng = np.random.default_rng(1)
    numbers = np.repeat([0, 1, 2], [5, 8, 11])
    values = rng.normal(size=(24, 2)) + numbers[:, None] * np.array([1.0, 0.1])
    values[3, 1] = np.nan
    for column in range(2):
        parts = [values[(numbers == k) & ~np.isnan(values[:, column]), column] for k in range(3)]
        f, within = stats.f_oneway(*parts).statistic, sum(map(len, parts)) - 3
        assert eta_squared(values, numbers)[column] == pytest.approx(f * 2 / (f * 2 + within))
    assert np.isnan(eta_squared(np.ones((24, 1)), numbers)[0])


def test_cohens_d_belongs_to_the_t_of_two_samples():
    rng = np.random.default_rng(2)
    held = np.arange(30) < 12
    values = rng.normal(size=(30, 1)) + held[:, None]
    t = stats.ttest_ind(values[held, 0], values[~held, 0]).statistic
    assert cohens_d(values, held)[0] == pytest.approx(t * np.sqrt(1 / 12 + 1 / 18))


def test_columns_that_tell_the_classes_come_first(store):
    found = explore(store)
    assert found.column == "emotion"
    header, *rows = found.effect_table()
    assert header[:3] == ["column", "eta_squared", "eta_squared_speaker"]
    assert rows[0][0] == "class"
    by_name = {row[0]: row for row in rows}
    assert float(by_name["class"][1]) > 0.9 > 0.1 > float(by_name["class"][2])
    assert float(by_name["voice"][2]) > 0.9 > 0.1 > float(by_name["voice"][1])
    assert float(by_name["class"][header.index("d_sadness")]) > 0 > float(by_name["class"][header.index("d_anger")])


def test_each_class_has_its_clips_speakers_and_seconds(store):
    header, anger, *_, every = explore(store).counts()
    assert header == ["emotion", "clips", "gender", "speaker", "seconds", "median", "shortest", "longest"]
    assert anger == ["anger", "12", "f: 9, m: 3", "4", "12.00", "1.00", "1.00", "1.00"]
    assert every == ["all", "36", "f: 27, m: 9", "4", "72.00", "2.00", "1.00", "3.00"]
    assert explore(store).cross_table("speaker")[1] == ["s0", "3", "3", "3"]


def test_the_components_are_those_of_the_correlation_matrix(store):
    found = explore(store)
    points, shares = found.components()
    sizes = np.linalg.eigvalsh(np.corrcoef(found.means.T))[::-1]
    np.testing.assert_allclose(shares, sizes[:2] / 3, rtol=1e-6)
    np.testing.assert_allclose(points.var(axis=0), sizes[:2], rtol=1e-6)


def test_the_command_prints_classes_and_writes_where_it_is_told(store, tmp_path):
    folder = tmp_path / "explored"
    words = ["explore", str(store.path), "--to", str(folder)]
    done = CliRunner().invoke(feat, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert [line for line in done.output.splitlines() if line.startswith("energy-")]
    written = {place.name for place in folder.iterdir()}
    assert written == {"classes.csv", "columns.csv", "speaker.csv", "gender.csv", "spread.png", "distributions.png",
                       "pca.png"}  # fmt: skip
    with (folder / "columns.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["column"] == "class"
    assert (folder / "pca.png").read_bytes().startswith(b"\x89PNG")


def test_a_column_without_classes_is_refused(store):
    with pytest.raises(InvalidOption, match=r"0 names in the column 'emotions'.*did you mean"):
        explore(store, "emotions")
