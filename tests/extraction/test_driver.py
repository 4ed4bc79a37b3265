"""N clips in, N accounted for, whatever the clips and the plugins do; nothing is computed twice."""

import shutil
import time
from collections import Counter

import numpy as np
import plugins_for_tests as plugins
import pytest
from conftest import same_features, tone, write_wav

from featzoo.cache.store import FeatureStore
from featzoo.errors import FeatzooError
from featzoo.extraction import driver
from featzoo.extraction.driver import extract_all
from featzoo.extraction.plan import make_plan, runnable
from featzoo.extractors.audio.egemaps import Egemaps
from featzoo.extractors.contract import usual_extractors
from featzoo.extractors.vision.motion_energy import MotionEnergy
from featzoo.extractors.vision.raw_frames import Frames
from featzoo.media.clip import Clip
from featzoo.media.discovery import find_clips
from featzoo.media.transcripts import words_of

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def store(tmp_path):
    return FeatureStore.create(tmp_path / "features")


def voices(folder, *names, seconds=0.5):
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        write_wav(folder / name, tone(seconds, pitch=120 + 10 * number))
    return find_clips(folder).clips


def settled():
    """Files that have just been written are read again: wait until they count as settled."""
    time.sleep(0.15)


def account(report):
    return {outcome.clip: (outcome.state, outcome.detail.split(":")[0]) for outcome in report.outcomes}


def computed(report):
    return Counter(outcome.state for outcome in report.outcomes)["stored"]


# Every clip is accounted for


def test_good_and_broken_clips_are_all_accounted_for(store, made, tmp_path):
    folder = tmp_path / "media"
    shutil.copytree(made, folder)
    (folder / "zero.mp4").touch()
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(3000))
    clips = [*find_clips(folder).clips, Clip("gone.wav", folder / "gone.wav"), Clip("text", words=words_of("so bad"))]
    extractors = [Egemaps(), MotionEnergy(), Frames(count=2), plugins.WordLengths()]
    told = []
    report = extract_all(store, extractors, clips, jobs=2, on_outcome=told.append)
    assert report.outcomes == told
    assert Counter((o.key, o.clip) for o in told) == Counter((x.key, c.id) for x in extractors for c in clips)
    for extractor, expected in (
        (extractors[0], {"voice.wav": "stored", "talk.mp4": "stored", "uneven.mkv": "no-audio", "text": "no-media"}),
        (extractors[1], {"voice.wav": "no-video", "talk.mp4": "stored", "uneven.mkv": "stored", "text": "no-media"}),
        (extractors[2], {"zero.mp4": "empty", "noise.mp4": "unreadable", "gone.wav": "not-found"}),
        (extractors[3], {"text": "stored", "talk.mp4": "no-words"}),
    ):
        found = {
            o.clip: "stored" if o.state == "stored" else o.detail.split(":")[0] for o in told if o.key == extractor.key
        }
        assert expected.items() <= found.items()
        ledger = {f.clip: f.reason for f in store[extractor.key].failures()}
        assert ledger == {clip: reason for clip, reason in found.items() if reason != "stored"}
    for extractor in extractors[:3]:
        assert same_features(store[extractor.key]["talk.mp4"], extractor.extract(Clip("x", folder / "talk.mp4")))
    again = extract_all(store, extractors, clips, jobs=2)
    assert computed(again) == 0
    assert len(again.failed) == len(report.failed)


