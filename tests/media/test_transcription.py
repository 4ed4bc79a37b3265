"""Transcripts from sound, and times for given words, by the real faster-whisper on tiny random models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import ffmpeg
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import tone, write_video, write_wav

from featzoo.cli import feat
from featzoo.errors import ClipError, FeatzooError, InvalidClips, InvalidOption, MissingWeights
from featzoo.media.discovery import find_clips
from featzoo.media.transcription import find_media, transcribe_all
from featzoo.media.transcripts import Word, read_transcript

faster_whisper = pytest.importorskip("faster_whisper", reason="needs featzoo[asr]")

from featzoo.media.whisper import Passage, Whisper, locate_model  # noqa: E402

CONTROLS = [
    "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
    "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
]  # fmt: skip
STAMPS = 1501  # of 20 ms, 0 to 30 s


def make_whisper(folder: Path, multilingual: bool, seed: int = 0) -> Path:
    """A Whisper of one layer, width 16, random weights and a vocabulary of 300 made-up words, for CTranslate2."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    from featzoo.weights.imports import transformers_module

    transformers = transformers_module()
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    # By an empty token, which OpenAI's multilingual models happen to have, CTranslate2 knows them.
    vocabulary = letters + [f"Ġw{number}" for number in range(300)] + [""] * multilingual
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(vocabulary)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(CONTROLS)
    end, start = map(tokenizer.token_to_id, CONTROLS[:2])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = transformers.WhisperConfig(
            vocab_size=tokenizer.get_vocab_size() + STAMPS, d_model=16, encoder_layers=1, decoder_layers=1,
            encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, init_std=0.5,
            pad_token_id=end, bos_token_id=end, eos_token_id=end, decoder_start_token_id=start,
        )  # fmt: skip
        model = transformers.WhisperForConditionalGeneration(config)
    # Letters alone are no words, and half letters of UTF-8 no letters.
    model.generation_config.suppress_tokens = list(range(len(letters)))
    model.generation_config.begin_suppress_tokens = []
    source = folder / "transformers"
    model.save_pretrained(source)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=CONTROLS[0]).save_pretrained(source)
    transformers.WhisperFeatureExtractor().save_pretrained(source)
    import ctranslate2

    copied = ["tokenizer.json", "preprocessor_config.json"]
    converter = ctranslate2.converters.TransformersConverter(str(source), copy_files=copied)
    made = Path(converter.convert(str(folder / "tiny")))
    settings = json.loads((made / "config.json").read_text())
    settings["lang_ids"] = [tokenizer.token_to_id(code) for code in CONTROLS[2:4]]
    (made / "config.json").write_text(json.dumps(settings))
    return made


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """CTranslate2's threads spin while they wait: on cores that others keep busy, seconds become minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of an English and a multilingual model."""
    folder = tmp_path_factory.mktemp("whisper")
    return {name: make_whisper(folder / name, name == "many") for name in ("english", "many")}


@pytest.fixture(scope="module")
def english(models):
    return Whisper(str(models["english"]), "cpu", vad=False)


@pytest.fixture(scope="module")
def many(models):
    return Whisper(str(models["many"]), "cpu", vad=False)


@pytest.fixture
def folder(tmp_path):
    """Speech-like sound, silence, a film without sound, no bytes, noise, and one that has a transcript."""
    place = tmp_path / "videos"
    (place / "more").mkdir(parents=True)
    write_wav(place / "voice.wav", tone(2.0))
    write_video(place / "more" / "voice.mp4", count=40, sound=(tone(1.5, 44100), 44100))
    write_video(place / "mute.mkv", count=5)
    (place / "empty.wav").write_bytes(b"")
    (place / "broken.mp3").write_bytes(b"no sound at all" * 50)
    write_wav(place / "told.wav", tone(1.0))
    (place / "told.txt").write_text("so very good")
    return place


def heard(path):
    """The sound as Whisper takes it, decoded by ffmpeg: faster-whisper's own decoding needs PyAV below 19."""
    return np.ascontiguousarray(ffmpeg.sound(path, "-ar", 16000, "-ac", 1)[0])


def run(*arguments):
    return CliRunner().invoke(feat, ["transcribe", *map(str, arguments), "--device", "cpu"])


