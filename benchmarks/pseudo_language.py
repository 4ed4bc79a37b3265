"""A parallel set without a translator: English texts, and the same texts in a pseudo-language that no encoder knows.

    python benchmarks/pseudo_language.py ../shared/data/essays/essays_train_validation_1973.csv --out pseudo.jsonl
    feat import parallel pseudo.jsonl --languages en,xx -o features

    python benchmarks/pseudo_language.py MOSI_STORE --label sentiment --out pseudo.csv
    feat extract pseudo.csv -x bert.minilm-ids,bert.minilm-positions -o features

It is a cipher and not a language: each word of the texts stands for one word of MiniLM's vocabulary that the texts do
not use, drawn by a key; the most frequent first, and two such words each once they are used up. Word order, numbers and
signs stay English, so it is easier than a real language whose encoder knows as little of it. What it can show is
whether what a teacher knows reaches texts in words that the student has no labels for. Its code is xx.

The source is Essays as distributed, with a column `adam_split`, or a feature store whose clips have words and a label,
which becomes 1 above and 0 below --above (clips at it are left out). --words cuts texts.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from featzoo import FeatureStore
from featzoo.weights.locate import MINILM, locate

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
LETTERS = re.compile(r"[a-z]{3,}")
TRAITS = {"cOPN": "openness", "cCON": "conscientiousness", "cEXT": "extraversion", "cAGR": "agreeableness",
          "cNEU": "neuroticism"}  # fmt: skip
SPLITS = {"train": "train", "validation": "valid", "valid": "valid", "test": "test"}


class Text(NamedTuple):
    """One English text: its row's name, itself, its split and its labels."""

    row: str
    text: str
    split: str
    labels: Mapping[str, float]


def main() -> None:
    """Write the set and say how large the dictionary is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, required=True, help=".jsonl, or .csv (a manifest)")
    parser.add_argument("--label", default="sentiment", help="of a store's clips")
    parser.add_argument("--above", type=float, default=0.0)
    parser.add_argument("--words", type=int, default=100)
    parser.add_argument("--key", type=int, default=1)
    asked = parser.parse_args()
    texts = essays(asked.source) if asked.source.suffix == ".csv" else stored(asked.source, asked.label, asked.above)
    texts = [text._replace(text=" ".join(text.text.split()[: asked.words])) for text in texts]
    meaning = dictionary((text.text for text in texts), vocabulary(), asked.key)
    rows = [
        {"id": one.row, "language": language, "text": text, "split": one.split, "labels": one.labels, "method": method}
        for one in texts
        for language, text, method in (("en", one.text, "source"), ("xx", ciphered(one.text, meaning), "pseudo"))
    ]
    (write_jsonl if asked.out.suffix == ".jsonl" else write_manifest)(asked.out, rows)
    spare = sum(" " in word for word in meaning.values())
    print(f"{len(texts)} texts in en and xx; {len(meaning)} words, {spare} of them as two; written to {asked.out}")


def essays(path: Path) -> list[Text]:
    """Essays, iso-8859-1, with yes and no."""
    with path.open(encoding="iso-8859-1", newline="") as file:
        return [
            Text(
                row["#AUTHID"].removesuffix(".txt"), row["TEXT"], SPLITS[row["adam_split"]],
                {trait: float(row[column] == "y") for column, trait in TRAITS.items()},
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip


def stored(path: Path, label: str, above: float) -> list[Text]:
    """A store's clips; `positive` is whether the label is above."""
    found = []
    for clip in FeatureStore(path).clips().values():
        value = clip.labels.get(label, above)
        if clip.words and clip.split and value != above:
            row = clip.id.replace("/", "-").replace("$_$", "-")  # the id's last part is to be the language
            found.append(Text(row, clip.text, clip.split, {"positive": float(value > above)}))
    return found


def vocabulary() -> list[str]:
    """Whole words of MiniLM's tokenizer, of letters alone."""
    lines = (locate(MINILM) / "vocab.txt").read_text(encoding="utf-8").splitlines()
    return [word for word in lines if LETTERS.fullmatch(word)]


def dictionary(texts: Iterable[str], words: Iterable[str], key: int) -> dict[str, str]:
    """Each word of the texts, in lower case, to what stands for it; no two words to the same."""
    counts = Counter(word for text in texts for word in WORD.findall(text.lower()))
    pool = sorted(set(words) - counts.keys())
    random.Random(key).shuffle(pool)
    pairs = (f"{one} {other}" for one in pool for other in pool)
    known = sorted(counts, key=lambda word: (-counts[word], word))
    return {word: pool[n] if n < len(pool) else next(pairs) for n, word in enumerate(known)}


def ciphered(text: str, meaning: Mapping[str, str]) -> str:
    """A text with each word replaced."""
    return WORD.sub(lambda found: meaning[found[0]], text.lower())


def write_jsonl(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """As `feat import parallel` reads it."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_manifest(path: Path, rows: list[dict[str, object]]) -> None:
    """As `feat extract` reads it: ids are row/language."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        labels = [row["labels"] for row in rows]
        writer.writerow(["id", "text", "split", *labels[0]])
        for row, own in zip(rows, labels, strict=True):
            writer.writerow([f"{row['id']}/{row['language']}", row["text"], row["split"], *own.values()])


if __name__ == "__main__":
    main()
