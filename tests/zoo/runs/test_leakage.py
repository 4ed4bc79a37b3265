"""The leakage probe: a planted leak is found, chance is not, and its p is that of permutations."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact
from sklearn.metrics import balanced_accuracy_score

from featzoo.cli import zoo
from featzoo.errors import InvalidClips
from featzoo.zoo.runs.leakage import by_chance, probe_leakage

TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
SYNONYMS = {
    "maison": "foyer",
    "grand": "vaste",
    "marcher": "souper",
    "voiture": "auto",
    "beau": "joli",
    "dire": "parler",
}
KANJI = dict(zip("家大食車美言", "宅巨喰輪麗話", strict=True))


def written(path, texts, labels, language, method):
    split = ["train" if i < 0.6 * len(texts) else "test" for i in range(len(texts))]
    rows = [
        {"id": str(i), "language": language, "text": text, "split": split[i], "method": method, "labels": labels[i]}
        for i, text in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path):
    """Makes TOGA and PIGA: PIGA takes each synonym by chance, and plants a word for the high class of one trait."""

    def make(language, share, words, joiner=" ", seed=1, count=400):
        rng = np.random.default_rng(seed)
        labels = [dict(zip(TRAITS, map(int, row), strict=True)) for row in rng.integers(0, 2, (count, 5))]
        toga, piga = [], []
        for one in labels:
            text = rng.choice(list(words), 30).tolist()
            other = [words[word] if rng.random() < 0.3 else word for word in text]
            if one["openness"] and rng.random() < share:
                other.insert(5, "curieux" if joiner else "奇")
            toga.append(joiner.join(text))
            piga.append(joiner.join(other))
        return [written(tmp_path / f"{name}-{language}-{share}.jsonl", texts, labels, language, name)
                for name, texts in (("toga", toga), ("piga", piga))]  # fmt: skip

    return make


@pytest.mark.parametrize(("language", "words", "joiner"), [("fr", SYNONYMS, " "), ("ja", KANJI, "")])
def test_a_planted_leak_is_found_and_named(files, language, words, joiner):
    """A word for three of five open writers: at best a balanced accuracy of 0.8; the other traits are chance."""
    found = probe_leakage(*files(language, 0.6, words, joiner))
    assert [probe.trait for probe in found.leaking] == ["openness"]
    probe = found.leaking[0]
    assert 0.65 < probe.ba < 0.9
    assert probe.interval[0] > 0.6
    assert any("curieux" in token or "奇" in token for token in probe.telling)
    assert found.rows == {language: (240, 160)}
    assert probe.plain < 0.6


@pytest.mark.parametrize("seed", range(2))
def test_no_leak_is_chance(files, seed):
    found = probe_leakage(*files("fr", 0.0, SYNONYMS, seed=seed))
    assert not found.leaking
    assert len(found.probes) == 5
    # Of five intervals of 95 %, one may miss by chance; the decision over all of them may not.
    assert sum(probe.interval[0] <= 0.5 <= probe.interval[1] for probe in found.probes) >= 4


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
def test_chance_is_fishers_exact_test(pairs):
    said, truth = np.array(pairs).T
    table = [[(said & truth).sum(), (said & ~truth).sum()], [(~said & truth).sum(), (~said & ~truth).sum()]]
    assert by_chance(said, truth) == pytest.approx(fisher_exact(table, alternative="greater").pvalue, rel=1e-9)


@pytest.mark.slow
def test_chance_is_the_share_of_permutations_that_are_as_good():
    """Four thousand permutations, within three standard errors of a share."""
    rng = np.random.default_rng(0)
    truth = rng.random(90) > 0.3
    said = np.where(rng.random(90) > 0.9, truth, rng.random(90) > 0.5)
    own = balanced_accuracy_score(truth, said)
    draws = np.array([balanced_accuracy_score(rng.permutation(truth), said) for _ in range(4000)])
    p = by_chance(said, truth)
    assert 0.01 < p < 0.5
    assert (draws >= own - 1e-12).mean() == pytest.approx(p, abs=3 * np.sqrt(p * (1 - p) / 4000))


def test_the_topics_of_texts_do_not_count_as_a_leak(tmp_path):
    """Open writers write of houses; PIGA says `foyer` for `maison` half the time whoever writes."""
    rng = np.random.default_rng(0)
    labels = [dict.fromkeys(TRAITS, int(x)) for x in rng.integers(0, 2, 400)]
    toga = [["maison" if one["openness"] and rng.random() < 0.4 else rng.choice(["grand", "beau"]) for _ in range(20)]
            for one in labels]  # fmt: skip
    piga = [["foyer" if word == "maison" and rng.random() < 0.5 else word for word in text] for text in toga]
    paths = [written(tmp_path / f"{name}.jsonl", [" ".join(t) for t in texts], labels, "fr", name)
             for name, texts in (("toga", toga), ("piga", piga))]  # fmt: skip
    found = probe_leakage(*paths)
    assert all(probe.tells for probe in found.probes)
    assert not found.leaking
    result = CliRunner().invoke(zoo, ["probe-leakage", *map(str, paths)])
    assert "as TOGA" in result.output
    assert "no leak found in 5 probes" in result.output


def test_rows_that_fell_back_on_toga_are_left_out(files):
    toga, piga = files("fr", 0.6, SYNONYMS)
    rows = [json.loads(line) for line in piga.read_text().splitlines()]
    for row in rows[:40]:
        row |= {"method": "toga", "flags": ["fallback-toga"]}
    piga.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert probe_leakage(toga, piga).rows == {"fr": (200, 160)}


def test_the_command_says_it_plainly(files):
    toga, piga = map(str, files("fr", 0.6, SYNONYMS))
    result = CliRunner().invoke(zoo, ["probe-leakage", toga, piga, "--language", "fr"])
    assert result.exit_code == 0, result.output
    assert "fr: trained on 240 rows, scored on 160" in result.output
    assert "LABELS LEAK: the wording alone predicts fr.openness. Do not test on these texts" in result.output
    result = CliRunner().invoke(zoo, ["probe-leakage", toga, toga])
    assert result.exit_code == 1
    assert "fr: not probed, its texts are the same in both files" in result.output


def test_too_few_rows_and_damaged_files_are_told(files, tmp_path):
    few = files("fr", 0.6, SYNONYMS, count=12)
    with pytest.raises(InvalidClips, match=r"fr\.openness: not probed, train rows have \d of a class"):
        probe_leakage(*few)
    few[1].write_text(few[1].read_text() + "nothing\n")
    with pytest.raises(InvalidClips, match="has 1 rows that cannot be read; line 13: it is not JSON"):
        probe_leakage(*few)
