"""torchvision works here, repaired or not, and its nms is the textbook's."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featzoo.errors import MissingPackage
from featzoo.weights.imports import installed, nms, require, torchvision_module, transformers_module

CORNER = st.integers(0, 20)


def brute_force(boxes, scores, limit):
    """Keep a box unless an already kept one overlaps it by more than `limit`, best first."""

    def overlap(a, b):
        width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
        height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
        both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
        return width * height > limit * both

    kept = []
    for number in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if not any(overlap(boxes[number], boxes[k]) for k in kept):
            kept.append(number)
    return kept


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_nms_is_brute_force(data):
    import torch

    count = data.draw(st.integers(0, 12))
    boxes = []
    for _ in range(count):
        (x1, x2), (y1, y2) = (sorted((data.draw(CORNER), data.draw(CORNER))) for _ in range(2))
        boxes.append([x1, y1, x2, y2])
    scores = data.draw(st.lists(st.integers(0, 10**6), min_size=count, max_size=count, unique=True))
    # Thresholds between the ratios of small whole numbers, so that rounding decides nothing.
    limit = data.draw(st.sampled_from([0.0, 0.31337, 0.5003, 0.9001]))
    tensors = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.tensor(scores, dtype=torch.float64)
    assert nms(*tensors, limit).tolist() == brute_force(boxes, scores, limit)
    torchvision_module()
    from torchvision import ops

    assert ops.nms(tensors[0], tensors[1].float(), limit).tolist() == brute_force(boxes, scores, limit)


def test_models_and_transforms_work():
    import torch

    torchvision_module()
    from torchvision.transforms import v2

    assert v2.Resize(8)(torch.zeros(3, 16, 16, dtype=torch.uint8)).shape == (3, 8, 8)
    assert hasattr(transformers_module(), "BertModel")


def test_core_imports_no_heavy_package():
    """`feat` commands start quickly only so long as nothing below imports these at import time."""
    light = (
        "cli", "cache.store", "extraction.driver", "media.discovery", "media.transcription",
        "extractors.audio.egemaps", "extractors.audio.praat", "extractors.audio.spectral", "extractors.audio.speech",
        "extractors.text.bert", "extractors.text.glove", "extractors.vision.action_units",
        "extractors.vision.clip_siglip", "extractors.vision.cnn", "extractors.vision.faces",
        "extractors.vision.videomae",
    )  # fmt: skip
    code = (
        f"import sys, {', '.join(f'featzoo.{name}' for name in light)}\n"
        "heavy = ('torch', 'torchvision', 'transformers', 'opensmile', 'pandas', 'librosa', 'parselmouth')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_missing_packages_name_the_extra():
    assert not installed("surely_no_such_package")
    with pytest.raises(MissingPackage, match=r"pip install 'featzoo\[egemaps\]'"):
        require("surely_no_such_package", "egemaps")
