"""Small made corpora in their published formats: CMU-MOSI as MMSA's pickle, and MELD's tables."""

from __future__ import annotations

import csv
import pickle
from pathlib import Path
from typing import Any

import numpy as np

SEED = 20242
# Ids of these words in the vocabulary of bert-base-uncased.
IDS = {
    "[CLS]": 101, "[SEP]": 102, "i": 1045, "think": 2228, "that": 2008, "the": 1996, "was": 2001, "really": 2428,
    "very": 2200, "quite": 3243, "so": 2061, "film": 2143, "movie": 3185, "story": 2466, "ending": 4566, "cast": 3459,
    "music": 2189, "terrible": 6659, "awful": 9643, "bad": 2919, "boring": 11771, "dull": 10634, "long": 2146,
    "fine": 2986, "good": 2204, "nice": 3835, "great": 2307, "lovely": 8403, "wonderful": 6919,
}  # fmt: skip
SUBJECTS = ("film", "movie", "story", "ending", "cast", "music")
STRENGTHS = ("", "really", "very", "quite", "so")
SENTIMENT = {
    "terrible": -3.0, "awful": -2.4, "bad": -1.8, "boring": -1.4, "dull": -1.0, "long": -0.4,
    "fine": 0.4, "good": 1.2, "nice": 1.4, "great": 2.2, "lovely": 2.4, "wonderful": 2.8,
}  # fmt: skip
SPLITS = {"train": 48, "valid": 12, "test": 24}
STEPS, TEXT, AUDIO, VISION = 50, 768, 5, 20
EMOTIONS = {
    "neutral": ("neutral", "I put the letter on the table.", "They will be here on Wednesday."),
    "joy": ("positive", "I love this, it is wonderful!", "What a lovely day, I am so happy!"),
    "anger": ("negative", "Stop it, you are making me furious!", "How dare you shout at me like that!"),
    "sadness": ("negative", "I miss him, and I cannot stop crying.", "She left, and the house is so empty."),
}


def make_mosi(folder: Path) -> int:
    """Write `aligned_50.pkl`: 84 made utterances with the keys, shapes and types of MMSA's file of CMU-MOSI.

    Sentiment shows in the wording, less in the sound, least in the pictures. The text features are random vectors, one
    for each word.

    Returns:
        The number of utterances.
    """
    rng = np.random.default_rng(SEED)
    vectors = {word: rng.normal(size=TEXT).astype(np.float32) for word in IDS}
    sentences = [(subject, how, opinion) for subject in SUBJECTS for how in STRENGTHS for opinion in SENTIMENT]
    rng.shuffle(sentences)  # each is said once, so no text is in two splits
    splits = {
        split: _split(sentences[first : first + number], first, vectors, rng)
        for (split, number), first in zip(SPLITS.items(), (0, 48, 60), strict=True)
    }
    with (folder / "aligned_50.pkl").open("wb") as file:
        pickle.dump(splits, file, protocol=4)
    return sum(SPLITS.values())


def _split(
    sentences: list[tuple[str, str, str]], first: int, vectors: dict[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """One split; twelve utterances are of one video, so no video is in two splits."""
    number = len(sentences)
    found: dict[str, Any] = {
        "raw_text": [], "id": [], "annotations": [], "classification_labels": [], "regression_labels": [],
        "text": np.zeros((number, STEPS, TEXT), np.float32), "text_bert": np.zeros((number, 3, STEPS), np.int64),
        "audio": np.zeros((number, STEPS, AUDIO), np.float32), "vision": np.zeros((number, STEPS, VISION), np.float32),
    }  # fmt: skip
    for place, (subject, how, opinion) in enumerate(sentences):
        tokens = ["[CLS]", *filter(None, ("i", "think", "the", subject, "was", how, opinion)), "[SEP]"]
        score = float(np.clip(np.round(SENTIMENT[opinion] + rng.normal(0, 0.4), 1), -3, 3))
        span = len(tokens)
        found["raw_text"].append(" ".join(tokens[1:-1]))
        found["id"].append(f"made{(first + place) // 12:02d}$_${place % 12}")
        found["annotations"].append("Positive" if score > 0 else "Negative" if score < 0 else "Neutral")
        found["classification_labels"].append(int(np.sign(score)) + 1)
        found["regression_labels"].append(score)
        found["text"][place, :span] = [vectors[token] for token in tokens]
        found["text_bert"][place, :2, :span] = [[IDS[token] for token in tokens], [1] * span]
        found["audio"][place, :span] = rng.normal(0.6 * score, 1.5, (span, AUDIO))
        found["vision"][place, :span] = rng.normal(0.3 * score, 1.5, (span, VISION))
    names = ("raw_text", "id", "annotations", "classification_labels", "regression_labels")
    return {**found, **{name: np.array(found[name]) for name in names}}


def make_meld(folder: Path) -> int:
    """Write train_sent_emo.csv, dev_sent_emo.csv and test_sent_emo.csv: 96 made utterances of dialogues of six.

    Returns:
        The number of utterances.
    """
    rng = np.random.default_rng(SEED)
    columns = ("Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID", "Season",
               "Episode", "StartTime", "EndTime")  # fmt: skip
    sizes = {"train": 60, "dev": 12, "test": 24}
    for part, number in sizes.items():
        with (folder / f"{part}_sent_emo.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(columns)
            for place in range(number):
                emotion = list(EMOTIONS)[place % 4]
                sentiment, *texts = EMOTIONS[emotion]
                text, speaker = rng.choice(texts), ("Anna", "Ben")[place % 2]
                rows.writerow((place + 1, text, speaker, emotion, sentiment, place // 6, place % 6, 1, 1,
                               "00:00:01,000", "00:00:03,000"))  # fmt: skip
    return sum(sizes.values())
