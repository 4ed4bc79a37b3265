"""Media made on the spot, and what several tests share."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the commands do, before torch is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")  # there are as many test processes as cores

import shutil
import tempfile
import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import fault_table
import hypothesis
import numpy as np
import pytest

# A property is true or not however busy the machine is. The same examples each time, so that a failure is the
# change's; `make fuzz` draws new ones: more where a test says no number, or asks `ffmpeg.examples` for it.
hypothesis.settings.register_profile("featzoo", deadline=None, derandomize=True)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("featzoo")

# The classes that a test trains with are not remembered as the user's.
STATE = tempfile.mkdtemp(prefix="featzoo-state-")
os.environ["XDG_STATE_HOME"] = STATE

TESTS = Path(__file__).parent
ROOT = TESTS.parent
EXAMPLES = ROOT / "examples" / "clips"
DATA = Path(os.environ.get("FEATZOO_TEST_DATA", ROOT.parent / "shared" / "data"))


KILLS_A_TEST = 20
LONG_FORM = 1000


def pytest_addoption(parser):
    said = f"SIGKILLs in tests/test_faults.py: {KILLS_A_TEST}, with `-m faults` {LONG_FORM}"
    parser.addoption("--kills", type=int, default=None, help=said)


def pytest_unconfigure():
    """Leave nothing behind, in each of the test processes."""
    shutil.rmtree(STATE, ignore_errors=True)


def pytest_generate_tests(metafunc):
    """As many tests of at most 20 kills as `--kills` asks for."""
    if "kills" in metafunc.fixturenames:
        asked = metafunc.config.getoption("--kills")
        usual = fault_table.long_form(metafunc.config, KILLS_A_TEST, LONG_FORM)
        whole, rest = divmod(usual if asked is None else asked, KILLS_A_TEST)
        metafunc.parametrize("kills", [KILLS_A_TEST] * whole + [rest] * bool(rest))


def pytest_collection_modifyitems(config, items):
    """In the long form of the faults a test may take an hour, on a busy machine too; one that hangs still fails."""
    if fault_table.is_long(config):
        for item in items:
            item.add_marker(pytest.mark.timeout(3600), append=False)


def pytest_terminal_summary(terminalreporter):
    """The table of faults, if they were asked for; tables of tests, where files of tests were asked for by name."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, [])]
    if all(".py" in arg for arg in terminalreporter.config.args):
        tables = (v for r in reports for name, v in getattr(r, "user_properties", []) if name == "table")
        for line in (line for table in tables for line in ["", *table]):
            terminalreporter.write_line(line)
    if fault_table.is_long(terminalreporter.config):
        for line in fault_table.lines(reports):
            terminalreporter.write_line(line)


@pytest.fixture
def count_faults(record_property):
    """Adds to a row of the table of faults: `count_faults("flips: index", trials=3, tracebacks=0)`."""
    return lambda row, **counts: record_property("faults", [row, {k.replace("_", " "): v for k, v in counts.items()}])


@pytest.fixture(scope="session", autouse=True)
def surroundings(tmp_path_factory):
    """Workers find the plugins of the tests; nothing is remembered in the user's home."""
    before = dict(os.environ)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), before.get("PYTHONPATH", "")])
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("home"))
    yield
    os.environ.clear()
    os.environ.update(before)


class ThisProcess:
    """An engine that runs tasks in the process of the test."""

    spread = False

    def run(self, setup, jobs, alone):
        from featzoo.extraction.engines import _tasks

        for work, given, named in _tasks(replace(setup, jobs=None), jobs, 1, alone):
            yield work(*given, **named)


@pytest.fixture(scope="module")
def one_process():
    """Extraction starts no workers, for tests of something else: each worker costs an import of torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("featzoo.extraction.driver.make_engine", lambda *asked: ThisProcess())
        yield


@pytest.fixture
def print_table(record_property):
    """Lines to print after the tests, `-q` or not."""
    return lambda lines: record_property("table", lines)


@pytest.fixture(scope="session")
def data():
    """The folder of real media and data sets, where it is."""
    if not DATA.is_dir():
        pytest.skip(f"needs real media: no folder {DATA} (set FEATZOO_TEST_DATA)")
    return DATA


@pytest.fixture(scope="session")
def examples():
    """The project's own twelve clips."""
    if not EXAMPLES.is_dir():
        pytest.skip(f"no example clips in {EXAMPLES}")
    return EXAMPLES


