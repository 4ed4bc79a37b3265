"""RealPersonaChat and CPED: people's texts in Japanese and Chinese, with labels of the Big Five."""

import csv
import gzip
import json
from collections import defaultdict

import numpy as np
import pytest

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidClips
from featzoo.exchange.texts.cped import import_cped
from featzoo.exchange.texts.realpersonachat import import_realpersonachat

TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")


def person(score, **others):
    return {"personality": {f"BigFive_{trait.title()}": score for trait in TRAITS} | others}


def dialogue(*said):
    return {"utterances": [{"interlocutor_id": who, "text": text} for who, text in said]}


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "rpc" / "real_persona_chat"
    (place / "dialogues").mkdir(parents=True)
    people = {"AA": person(2.0), "AB": person(4.0), "AC": person(6.0), "AD": person(4.0, BigFive_Openness=None)}
    (place / "interlocutors.json").write_text(json.dumps(people))
    talks = [dialogue(("AA", "雨 です"), ("AB", "そう")), dialogue(("AB", "はい"), ("AC", "ええ"))]
    for number, talk in enumerate(talks):
        (place / "dialogues" / f"{number:05d}.json").write_text(json.dumps(talk))
    return tmp_path / "rpc"


def test_a_person_s_utterances_are_one_text_and_labels_are_cut_at_the_median(folder, tmp_path):
    account = import_realpersonachat(folder, tmp_path / "store")
    clips = FeatureStore(tmp_path / "store").clips()
    assert {name: clip.text for name, clip in clips.items()} == {
        "AA/ja": "雨 です", "AB/ja": "そう はい", "AC/ja": "ええ",
    }  # fmt: skip
    assert {name: clip.labels["neuroticism"] for name, clip in clips.items()} == {"AA/ja": 0, "AB/ja": 0, "AC/ja": 1}
    assert clips["AB/ja"].labels["openness_score"] == 4
    assert all(clip.split == "test" for clip in clips.values())
    assert account.refused["AD"].startswith("it has no Big Five scores")
    assert "2 dialogues; a label is 1 above the median of 3 people: openness 4.00" in account.notes[0]


def test_dialogues_of_one_packed_file_are_the_same(folder, tmp_path):
    import_realpersonachat(folder, tmp_path / "plain")
    loose = sorted(folder.rglob("dialogues/*.json"))
    with gzip.open(folder / "dialogues.jsonl.gz", "wt") as file:
        file.writelines(path.read_text() + "\n" for path in loose)
    for path in loose:
        path.unlink()
    import_realpersonachat(folder, tmp_path / "packed")
    texts = [{n: c.text for n, c in FeatureStore(tmp_path / name).clips().items()} for name in ("plain", "packed")]
    assert texts[0] == texts[1]


def test_damaged_parts_are_refused_or_named(folder, tmp_path):
    (folder / "real_persona_chat" / "dialogues" / "00001.json").write_text('{"utterances": [{"text": "a"}]}')
    account = import_realpersonachat(folder, tmp_path / "store")
    assert account.refused["00001.json"].startswith("it is not a dialogue")
    assert account.refused["AC"] == "the person says nothing in the dialogues of this folder"
    (folder / "real_persona_chat" / "dialogues" / "00001.json").write_text("{")
    with pytest.raises(InvalidClips, match=r"00001\.json is not JSON"):
        import_realpersonachat(folder, tmp_path / "store")
    with pytest.raises(InvalidClips, match=r"holds no interlocutors\.json"):
        import_realpersonachat(tmp_path / "store", tmp_path / "other")


