"""`zoo split` writes splits into a store, and replaces none unasked."""

from collections import Counter

from click.testing import CliRunner

from featzoo import Clip, FeatureStore
from featzoo.cli import zoo


def run(*words, status=0):
    done = CliRunner().invoke(zoo, ["split", *map(str, words)])
    assert done.exit_code == status, done.output
    return done.output


def store_of(path, speakers=5):
    store = FeatureStore.create(path)
    names = [(f"s{n % speakers}", ("anger", "joy")[n % 2]) for n in range(4 * speakers)]
    store.record(
        Clip(f"{n:02}.wav", labels={"arousal": 0.5}, categories={"speaker": speaker, "emotion": emotion})
        for n, (speaker, emotion) in enumerate(names)
    )
    return path


def test_splits_are_printed_and_written_beside_labels(tmp_path):
    path = store_of(tmp_path / "features")
    words = (path, "--by", "speaker", "--test", 0.2, "--dev", 0.2, "--stratify", "emotion", "--seed", 1)
    said = run(*words, "--dry-run").splitlines()
    assert said[0] == "20 clips: train 12 (60%), valid 4 (20%), test 4 (20%)"
    assert any(line.split() == ["anger", "6", "2", "2"] for line in said)
    assert any(line.startswith("speaker: 5 in all; train 3 (") for line in said)
    assert not any(clip.split for clip in FeatureStore(path).clips().values())
    assert run(*words).splitlines() == said
    clips = FeatureStore(path).clips()
    assert Counter(clip.split for clip in clips.values()) == {"train": 12, "valid": 4, "test": 4}
    assert all(clip.labels == {"arousal": 0.5} and len(clip.categories) == 2 for clip in clips.values())


def test_existing_splits_are_replaced_only_on_request(tmp_path):
    path = store_of(tmp_path / "features")
    run(path)
    before = {name: clip.split for name, clip in FeatureStore(path).clips().items()}
    said = run(path, "--seed", 2, status=1)
    assert "20 clips already in a split (train 12, valid 4, test 4): --overwrite replaces them" in said
    run("--store", path, "--seed", 2, "--overwrite")
    assert {name: clip.split for name, clip in FeatureStore(path).clips().items()} != before
