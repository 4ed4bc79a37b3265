"""From published feature files and raw clips to a trained head, by the commands alone.

The pickles have the keys, widths and lengths of the published ones: MMSA's of CMU-MOSI (audio 5, vision 20), CMU-MOSEI
(COVAREP 74, FACET 35), CH-SIMS (33, 709), aligned and not; GloVe and FACET 47 as in CMU's.
"""

from __future__ import annotations

import csv
import json
import pickle
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from featzoo import FeatureStore
from featzoo.cli import feat, zoo
from zoo.conftest import sets_for

pytestmark = pytest.mark.usefixtures("one_process")
COUNTS = {"train": 8, "valid": 4, "test": 4}
ENGLISH = ["the", "film", "was", "so", "good", "and", "not", "bad"]
CHINESE = list("我不想嫁给李茶很好看")
# Name to widths and steps of text, audio and vision; what is aligned has one length.
FILES = {
    "mosi": ((768, 5, 20), (50, 375, 500)),
    "mosei": ((768, 74, 35), (50, 500, 500)),
    "aligned": ((300, 74, 47), (50, 50, 50)),
    "sims": ((768, 33, 709), (39, 400, 55)),
}
TINY = ["--set", "training.epochs=1", "--set", "training.batch_size=8", "--device", "cpu"]


