"""Essays and MBTI posts: every form of their files, the author's splits, masking, and rows that cannot be used."""

import csv
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips, InvalidOption, StoreError
from featzoo.exchange.texts.essays import import_essays
from featzoo.exchange.texts.mbti import NAMED, import_mbti
from featzoo.exchange.texts.tables import author_splits

DISTRIBUTED = ["#AUTHID", "TEXT", "cEXT", "cNEU", "cAGR", "cCON", "cOPN"]
ESSAYS, MBTI = 2467, 8675
# The types' shares of the Kaggle file, as its page gives them: INFP the most, ESTJ the least.
TYPES = {
    "INFP": 1832, "INFJ": 1470, "INTP": 1304, "INTJ": 1091, "ENTP": 685, "ENFP": 675, "ISTP": 337, "ISFP": 271,
    "ENTJ": 231, "ISTJ": 205, "ENFJ": 190, "ISFJ": 166, "ESTP": 89, "ESFP": 48, "ESFJ": 42, "ESTJ": 39,
}  # fmt: skip


def write(path, header, rows, encoding="utf-8"):
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def essay_rows(count, seed=0):
    rng = np.random.default_rng(seed)
    yes = rng.random((count, 5)) < (0.517, 0.5, 0.53, 0.508, 0.515)
    return [[f"1997_{i}.txt", f"essay {i}", *np.where(yes[i], "y", "n")] for i in range(count)]


def splits(store):
    return {name: clip.split for name, clip in FeatureStore(store).clips().items()}


def test_essays_as_distributed_have_the_published_sizes_and_labels(tmp_path):
    rows = essay_rows(ESSAYS)
    rows[7][1] = "caf\xe9 d\xe9j\xe0  vu"  # one byte each in ISO-8859-1, and no UTF-8
    path = write(tmp_path / "essays.csv", DISTRIBUTED, rows, "iso-8859-1")
    account = import_essays(path, tmp_path / "store")
    assert account.complete
    assert account.clips == {"train": 1578, "valid": 395, "test": 494}
    assert "those that ADAM's author published" in "\n".join(account.notes)
    clips = FeatureStore(tmp_path / "store").clips()
    assert clips["1997_7.txt"].text == "café déjà vu"
    for row in rows[:50]:
        labels = clips[row[0]].labels
        assert list(labels) == ["openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism"]
        order = ("extraversion", "neuroticism", "agreeableness", "conscientiousness", "openness")
        assert [labels[name] for name in order] == [float(value == "y") for value in row[2:]]


def test_mbti_has_the_published_sizes_and_labels(tmp_path):
    kinds = np.random.default_rng(0).permutation([kind for kind, n in TYPES.items() for _ in range(n)])
    assert len(kinds) == MBTI
    path = write(tmp_path / "mbti.csv", ["type", "posts"], [[kind, f"'a|||b {i}'"] for i, kind in enumerate(kinds)])
    account = import_mbti(path, tmp_path / "store")
    assert account.clips == {"train": 5552, "valid": 1388, "test": 1735}
    clips = FeatureStore(tmp_path / "store").clips()
    for i, kind in enumerate(kinds[:200]):
        assert clips[str(i)].labels == {
            "openness": float("N" in kind), "conscientiousness": float("J" in kind),
            "extraversion": float("E" in kind), "agreeableness": float("F" in kind),
        }  # fmt: skip
    assert clips["3"].text == "a b 3"


def test_splits_are_scikit_learns_in_the_words_of_the_authors_notebook():
    """pandas and train_test_split as the notebook calls them, with ptype as the string that it makes."""
    import pandas as pd
    from sklearn.model_selection import train_test_split

    names = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
    bits = np.random.default_rng(5).integers(0, 2, (700, 5))
    table = pd.DataFrame({"ptype": [str(int("".join(map(str, row)), 2)) for row in bits]})
    rest, test = train_test_split(table, test_size=0.2, random_state=42, stratify=table.ptype)
    train, valid = train_test_split(rest, test_size=0.2, random_state=42, stratify=rest.ptype)
    expected = {**dict.fromkeys(train.index, "train"), **dict.fromkeys(valid.index, "valid")}
    expected |= dict.fromkeys(test.index, "test")
    labels = [dict(zip(names, map(float, row), strict=True)) for row in bits]
    assert author_splits(labels) == [expected[i] for i in range(700)]
    # Sorted as numbers, the patterns would give another draw: the notebook's are strings.
    numbers = table.ptype.astype(int)
    assert set(train_test_split(table, test_size=0.2, random_state=42, stratify=numbers)[1].index) != set(test.index)


