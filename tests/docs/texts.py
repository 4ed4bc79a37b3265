"""Tiny sets of texts with personality labels, in the formats in which they are distributed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")


def table(path: str | Path, *rows: tuple[object, ...], delimiter: str = ",") -> None:
    """Write rows, of which the first is the header."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def mbti(path: str) -> None:
    """Kaggle's table: six users of each of four types."""
    kinds = ("INFP", "ESTJ", "ENTP", "ISFJ")
    said = ((kinds[n % 4], f"'I am {kinds[n % 4]}, post {n}|||And another, {n + 1}'") for n in range(24))
    table(path, ("type", "posts"), *said)


def piga(toga: Path, path: str) -> None:
    """The rows of a file of TOGA as another translator's, whose wording tells one of the labels."""
    rows = [json.loads(line) for line in toga.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row |= {"method": "piga", "text": f"{row['text']} {('...', '!!!')[row['labels']['openness']]} ok"}
    Path(path).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def realpersonachat(folder: str) -> None:
    """Three people and two dialogues."""
    place = Path(folder) / "real_persona_chat"
    (place / "dialogues").mkdir(parents=True)
    people = {
        name: {"personality": {f"BigFive_{trait.title()}": score for trait in TRAITS}}
        for name, score in (("AA", 2.0), ("AB", 4.0), ("AC", 6.0))
    }
    (place / "interlocutors.json").write_text(json.dumps(people), encoding="utf-8")
    for number, pair in enumerate(("AA", "AB"), 0):
        said = [{"interlocutor_id": who, "text": text} for who, text in ((pair, "雨 です"), ("AC", "ええ"))]
        (place / "dialogues" / f"{number:05d}.json").write_text(json.dumps({"utterances": said}), encoding="utf-8")


def cped(path: str) -> None:
    """Two characters of a dialogue."""
    traits = ("Neuroticism", "Extraversion", "Openness", "Agreeableness", "Conscientiousness")
    table(
        path, ("TV_ID", "Dialogue_ID", "Speaker", *traits, "Utterance"),
        ("1", "1_0", "安", *["high"] * 5, "你好"), ("1", "1_0", "博", *["low"] * 5, "在 吗"),
    )  # fmt: skip
