"""All fusion heads of the zoo on clips in memory, for `hazumi.py`, `positive_control.py` and `impressions.py`.

Texts are read by a frozen encoder; one vector a clip, the mean over its tokens. PSA-MF gets the mean state before the
encoder's last layer, and trains that layer as its fusion layer; the others get the mean of the last states. So a
training takes seconds on one core, and every head gets the same text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from featzoo.cache.store import FeatureStore
from featzoo.sequence import Array
from featzoo.weights.imports import transformers_module
from featzoo.zoo.data.split import Counts, Split, statistics_of
from featzoo.zoo.head import make_head
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.layers import masked_average
from featzoo.zoo.nn.split_encoder import SplitEncoder, pretrained
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.runs.linear_floor import PENALTIES, fitted, rotated, stack_of
from featzoo.zoo.training.evaluation import predictions
from featzoo.zoo.training.loop import accelerator_on, seed_everything, train

Features = Mapping[str, Sequence[Array | None]]
SMALL_VOCABULARY = 8
MOST_TOKENS, BATCH = 256, 32  # of a text, and texts that are encoded at once

AVERAGED = {"average": 0.95}  # over about an epoch of CMU-MOSI, as the recipe psa-mf
LONGER = {"epochs": 25, "patience": 12}  # the products are learnt after the text
PSA_MF = {"frozen_layers": 0, "align_layer": -2, "pooling": "mean", "wide": 512}
WHOLE = {"frozen_layers": 1, "pooling": "mean"}
ENCODED = ("almt", "dlf", "mmim", "misa", "psa-mf", "self-mm")  # their text is an encoder's
# The first layer on the tensor has .6 instead of 9 million weights, which one core trains in seconds.
SMALL_TENSOR = {"text": 32, "audio": 16, "vision": 16}


class Row(NamedTuple):
    """A head: its recipe, its options, the role of its input that holds a personality, if any, and its training."""

    recipe: str
    options: Mapping[str, Any] = {}
    personality: str = ""
    rate: float = 1e-3
    read: tuple[str, ...] = ("text", "audio", "vision")
    training: Mapping[str, Any] = {}


ROWS = {
    "LF-DNN": Row("lf-dnn"),
    "EF-LSTM": Row("ef-lstm"),
    "TFN": Row("tfn", SMALL_TENSOR),
    "LMF": Row("lmf"),
    "MFN": Row("mfn"),
    "MulT": Row("mult"),
    "MISA": Row("misa", WHOLE),
    "Self-MM": Row("self-mm", WHOLE),
    "MMIM": Row("mmim", WHOLE),
    "ALMT": Row("almt", {"frozen_layers": 1}),
    "DLF": Row("dlf", {"frozen_layers": 1}),
    "PSA-MF as published": Row("psa-mf.published", PSA_MF, "text"),
    "PSA-MF, L1 alone": Row("psa-mf.published", {**PSA_MF, "weights": [1.0, 0.0, 0.0, 0.0]}, "text"),
    "PSA-MF": Row("psa-mf", PSA_MF, "text", training={**AVERAGED, **LONGER}),
}

# What the options do one by one, for the choice on dev.
VARIANTS = (
    {"text alone, averaged weights": Row("lf-dnn", read=("text",), training=AVERAGED)}
    | {
        f"PSA-MF, {name}": Row("psa-mf", {**PSA_MF, **options}, "text", training=training)
        for name, options, training in (
            ("no products", {"products": 0}, {**AVERAGED, **LONGER}),
            ("no stack", {"stacked": False, "products": 0}, {**AVERAGED, **LONGER}),
            ("last weights", {}, LONGER),
        )
    }
    | {
        f"PSA-MF as published, {name}": Row("psa-mf.published", {**PSA_MF, **options}, "text")
        for name, options in {
            "unimodal": {"unimodal": 0.5},
            "unimodal, no L_ccl": {"unimodal": 0.5, "weights": [1.0, 0.0, 0.1, 0.09]},
            "unimodal, modulated": {"unimodal": 0.5, "modulation": 0.3},
            "unimodal, text dropout": {"unimodal": 0.5, "text_dropout": 0.2},
            "additive": {"additive": True},
            "additive, L1 alone": {"additive": True, "weights": [1.0, 0.0, 0.0, 0.0]},
            "unimodal, additive": {"unimodal": 0.5, "additive": True},
        }.items()
    }
)


@dataclass(frozen=True)
class Corpus:
    """Clips in memory.

    Attributes:
        ids: N ids.
        targets: (N,), or (N, K) for several.
        groups: N names, such as participants.
        before: (N, H) mean text state before the encoder's last layer.
        text: (N, H) mean of its last states.
        features: Role (`audio`, `vision`, personalities) to N arrays (T, D), or None where missing.
        encoder: Folder of the encoder's last layer, see `last_layers`.
        tokens: (N,) number of tokens.
    """

    ids: tuple[str, ...]
    targets: Array
    groups: tuple[str, ...]
    before: Array
    text: Array
    features: Features
    encoder: Path
    tokens: Array = field(default_factory=lambda: np.zeros(0))

    def inputs(self, row: Row) -> Features:
        """The head's roles."""
        encoded = row.recipe.startswith("psa-mf")
        words = self.before if encoded else self.text
        found: dict[str, Sequence[Array | None]] = {"text": [each[None] for each in np.float32(words)]}
        found |= {role: self.features.get(role, [None] * len(self.ids)) for role in ("audio", "vision")}
        if encoded:
            own: Sequence[Array | None] = [None] * len(self.ids)
            if row.personality == "text":
                own = [each[None] for each in np.float32(self.text)]
            elif row.personality:
                own = self.features[row.personality]
            found["personality"] = own
        return {
            role: each if role in (*row.read, "personality") else [None] * len(each) for role, each in found.items()
        }


