"""One epoch of PSA-MF at BERT-base size on a MOSI-shaped set: ours, and a plain loop of the released code's structure.

    python benchmarks/train.py                                        (a CPU of 4 cores: about 5 minutes)
    python benchmarks/train.py --clips 1284 --batch 32 --device cuda --precision bf16

The plain loop runs a third BERT whose output it does not use, the personality BERT at every step, all texts padded to
50 tokens, both LSTMs' outputs padded to 500 steps and attention over all of them. Ours has the personality vectors in
the store (they are paid once, and are not in these seconds), reads true lengths and batches clips of like length. Dev
is left out of both. Weights are random: speed does not depend on them.

The floor is the forward and backward pass of the encoder alone, on the batches of like length that ours makes, without
optimiser, padding, LSTMs, attention and losses: no loop that trains this encoder on these texts does less. Its
arithmetic is 6 operations for each weight of the layers and token; the peak is a large product of matrices at the same
precision in the same run.

The ways take turns; the figures are medians of the rounds. Seconds of the wall decide. On a CPU those of its cores are
printed too: other work on the machine does not count there, waiting threads do.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "zoo" / "heads"))
from released_psa_mf import STEPS, Released

from featzoo.weights.imports import transformers_module
from featzoo.zoo.data.split import Counts, Split, Statistics
from featzoo.zoo.head import make_head
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.training.loop import accelerator_on, seed_everything, train

TARGET = 2.5
WARM_UP = 2  # clips


SIZES = {"base": {}, "minilm": {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}}


def bert(folder: Path | None = None, size: str = "base"):
    """A BERT of random weights; saved if a folder is given."""
    transformers = transformers_module()
    config = transformers.BertConfig(vocab_size=30522, **SIZES[size])
    made = transformers.BertModel(config, add_pooling_layer=False)
    if folder:
        made.save_pretrained(folder)
    return made


def mosi_shaped(clips: int, model: str, pictures: int = 20, sound: int = 5) -> tuple[Split, int]:
    """Texts, sound and pictures of about MOSI's lengths in the released features, and the texts' tokens."""
    rng = np.random.default_rng(0)
    wide = json.loads((Path(model) / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    tokens = np.clip(rng.gamma(2.0, 7.5, clips).astype(int) + 2, 4, 50)
    vision, audio = (np.clip(rng.gamma(2.0, mean / 2, clips).astype(int) + 1, 1, STEPS) for mean in (40, 60))
    features = {
        "text": [rng.integers(1000, 30000, (n, 1)) for n in tokens],
        "personality": [rng.normal(size=(1, wide)).astype(np.float32) for _ in tokens],
        "vision": [rng.normal(size=(n, pictures)).astype(np.float32) for n in vision],
        "audio": [rng.normal(size=(n, sound)).astype(np.float32) for n in audio],
    }
    specs = {
        "text": InputSpec(1, True, model),
        "personality": InputSpec(wide),
        "vision": InputSpec(pictures),
        "audio": InputSpec(sound),
    }
    targets = rng.uniform(-3, 3, (clips, 1))
    ids = tuple(f"clip{n}" for n in range(clips))
    return Split("train", ids, features, targets, specs, Statistics({}, {}), Counts(clips)), int(tokens.sum())


def ours(split: Split, batch: int, device: str, precision: str) -> tuple[float, float]:
    """Wall and CPU seconds of an epoch of `psa-mf.published` in our loop, the second of two; dev is a single clip."""
    changes = {"training.epochs": 2, "training.batch_size": batch, "training.precision": precision}
    recipe = find_recipe("psa-mf.published", changes)
    accelerator = accelerator_on(device, precision)
    seed_everything(0)
    head = make_head("psa-mf", recipe.options, split.specs, 1)
    steps, marks = -(-len(split) // batch), []

    def step(done: int, total: int) -> None:
        if done in (steps, 2 * steps):
            synchronise(device)
            marks.append((time.perf_counter(), time.process_time()))

    train(head, split, first_clips(split, 1), recipe.training, accelerator, on_step=step)
    return marks[1][0] - marks[0][0], marks[1][1] - marks[0][1]


def plain(split: Split, batch: int, device: str, precision: str, size: str = "base") -> tuple[float, float]:
    """Wall and CPU seconds of an epoch of the released code's structure, after a step to warm up."""
    seed_everything(0)
    widths = split.specs["vision"].width, split.specs["audio"].width
    model = Released(bert(None, size), bert(None, size).requires_grad_(False), *widths).to(device).train()
    unused = bert(None, size).to(device).train()
    optimizer = torch.optim.Adam(list(model.parameters()) + list(unused.parameters()), 1e-5, weight_decay=1e-4)

    def epoch(split: Split) -> None:
        order = np.random.default_rng(0).permutation(len(split))
        for start in range(0, len(split), batch):
            rows = order[start : start + batch]
            ids, mask = torch.zeros(len(rows), 50, dtype=torch.long), torch.zeros(len(rows), 50)
            padded, lengths = {}, {}
            for role, width in zip(("vision", "audio"), widths, strict=True):
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
                given = padded["vision"].to(device), lengths["vision"], padded["audio"].to(device), lengths["audio"]
                _, terms, _ = model(ids, mask, *given, y)
                loss = sum(terms.values())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        synchronise(device)

    epoch(first_clips(split, WARM_UP))
    return timed(lambda: epoch(split))


