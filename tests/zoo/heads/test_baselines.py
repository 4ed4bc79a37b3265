"""Rules of the baselines beyond those of check_head: rates, memory, frozen layers, options, whole trainings."""

import inspect
import re
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import torch

from featzoo.cache.store import FeatureStore
from featzoo.errors import InvalidOption
from featzoo.plugins import HEADS
from featzoo.zoo.data.load import load_split
from featzoo.zoo.data.split import Counts, Split, Statistics
from featzoo.zoo.head import find_head, make_head
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.recipe import find_recipe, recipes
from featzoo.zoo.runs.evaluate import evaluate_run
from featzoo.zoo.runs.run import train_recipe
from featzoo.zoo.training.checkpoint import Checkpoint
from featzoo.zoo.training.loop import accelerator_on, seed_everything, train

REGISTERED = sorted(entry.name for entry in entry_points(group=HEADS))
BASELINES = ["almt", "dlf", "ef-lstm", "lf-dnn", "lmf", "mfn", "misa", "mmim", "mult", "self-mm", "tfn"]
WIDTH = {"text": 6, "audio": 5, "vision": 3, "personality": 16}
# Small, and without dropout where a training step is to be compared.
SMALL = {
    "almt": {"width": 8, "tokens": 2, "steps": 64, "heads": 2, "head_width": 4, "hyper_head_width": 4, "network": 8},
    "boosting": {"rounds": 3},
    "dlf": {"width": 8, "heads": 2, "layers": 1, "memory_layers": 1, "steps": 64},
    "ef-lstm": {"hidden": 8, "layers": 2},
    "lf-dnn": {"text_hidden": 8, "text": 8, "audio": 8, "vision": 8, "fused": 8},
    "lmf": {"text_hidden": 8, "text": 8, "audio": 8, "vision": 8},
    "mfn": {"text": 8, "audio": 4, "vision": 4, "memory": 8, "attention": 8, "update": 8, "retain": 8, "write": 8},
    "misa": {"hidden": 8},
    "mmim": {"hidden": 4, "audio": 8, "vision": 8, "fusion": 8},
    "mult": {"width": 8, "heads": 2, "layers": 2, "recall_layers": 1},
    "psa-mf": {"hidden": 8, "wide": 12},
    "self-mm": {"audio": 4, "vision": 4, "text": 8, "fusion": 8},
    "siamese": {"backbone": "none", "audio_limits": False, "hidden": 8, "fused": 8, "embedding": 4, "siamese": 8},
    "tfn": {"text_hidden": 8, "text": 4, "audio": 8, "vision": 8, "fused": 8, "limits": [-3.0, 3.0]},
}
LENGTHS = {"text": [6, 3, 9, 1, 4, 2], "audio": [2, 7, 0, 3, 4, 1], "vision": [4, 0, 1, 2, 9, 0]}


def specs(name, model):
    roles = find_head(name).roles
    return {r: InputSpec(1, True, str(model)) if role.ids else InputSpec(WIDTH[r]) for r, role in roles.items()}


def split(name, model, lengths=LENGTHS, seed=0):
    """Clips whose features are longer or shorter than each other's, some without sound or picture."""
    rng = np.random.default_rng(seed)
    wanted, count = specs(name, model), len(lengths["text"])
    features = {}
    for role, spec in wanted.items():
        steps = lengths.get(role, [1] * count)
        make = [
            rng.integers(5, 13, size=(t, 1)) if spec.ids else rng.normal(size=(t, spec.width)).astype(np.float32)
            for t in steps
        ]
        features[role] = [a if len(a) else None for a in make]
    targets = np.resize([1.5, -2.0, 0.6, -0.2, 2.6, -1.2], count)[:, None]
    targets = answered(name, targets)
    ids = tuple(f"clip{i}" for i in range(count))
    return Split("train", ids, features, targets, wanted, Statistics({}, {}), Counts(count))


def answered(name, targets):
    """Targets as the head can learn them."""
    return (targets > 0).astype(np.float64) if name == "text-classification" else targets


