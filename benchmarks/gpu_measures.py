"""The steps (b), (c) and (d) of `gpu.py`."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from train import bert, first_clips, floor, mosi_shaped, ours, peak, plain, synchronise, utilisation

from featzoo.devices import facts_of, float32_products, settings_for
from featzoo.extractors.audio.speech import Hubert
from featzoo.extractors.audio.speech_pieces import Piece
from featzoo.extractors.precision import DTYPES
from featzoo.extractors.text.bert import Bert
from featzoo.extractors.vision.batches import Pictures
from featzoo.extractors.vision.cnn import ResNet50
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.weights.imports import torchvision_module, transformers_module
from featzoo.zoo.head import make_head
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.training.evaluation import evaluate, evaluation_batch

if TYPE_CHECKING:
    from gpu import Row, Sizes

SECONDS_OF_SOUND = 10
FRAMES_A_SECOND = 25


def training(sizes: Sizes) -> list[Row]:
    """(b) An epoch of PSA-MF against the released structure and against its encoder; an evaluation."""
    from gpu import Row

    rows, device = [], sizes.device
    precision = settings_for(facts_of(device)).precision
    with tempfile.TemporaryDirectory() as folder:
        encoder = bert(Path(folder), sizes.encoder)
        for name, clips, widths in (("MOSI", sizes.mosi, (20, 5)), ("MOSEI", sizes.mosei, (35, 74))):
            split, tokens = mosi_shaped(clips, folder, *widths)
            mine = ours(split, sizes.batch, device, "auto")[0]
            # The released code trains in 32 bit, with an encoder of BERT-base's size.
            theirs = plain(split, sizes.batch, device, "fp32", sizes.encoder)[0]
            alone = floor(split, sizes.batch, device, precision, sizes.encoder)[0]
            work = 6 * sum(p.numel() for p in encoder.encoder.parameters()) * tokens / mine
            seconds = {"featzoo s": mine, "released s": theirs, "encoder s": alone, "precision": precision}
            share = {"of the measured matmul rate": work / peak(device, precision)}
            rows += [
                Row("b", f"PSA-MF, {name}-sized: times faster than the released structure", theirs / mine, 3.0,
                    detail=seconds),
                Row("b", f"PSA-MF, {name}-sized: share of the encoder's own speed", alone / mine, 0.6, detail=share),
            ]  # fmt: skip
        recipe = find_recipe("psa-mf.published")
        test = first_clips(split, min(len(split), sizes.evaluated))
        head = make_head("psa-mf", recipe.options, split.specs, 1).to(device)
        stage, size = head.stages[-1], evaluation_batch(sizes.batch, torch.device(device))
        evaluate(head, first_clips(test, 2), size, torch.device(device), stage)
        seconds_ = seconds_of(lambda: evaluate(head, test, size, torch.device(device), stage), device, 1)
        rows.append(Row("b", f"evaluation of {len(test)} clips, seconds", seconds_, 5.0, most=True))
    return rows


def forward(sizes: Sizes) -> list[Row]:
    """(c) Extractors in full batches against their bare networks on data in device memory."""
    with tempfile.TemporaryDirectory() as folder:
        ways = [_resnet(sizes), _bert(sizes, Path(folder) / "bert"), _hubert(sizes, Path(folder) / "hubert")]
        return [row for way in ways for row in _compared(sizes, *way)]


def _compared(sizes: Sizes, name: str, encode: Callable[[], Any], bare: Callable[[], Any], unit: str, count: int):
    from gpu import Row

    encode(), bare()
    floor_seconds = seconds_of(bare, sizes.device, sizes.rounds)
    with utilisation(sizes.device) as busy, float32_products(sizes.device):
        seconds = seconds_of(encode, sizes.device, sizes.rounds)
    detail = {f"{unit}/s": count / seconds, f"bare {unit}/s": count / floor_seconds}
    rows = [Row("c", f"{name}: share of the bare forward pass", floor_seconds / seconds, 0.9, detail=detail)]
    if busy:
        rows.append(Row("c", f"{name}: GPU utilisation, percent", statistics.median(busy), 85.0))
    return rows


def half(sizes: Sizes) -> str:
    """The precision that a user would ask for on the device."""
    return settings_for(facts_of(sizes.device)).precision


def _resnet(sizes: Sizes):
    extractor = ResNet50(weights="random", precision=half(sizes), batch_size=256 if sizes.device != "cpu" else 2)
    images = torch.randint(0, 256, (sizes.images, 3, 224, 224), dtype=torch.uint8)
    samples = [Pictures(part, np.zeros((len(part), 2))) for part in images.split(32)]
    network = bare_resnet().to(sizes.device, dtype_of(sizes), memory_format=torch.channels_last).eval()
    ready = torch.randn(min(len(images), extractor.batch_size), 3, 224, 224, device=sizes.device, dtype=dtype_of(sizes))
    ready = ready.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def bare() -> None:
        for _ in range(-(-len(images) // len(ready))):
            network(ready)

    return "ResNet-50", lambda: extractor.encode(samples, sizes.device), bare, "images", len(images)


def bare_resnet():
    """torchvision's ResNet-50 with random weights."""
    return torchvision_module().models.resnet50(weights=None)


def dtype_of(sizes: Sizes) -> torch.dtype:
    """torch's type of the precision."""
    return getattr(torch, DTYPES[half(sizes)])


