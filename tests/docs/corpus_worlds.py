"""What lies in the folders in which the how-to pages on corpora, texts, classes and exchange are typed."""

from __future__ import annotations

import shutil
from pathlib import Path

from augment.api import text_of

from docs import corpora, texts
from docs.reader import type_in
from docs.stock import Stock


def exchange(stock: Stock) -> None:
    for name in ("features", "theirs", "mosi"):
        stock.copy("store", name)
    corpora.mosei("CMU_MOSEI")
    type_in("feat import mosei CMU_MOSEI -o mosei")
    corpora.recordings("CMU_MOSEI_COVAREP.csd", "covarep", 74)
    corpora.arrays("arrays")
    corpora.openface("processed")
    corpora.imotions("exports")
    corpora.youtube_personality("YouTubePersonality")
    corpora.pom("new_data/pom")
    corpora.mult("mosi_data_noalign.pkl")
    corpora.mmsa("unaligned_50.pkl", stock.get("pickle") / "aligned_50.pkl")
    corpora.first_impressions("FirstImpressionsV2")
    corpora.first_impressions("without-test", ("training", "validation"))


def personality_texts(stock: Stock) -> None:
    toga = stock.get("essays") / "toga.jsonl"
    shutil.copy(toga, "toga.jsonl")
    shutil.copy(stock.get("essays") / "essays.csv", "essays.csv")
    texts.mbti("mbti_1.csv")
    texts.piga(toga, "piga.jsonl")
    texts.realpersonachat("real-persona-chat")
    texts.cped("test_split.csv")
    stock.copy("teacher", "runs/adam-teacher-1")


def essays_to_translate(stock: Stock) -> None:
    """A store of six English essays that the test's server can translate."""
    splits = ("train", "train", "train", "train", "valid", "test")
    rows = ((text_of(number), *[number % 2] * 5, split) for number, split in enumerate(splits))
    texts.table("english.csv", ("text", "O", "C", "E", "A", "N", "split"), *rows)
    type_in("feat import essays english.csv -o essays")


def classes(stock: Stock) -> None:
    """Twelve videos of six speakers, named by emotion, with splits; stores of sentiment and of essays."""
    Path("clips").mkdir()
    rows: list[tuple[object, ...]] = [("id", "split")]
    for number, path in enumerate(sorted(stock.get("videos").glob("*.mp4"))):
        name = f"{number // 2 + 1:02d}_{'WF'[number % 2]}_1"
        for beside in path.parent.glob(f"{path.stem}.*"):
            shutil.copy(beside, Path("clips") / f"{name}{beside.suffix}")
        rows.append((f"{name}.mp4", ("train", "train", "train", "valid", "test", "test")[number // 2]))
    texts.table("clips/labels.csv", *rows)
    type_in("feat extract clips -x egemaps.functionals -o features -j 1")
    stock.copy("store", "mosi")
    type_in(f"feat import essays {stock.get('essays') / 'essays.csv'} -o essays")


def transcripts(stock: Stock) -> None:
    corpora.speech("EMO-DB", stock.get("voices"))
    Path("EMO-DB/wav").rename("emodb")
    stock.copy("videos", "videos")
    Path("videos/clip12.txt").write_bytes("这部电影很好看。".encode("gbk"))


def datasets(stock: Stock) -> None:
    voices = stock.get("voices")
    for name in corpora.SPEECH:
        corpora.speech(name, voices)
    corpora.iemocap("IEMOCAP_full_release", voices)
    corpora.msp_podcast("MSP-PODCAST-Publish-1.12", voices)
    source = stock.get("pickle") / "aligned_50.pkl"
    corpora.mmsa("unaligned_50.pkl", source)
    corpora.mmsa("unaligned_39.pkl", source, (33, 709), 3.0)
    type_in("feat import mmsa unaligned_50.pkl -o mosi")
    type_in("feat extract -o mosi -x bert,bert.ids -j 1")
    corpora.mosei("CMU_MOSEI")
    corpora.mult("mosei_senti_data_noalign.pkl")
    for name, columns in (("COVAREP", 74), ("VisualFacet42", 35)):
        corpora.recordings(f"CMU_MOSEI_{name}.csd", name.lower(), columns)
    type_in("feat example meld -o data/MELD")
    Path("MELD.Raw").mkdir()
    type_in("feat import meld data/MELD -o meld")
    type_in("feat extract -o meld -x bert.ids -j 1")
    fet(stock, "CMU_MOSI")


def fet(stock: Stock, folder: str) -> None:
    """Four example clips as MMSA-FET's label.csv and Raw/<video>/<clip>.mp4."""
    rows = [("video_id", "clip_id", "text", "label", "label_T", "label_A", "label_V", "annotation", "mode")]
    (Path(folder) / "Raw" / "v1").mkdir(parents=True)
    for number, mode in enumerate(("train", "train", "valid", "test"), 1):
        shutil.copy(stock.get("videos") / f"clip{number:02d}.mp4", Path(folder) / "Raw" / "v1" / f"{number}.mp4")
        rows.append(("v1", str(number), "the film was good", "1.0", "", "", "", "Positive", mode))
    texts.table(f"{folder}/label.csv", *rows)