@pytest.mark.data
def test_the_published_part_of_essays_keeps_its_split_which_is_a_stratified_one(data, tmp_path):
    """The published validation part has as many of each label pattern as the same procedure draws from these rows."""
    path = data / "essays" / "essays_train_validation_1973.csv"
    account = import_essays(path, tmp_path / "store")
    assert account.clips == {"train": 1578, "valid": 395}
    assert account.complete
    clips = FeatureStore(tmp_path / "store").clips()
    from sklearn.model_selection import train_test_split

    patterns = {name: "".join(str(int(v)) for v in clip.labels.values()) for name, clip in clips.items()}
    _, drawn = train_test_split(list(clips), test_size=0.2, random_state=42, stratify=list(patterns.values()))
    published = Counter(patterns[name] for name, clip in clips.items() if clip.split == "valid")
    assert len(published) == 32
    assert published == Counter(patterns[name] for name in drawn)


@pytest.mark.data
def test_the_mbti_sample_masks_every_type_name(data, tmp_path):
    with (data / "mbti" / "mbti_union_no_psycot_overlap.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    path = write(tmp_path / "mbti.csv", header, rows[:80])
    open_ = import_mbti(path, tmp_path / "open", split="train")
    masked = import_mbti(path, tmp_path / "masked", mask_types=True, split="train")
    assert open_.clips == masked.clips == {"train": 80}
    texts = [clip.text for clip in FeatureStore(tmp_path / "open").clips().values()]
    hidden = [clip.text for clip in FeatureStore(tmp_path / "masked").clips().values()]
    assert sum(len(NAMED.findall(text)) for text in texts) > 500
    assert not any(NAMED.search(text) for text in hidden)
    for kind in TYPES:  # counted without the expression that masks
        assert not any(word.strip(".,!?'\"()").lower() in (kind.lower(), f"{kind}s".lower())
                       for text in hidden for word in text.split())  # fmt: skip


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("I am an INFJ.", "I am an type."),
        ("infjs and Entp's, ISTP\u2019s", "type and type, type"),
        ("infj_girl INTP4w5 enfp-a", "type_girl type4w5 type-a"),
        ("INFJx XINFJ mistj ISTJism", "INFJx XINFJ mistj ISTJism"),
        ("IXFJ NT INF", "IXFJ NT INF"),
    ],
)
def test_only_whole_names_of_types_are_masked(text, hidden):
    assert NAMED.sub("type", text) == hidden


def test_the_author_s_version_and_kaggle_s(tmp_path):
    columns = ["O", "C", "E", "A", "N", "ptype", "text", "__index_level_0__"]
    rows = [["1", "0", "0", "1", "1", "19", "well", "5"], ["0", "0", "0", "1", "0", "2", "here", "77"]]
    author = write(tmp_path / "a.csv", columns, rows)
    kaggle = write(tmp_path / "k.csv", ["user", "text", "E", "N", "A", "C", "O"], [["5", "well", 0, 1, 1, 0, 1]])
    import_essays(author, tmp_path / "a", split="valid")
    import_essays(kaggle, tmp_path / "k", split="valid")
    first, second = (FeatureStore(tmp_path / name).clips()["5"] for name in "ak")
    assert first.text == second.text == "well"
    assert list(first.labels.items()) == list(second.labels.items())
    assert list(first.labels.values()) == [1, 0, 0, 1, 1]
    assert set(splits(tmp_path / "a")) == {"5", "77"}
    table = pa.table({"O": [1], "C": [0], "E": [1], "A": [0], "text": ["a|||b"], "__index_level_0__": [4]})
    parquet.write_table(table, tmp_path / "mbti.parquet")
    import_mbti(tmp_path / "mbti.parquet", tmp_path / "m", split="test")
    clip = FeatureStore(tmp_path / "m").clips()["4"]
    assert (clip.split, clip.text, clip.labels["openness"], clip.labels["agreeableness"]) == ("test", "a b", 1, 0)