def test_the_document_is_whispers_with_all_times_in_the_recording(english, many, folder):
    """The layout is that of openai-whisper's JSON writer; times never pass the end of 2 s, though windows have 30."""
    for model in (english, many):
        document = model.transcribe(folder / "voice.wav")
        assert document["segments"], "the random model says something"
        assert [each["id"] for each in document["segments"]] == list(range(len(document["segments"])))
        assert document["text"] == "".join(segment["text"] for segment in document["segments"])
        spans = [span for segment in document["segments"] for span in [segment, *segment["words"]]]
        assert all(0 <= span["start"] <= span["end"] <= 2.0 for span in spans)
        words = [word for segment in document["segments"] for word in segment["words"]]
        assert words
        assert all(set(word) == {"word", "start", "end", "probability"} for word in words)
        assert all(0 <= word["probability"] <= 1 for word in words)
        assert {"id", "start", "end", "text", "words", "tokens", "avg_logprob"} <= set(document["segments"][0])
    assert document["language"] in ("en", "de")
    assert document["featzoo"]["language"] is None


def test_the_words_are_faster_whispers_own(many, models, folder):
    """As faster-whisper gives them for what ffmpeg decodes: our decoding and resampling change nothing."""
    bare = faster_whisper.WhisperModel(str(models["many"]), device="cpu", compute_type="int8")
    found, _ = bare.transcribe(
        heard(folder / "voice.wav"), temperature=0.0, word_timestamps=True, condition_on_previous_text=False
    )
    theirs = [word.word for segment in found for word in segment.words or [] if word.start < 2.0]
    document = many.transcribe(folder / "voice.wav")
    ours = [word["word"] for segment in document["segments"] for word in segment["words"] if word["start"] < 2.0]
    assert ours == theirs


def test_the_same_sound_gives_the_same_bytes(models, folder, tmp_path):
    for name in ("one", "other"):
        run(folder / "voice.wav", "--model", models["many"], "--no-vad", "--to", tmp_path / name)
    written = [(tmp_path / name / "voice.wav.json").read_bytes() for name in ("one", "other")]
    assert written[0] == written[1]
    assert b'"words"' in written[0]


def test_every_recording_is_accounted_for_and_a_second_run_does_only_the_rest(models, folder):
    first = run(folder, "--model", models["english"], "--no-vad")
    assert "6 recordings" in first.output
    assert "2 transcribed, 1 had a transcript already, 3 failed" in first.output
    assert first.exit_code == 1
    for name, reason in {"mute.mkv": "no-audio", "empty.wav": "empty", "broken.mp3": "unreadable"}.items():
        assert f"{name}: {reason}" in first.output
    assert {p.name for p in folder.rglob("*.json")} == {"voice.wav.json", "voice.mp4.json"}
    assert not list(folder.rglob(".*"))
    before = (folder / "voice.wav.json").stat().st_mtime_ns
    (folder / "more" / "voice.mp4.json").unlink()
    again = run(folder, "--model", models["english"], "--no-vad")
    assert "1 transcribed, 2 had a transcript already, 3 failed" in again.output
    assert (folder / "voice.wav.json").stat().st_mtime_ns == before
    clips = {clip.id: clip for clip in find_clips(folder).clips}
    assert clips["voice.wav"].words
    assert clips["voice.wav"].words == read_transcript(folder / "voice.wav.json")
    assert clips["told.wav"].text == "so very good"


def test_silence_gets_a_transcript_without_words_once(models, tmp_path):
    """Silero's detector hears nobody; the language, which was to be detected, stays open; the clip has no words."""
    write_wav(tmp_path / "hush.wav", np.zeros(16000))
    done = run(tmp_path, "--model", models["many"])
    assert done.exit_code == 0
    assert "without a word: 1 (hush.wav)" in done.output
    document = json.loads((tmp_path / "hush.wav.json").read_text())
    assert document["segments"] == []
    assert document["text"] == ""
    assert document["language"] is None
    assert "0 transcribed, 1 had a transcript already" in run(tmp_path, "--model", models["many"]).output
    with pytest.raises(ClipError) as failure:
        find_clips(tmp_path).clips[0].spoken()
    assert failure.value.reason == "no-words"


