"""The device of the tests: a GPU; or FEATZOO_GPU_TESTS=cpu, with which the tests themselves are tried without one."""

import os

import pytest
import torch
from zoo.conftest import small_store, tiny_bert  # noqa: F401


@pytest.fixture(scope="session")
def device():
    """cuda:0, or the CPU if the environment says so."""
    if os.environ.get("FEATZOO_GPU_TESTS") == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    return "cuda:0"