def tone(seconds, rate=16000, pitch=220.0, seed=0):
    """(N,) float32: a vowel-like sum of harmonics with vibrato and a little noise, within [-0.5, 0.5]."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * (pitch * time + 2.0 * np.sin(2 * np.pi * 5 * time) / 5)
    wave_form = sum(np.sin(k * phase) / k for k in range(1, 9))
    noise = np.random.default_rng(seed).normal(size=len(time)) * 0.02
    return (0.2 * (wave_form / 2 + noise)).astype(np.float32).clip(-0.5, 0.5)


def write_wav(path, samples, rate=16000):
    """16-bit PCM through the standard library; samples (N,) or (C, N), floats in [-1, 1) or int16."""
    samples = np.atleast_2d(samples)
    if samples.dtype.kind == "f":
        samples = np.round(samples * 32768).clip(-32768, 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(samples.T, dtype="<i2").tobytes())
    return path


def moving_picture(number, height=48, width=64):
    """(H, W, 3) uint8: a square that walks over a gradient, so that no two frames agree."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(0, 120, width).astype(np.uint8)
    image[..., 1] = 40
    left, top = (3 * number) % (width - 12), (2 * number) % (height - 12)
    image[top : top + 12, left : left + 12] = (250, 200, (37 * number) % 255)
    return image


def write_video(
    path, count=50, rate=25, times=None, sound=None, sound_at=0.0, codec="libx264",
    pixels="yuv420p", picture=moving_picture, options=None, sound_codec=None, container_options=None,
):  # fmt: skip
    """A video of `count` pictures at `rate` or at `times` (s); sound is (samples, rate), from `sound_at` s."""
    import av

    with av.open(str(path), "w", options=container_options or {}) as container:
        video = container.add_stream(codec, rate=rate)
        first = picture(0)
        video.height, video.width, video.pix_fmt = first.shape[0], first.shape[1], pixels
        video.options = {"g": "12", **(options or {})}
        video.codec_context.thread_count = 1  # by default the machine's cores, which change what x264 makes
        unit = Fraction(1, 1000) if times is not None else Fraction(1, rate)
        video.codec_context.time_base = unit
        audio = None
        if sound is not None:
            name = sound_codec or ("aac" if path.suffix == ".mp4" else "pcm_s16le")
            audio = container.add_stream(name, rate=sound[1], layout="mono")
            # Without noise substitution: AAC's random noise depends on where a decoder starts.
            audio.options = {"aac_pns": "0"} if name == "aac" else {}
        stamps = [round(t * 1000) for t in times] if times is not None else range(count)
        for number, stamp in enumerate(stamps):
            image = picture(number)
            layout = "gray" if image.ndim == 2 else "rgb24"
            frame = av.VideoFrame.from_ndarray(image, format=layout).reformat(format=pixels)
            frame.pts, frame.time_base = stamp, unit
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            values, hertz = sound
            kind = audio.codec_context.format.name
            step = audio.codec_context.frame_size or 1024
            for start in range(0, len(values), step):
                part = values[start : start + step]
                if kind.startswith("s16"):
                    part = np.round(part * 32768).clip(-32768, 32767).astype(np.int16)
                block = av.AudioFrame.from_ndarray(np.ascontiguousarray(part[None]), format=kind, layout="mono")
                block.sample_rate, block.time_base = hertz, Fraction(1, hertz)
                block.pts = start + round(sound_at * hertz)
                container.mux(audio.encode(block))
            container.mux(audio.encode(None))
    return path


def damage(source, target, numbers):
    """A copy in which the packets of some frames hold noise."""
    import av

    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = (packet for packet in old.demux(old.streams.video[0]) if packet.pts is not None)
        for number, packet in enumerate(packets):
            if number in numbers:
                noise = av.Packet(np.random.default_rng(number).bytes(packet.size))
                noise.pts, noise.dts, noise.time_base = packet.pts, packet.dts, packet.time_base
                noise.duration, noise.is_keyframe = packet.duration, packet.is_keyframe
                packet = noise
            packet.stream = stream
            new.mux(packet)
    return target


def turn(path):
    """Write a quarter turn clockwise into the display matrix of an mp4's video track (ISO 14496-12, 8.3.2)."""
    raw = bytearray(path.read_bytes())
    place = raw.index(b"tkhd") + 4 + 40
    fixed = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]
    raw[place : place + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in fixed)
    path.write_bytes(raw)
    return path


