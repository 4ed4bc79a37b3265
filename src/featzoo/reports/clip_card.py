"""A card that shows one clip: frames, waveform, sound, transcript and features along time."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np

from featzoo.cache.store import FeatureStore
from featzoo.errors import ClipError, StoreError
from featzoo.media.audio import Audio
from featzoo.media.clip import Clip
from featzoo.reports import figures
from featzoo.reports.html import Html, element, isolated, join, table
from featzoo.reports.page import Page
from featzoo.sequence import Array, FeatureSequence

FRAMES, FRAME_SIZE = 3, (120, 160)
# Sound that a card holds at most, in seconds, as mono MP3.
SOUND_SECONDS, SOUND_RATE, SOUND_BITS = 15.0, 16_000, 32_000
# Steps of a waveform, and of features along time.
WAVE_STEPS, STEPS = 240, 100
# A set with more columns is shown by its first principal components.
COLUMNS, COMPONENTS = 40, 6
WORDS = 200


def clip_card(
    page: Page, clip: Clip, facts: Sequence[tuple[object, object]], store: FeatureStore | None, media: bool = True
) -> Html:
    """HTML of a card.

    Args:
        page: The page, which holds the card's figures.
        clip: The clip.
        facts: Rows of a table above the media, as name and value.
        store: Where its features are; None shows no features.
        media: Put frames and sound of the clip into the page.
    """
    parts: list[object] = [element("h3", isolated(clip.id))]
    parts.append(table([], facts, numbers_from=2) if facts else "")
    if media and clip.path is not None:
        parts += [_frames(clip), _sound(clip)]
    if clip.words:
        words = [word.text for word in clip.words]
        more = " …" if len(words) > WORDS else ""
        parts.append(element("blockquote", isolated(" ".join(words[:WORDS]) + more)))
    if store is not None:
        timelines = [page.figure(_timeline(one), f"{key} along time") for key, one in _sequences(store, clip.id)]
        parts += [element("details", element("summary", "Features along time"), *timelines)] if timelines else []
    return element("article", *parts, css="clip")


def _frames(clip: Clip) -> Html:
    """Some frames as JPEG."""
    try:
        shots = [frame.image for frame in clip.frames(count=FRAMES, size=FRAME_SIZE)]
    except ClipError:
        return Html()
    from PIL import Image

    made = []
    for shot in shots:
        out = io.BytesIO()
        Image.fromarray(shot).save(out, "JPEG", quality=70)
        height, width = FRAME_SIZE
        source = _data("image/jpeg", out.getvalue())
        made.append(Html(f'<img src="{source}" width="{width}" height="{height}" alt="a frame of the clip">'))
    return element("div", *made, css="frames")


def _sound(clip: Clip) -> Html:
    """The waveform, and the beginning of the sound to listen to."""
    try:
        sound = clip.audio(rate=SOUND_RATE)
    except ClipError as error:
        return element("p", f"No sound: {error}", css="soft")
    samples = sound.samples[0]
    cut = samples[: round(SOUND_SECONDS * SOUND_RATE)]
    parts = [_waveform(samples)]
    encoded = _mp3(Audio(cut[None], SOUND_RATE))
    if encoded:
        parts.append(Html(f'<audio controls preload="none" src="{_data("audio/mpeg", encoded)}"></audio>'))
        if len(cut) < len(samples):
            said = f"The first {SOUND_SECONDS:.0f} of {len(samples) / SOUND_RATE:.0f} seconds."
            parts.append(element("p", said, css="soft"))
    return join(parts)


def _waveform(samples: Array) -> Html:
    """The lowest and highest sample of equal parts, as an outline from -1 to 1."""
    edges = np.linspace(0, len(samples), min(WAVE_STEPS, max(1, len(samples))) + 1).astype(int)[:-1]
    high, low = np.maximum.reduceat(samples, edges), np.minimum.reduceat(samples, edges)
    step = WAVE_STEPS / len(edges)
    above = [f"{number * step:.1f} {50 - 48 * value:.1f}" for number, value in enumerate(high.clip(-1, 1).tolist())]
    below = [f"{number * step:.1f} {51 - 48 * value:.1f}" for number, value in enumerate(low.clip(-1, 1).tolist())]
    outline = "M" + "L".join([*above, *reversed(below)]) + "Z"
    return Html(
        f'<svg class="wave" viewBox="0 0 {WAVE_STEPS} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="waveform"><path d="{outline}"/></svg>'
    )


def _mp3(sound: Audio) -> bytes:
    """Sound as MP3; empty if this PyAV cannot encode it."""
    import av

    out = io.BytesIO()
    try:
        with av.open(out, "w", format="mp3") as container:
            stream = container.add_stream("libmp3lame", rate=sound.rate, layout="mono")
            stream.bit_rate = SOUND_BITS
            pieces = np.round(sound.samples.clip(-1, 1) * 32767).astype(np.int16)  # (1, N)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pieces), format="s16p", layout="mono")
            frame.sample_rate = sound.rate
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)
    except (av.error.FFmpegError, ValueError):
        return b""
    return out.getvalue()


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _sequences(store: FeatureStore, clip_id: str) -> list[tuple[str, FeatureSequence]]:
    """The clip's features that change over time, by set."""
    found = []
    for one in store.sets():
        if clip_id not in one:
            continue
        try:
            sequence = one[clip_id]
        except StoreError:
            continue
        is_curve = sequence.features.ndim == 2 and sequence.features.dtype.kind == "f"
        if is_curve and sequence.timed and len(sequence) > 1:
            found.append((one.key, sequence))
    return found


def _timeline(sequence: FeatureSequence) -> figures.Figure:
    """Standardised columns along time; of many columns, their first principal components."""
    values = np.asarray(sequence.features, dtype=np.float64)  # (T, D)
    edges = np.linspace(0, len(values), min(STEPS, len(values)) + 1).astype(int)[:-1]
    seen = ~np.isnan(values)
    sums = np.add.reduceat(np.where(seen, values, 0), edges, axis=0)
    sizes = np.add.reduceat(seen.astype(np.float64), edges, axis=0)
    values = np.divide(sums, sizes, out=np.full_like(sums, np.nan), where=sizes > 0)  # (steps, D)
    times = figures.numbers(sequence.intervals[edges].mean(axis=1))
    names: Sequence[str] = sequence.names
    if len(names) > COLUMNS:
        values = _components(values)
        names = [f"component {number + 1}" for number in range(values.shape[1])]
    centred = values - _mean(values)
    deviation = np.sqrt(_mean(centred**2))
    scaled = centred / np.where(deviation > 0, deviation, 1)
    return figures.heat_map(scaled.T, times, names, "seconds", "", diverging=True)


def _components(values: Array) -> Array:
    """The first principal components along time, from the small matrix of products of the rows."""
    filled = np.nan_to_num(values - _mean(values))
    strength, vectors = np.linalg.eigh(filled @ filled.T)  # ascending
    scores: Array = vectors[:, ::-1] * np.sqrt(strength[::-1].clip(0))
    return scores[:, :COMPONENTS]


def _mean(values: Array) -> Array:
    """Column means without NaN; NaN for a column of NaN."""
    seen = ~np.isnan(values)
    sizes = seen.sum(axis=0)
    sums: Array = np.where(seen, values, 0).sum(axis=0)
    return np.where(sizes > 0, sums / np.maximum(sizes, 1), np.nan)
