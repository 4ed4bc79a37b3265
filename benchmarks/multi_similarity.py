"""The multi-similarity loss of five traits at once, against pytorch-metric-learning called once for each trait.

3 x 128 rows of 128 (three embeddings of each of 128 clips), forward and backward, mining included. Every row is an
anchor, as pytorch-metric-learning has it; the values must agree. Needs the published package, which is not ours to
install:

    pip install --no-deps --target /tmp/pml pytorch-metric-learning==2.9.0
    PYTHONPATH=/tmp/pml python benchmarks/multi_similarity.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import figures
import torch

from featzoo.zoo.heads.siamese.losses import MultiSimilarity

CLIPS, MODALITIES, TRAITS, WIDTH, ROUNDS = 128, 3, 5, 128, 15


def main() -> int:
    """0 if the target is met on every device that is here."""
    try:
        from pytorch_metric_learning.losses import MultiSimilarityLoss
        from pytorch_metric_learning.miners import MultiSimilarityMiner
    except ImportError as error:
        print(f"----  multi-similarity / pytorch-metric-learning: not measured ({error}): see {__file__}")
        return 1
    loss, miner = MultiSimilarityLoss(2, 50, 1.0), MultiSimilarityMiner(0.1)
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        generator = torch.Generator().manual_seed(0)
        rows = torch.randn(MODALITIES * CLIPS, WIDTH, generator=generator).to(device).requires_grad_()
        classes = torch.randint(0, 4, (CLIPS, TRAITS), generator=generator).repeat(MODALITIES, 1).to(device)

        def ours(rows: torch.Tensor = rows, classes: torch.Tensor = classes) -> torch.Tensor:
            return MultiSimilarity("all")(rows, classes)

        def theirs(rows: torch.Tensor = rows, classes: torch.Tensor = classes) -> torch.Tensor:
            return torch.stack([loss(rows, one, miner(rows, one)) for one in classes.T]).mean()

        seconds, peer = timed({"ours": ours, "theirs": theirs}, rows)
        # 32 bit; sums over 384 pairs in another order.
        same = torch.isclose(ours(), theirs(), rtol=1e-5, atol=0.0).item()
        detail = f"{1e3 * seconds:.1f} ms / {1e3 * peer:.1f} ms, {'equal' if same else 'NOT EQUAL'} to 1e-5"
        figures.verdict(f"multi-similarity / PML, {device}", peer / seconds if same else 0.0, 5, detail)
    return 1 if figures.missed else 0


def timed(ways: dict[str, Callable[[], torch.Tensor]], rows: torch.Tensor) -> list[float]:
    """The shortest wall time of a forward and backward pass of each way, taken in turns after one to warm up."""
    shortest = dict.fromkeys(ways, float("inf"))
    for number in range(ROUNDS + 1):
        for name, way in ways.items():
            rows.grad = None
            started = time.perf_counter()
            way().backward()
            if rows.is_cuda:
                torch.cuda.synchronize()
            if number:
                shortest[name] = min(shortest[name], time.perf_counter() - started)
    return list(shortest.values())


if __name__ == "__main__":
    sys.exit(main())