def command(group, *arguments):
    """The output of a command that must succeed."""
    result = CliRunner().invoke(group, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def mmsa_pickle(path, name):
    """A file with every key of MMSA's."""
    rng, content, number = np.random.default_rng(0), {}, 0
    widths, steps = FILES[name]
    aligned, sims = len(set(steps)) == 1, name == "sims"
    for split, count in COUNTS.items():
        labels = rng.uniform(-1, 1, count) * (1 if sims else 3)
        part = {"raw_text": [], "id": [], "annotations": ["Neutral"] * count}
        lengths = {"audio": [], "vision": []}
        part |= {
            key: np.zeros((count, T, D), np.float32)
            for key, T, D in zip(("text", "audio", "vision"), steps, widths, strict=True)
        }
        part["text_bert"] = np.zeros((count, 3, steps[0]), np.float32)
        for i in range(count):
            tokens = int(rng.integers(4, 12))
            words = rng.choice(CHINESE if sims else ENGLISH, tokens - 2)
            part["raw_text"].append(("" if sims else " ").join(words))
            part["id"].append(f"video_{number // 3:04d}$_${number:04d}")
            part["text_bert"][i, 0, :tokens], part["text_bert"][i, 1, :tokens] = 1000, 1
            part["text"][i, :tokens] = rng.normal(size=(tokens, widths[0]))
            for key, T, D in zip(("audio", "vision"), steps[1:], widths[1:], strict=True):
                length = tokens if aligned else int(rng.integers(1, T + 1))
                part[key][i, :length] = rng.normal(size=(length, D)) + labels[i]
                lengths[key].append(length)
            number += 1
        part["audio"][1, 0, 0] = -np.inf  # COVAREP holds those
        part["regression_labels"] = labels.astype(np.float32)
        part["classification_labels"] = np.sign(labels) + 1
        part |= {f"regression_labels_{key}": labels.astype(np.float32) for key in "TAV"} if sims else {}
        part |= {} if aligned else {f"{key}_lengths": each for key, each in lengths.items()}
        content[split] = part
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.fixture(scope="module", params=FILES)
def imported(request, tmp_path_factory, random_bert, tiny_bert, one_process):
    """A store with what is in a pickle, and its texts as token ids and through an encoder."""
    folder = tmp_path_factory.mktemp("mmsa")
    said = command(feat, "import", "mmsa", mmsa_pickle(folder / "x.pkl", request.param), "-o", folder / "s")
    assert "clips: 16 (8 train, 4 valid, 4 test)" in said
    if request.param == "mosi":
        texts = f"bert.ids[model={random_bert}],bert[model={random_bert}]"
        command(feat, "extract", "-o", folder / "s", "-x", texts, "-j", 1)
    else:
        store = FeatureStore(folder / "s")
        sets = sets_for(store.clips().values())
        store.add("bert.ids", sets["ids"], provenance={"model": str(tiny_bert)})
        store.add("bert", sets["personality"])
    return request.param, folder / "s"


# MulT attends from every step to every other: 60 steps do for a test.
@pytest.mark.parametrize(("recipe", "steps"), [("psa-mf", 500), ("mult", 60)])
def test_recipes_train_on_the_sequences_of_an_mmsa_file(imported, recipe, steps, tmp_path):
    name, store = imported
    sims = name == "sims"
    small = [f"inputs.{role}.max_steps={steps}" for role in ("audio", "vision")]
    small += ["options.hidden=8", "options.wide=12"] if recipe == "psa-mf" else []
    chosen = "psa-mf.sims" if sims and recipe == "psa-mf" else recipe
    if sims and recipe == "mult":
        small += ["target.range=[-1,1]", "target.metrics=sims"]
    changes = [word for change in small for word in ("--set", change)]
    said = command(zoo, "train", chosen, "--features", store, "--runs", tmp_path, *TINY, *changes)
    assert "train: 8 clips; 1 value of audio not observed" in said
    (run,) = tmp_path.iterdir()
    sets = json.loads((run / "features.json").read_text())["sets"]
    widths, _ = FILES[name]
    assert [(sets[role]["name"], sets[role]["width"]) for role in ("audio", "vision")] == [
        ("mmsa-audio", widths[1]), ("mmsa-vision", widths[2]),
    ]  # fmt: skip
    assert sets["text"]["ids"] == (recipe != "mult")
    metrics = json.loads((run / "metrics.json").read_text())["splits"]["test"]["head"]
    assert ("mult_acc5" in metrics) == sims
    assert command(zoo, "evaluate", run, "--device", "cpu").count("mae") == 1


def test_a_baseline_reads_the_text_features_of_the_file_too(tmp_path):
    """No encoder is at hand: mmsa-text and mult-text are sequences as any."""
    command(feat, "import", "mmsa", mmsa_pickle(tmp_path / "x.pkl", "aligned"), "-o", tmp_path / "s")
    command(zoo, "train", "lf-dnn", "--features", tmp_path / "s", "--runs", tmp_path / "runs", *TINY)
    content = pickle.loads((tmp_path / "x.pkl").read_bytes())
    for part in content.values():
        part["labels"] = part.pop("regression_labels")[:, None, None]  # (N, 1, 1)
        part["id"] = np.array([[name, "0", "2.5"] for name in part["id"]])
    plain = {
        split: {k: part[k] for k in ("vision", "audio", "text", "labels", "id")} for split, part in content.items()
    }
    (tmp_path / "mult.pkl").write_bytes(pickle.dumps(plain))
    command(feat, "import", "mult", tmp_path / "mult.pkl", "-o", tmp_path / "m")
    said = command(zoo, "train", "mult", "--features", tmp_path / "m", "--runs", tmp_path / "runs", *TINY)
    assert "text: mult-text-" in said
    # Such a file holds no words, so a head that reads token ids cannot be trained: it is said which.
    refused = CliRunner().invoke(zoo, ["train", "psa-mf", "--features", str(tmp_path / "m")])
    assert refused.exit_code == 1
    assert "needs features that the store does not hold: text (any of bert.ids" in refused.output


def test_raw_clips_with_mmsas_label_csv(tmp_path, random_bert, request):
    """label.csv + Raw/<video>/<clip>.mp4, the mode as split, all the way to a trained head."""
    clips = request.config.rootpath / "examples" / "clips"
    rows = [("clip01", "train", 2.6), ("clip02", "train", -2.4), ("clip07", "valid", 2.2), ("clip10", "test", 1.8)]
    table = [
        {"video_id": f"video{i // 2}", "clip_id": f"{i:04d}", "text": "so good", "label": label, "annotation": "x",
         "mode": mode} for i, (_, mode, label) in enumerate(rows)
    ]  # fmt: skip
    for row, (name, _, _) in zip(table, rows, strict=True):
        place = tmp_path / "in" / "Raw" / str(row["video_id"])
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(clips / f"{name}.mp4", place / f"{row['clip_id']}.mp4")
    with (tmp_path / "in" / "label.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    wanted = f"bert.ids[model={random_bert}],bert[model={random_bert}],egemaps,motion-energy"
    command(feat, "extract", tmp_path / "in", "-o", tmp_path / "s", "-x", wanted, "-j", 1)
    assert FeatureStore(tmp_path / "s").clips()["video0$_$0001"].labels == {"sentiment": -2.4}
    small = ["--set", "options.hidden=8", "--set", "options.wide=12"]
    said = command(zoo, "train", "psa-mf", "--features", tmp_path / "s", "--runs", tmp_path / "runs", *TINY, *small)
    assert "train: 2 clips" in said
