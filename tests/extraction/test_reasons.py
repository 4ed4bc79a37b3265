"""Each lasting reason for failure, provoked once through `feat extract`, and left alone by the next run."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import tone, write_video, write_wav

from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.vocabulary import LASTING

# Extractor, and the clip that gives it each reason. The sound of "a.wav" comes first, and decides the kind of rows.
PROVOKED = {
    "plugins_for_tests:Trouble[dtype=float16]": {
        "raise.wav": "error", "wide.wav": "other-rows", "huge.wav": "overflow",
    },
    "praat": {
        "zero.wav": "empty", "noise.wav": "unreadable", "short.wav": "too-short", "cut.wav": "truncated",
        "mute.mp4": "no-audio", "gone.wav": "not-found", "text": "no-media",
    },
    "motion-energy": {"a.wav": "no-video"},
    "plugins_for_tests:WordLengths": {"a.wav": "no-words", "wide.wav": "bad-transcript"},
}  # fmt: skip
# Provoked where the means are: a child that dies or hangs, keys, other engines, several extractors, words of a set.
ELSEWHERE = {
    "timeout": "tests/extraction/test_driver.py", "worker-died": "tests/extraction/test_driver.py",
    "damaged": "tests/media/test_frame_decoding.py", "encrypted": "tests/media/test_container.py",
    "engine": "tests/extractors", "no-file": "tests/test_other_signals.py", "no-times": "tests/cache/test_align.py",
    "other-language": "tests/extractors/text", "clock-restarts": "tests/media/test_blocks.py",
    "no-channel": "tests/media/test_channels.py",
}  # fmt: skip


@pytest.fixture
def media(tmp_path):
    folder = tmp_path / "media"
    folder.mkdir()
    for name in ("a", "raise", "wide", "huge"):
        write_wav(folder / f"{name}.wav", tone(0.5))
    (folder / "zero.wav").touch()
    (folder / "noise.wav").write_bytes(np.random.default_rng(0).bytes(3000))
    write_wav(folder / "short.wav", tone(0.01))
    whole = write_wav(folder / "cut.wav", tone(4.0)).read_bytes()
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 3])
    write_video(folder / "mute.mp4", count=5)
    (folder / "wide.srt").write_bytes(b"\x00\xff" * 40)
    names = [place.name for place in sorted(folder.iterdir()) if place.suffix != ".srt"]
    rows = [f"{name},media/{name}," for name in (*names, "gone.wav")]
    table = tmp_path / "clips.csv"
    table.write_text("\n".join(["id,path,text", *rows, "text,,so it goes"]))
    return table


def test_every_lasting_reason_is_provoked_somewhere():
    provoked = {reason for reasons in PROVOKED.values() for reason in reasons.values()}
    assert not provoked & ELSEWHERE.keys()
    assert provoked | ELSEWHERE.keys() == {reason for reason, lasting in LASTING.items() if lasting}


def test_a_lasting_reason_is_recorded_and_its_clip_is_left_alone(media, tmp_path):
    command = ["extract", str(media), "-x", ",".join(PROVOKED), "-o", str(tmp_path / "store"), "-j", "1"]
    said = CliRunner().invoke(feat, command)
    store = FeatureStore(tmp_path / "store")
    for request, reasons in PROVOKED.items():
        failures = {failure.clip: failure for failure in store[request].failures()}
        found = {clip: failures[clip].reason for clip in reasons if clip in failures}
        assert found == reasons, said.output
    CliRunner().invoke(feat, command)
    for request, reasons in PROVOKED.items():
        again = {failure.clip: failure.attempts for failure in store[request].failures()}
        assert {again[clip] for clip in reasons} == {1}
