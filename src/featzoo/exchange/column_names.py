"""Column names of published features without names, recognised by their width."""

from __future__ import annotations

from featzoo.exchange.corpora.mosi import COVAREP
from featzoo.extractors.vision.action_units import FACET

AU = ("01", "02", "04", "05", "06", "07", "09", "10", "12", "14", "15", "17", "20", "23", "25", "26")
# The columns that OpenFace 2 writes after `success`: 288 gaze, 6 pose, 340 landmarks, 40 shape, 35 action units.
OPENFACE = (
    *(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"), "gaze_angle_x", "gaze_angle_y",
    *(f"eye_lmk_{axis}_{n}" for axis in "xyXYZ" for n in range(56)),
    *(f"pose_{kind}{axis}" for kind in "TR" for axis in "xyz"),
    *(f"{axis}_{n}" for axis in "xyXYZ" for n in range(68)),
    "p_scale", "p_rx", "p_ry", "p_rz", "p_tx", "p_ty", *(f"p_{n}" for n in range(34)),
    *(f"AU{n}_r" for n in (*AU, "45")), *(f"AU{n}_c" for n in (*AU, "28", "45")),
)  # fmt: skip
# librosa's features in CH-SIMS; see extractors/audio/spectral.py.
SIMS = ("zcr", *(f"mfcc_{n}" for n in range(1, 21)), *(f"chroma_{n}" for n in range(1, 13)))

COVAREP_74 = (*COVAREP, "HMPDD_12")

PUBLISHED = {
    "audio": {len(COVAREP_74): COVAREP_74, len(SIMS): SIMS},
    "vision": {len(FACET): FACET, len(OPENFACE): OPENFACE},
}


def published(modality: str, width: int) -> tuple[str, ...]:
    """The names of `width` columns of `audio` or `vision`; empty if no known release has this width."""
    return PUBLISHED.get(modality, {}).get(width, ())
