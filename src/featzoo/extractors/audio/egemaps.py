"""eGeMAPS and the other feature sets of openSMILE."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

from featzoo.errors import ClipError, InvalidOption, suggestion
from featzoo.extractors.contract import Extractor
from featzoo.media.channels import Channel
from featzoo.media.clip import Clip
from featzoo.sequence import FeatureSequence
from featzoo.weights.imports import check, require

# openSMILE turns +1.0 into -32768, so samples are limited to the largest of a 16-bit file.
LOUDEST = np.float32(32767 / 32768)
# Every set has a row of low-level descriptors each 10 ms; what a row spans, seconds, differs (openSMILE's own index).
HOP = 0.01
SPAN = {"ComParE_2016": 0.06, "emobase": 0.025, "IS": 0.025}


@dataclass(frozen=True)
class Egemaps(Extractor):
    """openSMILE's descriptors: eGeMAPSv02 low-level descriptors at 100 Hz by default.

    Attributes:
        level: `lld` low-level descriptors (T, 25) every 10 ms; `lld_de` their deltas; `functionals`
            one row (1, 88) over the clip.
        feature_set: Any of openSMILE's sets: eGeMAPSv02, GeMAPSv01b, ComParE_2016, emobase ...
        rate: Resample to this rate in Hz first; None keeps the recording's own.
        channel: The `mix` of all channels (stereo: their mean; surround sound: as ffmpeg mixes it), the `first`, or the
            number of one, from 1.

    Reference:
        Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set (GeMAPS)", IEEE TAFFC 2016.

    Differences:
        openSMILE reads 16-bit samples: louder ones are clipped (and noted), those of +1.0 lowered to 32767/32768,
        because its wrapper turns them into -32768. With several channels `smile.process_file` uses the first, like
        `channel=first`; the default here is their mix. Sound too short for one frame (about 60 ms) fails as
        `too-short`, while openSMILE gives a row of NaN.
    """

    name = "egemaps"
    modality = "audio"
    reads = ("audio",)
    version = 2
    licence = "openSMILE: research and private use only (audEERING)"
    extra = "egemaps"
    variants = {"functionals": {"level": "functionals"}}

    level: Literal["lld", "lld_de", "functionals"] = "lld"
    feature_set: str = "eGeMAPSv02"
    rate: int | None = None
    channel: Channel = "mix"

    def prepare(self) -> None:
        """Check the package and the feature set's name."""
        check("opensmile", self.extra)
        if self.feature_set == Egemaps.feature_set and self.level != "lld_de":
            return  # known to be there, without the cost of importing openSMILE
        known = require("opensmile", self.extra).FeatureSet.__members__
        if self.feature_set not in known:
            where = suggestion(self.feature_set, known)
            raise InvalidOption(f"openSMILE has no feature set '{self.feature_set}'{where}")
        try:
            _smile(self.feature_set, self.level, threading.get_ident())
        except ValueError as error:
            raise InvalidOption(f"{self.label}: {error}") from error

    def extract(self, clip: Clip) -> FeatureSequence:
        """(T, 25) at 100 Hz, or (1, 88) functionals."""
        sound = clip.audio(self.rate, self.channel)
        smile = _smile(self.feature_set, self.level, threading.get_ident())
        samples = np.clip(sound.samples, np.float32(-1.0), LOUDEST)
        if clipped := int((np.abs(sound.samples) > 1).sum()):
            clip.notes["clipped"] = f"{clipped} samples above full scale were clipped: openSMILE takes 16-bit sound"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "too short" comes back as NaN, and is reported below
                features = np.asarray(smile(samples, sound.rate))[0].T.astype(np.float32)  # (1, D, T) -> (T, D)
        except RuntimeError as error:
            raise ClipError("engine", f"openSMILE: {error}") from error
        seconds = samples.shape[1] / sound.rate
        if not len(features) or np.isnan(features).all():
            raise ClipError("too-short", f"{seconds:.3f} s of sound are too short for {self.feature_set}")
        if self.level == "functionals":
            intervals = np.array([[0.0, seconds]])
        else:
            start = np.arange(len(features)) * HOP
            # openSMILE's last rows extend past the end: rows are cut at the clip's end.
            intervals = np.minimum(np.stack([start, start + _window(self.feature_set)], axis=1), seconds)
        return FeatureSequence(_finite(features), intervals, tuple(smile.feature_names))


def _finite(features: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.where(np.isfinite(features), features, np.float32(np.nan))


def _window(feature_set: str) -> float:
    """Seconds that a row of low-level descriptors spans."""
    return next((span for name, span in SPAN.items() if feature_set.startswith(name)), 0.02)


@cache
def _smile(feature_set: str, level: str, _thread: int) -> Any:
    """One openSMILE per thread: an instance is not to be entered twice at once."""
    opensmile = require("opensmile", "egemaps")
    levels = {
        "lld": opensmile.FeatureLevel.LowLevelDescriptors,
        "lld_de": opensmile.FeatureLevel.LowLevelDescriptors_Deltas,
        "functionals": opensmile.FeatureLevel.Functionals,
    }
    return opensmile.Smile(opensmile.FeatureSet[feature_set], levels[level], verbose=False)
