"""Make the pretrained heads that come with featzoo, from corpora on this machine.

    python benchmarks/pretrain.py WORK [--data ../shared/data] [--only emotion] [--into FOLDER]

WORK keeps the stores and runs, so that a second call only repeats what is missing. Each head is a linear one on
features that featzoo's packages bring. It is written with its card into src/featzoo/zoo/pretrained, or into --into.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from pretrain_heads import HEADS, VOICE, Making

import featzoo.cli  # noqa: F401  (sets what the command sets, before torch is imported)
from featzoo.cache.store import FeatureStore
from featzoo.config import to_toml
from featzoo.exchange.corpora.acted_speech import EMODB
from featzoo.exchange.corpora.file_names import import_named
from featzoo.zoo.metrics.classification import class_metrics
from featzoo.zoo.metrics.tables import format_metrics, shown
from featzoo.zoo.metrics.targets import measure_of
from featzoo.zoo.runs.apply import apply_head
from featzoo.zoo.runs.bundle import write_bundle
from featzoo.zoo.runs.compare import intervals
from featzoo.zoo.runs.folder import CORE, RunFolder
from featzoo.zoo.runs.folds import train_folds
from featzoo.zoo.runs.pretrained import CARD, FOLDER, Card
from featzoo.zoo.runs.run import train_recipe
from featzoo.zoo.runs.units import units_of


def main() -> None:
    """Make the heads, and print what was made."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    data = Path(os.environ.get("FEATZOO_TEST_DATA", "../shared/data"))
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--only", action="append", choices=HEADS, help="repeatable; default: those that are shipped")
    parser.add_argument("--into", type=Path, default=FOLDER)
    given = parser.parse_args()
    for name in given.only or [name for name, making in HEADS.items() if making.shipped]:
        if not HEADS[name].shipped and given.into == FOLDER:
            raise SystemExit(f"{name} cannot be shipped: give --into, a folder of your own")
        place = make(name, HEADS[name], given.work, given.data, given.into)
        size = sum(file.stat().st_size for file in place.iterdir())
        print(f"{place}: {size / 1000:.0f} kB\n{(place / 'README.md').read_text()}")


def make(name: str, making: Making, work: Path, data: Path, into: Path) -> Path:
    """Import, extract, train, score, and write the head's folder."""
    store = work / name / "features"
    if not (store / "STORE.json").is_file():
        making.bring(data, store)
    extract(store, making.extractors)
    if making.keep is not None:
        store = masked(store, work / name / "masked", making)
    recipe = work / name / f"{name}.toml"
    recipe.write_text(making.recipe, encoding="utf-8")
    run, title, table, line, floor = (folds if making.folds else published)(name, making, work, store, recipe)
    card = Card(**making.card, held_out=line, floor=floor, needs=making.needs)
    slim = work / name / "slim"
    shutil.rmtree(slim, ignore_errors=True)
    slim.mkdir()
    for file in CORE:
        shutil.copyfile(run.path / file, slim / file)
    (slim / CARD).write_text(to_toml(card), encoding="utf-8")
    more = transfer_to_emodb(run, data, work) if name == "emotion" else ""
    (slim / "README.md").write_text(page(name, making, card, run, title, table, more), encoding="utf-8")
    place = into / name
    shutil.rmtree(place, ignore_errors=True)
    write_bundle(RunFolder.open_finished(slim), place)
    return place


def extract(store: Path, request: str) -> None:
    """Extract what is missing; clips that fail, such as those without words, are left out."""
    feat = Path(sys.executable).with_name("feat")
    subprocess.run([feat, "extract", "-o", store, "-x", request, "--device", "cpu"], check=False)


def masked(store: Path, place: Path, making: Making) -> Path:
    """A copy of a store with the other columns not observed: a linear head gives them no weight."""
    if not (place / "STORE.json").is_file():
        opened, copy = FeatureStore(store), FeatureStore.create(place)
        found = opened[making.extractors]
        seen = np.array([making.keep(name) for name in found.names])
        rows = {
            i: replace(found[i], features=np.where(seen, found[i].features, np.float32("nan"))) for i in found.ids()
        }
        copy.record(list(opened.clips().values()))
        copy.add(found.name, rows, spec=found.spec, provenance=found.provenance)
    return place


Results = tuple[RunFolder, str, str, str, str]


