"""Wrong requests are refused before anything heavy is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

# What takes a second or more to import.
HEAVY = "torch", "transformers", "pandas", "opensmile", "accelerate", "scipy", "sklearn"
CODE = """
import sys
from featzoo.cli import feat, zoo
group = {"feat": feat, "zoo": zoo}[sys.argv[1]]
try:
    group(sys.argv[2:])
finally:
    print("imported:", *sorted(set(sys.modules) & %r))
"""
WRONG = {
    "zoo train psa-mff": "did you mean 'psa-mf'",
    "zoo train psa-mf --store nowhere": "nowhere is not a feature store",
    "zoo train psa-mf --device gpu": "unknown device 'gpu'",
    "zoo train --resume nowhere": "not a run folder",
    "zoo ablate psa-mff": "did you mean 'psa-mf'",
    "zoo layers psa-mff": "did you mean 'psa-mf'",
    "zoo show psa-mff": "did you mean 'psa-mf'",
    "zoo predict nowhere clip.mp4": "not a run folder",
    "zoo evaluate nowhere": "not a run folder",
    "zoo compare nowhere --against there": "not a run folder",
    "feat extract nowhere": "no such file or folder",
    "feat extract nowhere --device gpu": "unknown device 'gpu'",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_request_is_refused_without_heavy_imports(words, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CODE % (set(HEAVY),), *words.split()],
        capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode in (1, 2, 3)
    assert WRONG[words] in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.split("imported:")[1].split() == []
