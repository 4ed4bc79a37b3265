"""What the pretrained heads are made from, and what their cards say; see `pretrain.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from featzoo.exchange.corpora.acted_speech import RAVDESS
from featzoo.exchange.corpora.file_names import import_named
from featzoo.exchange.corpora.first_impressions import import_first_impressions
from featzoo.exchange.corpora.mosi import import_mosi
from featzoo.exchange.texts.essays import import_essays
from featzoo.vocabulary import TRAITS

# At one rate, because the columns of a recording change with it.
VOICE = "egemaps[level=functionals,rate=16000]"
# The third of MiniLM's six layers, which knows more of the writer than the last, and the last.
TEXT = "bert.minilm[output=mean,layers=3,max_tokens=256]"
LAST = "bert.minilm[output=mean,windows=overlap]"


def of_voice(column: str) -> bool:
    """Whether a column of eGeMAPS describes voiced frames without their level, so neither the room nor the gain.

    The amplitudes of formants are left out too: they follow the noise between the harmonics.
    """
    return "sma3nz" in column and not any(word in column for word in ("Flux", "amplitude", "UV"))


@dataclass(frozen=True)
class Making:
    """How a head is made.

    Attributes:
        bring: Imports the corpus from the folder of data into a store.
        extractors: What to extract.
        recipe: The recipe, as TOML.
        card: What `zoo list --pretrained` shows; the results are filled in.
        protocol: Which clips training saw, and which it did not.
        limits: What the head must not be taken for.
        metrics: The metrics on the card.
        folds: Whether the split rule has folds; the head is then that of the last one.
        keep: Whether the head may use the column of a name; by default all.
        shipped: Whether the corpus' terms allow to ship the head.
    """

    bring: Callable[[Path, Path], object]
    extractors: str
    recipe: str
    card: Mapping[str, str]
    protocol: str
    limits: str
    metrics: tuple[str, ...]
    folds: bool = False
    keep: Callable[[str], bool] | None = None
    shipped: bool = True
    needs: str = field(default="minilm,zoo")


HEADS = {
    "emotion": Making(
        lambda data, store: import_named(RAVDESS, data / "ravdess", store),
        VOICE,
        f"""
head = "linear"
description = "Emotion from the voice, by logistic regression on eGeMAPS"

[inputs.audio]
features = ["{VOICE}"]
required = true

[target]
columns = ["emotion"]
kind = "class"
weights = "balanced"

[options]
pooling = "mean"
penalties = [0.01, 0.03, 0.1]
folds = 4

[split]
by = "speaker"
folds = 6
dev = 0.0
shuffle = false
""",
        {
            "predicts": "one of eight acted emotions, with the probability of each",
            "reads": "the voice: functionals of egemaps",
            "data": "RAVDESS speech (Livingstone and Russo 2018): 24 North American actors, two sentences",
            "licence": "CC BY-NC-SA 4.0, as RAVDESS; openSMILE (the features) is for research and private use",
        },
        "Six folds of four actors (1 to 4, 5 to 8, ...): no actor is in train and test. The penalty is chosen inside "
        "train, with the clips of an actor together. The head is that of the sixth fold: it has seen actors 1 to 20, "
        "and its own test split is actors 21 to 24. It uses the 48 of 88 columns that describe voiced frames without "
        "their level: a head on all columns reaches a UAR of .511 in the same folds, but .257, chance, on EMO-DB "
        "(below), because it learns how loud RAVDESS and its pauses were recorded. That was found on EMO-DB, so its "
        "figure is not one of a corpus that took no part in any choice.",
        "The emotions are acted, in two English sentences, in a studio. On spontaneous speech, in other languages and "
        "with other microphones, expect far less. It must not be used to judge people.",
        ("uar", "acc", "f1_weighted"),
        folds=True,
        keep=of_voice,
        needs="egemaps,zoo",
    ),
    "personality-text": Making(
        lambda data, store: import_essays(data / "essays" / "essays_train_validation_1973.csv", store),
        TEXT,
        f"""
head = "linear"
description = "Big Five of a writer from a text, by logistic regression on MiniLM"

[inputs.text]
features = ["{TEXT}"]
required = true

[target]
columns = {list(TRAITS)}
kind = "classes"

[options]
pooling = "mean"
penalties = [0.001, 0.003, 0.01, 0.03]
""".replace("'", '"'),
        {
            "predicts": "the probability that a writer is above the median in each of the Big Five",
            "reads": "the first 256 tokens of an English text: bert.minilm",
            "data": "Essays (Pennebaker and King 1999): stream-of-consciousness essays of students",
            "licence": "Apache-2.0, as the published split of Essays; their collectors state no terms: for research",
        },
        "The published split: 1,578 essays to train, 395 to score. The penalty is chosen by five folds inside train. "
        "The scored part took no part in the training of this head, but the layer of MiniLM was chosen in earlier work "
        "that had seen scores on it.",
        "The traits are barely above chance (0.5). The head says something about groups of texts, and next to nothing "
        "about one writer. It must not be used to judge people.",
        ("ba", *(f"{trait}.ba" for trait in TRAITS)),
    ),
    "personality": Making(
        lambda data, store: import_first_impressions(data / "first_impressions", store),
        LAST,
        f"""
head = "linear"
description = "Apparent Big Five from what is said, by ridge regression on MiniLM"

[inputs.text]
features = ["{LAST}"]
required = true

[target]
columns = ["openness", "conscientiousness", "extraversion", "agreeableness", "emotional_stability"]
range = [0.0, 1.0]
metrics = "traits"

[options]
pooling = "mean"

[split]
by = "group"
folds = 5
dev = 0.0
""",
        {
            "predicts": "apparent Big Five, 0 to 1: how viewers judge a speaker",
            "reads": "what is said, in English: bert.minilm",
            "data": "ChaLearn First Impressions V2 (Ponce-Lopez et al. 2016): 15 s of people who speak to a camera",
            "licence": "CC BY-NC 4.0, as First Impressions",
        },
        "Five folds of the 8,000 clips of the train and validation parts: no video is in train and test. (In the "
        "distribution's own parts, most videos of validation are in train too.) The penalty is chosen inside train, "
        "with the clips of a video together. The head is that of the fifth fold.",
        "These are the impressions that crowd workers had of strangers, with their prejudices, and not anybody's "
        "personality. Words alone explain little of them. It must not be used to judge people.",
        ("acc", "mae", "corr"),
        folds=True,
    ),
    "sentiment": Making(
        lambda data, store: import_mosi(data / "mosi", store),
        LAST,
        f"""
head = "linear"
description = "Sentiment from what is said, by ridge regression on MiniLM"

[inputs.text]
features = ["{LAST}"]
required = true

[target]
columns = ["sentiment"]
range = [-3.0, 3.0]
metrics = "sentiment"

[options]
pooling = "mean"
""",
        {
            "predicts": "sentiment, -3 to 3",
            "reads": "what is said, in English: bert.minilm",
            "data": "CMU-MOSI (Zadeh et al. 2016): opinions in YouTube videos",
            "licence": "CMU-MOSI states none: for your own research only",
        },
        "The official split: 1,284 utterances to train, 686 (test) to score. The penalty is chosen by five folds "
        "inside train.",
        "It reads words only, and was trained on reviews of films.",
        ("mae", "corr", "acc2", "acc7"),
        shipped=False,
    ),
}
