"""ELAN's annotation files (.eaf) to words.

pympi-ling, which writes them for us, gives each word of a divided utterance the time of the whole utterance.
"""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import PurePath
from urllib.parse import unquote
from xml.etree import ElementTree

from featzoo.errors import ClipError
from featzoo.media.transcripts.tiers import Tier, words_of_tiers
from featzoo.media.transcripts.words import Word


def read_eaf(text: str, name: str) -> tuple[list[Word], list[str]]:
    """The words of an annotation file, those of several speakers by time.

    Raises:
        ClipError: If it is not one, or it is not certain which tiers hold the words.
    """
    return words_of_tiers(read_eaf_tiers(text, name), name), []


def read_eaf_tiers(text: str, name: str) -> list[Tier]:
    """The tiers of an annotation file. Annotations that divide another one share its time by their length in letters.

    Raises:
        ClipError: If it is not an annotation file that counts milliseconds.
    """
    if "<!ENTITY" in text:
        raise ClipError("bad-transcript", f"{name}: it defines entities, which ELAN does not")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314  (the attacks are made of entities)
    except ElementTree.ParseError as error:
        raise ClipError("bad-transcript", f"{name}: not XML: {error}") from error
    header = root.find("HEADER")
    unit = "milliseconds" if header is None else header.get("TIME_UNITS", "milliseconds")
    if root.tag != "ANNOTATION_DOCUMENT" or unit != "milliseconds":
        raise ClipError("bad-transcript", f"{name}: not an annotation file of ELAN in milliseconds")
    slots = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
    origin = _time_origin(root, name)
    at = {key: math.nan if value is None else (float(value) + origin) / 1000 for key, value in slots.items()}
    spans: dict[str | None, tuple[float, float]] = {
        each.get("ANNOTATION_ID"): (at[each.get("TIME_SLOT_REF1")], at[each.get("TIME_SLOT_REF2")])
        for each in root.iter("ALIGNABLE_ANNOTATION")
    }
    # Parents may come after their parts.
    waiting = list(root.findall("TIER"))
    while waiting:
        later = [tier for tier in waiting if not _divide(tier, spans)]
        if len(later) == len(waiting):
            raise ClipError("bad-transcript", f"{name}: annotations of '{later[0].get('TIER_ID')}' have no parent")
        waiting = later
    return [
        Tier(
            tier.get("TIER_ID", ""),
            [
                (*spans[each.get("ANNOTATION_ID")], each.findtext("ANNOTATION_VALUE") or "")
                for each in _annotations(tier)
            ],
            tier.get("LINGUISTIC_TYPE_REF", ""),
        )
        for tier in root.iter("TIER")
    ]


def _time_origin(root: ElementTree.Element, name: str) -> float:
    """Milliseconds of the recording that lie before time 0 of the annotations.

    ELAN lines recordings up by skipping the start of some. Where a file names several, the one called like the
    annotation file counts, or else the first.
    """
    media = list(root.iter("MEDIA_DESCRIPTOR"))
    stem = PurePath(name).stem
    for each in media:
        file = PurePath(unquote(each.get("RELATIVE_MEDIA_URL") or each.get("MEDIA_URL") or "").replace("\\", "/"))
        if stem in (file.name, file.stem):
            media.insert(0, each)
            break
    try:
        return float(media[0].get("TIME_ORIGIN") or 0) if media else 0.0
    except ValueError as error:
        raise ClipError("bad-transcript", f"{name}: its TIME_ORIGIN is not a number of milliseconds") from error


def _divide(tier: ElementTree.Element, spans: dict[str | None, tuple[float, float]]) -> bool:
    """Give the annotations that refer to others their times; False if those of the others are not known yet."""
    parts: dict[str | None, list[ElementTree.Element]] = defaultdict(list)
    for each in tier.iter("REF_ANNOTATION"):
        parts[each.get("ANNOTATION_REF")].append(each)
    if not parts.keys() <= spans.keys():
        return False
    for parent, together in parts.items():
        start, end = spans[parent]
        lengths = [max(1, len(each.findtext("ANNOTATION_VALUE") or "")) for each in together]
        done = 0
        for each, length in zip(together, lengths, strict=True):
            edges = [start + (end - start) * edge / sum(lengths) for edge in (done, done + length)]
            spans[each.get("ANNOTATION_ID")] = (edges[0], edges[1])
            done += length
    return True


def _annotations(tier: ElementTree.Element) -> list[ElementTree.Element]:
    return [each for annotation in tier.iter("ANNOTATION") for each in annotation]
