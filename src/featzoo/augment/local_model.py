"""A translation model on this machine: transformers' multilingual and bilingual sequence-to-sequence models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from featzoo.augment.answer_cache import Answer, AnswerCache
from featzoo.augment.chunks import join, split
from featzoo.augment.languages import LANGUAGES, SOURCE
from featzoo.augment.prompt import Question
from featzoo.devices import choose_devices
from featzoo.errors import InvalidOption
from featzoo.weights.imports import require, transformers_module
from featzoo.weights.locate import TOKENIZER_FILES, WEIGHT_FILES, folder_digest, locate

VERSION = "seq2seq-1"
FILES = (*WEIGHT_FILES, *TOKENIZER_FILES, "*.spm", "generation_config.json")
# Such models are trained on sentences and skip parts of longer texts. In tokens of `chunks.tokens`.
PIECE_TOKENS = 60.0
BATCH = 16
# Maximum tokens of a piece's translation; the same for all, so that none depends on the others in its batch.
LONGEST = 256
# Number of texts whose answers are saved together, the most that a killed run can lose.
TOGETHER = 8
# The languages' names in FLORES-200 (NLLB), mBART-50, and ISO 639-3 (Marian, the first that a model knows).
CODES = {
    "ar": ("arb_Arab", "ar_AR", ("ara",)),
    "cs": ("ces_Latn", "cs_CZ", ("ces",)),
    "da": ("dan_Latn", "", ("dan",)),
    "de": ("deu_Latn", "de_DE", ("deu",)),
    "el": ("ell_Grek", "", ("ell",)),
    "en": ("eng_Latn", "en_XX", ("eng",)),
    "es": ("spa_Latn", "es_XX", ("spa",)),
    "fi": ("fin_Latn", "fi_FI", ("fin",)),
    "fr": ("fra_Latn", "fr_XX", ("fra",)),
    "he": ("heb_Hebr", "he_IL", ("heb",)),
    "hi": ("hin_Deva", "hi_IN", ("hin",)),
    "hu": ("hun_Latn", "", ("hun",)),
    "id": ("ind_Latn", "id_ID", ("ind",)),
    "it": ("ita_Latn", "it_IT", ("ita",)),
    "ja": ("jpn_Jpan", "ja_XX", ("jpn",)),
    "ms": ("zsm_Latn", "", ("zsm_Latn", "zlm_Latn", "msa")),
    "nl": ("nld_Latn", "nl_XX", ("nld",)),
    "pl": ("pol_Latn", "pl_PL", ("pol",)),
    "pt": ("por_Latn", "pt_XX", ("por",)),
    "ro": ("ron_Latn", "ro_RO", ("ron",)),
    "ru": ("rus_Cyrl", "ru_RU", ("rus",)),
    "sv": ("swe_Latn", "sv_SE", ("swe",)),
    "th": ("tha_Thai", "th_TH", ("tha",)),
    "tr": ("tur_Latn", "tr_TR", ("tur",)),
    "uk": ("ukr_Cyrl", "uk_UA", ("ukr",)),
    "vi": ("vie_Latn", "vi_VN", ("vie",)),
    "zh": ("zho_Hans", "zh_CN", ("cmn_Hans", "cmn", "zho")),
}


class Translator:
    """NLLB, M2M100, mBART-50 or Marian: a model with language tokens, or for a single language.

    Sentences are translated separately, with the model's own search settings (`generation_config.json`), without
    sampling.

    Args:
        model: A folder, or a hub name that is in the local cache.
        languages: What it must know.
        device: auto, cpu, cuda, cuda:N or mps; one device is used.

    Raises:
        MissingWeights: If it is not on this machine.
        InvalidOption: If it is another kind of model, or does not support a language.
    """

    def __init__(self, model: str, languages: Sequence[str], device: str = "auto") -> None:
        transformers = transformers_module()
        folder = locate(model, "")
        self.name = model
        self.digest = folder_digest(folder, FILES)
        self.device = choose_devices(device)[0]
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        if not config.is_encoder_decoder:
            raise InvalidOption(f"'{model}' is a {config.model_type} model, not a translation model")
        self._tokenizer = self._load_tokenizer(transformers, folder)
        loaded = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True)
        self._model = loaded.to(self.device).eval()
        self._tokens = {code: self._token(code, config.model_type, languages) for code in languages}

    @property
    def key(self) -> str:
        """The name for `Question.model`: the model's digest, which does not depend on its location."""
        return f"sha256:{self.digest}"

    def fill(self, questions: Iterable[Question], cache: AnswerCache) -> Iterator[Question]:
        """Put the answers to questions into a cache, a few at a time.

        Args:
            questions: Questions for the same language.
            cache: The cache; cached answers are not computed again.

        Yields:
            Each question whose answer was not cached, after it is saved.
        """
        unknown = list({question.key: question for question in questions if cache.get(question) is None}.values())
        for start in range(0, len(unknown), TOGETHER):
            some = unknown[start : start + TOGETHER]
            code = some[0].languages[0]
            for question, text in zip(some, self.translate([each.text for each in some], code), strict=True):
                content = json.dumps({code: text}, ensure_ascii=False)
                cache.put(question, Answer(content, model=self.name), "this machine")
                yield question

    def translate(self, texts: Sequence[str], language: str) -> list[str]:
        """English texts of any length in another language.

        Args:
            texts: Texts that are not only white space.
            language: One of the model's languages.
        """
        pieces = [(number, piece) for number, text in enumerate(texts) for piece in split(text, PIECE_TOKENS)]
        # Pieces of similar length share a batch; the longest come first, so that memory runs out at once or not at all.
        order = sorted(range(len(pieces)), key=lambda place: -len(pieces[place][1]))
        found = [""] * len(pieces)
        for start in range(0, len(order), BATCH):
            some = order[start : start + BATCH]
            for place, text in zip(some, self._batch([pieces[p][1] for p in some], language), strict=True):
                found[place] = text
        whole: list[list[str]] = [[] for _ in texts]
        for (number, _), text in zip(pieces, found, strict=True):
            whole[number].append(text)
        return [join(parts, language) for parts in whole]

    def _batch(self, pieces: Sequence[str], language: str) -> list[str]:
        import torch

        token = self._tokens[language]
        marked = token.startswith(">>")
        given = [f"{token} {piece}" if marked else piece for piece in pieces]
        inputs = self._tokenizer(given, return_tensors="pt", padding=True, truncation=True).to(self.device)  # (B, T)
        options: dict[str, Any] = {"max_new_tokens": LONGEST, "do_sample": False}
        if token and not marked:
            options["forced_bos_token_id"] = self._tokenizer.convert_tokens_to_ids(token)
        with torch.inference_mode():
            out = self._model.generate(**inputs, **options)  # (B, T')
        return [text.strip() for text in self._tokenizer.batch_decode(out, skip_special_tokens=True)]

    def _load_tokenizer(self, transformers: Any, folder: Path) -> Any:
        if list(folder.glob("*.spm")) or list(folder.glob("*.bpe.model")):
            require("sentencepiece", "augment")
        loaded = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        flores, mbart, _ = CODES[SOURCE]
        for name, token in ((flores, flores), (mbart, mbart), (SOURCE, f"__{SOURCE}__")):
            if hasattr(loaded, "src_lang") and _knows(loaded, token):
                loaded.src_lang = name
        return loaded

    def _token(self, code: str, kind: str, languages: Sequence[str]) -> str:
        """The token that selects a language; empty for a model with a single language."""
        flores, mbart, iso = CODES[code]
        names = [name for name in (flores, mbart, f"__{code}__", *(f">>{name}<<" for name in (*iso, code))) if name]
        for name in names:
            if _knows(self._tokenizer, name):
                return name
        marked = any(name.startswith(">>") for name in self._tokenizer.get_vocab())
        if kind == "marian" and len(languages) == 1 and not marked:
            return ""
        one = ": it has only one language, so request only that one" if kind == "marian" else ""
        raise InvalidOption(f"'{self.name}' does not name {LANGUAGES[code].name} among its tokens{one}")


def _knows(tokenizer: Any, token: str) -> bool:
    # The vocabulary is not used, because M2M100's does not contain the languages.
    return tokenizer.convert_tokens_to_ids(token) not in (None, tokenizer.unk_token_id)
