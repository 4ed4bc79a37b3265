"""`bert`: tokens/s beside the bare encoder on length-sorted batches, and beside batches in the order of the clips.

    OMP_NUM_THREADS=1 python benchmarks/text.py [--rounds 3] [--texts 2199] [--workers 1]

Ours is all that a worker does with a clip but for the disk, in the tasks that `feat extract` makes for so many
workers: tokenise, gather windows across clips, sort, encode, one sequence with times for each clip. The others are
given token ids and do nothing but forward passes in batches of the same size: the floor has all texts sorted by
length, the peer takes them as they come and pads. Text: the transcripts of CMU-MOSI in ../shared/data (or made ones of
like lengths), `bert.minilm`. CPU seconds of one thread: the wall would time whoever shares the machine. The three take
turns; ratios are medians over rounds.
"""

import argparse
import contextlib
import csv
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from featzoo.extraction.batching import Window
from featzoo.extraction.engines import _chunks
from featzoo.extractors.contract import make_extractor
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of

DATA = Path(os.environ.get("FEATZOO_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
OF_FLOOR, OF_PEER = 0.9, 2.0


def transcripts(count):
    file = DATA / "mosi" / "mertools_cmumosi_transcription-engchi-polish.csv"
    if file.is_file():
        with file.open(encoding="utf-8") as rows:
            return "CMU-MOSI's", [row["english"].lower() for row in csv.DictReader(rows)][:count]
    random = np.random.default_rng(0)
    words = np.array(["so", "the", "film", "was", "really", "not", "very", "good", "and", "unbelievable"])
    lengths = np.maximum(1, random.lognormal(2.2, 0.7, count).astype(int))  # MOSI: 12 words, up to 110
    return "made", [" ".join(random.choice(words, n)) for n in lengths]


def ours(extractor, tasks):
    """As workers do it: a window is flushed at the end of its task."""
    done = []
    window = Window(
        extractor, "cpu", lambda _: contextlib.nullcontext(), lambda name, found: done.append(len(found)), print
    )
    for clips in tasks:
        for clip in clips:
            for sample in extractor.load(clip):
                window.put(clip.id, sample)
            window.end(clip.id)
        window.flush()
    return sum(done)


def bare(model, ids, size):
    import torch

    tokens = 0
    for start in range(0, len(ids), size):
        batch = ids[start : start + size]
        length = max(map(len, batch))
        padded = torch.zeros(len(batch), length, dtype=torch.int64)  # (B, T)
        mask = torch.zeros(len(batch), length, dtype=torch.int64)  # (B, T)
        for row, own in enumerate(batch):
            padded[row, : len(own)] = torch.from_numpy(own)
            mask[row, : len(own)] = 1
        with torch.inference_mode():
            model(input_ids=padded, attention_mask=mask)
        tokens += sum(map(len, batch))
    return tokens


def rate(function, *given):
    begin = time.process_time()
    tokens = function(*given)
    return tokens / (time.process_time() - begin)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--texts", type=int, default=2199)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    import torch

    from featzoo.weights.imports import transformers_module

    torch.set_num_threads(1)
    extractor = make_extractor("bert.minilm")
    kind, texts = transcripts(options.texts)
    clips = [Clip(str(n), words=words_of(text, 0.0, 5.0)) for n, text in enumerate(texts) if text.split()]
    ids = [next(extractor.load(clip)).ids for clip in clips]
    inorder = sorted(ids, key=len)
    model = transformers_module().AutoModel.from_pretrained(str(_folder())).eval()
    size = extractor.batch_size
    tasks = _chunks(clips, options.workers, texts=True)
    ours(extractor, [clips[:64]])
    bare(model, ids[:64], size)
    lengths = [len(own) for own in ids]
    print(f"{len(ids)} {kind} transcripts, {np.mean(lengths):.1f} tokens (at most {max(lengths)}), batches of {size}")
    print(f"tasks for {options.workers} workers: {', '.join(str(len(task)) for task in tasks[:5])} ... texts")
    rounds = []
    for _ in range(options.rounds):
        rounds.append((rate(ours, extractor, tasks), rate(bare, model, inorder, size), rate(bare, model, ids, size)))
        print(
            "tokens per CPU second: ours {:.0f}, bare and sorted {:.0f}, bare and unsorted {:.0f}".format(*rounds[-1])
        )
    for name, target, other in (("bare, sorted", OF_FLOOR, 1), ("bare, unsorted", OF_PEER, 2)):
        ratio = statistics.median(each[0] / each[other] for each in rounds)
        said = "PASS" if ratio >= target else "MISS"
        print(f"{ratio:.2f} of the rate of {name} (target {target}): {said}")
    print("load average {:.1f}, {:.1f}, {:.1f} of {} cores".format(*os.getloadavg(), os.cpu_count()))


def _folder():
    from featzoo.weights.locate import MINILM, locate

    return locate(MINILM)


if __name__ == "__main__":
    main()
