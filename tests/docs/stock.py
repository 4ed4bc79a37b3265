"""What the worlds of the pages are made of: stores and runs of the example data, each made once and then copied."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from conftest import EXAMPLES, make_bert

from docs.reader import type_in


class Stock:
    """Folders that pages need, made at the first request in the folder of the session.

    Stores of clips are extracted from the example clips, with a tiny BERT of random weights in place of
    bert-base-uncased, so that trainings take a second.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.weights = make_bert(folder / "weights" / "bert-base-uncased").parent
        shutil.copytree(self.weights / "bert-base-uncased", self.weights / "bert-base-chinese")

    def copy(self, name: str, to: str | Path) -> None:
        """Copy a thing of the stock to a place below the current folder."""
        shutil.copytree(self.get(name), to, dirs_exist_ok=True)

    def get(self, name: str) -> Path:
        """The folder of a thing of the stock."""
        place = self.folder / name
        if not place.exists():
            MAKERS[name](self.folder)
        return place


def videos(folder: Path) -> None:
    shutil.copytree(EXAMPLES, folder / "videos")


def clips_store(folder: Path) -> None:
    if not (folder / "videos").exists():
        videos(folder)
    sets = "egemaps,egemaps.functionals,bert,bert.ids,motion-energy"
    type_in(f"feat extract {folder / 'videos'} -x {sets} -o {folder / 'store'} -j 1")


def voices(folder: Path) -> None:
    """Each speaker's first take of each emotion."""
    type_in(f"feat example emotions -o {folder / 'voices'}")
    for path in (folder / "voices").glob("*_[23].wav"):
        path.unlink()


def voices_store(folder: Path) -> None:
    if not (folder / "voices").exists():
        voices(folder)
    type_in(f"feat extract {folder / 'voices'} -x egemaps.functionals -o {folder / 'voices-store'} -j 1")
    type_in(f"feat label {folder / 'voices-store'} --pattern '{{speaker}}_{{emotion}}_{{take}}.wav'")


def run(folder: Path) -> None:
    if not (folder / "store").exists():
        clips_store(folder)
    type_in(f"zoo train lf-dnn --store {folder / 'store'} --runs {folder / 'made'}")
    (made,) = (folder / "made").iterdir()
    made.rename(folder / "run")


def folds(folder: Path) -> None:
    if not (folder / "voices-store").exists():
        voices_store(folder)
    type_in(f"zoo train svm --store {folder / 'voices-store'} --runs {folder / 'made'} --folds 6")
    (folder / "made" / "svm-folds").rename(folder / "folds")


def essays(folder: Path) -> None:
    type_in(f"feat example essays -o {folder / 'essays'}")


def mosi(folder: Path) -> None:
    type_in(f"feat example mosi -o {folder / 'pickle'}")


def teacher(folder: Path) -> None:
    """A run on texts in five languages."""
    if not (folder / "essays").exists():
        essays(folder)
    type_in(f"feat import parallel {folder / 'essays' / 'toga.jsonl'} -o {folder / 'toga'}")
    type_in(f"feat extract -o {folder / 'toga'} -x word-numbers -j 1")
    type_in(f"zoo train tfidf --store {folder / 'toga'} --runs {folder / 'made-teacher'}")
    (made,) = (folder / "made-teacher").iterdir()
    made.rename(folder / "teacher")


MAKERS: dict[str, Callable[[Path], None]] = {
    "videos": videos, "store": clips_store, "voices": voices, "voices-store": voices_store, "run": run,
    "folds": folds, "essays": essays,
    "pickle": mosi, "teacher": teacher,
}  # fmt: skip
