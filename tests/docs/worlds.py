"""What lies in the folder in which each how-to page is typed, and how its commands differ and end there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from docs import corpora, corpus_worlds
from docs.reader import type_in
from docs.stock import Stock


@dataclass(frozen=True)
class World:
    """The surroundings of a page.

    Attributes:
        make: Fills the current folder.
        more: Words that are added to commands, by their beginning; `URL` is the address of a translating server.
        status: Exit status of commands that do not end with 0, by their beginning.
        slow: Steps that only the slow tests run, by their beginning.
    """

    make: Callable[[Stock], None]
    more: dict[str, str] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    slow: tuple[str, ...] = ()


def nothing(stock: Stock) -> None:
    pass


def videos(stock: Stock) -> None:
    stock.copy("videos", "videos")


def features(stock: Stock) -> None:
    stock.copy("store", "features")


def features_and_videos(stock: Stock) -> None:
    videos(stock)
    features(stock)


def videos_and_weights(stock: Stock) -> None:
    videos(stock)
    stock.copy("weights", "weights")


def mosi(stock: Stock) -> None:
    stock.copy("store", "mosi")


def mosi_and_runs(stock: Stock) -> None:
    features_and_videos(stock)
    mosi(stock)
    alone = [f"{name}-1" for name in ("psa-mf", "lf-dnn", "mult", "tfn", "text-alone")]
    seeds = [f"{name}-seeds/s{seed}" for name in ("psa-mf", "text-alone") for seed in (1, 2)]
    pairs = [f"{side}-s{seed}" for side in "ab" for seed in (1111, 1112)]
    for name in (*alone, *seeds, *pairs, "their-run"):
        stock.copy("run", Path("runs") / name)
    shutil.copy("videos/clip12.mp4", "clip.mp4")
    shutil.copy("videos/clip12.txt", "clip.txt")
    shutil.copy(stock.get("voices") / "01_anger_1.wav", "clip.wav")
    stock.copy("store", "other")


def reports(stock: Stock) -> None:
    mosi_and_runs(stock)
    stock.copy("folds", Path("runs") / "svm-folds")


def the_zoo(stock: Stock) -> None:
    mosi_and_runs(stock)
    corpora.first_impressions("FirstImpressionsV2")


def voices_store(stock: Stock) -> None:
    stock.copy("voices-store", "features")


def some_voices(stock: Stock, folder: str, number: int) -> list[Path]:
    """The first recordings of each class and speaker that `feat example emotions` makes."""
    Path(folder).mkdir()
    every = sorted(stock.get("voices").glob("*.wav"))
    return [Path(shutil.copy(path, folder)) for path in every[:: len(every) // number]]


def a_store_beside_others(stock: Stock) -> None:
    voices = some_voices(stock, "clips", 12)
    (Path("clips") / "old").mkdir()
    for path in voices[:2]:
        path.rename(Path("clips") / "old" / path.name)
    type_in("feat extract clips -x egemaps -o features -j 1")
    type_in("feat label features --pattern '{speaker}_{emotion}_{take}.wav'")
    shutil.copytree("features", "../colleague/features")
    shutil.copytree("features", "elsewhere")
    voices[-1].unlink()


def to_predict(stock: Stock) -> None:
    mosi_and_runs(stock)
    shutil.copy("clip.wav", "interview.wav")
    for path in sorted(Path("videos").iterdir()):
        if path.stem not in ("clip10", "clip12"):
            path.unlink()
    for name in ("psa-mf-s1111", "strong-s1111"):
        stock.copy("run", Path("runs") / name)


WORLDS = {
    "add-a-head.md": World(features),
    "add-an-extractor.md": World(videos, more={"PYTHONPATH=. feat extract": "-j 1"}),
    "align.md": World(videos, status={"feat align": 1}),
    "augment.md": World(corpus_worlds.essays_to_translate, more={"zoo augment": "--endpoint URL --yes"}),
    "care-for-a-store.md": World(a_store_beside_others),
    "classes.md": World(
        corpus_worlds.classes,
        status={"zoo audit features svm --set": 1},
        slow=(
            "feat extract clips/ --for tfn",
            "zoo train tfn",
            "zoo train svm --folds",
            "zoo train mlp",
            "feat explore",
        ),
    ),
    "clusters.md": World(videos, more={"feat extract": "-j 1 -x quality"}),
    "datasets.md": World(
        corpus_worlds.datasets,
        more={
            f"zoo train {head} --store {corpus}": f"--runs {corpus}-runs"
            for head in ("svm", "linear")
            for corpus in ("ravdess", "crema-d", "iemocap", "savee", "tess", "esd")
        },
        slow=("zoo train", "feat extract"),
    ),
    "exchange.md": World(corpus_worlds.exchange),
    "export-a-head.md": World(mosi_and_runs, slow=("zoo export", "import json")),
    "gpus.md": World(mosi),
    "personality-texts.md": World(corpus_worlds.personality_texts, slow=("zoo probe-leakage",)),
    "predict.md": World(to_predict),
    "read-a-report.md": World(reports),
    "robustness.md": World(mosi_and_runs),
    "run-the-zoo.md": World(
        the_zoo,
        slow=("zoo ablate", "zoo layers", "zoo train psa-mf --store mosi --seeds"),
    ),
    "shell-completion.md": World(nothing),
    "split-clips.md": World(voices_store),
    "train-fast.md": World(mosi),
    "train-your-own-model.md": World(features),
    "transcribe.md": World(videos),
    "transcripts.md": World(corpus_worlds.transcripts, more={"feat extract videos/": "-x quality"}),
    "tune.md": World(mosi_and_runs),
    "weights.md": World(videos_and_weights),
}