@pytest.fixture(params=REGISTERED)
def name(request):
    if not set(find_head(request.param).roles) <= set(WIDTH):
        pytest.skip("reads other roles")
    return request.param


@pytest.fixture
def head(name, tiny_bert):
    return made(name, tiny_bert)


def made(name, model, targets=1, **options):
    torch.manual_seed(0)
    head = make_head(name, SMALL.get(name, {}) | options, specs(name, model), targets)
    with torch.no_grad():  # a bias of 0 would hide what a missing modality's bias does
        for parameter in head.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return head.eval()


def predict(head, inputs):
    with torch.no_grad():
        return head(inputs)["prediction"]


def step(head, whole, rows):
    """One training step's loss terms."""
    batch = whole.batch(rows)
    head.see(torch.tensor(rows))
    return head.losses(head(batch.inputs), batch.targets, head.stages[-1])


def test_the_baselines_are_registered_with_a_recipe_each():
    assert set(BASELINES) <= set(REGISTERED)
    found = recipes()
    for name in BASELINES:
        assert found[name].head == name
        assert set(found[name].inputs) == set(find_head(name).roles)


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "ef-lstm"])  # all it has is shared
@pytest.mark.parametrize("lacking", ["audio", "vision"])
def test_parameters_of_a_missing_modality_do_not_change_the_prediction(name, tiny_bert, lacking):
    """Whatever the parameters that read it are, no prediction changes; with it, they do matter.

    Left out are those that stand for what is missing or that read another modality too: LMF's factors, whose row for
    the appended 1 is a constant; ALMT's learnt tokens, and what reads them; MulT's layers for a source, through which
    the target passes.
    """
    head = made(name, tiny_bert)
    other = {"almt": ("reduce", "layers"), "lmf": ("factors",), "mult": (f"cross.{lacking}_to_",)}.get(name, ("-",))
    own = [p for k, p in head.named_parameters() if lacking in k and not k.startswith(other)]
    assert own
    whole = [split(name, tiny_bert, LENGTHS | {lacking: [steps] * 6}) for steps in (0, 2)]
    before = [predict(head, one.batch(range(6)).inputs) for one in whole]
    with torch.no_grad():
        for parameter in own:
            parameter.add_(torch.randn_like(parameter))
    after = [predict(head, one.batch(range(6)).inputs) for one in whole]
    torch.testing.assert_close(after[0], before[0], atol=1e-6, rtol=1e-6)
    assert (after[1] - before[1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("left", ["text", "audio", "vision"])
def test_a_modality_that_is_left_alone_is_read(name, tiny_bert, left):
    """Clips that differ only in the one modality that they have get different predictions.

    1e-6: TFN multiplies its small vectors; a head that ignores the modality gives 6e-8 or 0.
    """
    head = made(name, tiny_bert)
    lengths = {role: [4 if role == left else 0] * 6 for role in ("text", "audio", "vision")}
    predicted = predict(head, split(name, tiny_bert, lengths).batch(range(6)).inputs)
    assert predicted.std() > 1e-6


def test_every_parameter_that_learns_has_one_rate(head, name):
    rates = {"main": 1e-3}
    for _ in range(10):
        try:
            grouped = head.parameter_groups(head.stages[-1], rates)
        except InvalidOption as error:
            rates[str(error).split("'")[1]] = 1e-4
        else:
            break
    held = [id(p) for group in grouped for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in head.parameters() if p.requires_grad)
    for recipe in recipes().values():
        if recipe.head == name:
            assert set(recipe.training.learning_rates) == {group["name"] for group in grouped}


def test_terms_are_named_scalars_and_forward_sees_no_target(head, name, tiny_bert):
    assert list(inspect.signature(type(head).forward).parameters) == ["self", "inputs"]
    batch = split(name, tiny_bert).batch(range(6))
    outputs = head(batch.inputs)
    terms = head.losses(outputs, batch.targets, head.stages[-1])
    assert terms
    assert all(term.dim() == 0 and torch.isfinite(term) for term in terms.values())
    assert all(isinstance(value, torch.Tensor) for value in outputs.values())
    worse = head.losses(outputs, batch.targets + 100, head.stages[-1])
    assert sum(worse.values()) > sum(terms.values())


def test_every_head_predicts_several_targets(name, tiny_bert):
    head = made(name, tiny_bert, targets=3).train()
    whole = split(name, tiny_bert)
    targets = answered(name, np.random.default_rng(1).uniform(-3, 3, size=(6, 3)))
    whole = Split("train", whole.ids, whole.features, targets, whole.specs, whole.statistics, whole.counts)
    head.prepare(torch.from_numpy(targets).float())
    for _ in range(3):
        terms = step(head, whole, range(6))
    assert all(torch.isfinite(term) for term in terms.values())
    assert predict(head.eval(), whole.batch(range(6)).inputs).shape == (6, 3)


def test_a_head_is_built_again_from_its_assets_and_weights(head, name, tiny_bert):
    nowhere = specs(name, "/nowhere")
    again = make_head(name, SMALL.get(name, {}), nowhere, 1, head.assets()).eval()
    again.load_state_dict(head.state_dict())
    inputs = split(name, tiny_bert).batch(range(6)).inputs
    assert torch.equal(predict(again, inputs), predict(head, inputs))


@pytest.mark.parametrize("name", BASELINES)
def test_docstrings_name_the_reference_and_the_differences(name):
    text = inspect.getdoc(find_head(name))
    assert "Reference:" in text
    assert "Differences:" in text


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("tfn", {"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ("tfn", {"limits": [3.0, -3.0]}, "limits must be"),
        ("lmf", {"rank": 0}, "rank must be at least 1"),
        ("mult", {"width": 50, "heads": 7}, "multiple of heads"),
        ("mult", {"kernel": 4}, "kernel must be odd"),
        ("misa", {"weights": [1.0]}, "weights must be four"),
        ("misa", {"heads": 3}, "multiple of heads"),
        ("self-mm", {"limit": 0.0}, "limit must be above 0"),
        ("mmim", {"audio": 0}, "audio must be at least 1"),
        ("mmim", {"alpha": -1.0}, "must not be negative"),
        ("mmim", {"history": 0}, "history must be at least 1"),
        ("ef-lstm", {"layrs": 2}, "did you mean 'layers'"),
    ],
)
def test_options_that_do_not_fit_are_refused(tiny_bert, name, options, text):
    with pytest.raises(InvalidOption, match=text):
        make_head(name, options, specs(name, tiny_bert), 1)


@pytest.mark.parametrize("name", ["misa", "self-mm", "mmim"])
def test_texts_and_sets_that_the_encoder_cannot_read_are_refused(tiny_bert, name):
    with pytest.raises(InvalidOption, match=f"head {name}: the set of token ids does not say"):
        make_head(name, {}, specs(name, ""), 1)
    long = split(name, tiny_bert, {"text": [65], "audio": [1], "vision": [1]})
    with pytest.raises(InvalidOption, match=r"65 tokens; .* positions for 64"):
        made(name, tiny_bert)(long.batch([0]).inputs)


@pytest.mark.parametrize("name", ["misa", "self-mm", "mmim"])
def test_frozen_layers_stay_as_they_are(tiny_bert, name):
    head = made(name, tiny_bert, frozen_layers=1)
    frozen = [*head.encoder.encoder.embeddings.parameters(), *head.encoder.encoder.layers[0].parameters()]
    assert not any(p.requires_grad for p in frozen)
    assert all(p.requires_grad for p in head.encoder.encoder.layers[1].parameters())


def test_the_documents_table_counts_the_parameters():
    """Those of the recipes on the CMU-MOSI store: MiniLM's hidden states, 73 of COVAREP, no picture."""
    page = (Path(__file__).parents[3] / "docs/reference/baselines.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \|.*?\| ([\d,]+)( \+ encoder)? \|", page, re.MULTILINE)
    assert [name for name, *_ in rows] == [
        "ef-lstm",
        "lf-dnn",
        "tfn",
        "lmf",
        "mfn",
        "mult",
        "misa",
        "almt",
        "dlf",
        "self-mm",
        "mmim",
    ]
    for name, count, encoder in rows:
        text = InputSpec(1, True, "all-MiniLM-L6-v2") if encoder else InputSpec(384)
        inputs = {"text": text, "audio": InputSpec(73), "vision": InputSpec(1)}
        head = make_head(name, recipes()[name].options, inputs, 1)
        inner = {id(p) for p in head.encoder.parameters()} if encoder else set()
        assert sum(p.numel() for p in head.parameters() if id(p) not in inner) == int(count.replace(",", "")), name
        assert not encoder or f"{sum(p.numel() for p in head.encoder.parameters()):,}" in page


@pytest.mark.parametrize("name", BASELINES)
def test_every_recipe_trains_and_evaluates_to_the_same_digits(name, small_store, tmp_path):
    found = train_recipe(name, small_store, tmp_path, {**small(name), "training.epochs": 1}, "cpu")
    assert found.metrics["test"] == evaluate_run(found.path, small_store, "test", "cpu").metrics
    assert "Reference:" in (found.path / "README.md").read_text()


def small(name):
    return {f"options.{key}": value for key, value in SMALL[name].items()}


@pytest.mark.parametrize("name", ["self-mm", "mmim"])
def test_a_resumed_training_keeps_its_memory(name, small_store, tmp_path):
    """Stopped after the third epoch and resumed, the weights are those of an undisturbed training."""
    store, recipe = FeatureStore(small_store), find_recipe(name, small(name) | {"training.epochs": 5})
    first = load_split(store, recipe, "train")
    dev = load_split(store, recipe, "valid", statistics=first.statistics)

    def fit(on_epoch, checkpoint):
        accelerator = accelerator_on("cpu", "fp32")
        seed_everything(1)
        head = make_head(name, recipe.options, first.specs, 1)
        return head, train(head, first, dev, recipe.training, accelerator, on_epoch, checkpoint=checkpoint)

    def stop(epoch):
        if epoch.epoch == 4:
            raise KeyboardInterrupt

    head, through = fit(lambda epoch: None, None)
    with pytest.raises(KeyboardInterrupt):
        fit(stop, Checkpoint(tmp_path / "state.pt", 0.0))
    again, resumed = fit(lambda epoch: None, Checkpoint(tmp_path / "state.pt", 0.0))
    assert [e.losses for e in resumed.epochs] == [e.losses for e in through.epochs]
    assert len(resumed.epochs) == 5
    assert head.memory
    assert all(torch.equal(kept, again.memory[key]) for key, kept in head.memory.items())


def test_training_tells_the_head_the_rows_of_each_batch(small_store, monkeypatch):
    """The rows that Self-MM is told are those of the batch's clips; every clip comes once an epoch."""
    store, recipe = FeatureStore(small_store), find_recipe("self-mm", small("self-mm") | {"training.epochs": 3})
    first = load_split(store, recipe, "train")
    dev = load_split(store, recipe, "valid", statistics=first.statistics)
    head = make_head("self-mm", recipe.options, first.specs, 1)
    told, losses = [], head.losses

    def watched(outputs, targets, stage):
        if head.training:
            told.append((head.rows, targets))
        return losses(outputs, targets, stage)

    monkeypatch.setattr(head, "losses", watched)
    train(head, first, dev, recipe.training, accelerator_on("cpu", "fp32"))
    truth = torch.from_numpy(first.targets).float()
    assert all(torch.equal(truth[rows], targets) for rows, targets in told)
    assert head.memory["met_text"].tolist() == [3] * len(first)
    assert torch.equal(head.memory["label_fusion"], truth)
    assert (head.memory["label_audio"] != truth).any()
