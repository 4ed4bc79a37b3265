"""A tiny BERT with random weights, and a small feature store that PSA-MF can be trained on."""

import json

import numpy as np
import pytest

from featzoo.cache.store import FeatureStore
from featzoo.media.clip import Clip

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*SPECIAL, "good", "bad", "so", "fine", "film", "the", "a", "was", "very", "not"]


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory):
    """The folder of a BERT of 3 layers, width 16."""
    import torch

    from featzoo.weights.imports import transformers_module

    transformers = transformers_module()
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny-bert")
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder)
    return folder


def sets_for(clips, seed=0):
    """Random features whose label can be read off them."""
    rng = np.random.default_rng(seed)
    ids, personality, audio, vision = {}, {}, {}, {}
    for clip in clips:
        label = clip.labels.get("sentiment", 0.0)
        length = int(rng.integers(1, 9))
        words = np.where(rng.random(length) < (label + 3) / 6, 5, 6)
        ids[clip.id] = np.array([2, *words, 3], dtype=np.int64)[:, None]
        personality[clip.id] = rng.normal(size=(length + 2, 16)).astype(np.float32)
        steps = int(rng.integers(1, 30))
        audio[clip.id] = (rng.normal(size=(steps, 5)) + label).astype(np.float32)
        vision[clip.id] = rng.normal(size=(1, 3)).astype(np.float32) * 100 + 40
    return {"ids": ids, "personality": personality, "audio": audio, "vision": vision}


def make_clips(counts=(24, 8, 8), seed=0):
    rng = np.random.default_rng(seed)
    return [
        Clip(id=f"{split}/{n:02d}", split=split, labels={"sentiment": float(np.round(rng.uniform(-3, 3), 2))})
        for split, count in zip(("train", "valid", "test"), counts, strict=True)
        for n in range(count)
    ]


def fill(path, clips, sets, model):
    store = FeatureStore.create(path)
    store.add("bert.minilm-ids", sets["ids"], provenance={"model": str(model)})
    store.add("bert.minilm", sets["personality"])
    store.add("egemaps", sets["audio"], names=[f"a{i}" for i in range(5)], provenance={"licence": "no sale"})
    store.add("motion-energy", sets["vision"])
    store.record(clips)
    return store


@pytest.fixture(scope="session")
def small_store(tmp_path_factory, tiny_bert):
    """The path of a store of 24, 8 and 8 clips; do not write to it."""
    path = tmp_path_factory.mktemp("small") / "features"
    clips = make_clips()
    fill(path, clips, sets_for(clips), tiny_bert)
    return path


# The loss terms of the recipe psa-mf.
TERMS = ("l1", "l_ccl", "l_ps", "l_clm", "l_text", "l_vision", "l_audio", "l_products")
SMALL = {
    "training.epochs": 2, "training.batch_size": 8, "options.hidden": 8, "options.wide": 12,
    "training.learning_rates": {"main": 1e-3, "encoder": 1e-3},
}  # fmt: skip


@pytest.fixture(scope="session")
def small_run(small_store, tmp_path_factory):
    """A finished run on the small store."""
    from featzoo.zoo.runs.run import train_recipe

    return train_recipe("psa-mf", small_store, tmp_path_factory.mktemp("runs"), SMALL, "cpu")


@pytest.fixture
def recipe_file(tmp_path):
    """Writes a recipe and gives its path."""

    def write(text, name="mine.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def read_json(path):
    return json.loads(path.read_text())
