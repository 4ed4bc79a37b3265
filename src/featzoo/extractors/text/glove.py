"""Word vectors such as GloVe's over transcripts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from featzoo.errors import ClipError, MissingWeights
from featzoo.extractors.contract import UNKEYED, Extractor
from featzoo.extractors.text.tokens import Cleaning, Tokenizer, straight, tokens_of
from featzoo.extractors.text.word_vectors import WordVectors, source_digest, word_vectors
from featzoo.media.clip import Clip
from featzoo.sequence import FeatureSequence
from featzoo.weights.catalogue import known
from featzoo.weights.imports import check
from featzoo.weights.locate import locate, locate_file
from featzoo.weights.search import file_places, gensim_folder, is_path


@dataclass(frozen=True)
class Glove(Extractor):
    """One row per token: its word vector, with the interval of the token's word.

    The first run with a file converts it once to memory-mapped files (`featzoo/vectors` in the user's cache
    folder; as large as the vectors in memory).

    Attributes:
        vectors: A file (GloVe's or word2vec's text, word2vec's binary, .gz, .zip, gensim's KeyedVectors), a
            name that `feat weights list` shows, or a name of `gensim.downloader` that is in gensim-data.
        output: `vectors`; or `counts`, one row per clip: the number of tokens and the number of unknown ones
            (`glove.oov`).
        oov: The row of an unknown token: `nan`, which counts as not observed, or `zero`.
        case: `either` looks up a token unchanged, then in lower case; `exact` and `lower` do only one of these.
        tokenizer: `treebank` splits punctuation and contractions off words that the vectors do not hold
            unchanged; `whitespace` does not.
        cleaning: `siamese` drops links, e-mail addresses, digits and special characters, as the Siamese
            cross-modal paper does; `none` drops nothing.

    Reference:
        Pennington, Socher, Manning, "GloVe", EMNLP 2014; cleaning: Fodor, Saboundji, Lorincz (the Siamese
        cross-modal embeddings, section on text).

    Differences:
        The paper's tokens are spaCy's; these are NLTK's of the Penn Treebank. The paper's special
        characters are understood as all that are neither letters nor apostrophes: "well-known" is two tokens, "3rd" is
        "rd". Its fixed length of 80 tokens is set in the recipe.
    """

    name = "glove"
    modality = "text"
    reads = ("words",)
    extra = "glove"
    variants = {"oov": {"output": "counts"}}

    vectors: str = field(default="glove.6B.300d", metadata=UNKEYED)
    output: Literal["vectors", "counts"] = "vectors"
    oov: Literal["nan", "zero"] = "nan"
    case: Literal["either", "exact", "lower"] = "either"
    tokenizer: Tokenizer = "treebank"
    cleaning: Cleaning = "none"

    def prepare(self) -> None:
        """Check that the tokenizer's package and the vectors are installed, and convert the vectors if necessary."""
        if self.tokenizer == "treebank":
            check("nltk", self.extra)
        self._vectors()

    def digests(self) -> dict[str, str]:
        """Digest of the vectors' file."""
        return {"vectors": source_digest(find_vectors(self.vectors))}

    def provenance(self) -> dict[str, Any]:
        """The name and number of the vectors."""
        held = self._vectors()
        return {"model": self.vectors, "vectors": f"{len(held)} of length {held.width}"}

    def extract(self, clip: Clip) -> FeatureSequence:
        """The vectors of the clip's tokens, or their counts.

        Raises:
            ClipError: With reason `no-words`, if there are no words, or none after cleaning.
        """
        held = self._vectors()
        rows: list[int] = []
        intervals: list[tuple[float, float]] = []
        for word in clip.spoken():
            tokens = tokens_of(word.text, lambda token: self._row(held, token) >= 0, self.tokenizer, self.cleaning)
            rows += [self._row(held, token) for token in tokens]
            intervals += [(word.start, word.end)] * len(tokens)
        if not rows:
            raise ClipError("no-words", f"{clip.id}: cleaning={self.cleaning} leaves nothing of the transcript")
        times = np.array(intervals, np.float64).reshape(-1, 2)  # (T, 2)
        lost = np.array(rows) < 0  # (T,)
        if self.output == "counts":
            known_times = times[~np.isnan(times).any(axis=1)]
            span = [known_times[:, 0].min(), known_times[:, 1].max()] if len(known_times) else [np.nan, np.nan]
            return FeatureSequence(np.array([[len(lost), lost.sum()]]), np.array([span]), ("tokens", "oov"))
        features = np.asarray(held.vectors[rows])  # (T, D); a copy: the rows are a list
        features[lost] = np.nan if self.oov == "nan" else 0.0
        return FeatureSequence(features, times, tuple(f"vector_{i}" for i in range(held.width)))

    def _vectors(self) -> WordVectors:
        return word_vectors(find_vectors(self.vectors))

    def _row(self, held: WordVectors, token: str) -> int:
        """The row of the first spelling that the vectors hold; -1 if they hold none."""
        spellings = [token, straight(token)]
        if self.case != "exact":
            lower = [each.lower() for each in spellings]
            spellings = [*spellings, *lower] if self.case == "either" else lower
        return next((row for each in dict.fromkeys(spellings) if (row := held.row(each)) >= 0), -1)


def find_vectors(name: str) -> Path:
    """The file of word vectors for a path or a name.

    Raises:
        MissingWeights: If it is not on this machine; the message says how to download it.
    """
    if known(name) is not None:
        return locate(name, "glove")
    if is_path(name) or Path(name).is_file():
        return locate_file(name)
    for place in file_places(f"{name}.gz", gensim_folder() / name):
        if not place.fault:
            return place.path
    raise MissingWeights(
        f"no word vectors '{name}': this file does not exist ({Path(name).resolve()}), `feat weights list` does not "
        f"name it, and it is not in {gensim_folder()}. If `python -m gensim.downloader --info` lists it, run "
        f"python -m gensim.downloader --download {name}, or give a file: glove[vectors=/path/to/file]"
    )