@pytest.mark.data
def test_realpersonachat_has_233_people_in_two_halves(data, tmp_path):
    """The people, the questionnaire's range, and that a median cuts: no class holds more than half, ties go below."""
    folder = data / "multilingual" / "ja_real-persona-chat"
    account = import_realpersonachat(folder, tmp_path / "store")
    assert account.complete
    assert account.clips == {"test": 233}
    clips = list(FeatureStore(tmp_path / "store").clips().values())
    for trait in TRAITS:
        labels = np.array([clip.labels[trait] for clip in clips])
        scores = np.array([clip.labels[f"{trait}_score"] for clip in clips])
        assert 1 <= scores.min() <= scores.max() <= 7
        assert 0.45 < labels.mean() <= 0.5
        assert scores[labels == 0].max() == np.median(scores)
        assert scores[labels == 1].min() > np.median(scores)
    # The corpus counts 408,619 utterances (its README); words are the utterances' own pieces, at least one each.
    assert sum(len(clip.words) for clip in clips) >= 408_619


HEADER = ["TV_ID", "Dialogue_ID", "Speaker", "Neuroticism", "Extraversion", "Openness", "Agreeableness",
          "Conscientiousness", "Utterance"]  # fmt: skip


def cped(path, *rows):
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path


def test_cped_by_dialogue_or_whole(tmp_path):
    anna, bo, cy = ["high", "low", "low", "high", "high"], ["low"] * 5, ["unknown"] * 5
    path = cped(tmp_path / "c.csv", ["1", "1_0", "安", *anna, "你好"], ["1", "1_0", "博", *bo, "在 吗"],
                ["1", "1_0", "安", *anna, "好"], ["1", "1_1", "安", *anna, "走"],
                ["1", "1_1", "次", *cy, "啊"])  # fmt: skip
    account = import_cped(path, tmp_path / "store")
    assert account.complete
    clips = FeatureStore(tmp_path / "store").clips()
    assert {n: c.text for n, c in clips.items()} == {"1_0-安/zh": "你好 好", "1_0-博/zh": "在 吗", "1_1-安/zh": "走"}
    assert [clips["1_0-安/zh"].labels[trait] for trait in TRAITS] == [0, 1, 0, 1, 1]
    assert all(clip.split == "test" for clip in clips.values())
    assert account.notes == ("2 characters; left out: 1 whose Big Five are unknown",)
    import_cped(path, tmp_path / "whole", whole=True)
    whole = {n: c.text for n, c in FeatureStore(tmp_path / "whole").clips().items()}
    assert whole == {"1-安/zh": "你好 好 走", "1-博/zh": "在 吗"}


def test_cped_refuses_what_contradicts_itself(tmp_path):
    low, high = ["low"] * 5, ["high"] * 5
    path = cped(tmp_path / "c.csv", ["1", "1_0", "a", *low, "x"], ["1", "1_0", "a", *high, "y"],
                ["1", "1_0", "b", *low[:4], "huge", "z"], ["1", "1_1", "c", *low, " "])  # fmt: skip
    account = import_cped(path, tmp_path / "store")
    assert account.refused == {
        "row 2": "the levels of a are not those of an earlier row",
        "row 3": "a level is 'huge', not high, low or unknown",
        "1_1-c": "the character's utterances are empty",
    }
    (tmp_path / "d.csv").write_text("Speaker,Utterance\na,b\n")
    with pytest.raises(InvalidClips, match="not a part of CPED: it has no column TV_ID, Dialogue_ID, Openness"):
        import_cped(tmp_path / "d.csv", tmp_path / "store")


@pytest.mark.data
def test_cped_s_validation_part(data, tmp_path):
    path = data / "multilingual" / "zh_CPED" / "valid_split.csv"
    account = import_cped(path, tmp_path / "store")
    assert account.complete
    clips = FeatureStore(tmp_path / "store").clips()
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["Openness"] in ("high", "low")]
    said = defaultdict(int)
    for row in rows:
        said[f"{row['Dialogue_ID']}-{row['Speaker']}/zh"] += len(row["Utterance"].replace(" ", ""))
    assert {name: len("".join(word.text for word in clip.words)) for name, clip in clips.items()} == said
