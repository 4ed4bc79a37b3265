"""A device is the one that was asked for, or refused with the reason: never another one."""

from __future__ import annotations

import pytest
import torch

from featzoo.devices import Facts, choose_devices, facts_of, float32_products, parse_device, settings_for
from featzoo.errors import InvalidOption
from featzoo.extraction.options import ExtractOptions
from featzoo.zoo.training.loop import accelerator_on


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two GPUs, as torch would tell."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("auto", ("auto", 0)), ("cpu", ("cpu", 0)), ("mps", ("mps", 0)), ("cuda", ("cuda", 0)), ("cuda:12", ("cuda", 12))],
)
def test_a_name_means_a_kind_and_a_number(name: str, meant: tuple[str, int]) -> None:
    assert parse_device(name) == meant


@pytest.mark.parametrize(
    "name", ["gpu", "cpu0", "cpu:0", "mps:0", "auto:1", "cuda:", "cuda:x", "cuda:-1", "cuda:٣", "CUDA"]
)
def test_another_name_is_refused_by_feat_and_zoo_alike(name: str) -> None:
    for read in (parse_device, choose_devices, lambda device: accelerator_on(device, "fp32")):
        with pytest.raises(InvalidOption, match=f"unknown device '{name}': expected auto, cpu, cuda, cuda:N or mps"):
            read(name)


def test_a_wrong_name_is_refused_where_no_extractor_runs_a_model() -> None:
    with pytest.raises(InvalidOption, match="unknown device 'gpu'"):
        ExtractOptions(device="gpu")


@pytest.mark.usefixtures("gpus")
def test_auto_is_every_gpu_and_a_number_is_that_one() -> None:
    assert choose_devices("auto") == ["cuda:0", "cuda:1"]
    assert choose_devices("cuda") == ["cuda:0"]
    assert choose_devices("cuda:1") == ["cuda:1"]
    assert choose_devices("cpu") == ["cpu"]
    with pytest.raises(InvalidOption, match=r"no device 'cuda:2' here: torch \S+ sees 2 CUDA devices; use cpu or auto"):
        choose_devices("cuda:2")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine without a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps"])
def test_a_gpu_that_is_not_there_is_refused_by_feat_and_zoo_alike(device: str) -> None:
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("a machine with an Apple GPU")
    for choose in (choose_devices, lambda device: accelerator_on(device, "fp32")):
        with pytest.raises(InvalidOption, match=f"no device '{device}' here: torch "):
            choose(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine without a GPU")
def test_auto_is_the_cpu_where_there_is_no_gpu_of_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_devices("auto") == ["cpu"]
    assert choose_devices("mps") == ["mps"]
    assert accelerator_on("auto", "no").device.type == "cpu"


GB = 10**9
AMPERE, TURING = Facts("cuda", True, 80 * GB, 79 * GB), Facts("cuda", False, 8 * GB, 1 * GB)


@pytest.mark.parametrize(
    ("facts", "requested", "precision", "tf32", "pinned", "cache", "evaluation"),
    [
        (Facts("cpu"), "auto", "fp32", False, False, 0, 1),
        (Facts("cpu"), "bf16", "bf16", False, False, 0, 1),
        (Facts("mps"), "auto", "fp32", False, False, 0, 1),
        (AMPERE, "auto", "bf16", True, True, 8 * GB, 4),
        (AMPERE, "fp32", "fp32", False, True, 8 * GB, 4),
        (AMPERE, "no", "fp32", False, True, 8 * GB, 4),
        (AMPERE, "fp16", "fp16", True, True, 8 * GB, 4),
        (TURING, "auto", "fp32", False, True, GB // 2, 4),
        (TURING, "fp16", "fp16", False, True, GB // 2, 4),
    ],
)
def test_the_table_of_decisions(facts, requested, precision, tf32, pinned, cache, evaluation) -> None:
    found = settings_for(facts, requested)
    assert (found.precision, found.tf32, found.pinned) == (precision, tf32, pinned)
    assert (found.cache_bytes, found.evaluation) == (cache, evaluation)


def test_a_cpu_has_no_facts_but_its_kind() -> None:
    assert facts_of("cpu") == facts_of(torch.device("cpu")) == Facts("cpu")


def test_products_are_exact_on_a_gpu_and_the_setting_is_restored() -> None:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    with float32_products("cuda:0"):
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == (False, False)
        with float32_products(torch.device("cuda"), tf32=True):
            assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == (True, True)
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before
    with float32_products("cpu", tf32=True):
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before
