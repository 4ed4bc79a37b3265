"""The check of an extractor's contract."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import PurePath

import numpy as np

from featzoo.errors import ClipError, InvalidOption
from featzoo.extractors.contract import FILE, Extractor, ModelExtractor, spec_digest
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence
from featzoo.testing.contract_error import require


def check_extractor(extractor: Extractor, clip: Clip) -> FeatureSequence:
    """Check an extractor's key, output and failures.

    Args:
        extractor: The extractor, made with the options to check.
        clip: A clip of a second or more that has everything that the extractor reads.

    Returns:
        The features of the clip.

    Raises:
        ContractError: For the first rule that is broken.
    """
    _check_class(extractor)
    _check_key(extractor)
    raw = extractor.extract(clip)
    found = extractor.finished(raw) if isinstance(raw, FeatureSequence) else raw
    _check_output(extractor, clip, found)
    require(_equal(found, extractor(clip)), "two calls with the same clip give the same features")
    copy = pickle.loads(pickle.dumps(extractor))  # noqa: S301  (what was pickled a moment ago)
    require(copy == extractor and _equal(found, copy(clip)), "it can be pickled and unpickled")
    if isinstance(extractor, ModelExtractor):
        _check_batches(extractor, clip, raw)
    _check_storage(extractor, raw)
    _check_refusals(extractor)
    return found


def _check_class(extractor: Extractor) -> None:
    kind = type(extractor)
    require(isinstance(extractor, Extractor), "an extractor is a subclass of featzoo's Extractor")
    settings = getattr(kind, "__dataclass_params__", None)
    require("__dataclass_fields__" in vars(kind) and getattr(settings, "frozen", False), "it is a frozen dataclass")
    require(bool(getattr(kind, "name", "")), "it has a name")
    require(
        str(getattr(kind, "modality", "")).isidentifier(), "modality is a name such as audio, vision, text or physio"
    )
    known = all(each in ("audio", "video", "words") or each.startswith(f"{FILE}.") for each in kind.reads)
    require(bool(kind.reads) and known, "reads is some of audio, video, words and file:.SUFFIX")
    missing = dataclasses.MISSING
    free = all((f.default, f.default_factory) != (missing, missing) for f in dataclasses.fields(extractor))
    require(free, "every option has a default")


def _check_key(extractor: Extractor) -> None:
    spec = extractor.spec()
    own = [field for field in dataclasses.fields(extractor) if not field.metadata.get("unkeyed")]
    common = {field.name for field in own if field.metadata.get("unless_default")}
    used = {field.name for field in own if field.name in common and getattr(extractor, field.name) != field.default}
    keyed = {field.name for field in own} - common | used
    require(json.loads(json.dumps(spec, allow_nan=False)) == spec, "the spec is plain JSON values")
    require(set(spec["options"]) == keyed, "the spec holds every option, including defaults")
    require(spec["version"] == extractor.version and spec["reads"] == sorted(extractor.reads), "the spec is complete")
    texts = [value for value in spec["options"].values() if isinstance(value, str)]
    require(not any(PurePath(text).is_absolute() for text in texts), "no path enters the spec: mark it UNKEYED")
    twin = dataclasses.replace(extractor)
    require(
        twin == extractor and hash(twin) == hash(extractor) and twin.key == extractor.key,
        "equal extractors have the same key",
    )
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).key)"
    elsewhere = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "123"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=pickle.dumps(extractor), capture_output=True, env=elsewhere)
    require(done.returncode == 0, f"another process can make it: {done.stderr.decode()[-500:]}")
    require(done.stdout.decode().split()[-1] == extractor.key, "another process gives it the same key")
    require(extractor.key == f"{extractor.label}-{spec_digest(spec)[:8]}", "key is not overridden")


def _check_output(extractor: Extractor, clip: Clip, found: FeatureSequence) -> None:
    require(isinstance(found, FeatureSequence), "extract gives a FeatureSequence")
    FeatureSequence(found.features, found.intervals, found.names)
    require(len(found) > 0, "a clip gives at least one row, or a ClipError")
    require(found.features.dtype.kind in "biuf" and found.features.dtype.isnative, "features are plain numbers")
    named = all(isinstance(name, str) and name for name in found.names)
    require(named and len(set(found.names)) == len(found.names), "column names are unique")
    require(not np.isnan(found.features).all() if found.features.dtype.kind == "f" else True, "something is observed")
    times = found.intervals[~np.isnan(found.intervals)]
    length = _length(extractor, clip)
    require(
        not len(times) or bool(times.min() >= -1e-6 and times.max() <= length + 1e-6), "intervals are within the clip"
    )
    require(bool((np.diff(times.reshape(-1, 2)[:, 0]) >= 0).all()), "rows are in time order")


def _length(extractor: Extractor, clip: Clip) -> float:
    """The duration of its inputs in seconds."""
    ends = [word.end for word in clip.words if word.end == word.end] if "words" in extractor.reads else []
    ends += [shot.end for shot in clip.frames()] if "video" in extractor.reads else []
    if any(each.startswith(FILE) for each in extractor.reads):
        ends.append(float("inf"))  # a file beside the media may last longer
    if "audio" in extractor.reads:
        sound = clip.audio()
        ends.append(sound.samples.shape[1] / sound.rate)
    return max(ends, default=0.0)


def _equal(one: FeatureSequence, other: FeatureSequence) -> bool:
    same = _same(one.features, other.features) and _same(one.intervals, other.intervals)
    return same and one.names == other.names


def _same(one: Array, other: Array) -> bool:
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _check_batches(extractor: ModelExtractor, clip: Clip, found: FeatureSequence) -> None:
    samples = list(extractor.load(clip))
    together = extractor.encode([*samples, *samples], "cpu")
    require(len(together) == 2 * len(samples), "encode gives one sequence for each sample")
    require(sum(map(len, samples)) > 0, "samples have a length")
    first = np.concatenate([part.features for part in together[: len(samples)]])
    largest = max(1.0, float(np.nanmax(np.abs(found.features))))
    # Batches change the order of sums: float32 results of deep networks agree to about 1e-4 of the largest value.
    close = first.shape == found.features.shape and np.allclose(first, found.features, 0, 1e-4 * largest, True)
    require(bool(close), "the batch size does not change the features")


def _check_storage(extractor: Extractor, raw: FeatureSequence) -> None:
    """Check the options of all extractors: float16 and pooling."""
    half = dataclasses.replace(extractor, dtype="float16", pool=None, pool_seconds=None)
    mean = dataclasses.replace(extractor, dtype=None, pool="mean", pool_seconds=None)
    plain = dataclasses.replace(extractor, dtype=None, pool=None, pool_seconds=None)
    require(len({half.key, mean.key, plain.key}) == 3, "dtype and pool enter the key: spec() keeps every option")
    if raw.features.dtype.kind != "f":
        for each in (half, mean):
            try:
                each.finished(raw)
            except InvalidOption:
                continue
            require(False, "integers are not pooled or converted: finished is not overridden")
        return
    try:
        stored = half.finished(raw).features
        require(_same(stored, raw.features.astype(np.float16)), "dtype=float16 stores the nearest float16")
    except ClipError as error:
        require(error.reason == "overflow", "values that exceed float16 are refused as 'overflow'")
    row = mean.finished(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a column that was never observed has no mean: NaN
        expected = np.nanmean(raw.features, axis=0, keepdims=True, dtype=np.float64)
    close = np.allclose(row.features, expected, rtol=1e-3, atol=1e-6, equal_nan=True)
    require(len(row) == 1 and close, "pool=mean stores one row, the mean of the observed values")


def _check_refusals(extractor: Extractor) -> None:
    try:
        extractor.extract(Clip("nothing"))
    except ClipError as error:
        require(bool(error.reason) and bool(str(error)), "a ClipError has a reason and a message")
    else:
        require(False, "a clip without the input raises ClipError: read it through clip.audio, frames or spoken")