def width(arrays: Sequence[Array | None]) -> int:
    return next((array.shape[1] for array in arrays if array is not None), 1)


def splits(corpus: Corpus, row: Row, parts: Mapping[str, Array]) -> dict[str, Split]:
    """Splits of the corpus's rows; inputs are standardised by train, except the state that the encoder reads on."""
    inputs = corpus.inputs(row)
    specs = {role: InputSpec(width(arrays)) for role, arrays in inputs.items()}
    scaled = {role: spec for role, spec in specs.items() if role != "text" or not row.recipe.startswith("psa-mf")}
    chosen = {name: {role: [a[i] for i in rows] for role, a in inputs.items()} for name, rows in parts.items()}
    statistics = statistics_of(chosen["train"], scaled)
    return {
        name: Split(
            name, tuple(corpus.ids[i] for i in rows), chosen[name], corpus.targets[rows].reshape(len(rows), -1), specs,
            statistics, Counts(len(rows)),
        )
        for name, rows in parts.items()
    }  # fmt: skip


def head_predictions(
    corpus: Corpus, row: Row, parts: Mapping[str, Array], seed: int, changes: Mapping[str, Any]
) -> dict[str, Array]:
    """Train a head on the rows `train`, choose the epoch on `valid`, and predict every part but train.

    Returns:
        (N,) each, or (N, K) for several targets.
    """
    changes = {**changes, **row.training}
    recipe = find_recipe(row.recipe, {f"training.{name}": value for name, value in changes.items()})
    rates = dict.fromkeys(recipe.training.learning_rates, row.rate)
    if "encoder" in rates:
        rates["encoder"] = row.rate / 5
    settings = replace(recipe.training, learning_rates=rates, seed=seed)
    made = splits(corpus, row, parts)
    specs = dict(made["train"].specs)
    if row.recipe.split(".")[0] in ENCODED:
        specs["text"] = InputSpec(1, True, str(corpus.encoder))
    seed_everything(seed)
    options = {**recipe.options, **row.options}
    head = make_head(recipe.head, options, specs, made["train"].targets.shape[1])
    accelerator = accelerator_on("cpu", "fp32")
    train(head, made["train"], made["valid"], settings, accelerator)
    found = {}
    for name, split in made.items():
        if name != "train":
            fitted_to = split.targets if name == "valid" else None
            pred = predictions(head, split, 256, torch.device("cpu"), head.stages[-1], fitted_to)
            found[name] = pred.reshape(corpus.targets[parts[name]].shape)
    return found


def linear_predictions(corpus: Corpus, parts: Mapping[str, Array], roles: Sequence[str]) -> dict[str, dict[str, Array]]:
    """Ridge of each input by itself and of all together, and the linear stack of the single ones, fitted on `valid`."""
    columns: dict[str, Array] = {
        "text": corpus.text,
        "text length": np.stack([corpus.tokens, np.log1p(corpus.tokens)], 1),
    }
    for role in roles:
        wide = width(corpus.features[role])
        columns[role] = np.stack([
            np.full(wide, np.nan) if array is None else array.mean(axis=0) for array in corpus.features[role]
        ])  # fmt: skip
    columns["together"] = np.concatenate([columns[name] for name in ("text", *roles)], axis=1)
    targets = {name: corpus.targets[rows][:, None] for name, rows in parts.items()}
    found = {
        f"ridge, {name}": {
            part: predicted[:, 0]
            for part, predicted in fitted("numbers", 1, {p: x[rows] for p, rows in parts.items()}, targets).items()
        }
        for name, x in columns.items()
    }
    single = [found[f"ridge, {name}"] for name in ("text", *roles)]
    found["linear stack"] = {
        part: stack_of([each["valid"] for each in single], targets["valid"][:, 0], [each[part] for each in single])
        for part in parts
        if part != "train"
    }
    middle = float(np.median(corpus.targets[parts["train"]]))
    found["constant"] = {part: np.full(len(rows), middle) for part, rows in parts.items() if part != "train"}
    return found


