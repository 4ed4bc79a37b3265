"""Made essays with Big Five labels: the file of Pennebaker and King's corpus, and parallel texts in five languages."""

from __future__ import annotations

import csv
import json
from itertools import permutations
from pathlib import Path

import numpy as np

from featzoo.exchange.texts.tables import author_splits

SEED = 20244
TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
# What somebody high, and somebody low in each trait writes, translated by hand.
SENTENCES = {
    "en": (
        ("I love paintings and strange new ideas.", "I like things to stay the way they are."),
        ("I plan every day and finish what I begin.", "My desk is a mess and I am always late."),
        ("I went to a party and talked to everyone.", "I stayed at home and read alone."),
        ("I helped a stranger carry her bags.", "Other people annoy me when they are slow."),
        ("I worry about the exam and cannot sleep.", "Few things trouble me, and I sleep well."),
    ),
    "fr": (
        ("J'aime les tableaux et les idées nouvelles.", "J'aime que les choses restent comme elles sont."),
        ("Je prévois mes journées et je vais au bout de tout.", "Mon bureau est en désordre et je suis en retard."),
        ("Je suis allé à une fête et j'ai parlé à tous.", "Je suis resté à la maison et j'ai lu seul."),
        ("J'ai aidé une inconnue à porter ses sacs.", "Les gens m'agacent quand ils sont lents."),
        ("L'examen m'inquiète et je ne dors pas.", "Peu de choses me troublent, et je dors bien."),
    ),
    "ms": (
        ("Saya suka lukisan dan idea baharu yang pelik.", "Saya suka semuanya kekal seperti sedia ada."),
        ("Saya merancang setiap hari dan menyiapkan kerja.", "Meja saya bersepah dan saya selalu lewat."),
        ("Saya pergi ke parti dan bercakap dengan semua.", "Saya tinggal di rumah dan membaca seorang diri."),
        ("Saya menolong orang membawa begnya.", "Orang lain menjengkelkan saya apabila lambat."),
        ("Saya risau tentang peperiksaan dan tidak tidur.", "Tidak banyak yang mengganggu saya; tidur lena."),
    ),
    "ja": (
        ("私は絵や変わった新しい考えが大好きです。", "私は物事が今のままであるのが好きです。"),
        ("私は毎日の計画を立て、始めたことは終わらせます。", "私の机は散らかっていて、いつも遅刻します。"),
        ("私はパーティーに行って、みんなと話しました。", "私は家にいて、一人で本を読みました。"),
        ("私は知らない人の荷物を運ぶのを手伝いました。", "他の人が遅いと、私はいらいらします。"),
        ("私は試験が心配で眠れません。", "私を悩ませることは少なく、よく眠れます。"),
    ),
    "zh": (
        ("我喜欢绘画和奇特的新想法。", "我喜欢事情保持原样。"),
        ("我每天都做计划，做事有始有终。", "我的桌子很乱，我总是迟到。"),
        ("我去参加聚会，和每个人都聊了天。", "我待在家里，一个人看书。"),
        ("我帮一个陌生人提了行李。", "别人动作慢的时候，我很烦。"),
        ("我担心考试，睡不着觉。", "很少有事情困扰我，我睡得很好。"),
    ),
}
ROWS = 48


def make_essays(folder: Path) -> int:
    """Write `essays.csv` as distributed, and `toga.jsonl` with the same texts in five languages as of `zoo augment`.

    Each essay has a sentence for each trait, in an order that no other essay has.

    Returns:
        The number of essays.

    Raises:
        MissingPackage: If scikit-learn is not installed, with which the splits are made.
    """
    rng = np.random.default_rng(SEED)
    # Eight patterns in which no two traits go together, as often each.
    first = np.arange(ROWS)[:, None] >> np.arange(3) & 1
    labels = np.column_stack([first, first[:, 0] ^ first[:, 1], first[:, 0] ^ first[:, 2]])
    orders = rng.permutation(list(permutations(range(len(TRAITS)))))[:ROWS]  # (48, 5)
    named = [dict(zip(TRAITS, map(int, row), strict=True)) for row in labels]
    splits = author_splits(named)
    with (folder / "essays.csv").open("w", newline="", encoding="iso-8859-1") as file:
        rows = csv.writer(file)
        rows.writerow(("#AUTHID", "TEXT", "cEXT", "cNEU", "cAGR", "cCON", "cOPN"))
        for number in range(ROWS):
            yes = ["ny"[labels[number, trait]] for trait in (2, 4, 3, 1, 0)]
            rows.writerow((f"made_{number:02d}.txt", _text("en", labels[number], orders[number]), *yes))
    with (folder / "toga.jsonl").open("w", encoding="utf-8") as file:
        for number, split in enumerate(splits):
            for language in SENTENCES:
                row = {
                    "id": f"made_{number:02d}.txt", "language": language, "split": split, "labels": named[number],
                    "text": _text(language, labels[number], orders[number]), "method": "toga",
                }  # fmt: skip
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return ROWS


def _text(language: str, labels: np.ndarray, order: np.ndarray) -> str:
    sentences = [SENTENCES[language][trait][1 - labels[trait]] for trait in order]
    return ("" if language in ("ja", "zh") else " ").join(sentences)
