"""Zero crossings, MFCC and constant-Q chroma computed with librosa as in CH-SIMS and MMSA-FET."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from featzoo.errors import ClipError
from featzoo.extractors.contract import Extractor
from featzoo.media.channels import Channel
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence
from featzoo.weights.imports import check, require

# librosa's defaults, which the recipe does not change: samples of a frame and between frames.
FRAME, HOP = 2048, 512
# Frames whose spectra are held at once: an hour of them would fill 1.3 GB.
BLOCK = 4096


@dataclass(frozen=True)
class Spectral(Extractor):
    """The 33 columns of CH-SIMS: zcr, mfcc_1-20, chroma_1-12; (T, 33) float32, T = 1 + N // 512.

    `zcr` is the share of neighbouring samples that differ in sign (0 to 1), `mfcc_1` the mean log energy's
    coefficient and the others the spectrum's shape (dB, HTK mel scale), `chroma_1` to `chroma_12` the
    energy of the pitch classes C to B from a constant-Q transform, the largest of a row being 1. Row k is
    centred on sample 512 k and stands for half a hop on either side; it is computed from 2048 samples
    around its centre (chroma: up to 0.7 s for its lowest notes).

    Attributes:
        rate: Resample to this rate in Hz first; the recipe's is 22050.
        channel: The `mix` of all channels (stereo: their mean; surround sound: as ffmpeg mixes it), the `first`, or the
            number of one, from 1.

    Reference:
        Yu et al., "CH-SIMS", ACL 2020, section 4.1 ("log F0" there is the zero crossing rate); the
        settings are those its authors give in MMSA-FET issue 2 (librosa: mfcc 20 with htk,
        zero_crossing_rate, chroma_cqt, 22050 Hz). McFee et al., "librosa", SciPy 2015.

    Differences:
        Columns are in the order of the published CH-SIMS features (zcr, mfcc, chroma); MMSA-FET itself
        gives them in the order of its configuration file. Chroma of a frame without any energy is NaN,
        while librosa gives 0. Sound shorter than one frame (93 ms) fails as `too-short`, while
        librosa pads. Needs about 90 MB of memory for each minute of sound.
    """

    name = "spectral"
    modality = "audio"
    reads = ("audio",)
    version = 2
    extra = "spectral"

    rate: int = 22050
    channel: Channel = "mix"

    def __post_init__(self) -> None:
        if self.rate < 11025:
            raise ValueError(f"the chroma needs a rate of at least 11025 Hz; got {self.rate}")

    def prepare(self) -> None:
        """Check the package."""
        check("librosa", self.extra)

    def extract(self, clip: Clip) -> FeatureSequence:
        """(T, 33) float32, one row each 23.2 ms.

        Raises:
            ClipError: With reason `too-short`, if the sound is shorter than one frame.
        """
        sound = clip.audio(channel=self.channel)
        seconds = sound.samples.shape[1] / sound.rate
        if seconds * self.rate < FRAME:
            raise ClipError("too-short", f"{seconds:.3f} s of sound; one frame is {FRAME / self.rate:.3f} s")
        librosa = _librosa()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # short octaves and silence: warnings that a user cannot act on
            try:
                samples = librosa.resample(sound.samples[0], orig_sr=sound.rate, target_sr=self.rate)  # (N,)
                columns = self._columns(librosa, samples)
            except librosa.util.exceptions.ParameterError as error:
                raise ClipError("engine", f"librosa: {error}") from error
        features = np.concatenate(columns).T.astype(np.float32)  # (33, T) -> (T, 33)
        centre = np.arange(len(features)) * HOP / self.rate
        edges = np.stack([centre - HOP / 2 / self.rate, centre + HOP / 2 / self.rate], axis=1)
        names = ("zcr", *(f"mfcc_{n}" for n in range(1, 21)), *(f"chroma_{n}" for n in range(1, 13)))
        return FeatureSequence(features, edges.clip(0.0, seconds), names)

    def _columns(self, librosa: Any, samples: Array) -> tuple[Array, Array, Array]:
        """(1, T) zero crossing rate, (20, T) MFCC, (12, T) chroma."""
        crossings = librosa.feature.zero_crossing_rate(samples, frame_length=FRAME, hop_length=HOP)
        level = librosa.power_to_db(self._mel(librosa, samples))  # the loudest frame of the clip sets the floor
        cepstrum = librosa.feature.mfcc(S=level, n_mfcc=20)
        chroma = librosa.feature.chroma_cqt(y=samples, sr=self.rate, hop_length=HOP)
        # A row with energy is scaled to a maximum of 1; one without is left at 0.
        return crossings, cepstrum, np.where(chroma.max(axis=0) > 0.5, chroma, np.nan)

    def _mel(self, librosa: Any, samples: Array) -> Array:
        """(128, T) mel power spectrogram of centred frames, block by block."""
        padded = np.pad(samples, FRAME // 2)
        count = 1 + len(samples) // HOP
        settings = {"sr": self.rate, "n_fft": FRAME, "hop_length": HOP, "center": False, "htk": True}
        blocks = []
        for first in range(0, count, BLOCK):
            last = min(first + BLOCK, count) - 1
            block = padded[first * HOP : last * HOP + FRAME]
            blocks.append(librosa.feature.melspectrogram(y=block, **settings))  # (128, T)
        return np.concatenate(blocks, axis=1)


@cache
def _librosa() -> Any:
    """librosa with its functions compiled.

    numba compiles them at first use and caches them on disk; processes that write this cache at the same time
    can crash. The first use is therefore a second of noise, in one process at a time.
    """
    librosa = require("librosa", "spectral")
    noise = np.random.default_rng(0).normal(size=22050).astype(np.float32)
    if sys.platform != "win32":
        import fcntl

        place = Path(tempfile.gettempdir()) / f"featzoo-numba-{os.getuid()}.lock"
        lock = os.open(place, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        librosa.feature.zero_crossing_rate(noise, frame_length=FRAME, hop_length=HOP)
        librosa.feature.chroma_cqt(y=noise, sr=22050, hop_length=HOP)
    finally:
        if sys.platform != "win32":
            os.close(lock)
    return librosa
