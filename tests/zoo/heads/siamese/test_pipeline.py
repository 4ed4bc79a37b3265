"""Traits from raw clips to a report with one command, its pictures, and a trained head on another data set."""

import csv
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import ROOT

from featzoo.cache.store import FeatureStore
from featzoo.cli import feat, zoo
from featzoo.media.clip import Clip
from featzoo.zoo.runs.evaluate import evaluate_run
from featzoo.zoo.runs.run import train_recipe
from featzoo.zoo.runs.trait_plots import trait_distributions

pytestmark = pytest.mark.usefixtures("one_process")
TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "emotional_stability")
SMALL = [
    "training.epochs=1", "training.stages={}", "options.backbone=resnet10", "options.hidden=8", "options.fused=8",
    "options.embedding=4", "options.siamese=8",
]  # fmt: skip


WORDS = ("the", "was", "it", "and", "good", "i", "you", "a", "to")


@pytest.fixture
def small_glove(tmp_path, monkeypatch):
    """In the place of GloVe's vectors, a file of 4 columns for a few words."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "weights"
    folder.mkdir()
    rows = (f"{word} {' '.join(f'{x:.3f}' for x in rng.normal(size=4))}\n" for word in WORDS)
    (folder / "glove.6B.300d.txt").write_text("".join(rows))
    monkeypatch.setenv("FEATZOO_WEIGHTS", str(folder))


def train(tmp_path, media):
    """`zoo train siamese --media`, small."""
    sets = [word for change in SMALL for word in ("--set", change)]
    where = ["--features", str(tmp_path / "features"), "--runs", str(tmp_path / "runs"), "--device", "cpu"]
    return CliRunner().invoke(zoo, ["train", "siamese", "--media", str(media), *where, *sets])


def test_one_command_from_raw_clips_to_a_report(small_glove, tmp_path):
    done = train(tmp_path, ROOT / "examples" / "traits.csv")
    assert done.exit_code == 0, done.output
    assert "12 clips in" in done.output
    for role in ("egemaps.functionals-", "frames-", "glove-"):
        assert role in done.output
    assert "6 epochs in" in done.output  # one of each stage: three modalities, M1, S, M2
    (run,) = (tmp_path / "runs").iterdir()
    table = (run / "README.md").read_text()
    assert "openness.sd_ratio" in table
    assert "(traits.png)" in table
    assert (run / "traits.png").read_bytes()[:4] == b"\x89PNG"
    with (run / "predictions.csv").open() as file:
        assert sum(row["split"] == "test" for row in csv.DictReader(file)) == 3


def test_media_again_extracts_nothing_and_without_takes_a_role_out(tmp_path):
    clips = tmp_path / "clips"
    clips.mkdir()
    for number in (1, 7):
        for path in (ROOT / "examples" / "clips").glob(f"clip{number:02d}.*"):
            shutil.copy(path, clips)
    labels = [f"{name}.mp4,{split},0.4,0.5,0.6,0.5,0.4\n" for name, split in (("clip01", "train"), ("clip07", "valid"))]
    (clips / "labels.csv").write_text(f"id,split,{','.join(TRAITS)}\n{''.join(labels)}")
    words = [
        "train", "siamese-m1", "--media", str(clips), "--without", "vision", "--without", "text", "--device", "cpu",
        "--features", str(tmp_path / "features"), "--runs", str(tmp_path / "runs"), "--set", "training.epochs=1",
    ]  # fmt: skip
    first, second = (CliRunner().invoke(zoo, words) for _ in range(2))
    assert first.exit_code == second.exit_code == 0, first.output + second.output
    assert "2 stored" in first.output
    assert "2 cached" in second.output
    assert [found.name for found in FeatureStore(tmp_path / "features").sets()] == ["egemaps.functionals"]
    resumed = CliRunner().invoke(zoo, ["train", "--resume", str(tmp_path), "--media", str(clips)])
    assert resumed.exit_code == 2


@pytest.mark.data
def test_the_authentic_clip_is_one_of_them(data, small_glove, tmp_path):
    """Clip -AmMDnVl4s8.003 of First Impressions, 15 s of 1280 x 720, among the project's own."""
    clip = data / "first_impressions" / "clips" / "-AmMDnVl4s8.003.mp4"
    table = (ROOT / "examples" / "traits.csv").read_text().replace("clips/", f"{ROOT}/examples/clips/")
    row = f"{clip.name},{clip},test,{','.join(['0.5'] * 5)}\n"
    (tmp_path / "clips.csv").write_text(table + row)
    done = train(tmp_path, tmp_path / "clips.csv")
    assert done.exit_code == 0, done.output
    assert "13 clips in" in done.output
    store = FeatureStore(tmp_path / "features")
    assert store["frames"][clip.name].features.shape[1:] == (140, 248, 3)
    assert store["egemaps.functionals"][clip.name].features.shape == (1, 88)