# Irregular gaps of 20 to 200 ms, as a phone's variable frame rate gives them.
UNEVEN = np.cumsum([0.0, *np.random.default_rng(5).integers(20, 200, 39) / 1000])


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder: voice.wav 2 s, talk.mp4 2 s of h264 with aac, uneven.mkv of variable rate without sound."""
    folder = tmp_path_factory.mktemp("made")
    write_wav(folder / "voice.wav", tone(2.0))
    write_video(folder / "talk.mp4", sound=(tone(2.0, 44100), 44100), container_options={"movflags": "faststart"})
    write_video(folder / "uneven.mkv", times=UNEVEN)
    return folder


BERT_WORDS = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "film", "was", "good", "bad", "so", "very",
    "un", "##believ", "##able", "not", "a", "and", "fine", "!",
]  # fmt: skip


def make_bert(folder, seed=0, layers=2, positions=24):
    """A BERT of width 16, random weights, with a WordPiece tokenizer."""
    import torch

    from featzoo.weights.imports import transformers_module

    transformers = transformers_module()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(BERT_WORDS) + "\n")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = transformers.BertConfig(
            vocab_size=len(BERT_WORDS), hidden_size=16, num_hidden_layers=layers, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=positions,
        )  # fmt: skip
        transformers.BertModel(config).save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": true}')
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def random_bert(tmp_path_factory):
    """The folder of a tiny BERT with a tokenizer."""
    return make_bert(tmp_path_factory.mktemp("bert") / "tiny")


def make_speech(folder, kind="hubert", norm="group", seed=0, normalise=True, **settings):
    """A HuBERT, WavLM or wav2vec 2.0 of 3 layers, width 16, random weights, with its preprocessor's settings."""
    import torch

    from featzoo.weights.imports import transformers_module

    transformers = transformers_module()
    names = {"hubert": "Hubert", "wavlm": "WavLM", "wav2vec2": "Wav2Vec2"}
    config, model = (getattr(transformers, names[kind] + each) for each in ("Config", "Model"))
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        small = config(
            hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, conv_dim=[8] * 7,
            num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, feat_extract_norm=norm,
            do_stable_layer_norm=norm == "layer", **settings,
        )  # fmt: skip
        model(small).save_pretrained(folder)
    preprocessor = transformers.Wav2Vec2FeatureExtractor(
        do_normalize=normalise, return_attention_mask=norm == "layer", sampling_rate=16000
    )
    preprocessor.save_pretrained(folder)
    return folder


def make_whisper(folder, seed=0):
    """A Whisper of 3 encoder layers, width 16, random weights, with its preprocessor's settings."""
    import torch

    from featzoo.weights.imports import transformers_module

    transformers = transformers_module()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        small = transformers.WhisperConfig(
            d_model=16, encoder_layers=3, encoder_attention_heads=2, encoder_ffn_dim=32, decoder_layers=1,
            decoder_attention_heads=2, decoder_ffn_dim=32, vocab_size=100, pad_token_id=0, bos_token_id=1,
            eos_token_id=2, decoder_start_token_id=1,
        )  # fmt: skip
        transformers.WhisperModel(small).save_pretrained(folder)
    transformers.WhisperFeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def random_speech(tmp_path_factory):
    """The folder that holds tiny speech encoders by name: hubert, wavlm, wav2vec2, whisper."""
    folder = tmp_path_factory.mktemp("speech")
    make_whisper(folder / "whisper")
    for kind in ("hubert", "wavlm", "wav2vec2"):
        make_speech(folder / kind, kind, norm="layer" if kind == "wavlm" else "group")
    return folder


VISION = {
    "clip": ("CLIPVisionModelWithProjection", "CLIPImageProcessor", {"projection_dim": 12}),
    "siglip": ("SiglipVisionModel", "SiglipImageProcessor", {}),
    "videomae": ("VideoMAEModel", "VideoMAEImageProcessor", {"num_frames": 4, "use_mean_pooling": False}),
}


def make_vision(folder, kind="clip", seed=0, processor=None, **settings):
    """A CLIP, SigLIP or VideoMAE encoder of 3 layers, width 16, for 32 x 32 pixels, with its processor's settings."""
    import torch

    from featzoo.weights.imports import transformers_module

    transformers = transformers_module()
    name, processes, more = VISION[kind]
    model = getattr(transformers, name)
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        small = model.config_class(
            hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, patch_size=8,
            **{"image_size": 32, **more, **settings},
        )  # fmt: skip
        model(small).save_pretrained(folder)
    size = {"height": 32, "width": 32} if kind == "siglip" else {"shortest_edge": 32}
    asked = {"size": size, "crop_size": {"height": 32, "width": 32}, **(processor or {})}
    getattr(transformers, f"{processes}Pil")(**asked).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def random_vision(tmp_path_factory):
    """The folder that holds tiny vision encoders by name: clip, siglip, videomae."""
    folder = tmp_path_factory.mktemp("vision")
    for kind in VISION:
        make_vision(folder / kind, kind)
    return folder


def same_features(one, other):
    """Whether two sequences agree to the bit, NaN equal to NaN."""
    return (
        one.features.dtype == other.features.dtype
        and np.array_equal(one.features, other.features, equal_nan=one.features.dtype.kind == "f")
        and np.array_equal(one.intervals, other.intervals, equal_nan=True)
        and one.names == other.names
    )
