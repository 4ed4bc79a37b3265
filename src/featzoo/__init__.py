"""featzoo extracts feature sequences from raw media, and trains published heads on them.

The public names are below. Each is imported on first use, so `import featzoo` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from featzoo.cache.store import FeatureStore
    from featzoo.errors import ClipError, FeatzooError
    from featzoo.extraction.driver import extract_all
    from featzoo.extraction.extract import extract
    from featzoo.extractors.contract import UNKEYED, Extractor, ModelExtractor, make_extractor
    from featzoo.media.clip import Clip
    from featzoo.media.discovery import find_clips
    from featzoo.media.transcripts import Word
    from featzoo.sequence import FeatureSequence
    from featzoo.zoo.head import Head, Inputs, Outputs, Padded, Role
    from featzoo.zoo.input_spec import InputSpec
    from featzoo.zoo.runs.load import load_head
    from featzoo.zoo.runs.predict import predict
    from featzoo.zoo.runs.run import train_recipe as train

_PLACES = {
    "UNKEYED": "extractors.contract",
    "Clip": "media.clip",
    "ClipError": "errors",
    "Extractor": "extractors.contract",
    "FeatureSequence": "sequence",
    "FeatureStore": "cache.store",
    "FeatzooError": "errors",
    "Head": "zoo.head",
    "InputSpec": "zoo.input_spec",
    "Inputs": "zoo.head",
    "ModelExtractor": "extractors.contract",
    "Outputs": "zoo.head",
    "Padded": "zoo.head",
    "Role": "zoo.head",
    "Word": "media.transcripts",
    "extract": "extraction.extract",
    "extract_all": "extraction.driver",
    "find_clips": "media.discovery",
    "load_head": "zoo.runs.load",
    "make_extractor": "extractors.contract",
    "predict": "zoo.runs.predict",
    "train": "zoo.runs.run:train_recipe",
}

__all__ = [
    "UNKEYED",
    "Clip",
    "ClipError",
    "Extractor",
    "FeatureSequence",
    "FeatureStore",
    "FeatzooError",
    "Head",
    "InputSpec",
    "Inputs",
    "ModelExtractor",
    "Outputs",
    "Padded",
    "Role",
    "Word",
    "extract",
    "extract_all",
    "find_clips",
    "load_head",
    "make_extractor",
    "predict",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'featzoo' has no attribute '{name}'")
    module, _, other = _PLACES[name].partition(":")
    return getattr(import_module(f"featzoo.{module}"), other or name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
