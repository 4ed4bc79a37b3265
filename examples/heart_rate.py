"""Heart rate from a CSV file beside the clip: `clip01.physio.csv` with the columns `seconds` and `bpm`.

PYTHONPATH=examples feat extract videos/ -x heart_rate:HeartRate
"""

import csv
from dataclasses import dataclass

import numpy as np

from featzoo import Clip, ClipError, Extractor, FeatureSequence

SUFFIX = ".physio.csv"


@dataclass(frozen=True)
class HeartRate(Extractor):
    """Beats per minute, (T, 1) float32: one row for each sample in the clip's segment, up to the next sample."""

    name = "heart-rate"
    modality = "physio"
    reads = (f"file:{SUFFIX}",)

    def extract(self, clip: Clip) -> FeatureSequence:
        """The rows of the file.

        Raises:
            ClipError: If the clip has no file, or it cannot be read.
        """
        path = clip.beside(SUFFIX)
        try:
            with path.open(encoding="utf-8", newline="") as file:
                rows = [(float(row["seconds"]), float(row["bpm"])) for row in csv.DictReader(file)]
        except (KeyError, TypeError, ValueError) as error:
            raise ClipError("unreadable", f"{path.name}: expected the columns seconds and bpm: {error}") from error
        end = np.inf if clip.end is None else clip.end
        kept = [(seconds - clip.start, bpm) for seconds, bpm in rows if clip.start <= seconds < end]
        if not kept:
            raise ClipError("empty", f"{path.name} has no sample in the clip")
        start, rate = np.array(kept, dtype=np.float64).T
        step = float(np.median(np.diff(start))) if len(start) > 1 else 1.0
        stop = np.append(start[1:], min(start[-1] + step, end - clip.start))
        return FeatureSequence(rate[:, None].astype(np.float32), np.stack([start, stop], axis=1), ("bpm",))
