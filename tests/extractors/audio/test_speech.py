"""Against transformers' own feature extractor and a plain forward of each clip alone."""

import json
import shutil

import numpy as np
import pytest
from conftest import make_speech, tone, write_wav

from featzoo.errors import ClipError, InvalidOption, MissingWeights
from featzoo.extractors.audio.speech import Hubert, Wav2Vec2, WavLM
from featzoo.extractors.audio.speech_pieces import convolutions, pieces
from featzoo.extractors.contract import make_extractor
from featzoo.media import audio
from featzoo.media.clip import Clip
from featzoo.sequence import concatenate

KINDS = {"hubert": Hubert, "wavlm": WavLM, "wav2vec2": Wav2Vec2}
SECONDS = (1.0, 0.3, 0.03, 0.7, 1.0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Clips of several lengths, two of them equal, loud and faint."""
    folder = tmp_path_factory.mktemp("clips")
    return [
        Clip(f"c{n}", write_wav(folder / f"c{n}.wav", tone(seconds, seed=n, pitch=150 + 40 * n) * (1 + n) / 3))
        for n, seconds in enumerate(SECONDS)
    ]


def forward(folder, samples):
    """Hidden states (1 + layers, T, D) of (N,) samples by transformers alone: no batch, no mask."""
    import torch

    from featzoo.weights.imports import transformers_module

    transformers = transformers_module()
    prepare = transformers.AutoFeatureExtractor.from_pretrained(str(folder))
    model = transformers.AutoModel.from_pretrained(str(folder)).eval()
    values = prepare(samples, sampling_rate=16000, return_tensors="pt").input_values
    with torch.no_grad():
        found = model(values, output_hidden_states=True)
    return torch.cat([*found.hidden_states[:-1], found.last_hidden_state]).numpy()


def sound(clip):
    return audio.decode_audio(clip.path).samples[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["group", "layer"])
@pytest.mark.parametrize("normalise", [True, False])
def test_hidden_states(tmp_path, clips, kind, norm, normalise):
    folder = make_speech(tmp_path / "m", kind, norm, normalise=normalise)
    for clip in clips:
        states = forward(folder, sound(clip))
        for layers in ((-1,), (0,), (1, 3), (-2, 0, 2)):
            found = KINDS[kind](model=str(folder), layers=layers).extract(clip)
            # the same float32 forward, averaged in another order
            np.testing.assert_allclose(found.features, states[list(layers)].mean(axis=0), atol=1e-5)
            assert found.features.dtype == np.float32
            assert found.names[:2] == ("hidden_0", "hidden_1")


def test_weighted_sum(random_speech, clips):
    weights = (0.5, -1.0, 2.0, 0.25)
    extractor = Hubert(model=str(random_speech / "hubert"), layers=(0, 1, 2, 3), layer_weights=weights)
    expected = np.tensordot(weights, forward(random_speech / "hubert", sound(clips[0])), 1)
    np.testing.assert_allclose(extractor.extract(clips[0]).features, expected, atol=1e-5)
    even = Hubert(model=str(random_speech / "hubert"), layers=(1, 2), layer_weights=(0.5, 0.5))
    mean = Hubert(model=str(random_speech / "hubert"), layers=(1, 2))
    np.testing.assert_array_equal(even.extract(clips[0]).features, mean.extract(clips[0]).features)
    assert even.key != mean.key


@pytest.mark.parametrize("pool", [None, "mean"])
def test_pooled_and_float16(random_speech, clips, pool):
    folder = random_speech / "wavlm"
    states = forward(folder, sound(clips[0]))[-1]
    found, half = (WavLM(model=str(folder), pool=pool, dtype=kind)(clips[0]) for kind in (None, "float16"))
    expected = states.mean(axis=0, keepdims=True) if pool else states
    np.testing.assert_allclose(found.features, expected, atol=1e-5)
    assert half.features.dtype == np.float16
    np.testing.assert_array_equal(half.features, found.features.astype(np.float16))


def test_intervals(random_speech, clips):
    """The base models' frames: every 20 ms, of 25 ms."""
    found = Hubert(model=str(random_speech / "hubert")).extract(clips[0])
    assert len(found) == 49
    np.testing.assert_allclose(found.intervals[:, 0], np.arange(49) * 0.02, atol=1e-12)
    np.testing.assert_allclose(found.intervals[:, 1], np.arange(49) * 0.02 + 0.025, atol=1e-12)
    mean = Hubert(model=str(random_speech / "hubert"), pool="mean")(clips[0])
    np.testing.assert_allclose(mean.intervals, [[0.0, 0.985]])


@pytest.mark.parametrize(("kernels", "strides"), [((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2)), ((7, 4), (3, 2))])
def test_lengths_and_receptive_field(kernels, strides):
    """Against a cascade of convolutions over an index of which samples each output sees."""
    layout = convolutions({"conv_kernel": kernels, "conv_stride": strides})
    for count in [*range(1, 90), 399, 400, 719, 720, 721, 16000, 16037]:
        first = last = np.arange(count)
        for kernel, stride in zip(kernels, strides, strict=True):
            at = np.arange(0, len(first) - kernel + 1, stride)
            first, last = first[at], last[at + kernel - 1]
        assert layout.frames(count) == len(first)
        np.testing.assert_array_equal(first, np.arange(len(first)) * layout.stride)
        np.testing.assert_array_equal(last - first + 1, layout.field)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_a_batch_never_changes_a_clip(tmp_path, clips, kind, norm):
    folder = make_speech(tmp_path / "m", kind, norm)
    one, many = (KINDS[kind](model=str(folder), batch_seconds=s) for s in (0.01, 100.0))
    samples = [sample for clip in clips for sample in many.load(clip)]
    for alone, together in zip(one.encode(samples), many.encode(samples), strict=True):
        np.testing.assert_allclose(alone.features, together.features, atol=1e-5)
        np.testing.assert_array_equal(alone.intervals, together.intervals)


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_only_clips_that_may_share_a_batch_do(tmp_path, clips, norm, monkeypatch):
    """Group norm: equal lengths alone, no mask. Layer norm: any, with a mask where something is padded."""
    from featzoo.extractors.audio import speech

    extractor = Wav2Vec2(model=str(make_speech(tmp_path / "m", "wav2vec2", norm)), batch_seconds=100.0)
    real, seen = speech._encoder, []

    def spy(*key):
        def call(values, **options):
            seen.append((values.shape[0], "attention_mask" in options))
            return encoder(values, **options)

        encoder = real(*key)
        call.dtype = encoder.dtype
        return call

    monkeypatch.setattr(speech, "_encoder", spy)
    extractor.encode([sample for clip in clips for sample in extractor.load(clip)])
    assert seen == ([(1, False), (1, False), (1, False), (2, False)] if norm == "group" else [(5, True)])


def test_batch_norm_before_the_positions_is_not_padded(tmp_path, clips):
    """HuBERT of some languages normalises there: padding would change the last frames."""
    folder = make_speech(tmp_path / "m", "hubert", "layer", conv_pos_batch_norm=True)
    import torch
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    for name in [name for name in state if "batch_norm" in name and state[name].ndim]:
        state[name] = torch.rand_like(state[name]) + 0.5
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    extractor = Hubert(model=str(folder))
    samples = [sample for clip in clips for sample in extractor.load(clip)]
    for clip, found in zip(clips, extractor.encode(samples), strict=True):
        np.testing.assert_allclose(found.features, forward(folder, sound(clip))[-1], atol=1e-5)


@pytest.mark.parametrize("frames", [1, 49, 50, 51, 99, 100, 101, 499])
@pytest.mark.parametrize("context", [0, 3, 200])
def test_windows_cover_each_frame_once(frames, context):
    layout = convolutions({})
    samples = np.arange(400 + (frames - 1) * 320 + 77, dtype=np.float64)
    times = np.arange(2 * frames).reshape(-1, 2)
    kept, found = [], list(pieces(samples, times, layout, 50, context))
    assert np.array_equal(np.concatenate([piece.intervals for piece in found]), times)
    for piece in found:
        assert 1 <= piece.last - piece.first <= 50
        assert layout.frames(len(piece.samples)) <= 50 + 2 * context
        assert piece.first == min(context, len(kept))
        starts = piece.samples[: layout.frames(len(piece.samples)) * 320 : 320]
        kept += starts[piece.first : piece.last].tolist()
    assert kept == [320.0 * n for n in range(frames)]
    assert len(found) == -(-frames // 50)
    assert found[-1].samples[-1] == samples[-1]


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_long_clips_are_windows_with_context(tmp_path, norm):
    folder = make_speech(tmp_path / "m", "hubert", norm)
    voice = tone(2.5)
    clip = Clip("long", write_wav(tmp_path / "a.wav", voice))
    extractor = Hubert(model=str(folder), window_seconds=1.0, context_seconds=0.2)
    samples = list(extractor.load(clip))
    found = extractor.extract(clip)
    assert len(samples) == 3
    assert len(found) == 124
    np.testing.assert_allclose(found.intervals[:, 0], np.arange(124) * 0.02, atol=1e-9)
    # by hand: 41, 42 and 41 frames; normalised over the whole, 10 frames of context
    heard = sound(clip)
    heard = (heard - heard.mean()) / np.sqrt(heard.var() + 1e-7)
    folder_raw = make_speech(tmp_path / "raw", "hubert", norm, normalise=False)
    rows = []
    for start, end in ((0, 41), (41, 83), (83, 124)):
        first, last = max(0, start - 10), min(124, end + 10)
        part = heard[first * 320 : len(heard) if last == 124 else (last - 1) * 320 + 400]
        rows.append(forward(folder_raw, part)[-1][start - first : end - first])
    np.testing.assert_allclose(found.features, np.concatenate(rows), atol=1e-5)
    mean = Hubert(model=str(folder), window_seconds=1.0, context_seconds=0.2, pool="mean")(clip)
    np.testing.assert_allclose(mean.features, np.concatenate(rows).mean(axis=0, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(mean.intervals, [[0.0, found.intervals[-1, 1]]])
    # where the context is all of it, only group normalisation of the samples after the last frame differs
    wide = Hubert(model=str(folder), window_seconds=1.0, context_seconds=9.0).extract(clip)
    np.testing.assert_allclose(wide.features, forward(folder, heard)[-1], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [8000, 44100, 96000])
@pytest.mark.parametrize("what", ["zeros", "noise", "clipped", "six"])
def test_bad_input(tmp_path, random_speech, kind, rate, what):
    noise = np.random.default_rng(0).normal(size=(6 if what == "six" else 1, rate // 2 + 7))
    factor = {"zeros": 0.0, "noise": 0.1, "clipped": 100.0, "six": 0.1}[what]
    clip = Clip("a", write_wav(tmp_path / "a.wav", (factor * noise).clip(-1, 1 - 2**-15), rate))
    for dtype in (None, "float16"):
        found = KINDS[kind](model=str(random_speech / kind), dtype=dtype)(clip)
        assert found.features.shape == (24, 16)
        assert np.isfinite(found.features).all()
        assert found.intervals.max() <= (rate // 2 + 7) / rate


@pytest.mark.parametrize("count", [1, 10, 399])
def test_too_short(tmp_path, random_speech, count):
    with pytest.raises(ClipError) as caught:
        Hubert(model=str(random_speech / "hubert")).extract(Clip("a", write_wav(tmp_path / "a.wav", tone(1)[:count])))
    assert caught.value.reason == "too-short"


def test_one_frame_is_enough(tmp_path, random_speech):
    for kind in KINDS:
        clip = Clip("a", write_wav(tmp_path / "a.wav", tone(1)[:400]))
        assert len(KINDS[kind](model=str(random_speech / kind)).extract(clip)) == 1


def test_resampled_first(tmp_path, random_speech):
    path = write_wav(tmp_path / "a.wav", tone(1.0, 44100), 44100)
    heard = audio.resample(audio.decode_audio(path), 16000).samples[0]
    found = Hubert(model=str(random_speech / "hubert")).extract(Clip("a", path))
    np.testing.assert_allclose(found.features, forward(random_speech / "hubert", heard)[-1], atol=1e-5)


def test_values_beyond_float16_are_refused(random_speech, clips):
    extractor = Hubert(model=str(random_speech / "hubert"), layer_weights=(1e6,), dtype="float16")
    with pytest.raises(ClipError, match=r"hubert: hidden_\d+ is -?\d.*more than float16 holds \(65504\)") as caught:
        extractor(clips[0])
    assert caught.value.reason == "overflow"


def test_key_follows_the_files_and_not_their_place(random_speech, tmp_path):
    folder = random_speech / "hubert"
    base = Hubert(model=str(folder)).key
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    assert Hubert(model=str(copy), batch_seconds=1.0).key == base
    others = (
        {"layers": (0,)},
        {"dtype": "float16"},
        {"pool": "mean"},
        {"window_seconds": 9.0},
        {"context_seconds": 0.0},
    )
    assert len({base, *(Hubert(model=str(folder), **other).key for other in others)}) == 6
    settings = json.loads((copy / "preprocessor_config.json").read_text())
    (copy / "preprocessor_config.json").write_text(json.dumps({**settings, "do_normalize": False}))
    assert Hubert(model=str(copy)).key != base
    assert Hubert(model=str(make_speech(tmp_path / "b", seed=1))).key != base
    assert str(folder) not in json.dumps(Hubert(model=str(folder)).spec())
    assert Hubert(model=str(folder)).provenance() == {"model": str(folder)}


def test_weights_replaced_in_place_are_used(tmp_path, clips):
    folder = make_speech(tmp_path / "m", seed=0)
    extractor = Hubert(model=str(folder))
    first, key = extractor.extract(clips[0]).features, extractor.key
    make_speech(folder, seed=1)
    assert extractor.key != key
    second = extractor.extract(clips[0]).features
    np.testing.assert_allclose(second, forward(folder, sound(clips[0]))[-1], atol=1e-5)
    assert np.abs(first - second).max() > 0.01


@pytest.mark.parametrize(
    ("name", "hub"),
    [
        ("hubert", "facebook/hubert-base-ls960"),
        ("wavlm", "microsoft/wavlm-base-plus"),
        ("wav2vec2", "facebook/wav2vec2-base"),
    ],
)
def test_missing_weights(tmp_path, monkeypatch, name, hub):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingWeights, match=rf"(?s)feat weights get {hub}.*{name}\[model=/path/to/folder\]"):
        KINDS[name]().prepare()


def test_hub_cache_is_found(tmp_path, monkeypatch, random_speech, clips):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    shutil.copytree(random_speech / "hubert", tmp_path / "models--facebook--hubert-base-ls960" / "snapshots" / "x")
    Hubert().prepare()
    named, given = Hubert().extract(clips[0]), Hubert(model=str(random_speech / "hubert")).extract(clips[0])
    np.testing.assert_array_equal(named.features, given.features)
    assert Hubert().key == Hubert(model=str(random_speech / "hubert")).key


def test_invalid_options_and_missing_weights_are_refused(tmp_path, random_speech):
    folder = random_speech / "hubert"
    Hubert(model=str(folder), layers=(-4,)).prepare()
    with pytest.raises(InvalidOption, match="hidden states 0 to 3, not 4"):
        Hubert(model=str(folder), layers=(4,)).prepare()
    with pytest.raises(InvalidOption, match="is a model of type 'hubert', not 'wavlm'"):
        WavLM(model=str(folder)).prepare()
    with pytest.raises(InvalidOption, match="adapter"):
        Wav2Vec2(model=str(make_speech(tmp_path / "a", "wav2vec2", add_adapter=True))).prepare()
    shutil.copytree(folder, tmp_path / "bare")
    (tmp_path / "bare" / "preprocessor_config.json").unlink()
    with pytest.raises(MissingWeights, match=r"preprocessor_config\.json"):
        Hubert(model=str(tmp_path / "bare")).prepare()
    for bad in ("layers=[]", "layer_weights=[1.0,2.0]", "window_seconds=0.5", "batch_seconds=0", "pool=median"):
        with pytest.raises(InvalidOption):
            make_extractor(f"hubert[{bad}]")


def test_pieces_of_one_clip_join(random_speech, clips):
    extractor = Wav2Vec2(model=str(random_speech / "wav2vec2"), window_seconds=1.0)
    samples = list(extractor.load(clips[0]))
    joined = concatenate(extractor.encode(samples))
    np.testing.assert_array_equal(joined.features, extractor.extract(clips[0]).features)
    assert sum(map(len, samples)) == len(joined)
