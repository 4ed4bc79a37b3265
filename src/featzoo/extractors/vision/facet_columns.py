"""The columns of FACET 4.2 in CMU-MOSEI: for files that come without names, and for layouts that follow it."""

from __future__ import annotations

# In the order that its author gives (CMU-MultimodalSDK, issue 93).
FACET = (
    "Anger", "Contempt", "Disgust", "Joy", "Fear", "Baseline", "Sadness", "Surprise", "Confusion", "Frustration",
    *(f"AU{n}" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 18, 20, 23, 24, 25, 26, 28, 43)),
    "Has_Glasses", "Is_Male", "Pitch", "Yaw", "Roll",
)  # fmt: skip