@pytest.mark.faults
@pytest.mark.parametrize("jobs", [1, 2])
def test_plugins_that_misbehave_cost_their_own_clip_only(store, tmp_path, jobs):
    deeds = ["raise.wav", "die.wav", "memory.wav", "exit.wav", "nothing.wav"]
    clips = voices(tmp_path / "media", *deeds, *(f"good{i}.wav" for i in range(6)))
    report = extract_all(store, [plugins.Trouble(), plugins.Loudness()], clips, jobs=jobs)
    by_set = {
        key: {o.clip: (o.state, o.detail.split(":")[0]) for o in report.outcomes if o.key == key}
        for key in {o.key for o in report.outcomes}
    }
    trouble, loud = by_set[plugins.Trouble().key], by_set[plugins.Loudness().key]
    assert len(report.outcomes) == 2 * len(clips)
    assert trouble == {
        "raise.wav": ("failed", "error"), "die.wav": ("failed", "worker-died"),
        "memory.wav": ("failed", "out-of-memory"), "exit.wav": ("failed", "error"), "nothing.wav": ("failed", "error"),
        **{f"good{i}.wav": ("stored", trouble[f"good{i}.wav"][1]) for i in range(6)},
    }  # fmt: skip
    # A clip that kills its worker takes with it what else was computed of it in the same task.
    assert all(state == "stored" for clip, (state, _) in loud.items() if clip != "die.wav")
    assert "KeyError" in store["trouble"].failure("raise.wav").message
    for number in range(6):
        clip = next(c for c in clips if c.id == f"good{number}.wav")
        assert same_features(store["trouble"][clip.id], plugins.loudness(clip))


@pytest.mark.faults
def test_a_clip_that_takes_too_long_is_a_timeout(store, tmp_path):
    clips = voices(tmp_path / "media", "sleep.wav", *(f"good{i}.wav" for i in range(4)))
    report = extract_all(store, [plugins.Trouble()], clips, jobs=2, timeout=3.0)
    found = account(report)
    assert found.pop("sleep.wav") == ("failed", "timeout")
    assert {state for state, _ in found.values()} == {"stored"}


def test_rows_of_another_kind_fail_their_clip(store, tmp_path):
    clips = voices(tmp_path / "media", "a.wav", "wide.wav", "z.wav")
    found = account(extract_all(store, [plugins.Trouble()], clips, jobs=1))
    assert found["wide.wav"] == ("failed", "other-rows")
    assert found["a.wav"][0] == found["z.wav"][0] == "stored"


def test_a_batch_with_a_bad_clip_costs_that_clip(store, tmp_path):
    clips = voices(tmp_path / "media", "a.wav", "bad.wav", "c.wav", "die.wav", "e.wav", "f.wav")
    report = extract_all(store, [plugins.Batched()], clips, jobs=2, device="cpu")
    found = account(report)
    assert len(report.outcomes) == len(found) == 6
    assert found["bad.wav"] == ("failed", "error")
    assert found["die.wav"] == ("failed", "worker-died")
    for clip in clips:
        if clip.id not in ("bad.wav", "die.wav"):
            assert same_features(store["batched"][clip.id], plugins.loudness(clip))


def test_transient_failures_are_tried_again_and_lasting_ones_on_request(store, tmp_path, monkeypatch):
    monkeypatch.setenv("MOODY", str(tmp_path / "busy"))
    (tmp_path / "busy").touch()
    runner_pool_restart()
    clips = voices(tmp_path / "media", "a.wav", "b1.wav", "b2.wav", "die.wav")
    first = account(extract_all(store, [plugins.Moody()], clips, jobs=2))
    assert first["b1.wav"] == first["b2.wav"] == ("failed", "out-of-memory")
    assert first["die.wav"] == ("failed", "worker-died")
    (tmp_path / "busy").unlink()
    second = account(extract_all(store, [plugins.Moody()], clips, jobs=2))
    assert second["a.wav"][0] == "cached"
    assert second["b1.wav"][0] == second["b2.wav"][0] == "stored"
    assert second["die.wav"] == ("failed", "worker-died")
    assert store["moody"].failure("die.wav").attempts == 1
    extract_all(store, [plugins.Moody()], clips, jobs=2, retry=True)
    assert store["moody"].failure("die.wav").attempts == 2


def test_a_plugins_own_reason_lasts_unless_it_says_retry(store, tmp_path):
    clips = voices(tmp_path / "media", "never.wav", "later.wav")
    for _ in range(3):
        found = account(extract_all(store, [plugins.Refuses()], clips, jobs=1))
        assert found == dict.fromkeys(("never.wav", "later.wav"), ("failed", "two-speakers"))
    attempts = {failure.clip: failure.attempts for failure in store["refuses"].failures()}
    assert attempts == {"never.wav": 1, "later.wav": 3}