def store_of(path, split, count, seed):
    """Clips of one split, or of all three, with 3 columns that openness can be read off."""
    rng = np.random.default_rng(seed)
    names = ("train", "valid", "test") if split is None else (split,)
    clips = [
        Clip(f"{name}/{n}", split=name, labels=dict(zip(TRAITS, rng.uniform(0, 1, 5), strict=True)))
        for name in names
        for n in range(count)
    ]
    store = FeatureStore.create(path)
    level = {c.id: np.float32(c.labels["openness"]) for c in clips}
    store.add("egemaps.functionals", {i: (rng.random((1, 3)) + at).astype(np.float32) for i, at in level.items()})
    store.record(clips)
    return path


def test_imported_features_are_not_extracted_again(tmp_path):
    """A store that holds all that a recipe needs, without any media."""
    own = store_of(tmp_path / "own", None, 2, 0)
    done = CliRunner().invoke(feat, ["extract", "--for", "siamese-audio", "-o", str(own)])
    assert done.exit_code == 0, done.output
    assert "is in the store\nnothing to extract" in done.output


def test_a_run_is_scored_on_a_data_set_without_a_train_split(tmp_path):
    """The constant is the mean of what the run was trained on; nothing is compared with its own test clips."""
    own = store_of(tmp_path / "own", None, 12, 0)
    changes = {"training.epochs": 2, "inputs.audio.features": ["egemaps.functionals"], "options.hidden": 8}
    run = train_recipe("siamese-audio", own, tmp_path / "runs", changes, "cpu")
    other = store_of(tmp_path / "other", "test", 7, 1)
    found = evaluate_run(run.path, other, device="cpu")
    assert found.counts.clips == 7
    assert found.stored is None
    trained_on = [clip.labels for clip in FeatureStore(own).clips().values() if clip.split == "train"]
    truth = [clip.labels for clip in FeatureStore(other).clips().values()]
    mean = np.mean([one["openness"] for one in trained_on])
    error = np.mean([abs(one["openness"] - mean) for one in truth])
    assert found.constant["train mean"]["openness.mae"] == pytest.approx(error, abs=1e-12)
    assert evaluate_run(run.path, own, device="cpu").stored is not None


def test_the_picture_takes_any_number_of_traits_and_clips():
    """A single clip, equal truths and one trait are drawn too."""
    rng = np.random.default_rng(0)
    for count, columns in ((1, ("openness",)), (3, TRAITS), (200, TRAITS[:2])):
        truth, pred = rng.uniform(0, 1, (count, len(columns))), rng.normal(0.5, 0.1, (count, len(columns)))
        drawn = trait_distributions(pred, truth, truth, columns, "title")
        assert drawn[:4] == b"\x89PNG"
    flat = np.full((4, 1), 0.5)
    assert trait_distributions(flat, flat, flat, ("openness",), "title")[:4] == b"\x89PNG"
