"""What CLAD's training costs beside its encoder: all loss terms on, the teacher's outputs in the store.

    OMP_NUM_THREADS=1 python benchmarks/distil.py                       (a CPU: some minutes)
    python benchmarks/distil.py --layers 12 --vocabulary 250037 --tokens 512 --device cuda --steps 50

Ours is `zoo train adam`'s own loop: batches padded from the split, forward, four terms, backward, clipping, optimiser.
The floor is the bare encoder's forward and backward pass on the same batches, its output's mean square as the loss: no
head, no terms, no optimiser. They take turns, round by round, in one process; the share is the median over rounds. On
the CPU, seconds are those of this process's threads, so that others on the machine count less. A teacher of six layers
that read every text at every step would add the time that is printed for it. Weights are random, of MiniLM's shape:
speed does not depend on them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from statistics import median

import numpy as np
import torch

from featzoo.weights.imports import transformers_module
from featzoo.zoo.data.split import Batch, Counts, Split, Statistics
from featzoo.zoo.head import make_head
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.training.batch_order import shuffled
from featzoo.zoo.training.loop import accelerator_on, seed_everything, train

TARGET = 0.9
WIDTH, BINS, TRAITS = 384, 32, 5


def main() -> None:
    """Print seconds of a step, the share of the floor, and what the teacher would add."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--vocabulary", type=int, default=30522)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--attention", choices=["cls_bins", "batch_relation"], default="cls_bins")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        encoder = made(asked.layers, asked.vocabulary)
        encoder.save_pretrained(folder)
        split = texts((asked.steps + 1) * asked.batch, asked.tokens, asked.vocabulary, folder)
        changes = {"training.epochs": 1, "training.batch_size": asked.batch, "options.attention": asked.attention}
        recipe = find_recipe("adam", changes)
        seed_everything(0)
        head = make_head("clad", recipe.options, split.specs, TRAITS)
    order = np.random.default_rng(recipe.training.seed)
    batches = [split.batch(rows) for rows in shuffled(split, recipe.training, order)]
    encoder, teacher = encoder.to(asked.device).train(), made(6, 30522).to(asked.device).eval()
    rounds = []
    for _ in range(asked.rounds):
        # The first step of each is warming up.
        times = (bare(encoder, batches, asked.device), ours(head, split, recipe, asked.device))
        rounds.append((*times, read(teacher, batches, asked.device)))
    floor, own, taught = (median(column) for column in zip(*rounds, strict=True))
    share = median(one / other for one, other, _ in rounds)
    shape = f"{asked.layers} layers, {asked.vocabulary} pieces, {asked.batch} x {asked.tokens} tokens"
    where = f"{asked.device}, torch {torch.__version__}, {torch.get_num_threads()} threads"
    print(f"{shape}, {asked.attention}, {where}")
    print(f"  encoder's forward and backward pass  {floor:.3f} s a step")
    print(f"  the loop of zoo train adam           {own:.3f} s a step")
    print(f"  teacher's forward pass, not paid     {taught:.3f} s a step")
    said = "PASS" if share >= TARGET else "MISS"
    spread = f"{min(a / b for a, b, _ in rounds):.2f} to {max(a / b for a, b, _ in rounds):.2f}"
    print(f"share of the floor's rate: {share:.3f} ({spread} over {len(rounds)} rounds; target {TARGET}): {said}")


def made(layers: int, vocabulary: int):
    """A BERT of MiniLM's width with random weights, as heads run it: with the fused attention kernel."""
    transformers = transformers_module()
    config = transformers.BertConfig(
        vocab_size=vocabulary, hidden_size=WIDTH, num_hidden_layers=layers, num_attention_heads=12,
        intermediate_size=4 * WIDTH, attn_implementation="sdpa",
    )  # fmt: skip
    return transformers.BertModel(config, add_pooling_layer=False)


def texts(count: int, tokens: int, vocabulary: int, model: str) -> Split:
    """Texts of 3/4 to all of `tokens`, and the teacher's rows of them."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(3 * tokens // 4, tokens + 1, count)
    shares = rng.random((count, BINS))
    features = {
        "text": [rng.integers(1000, vocabulary, (n, 1)) for n in lengths],
        "positions": [np.array([np.nan, *np.linspace(0, 1, n - 2), np.nan], np.float32)[:, None] for n in lengths],
        "teacher": [
            np.concatenate([rng.normal(size=WIDTH + TRAITS), own / own.sum()]).astype(np.float32)[None]
            for own in shares
        ],
    }
    specs = {
        "text": InputSpec(1, True, model), "positions": InputSpec(1, model=model),
        "teacher": InputSpec(WIDTH + TRAITS + BINS),
    }  # fmt: skip
    targets = rng.integers(0, 2, (count, TRAITS)).astype(float)
    names = tuple(f"{n}/en" for n in range(count))
    return Split("train", names, features, targets, specs, Statistics({}, {}), Counts(count))


def ours(head: torch.nn.Module, split: Split, recipe, device: str) -> float:
    """Seconds of a step of the training loop."""
    marks: list[float] = []

    def step(done: int, total: int) -> None:
        synchronise(device)
        marks.append(clock(device))

    few = {role: arrays[:1] for role, arrays in split.features.items()}
    dev = Split("valid", split.ids[:1], few, split.targets[:1], split.specs, split.statistics, Counts(1))
    train(head, split, dev, recipe.training, accelerator_on(device, "fp32"), on_step=step)
    return (marks[-1] - marks[0]) / (len(marks) - 1)


def bare(encoder: torch.nn.Module, batches: list[Batch], device: str) -> float:
    """Seconds of a forward and backward pass of the encoder alone."""
    marks = []
    for batch in batches:
        text = batch.to(torch.device(device)).inputs["text"]
        encoder.zero_grad()
        encoder(text.values, attention_mask=text.mask.long()).last_hidden_state.square().mean().backward()
        synchronise(device)
        marks.append(clock(device))
    return (marks[-1] - marks[0]) / (len(marks) - 1)


@torch.no_grad()
def read(teacher: torch.nn.Module, batches: list[Batch], device: str) -> float:
    """Seconds of the teacher's forward pass."""
    marks = []
    for batch in batches:
        text = batch.to(torch.device(device)).inputs["text"]
        teacher(text.values.clamp(max=30521), attention_mask=text.mask.long())
        synchronise(device)
        marks.append(clock(device))
    return (marks[-1] - marks[0]) / (len(marks) - 1)


def clock(device: str) -> float:
    """Seconds of the wall, or of this process where it computes itself."""
    return time.perf_counter() if device.startswith("cuda") else time.process_time()


def synchronise(device: str) -> None:
    """Wait for a GPU."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