def test_failures_of_an_earlier_run_are_not_taken_for_this_ones(store, tmp_path, monkeypatch):
    """A death in the second run must not settle b1, which failed in the first and has not been tried since."""
    monkeypatch.setenv("MOODY", str(tmp_path / "busy"))
    (tmp_path / "busy").touch()
    runner_pool_restart()
    clips = voices(tmp_path / "media", "b1.wav", "b2.wav")
    assert len(extract_all(store, [plugins.Moody()], clips, jobs=1).failed) == 2
    (tmp_path / "busy").unlink()
    clips = voices(tmp_path / "media", "die.wav")
    found = account(extract_all(store, [plugins.Moody()], sorted(clips, key=lambda c: c.id != "die.wav"), jobs=1))
    assert {clip: state for clip, (state, _) in found.items()} == {
        "die.wav": "failed",
        "b1.wav": "stored",
        "b2.wav": "stored",
    }


def runner_pool_restart():
    """Workers are kept between runs with the environment that they were started with."""
    from joblib.executor import get_memmapping_executor

    get_memmapping_executor(2).shutdown(wait=True)


# Nothing is computed twice, and nothing stale is kept


def test_a_second_run_computes_and_reads_nothing(store, tmp_path, monkeypatch):
    clips = voices(tmp_path / "media", "a.wav", "b.wav")
    settled()
    assert computed(extract_all(store, [plugins.Loudness()], clips, jobs=1)) == 2
    shards = sorted(p.name for p in store.path.rglob("*.h5"))
    monkeypatch.setattr(driver, "run_rounds", lambda *a: pytest.fail("a worker was started"))
    import hashlib

    monkeypatch.setattr(hashlib, "file_digest", lambda *a: pytest.fail("a file was read"))
    for again in (store, FeatureStore(store.path), store):
        report = extract_all(again, [plugins.Loudness()], clips, jobs=1)
        assert [o.state for o in report.outcomes] == ["cached", "cached"]
    assert sorted(p.name for p in store.path.rglob("*.h5")) == shards


@pytest.mark.faults
def test_a_damaged_shard_is_made_again(store, tmp_path):
    clips = voices(tmp_path / "media", "a.wav", "b.wav")
    extract_all(store, [plugins.Loudness()], clips, jobs=1)
    (shard,) = store.path.rglob("shards/*.h5")
    shard.write_bytes(shard.read_bytes()[:500])
    again = FeatureStore(store.path)
    assert computed(extract_all(again, [plugins.Loudness()], clips, jobs=1)) == 2
    assert same_features(again["loudness"]["a.wav"], plugins.loudness(clips[0]))


# What a run would do


def test_a_plan_without_a_store():
    plan = make_plan(None, [plugins.WordLengths()], [Clip("a", words=words_of("x"))])
    assert plan.states[plugins.WordLengths().key]["a"][0] == "missing"


def test_usual_extractors_that_cannot_run_are_left_out_with_the_reason(made, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    sounds = [Clip("voice.wav", made / "voice.wav")]
    found, left_out = runnable(usual_extractors(), sounds)
    can = {x.label for x in found}
    assert "egemaps" in can
    assert {x.modality for x in found} == {"audio"}
    why = {request: reason for reason, requests in left_out.items() for request in requests}
    assert set(why) | can == set(usual_extractors())
    assert "all clips are sound files" in why["motion-energy"]
    assert "feat weights get bert-base-uncased" in why["bert"]
    assert "no weights of resnet50" in why["resnet50"]
    assert "transcript" in why["bert.minilm"]


def test_missing_weights_stop_the_run_with_their_text(store, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    from featzoo.extractors.text.bert import Bert

    with pytest.raises(FeatzooError, match="feat weights get"):
        extract_all(store, [Bert()], [Clip("a", words=words_of("x"))], jobs=1)
