"""The staleness matrix: what is computed again after a change, cell by cell, and what is not.

Each cell changes one thing in a copy of extracted media and store, runs `extract_all`, and says which sequences were
computed again; after that a second run computes nothing, and what is read is what the extractor gives now.
"""

import os
import shutil
import socket
import time
from dataclasses import dataclass, field, replace
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import numpy as np
import plugins_for_tests as plugins
import pytest
from conftest import make_bert, same_features, tone, write_video, write_wav

from featzoo.cache.pack import pack_store
from featzoo.cache.store import FeatureStore
from featzoo.extraction.driver import extract_all
from featzoo.extractors.text.bert import Bert
from featzoo.media.clip import Clip
from featzoo.media.discovery import find_clips
from featzoo.media.transcripts import words_of

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("one_process")]


@dataclass
class Run:
    """One `feat extract`, and all that may change between two of them."""

    folder: Path
    sets: dict = field(default_factory=dict)
    store: str = "features"
    media: str = "media"
    options: dict = field(default_factory=lambda: {"jobs": 1, "device": "cpu"})
    edit: object = lambda clip: clip

    def extractors(self):
        usual = {
            "loudness": plugins.Loudness(),
            "means": plugins.Means(),
            "words": plugins.WordLengths(),
            "model": plugins.Weighted(folder=str(self.folder / "model")),
        }
        return {**usual, **self.sets}

    def clips(self):
        return [self.edit(clip) for clip in find_clips(self.folder / self.media).clips]

    def __call__(self):
        """What was computed: (extractor, clip)."""
        named = self.extractors()
        store = FeatureStore.create(self.folder / self.store)
        report = extract_all(store, list(named.values()), self.clips(), **self.options)
        names = {extractor.key: name for name, extractor in named.items()}
        assert len(report.outcomes) == len(named) * len(self.clips())
        return {(names[o.key], o.clip) for o in report.outcomes if o.state == "stored"}


TALK = {("loudness", "talk.mp4"), ("means", "talk.mp4"), ("model", "talk.mp4")}
VOICE = {("loudness", "voice.wav"), ("model", "voice.wav")}
WORDS = {("words", "talk.mp4"), ("words", "voice.wav")}
LOUDNESS = {("loudness", "talk.mp4"), ("loudness", "voice.wav")}
MODEL = {("model", "talk.mp4"), ("model", "voice.wav")}


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    """A film and a sound with transcripts, extracted once."""
    folder = tmp_path_factory.mktemp("extracted")
    (folder / "media").mkdir()
    write_video(folder / "media" / "talk.mp4", count=20, sound=(tone(0.8, 44100), 44100))
    write_wav(folder / "media" / "voice.wav", tone(0.5))
    for name in ("talk", "voice"):
        (folder / "media" / f"{name}.txt").write_text("so it goes")
    (folder / "model").mkdir()
    (folder / "model" / "model.safetensors").write_bytes(b"weights")
    (folder / "model" / "tokenizer.json").write_text("{}")
    assert Run(folder)() == TALK | VOICE | WORDS
    return folder


@pytest.fixture
def run(extracted, tmp_path):
    """The same on another disk: every cell starts from a copy of media, model and store."""
    shutil.copytree(extracted, tmp_path / "copy")
    return Run(tmp_path / "copy")


def rewrite(path, content):
    """Other content of equal size, with the date that it had."""
    before = path.stat()
    assert len(content) == before.st_size
    assert content != path.read_bytes()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def on_talk(**changes):
    return lambda clip: replace(clip, **changes) if clip.id == "talk.mp4" else clip


# What is computed again


def an_option(run):
    run.sets["loudness"] = plugins.Loudness(hop=0.05)


def the_version(run):
    run.sets["loudness"] = plugins.Louder()


def the_weights(run):
    rewrite(run.folder / "model" / "model.safetensors", b"Weights")


def the_tokenizer(run):
    (run.folder / "model" / "tokenizer.json").write_text('{"a": 1}')


def the_sound_at_equal_size_and_date(run):
    path = run.folder / "media" / "voice.wav"
    other = write_wav(run.folder / "other.wav", tone(0.5, pitch=300)).read_bytes()
    rewrite(path, other)


def the_film_at_equal_size_and_date(run):
    path = run.folder / "media" / "talk.mp4"
    rewrite(path, path.read_bytes().replace(b"Lavf", b"lavf"))  # the name of the writing program


def the_start(run):
    run.edit = on_talk(start=0.2)


def the_end(run):
    run.edit = on_talk(end=0.6)


def a_word(run):
    (run.folder / "media" / "talk.txt").write_text("so it went")


def the_time_of_a_word(run):
    run.edit = on_talk(words=words_of("so it goes", 0.0, 0.8))


