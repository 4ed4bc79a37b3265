"""The contract of an extractor: a frozen dataclass whose fields are its configuration."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from featzoo import plugins
from featzoo.config import build
from featzoo.errors import FeatzooError, InvalidOption, UnknownName, unknown
from featzoo.extractors.pooling import Pooling, narrowed, pooled
from featzoo.media.clip import Clip
from featzoo.sequence import FeatureSequence, concatenate

# Begins an entry of `reads` that names a file beside the media: `file:.physio.csv`.
FILE = "file:"
# Marks a field that does not change the features, such as a batch size: it stays out of the key.
UNKEYED: Mapping[str, Any] = {"unkeyed": True}
# Marks an option shared by all extractors. It was added later, so it enters the key only when it differs from its
# default; older keys stay valid.
UNLESS_DEFAULT: Mapping[str, Any] = {"unless_default": True}


@dataclass(frozen=True)
class Extractor:
    """Computes one feature sequence from the raw media of one clip. Subclasses define `extract`.

    Class attributes:
        name: The registered name.
        modality: The kind of its output: audio, vision, text or another name, such as physio.
        reads: The parts of a clip that determine its output: any of audio, video, words, and `file:` with the suffix of
            a file beside the media (`file:.physio.csv`), which `clip.beside(".physio.csv")` finds.
        version: A number to raise when the same input would give other output.
        licence: Licence of its weights or engine, if use is restricted.
        extra: The extra of featzoo that installs its packages.
        variants: Tagged configurations: `{"minilm": {"model": "all-MiniLM-L6-v2"}}` is `bert.minilm`.
        usual: The tags that a run without `-x` computes; "" is the configuration of all defaults.

    Attributes:
        dtype: Store `float16` (half the space, about three digits, up to 65504) or `float32`; None keeps
            the extractor's own type. The computation itself does not change.
        pool: Store the `mean`, `std`, `max` or `min` of the rows, ignoring NaN, column by column.
        pool_seconds: Pool in windows of this length; None pools the whole clip to one row.
    """

    name: ClassVar[str]
    modality: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]
    version: ClassVar[int] = 1
    licence: ClassVar[str] = ""
    extra: ClassVar[str] = ""
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    usual: ClassVar[tuple[str, ...]] = ("",)

    tag: str = field(default="", kw_only=True, metadata=UNKEYED)
    dtype: Literal["float16", "float32"] | None = field(default=None, kw_only=True, metadata=UNLESS_DEFAULT)
    pool: Pooling | None = field(default=None, kw_only=True, metadata=UNLESS_DEFAULT)
    pool_seconds: float | None = field(default=None, kw_only=True, metadata=UNLESS_DEFAULT)

    def __call__(self, clip: Clip) -> FeatureSequence:
        """The features of one clip as they are stored: `extract`, then `finished`.

        Raises:
            ClipError: If the features of this clip cannot be computed.
        """
        return self.finished(self.extract(clip))

    def finished(self, sequence: FeatureSequence) -> FeatureSequence:
        """A clip's features as they are stored: pooled and converted according to the options.

        Raises:
            ClipError: If a value does not fit the type, or rows without times are to be pooled in windows.
            InvalidOption: If the features are integers, or `pool_seconds` is invalid.
        """
        self.check_storage()
        if self.pool is not None:
            sequence = pooled(sequence, self.pool, self.pool_seconds, self.label)
        return sequence if self.dtype is None else narrowed(sequence, self.dtype, self.label)

    def check_storage(self) -> None:
        """Check the options that all extractors have.

        Raises:
            InvalidOption: If `pool_seconds` is invalid.
        """
        if self.pool_seconds is not None and (self.pool is None or not self.pool_seconds > 0):
            raise InvalidOption(
                f"{self.label}: pool_seconds must be a positive window length, together with pool=mean or another pool"
            )

    def extract(self, clip: Clip) -> FeatureSequence:
        """The features of one clip.

        Raises:
            ClipError: If they cannot be computed from this clip; the reason is recorded with the clip's failure.
        """
        raise TypeError(f"{type(self).__name__} defines no extract(clip)")

    def prepare(self) -> None:
        """Raise an error early if this machine cannot run the extractor.

        Raises:
            MissingPackage: If a package is missing; the message names the command that installs it.
            MissingWeights: If weights are missing; the message names the command that downloads them.
        """

    def digests(self) -> dict[str, str]:
        """SHA-256 of the files that the output depends on, such as weights. They are part of the key."""
        return {}

    def provenance(self) -> dict[str, Any]:
        """Facts to record beside the features that must not enter the key; a `note` is shown after a run."""
        return {}

    @property
    def label(self) -> str:
        """Name and tag: `bert.minilm`."""
        return f"{self.name}.{self.tag}" if self.tag else self.name

    def spec(self) -> dict[str, Any]:
        """Everything that determines the output, as plain values. Its digest is the feature set's key.

        Paths, devices, batch sizes and library versions are not part of it.
        """
        options = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if _keyed(self, f)}
        return {
            "extractor": self.name,
            "version": self.version,
            "reads": sorted(self.reads),
            "options": json.loads(json.dumps(options)),
            "digests": self.digests(),
        }

    @property
    def key(self) -> str:
        """The feature set's name in a store: label and the first 8 digits of the spec's digest."""
        return f"{self.label}-{spec_digest(self.spec())[:8]}"


# Options shared by all extractors, which are in the key only if they are used.
COMMON_OPTIONS = frozenset(f.name for f in dataclasses.fields(Extractor) if f.metadata.get("unless_default"))


@dataclass(frozen=True)
class ModelExtractor(Extractor):
    """An extractor that benefits from batches: `load` runs on the CPU while `encode` runs on a device."""

    #: Number of rows (frames, texts) to gather, across clips, before `encode` is called.
    window: ClassVar[int] = 256

    def load(self, clip: Clip) -> Iterator[Any]:
        """Decode and prepare one clip as samples, each with `len()` rows, in time order.

        A long clip gives several samples, so that memory stays bounded.

        Raises:
            ClipError: If this clip cannot be read.
        """
        raise TypeError(f"{type(self).__name__} defines no load(clip)")

    def encode(self, samples: Sequence[Any], device: str = "cpu") -> list[FeatureSequence]:
        """One sequence for each sample. Samples may come from different clips; the method chooses the batches."""
        raise TypeError(f"{type(self).__name__} defines no encode(samples)")

    def extract(self, clip: Clip) -> FeatureSequence:
        """The features of one clip, on the CPU; holds one sample at a time."""
        return concatenate([part for sample in self.load(clip) for part in self.encode([sample])])


def _keyed(extractor: Extractor, option: dataclasses.Field[Any]) -> bool:
    """Whether an option is in the key."""
    unused = option.metadata.get("unless_default") and getattr(extractor, option.name) == option.default
    return not option.metadata.get("unkeyed") and not unused


def spec_digest(spec: Mapping[str, Any]) -> str:
    """SHA-256 of the spec as canonical JSON (sorted keys, no spaces, ASCII)."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def make_extractor(request: str) -> Extractor:
    """The extractor that a request names: `egemaps`, `bert.minilm`, `egemaps[level=functionals]`.

    Raises:
        UnknownName: If the extractor or variant does not exist.
        InvalidOption: If the option does not exist or its value is invalid.
    """
    wanted = plugins.parse(request)
    found, tag = plugins.find(plugins.EXTRACTORS, wanted.name)
    if not issubclass(found, Extractor):
        raise InvalidOption(f"{wanted.name}: {found.__name__} is not an Extractor")
    if tag and tag not in found.variants:
        raise unknown(tag, f"the variants of {found.name}", found.variants)
    if "tag" in wanted.options:
        raise InvalidOption(f"{wanted.name} has no option 'tag': a variant is named {wanted.name}.TAG")
    options = {**found.variants.get(tag, {}), **wanted.options, "tag": tag}
    made = build(found, options, wanted.name)
    made.check_storage()
    return dataclasses.replace(made, tag=_tag_of(made)) if wanted.options else made


