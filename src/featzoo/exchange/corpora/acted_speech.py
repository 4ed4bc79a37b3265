"""Tables of acted emotional speech: EMO-DB, RAVDESS, CREMA-D, SAVEE, TESS and ESD, by their file names."""

from __future__ import annotations

from featzoo.exchange.corpora.file_names import Corpus

FEMALE, MALE = "female", "male"


def _genders(female: str, male: str) -> dict[str, str]:
    return {**dict.fromkeys(female.split(), FEMALE), **dict.fromkeys(male.split(), MALE)}


EMODB = Corpus(
    title="EMO-DB",
    # 03a01Fa: speaker, sentence, emotion, version.
    pattern=r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[WLEAFTN])(?P<take>[a-z])",
    codes={
        "emotion": {
            "W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness", "N": "neutral",
        }
    },
    clips={"anger": 127, "boredom": 81, "disgust": 46, "fear": 69, "happiness": 71, "neutral": 79, "sadness": 62},
    licence="a free download without a named licence; cite Burkhardt et al., Interspeech 2005",
    protocol="leave one speaker out (10 speakers), column speaker; unweighted average recall",
    fixed={"language": "de"},
    derived={"gender": ("speaker", _genders("08 09 13 14 16", "03 10 11 12 15"))},
)  # fmt: skip

RAVDESS = Corpus(
    title="RAVDESS (speech)",
    # 03-01-05-02-01-01-12: modality, channel (01 speech), emotion, intensity, statement, repetition, actor.
    pattern=r"(?P<_modality>0[13])-01-(?P<emotion>0[1-8])-(?P<intensity>0[12])-(?P<sentence>0[12])-(?P<take>0[12])-"
    r"(?P<speaker>[01]\d|2[0-4])",
    codes={
        "emotion": {
            "01": "neutral", "02": "calm", "03": "happiness", "04": "sadness", "05": "anger", "06": "fear",
            "07": "disgust", "08": "surprise",
        },
        "intensity": {"01": "normal", "02": "strong"},
        "sentence": {"01": "kids", "02": "dogs"},
    },
    clips={"neutral": 96, "calm": 192, "happiness": 192, "sadness": 192, "anger": 192, "fear": 192, "disgust": 192,
           "surprise": 192},
    licence="CC BY-NC-SA 4.0",
    protocol="none by its makers; six folds of four actors (1-4, 5-8, ...), column fold; unweighted average recall",
    fixed={"language": "en"},
    derived={
        "gender": ("speaker", {f"{actor:02}": MALE if actor % 2 else FEMALE for actor in range(1, 25)}),
        "fold": ("speaker", {f"{actor:02}": str((actor + 3) // 4) for actor in range(1, 25)}),
    },
    aside={"songs and recordings without sound": r"0[1-3]-0[12](-\d\d){5}"},
)  # fmt: skip

CREMA_D = Corpus(
    title="CREMA-D",
    # 1001_DFA_ANG_XX: actor, sentence, emotion, level.
    pattern=r"(?P<speaker>10\d\d)_(?P<sentence>[A-Z]{3})_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_"
    r"(?P<intensity>LO|MD|HI|XX?)",
    codes={
        "emotion": {
            "ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happiness", "NEU": "neutral", "SAD": "sadness",
        },
        "intensity": {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"},
    },
    clips={"anger": 1271, "disgust": 1271, "fear": 1271, "happiness": 1271, "neutral": 1087, "sadness": 1271},
    licence="Open Database License 1.0; contents: Database Contents License 1.0",
    protocol="none by its makers; folds of unseen speakers (91 actors), column speaker",
    fixed={"language": "en"},
)  # fmt: skip

SAVEE = Corpus(
    title="SAVEE",
    # DC/a01 as distributed, DC_a01 in copies: speaker, emotion, sentence.
    pattern=r"(?P<speaker>DC|JE|JK|KL)[/_](?P<emotion>sa|su|[adfhn])(?P<sentence>\d\d)",
    codes={
        "emotion": {
            "a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "n": "neutral", "sa": "sadness",
            "su": "surprise",
        }
    },
    clips={"anger": 60, "disgust": 60, "fear": 60, "happiness": 60, "neutral": 120, "sadness": 60, "surprise": 60},
    licence="research only, after registration with the University of Surrey",
    protocol="leave one speaker out (4 speakers, all male), column speaker",
    fixed={"language": "en", "gender": MALE},
    identity="{speaker}_{emotion}{sentence}",
)  # fmt: skip

TESS = Corpus(
    title="TESS",
    # OAF_back_angry: speaker, word, emotion; one file is distributed as OA_bite_neutral.
    pattern=r"(?P<speaker>OAF?|YAF)_(?P<sentence>[a-z-]+)_(?P<emotion>angry|disgust|fear|happy|neutral|ps|sad)",
    codes={
        "speaker": {"OA": "OAF"},
        "emotion": {"angry": "anger", "happy": "happiness", "ps": "surprise", "sad": "sadness"},
    },
    clips=dict.fromkeys(("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"), 400),
    licence="CC BY-NC-ND 4.0",
    protocol="none by its makers; train on one speaker and test on the other, column speaker",
    fixed={"language": "en", "gender": FEMALE},
)

ESD = Corpus(
    title="ESD",
    # 0001/Angry/train/0001_000351: speaker, emotion, split, number; some copies have no folders of splits.
    pattern=r"(?P<speaker>00[01]\d|0020)/(?P<emotion>Angry|Happy|Neutral|Sad|Surprise)/"
    r"(?:(?P<split>train|evaluation|test)/)?(?P=speaker)_(?P<take>\d{6})",
    codes={
        "emotion": {"Angry": "anger", "Happy": "happiness", "Neutral": "neutral", "Sad": "sadness",
                    "Surprise": "surprise"},
        "split": {"evaluation": "valid"},
    },
    clips=dict.fromkeys(("anger", "happiness", "neutral", "sadness", "surprise"), 7000),
    licence="research only, after a licence agreement",
    protocol="the folders train, evaluation (dev) and test, which share speakers; or folds of unseen speakers, column "
    "speaker",
    derived={
        "language": ("speaker", {f"{number:04}": "zh" if number <= 10 else "en" for number in range(1, 21)}),
        "gender": ("speaker", _genders("0001 0002 0003 0007 0009 0015 0016 0017 0018 0019",
                                       "0004 0005 0006 0008 0010 0011 0012 0013 0014 0020")),
    },
)  # fmt: skip

#: The corpora that need nothing except their files, by the name of their command.
CORPORA = {"emodb": EMODB, "ravdess": RAVDESS, "savee": SAVEE, "tess": TESS, "esd": ESD}