def refitted_ridge(x: Array, y: Array, groups: Sequence[str], fit: Array, test: Array) -> tuple[Array, Array]:
    """Ridge of (N, W) columns fitted to the rows `fit`, with the penalty of five inner folds that keep groups together.

    Returns:
        Predictions of the rows `test`, and those of the rows `fit` by the inner folds.
    """
    from sklearn.model_selection import GroupKFold

    names = [groups[i] for i in fit]
    inner = np.zeros((len(PENALTIES), len(fit)))
    for learn, held in GroupKFold(5).split(fit, groups=names):
        inner[:, held] = _ridge(x, y, fit[learn], fit[held])
    best = int(np.abs(inner - y[fit]).mean(axis=1).argmin())
    return _ridge(x, y, fit, test)[best], inner[best]


def _ridge(x: Array, y: Array, fit: Array, test: Array) -> Array:
    """(P, M) predictions for each penalty."""
    rotation = rotated(x[fit])
    learn, held, mean = rotation.of(x[fit]), rotation.of(x[test]), y[fit].mean()
    product = learn.T @ (y[fit] - mean)  # (R,)
    return np.stack([held @ (product / (rotation.sizes + penalty)) + mean for penalty in PENALTIES])


@torch.no_grad()
def encoded(
    store: Path, request: str, folder: Path, ids: Sequence[str], most: int = MOST_TOKENS
) -> tuple[Array, Array, Array]:
    """Mean states before and after the encoder's last layer, (N, H) each, and (N,) token counts; kept in `folder`.

    Also writes the encoder's last layer to `folder/encoder`. A clip without text has zeros; of a long text, the first
    `most` tokens are read.
    """
    kept = folder / "texts.npz"
    if not kept.is_file():
        folder.mkdir(exist_ok=True)
        tokens = FeatureStore(store)[request]
        model = str(tokens.provenance.get("model", "") or tokens.spec.get("model", ""))
        encoder = pretrained(model).eval()
        held = set(tokens.ids())
        texts = [tokens[i].features[:most, 0].astype(np.int64) if i in held else np.zeros(0, int) for i in ids]
        counts = np.array([len(text) for text in texts])
        found = np.zeros((2, len(ids), encoder.width), dtype=np.float32)
        for rows, mask, states in encoded_batches(encoder, texts):
            found[:, rows] = np.stack([masked_average(state, mask).numpy() for state in states[-2:]])
        last_layers(encoder, folder / "encoder")
        np.savez(kept, before=found[0], text=found[1], tokens=counts)
    with np.load(kept) as arrays:
        return arrays["before"], arrays["text"], arrays["tokens"]


def encoded_batches(
    encoder: SplitEncoder, texts: Sequence[Array]
) -> Iterator[tuple[list[int], torch.Tensor, list[torch.Tensor]]]:
    """Rows of some texts of ids, their mask (B, T), and the (B, T, H) of every layer; empty texts are left out."""
    counts = np.array([len(text) for text in texts])
    order = [int(row) for row in np.argsort(counts, kind="stable") if counts[row]]
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        mask = torch.from_numpy(np.arange(counts[rows].max()) < counts[rows][:, None])  # (B, T)
        read = torch.zeros(mask.shape, dtype=torch.int64)
        read[mask] = torch.from_numpy(np.concatenate([texts[row] for row in rows]))
        yield rows, mask, encoder.run(encoder.embed(read, mask), mask, 0, len(encoder.layers))


def last_layers(whole: SplitEncoder, folder: Path, layers: int = 1) -> None:
    """Write an encoder's last layers as a transformers model, with a vocabulary that nobody reads."""
    kept = ("hidden_size", "num_attention_heads", "intermediate_size", "hidden_act", "layer_norm_eps")
    sizes = {name: getattr(whole.config, name) for name in kept}
    config = transformers_module().BertConfig(
        num_hidden_layers=layers, vocab_size=SMALL_VOCABULARY, pad_token_id=0, **sizes
    )
    bert = transformers_module().BertModel(config, add_pooling_layer=False)
    for own, layer in zip(bert.encoder.layer, whole.layers[-layers:], strict=True):
        own.load_state_dict(layer.state_dict())
    bert.save_pretrained(folder)


def interval(gaps: Array, groups: Sequence[str], draws: int = 2000) -> tuple[float, float]:
    """A 95 % bootstrap interval of the mean of (N,) differences, over their groups, such as people."""
    of = np.unique(np.array(groups), return_inverse=True)[1]
    sums, sizes = np.bincount(of, gaps), np.bincount(of)
    drawn = np.random.default_rng(0).integers(0, len(sizes), (draws, len(sizes)))
    low, high = np.percentile(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def recorded(path: Path) -> list[dict[str, Any]]:
    """The results so far, a line of JSON each."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def record(path: Path, result: Mapping[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(result) + "\n")