@pytest.mark.parametrize("samples", [1, 200, 16000 * 31])
def test_the_shortest_and_more_than_a_window(english, tmp_path, samples):
    """One sample, less than one of Whisper's frames (400 samples), and more than its 30 s."""
    sound = tone(samples / 16000)
    document = english.transcribe(write_wav(tmp_path / "x.wav", sound))
    ends = [segment["end"] for segment in document["segments"]]
    assert all(end <= samples / 16000 + 1e-3 for end in ends)
    if samples > 16000 * 30:
        assert max(ends) > 1
        assert len(ends) > 1


def test_force_overwrites_json_and_nothing_else(models, folder):
    hand = folder / "told.txt"
    done = run(folder / "told.wav", "--model", models["english"], "--no-vad", "--force")
    assert "1 transcribed" in done.output
    assert hand.read_text() == "so very good"
    assert find_clips(folder / "told.wav").clips[0].words == read_transcript(folder / "told.wav.json")
    for name in ("told.json", "told.wav.json"):
        (folder / name).write_text('{"fps": 25}')
    refused = run(folder / "told.wav", "--model", models["english"], "--no-vad", "--force")
    assert refused.exit_code == 3
    assert "bad-transcript" in refused.output
    assert "move told.wav.json away" in refused.output
    assert {(folder / name).read_text() for name in ("told.json", "told.wav.json")} == {'{"fps": 25}'}
    (folder / "told.wav.json").unlink()
    assert run(folder / "told.wav", "--model", models["english"], "--no-vad", "--force").exit_code == 0
    assert (folder / "told.json").read_text() == '{"fps": 25}'


def test_a_transcript_that_is_not_read_is_named(models, folder):
    """A .TextGrid comes before .json; the words of --force would be looked for in vain."""
    shutil.copy(Path(__file__).parents[2] / "examples" / "clips" / "clip03.TextGrid", folder / "told.TextGrid")
    done = run(folder / "told.wav", "--model", models["english"], "--no-vad", "--force")
    assert "told.TextGrid comes before told.wav.json" in done.output


def test_segments_of_one_recording_share_its_transcript(models, folder):
    """It is written once, for the whole; each segment reads the words that lie in it."""
    table = folder / "clips.csv"
    table.write_text("id,path,start,end\na,voice.wav,0,1\nb,voice.wav,1,2\nlost,nowhere.wav,,\ntext only,,,\n")
    done = run(table, "--model", models["english"], "--no-vad")
    assert "2 recordings with 3 segments" in done.output
    assert "1 transcribed, 0 had a transcript" in done.output
    assert "nowhere.wav: not-found" in done.output
    assert "skipped: 1 (text only (text alone))" in done.output
    whole = read_transcript(folder / "voice.wav.json")
    halves = [clip.words for clip in find_clips(table).clips[:2]]
    assert [len(half) for half in halves] == [
        sum((word.start + word.end) / 2 < 1 for word in whole),
        sum(1 <= (word.start + word.end) / 2 < 2 for word in whole),
    ]


def test_a_folder_for_transcripts_mirrors_the_sources(models, folder, tmp_path):
    place = tmp_path / "out"
    done = run(folder, "--model", models["english"], "--no-vad", "--to", place)
    assert "3 transcribed, 0 had" in done.output  # what lies beside the media does not count
    assert {p.relative_to(place).as_posix() for p in place.rglob("*.json")} == {
        "voice.wav.json", "told.wav.json", "more/voice.mp4.json"
    }  # fmt: skip
    assert not list(folder.rglob("*.json"))
    assert "0 transcribed, 3 had" in run(folder, "--model", models["english"], "--no-vad", "--to", place).output
    both = find_media([folder, folder / "more"], place).found
    assert {m.target.relative_to(place).as_posix() for m in both} >= {"videos/voice.wav.json"}
    write_wav(tmp_path / "voice.wav", tone(0.5))
    (folder / "table.csv").write_text("id,path\none,voice.wav\nother,../voice.wav\n")
    with pytest.raises(InvalidClips, match="would both get the transcript"):
        find_media([folder / "table.csv"], place)


