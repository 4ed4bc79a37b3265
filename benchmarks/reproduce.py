"""Import and an epoch of `zoo reproduce psa-mf --only mosei` at CMU-MOSEI's true size: seconds and peak memory.

A made file with the keys, shapes and types of MMSA's `aligned_50.pkl` for CMU-MOSEI (22,856 segments, 4 GB) is written
to the working folder once and imported; PSA-MF with a tiny text encoder trains for an epoch on it. Each part runs in a
process of its own, and its figures are kept: a stopped run continues. Own memory is that of the process without pages
of files, which the system may drop.

Exit status 1 if the import takes more than 1.5 times the file's size of own memory, or training more than 4 GB.

    python benchmarks/reproduce.py WORK
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import figures
import numpy as np

SPLITS = {"train": 16326, "valid": 1871, "test": 4659}
STEPS, WIDTHS = 50, {"text": 768, "audio": 74, "vision": 35}
WORDS = ("the", "film", "was", "good", "bad", "so", "very", "fine", "not", "and", "i", "think", "that", "people")
PARTS = ("import", "train")
MODEL, TOKEN = "bert-base-uncased", 2000
GB = 1e9
# Runs one part in a process of its own and prints its seconds and memory.
PROGRAM = """
import json, sys, threading, time
from pathlib import Path
from featzoo.zoo.reproduce.imports import Files
from featzoo.zoo.reproduce.paper import find_paper
from featzoo.zoo.reproduce.readiness import readiness
from featzoo.zoo.reproduce.run import Listener, RowRun

def status(key):
    return int(Path("/proc/self/status").read_text().split(key + ":")[1].split()[0]) * 1024

own = 0
def watch():
    global own
    while True:
        own = max(own, status("RssAnon"))
        time.sleep(0.1)

threading.Thread(target=watch, daemon=True).start()
part, work = sys.argv[1], Path(sys.argv[2])
row, place = find_paper("psa-mf").rows["mosei"], work / "out"
changes = {"training.epochs": 1, "options.hidden": 12, "options.wide": 64, "inputs.personality.features": []}
run = RowRun(row, place, 1, "cpu", 1, {}, Listener(line=lambda text: print(text, file=sys.stderr)))
started = time.perf_counter()
if part == "import":
    run.import_files(readiness(row, Files(work / "data"), place))
else:
    from featzoo.zoo.runs.trials import run_trials
    run_trials(row.recipe, run.store, place / "runs", {"full model": changes}, [1111], "cpu")
print(json.dumps({"seconds": time.perf_counter() - started, "cpu": time.process_time(), "own": own,
                  "peak": status("VmHWM")}))
"""


def write_pickle(path: Path) -> None:
    """The made file: random features of random lengths, padded with zeros, and sentences of a few words."""
    rng = np.random.default_rng(0)
    content: dict[str, dict[str, Any]] = {}
    for split, number in SPLITS.items():
        lengths = rng.integers(5, STEPS + 1, number)
        shown = np.arange(STEPS)[None, :] < lengths[:, None]  # (N, T)
        made: dict[str, Any] = {
            "raw_text": [" ".join(rng.choice(WORDS, max(1, length - 2))) for length in lengths.tolist()],
            "id": [f"{split}{n // 7:05d}$_${n % 7}" for n in range(number)],
            "regression_labels": rng.uniform(-3, 3, number).astype(np.float32),
            "text_bert": np.stack([np.where(shown, TOKEN, 0), shown, np.zeros_like(shown)], 1).astype(np.int64),
        }
        made["classification_labels"] = np.sign(made["regression_labels"]) + 1
        for key, width in WIDTHS.items():
            made[key] = rng.standard_normal((number, STEPS, width), np.float32) * shown[:, :, None]
        content[split] = made
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        pickle.dump(content, file, protocol=4)
    temporary.rename(path)


def write_model(folder: Path) -> None:
    """A tiny encoder under the name of that whose token ids the file holds."""
    from featzoo.weights.imports import transformers_module

    transformers = transformers_module()
    config = transformers.BertConfig(
        vocab_size=TOKEN + 1, hidden_size=24, num_hidden_layers=3, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=128,
    )  # fmt: skip
    transformers.BertModel(config).save_pretrained(folder / MODEL)


def measured(part: str, work: Path) -> dict[str, float]:
    """Seconds and bytes of one part; kept in the working folder."""
    noted = work / f"{part}.json"
    if not noted.is_file():
        env = {**os.environ, "FEATZOO_WEIGHTS": str(work / "weights")}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, part, str(work)], env=env, stdout=subprocess.PIPE, text=True, check=True
        )
        noted.write_text(done.stdout.splitlines()[-1])
    found: dict[str, float] = json.loads(noted.read_text())
    return found


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="a folder with 10 GB of room")
    work = parser.parse_args().work
    file = work / "data" / "MOSEI" / "aligned_50.pkl"
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.is_file():
        write_pickle(file)
    if not (work / "weights").is_dir():
        write_model(work / "weights")
    size = file.stat().st_size
    found = {part: measured(part, work) for part in PARTS}
    for part, told in found.items():
        said = f"{told['cpu']:.0f} CPU-s; {told['peak'] / GB:.2f} GB with pages of files"
        figures.note(f"{part}, seconds", told["seconds"], said)
    detail = f"{sum(SPLITS.values()):,} segments, a file of {size / GB:.2f} GB"
    figures.verdict("import, own memory in files' sizes", found["import"]["own"] / size, 1.5, detail, most=True)
    figures.verdict("an epoch, own memory in GB", found["train"]["own"] / GB, 4, "", most=True)
    return 1 if figures.missed else 0


if __name__ == "__main__":
    sys.exit(main())