def test_a_column_of_splits_is_kept_whatever_its_words(tmp_path):
    words = ["train", "validation", "dev", "test", ""]
    rows = [[*row, word] for row, word in zip(essay_rows(5), words, strict=True)]
    account = import_essays(write(tmp_path / "e.csv", [*DISTRIBUTED, "split"], rows), tmp_path / "store")
    assert list(splits(tmp_path / "store").values()) == ["train", "valid", "valid", "test"]
    assert account.refused == {"1997_4.txt": "it has no split, but other rows have one"}


def test_another_size_is_split_alike_and_says_so(tmp_path):
    account = import_essays(write(tmp_path / "e.csv", DISTRIBUTED, essay_rows(500)), tmp_path / "store")
    assert account.clips == {"train": 320, "valid": 80, "test": 100}
    assert "the whole corpus has 2,467 texts, this file 500: its splits are not the published ones" in account.notes[0]


def test_rows_that_cannot_be_used_are_refused_with_the_reason(tmp_path):
    rows = [[*row, "train"] for row in essay_rows(6)]
    rows[1][2] = "maybe"
    rows[2][1] = " \n "
    rows[3] = rows[3][:-1]
    rows[4][0] = rows[0][0]
    rows[5][-1] = "sometimes"
    account = import_essays(write(tmp_path / "e.csv", [*DISTRIBUTED, "split"], rows), tmp_path / "store")
    assert account.clips == {"train": 1}
    assert account.refused == {
        "row 2 (1997_1.txt)": "'maybe' is neither y, 1 nor n, 0",
        "1997_2.txt": "its text is empty",
        "row 4 (1997_3.txt)": "it has no split",
        "1997_0.txt (again)": "its id occurs already in train",
        "row 6 (1997_5.txt)": "its split is 'sometimes', not train, valid (or dev, validation) or test",
    }


def test_users_without_posts_are_refused_and_empty_posts_counted(tmp_path):
    rows = [["INFJ", "'one||| |||two|||'"], ["ENTP", "'||| |||'"], ["INFX", "'a'"], ["ISTJ", "'INTP'"]]
    path = write(tmp_path / "m.csv", ["type", "posts"], rows)
    account = import_mbti(path, tmp_path / "store", mask_types=True, split="train")
    assert account.refused == {"row 3 (2)": "'INFX' is not one of the 16 types", "1": "all its posts are empty"}
    assert account.notes[:2] == ("1 names of types became 'type'", "5 empty posts left out")
    clips = FeatureStore(tmp_path / "store").clips()
    assert {name: clip.text for name, clip in clips.items()} == {"0": "one two", "3": "type"}


def test_other_texts_of_the_same_clips_are_no_silent_loss(tmp_path):
    path = write(tmp_path / "m.csv", ["type", "posts"], [["INFJ", "as an INFJ"], ["ENTP", "hello"]])
    import_mbti(path, tmp_path / "store", split="train")
    import_mbti(path, tmp_path / "store", split="train")  # the same again is the same
    with pytest.raises(StoreError, match="has other texts for 1 clip, such as '0'"):
        import_mbti(path, tmp_path / "store", mask_types=True, split="train")


def test_long_essays_come_in_whole(tmp_path):
    rows = essay_rows(1)
    rows[0][1] = "word " * 60_000
    import_essays(write(tmp_path / "e.csv", DISTRIBUTED, rows), tmp_path / "store", split="test")
    assert len(FeatureStore(tmp_path / "store").clips()["1997_0.txt"].words) == 60_000
    assert csv.field_size_limit() < 300_000


def test_other_files_are_refused_with_the_missing_columns(tmp_path):
    other = write(tmp_path / "o.csv", ["a", "TEXT"], [["1", "b"]])
    with pytest.raises(InvalidClips, match=r"no column for openness, conscientiousness, .* only a, TEXT"):
        import_essays(other, tmp_path / "store")
    with pytest.raises(InvalidClips, match="not type, posts"):
        import_mbti(other, tmp_path / "store")
    (tmp_path / "x.parquet").write_bytes(b"no")
    with pytest.raises(InvalidClips, match="not Parquet"):
        import_essays(tmp_path / "x.parquet", tmp_path / "store")
    with pytest.raises(InvalidClips, match="cannot read"):
        import_essays(tmp_path / "absent.csv", tmp_path / "store")
    few = write(tmp_path / "few.csv", DISTRIBUTED, essay_rows(9))
    with pytest.raises(InvalidOption, match=r"9 texts of . patterns of labels are too few to split"):
        import_essays(few, tmp_path / "store")
    assert not (tmp_path / "store").exists()
