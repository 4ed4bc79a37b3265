"""Tiny corpora and features of other programs, in the formats in which they are distributed."""

from __future__ import annotations

import pickle
import wave
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from docs.texts import table
from featzoo import FeatureSequence, FeatureStore
from featzoo.exchange.formats.csd import export_csd

EMOTIONS = ("anger", "happiness", "neutral", "sadness")
# Speakers of a corpus, how a file of one is called, and the codes of the four emotions.
SPEECH = {
    "EMO-DB": (("03", "08", "09"), "wav/{speaker}a01{emotion}a.wav", "WFNT"),
    "RAVDESS": ([f"{n:02d}" for n in range(1, 13)], "Actor_{speaker}/03-01-{emotion}-01-01-01-{speaker}.wav",
                ("05", "03", "01", "04")),
    "CREMA-D": (range(1001, 1011), "AudioWAV/{speaker}_DFA_{emotion}_XX.wav", ("ANG", "HAP", "NEU", "SAD")),
    "SAVEE": (("DC", "JE", "JK", "KL"), "AudioData/{speaker}/{emotion}01.wav", ("a", "h", "n", "sa")),
    "TESS": (("OAF", "YAF"), "{speaker}/{speaker}_back_{emotion}.wav", ("angry", "happy", "neutral", "sad")),
    "ESD": ([f"{n:04d}" for n in range(1, 11)], "{speaker}/{emotion}/train/{speaker}_000{number:03d}.wav",
            ("Angry", "Happy", "Neutral", "Sad")),
}  # fmt: skip


