"""A drawn face that smiles or frowns, blinks, and opens its mouth with the sound."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 192, 144  # pixels
SKINS = ((236, 200, 170), (198, 145, 108), (245, 214, 190), (160, 112, 84))  # RGB, one per speaker
HAIRS = ((70, 45, 30), (25, 22, 25), (190, 140, 70), (40, 30, 30))
SHIRTS = ((60, 110, 170), (150, 60, 70), (60, 140, 90), (200, 160, 60))


def draw(speaker: int, mood: float, openness: float, seconds: float, phase: float) -> Image.Image:
    """One frame, WIDTH x HEIGHT pixels; drawn 3 times larger and shrunk, for soft edges.

    Args:
        speaker: 0 to 3: the colours of skin, hair and shirt.
        mood: -1 (a frown) to 1 (a smile).
        openness: Of the mouth, 0 to 1.
        seconds: Time, for the motion of the head and the blinks.
        phase: Of that motion, radians.
    """
    image = Image.new("RGB", (3 * WIDTH, 3 * HEIGHT), (206, 212, 220))
    pen = ImageDraw.Draw(image)

    def oval(x: float, y: float, wide: float, high: float, fill: tuple[int, ...]) -> None:
        pen.ellipse([x - wide, y - high, x + wide, y + high], fill=fill)

    swing = (12 + 9 * mood) * np.sin(2 * np.pi * (0.6 + 0.2 * mood) * seconds + phase)
    x, y = 288 + swing, 198 + 7 * mood * np.sin(2 * np.pi * 1.1 * seconds + phase) - 12 * min(mood, 0)
    skin, hair = SKINS[speaker], HAIRS[speaker]
    shade, lip = tuple(int(0.8 * c) for c in skin), (150, 50, 60)
    oval(288 + swing / 3, 486, 198, 126, SHIRTS[speaker])
    oval(288 + swing / 2, 354, 45, 51, shade)
    oval(x, y - 24, 123, 147, hair)
    oval(x, y + 12, 108, 135, skin)
    x += swing / 4  # the features lead the head a little, as in a turn
    brow, tilt = y - 40 - 6 * mood - 5 * openness, 7 * mood  # the unhappy pull their brows down and together
    lid = 1.0 if (seconds + phase) % 2.1 < 0.12 else 14.0  # a blink now and then
    for eye, side in ((x - 42, -1), (x + 42, 1)):
        pen.line([(eye - 24 * side, brow - tilt), (eye + 24 * side, brow + tilt)], hair, 8)
        oval(eye, y - 12, 21, lid, (250, 250, 250))
        oval(eye + swing / 8, y - 12, 9, 0.8 * lid, (40, 40, 60))
    pen.line([(x, y + 6), (x + 9, y + 45), (x - 9, y + 48)], shade, 5, joint="curve")
    u = np.linspace(-1, 1, 25)
    curve = y + 90 + 18 * mood * (0.5 - u**2)  # corners up for a smile: an image's y grows downwards
    across, gape = x + (42 + 6 * mood) * u, (1 - u**2) * (2 + 21 * openness)
    upper, lower = (list(zip(across, edge, strict=True)) for edge in (curve - 0.4 * gape, curve + gape))
    pen.polygon(upper + lower[::-1], fill=(70, 20, 25))
    pen.line([*upper, *lower[::-1], upper[0]], lip, 7, joint="curve")
    return image.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