def _tag_of(made: Extractor) -> str:
    """The tag of the variant whose options a request spells out: `egemaps[level=functionals]` is `egemaps.functionals`.

    Of several, it is that with most options. A given tag changes only into one that says more.
    """
    own = made.variants.get(made.tag, {})
    fitting = [
        tag
        for tag, preset in made.variants.items()
        if preset.items() >= own.items() and all(getattr(made, name) == value for name, value in preset.items())
    ]
    return max(fitting, key=lambda tag: len(made.variants[tag]), default=made.tag)


def class_path(cls: type) -> str:
    """The `module:Class` of a class, as a feature set records it for the extractor that made it."""
    return f"{cls.__module__}:{cls.__qualname__}"


def made_by(name: str) -> tuple[str, str]:
    """The name of the sets that an extractor makes, and its class.

    Args:
        name: `module:Class`, or a registered name.

    Returns:
        Name and `module:Class`; no name if the module cannot be imported here, and no class for a registered name.

    Raises:
        InvalidOption: If the class is not an extractor.
    """
    if ":" not in name:
        return name, ""
    try:
        found, _ = plugins.find(plugins.EXTRACTORS, name)
    except UnknownName:
        return "", name
    if not issubclass(found, Extractor):
        raise InvalidOption(f"{name}: {found.__name__} is not an Extractor")
    return found.name, class_path(found)


def unwritten_defaults(name: str) -> dict[str, Any]:
    """Options that enter a key only if they are used, with their default values.

    Args:
        name: An extractor's name; for an unknown one the result is empty.
    """
    return {option.name: option.default for option in _options(name) if option.metadata.get("unless_default")}


def unkeyed_options(name: str) -> set[str]:
    """Options of an extractor that are not part of the key: paths, devices, batch sizes."""
    return {option.name for option in _options(name) if option.metadata.get("unkeyed")}


def _options(name: str) -> tuple[dataclasses.Field[Any], ...]:
    try:
        found, _ = plugins.find(plugins.EXTRACTORS, name)
    except FeatzooError:
        return ()
    return dataclasses.fields(found) if issubclass(found, Extractor) else ()


def usual_extractors() -> list[str]:
    """The requests that a run without `-x` tries: every registered extractor's usual configurations."""
    requests = []
    for name in plugins.registered(plugins.EXTRACTORS):
        try:
            found, _ = plugins.find(plugins.EXTRACTORS, name)
        except FeatzooError:
            requests.append(name)  # the error is reported when the extractor is made
            continue
        tags = found.usual if issubclass(found, Extractor) else ("",)
        requests += [f"{name}.{tag}" if tag else name for tag in tags]
    return requests
