"""First Impressions V2 as it is distributed, made small: pickles of Python 2, and videos of the drawn face."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from featzoo.examples.clips import make_video
from featzoo.examples.speech import Manner

SEED = 20243
CLIPS = {"training": 18, "validation": 6, "test": 6}  # two clips of each video
TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism", "interview")
# How much each trait follows a speaker's energy and warmth; the rest is chance.
WEIGHTS = {
    "openness": (0.4, 0.4), "conscientiousness": (-0.2, 0.5), "extraversion": (0.8, 0.1), "agreeableness": (0.0, 0.8),
    "neuroticism": (-0.3, 0.5), "interview": (0.3, 0.4),
}  # fmt: skip
SAID = (
    ("I would rather not talk about the {}.", "I did not like the {} much."),
    ("I wrote a list for the {}, and I kept to it.", "The {} took me a day or two."),
    ("We met my cousins by the {}.", "My friends and I cooked at the {}."),
    ("Let me tell you about the {}, I love it!", "I met wonderful people at the {}!"),
)  # by warmth
# Of each video, so that no text is in two splits.
PLACES = (
    "bridge", "garden", "market", "museum", "kitchen", "harbour", "station", "library", "forest", "theatre", "school",
    "river", "castle", "island", "mountain",
)  # fmt: skip


def make_first_impressions(folder: Path) -> int:
    """Write annotation_*.pkl and transcription_*.pkl of three parts, and a folder of videos for each.

    Energy shows in the sound and the face, warmth in the words and the face.

    Returns:
        The number of clips.
    """
    rng = np.random.default_rng(SEED)
    video = -1
    for part, number in CLIPS.items():
        (folder / part).mkdir()
        traits: dict[str, dict[str, float]] = {trait: {} for trait in TRAITS}
        texts: dict[str, str] = {}
        for take in range(number):
            if take % 2 == 0:
                video += 1
                energy, warmth = rng.uniform(-1, 1, 2)
            name = f"made{video + 1:02d}.{take % 2:03d}.mp4"
            texts[name] = SAID[int(2 * (warmth + 1))][take % 2].format(PLACES[video])
            for trait, (of_energy, of_warmth) in WEIGHTS.items():
                score = 0.5 + 0.4 * (of_energy * energy + of_warmth * warmth) + rng.normal(0, 0.03)
                traits[trait][name] = float(np.round(np.clip(score, 0, 1), 6))
            manner = Manner(1.0 - 0.15 * energy, (124, 152)[video % 2] * (1 + 0.12 * energy), 0.16 + 0.1 * energy,
                            0.55 + 0.2 * energy)  # fmt: skip
            make_video(folder / part / name, texts[name], video % 4, (energy + warmth) / 2, manner, rng)
        for kind, table in (("annotation", traits), ("transcription", texts)):
            (folder / f"{kind}_{part}.pkl").write_bytes(pickle.dumps(table, protocol=2))
    return sum(CLIPS.values())