def folds(name: str, making: Making, work: Path, store: Path, recipe: Path) -> Results:
    """Train all folds; the run of the last one, and the metrics of all test predictions together."""
    found = train_folds(recipe, store, work / name / "folds", {}, "cpu")
    title = f"All {len(found.names)} test splits together, 95 % intervals over {found.units}"
    table = format_metrics(found.metrics, found.constant, found.intervals)
    floor = next(iter(found.constant.values()))
    run = RunFolder.open_finished(found.trials[-1].path)
    return run, title, table, _line(making, found.metrics), _line(making, floor)


def published(name: str, making: Making, work: Path, store: Path, recipe: Path) -> Results:
    """Train on the published split; the run, and its metrics on the last split that it did not train on."""
    path = work / name / name
    if not (path / "metrics.json").is_file():
        train_recipe(recipe, store, work / name, {}, "cpu", name)
    run = RunFolder.open_finished(path)
    split = "test" if "test" in run.metrics else "valid"
    held, target = run.predictions(split), run.recipe.target
    units = units_of(held.ids, held.groups)
    score = measure_of(target.metrics, held.pred, held.truth, target.outputs, ids=held.ids)
    title = f"{len(held.ids)} clips of {split}, 95 % intervals over {units}"
    floors = run.constants[split]
    table = format_metrics(run.metrics[split], floors, intervals(score, units.numbers))
    return run, title, table, _line(making, run.metrics[split]), _line(making, next(iter(floors.values())))


# EMO-DB's names for the emotions that both corpora have, of which `neutral` is also RAVDESS' calm.
IN_EMODB = {"anger": ("angry",), "happiness": ("happy",), "neutral": ("neutral", "calm"), "sadness": ("sad",)}


def transfer_to_emodb(run: RunFolder, data: Path, work: Path) -> str:
    """How well the head recognises four emotions in German, from other microphones and other actors."""
    store = work / "emotion" / "emodb"
    if not (store / "STORE.json").is_file():
        import_named(EMODB, data / "emodb", store)
    extract(store, VOICE)
    opened, names = FeatureStore(store), run.recipe.target.classes
    clips = [clip for clip in opened.clips().values() if clip.categories["emotion"] in IN_EMODB]
    sets = {"audio": opened.find(VOICE)}
    made = apply_head(run, opened, [clip.id for clip in clips], sets, "cpu")
    pred = np.array(
        [[sum(made[clip.id][names.index(k)] for k in same) for same in IN_EMODB.values()] for clip in clips]
    )
    truth = np.array([[list(IN_EMODB).index(clip.categories["emotion"])] for clip in clips])
    found = class_metrics(pred, truth, list(IN_EMODB))
    recalls = ", ".join(f"{name} {found[f'{name}.recall']:.2f}" for name in IN_EMODB)
    return (
        f"\nOn EMO-DB, which no training has seen ({len(clips)} clips of 10 German actors, four emotions): UAR "
        f"{found['uar']:.3f} (recall: {recalls}; chance .250). A head that is trained on other speakers of EMO-DB "
        "itself reaches about .80.\n"
    )


def _line(making: Making, metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{key} {metrics[key]:.3f}" for key in making.metrics if key in metrics) or str(shown(metrics))


def page(name: str, making: Making, card: Card, run: RunFolder, title: str, table: str, more: str) -> str:
    """The head's card."""
    sets = "\n".join(
        f"- {role}: `{one['request']}`, set `{one['key']}`, digest `{one['digest']}`"
        for role, one in run.recorded_sets.items()
        if one["key"]
    )
    versions = run.environment["versions"]
    made = (
        f"`python benchmarks/pretrain.py WORK --only {name}`, featzoo {versions['featzoo']}, torch {versions['torch']}"
    )
    return f"""# {name}

Predicts {card.predicts}. Reads {card.reads}.

    zoo predict {name} clip.wav

- Data: {card.data}.
- Licence: {card.licence}.
- {making.limits}

## Results

{making.protocol}

{title}:

```
{table}
```

{more}
## Features

{sets}

`zoo predict` refuses to predict from other features than these.

## How it was made

{made}, on {run.environment["device"]}. The files are TOML, JSON and safetensors; `digests.json` lists their SHA-256,
which every use checks.
"""


if __name__ == "__main__":
    main()
