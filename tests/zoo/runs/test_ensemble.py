"""The mean of several runs' predictions, beside NumPy's, and the recipes that are made for it."""

import csv
import math

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from featzoo.cache.store import FeatureStore
from featzoo.cli import zoo
from featzoo.extractors.contract import make_extractor
from featzoo.media.clip import Clip
from featzoo.weights.imports import transformers_module
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.runs.ensemble import ensemble_metrics
from featzoo.zoo.runs.folder import RunFolder

ENCODERS = {
    "strong.roberta": ("Roberta", "roberta-base", {"pad_token_id": 1, "type_vocab_size": 1}),
    "strong.deberta": (
        "DebertaV2", "microsoft/deberta-v3-base",
        {"relative_attention": True, "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True,
         "pos_att_type": "p2c|c2p", "position_biased_input": False, "type_vocab_size": 0},
    ),
    "strong.e5": ("Bert", "intfloat/multilingual-e5-small", {}),
}  # fmt: skip
SPEECH = {"strong.roberta": "wavlm", "strong.deberta": "hubert", "strong.e5": "whisper"}


@pytest.fixture(params=ENCODERS)
def stored(request, tmp_path, monkeypatch):
    """The recipe, and a store with token ids and states of a tiny encoder of its kind, and sequences of speech."""
    kind, model, own = ENCODERS[request.param]
    transformers = transformers_module()
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, **own,
    )  # fmt: skip
    folder = tmp_path / "weights" / model
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")
    monkeypatch.setenv("FEATZOO_WEIGHTS", str(tmp_path / "weights"))
    store = FeatureStore.create(tmp_path / "features")
    splits = {"train": 12, "valid": 4, "test": 5}
    clips = [
        Clip(f"{split}{n // 4}$_${n % 4}", start=float(n % 4), split=split, labels={"sentiment": float(n % 5 - 2)})
        for split, number in splits.items() for n in range(number)
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    for request_, made in {
        f"bert.ids[model={model}]": lambda: np.array([2, *rng.integers(5, 30, 4), 3])[:, None],
        f"bert[model={model}]": lambda: rng.normal(size=(6, 16)).astype(np.float32),
    }.items():
        extractor = make_extractor(request_)
        store.add(
            extractor.label, {clip.id: made() for clip in clips}, spec=extractor.spec(),
            provenance={"model": model, "class": "featzoo.extractors.text.bert:Bert"},
        )  # fmt: skip
    store.add(SPEECH[request.param], {clip.id: rng.normal(size=(7, 5)).astype(np.float32) for clip in clips})
    store.record(clips)
    return request.param, store.path


def test_each_strong_recipe_trains_and_its_seeds_make_an_ensemble(stored, tmp_path):
    recipe, store = stored
    small = ["--set=options.hidden=8", "--set=options.wide=12", "--epochs=1", "--device=cpu"]
    done = CliRunner().invoke(
        zoo, ["train", recipe, "--store", str(store), "--runs", str(tmp_path / "runs"), "--seeds", "2", *small]
    )
    assert done.exit_code == 0, done.output
    paths = sorted((tmp_path / "runs" / f"{recipe}-seeds").iterdir())
    run = RunFolder.open_finished(paths[0])
    assert run.recorded_sets["audio"]["key"].startswith(SPEECH[recipe])
    assert run.recipe.training.average == 0.99
    rows = []
    for path in paths:
        with (path / "predictions.csv").open() as file:
            rows.append([row for row in csv.DictReader(file) if row["split"] == "test"])
    mean = np.mean([[float(row["pred"]) for row in each] for each in rows], axis=0)
    truth = np.array([float(row["truth"]) for row in rows[0]])
    found = ensemble_metrics(paths, "test")
    assert found["mae"] == pytest.approx(np.abs(mean - truth).mean(), rel=1e-12)
    assert f"mean of the predictions of full model, 2 runs: mae {found['mae']:.4f}" in done.output
    assert math.isfinite(found["mae"])


def test_the_family_differs_in_its_text_encoder_alone():
    plain = find_recipe("strong")
    for name in ENCODERS:
        recipe = find_recipe(name)
        assert recipe.training == plain.training
        assert {role for role in plain.inputs if recipe.inputs[role] != plain.inputs[role]} == {
            "text",
            "before",
            "after",
        }