def sounds(voices: Path) -> Iterator[tuple[int, bytes]]:
    """Half a second of each voice of `feat example emotions`, for ever: the place of its emotion, and a WAV's data."""
    every = sorted(voices.glob("*.wav"))
    while True:
        for path in every:
            with wave.open(str(path)) as file:
                file.setpos(file.getframerate() // 2)
                yield EMOTIONS.index(path.name.split("_")[1]), file.readframes(file.getframerate() // 2)


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(data)


def speech(corpus: str, voices: Path) -> None:
    """A corpus of acted emotions: half a second of each speaker and emotion."""
    speakers, pattern, codes = SPEECH[corpus]
    given = sounds(voices)
    for speaker in speakers:
        for number in range(4):
            emotion, data = next(given)
            name = pattern.format(speaker=speaker, emotion=codes[emotion], number=50 * number + 1)
            write(Path(corpus) / name, data)


def iemocap(folder: str, voices: Path) -> None:
    """Five sessions of a dialogue each, and four utterances of each speaker."""
    given = sounds(voices)
    for session in range(1, 6):
        dialogue, rows, said = f"Ses{session:02d}F_impro01", "", ""
        for number in range(4):
            for speaker in "FM":
                emotion, data = next(given)
                turn, start = f"{dialogue}_{speaker}{number:03d}", 2.0 * number
                rows += f"[{start:.4f} - {start + 1:.4f}]\t{turn}\t{('ang', 'hap', 'neu', 'sad')[emotion]}\t"
                rows += "[2.5000, 2.5000, 2.5000]\n"
                said += f"{turn} [{start:08.4f}-{start + 1:08.4f}]: What is it, then?\n"
                write(Path(folder) / f"Session{session}/sentences/wav/{dialogue}/{turn}.wav", data)
        place = Path(folder) / f"Session{session}/dialog"
        for name, text in (("EmoEvaluation", rows), ("transcriptions", said)):
            (place / name).mkdir(parents=True)
            (place / name / f"{dialogue}.txt").write_text(f"% TURN\n\n{text}" if text is rows else text)


def msp_podcast(folder: str, voices: Path) -> None:
    """Eight clips of each of three partitions."""
    given, rows = (
        sounds(voices),
        [("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")],
    )
    for place, part in enumerate(("Train", "Development", "Test1")):
        for number in range(8):
            emotion, data = next(given)
            name = f"MSP-PODCAST_{place:04d}_{number:04d}.wav"
            rows.append((name, "AHNS"[emotion], "2.2", "4.0", "3.2", str(10 * place + number // 4), "Male", part))
            write(Path(folder) / "Audios" / name, data)
    (Path(folder) / "Transcripts").mkdir()
    table(Path(folder) / "Labels/labels_consensus.csv", *rows)


def openface(folder: str) -> None:
    """Two frames of a clip."""
    header = ("frame", "face_id", "timestamp", "confidence", "success", "gaze_0_x", "AU01_r", "AU01_c")
    table(Path(folder) / "clip01.csv", header, (1, 0, 0.0, 0.9, 1, 0.1, 2.5, 1), (2, 0, 0.04, 0.9, 1, 0.1, 2.4, 1))


def imotions(folder: str) -> None:
    """Two frames of a respondent."""
    header = ("Name", "StimulusName", "MediaTime", "FrameNo", "NoOfFaces", "Joy Evidence", "AU1 Evidence")
    path = Path(folder) / "study.txt"
    table(path, header, ("ann", "film", 0, 0, 1, 1.5, 2), ("ann", "film", 40, 1, 1, 1.4, 2), delimiter="\t")
    path.write_text("#Study : x\n#Version : 6.1\n\n" + path.read_text())


def youtube_personality(folder: str) -> None:
    """Two vlogs."""
    place = Path(folder)
    (place / "transcripts").mkdir(parents=True)
    scores = "vlogId Extr Agr Cons Emot Open\nV1 4.9 3.7 1 7 5.5\nV2 5 5 4.6 5.3 4.4\n"
    (place / "YouTube-Personality-Personality_impression_scores.csv").write_text(scores)
    features = "vlogId mean.pitch hogv.median\nV1 178.15 0.5\nV2 239.32 7\n"
    (place / "YouTube-Personality-audiovisual_features.csv").write_text(features)
    (place / "transcripts" / "V1.txt").write_text("You know what I see.")


def first_impressions(folder: str, parts: tuple[str, ...] = ("training", "validation", "test")) -> None:
    """Annotations and transcripts of six clips of each part, as pickles of Python 2."""
    traits = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism", "interview")
    Path(folder).mkdir()
    for part in parts:
        names = [f"{part}{number}.000.mp4" for number in range(6)]
        scores = {trait: {name: 0.3 + 0.1 * (n % 4) for n, name in enumerate(names)} for trait in traits}
        texts = {name: f"I have {number} cats at home" for number, name in enumerate(names)}
        for kind, content in (("annotation", scores), ("transcription", texts)):
            (Path(folder) / f"{kind}_{part}.pkl").write_bytes(pickle.dumps(content, protocol=2))


def pom(folder: str) -> None:
    """Two clips of each split, with four words."""
    rng = np.random.default_rng(0)
    for kind, shape in (("audio", (2, 4, 43)), ("video", (2, 4, 41)), ("text", (2, 4, 300)), ("y", (2, 17))):
        for split in ("train", "valid", "test"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            with h5py.File(Path(folder) / f"{kind}_{split}.h5", "w") as file:
                file["d1"] = rng.uniform(1, 5, shape)


def mult(path: str) -> None:
    """Two clips of each split as MulT's pickle without alignment: utterances of `mosei`."""
    rng, parts = np.random.default_rng(0), {}
    for video, split in (("v0", "train"), ("v2", "valid"), ("v3", "test")):
        parts[split] = {
            key: rng.normal(size=(2, steps, width)).astype(np.float32)
            for key, steps, width in (("text", 5, 300), ("audio", 9, 74), ("vision", 7, 35))
        }
        parts[split]["labels"] = np.array([[[1.2]], [[-0.6]]], np.float32)
        parts[split]["id"] = np.array([[video, "0", "2"], [video, "3", "5"]])
    Path(path).write_bytes(pickle.dumps(parts, protocol=2))


def arrays(folder: str) -> None:
    """An array of a clip."""
    Path(folder).mkdir()
    np.save(Path(folder) / "clip01.npy", np.zeros((5, 3), np.float32))


def mosei(folder: str) -> None:
    """MERTools' labels, s3prl's times and a table of words: eight videos of two utterances."""
    parts: dict[str, dict[str, object]] = {"train": {}, "val": {}, "test": {}}
    times = [("", "file", "index", "start", "end", "label2a", "label2b", "label6", "label7", "split")]
    words = [("name", "chinese", "english")]
    for video in range(8):
        part = ("train", "train", "val", "test")[video % 4]
        for number in range(2):
            name, score = f"v{video}_{number}", (1.0, -2.0)[number]
            parts[part][name] = {"emo": 0, "val": np.float32(score)}
            times.append(
                (
                    len(times),
                    f"v{video}",
                    number,
                    3 * number,
                    3 * number + 2,
                    int(score > 0),
                    int(score),
                    0,
                    int(score),
                    0,
                )
            )
            words.append((name, "好", f"the film was {('good', 'bad')[number]} {video}"))
    Path(folder).mkdir()
    given = {f"{part}_corpus": np.array(rows, dtype=object) for part, rows in parts.items()}
    np.savez_compressed(Path(folder) / "label.npz", **given)
    table(Path(folder) / "CMU_MOSEI_Labels.csv", *times)
    table(Path(folder) / "transcription-engchi.csv", *words)


def recordings(path: str, name: str, columns: int) -> None:
    """The SDK's .csd of whole recordings: ten rows a second of the videos of `mosei`."""
    starts = np.arange(80) / 10
    times, rng = np.stack([starts, starts + 0.1], axis=1), np.random.default_rng(0)
    names = tuple(f"{name}{column}" for column in range(columns))
    store = FeatureStore.create(f"made-{name}")
    rows = {
        f"v{video}": FeatureSequence(rng.normal(size=(80, columns)).astype(np.float32), times, names)
        for video in range(8)
    }
    store.add(name, rows)
    export_csd(Path(f"made-{name}"), name, Path(path))


def mmsa(path: str, source: Path, widths: tuple[int, int] = (5, 20), scale: float = 1.0) -> None:
    """MMSA's pickle as `feat example mosi` makes it, with other widths of audio and vision, and another scale."""
    parts = pickle.loads(source.read_bytes())
    for part in parts.values():
        part["regression_labels"] = part["regression_labels"] / scale
        if scale != 1:  # CH-SIMS has a label of each modality too
            part |= {f"regression_labels_{modality}": part["regression_labels"] for modality in "TAV"}
        for key, width in zip(("audio", "vision"), widths, strict=True):
            part[key] = np.resize(part[key], (*part[key].shape[:2], width)).astype(np.float32)
    Path(path).write_bytes(pickle.dumps(parts, protocol=4))
