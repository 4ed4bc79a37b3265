"""Hazumi in its own layout, written by hand: dump files, ELAN transcripts and Excel workbooks."""

from __future__ import annotations

import csv
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner

from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.errors import InvalidClips
from featzoo.exchange.corpora.hazumi import import_hazumi
from featzoo.exchange.corpora.hazumi_words import plain

HEADER = [
    "start(exchange)[ms]", "end(system)[ms]", "end(exchange)[ms]", "kinectstart(exchange)[ms]", "SS_ternary",
    "TS_ternary", "SS", "TC1", "TC2", "TS1", "TS2", "pcm_RMSenergy_sma_max", "F0_sma_de_kurtosis", "word#0001", "noun",
    "lenS-lenU", "op", "17_acceleration_max", "AU45_c_mean", "HandLeft_velocity_max", "EDA_mean", "duration", "odd",
]  # fmt: skip
ROW = [0, 1, 0, 5, 3, 4, 6, 5, 0.5, -1.5, 1, 2, 3, 0, 0.25, 1, 0.75, 1.25, 4, 9]
ITEMS = [f"{letter}.題" for letter in "ABCDEFGHIJ"]


def dump(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])


def elan(path, *answers):
    """A transcript with answers and acts (start and end in ms, text)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    slots, tiers = "", {"user_utterance": "", "dialogue_act": ""}
    for number, (start, end, text) in enumerate(answers):
        slots += f'<TIME_SLOT TIME_SLOT_ID="a{number}" TIME_VALUE="{start}"/>'
        slots += f'<TIME_SLOT TIME_SLOT_ID="b{number}" TIME_VALUE="{end}"/>'
        for name, value in (("user_utterance", text), ("dialogue_act", "qy")):
            tiers[name] += (
                f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="{name}{number}" TIME_SLOT_REF1="a{number}" '
                f'TIME_SLOT_REF2="b{number}"><ANNOTATION_VALUE>{value}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>'
                "</ANNOTATION>"
            )
    body = "".join(
        f'<TIER TIER_ID="{name}" LINGUISTIC_TYPE_REF="default">{rows}</TIER>' for name, rows in tiers.items()
    )
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?><ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds"/>'
        f"<TIME_ORDER>{slots}</TIME_ORDER>{body}</ANNOTATION_DOCUMENT>",
        encoding="utf-8",
    )


def workbook(path, *sheets):
    """A workbook of sheets (name, rows of cells), texts as shared strings with a phonetic reading."""
    path.parent.mkdir(parents=True, exist_ok=True)
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    strings, named, links = [], "", ""
    with zipfile.ZipFile(path, "w") as file:
        for number, (name, rows) in enumerate(sheets, start=1):
            content = ""
            for r, row in enumerate(rows, start=1):
                content += f'<row r="{r}">'
                for column, value in zip("ABCDEFGHIJK", row, strict=False):
                    if isinstance(value, str):
                        strings.append(value)
                        content += f'<c r="{column}{r}" t="s"><v>{len(strings) - 1}</v></c>'
                    elif value is not None:
                        content += f'<c r="{column}{r}"><v>{value}</v></c>'
                content += "</row>"
            named += f'<sheet name="{name}" sheetId="{number}" r:id="rId{number}"/>'
            links += f'<Relationship Id="rId{number}" Target="worksheets/sheet{number}.xml"/>'
            file.writestr(
                f"xl/worksheets/sheet{number}.xml", f"<worksheet {main}><sheetData>{content}</sheetData></worksheet>"
            )
        read = "".join(f"<si><t>{text}</t><rPh sb='0' eb='1'><t>ヨミ</t></rPh></si>" for text in strings)
        file.writestr("xl/sharedStrings.xml", f"<sst {main}>{read}</sst>")
        file.writestr("xl/workbook.xml", f'<workbook {main} xmlns:r="{office}"><sheets>{named}</sheets></workbook>')
        file.writestr("xl/_rels/workbook.xml.rels", f"<Relationships>{links}</Relationships>")


def sheet(**people):
    return [["表題"], ["番号", *ITEMS], *([person, *answers] for person, answers in people.items()), ["平均", 1.0]]


@pytest.fixture
def release(tmp_path):
    root = tmp_path / "Hazumi1911"
    dump(root / "dumpfiles/1911F2001.csv", [1000, 2000, 4000, *ROW], [4000, 4500, 6500, *ROW], [9000, 8000, 9500, *ROW])
    dump(root / "dumpfiles/1911M7002.csv", [500, 700, 900, *ROW[:6], "", "", *ROW[8:]])
    elan(
        root / "elan/1911F2001.eaf",
        (1000, 4000, "(F あ)|なるほど"), (4000, 6500, ""), (6500, 7000, "はい"),
    )  # fmt: skip
    workbook(
        root / "questionnaire/1911questionnaires.xlsx",
        ("①実験前（参加者）", sheet(**{"1911F2001": [8] * 10})),
        ("④性格特性", sheet(**{"1911F2001": [6, 2, 3, 5, 7, 4, 6, 4, 2, 1]})),
    )
    workbook(
        root / "questionnaire/1911questionnaires-3rdparty-personality.xlsx",
        *((f"性格特性（第３者）0{i}", sheet(**{"1911F2001": [i] * 10, "1911M7002": [1] * 10})) for i in (1, 7)),
    )
    (root / "questionnaire/1911questionnaire-3rdparty-rapport.xlsx").write_bytes(b"another questionnaire")
    return root


def test_every_exchange_is_a_clip_or_refused_with_the_reason(release, tmp_path):
    account = import_hazumi(release, tmp_path / "s")
    assert account.refused == {"1911F2001/003": "1911F2001.csv: its times are 9, 8 and 9.5 s, not in order"}
    assert "1 annotated exchange without a row in the dump files: not imported" in account.notes
    assert "warning: no transcript of 1 participant: 1911M7002" in account.notes
    assert "warning: without an answer there: 1911M7002" in account.notes
    assert "not imported: 1 column of no known kind: odd" in account.notes
    clips = FeatureStore(tmp_path / "s").clips()
    assert sorted(clips) == ["1911F2001/001", "1911F2001/002", "1911M7002/001"]
    clip = clips["1911F2001/001"]
    assert (clip.start, clip.end, clip.text) == (1.0, 4.0, "あ なるほど")
    assert (clip.words[0].start, clip.words[-1].end) == (1.0, 3.0)  # after the agent's turn
    assert dict(clip.categories) == {
        "speaker": "1911F2001", "gender": "female", "age_group": "20", "language": "ja", "dialogue_act": "qy",
    }  # fmt: skip
    assert clips["1911F2001/002"].words == ()


def test_sentiment_is_the_annotators_mean_and_each_is_kept(release, tmp_path):
    import_hazumi(release, tmp_path / "s")
    labels = FeatureStore(tmp_path / "s").clips()["1911F2001/001"].labels
    found = {name: labels[name] for name in ("sentiment", "sentiment_1", "sentiment_2", "topic_continuance")}
    assert found == {"sentiment": 5.5, "sentiment_1": 6.0, "sentiment_2": 5.0, "topic_continuance": 3.5}
    assert labels["self_sentiment"] == 5.0
    assert "sentiment" not in FeatureStore(tmp_path / "s").clips()["1911M7002/001"].labels


def test_traits_are_the_mean_of_an_item_and_its_reversed_one(release, tmp_path):
    import_hazumi(release, tmp_path / "s")
    store = FeatureStore(tmp_path / "s")
    # A and F: (6 + 8 - 4) / 2 = 5; G and B: 6; C and H: 3.5; D and I: 5.5; E and J: 7. From 1-7 to 0-1.
    own = {
        "extraversion": 4 / 6,
        "agreeableness": 5 / 6,
        "conscientiousness": 2.5 / 6,
        "neuroticism": 4.5 / 6,
        "openness": 1,
    }
    labels = store.clips()["1911F2001/001"].labels
    assert {trait: labels[trait] for trait in own} == pytest.approx(own)
    assert labels["openness_by_others"] == 0.5
    assert "openness" not in store.clips()["1911M7002/001"].labels
    row = store["hazumi-big-five"]["1911F2001/001"]
    assert dict(zip(row.names, row.features[0], strict=True)) == pytest.approx(own)
    assert "1911M7002/001" not in store["hazumi-big-five"]
    assert store["hazumi-big-five-by-others"]["1911M7002/001"].features.tolist() == [[0.5] * 5]


def test_columns_are_the_sets_of_their_modality(release, tmp_path):
    import_hazumi(release, tmp_path / "s")
    store = FeatureStore(tmp_path / "s")
    columns = {
        "is09": ("pcm_RMSenergy_sma_max", "F0_sma_de_kurtosis"),
        "words": ("word#0001", "noun", "lenS-lenU", "op"),
        "openface": ("17_acceleration_max", "AU45_c_mean"),
        "motion": ("HandLeft_velocity_max", "duration"),
        "physiology": ("EDA_mean",),
    }
    for name, names in columns.items():
        row = store[f"hazumi-{name}"]["1911F2001/001"]
        assert row.names == names
        values = np.float32([ROW[HEADER.index(column) - 3] for column in names])
        assert np.array_equal(row.features, values[None])
        assert row.intervals.tolist() == [[0.0, 3.0]]


def test_other_folders_tables_and_answers_are_refused(release, tmp_path):
    with pytest.raises(InvalidClips, match=r"no dumpfiles/\*\.csv"):
        import_hazumi(release / "elan", tmp_path / "s")
    workbook(release / "questionnaire/1911questionnaires.xlsx", ("性格特性", sheet(**{"1911F2001": [9] * 10})))
    with pytest.raises(InvalidClips, match="an answer of 1911F2001 is '9'; answers are from 1 to 7"):
        import_hazumi(release, tmp_path / "s")
    (release / "questionnaire/1911questionnaires.xlsx").write_bytes(b"PK")
    with pytest.raises(InvalidClips, match="cannot be read as an Excel workbook"):
        import_hazumi(release, tmp_path / "s")
    dump(release / "dumpfiles/1911A.csv")
    (release / "dumpfiles/1911A.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidClips, match="lacks the columns start"):
        import_hazumi(release, tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_marks_of_fillers_and_slips_go_and_their_words_stay():
    assert plain("(F あ)|なるほど(D は)|(? (F ん)遠い)") == "あ なるほどは ん遠い"


@pytest.mark.slow
@pytest.mark.data
def test_the_real_one(data, tmp_path):
    """Means against NumPy's own reading of a dump file; traits counted by hand from the questionnaire."""
    folder = data / "hazumi1911"
    done = CliRunner().invoke(feat, ["import", "hazumi", str(folder), "--store", str(tmp_path / "s")])
    assert done.exit_code == 0, done.output
    assert "clips: 1801 (1801 no split)" in done.output
    for name, width in (("is09", 384), ("openface", 66), ("motion", 21), ("physiology", 4), ("words", 2616)):
        assert f": 1801 clips x {width} columns, 0 refused" in done.output.split(f"hazumi-{name}-")[1].splitlines()[0]
    clips = FeatureStore(tmp_path / "s").clips()
    table = np.genfromtxt(folder / "dumpfiles/1911M5001.csv", delimiter=",", skip_header=1)
    read = [clip.labels["sentiment"] for clip in clips.values() if clip.categories["speaker"] == "1911M5001"]
    assert np.allclose(read, table[:, 15:20].mean(axis=1))
    # 1911M5001 answers A to J: 5 2 3 6 6 2 6 4 6 3.
    traits = {"extraversion": 5.5, "agreeableness": 6, "conscientiousness": 3.5, "neuroticism": 4, "openness": 5.5}
    found = clips["1911M5001/001"].labels
    assert {trait: 1 + 6 * found[trait] for trait in traits} == pytest.approx(traits)