def test_a_killed_run_leaves_no_half_transcript(models, folder):
    """SIGKILL at any moment: what is there is whole, and the same command finishes the rest."""
    for number in range(6):
        write_wav(folder / f"long{number}.wav", tone(4.0, seed=number))
    command = [Path(sys.executable).with_name("feat"), "transcribe", folder, "--model", models["many"], "--no-vad"]
    process = subprocess.Popen([*command, "--device", "cpu"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(folder.glob("*.json"))) < 2:
        time.sleep(0.01)
    process.kill()
    process.wait()
    done = {path: path.read_bytes() for path in folder.glob("*.json")}
    assert len(done) >= 2
    assert all(json.loads(raw)["featzoo"] for raw in done.values())
    assert "3 failed" in run(folder, "--model", models["many"], "--no-vad").output
    assert len(list(folder.rglob("*.json"))) == 8
    assert all(path.read_bytes() == raw for path, raw in done.items())


def test_alignment_equals_faster_whispers(many, folder):
    """Given words have the times that faster-whisper's own grouping gives the same tokens (1 ms: ours are rounded)."""
    from faster_whisper.tokenizer import Tokenizer

    words = ("w12", "w7", "good", "w299")
    document = many.align(folder / "voice.wav", [Passage(words)])
    segment = document["segments"][0]
    model = many._model
    spectrum = model.feature_extractor(heard(folder / "voice.wav"))
    encoded = model.encode(faster_whisper.audio.pad_or_trim(spectrum[:, : spectrum.shape[-1] - 1]))
    tokenizer = Tokenizer(model.hf_tokenizer, True, "transcribe", document["language"])
    tokens = tokenizer.encode("".join(f" {word}" for word in words))
    theirs = model.find_alignment(tokenizer, [tokens], encoded, spectrum.shape[-1] - 1)[0]
    theirs = [word for word in theirs if word["word"]]
    assert [word["word"] for word in segment["words"]] == [word["word"] for word in theirs] == [f" {w}" for w in words]
    for name in ("start", "end"):
        assert [word[name] for word in segment["words"]] == pytest.approx([word[name] for word in theirs], abs=1e-3)
    assert [w["probability"] for w in segment["words"]] == pytest.approx([w["probability"] for w in theirs], abs=1e-5)
    assert segment["words"][-1]["end"] > segment["words"][0]["start"]


def test_align_gives_times_to_the_words_of_a_text_file(models, folder):
    done = run(folder / "told.wav", "--model", models["english"], "--align")
    assert done.exit_code == 0
    assert "1 aligned" in done.output
    clip = find_clips(folder / "told.wav").clips[0]
    assert clip.text == "so very good"
    assert (folder / "told.txt").read_text() == "so very good"
    assert all(0 <= word.start <= word.end <= 1.0 for word in clip.words)
    assert "0 aligned, 1 had times already" in run(folder / "told.wav", "--model", models["english"], "--align").output
    none = run(folder / "voice.wav", "--model", models["english"], "--align")
    assert none.exit_code == 3
    assert "voice.wav: no-words" in none.output


def test_align_keeps_to_the_segments_of_a_manifest(models, folder):
    """Each row's words get times inside the row's own span, and are read back as that row's."""
    table = folder / "clips.csv"
    table.write_text("id,path,start,end,text\nb,voice.wav,1,2,w3 w4 w5\na,voice.wav,0.25,0.75,w1 w2\n")
    assert all(np.isnan(word.start) for clip in find_clips(table).clips for word in clip.words)
    assert "1 aligned" in run(table, "--model", models["english"], "--align").output
    clips = {clip.id: clip for clip in find_clips(table).clips}
    assert clips["a"].text == "w1 w2"
    assert clips["b"].text == "w3 w4 w5"
    whole = [(w.text, w.start, w.end) for w in read_transcript(folder / "voice.wav.json")]
    assert [text for text, _, _ in whole] == ["w1", "w2", "w3", "w4", "w5"]
    assert all(0.25 <= start <= end <= 0.75 for _, start, end in whole[:2])
    assert all(1 <= start <= end <= 2 for _, start, end in whole[2:])
    first = clips["b"].words[0]
    assert first == Word("w3", pytest.approx(whole[2][1] - 1), pytest.approx(whole[2][2] - 1))


def test_what_alignment_cannot_do(english, tmp_path):
    """More than Whisper's window of 30 s, and more words than its decoder takes."""
    long = write_wav(tmp_path / "long.wav", tone(31.0))
    with pytest.raises(ClipError, match="30 s at most") as failure:
        english.align(long, [Passage(("w1",))])
    assert failure.value.reason == "too-long"
    assert english.align(long, [Passage(("w1",), 30.5, None)])["segments"][0]["start"] == 30.5
    with pytest.raises(ClipError, match="tokens") as failure:
        english.align(long, [Passage(("good",) * 400, 0.0, 5.0)])
    assert failure.value.reason == "too-long"


def test_models_that_are_not_here(models, tmp_path, monkeypatch):
    """Which, where it was looked for, and how to get it; never the network."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    with pytest.raises(MissingWeights, match=r"(?s)faster-whisper-small.*feat weights get.*Looked at .*hf"):
        locate_model("small")
    with pytest.raises(MissingWeights, match="did you mean 'base'"):
        locate_model("baze")
    with pytest.raises(MissingWeights, match=r"no model\.bin.*ct2-transformers-converter"):
        locate_model(str(models["english"].parent / "transformers"))
    bare = tmp_path / "bare"
    shutil.copytree(models["english"], bare, ignore=shutil.ignore_patterns("tokenizer.json"))
    with pytest.raises(MissingWeights, match=r"no tokenizer\.json"):
        locate_model(str(bare))
    shutil.copytree(models["many"], tmp_path / "torn")
    (tmp_path / "torn" / "model.bin").write_bytes((models["many"] / "model.bin").read_bytes()[:1000])
    with pytest.raises(FeatzooError, match="cannot load"):
        Whisper(str(tmp_path / "torn"), "cpu")


def test_models_in_the_hubs_cache_are_found_by_name(models, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--Systran--faster-whisper-tiny" / "snapshots" / "0123"
    shutil.copytree(models["english"], snapshot)
    assert locate_model("tiny") == snapshot
    loaded = Whisper("tiny", "cpu")
    assert loaded.name == "Systran/faster-whisper-tiny"
    assert len(loaded._digest) == 64
    moved = tmp_path / "elsewhere"
    shutil.copytree(models["english"], moved)
    assert Whisper(str(moved), "cpu")._digest == loaded._digest


def test_options_that_do_not_fit(models):
    with pytest.raises(InvalidOption, match="knows English"):
        Whisper(str(models["english"]), "cpu", language="de")
    with pytest.raises(InvalidOption, match="does not know the language 'xx'"):
        Whisper(str(models["many"]), "cpu", language="xx")
    with pytest.raises(InvalidOption, match="expected auto, cpu, cuda"):
        Whisper(str(models["many"]), "gpu")
    with pytest.raises(InvalidOption, match="cannot use Apple GPUs; use cpu"):
        Whisper(str(models["many"]), "mps")


def test_a_given_language_is_recorded(models, folder):
    spoken = Whisper(str(models["many"]), "cpu", language="de", beam=2)
    document = spoken.transcribe(folder / "voice.wav")
    assert document["language"] == "de"
    assert document["featzoo"]["language"] == "de"
    assert document["featzoo"]["beam"] == 2


def test_nothing_to_do_loads_no_model(folder):
    def load():
        raise AssertionError("no model is needed")

    outcomes = transcribe_all(find_media([folder / "told.wav"]).found, load)
    assert [outcome.state for outcome in outcomes] == ["kept"]


def test_texts_are_read_in_the_given_encoding(folder):
    (folder / "told.txt").write_bytes("naïve café".encode("cp1252"))
    (medium,) = find_media([folder / "told.wav"]).found
    assert not medium.clips[0].words  # several encodings fit
    (medium,) = find_media([folder / "told.wav"], encoding="cp1252").found
    assert medium.clips[0].text == "naïve café"
    done = run(folder / "told.wav", "--encoding", "cp1252")
    assert "0 transcribed, 1 had a transcript already, 0 failed" in done.output


def test_a_folder_that_cannot_be_written_is_said_before_the_work(folder):
    """A file lies where the folder for transcripts should; no model is asked for."""

    def load():
        raise AssertionError("no model is needed")

    outcomes = transcribe_all(find_media([folder / "voice.wav"], folder / "told.txt" / "out").found, load)
    assert [outcome.state for outcome in outcomes] == ["failed"]
    assert outcomes[0].detail.startswith("unwritable: cannot make")


@pytest.mark.data
def test_real_speech_passes_the_voice_detector(data, models):
    """Silero hears speech in the Arctic sentence: its times lie within the 4 s; and the accounting holds."""
    found = Whisper(str(models["many"]), "cpu").transcribe(data / "media" / "speech" / "covarep_arctic_a0007.wav")
    assert found["featzoo"]["vad"] is True
    assert found["segments"]
