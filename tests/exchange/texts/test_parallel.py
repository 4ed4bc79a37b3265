"""Parallel texts: what goes in, what is refused line by line, and several files into one store."""

import json

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet
from sklearn.model_selection import train_test_split

from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.errors import InvalidClips, InvalidOption
from featzoo.exchange.texts.parallel import import_parallel

HIGH = {"openness": 1, "conscientiousness": 0, "extraversion": 1, "agreeableness": 0, "neuroticism": 1}


def row(number="7", language="fr", text="il pleut", **others):
    return {
        "id": number,
        "language": language,
        "text": text,
        "split": "train",
        "labels": HIGH,
        "method": "toga",
    } | others


def lines(path, *rows):
    path.write_text("".join(one if isinstance(one, str) else json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


def clips(store):
    return FeatureStore(store).clips()


def test_a_row_in_every_language(tmp_path):
    texts = {"en": "it rains", "fr": "il pleut", "bm": "hujan turun", "jp": "雨が 降る", "zh": "下雨了"}
    rows = [row(language=language, text=text, flags=["fallback-toga"]) for language, text in texts.items()]
    account = import_parallel(lines(tmp_path / "p.jsonl", *rows), tmp_path / "store")
    assert account.complete
    found = clips(tmp_path / "store")
    assert {name: clip.text for name, clip in found.items()} == {
        "7/en": "it rains", "7/fr": "il pleut", "7/ms": "hujan turun", "7/ja": "雨が 降る", "7/zh": "下雨了",
    }  # fmt: skip
    assert all(clip.path is None and clip.split == "train" and clip.labels == HIGH for clip in found.values())
    assert [len(found[f"7/{language}"].words) for language in ("ja", "zh")] == [2, 1]
    assert "fr: 1 texts (1 toga; flags: 1 fallback-toga)" in account.notes


def test_missing_languages_are_told_and_fine(tmp_path):
    rows = [row("1", "en"), row("2", "en"), row("3", "en"), row("1"), row("3", method="piga")]
    account = import_parallel(lines(tmp_path / "p.jsonl", *rows), tmp_path / "store")
    assert account.complete
    assert account.notes == ("en: 3 texts (3 toga)", "fr: 2 texts (1 toga, 1 piga), 1 of 3 rows are missing")


def test_each_bad_line_is_refused_with_its_reason_and_the_others_go_in(tmp_path):
    rows = [
        row("1"),
        "{not json}\n",
        '["a", "list"]\n',
        "\n",
        row("1", text="il neige", method="piga"),
        row("2", "xx"),
        row("3", text="  "),
        row("4", labels={"openness": 2}),
        row("5", labels={"humour": "a lot"}),
        row("1", "ja", labels={**HIGH, "openness": 0}),
        row("1", "zh", split="test"),
        row("6", split="later"),
        row("../../etc/passwd"),
        row("", text="a"),
        row("8", text=None),
        '{"id": "9", "language": "fr", "text": "\\ud83d", "split": "train"}\n',
        row("10", labels=[1, 0]),
        {"language": "fr", "text": "a"},
        row("11", "ja"),
    ]
    path = lines(tmp_path / "p.jsonl", *rows)
    with path.open("ab") as file:
        file.write(b'{"id": "12", "language": "fr", "text": "caf\xe9"}\n{"id": "13", "language": "fr", "te')
    account = import_parallel(path, tmp_path / "store")
    assert set(clips(tmp_path / "store")) == {"1/fr", "11/ja"}
    reasons = account.refused
    assert set(reasons) == {f"line {n}" for n in (2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21)}
    expected = {
        2: "it is not JSON", 3: "it is not a JSON object", 5: "1/fr occurs twice: by toga, then by piga",
        6: "unknown language 'xx'", 7: "it has no text", 8: "its label openness: 2 is neither",
        9: "its label humour: 'a lot' is not a number", 10: "the labels of 1/ja differ from those of 1/fr",
        11: "1/zh is test, but 1/fr is train",
        12: "its split is 'later'", 13: "as a path it would lead outside the store", 14: "its id is ''",
        15: "it has no text",
        16: "it has half of a character", 17: "its labels are [1, 0]", 18: "it has no id", 20: "it is not UTF-8",
        21: "it is not JSON",
    }  # fmt: skip
    for number, reason in expected.items():
        assert reason in reasons[f"line {number}"]


def test_the_command_exits_1_where_a_line_was_refused(tmp_path):
    good = lines(tmp_path / "good.jsonl", row("1"), row("1", "ja"), row("2", split="test"))
    arguments = [
        "import",
        "parallel",
        str(good),
        "-o",
        str(tmp_path / "store"),
        "--split",
        "train",
        "--languages",
        "fr",
    ]
    result = CliRunner().invoke(feat, arguments)
    assert result.exit_code == 0, result.output
    assert set(clips(tmp_path / "store")) == {"1/fr"}
    assert "left out as requested: 2 texts of other languages or splits" in result.output
    bad = lines(tmp_path / "bad.jsonl", row("3"), "nothing\n")
    result = CliRunner().invoke(feat, ["import", "parallel", str(bad), "-o", str(tmp_path / "store")])
    assert result.exit_code == 1
    assert "refused line 2: it is not JSON" in result.output
    assert "3/fr" in clips(tmp_path / "store")


def test_several_files_go_into_one_store(tmp_path):
    store = tmp_path / "store"
    import_parallel(lines(tmp_path / "en.jsonl", row("1", "en"), row("2", "en")), store)
    import_parallel(lines(tmp_path / "fr.jsonl", row("1"), row("2")), store)
    again = import_parallel(lines(tmp_path / "fr.jsonl", row("1"), row("2")), store)
    assert again.complete
    assert set(clips(store)) == {"1/en", "2/en", "1/fr", "2/fr"}
    third = lines(tmp_path / "x.jsonl", row("1", text="autre"), row("2", "ja", labels={"openness": 0}),
                  row("2", "zh", split="test"), row("3", "zh"))  # fmt: skip
    account = import_parallel(third, store)
    assert account.refused == {
        "line 1": "1/fr is in the store with another text: import texts of another method into another store",
        "line 2": "the labels of 2/ja differ from those of 2/en",
        "line 3": "2/zh is test, but 2/en is train",
    }
    assert clips(store)["1/fr"].text == "il pleut"
    assert "3/zh" in clips(store)


def test_parquet_with_labels_as_a_struct_or_as_columns(tmp_path):
    rows = [row("1", labels={"openness": 1, "neuroticism": 0}), row("2", labels={"openness": 0, "neuroticism": None})]
    plain = [{k: v for k, v in one.items() if k != "labels"} for one in rows]
    columns = [one | {"O": label["openness"], "neuroticism": label["neuroticism"]}
               for one, label in zip(plain, (rows[0]["labels"], rows[1]["labels"]), strict=True)]  # fmt: skip
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "struct.parquet")
    parquet.write_table(pa.Table.from_pylist(columns), tmp_path / "columns.parquet")
    for name in ("struct", "columns"):
        assert import_parallel(tmp_path / f"{name}.parquet", tmp_path / name).complete
    first, second = clips(tmp_path / "struct"), clips(tmp_path / "columns")
    assert {name: dict(clip.labels) for name, clip in first.items()} == {
        "1/fr": {"openness": 1.0, "neuroticism": 0.0}, "2/fr": {"openness": 0.0},
    }  # fmt: skip
    assert {name: dict(clip.labels) for name, clip in second.items()} == {n: dict(c.labels) for n, c in first.items()}


def test_other_languages_are_taken_when_they_are_named(tmp_path):
    path = lines(tmp_path / "p.jsonl", row("1", "de"), row("1"))
    assert "unknown language 'de'" in import_parallel(path, tmp_path / "a").refused["line 1"]
    account = import_parallel(path, tmp_path / "b", languages=["de"])
    assert account.complete
    assert set(clips(tmp_path / "b")) == {"1/de"}
    with pytest.raises(InvalidOption, match="'german' is not a language"):
        import_parallel(path, tmp_path / "b", languages=["german"])


def test_a_file_of_nothing_is_an_error_and_leaves_no_store(tmp_path):
    with pytest.raises(InvalidClips, match="none of 1 entries"):
        import_parallel(lines(tmp_path / "p.jsonl", "x\n"), tmp_path / "store")
    with pytest.raises(InvalidClips, match="cannot read"):
        import_parallel(tmp_path / "absent.jsonl", tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_languages_of_a_row_are_trained_on_as_one_split(tmp_path):
    """What is imported is what the zoo's metrics take for languages and rows."""
    from featzoo.zoo.metrics.binary import languages_of, rows_of

    rows = [row(f"a/{n}", language) for n in range(3) for language in ("en", "fr")]
    import_parallel(lines(tmp_path / "p.jsonl", *rows), tmp_path / "store")
    ids = sorted(clips(tmp_path / "store"))
    assert languages_of(ids) == ["en", "fr"] * 3
    assert np.array_equal(rows_of(ids), [0, 0, 1, 1, 2, 2])


def test_labels_other_than_the_big_five_are_any_numbers(tmp_path):
    """In a struct, or in the columns that are named; other columns are not labels."""
    mood = {"sentiment": -1.5, "positive": False}
    path = lines(
        tmp_path / "p.jsonl",
        row("1", labels=mood),
        {"id": "2", "language": "fr", "text": "b", "split": "train", "sentiment": 2, "page": 7, "openness": "y"},
    )
    import_parallel(path, tmp_path / "store", labels=["sentiment"])
    found = clips(tmp_path / "store")
    assert dict(found["1/fr"].labels) == {"sentiment": -1.5, "positive": 0.0}
    assert dict(found["2/fr"].labels) == {"openness": 1.0, "sentiment": 2.0}


def wide(number, split_at=0):
    """Rows as `datasets` gives them, with a column of texts for each language."""
    rows = []
    for n in range(number):
        labels = {trait: str(n >> k & 1) for k, trait in enumerate("OCEAN")}
        texts = {code: f"{code} text {n}" for code in ("en", "fr", "bm", "jp", "zh")}
        rows.append({**labels, "ptype": n % 32, **texts, "__index_level_0__": split_at + n})
    return pa.Table.from_pylist(rows)


def save_to_disk(table, folder):
    """The files that `Dataset.save_to_disk` writes: Arrow's stream format, in two shards."""
    folder.mkdir(parents=True)
    half = len(table) // 2
    for shard, part in enumerate((table[:half], table[half:])):
        place = str(folder / f"data-0000{shard}-of-00002.arrow")
        with pa.OSFile(place, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(part)
    (folder / "state.json").write_text("{}")


def test_a_data_set_folder_gives_each_language_of_each_row(tmp_path):
    for place, split in enumerate(("train", "validation", "test")):
        save_to_disk(wide(4, 4 * place), tmp_path / "disk" / split)
    account = import_parallel(tmp_path / "disk", tmp_path / "store")
    assert account.clips == {"train": 20, "valid": 20, "test": 20}
    clip = FeatureStore(tmp_path / "store").clips()["5/ms"]  # the second row of the validation split
    assert clip.text == "bm text 1"
    assert clip.split == "valid"
    assert list(clip.labels.values()) == [1, 0, 0, 0, 0]
    (tmp_path / "hub" / "data").mkdir(parents=True)
    for split in ("train", "validation"):
        parquet.write_table(wide(3, 10 * len(split)), tmp_path / "hub" / "data" / f"{split}-00000-of-00001.parquet")
    assert import_parallel(tmp_path / "hub", tmp_path / "other").clips == {"train": 15, "valid": 15}


def test_a_data_set_without_splits_gets_the_author_s(tmp_path):
    save_to_disk(wide(320), tmp_path / "disk")
    import_parallel(tmp_path / "disk", tmp_path / "store")
    split = {name: clip.split for name, clip in FeatureStore(tmp_path / "store").clips().items()}
    patterns = [str(int("".join(str(n >> k & 1) for k in range(5)), 2)) for n in range(320)]
    rest, test = train_test_split(range(320), test_size=0.2, random_state=42, stratify=patterns)
    assert {n for n in range(320) if split[f"{n}/en"] == "test"} == set(test)
    train, _ = train_test_split(rest, test_size=0.2, random_state=42, stratify=[patterns[n] for n in rest])
    assert {n for n in range(320) if split[f"{n}/fr"] == "train"} == set(train)


def test_folders_that_are_not_data_sets_are_refused(tmp_path):
    with pytest.raises(InvalidClips, match=r"no \.arrow or \.parquet file"):
        import_parallel(tmp_path, tmp_path / "store")
    (tmp_path / "data-00000-of-00001.arrow").write_bytes(b"not Arrow")
    with pytest.raises(InvalidClips, match="cannot be read as a table of texts"):
        import_parallel(tmp_path, tmp_path / "store")
