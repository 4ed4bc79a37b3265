"""The outputs of a trained English teacher for each text, a feature set for training CLAD."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featzoo.errors import ClipError, InvalidOption
from featzoo.extractors.contract import UNKEYED, ModelExtractor
from featzoo.extractors.text.bert import Bert
from featzoo.media.clip import Clip
from featzoo.sequence import Array, FeatureSequence
from featzoo.weights.imports import check
from featzoo.weights.locate import TOKENIZER_FILES, file_digest, folder_digest

# Heads with a `text` encoder and layers `out` on its vector.
HEADS = ("text-classification", "clad")
# The ids of parallel texts end in their language: 17/en, 17/ja.
LANGUAGE = re.compile(r"/([a-z]{2,3})$")


class TeacherText(NamedTuple):
    """One clip's text for the teacher.

    Attributes:
        ids: (T, 1) token ids, truncated as in the run's recipe.
        positions: (T, 1) position of each token in the whole text; NaN for special tokens.
        interval: (1, 2) seconds from the first word to the last; NaN if unknown.
    """

    ids: Array
    positions: Array
    interval: Array

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class CladTeacher(ModelExtractor):
    """The outputs of a trained text classifier for each text: vector, logits and attention of [CLS]; one row per clip.

    Columns: `h0` ... the pooled vector; `logit_<target>`; `bin00` ... the share of the last layer's [CLS] attention
    (mean over heads, without special tokens, with sum 1) in each of `bins` equal parts of the text, by
    letters of the whole text; NaN for parts without a token. Texts are tokenised and truncated as in the run's
    training.

    Attributes:
        run: Folder of a run with a head such as `text-classification`. Its weights and settings are in the key.
        bins: M, the number of parts of the text.
        language: A clip whose id ends in another language (`17/ja`) is refused, because the teacher reads English.
        batch_size: Texts per forward pass; does not change the features.

    Reference:
        ADAM, arXiv 2604.08851; the head `clad` documents the known facts and our choices.

    Differences:
        A reconstruction: the choice of these three outputs, and the parts of the text, are ours.
    """

    name = "clad-teacher"
    modality = "text"
    reads = ("words",)
    extra = "zoo"
    usual = ()
    window = 1 << 15  # tokens

    run: str = field(default="", metadata=UNKEYED)
    bins: int = 32
    language: str = field(default="en", metadata=UNKEYED)
    batch_size: int = field(default=32, metadata=UNKEYED)

    def __post_init__(self) -> None:
        if self.bins < 1 or self.batch_size < 1:
            raise ValueError(f"bins and batch_size must be at least 1; got {self.bins} and {self.batch_size}")

    def prepare(self) -> None:
        """Check that the packages are installed, the run is finished, and its texts can be tokenised here."""
        check("torch", self.extra)
        check("transformers", self.extra)
        self.digests()

    def digests(self) -> dict[str, str]:
        """Digests of the run's weights, its tokenizer, and the settings that determine how it reads a text.

        Raises:
            InvalidOption: If no run is given, or it is not a run of a text classifier.
            FeatzooError: If the folder is not a finished run.
        """
        folder = self._folder()
        settings = _settings(folder)
        return {
            "weights": file_digest(folder / "weights.safetensors"),
            "tokenizer": folder_digest(folder / "encoder", TOKENIZER_FILES),
            "settings": hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
        }

    def provenance(self) -> dict[str, Any]:
        """The path of the run."""
        return {"model": str(self._folder().resolve())}

    def _folder(self) -> Path:
        if not self.run:
            raise InvalidOption(
                "clad-teacher needs a trained teacher: `zoo train adam-teacher`, then "
                "feat extract -x 'clad-teacher[run=runs/adam-teacher-...]'"
            )
        return Path(self.run).expanduser()

    def load(self, clip: Clip) -> Iterator[TeacherText]:
        """The clip's words as the run's token ids.

        Raises:
            ClipError: If it has no words, or its id names another language.
        """
        named = LANGUAGE.search(clip.id)
        if named and named[1] != self.language:
            raise ClipError("other-language", f"{clip.id}: the teacher reads /{self.language} texts")
        settings = _settings(self._folder())
        reader = Bert(model=str(self._folder() / "encoder"), output="ids", **settings["reader"])
        for sample in reader.load(clip):
            ids, place = sample.ids[:, None], sample.place[:, None]  # (T, 1) each
            steps = settings["max_steps"]
            if len(ids) > steps:  # truncated as by recipes: the last one, a separator, is kept
                ids, place = (np.concatenate([each[: steps - 1], each[-1:]]) for each in (ids, place))
            known = sample.intervals[~np.isnan(sample.intervals)]
            ends = [[known.min(), known.max()]] if len(known) else [[np.nan, np.nan]]
            yield TeacherText(ids, place, np.array(ends))

    def encode(self, samples: Sequence[TeacherText], device: str = "cpu") -> list[FeatureSequence]:
        """One row for each text; batches are sorted by length to reduce padding."""
        folder = self._folder()
        head = _head(folder, device, file_digest(folder / "weights.safetensors"))
        order = sorted(range(len(samples)), key=lambda number: len(samples[number]))
        rows: dict[int, Array] = {}
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            rows |= zip(chosen, self._rows(head, [samples[n] for n in chosen], device), strict=True)
        columns = tuple(_settings(folder)["columns"])
        names = _names(len(rows[0]) - len(columns) - self.bins, columns, self.bins)
        return [FeatureSequence(rows[n][None], samples[n].interval, names) for n in range(len(samples))]

    def _rows(self, head: Any, batch: Sequence[TeacherText], device: str) -> Array:
        """(B, H + K + M) float32."""
        import torch

        from featzoo.zoo.data.padding import pad
        from featzoo.zoo.head import Padded
        from featzoo.zoo.heads.clad.attention_bins import read_text
        from featzoo.zoo.input_spec import InputSpec

        specs = {"ids": InputSpec(1, ids=True), "positions": InputSpec(1)}
        text, positions = (
            Padded(*(part.to(device) for part in pad([getattr(each, role) for each in batch], spec)))
            for role, spec in specs.items()
        )
        with torch.inference_mode():
            pooled, shares, covered = read_text(head.text, text, positions, self.bins)  # (B, H), (B, M), (B, M)
            logits = head.out(pooled)  # (B, K)
            whole = torch.cat([pooled, logits, shares.masked_fill(~covered, torch.nan)], dim=1)  # (B, H + K + M)
        found: Array = whole.float().cpu().numpy()
        return found


def _settings(folder: Path) -> dict[str, Any]:
    """The settings of a run that determine how it reads a text.

    Raises:
        InvalidOption: If the run is not a run of a text classifier on token ids from `bert`.
        FeatzooError: If the folder is not a finished run.
    """
    from featzoo.zoo.runs.folder import RunFolder

    run = RunFolder.open_finished(folder)
    text, recipe = run.recorded_sets.get("text", {}), run.recipe
    spec = text.get("spec", {})
    if recipe.head not in HEADS or spec.get("extractor") != "bert" or not (folder / "encoder/config.json").is_file():
        raise InvalidOption(
            f"{folder} is a run of head {recipe.head} on {text.get('key') or 'no text'}: expected one of "
            f"{' or '.join(HEADS)} on token ids that bert.ids made, as `zoo train adam-teacher` leaves it"
        )
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in spec["options"].items() if k != "output"}
    return {
        "head": recipe.head,
        "options": dict(recipe.options),
        "columns": list(recipe.target.columns),
        "max_steps": recipe.inputs["text"].max_steps,
        "reader": options,
    }


@cache
def _head(folder: Path, device: str, _digest: str) -> Any:
    """The run's head in evaluation mode, loaded once per process and again if its weights change."""
    from featzoo.zoo.runs.load import load_head

    return load_head(folder).to(device)


@cache
def _names(width: int, columns: tuple[str, ...], bins: int) -> tuple[str, ...]:
    vector, looks = (f"h{i}" for i in range(width)), (f"bin{i:02d}" for i in range(bins))
    return (*vector, *(f"logit_{name}" for name in columns), *looks)
