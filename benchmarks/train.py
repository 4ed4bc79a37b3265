"""One epoch of PSA-MF at BERT-base size on a MOSI-shaped set: ours, and a plain loop of the released code's structure.

    OMP_NUM_THREADS=2 python benchmarks/train.py --clips 32        (a CPU: some minutes)
    python benchmarks/train.py --clips 1284 --batch 32 --device cuda --precision bf16

The plain loop runs a third BERT whose output it does not use, the personality BERT at every step, all texts padded to
50 tokens, both LSTMs over 500 steps and attention over all of them. Ours has the personality vectors in the store (they
are paid once; their seconds are printed), reads true lengths and batches clips of like length. Weights are random:
speed does not depend on them. The floor is the fused encoder's forward and backward pass alone on the same batches,
without any other module.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "zoo"))
from released_psa_mf import STEPS, Released

from featzoo.backends import transformers_module
from featzoo.zoo.batches import Counts, Split, Statistics
from featzoo.zoo.head import InputSpec, make_head
from featzoo.zoo.recipes import find_recipe
from featzoo.zoo.train import accelerator_on, seed_everything, train

TARGET = 2.5
PARAMETERS_LAYER = 12 * 768 * 768  # multiplications of one BERT-base layer for one token, but attention itself


def bert(folder: Path | None = None):
    """A BERT-base of random weights; saved if a folder is given."""
    transformers = transformers_module()
    config = transformers.BertConfig(vocab_size=30522)
    made = transformers.BertModel(config, add_pooling_layer=False)
    if folder:
        made.save_pretrained(folder)
    return made


def mosi_shaped(clips: int, model: str) -> tuple[Split, list[int]]:
    """Texts, sound and pictures with MOSI's lengths: words of mean 12, 10 s of 12.5 and 50 rows a second."""
    rng = np.random.default_rng(0)
    tokens = np.clip(rng.gamma(2.0, 7.5, clips).astype(int) + 2, 4, 50)
    vision, audio = (np.clip(rng.gamma(2.0, mean / 2, clips).astype(int) + 1, 1, STEPS) for mean in (40, 60))
    features = {
        "text": [rng.integers(1000, 30000, (n, 1)) for n in tokens],
        "personality": [rng.normal(size=(1, 768)).astype(np.float32) for _ in tokens],
        "vision": [rng.normal(size=(n, 20)).astype(np.float32) for n in vision],
        "audio": [rng.normal(size=(n, 5)).astype(np.float32) for n in audio],
    }
    specs = {
        "text": InputSpec(1, True, model),
        "personality": InputSpec(768),
        "vision": InputSpec(20),
        "audio": InputSpec(5),
    }
    targets = rng.uniform(-3, 3, (clips, 1))
    ids = tuple(f"clip{n}" for n in range(clips))
    return Split("train", ids, features, targets, specs, Statistics({}, {}), Counts(clips)), tokens.tolist()


