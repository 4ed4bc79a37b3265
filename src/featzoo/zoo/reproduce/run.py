"""A row of a paper from the user's files: import, extract, train with several seeds, judge. A stopped one continues."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from featzoo.cache.store import FeatureStore
from featzoo.digests import ContentDigests
from featzoo.errors import FeatzooError
from featzoo.extraction.driver import Outcome, extract_all
from featzoo.extractors.contract import Extractor, make_extractor
from featzoo.wording import count
from featzoo.zoo.files import write_json
from featzoo.zoo.recipe import Recipe, find_recipe
from featzoo.zoo.reproduce.imports import run_import
from featzoo.zoo.reproduce.paper import FULL, Extraction, Row
from featzoo.zoo.reproduce.readiness import Readiness
from featzoo.zoo.runs.trials import Trial, run_trials

IMPORTS = "imports.json"


def _silent(*_: Any) -> None:
    pass


@dataclass(frozen=True)
class Listener:
    """Functions that are told about the progress.

    Attributes:
        line: Called with each line of text.
        trial: Called with each training as soon as it is finished or found finished.
        outcome: Called for each clip of each feature set.
    """

    line: Callable[[str], None] = _silent
    trial: Callable[[Trial], None] = _silent
    outcome: Callable[[Outcome], None] = _silent


@dataclass(frozen=True)
class RowRun:
    """A row in its folder.

    Attributes:
        row: The row.
        place: Its folder, with the store `features`, the trainings in `runs`, and `imports.json`.
        seeds: How many seeds.
        device: auto, cpu, cuda, cuda:N or mps.
        jobs: Worker processes of extraction; -1 uses every core.
        changes: The user's changes of the recipe.
        listener: Told about the progress.
    """

    row: Row
    place: Path
    seeds: int = 5
    device: str = "auto"
    jobs: int = -1
    changes: Mapping[str, Any] = field(default_factory=dict)
    listener: Listener = field(default_factory=Listener)

    @property
    def store(self) -> Path:
        """The feature store."""
        return self.place / "features"

    @property
    def recipe(self) -> Recipe:
        """The recipe with its changes."""
        return find_recipe(self.row.recipe, {**self.row.set, **self.changes})

    def run(self, ready: Readiness) -> list[Trial]:
        """Do what is not done yet.

        Args:
            ready: From `readiness`, with nothing missing.

        Returns:
            The trainings, variant by variant.

        Raises:
            FeatzooError: If files cannot be read, every clip of a feature set fails, or a training cannot run.
        """
        self.import_files(ready)
        self.extract(self.row.extract)
        if self.row.teacher is not None:
            self._teach()
        recipe, tell = self.recipe, self.listener.trial
        changes = {**self.row.set, **self.changes}
        wanted = {
            name: changes if name == FULL else {**changes, **recipe.ablations[name].set} for name in self.row.published
        }
        first = recipe.training.seed
        numbers = range(first, first + self.seeds)
        return run_trials(self.row.recipe, self.store, self.place / "runs", wanted, numbers, self.device, 1, tell)

    def import_files(self, ready: Readiness) -> None:
        """Run the imports that are not done.

        Raises:
            FeatzooError: If files are missing, cannot be read, or are not those that were imported before.
        """
        if ready.source is None:
            raise FeatzooError(f"{self.row.data}: its files are missing")
        done, cached = self._imported(), ContentDigests(self.place)
        digests = cached.of(ready.files)
        cached.save()
        for number, (step, file) in enumerate(zip(ready.source.steps, ready.files, strict=True)):
            this = [step.importer, digests.get(file, ""), str(file)]
            if number < len(done):
                self._check_same(done[number], this)
                continue
            self.listener.line(f"importing {file}")
            account = run_import(step, file, self.store, self.place / "unpacked")
            for line in account.lines():
                self.listener.line(f"    {line}")
            done.append(this)
            write_json(self.place / IMPORTS, done)

    def _imported(self) -> list[list[str]]:
        """The importer, digest and path of each finished import; without a record, everything is imported again."""
        try:
            return [[str(part) for part in one] for one in json.loads((self.place / IMPORTS).read_text("utf-8"))]
        except (OSError, ValueError, TypeError):
            return []

    def _check_same(self, done: Sequence[str], this: Sequence[str]) -> None:
        """Refuse a file with other contents: its clips would be mixed with those of the file before."""
        if list(done[:2]) != list(this[:2]):
            raise FeatzooError(
                f"{this[2]} is not the file that {self.store} was imported from ({done[-1]}, or its contents have "
                f"changed): write to another folder, or delete {self.place} to start again"
            )

    def extract(self, wanted: Sequence[Extraction]) -> None:
        """Extract feature sets, each of the clips that its pattern names."""
        store = FeatureStore(self.store)
        clips = list(store.clips().values())
        by_pattern: dict[str, list[Extractor]] = {}
        for one in wanted:
            by_pattern.setdefault(one.clips, []).append(make_extractor(one.features))
        for pattern, extractors in by_pattern.items():
            chosen = [clip for clip in clips if fnmatchcase(clip.id, pattern)]
            self.listener.line(f"extracting {', '.join(x.label for x in extractors)} of {count(len(chosen), 'clip')}")
            tell, options = self.listener.outcome, {"jobs": self.jobs, "device": self.device}
            report = extract_all(store, extractors, chosen, on_outcome=tell, **options)
            for extractor in extractors:
                failed = [each for each in report.failed if each.key == extractor.key]
                if failed:
                    example = f"{failed[0].clip} ({failed[0].detail})"
                    number = count(len(failed), "clip")
                    self.listener.line(f"    {extractor.label}: {number} failed, such as {example}")
                    if len(failed) == len(chosen):
                        raise FeatzooError(f"{extractor.label} failed for every clip, such as {example}")

    def _teach(self) -> None:
        """Train the teacher, and extract its outputs."""
        teacher = self.row.teacher
        if teacher is None:
            return
        seed = find_recipe(teacher.recipe).training.seed
        mine = {name: value for name, value in self.changes.items() if name.startswith("training.")}
        changes = {**teacher.set, **mine}
        runs, tell = self.place / "runs", self.listener.trial
        (trial,) = run_trials(teacher.recipe, self.store, runs, {"teacher": changes}, [seed], self.device, 1, tell)
        self.extract([Extraction(teacher.features.format(run=trial.path), teacher.clips)])
