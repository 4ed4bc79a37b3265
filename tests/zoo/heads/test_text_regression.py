"""The personality encoder: trained, exported as transformers reads it, extracted with, and used by PSA-MF."""

import numpy as np
import pytest
import torch

from featzoo.cache.store import FeatureStore
from featzoo.extraction.driver import extract_all
from featzoo.extractors.contract import make_extractor
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.weights.imports import transformers_module
from featzoo.zoo.head import Padded, make_head
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.runs.load import load_head
from featzoo.zoo.runs.run import train_recipe

pytestmark = pytest.mark.usefixtures("one_process")
TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "emotional_stability")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, random_bert, one_process):
    """A store of texts whose traits depend on a word, and a run on it."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("traits")
    clips = []
    for split, count in (("train", 32), ("valid", 12)):
        for number in range(count):
            good = bool(rng.integers(2))
            text = ("good " if good else "bad ") + " ".join(rng.choice(["film", "a", "so", "very"], 4))
            labels = dict.fromkeys(TRAITS, 0.8 if good else 0.2) | {"sentiment": 1.0 if good else -1.0}
            clips.append(Clip(id=f"{split}/{number}", split=split, words=words_of(text), labels=labels))
    store = FeatureStore.create(folder / "store")
    extract_all(store, [make_extractor(f"bert.ids[model={random_bert}]")], clips, jobs=1)
    changes = {
        "training.epochs": 8, "training.batch_size": 8, "training.learning_rates": {"main": 0.02, "encoder": 0.01}
    }  # fmt: skip
    run = train_recipe("personality-bert", folder / "store", folder / "runs", changes, "cpu")
    return folder / "store", run, clips


def test_training_improves_and_reports_every_trait(trained):
    _, run, _ = trained
    assert run.metrics["valid"]["mae"] < 0.15 < run.constant["valid"]["train median"]["mae"]
    assert {f"{trait}.mae" for trait in TRAITS} <= set(run.metrics["valid"])


def test_it_starts_at_the_train_mean(random_bert):
    head = make_head("text-regression", {}, {"text": InputSpec(1, True, str(random_bert))}, 2).eval()
    torch.nn.init.zeros_(head.out.weight)
    head.prepare(torch.tensor([[0.0, 1.0], [0.5, 0.0]]))
    ids = torch.tensor([[2, 5, 3]])
    text = Padded(ids, torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool))
    assert head({"text": text})["prediction"].tolist() == [[0.25, 0.5]]


def test_the_losses_are_their_formulas(random_bert):
    out, truth = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])
    for kind, expected in (("l1", 1.5), ("mse", 2.5)):
        head = make_head("text-regression", {"loss": kind}, {"text": InputSpec(1, True, str(random_bert))}, 2)
        assert float(head.losses({"prediction": out}, truth, "main")[kind]) == expected


def test_the_exported_encoder_is_the_trained_one(trained):
    """transformers reads it, tokenizer included, and gives the [CLS] that the head sees."""
    _, run, _ = trained
    transformers = transformers_module()
    folder = run.path / "encoder"
    bert = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()
    encoded = transformers.AutoTokenizer.from_pretrained(folder)("good film so very", return_tensors="pt")
    head = load_head(run.path)
    ids = encoded["input_ids"]
    mask = torch.ones_like(ids, dtype=torch.bool)
    with torch.no_grad():
        expected = bert(**encoded).last_hidden_state[:, 0]
        torch.testing.assert_close(head.text(Padded(ids, mask, mask)), expected, atol=1e-6, rtol=1e-6)


def test_psa_mf_aligns_with_the_trained_encoder(trained, random_bert):
    path, run, clips = trained
    store = FeatureStore(path)
    extract_all(store, [make_extractor(f"bert.personality[model={run.path / 'encoder'}]")], clips, jobs=1)
    assert store["bert.personality"][clips[0].id].features.shape == (1, 16)
    changes = {
        "training.epochs": 1, "options.hidden": 8, "options.wide": 12,
        "inputs.audio.features": [], "inputs.vision.features": [],
    }  # fmt: skip
    made = train_recipe("psa-mf.published", path, run.path.parent, changes, "cpu")
    assert made.used["personality"].startswith("bert.personality-")


def test_text_alone_reads_and_trains_as_psa_mf_does():
    assert find_recipe("personality-bert").target.columns == TRAITS
    ours, fused = find_recipe("text-alone"), find_recipe("psa-mf.published")
    assert ours.inputs["text"] == fused.inputs["text"]
    assert ours.training == fused.training
