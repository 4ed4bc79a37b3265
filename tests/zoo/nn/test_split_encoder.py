"""Layers recomputed or compiled: the same numbers; less memory; a machine without a compiler says so."""

import copy
import os
import shutil
import subprocess
import sys

import pytest
import torch

from featzoo.errors import InvalidOption
from featzoo.weights.imports import transformers_module
from featzoo.zoo.head import make_head
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.split_encoder import SplitEncoder, set_up_encoders
from featzoo.zoo.recipe import Training
from featzoo.zoo.training.evaluation import evaluate
from featzoo.zoo.training.loop import accelerator_on, seed_everything, train
from zoo.heads.test_psa_mf import specs
from zoo.heads.test_psa_mf import split as clips

CPU = torch.device("cpu")


def one_step(head, settings):
    """Loss terms and gradients of one training step, dropout included."""
    set_up_encoders(head, settings, CPU)
    batch = clips().batch(range(4))
    torch.manual_seed(3)
    head.train().zero_grad()
    terms = head.losses(head(batch.inputs), batch.targets, "main")
    sum(terms.values()).backward()
    gradients = {name: p.grad for name, p in head.named_parameters() if p.grad is not None}
    return {name: term.item() for name, term in terms.items()}, gradients


@pytest.mark.parametrize("name", ["psa-mf", "text-regression", "misa", "self-mm", "mmim"])
def test_recomputing_changes_no_digit(tiny_bert, name):
    seed_everything(0)
    roles = ("text",) if name == "text-regression" else ("text", "audio", "vision")
    given = specs(tiny_bert) if name == "psa-mf" else {role: specs(tiny_bert)[role] for role in roles}
    head = make_head(name, {}, given, 1)
    head.prepare(torch.zeros(4, 1))
    head.see(torch.arange(4))
    found = [one_step(copy.deepcopy(head), Training(gradient_checkpointing=wanted)) for wanted in (False, True)]
    (terms, gradients), (others, other_gradients) = found
    assert terms == others
    assert gradients.keys() == other_gradients.keys()
    for key, gradient in gradients.items():
        torch.testing.assert_close(other_gradients[key], gradient, rtol=0, atol=0, msg=key)


def test_recomputing_keeps_the_layers_inputs_alone():
    """Bytes that the layers keep for the backward pass: with it, a layer keeps what it reads and no more."""
    transformers = transformers_module()
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=64, num_hidden_layers=4, num_attention_heads=4, intermediate_size=256
    )
    config._attn_implementation = "sdpa"
    encoder = SplitEncoder(transformers.BertModel(config, add_pooling_layer=False)).train()
    weights = {p.untyped_storage().data_ptr() for p in encoder.parameters()}
    hidden, mask = torch.randn(8, 32, 64), torch.ones(8, 32, dtype=torch.bool)
    kept = {}
    for encoder.recompute in (False, True):
        storages = {}

        def keep(tensor, storages=storages):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            out = encoder.run(hidden, mask, 0, 4)[-1]
        kept[encoder.recompute] = sum(storages.values())
        out.sum().backward()
    inputs = 4 * (4 * hidden.numel() + mask.numel())  # four layers and one mask, 32 bit
    assert kept[True] <= inputs
    assert kept[False] > 10 * inputs


def test_a_head_without_an_encoder_has_nothing_to_recompute():
    head = make_head("lf-dnn", {}, {role: InputSpec(5) for role in ("text", "audio", "vision")}, 1)
    for name in ("gradient_checkpointing", "compile"):
        with pytest.raises(InvalidOption, match=rf"training\.{name} = true: this head trains no encoder"):
            set_up_encoders(head, Training(**{name: True}), CPU)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="no C++ compiler")
def test_compiled_layers_give_the_same_numbers(tiny_bert):
    """32 bit: fused sums differ in the last digits, and so do the weights after some steps. Without dropout: compiled
    code draws other random numbers. Evaluation is not compiled: the same weights give the same digits."""
    results = []
    for wanted in (False, True):
        seed_everything(0)
        head = make_head("psa-mf", {"hidden": 8, "wide": 12}, specs(tiny_bert), 1)
        for module in head.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        settings = Training(
            batch_size=2, epochs=2, learning_rates={"main": 1e-3, "encoder": 1e-3}, compile=wanted, patience=0
        )
        results.append(train(head, clips(), clips(seed=1), settings, accelerator_on("cpu", "fp32")))
        if wanted:
            _, compiled = evaluate(head, clips(seed=1), 2, CPU, "main")
            set_up_encoders(head, Training(), CPU)
            _, eager = evaluate(head, clips(seed=1), 2, CPU, "main")
            assert (compiled == eager).all()
    for one, other in zip(results[0].epochs, results[1].epochs, strict=True):
        assert other.losses == pytest.approx(one.losses, rel=1e-4)
        assert other.dev_mae == pytest.approx(one.dev_mae, rel=1e-4)


def test_without_a_compiler_the_setting_is_refused(tmp_path):
    code = (
        "import torch; from featzoo.zoo.nn.split_encoder import _try_compiler\n"
        "from featzoo.errors import InvalidOption\n"
        "try: _try_compiler(torch.device('cpu'))\n"
        "except InvalidOption as error: print(error)\n"
    )
    env = {**os.environ, "CXX": "/nowhere/g++", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=True)
    assert "cannot compile for cpu here (" in done.stdout
    assert "install a C++ compiler (on a GPU, Triton too), or set training.compile=false" in done.stdout
    assert "/nowhere/g++" in done.stdout