def floor(split: Split, batch: int, device: str, precision: str, size: str = "base") -> tuple[float, float]:
    """Wall and CPU seconds of the encoder's forward and backward pass alone, on the batches that ours would make."""
    model = bert(None, size).to(device).train()

    def epoch(split: Split) -> None:
        order = np.argsort([len(t) for t in split.features["text"]], kind="stable")
        for start in range(0, len(split), batch):
            text = split.batch(order[start : start + batch]).inputs["text"]
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16"):
                out = model(text.values.to(device), attention_mask=text.mask.long().to(device)).last_hidden_state
            model.zero_grad()
            out.float().square().mean().backward()
        synchronise(device)

    epoch(first_clips(split, WARM_UP))
    return timed(lambda: epoch(split))


def peak(device: str, precision: str) -> float:
    """Operations a second of a product of two large matrices: the best of five."""
    size = 8192 if device.startswith("cuda") else 2048
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    seconds = []
    for _ in range(6):
        started = time.perf_counter()
        a @ a
        synchronise(device)
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds[1:])


def first_clips(split: Split, count: int) -> Split:
    """The first clips alone."""
    features = {role: arrays[:count] for role, arrays in split.features.items()}
    return replace(split, ids=split.ids[:count], features=features, targets=split.targets[:count], counts=Counts(count))


def timed(work) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def synchronise(device: str) -> None:
    """Wait for a GPU."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


@contextlib.contextmanager
def utilisation(device: str) -> Iterator[list[float]]:
    """The GPU's utilisation in percent, asked of nvidia-smi about five times a second while the block runs."""
    found: list[float] = []
    over = threading.Event()
    ask = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]

    def watch() -> None:
        while not over.wait(0.2):
            done = subprocess.run(ask, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                found.append(float(done.stdout.splitlines()[0]))

    watcher = threading.Thread(target=watch, daemon=True)
    if device.startswith("cuda") and shutil.which("nvidia-smi"):
        watcher.start()
    yield found
    over.set()


def main() -> None:
    """Print seconds, clips a second, ratios, peak memory and arithmetic."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    given = parser.parse_args()
    how = given.batch, given.device, given.precision
    ways = {"floor: encoder alone": floor, "featzoo": ours, "plain loop": plain}
    took = {name: [] for name in ways}
    memory, gpu_memory, busy = {}, {}, []
    with tempfile.TemporaryDirectory() as folder:
        bert(Path(folder))
        split, tokens = mosi_shaped(given.clips, folder)
        for _ in range(given.rounds):
            for name, way in ways.items():
                if given.device.startswith("cuda"):
                    torch.cuda.reset_peak_memory_stats()
                with utilisation(given.device if way is ours else "") as seen:
                    took[name].append(way(split, *how))
                busy += seen
                print(f"{name}: {took[name][-1][0]:.2f} s, {took[name][-1][1]:.2f} CPU s", flush=True)
                # The highest so far, of the process: a way's own only if it needs more than those before it.
                memory.setdefault(name, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
                if given.device.startswith("cuda"):
                    gpu_memory[name] = torch.cuda.max_memory_allocated()
    wall, cpu = ({name: statistics.median(t[i] for t in times) for name, times in took.items()} for i in (0, 1))
    ratios = [statistics.median(p[i] / o[i] for p, o in zip(took["plain loop"], took["featzoo"], strict=True))
              for i in (0, 1)]  # fmt: skip
    print(f"PSA-MF, BERT-base, {given.clips} clips, batches of {given.batch}")
    print(f"{given.device}, precision {given.precision}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"medians of {given.rounds} rounds:")
    for name in ways:
        on_gpu = f", {gpu_memory[name] / 1e9:.1f} GB of the GPU" if name in gpu_memory else ""
        print(
            f"  {name:22} {wall[name]:7.2f} s an epoch, {given.clips / wall[name]:7.1f} clips/s, "
            f"{cpu[name]:7.2f} CPU s, peak memory so far {memory[name] / 1e9:.1f} GB{on_gpu}"
        )
    layers = sum(p.numel() for p in bert().encoder.parameters())
    work, most = 6 * layers * tokens, peak(given.device, given.precision)
    print(f"  peak arithmetic {most / 1e9:.0f} G operations/s; the epoch's {work / 1e9:.0f} G operations: "
          f"featzoo reaches {100 * work / wall['featzoo'] / most:.0f} % of the peak, "
          f"the floor {100 * work / wall['floor: encoder alone'] / most:.0f} %")  # fmt: skip
    print(f"  share of the floor's speed: {wall['floor: encoder alone'] / wall['featzoo']:.2f}")
    if busy:
        print(f"  GPU utilisation while featzoo trains, median: {statistics.median(busy):.0f} %")
    print(f"  times faster by CPU seconds: {ratios[1]:.2f}")
    verdict = "PASS" if ratios[0] >= TARGET else "MISS"
    print(f"times faster than the plain loop: {ratios[0]:.2f} (target {TARGET}): {verdict}")


if __name__ == "__main__":
    main()
