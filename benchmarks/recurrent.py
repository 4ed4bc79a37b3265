"""Recurrent layers on the CPU: featzoo's pass over padded steps against PyTorch's packed sequences, the usual way.

A step is the forward and the backward pass. Sequences are from a fifth of the longest to the longest, or all but one
are a tenth of it, which is the case for which sequences are packed.

    OMP_NUM_THREADS=1 python benchmarks/recurrent.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from featzoo.zoo.metrics.tables import text_table
from featzoo.zoo.nn.recurrent import run_recurrent

# Width, hidden units, clips, steps, both ways: words of the Siamese model, COVAREP, a face's action units, frames.
SHAPES = ((50, 128, 128, 80, True), (74, 64, 32, 50, False), (35, 32, 64, 500, False), (768, 64, 16, 20, True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    rows = [["layer", "width", "units", "clips", "steps", "lengths", "packed, ms", "featzoo, ms", "times faster"]]
    for kind in (nn.GRU, nn.LSTM):
        for width, units, clips, steps, both in SHAPES:
            rnn = kind(width, units, batch_first=True, bidirectional=both)
            values = torch.randn(clips, steps, width)
            even = torch.linspace(steps / 5, steps, clips).long()
            one = torch.full((clips,), steps // 10).index_fill(0, torch.tensor([0]), steps)
            for name, lengths in (("even", even), ("one long", one)):
                mask = torch.arange(steps) < lengths[:, None]
                pack, ours = (seconds(way, rnn, values, mask, rounds) for way in (packed, run_recurrent))
                shape = [type(rnn).__name__ + (", both ways" if both else ""), width, units, clips, steps, name]
                rows.append([*map(str, shape), f"{1e3 * pack:.1f}", f"{1e3 * ours:.1f}", f"{pack / ours:.2f}"])
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, best of {rounds} rounds")
    print(text_table(rows))


def packed(rnn: nn.LSTM | nn.GRU, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    out, state = rnn(pack_padded_sequence(values, mask.sum(dim=1), batch_first=True, enforce_sorted=False))
    last = state[0] if isinstance(state, tuple) else state
    return pad_packed_sequence(out, batch_first=True, total_length=values.shape[1])[0], last[-1]


def seconds(
    way: Callable[..., tuple[Tensor, Tensor]], rnn: nn.LSTM | nn.GRU, values: Tensor, mask: Tensor, rounds: int
) -> float:
    """The least time of a forward and backward pass."""
    times = []
    for _ in range(rounds + 1):  # the first is warm-up
        began = time.perf_counter()
        steps, last = way(rnn, values, mask)
        (steps.sum() + last.sum()).backward()
        times.append(time.perf_counter() - began)
    return min(times[1:])


if __name__ == "__main__":
    main()