def ours(split: Split, batch: int, device: str, precision: str) -> float:
    """Seconds of one epoch of `zoo train psa-mf`'s loop, dev left out."""
    recipe = find_recipe(
        "psa-mf", {"training.epochs": 1, "training.batch_size": batch, "training.precision": precision}
    )
    accelerator = accelerator_on(device, precision)
    seed_everything(0)
    head = make_head("psa-mf", recipe.options, split.specs, 1)
    marks: list[float] = []
    steps = -(-len(split) // batch)

    def step(done: int, total: int) -> None:
        if done in (1, steps):
            synchronise(device)
            marks.append(time.perf_counter())

    small = Split("valid", split.ids[:1], {k: v[:1] for k, v in split.features.items()}, split.targets[:1], split.specs,
                  split.statistics, Counts(1))  # fmt: skip
    train(head, split, small, recipe.training, accelerator, on_step=step)
    return (marks[1] - marks[0]) * steps / (steps - 1)


def plain(split: Split, batch: int, device: str, precision: str) -> float:
    """Seconds of one epoch of the released code's structure."""
    seed_everything(0)
    model = Released(bert(), bert().requires_grad_(False), 20, 5).to(device).train()
    unused = bert().to(device).train()
    optimizer = torch.optim.Adam(list(model.parameters()) + list(unused.parameters()), 1e-5, weight_decay=1e-4)
    marks = []
    order = np.random.default_rng(0).permutation(len(split))
    for start in range(0, len(split), batch):
        rows = order[start : start + batch]
        ids, mask = torch.zeros(len(rows), 50, dtype=torch.long), torch.zeros(len(rows), 50)
        padded, lengths = {}, {}
        for role, width in (("vision", 20), ("audio", 5)):
            padded[role] = torch.zeros(STEPS, len(rows), width)  # (500, B, D)
            lengths[role] = [len(split.features[role][i]) for i in rows]
            for column, i in enumerate(rows):
                padded[role][: lengths[role][column], column] = torch.from_numpy(split.features[role][i])
        for row, i in enumerate(rows):
            text = split.features["text"][i][:, 0]
            ids[row, : len(text)], mask[row, : len(text)] = torch.from_numpy(text), 1
        y = torch.from_numpy(split.targets[rows].astype(np.float32)).to(device)
        ids, mask = ids.to(device), mask.to(device)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16"):
            unused(ids, attention_mask=mask)
            arguments = padded["vision"].to(device), lengths["vision"], padded["audio"].to(device), lengths["audio"]
            _, terms, _ = model(ids, mask, *arguments, y)
            loss = sum(terms.values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        synchronise(device)
        marks.append(time.perf_counter())
    return (marks[-1] - marks[0]) * len(marks) / (len(marks) - 1)


def floor(split: Split, batch: int, device: str, precision: str) -> float:
    """Seconds of the encoder's forward and backward pass alone, on the batches that ours would make."""
    model = bert().to(device).train()
    order = np.argsort([len(t) for t in split.features["text"]], kind="stable")
    marks = []
    for start in range(0, len(split), batch):
        text = split.batch(order[start : start + batch]).inputs["text"]
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16"):
            out = model(text.values.to(device), attention_mask=text.mask.long().to(device)).last_hidden_state
        out.float().square().mean().backward()
        synchronise(device)
        marks.append(time.perf_counter())
    return (marks[-1] - marks[0]) * len(marks) / (len(marks) - 1)


def synchronise(device: str) -> None:
    """Wait for a GPU."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def main() -> None:
    """Print seconds, samples a second, ratios, peak memory and arithmetic."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["no", "bf16"], default="no")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bert(Path(folder))
        split, tokens = mosi_shaped(given.clips, folder)
        seconds = {
            name: measure(split, given.batch, given.device, given.precision)
            for name, measure in (("floor: encoder alone", floor), ("featzoo", ours), ("plain loop", plain))
        }
    print(f"PSA-MF, BERT-base, {given.clips} clips, batch {given.batch}, {given.device}, precision {given.precision}, "
          f"torch {torch.__version__}, {torch.get_num_threads()} threads")  # fmt: skip
    for name, took in seconds.items():
        print(f"  {name:22} {took:8.2f} s an epoch {given.clips / took:8.1f} clips/s")
    work = 6 * 12 * PARAMETERS_LAYER * sum(tokens)  # forward and backward: 6 operations a weight and token
    print(
        f"  arithmetic of the floor: {work / 1e9:.0f} G operations, {work / seconds['featzoo'] / 1e9:.1f} G/s reached"
    )
    print(f"  share of the floor reached: {seconds['floor: encoder alone'] / seconds['featzoo']:.2f}")
    if given.device.startswith("cuda"):
        print(f"  peak GPU memory: {torch.cuda.max_memory_allocated() / 1e9:.1f} GB")
    print(f"  peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")
    ratio = seconds["plain loop"] / seconds["featzoo"]
    print(f"times faster than the plain loop: {ratio:.2f} (target {TARGET}): {'PASS' if ratio >= TARGET else 'MISS'}")


if __name__ == "__main__":
    main()
