"""Outputs of frozen layers: the same in memory and in files; other inputs stay as stored."""

import dataclasses
import resource

import numpy as np
import pytest
import torch

from featzoo.cache.store import FeatureStore
from featzoo.errors import FeatzooError
from featzoo.zoo.data.load import load_split
from featzoo.zoo.head import find_head, make_head
from featzoo.zoo.heads.pooled.networks import Mlp
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.run import train_recipe
from featzoo.zoo.training import frozen_features, kept_parts
from featzoo.zoo.training.frozen_features import for_stage
from zoo.conftest import SMALL

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def nothing_kept_from_other_tests(monkeypatch):
    monkeypatch.setattr(frozen_features, "_MADE", type(frozen_features._MADE)())


@pytest.fixture(scope="module")
def frozen(small_store):
    """A head whose first two of three layers are frozen, and its train split."""
    recipe = find_recipe("psa-mf", SMALL | {"options.frozen_layers": 2})
    train = load_split(FeatureStore(small_store), recipe, "train")
    return make_head("psa-mf", recipe.options, train.specs, 1), train


def test_temporary_files_hold_the_same_numbers_as_memory(frozen, monkeypatch):
    head, train = frozen
    told = []
    in_memory = for_stage(head, train, "main", 8, CPU, lambda *step: told.append(step))
    assert told == [(done, len(train) // 8) for done in range(1, len(train) // 8 + 1)]
    monkeypatch.setattr(frozen_features, "LARGEST", 0)
    monkeypatch.setattr(frozen_features, "IN_MEMORY", 1000)
    monkeypatch.setattr(frozen_features, "FILE", 4096)
    in_files = for_stage(head, train, "main", 8, CPU)
    for role in ("text", "text-aligned"):
        assert any(isinstance(array, np.memmap) for array in in_files.features[role])
        assert any(not isinstance(array, np.memmap) for array in in_files.features["text"])
        for one, other in zip(in_memory.features[role], in_files.features[role], strict=True):
            assert np.array_equal(one, other)


def test_inputs_that_are_not_distilled_stay_as_stored(frozen):
    head, train = frozen
    kept = for_stage(head, train, "main", 8, CPU)
    assert kept.features["audio"] is train.features["audio"]
    assert set(kept.statistics.mean) == set(train.statistics.mean) == {"audio", "vision"}
    before, after = train.batch([3, 1]), kept.batch([3, 1])
    for role in ("audio", "vision", "personality"):
        for one, other in zip(before.inputs[role], after.inputs[role], strict=True):
            assert torch.equal(one, other)
    assert torch.equal(before.targets, after.targets)
    assert np.array_equal(kept.lengths(), train.lengths())  # so the same clips come together
    assert not kept.specs["text"].ids
    assert kept.specs["text"].width == 16


def test_a_full_disk_is_an_error_that_names_the_folder(frozen, monkeypatch):
    """A limit on the size of files stands for it: the space is asked for before anything is written."""
    head, train = frozen
    monkeypatch.setattr(frozen_features, "IN_MEMORY", 0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(FeatzooError, match=r"no room in .* \(0\.3 GB more; File too large\): set TMPDIR"):
            for_stage(head, train, "main", 8, CPU)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_next_seed_reuses_the_frozen_features(small_store, monkeypatch):
    """Another head with the same frozen weights has it from memory; with others, or on other inputs, it does not."""
    recipe = find_recipe("psa-mf", SMALL | {"options.frozen_layers": 2})
    train = load_split(FeatureStore(small_store), recipe, "train")
    torch.manual_seed(1)
    heads = [make_head("psa-mf", recipe.options, train.specs, 1) for _ in range(2)]
    assert not torch.equal(heads[0].text.weight, heads[1].text.weight)
    runs = []
    for head in heads:
        monkeypatch.setattr(head, "distil", lambda inputs, of=head.distil: runs.append(1) or of(inputs))
    first = for_stage(heads[0], train, "main", 8, CPU)
    assert len(runs) == 3
    again = for_stage(heads[1], train, "main", 8, CPU)
    assert len(runs) == 4  # one batch, which shows that there is something to keep
    assert again.features["text"] is first.features["text"]
    for_stage(
        heads[1],
        dataclasses.replace(train, features=train.features | {"text": train.features["text"][::-1]}),
        "main",
        8,
        CPU,
    )
    assert len(runs) == 7
    with torch.no_grad():
        heads[1].encoder.layers[1].output.dense.bias[3] += 1
    other = for_stage(heads[1], train, "main", 8, CPU)
    assert len(runs) == 10
    assert not np.array_equal(other.features["text"][0], first.features["text"][0])


OTHER = {
    "psa-mf": {
        "hidden": 12, "heads": 3, "wide": 32, "dropout": 0.4, "modality_dropout": 0.3, "text_dropout": 0.2,
        "unimodal": 0.5, "modulation": 0.2, "additive": True, "products": 2, "stacked": True, "ccl_ramp": 5,
        "ccl_weight": "literal", "weights": (1.0, 0.0, 0.2, 0.0),
    },
    "text-classification": {"hidden": 9, "dropout": 0.4, "loss": "weighted-bce", "smoothing": 0.2},
    "text-regression": {"dropout": 0.4, "loss": "l1"},
    "clad": {
        "hidden": 9, "dropout": 0.4, "label_loss": "weighted-bce", "attention_temperature": 2.0,
        "logit_temperature": 3.0,
    },
}  # fmt: skip

STACKED = {"unimodal": 0.5, "stacked": True}
NEEDS = {"modulation": STACKED, "products": STACKED, "stacked": STACKED, "heads": {"hidden": 12}}


@pytest.mark.parametrize("name", OTHER)
def test_options_after_the_frozen_layers_do_not_read_the_texts_again(small_store, monkeypatch, name):
    """And they change nothing that is read; an option of the encoder does."""
    recipe = find_recipe("psa-mf", SMALL)
    train = load_split(FeatureStore(small_store), recipe, "train")
    assert set(find_head(name).after_frozen) == OTHER[name].keys()

    def read(options):
        absent = {r: InputSpec(1, role.ids, given=False) for r, role in find_head(name).roles.items()}
        specs = {role: train.specs.get(role, each) for role, each in absent.items()}
        torch.manual_seed(1)
        head, batches = make_head(name, {"frozen_layers": 2, **options}, specs, 1), []
        monkeypatch.setattr(head, "distil", lambda inputs, of=head.distil: batches.append(1) or of(inputs))
        roles = [role for role in specs if role in train.features]
        chosen = dataclasses.replace(
            train, features={r: train.features[r] for r in roles}, specs={r: train.specs[r] for r in roles}
        )
        return for_stage(head, chosen, "main", 8, CPU).features["text"], len(batches)

    first = read({})
    assert first[1] == 3
    for option, value in OTHER[name].items():
        changed = {**NEEDS.get(option, {}), option: value}
        again = read(changed)
        assert again[0] is first[0], option
        assert again[1] == 1  # one batch, which shows that there is something to keep
        frozen_features._MADE.clear()
        made = read(changed)
        assert made[1] == 3
        assert all(np.array_equal(*pair) for pair in zip(made[0], first[0], strict=True)), option
        frozen_features._MADE.clear()
        first = read({})
    assert read({"frozen_layers": 1})[1] == 3


def test_a_killed_training_reads_on_where_its_frozen_features_end(frozen, monkeypatch, tmp_path):
    """Two of three batches were read before it was killed; a file that is damaged counts as missing."""
    head, train = frozen
    whole = for_stage(head, train, "main", 8, CPU)
    monkeypatch.setattr(frozen_features, "LARGEST", 1 << 20)
    monkeypatch.setattr(kept_parts, "SECONDS", 0.0)
    read = []

    def killed(inputs, distil=head.distil):
        if len(read) == 2:
            raise KeyboardInterrupt
        read.append(1)
        return distil(inputs)

    frozen_features._MADE.clear()
    with monkeypatch.context() as patched:
        patched.setattr(head, "distil", killed)
        with pytest.raises(KeyboardInterrupt):
            for_stage(head, train, "main", 8, CPU, kept=tmp_path)
    kept = sorted(tmp_path.glob("*/*.npz"))
    assert [place.stem for place in kept] == ["000001-000001", "000002-000002"]
    for damaged, batches in ((None, [1, 3]), (kept[1], [1, 2])):
        if damaged:
            damaged.write_bytes(damaged.read_bytes()[:-40])
        again = []
        with monkeypatch.context() as patched:
            patched.setattr(head, "distil", lambda inputs, of=head.distil, n=again: n.append(1) or of(inputs))
            frozen_features._MADE.clear()
            found = for_stage(head, train, "main", 8, CPU, kept=tmp_path)
        assert len(again) == len(batches)
        for role in ("text", "text-aligned"):
            assert all(np.array_equal(*pair) for pair in zip(whole.features[role], found.features[role], strict=True))


def test_mlp_pools_once_and_trains_on_the_batches_of_its_sequences(small_store, tmp_path, monkeypatch):
    """The predictions are those of pooling in every step, but for the last digits of sums."""
    changes = {"inputs.audio.features": ["egemaps"], "target.columns": ["sentiment"], "target.kind": "number"}
    changes |= {"target.weights": "none", "target.metrics": "regression", "training.epochs": 3}
    train_recipe("mlp", small_store, tmp_path, changes, "cpu", "once")
    monkeypatch.setattr(Mlp, "distil", lambda *_: None)
    train_recipe("mlp", small_store, tmp_path, changes, "cpu", "always")
    found, expected = (RunFolder.open(tmp_path / name).predictions("test") for name in ("once", "always"))
    stored = FeatureStore(small_store)["egemaps"]
    assert len({len(stored[clip].features) for clip in stored.ids()}) > 1
    np.testing.assert_allclose(found.pred, expected.pred, atol=1e-5)