@pytest.mark.parametrize(
    ("change", "computed"),
    [
        (an_option, LOUDNESS),
        (the_version, LOUDNESS),
        (the_weights, MODEL),
        (the_tokenizer, MODEL),
        (the_sound_at_equal_size_and_date, VOICE),
        (the_film_at_equal_size_and_date, TALK),
        (the_start, TALK),
        (the_end, TALK),
        (a_word, {("words", "talk.mp4")}),
        (the_time_of_a_word, {("words", "talk.mp4")}),
    ],
)
def test_computed_again_after_a_change_of(run, change, computed):
    assert run() == set()
    change(run)
    assert run() == computed
    assert run() == set()
    store, clips = FeatureStore(run.folder / "features"), {clip.id: clip for clip in run.clips()}
    for name, clip in computed:
        extractor = run.extractors()[name]
        assert same_features(store[extractor.key][clip], extractor.extract(clips[clip]))


# What is not


def a_copy_to_another_machine(run):
    pass  # the fixture's copy; and another host's name, see below


def a_move_of_the_media_folder(run):
    (run.folder / "elsewhere").mkdir()
    (run.folder / "media").rename(run.folder / "elsewhere" / "films")
    run.media = "elsewhere/films"


def a_move_of_the_store(run):
    (run.folder / "features").rename(run.folder / "results")
    run.store = "results"


def a_touch(run):
    for path in (*(run.folder / "media").iterdir(), *(run.folder / "model").iterdir()):
        path.touch()


def other_inodes(run):
    for path in (run.folder / "media").iterdir():
        shutil.copyfile(path, run.folder / "new")
        (run.folder / "new").replace(path)


def more_processes(run):
    run.options["jobs"] = 3


def another_device(run):
    run.options["device"] = "auto"


def an_option_that_is_not_keyed(run):
    run.sets["model"] = plugins.Weighted(folder=str(run.folder / "model"), log=str(run.folder / "log"))


def another_place_of_the_weights(run):
    (run.folder / "model").rename(run.folder / "weights")
    run.sets["model"] = plugins.Weighted(folder=str(run.folder / "weights"))


def labels_and_splits(run):
    run.edit = on_talk(labels={"y": 1.0}, split="test")


def a_pack(run):
    for _ in range(2):
        list(pack_store(FeatureStore(run.folder / "features"), grace=0))


def a_lost_index(run):
    time.sleep(0.15)  # digests of files that have just been written are not kept
    assert run() == set()
    shutil.rmtree(run.folder / "features" / "index")


@pytest.mark.parametrize(
    "change",
    [
        a_copy_to_another_machine, a_move_of_the_media_folder, a_move_of_the_store, a_touch, other_inodes,
        more_processes, another_device, an_option_that_is_not_keyed, another_place_of_the_weights,
        labels_and_splits, a_pack, a_lost_index,
    ],
)  # fmt: skip
def test_not_computed_again_after(run, change, monkeypatch):
    if change is a_copy_to_another_machine:
        monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    change(run)
    assert run() == set()


def test_not_computed_again_after_other_versions_of_libraries(run, monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "99.0")
    assert run() == set()


def test_back_again_is_still_stored(run):
    """Media and words that change back find their features again, and read as what they are now."""
    path = run.folder / "media" / "voice.wav"
    first, extractor = path.read_bytes(), plugins.Loudness()
    for content in (write_wav(run.folder / "other.wav", tone(0.5, pitch=300)).read_bytes(), first):
        path.write_bytes(content)
        computed = run()
        assert computed == (set() if content == first else VOICE)
        got = FeatureStore(run.folder / "features")["loudness"]["voice.wav"]
        assert same_features(got, extractor.extract(Clip("voice.wav", path)))


def test_a_real_model_has_its_weights_and_tokenizer_in_its_key(tmp_path, random_bert):
    folder, clips = tmp_path / "m", [Clip("a", words=words_of("so good"))]
    shutil.copytree(random_bert, folder)
    extractor = Bert(model=str(folder), output="mean")
    keys, digests = [extractor.key], [extractor.digests()]
    make_bert(folder, seed=3)
    keys.append(extractor.key)
    digests.append(extractor.digests())
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + "\n")
    keys.append(extractor.key)
    digests.append(extractor.digests())
    assert len(set(keys)) == 3
    assert [[one[name] != other[name] for name in ("weights", "tokenizer")] for one, other in pairwise(digests)] == [
        [True, False], [False, True]
    ]  # fmt: skip
    store = FeatureStore.create(tmp_path / "features")
    for state in ("stored", "cached"):
        report = extract_all(store, [extractor], clips, jobs=1, device="cpu")
        assert [o.state for o in report.outcomes] == [state]
    # Batching changes the last digits.
    np.testing.assert_allclose(store[extractor.key]["a"].features, extractor.extract(clips[0]).features, atol=1e-6)