def _bert(sizes: Sizes, folder: Path):
    write_bert(folder, sizes.encoder)
    words = np.array([f"w{number}" for number in range(1000)])
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, n)) for n in rng.integers(40, 126, sizes.texts)]
    extractor = Bert(model=str(folder), precision=half(sizes), batch_size=256)
    samples = [s for n, text in enumerate(texts) for s in extractor.load(Clip(f"{n}", words=words_of(text, 0.0, 9.0)))]
    # The bare network reads batches of texts of the same lengths, with only as much padding.
    lengths = sorted(len(ids) for sample in samples for ids in sample.passes())
    network = bert(None, sizes.encoder).to(sizes.device, dtype_of(sizes)).eval()
    batches = [
        torch.ones(len(part), max(part), dtype=torch.int64, device=sizes.device)
        for part in (lengths[start : start + 256] for start in range(0, len(lengths), 256))
    ]

    @torch.inference_mode()
    def bare() -> None:
        for ids in batches:
            network(ids, attention_mask=torch.ones_like(ids))

    return "BERT-base", lambda: extractor.encode(samples, sizes.device), bare, "tokens", sum(lengths)


def write_bert(folder: Path, size: str) -> None:
    """A BERT of random weights, with a tokenizer of made words."""
    folder.mkdir(parents=True)
    bert(folder, size)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join([*special, *(f"w{n}" for n in range(30522 - len(special)))]) + "\n")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')
    transformers = transformers_module()
    transformers.AutoTokenizer.from_pretrained(str(folder)).save_pretrained(folder)


def _hubert(sizes: Sizes, folder: Path):
    write_hubert(folder, small=sizes.device == "cpu")
    extractor = Hubert(model=str(folder), precision=half(sizes), batch_seconds=320.0)
    rng, frames = np.random.default_rng(0), 50 * SECONDS_OF_SOUND - 1
    sound = rng.normal(size=16000 * SECONDS_OF_SOUND).astype(np.float32)
    samples = [Piece(sound, 0, frames, np.zeros((frames, 2))) for _ in range(sizes.sounds)]
    transformers = transformers_module()
    network = transformers.AutoModel.from_pretrained(str(folder)).to(sizes.device, dtype_of(sizes)).eval()
    each = min(sizes.sounds, 320 // SECONDS_OF_SOUND)
    ready = torch.from_numpy(sound).to(sizes.device, dtype_of(sizes)).expand(each, -1)

    @torch.inference_mode()
    def bare() -> None:
        for _ in range(-(-sizes.sounds // each)):
            network(ready)

    seconds = sizes.sounds * SECONDS_OF_SOUND
    return "HuBERT-base", lambda: extractor.encode(samples, sizes.device), bare, "seconds of sound", seconds


def write_hubert(folder: Path, small: bool) -> None:
    """A HuBERT of random weights, with its preprocessor's settings."""
    transformers = transformers_module()
    changes = {"num_hidden_layers": 1, "hidden_size": 48, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.HubertConfig(**(changes if small else {}))
    transformers.HubertModel(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)


def end_to_end(sizes: Sizes) -> list[Row]:
    """(d) `feat extract` with four extractors, against decoding alone and against the networks alone."""
    from gpu import Row

    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        write_videos(top / "videos", sizes)
        write_bert(top / "bert", sizes.encoder)
        write_hubert(top / "hubert", small=sizes.device == "cpu")
        precision = f"precision={half(sizes)}"
        networks = [
            f"resnet50[weights=random,rate={FRAMES_A_SECOND},{precision}]",
            f"hubert[model={top / 'hubert'},{precision}]",
            f"bert[model={top / 'bert'},{precision}]",
        ]  # fmt: skip
        # The frames as they are, thumbnails of them: nothing but decoding.
        decoding = [f"frames[rate={FRAMES_A_SECOND},height=8,width=8]"]
        ways = {"all": [*networks, "egemaps"], "networks": networks, "egemaps": ["egemaps"], "decoding": decoding}
        seconds = {way: _extracted(top, way, requests, sizes) for way, requests in ways.items()}
    frames = sizes.videos * sizes.seconds * FRAMES_A_SECOND
    limit = max((way for way in ways if way != "all"), key=seconds.__getitem__)
    detail = {f"{way} s": value for way, value in seconds.items()} | {"limit": limit}
    return [
        Row("d", f"feat extract of {sizes.videos} clips, frames/s", frames / seconds["all"], None, detail=detail),
        Row("d", f"its share of the speed of its slowest part ({limit})", seconds[limit] / seconds["all"], 0.9),
    ]


def _extracted(top: Path, way: str, requests: list[str], sizes: Sizes) -> float:
    """Seconds of a `feat extract` into a store of its own."""
    command = [sys.executable, "-c", "from featzoo.cli import feat; feat()", "extract", str(top / "videos")]
    command += ["-x", ",".join(requests), "--store", str(top / way), "--device", sizes.device]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"feat extract failed:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started


def write_videos(folder: Path, sizes: Sizes) -> None:
    """One video with sound and a transcript, under many names: what a clip costs does not depend on the others."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from conftest import moving_picture, tone, write_video

    folder.mkdir()
    first, width = folder / "clip0000.mp4", 16 * sizes.height // 9 // 2 * 2
    write_video(
        first, sizes.seconds * FRAMES_A_SECOND, FRAMES_A_SECOND, sound=(tone(sizes.seconds), 16000),
        picture=lambda number: moving_picture(number, sizes.height, width),
    )  # fmt: skip
    for number in range(sizes.videos):
        path = folder / f"clip{number:04d}.mp4"
        if number:
            shutil.copy(first, path)
        path.with_suffix(".txt").write_text(" ".join(f"w{(number + n) % 1000}" for n in range(12)))


def seconds_of(work: Callable[[], Any], device: str, rounds: int) -> float:
    """Seconds of the wall, the median of some rounds."""
    found = []
    for _ in range(rounds):
        synchronise(device)
        started = time.perf_counter()
        work()
        synchronise(device)
        found.append(time.perf_counter() - started)
    return statistics.median(found)
