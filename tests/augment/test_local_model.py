"""Local translation models: tiny ones of three kinds, made here, against transformers called plainly."""

import json

import pytest
import sentencepiece
import torch
from click.testing import CliRunner

from augment.api import ENGLISH, SENTENCES
from featzoo.augment.answer_cache import AnswerCache
from featzoo.augment.local_model import PIECE_TOKENS, VERSION, Translator
from featzoo.augment.prompt import Question
from featzoo.cli import zoo
from featzoo.errors import InvalidOption
from featzoo.weights.imports import transformers_module

TEXTS = [f"{ENGLISH[0]} {ENGLISH[1]}", ENGLISH[1], "Hello!", " ".join(ENGLISH * 6)]
SIZES = {
    "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 512,
    "init_std": 0.5,  # large enough that the source language shows in the output
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """A sentencepiece model of the sentences' words, and its vocabulary in fairseq's order."""
    folder = tmp_path_factory.mktemp("spm")
    lines = [*ENGLISH, *(text for others in SENTENCES.values() for text in others.values())]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 3), model_prefix=str(folder / "sp"), vocab_size=140,
        hard_vocab_limit=False, model_type="unigram",
        character_coverage=1.0, minloglevel=2,
    )  # fmt: skip
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sp.model"))
    words = [model.id_to_piece(number) for number in range(3, model.get_piece_size())]
    return folder / "sp.model", ["<s>", "<pad>", "</s>", "<unk>", *words]


def save(folder, model, **generation):
    torch.manual_seed(0)
    model.init_weights()
    model.generation_config.update(**generation)
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def m2m100(pieces, tmp_path_factory):
    transformers = transformers_module()
    spm, words = pieces
    folder = tmp_path_factory.mktemp("m2m100")
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    tokenizer = transformers.M2M100Tokenizer(str(folder / "vocab.json"), str(spm), src_lang="fr")
    tokenizer.save_pretrained(folder)
    # Behind the pieces come 100 languages and 8 empty places.
    config = transformers.M2M100Config(vocab_size=len(words) + 108, decoder_start_token_id=2, **SIZES)
    return save(folder, transformers.M2M100ForConditionalGeneration(config), max_new_tokens=20)


@pytest.fixture(scope="module")
def nllb(tmp_path_factory):
    transformers = transformers_module()
    folder = tmp_path_factory.mktemp("nllb")
    letters = sorted({letter for text in ENGLISH for letter in text.replace(" ", "▁")})
    words = dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>", "▁", *letters])
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = transformers.NllbTokenizer(vocab=vocabulary, merges=[], src_lang="fra_Latn")
    tokenizer.save_pretrained(folder)
    config = transformers.M2M100Config(
        vocab_size=len(tokenizer), decoder_start_token_id=2, **SIZES | {"init_std": 0.02}
    )
    return save(folder, transformers.M2M100ForConditionalGeneration(config), max_new_tokens=20)


@pytest.fixture(scope="module")
def marian(pieces, tmp_path_factory):
    transformers = transformers_module()
    spm, words = pieces
    folder = tmp_path_factory.mktemp("marian")
    vocabulary = {word: number for number, word in enumerate(["</s>", "<unk>", *words[4:], "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    for name in ("source.spm", "target.spm"):
        (folder / name).write_bytes(spm.read_bytes())
    tokenizer = transformers.MarianTokenizer(
        str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json")
    )
    tokenizer.save_pretrained(folder)
    size = len(vocabulary)
    config = transformers.MarianConfig(
        vocab_size=size, pad_token_id=size - 1, eos_token_id=0, decoder_start_token_id=size - 1,
        forced_eos_token_id=0, **SIZES,
    )  # fmt: skip
    return save(folder, transformers.MarianMTModel(config), max_new_tokens=20, num_beams=2)


def plainly(folder, pieces, **how):
    """Each piece on its own, without padding, by transformers alone."""
    transformers = transformers_module()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **how.get("tokenizer", {}))
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    found = []
    for piece in pieces:
        inputs = tokenizer(piece, return_tensors="pt")
        forced = {"forced_bos_token_id": tokenizer.convert_tokens_to_ids(how["token"])} if "token" in how else {}
        out = model.generate(**inputs, max_new_tokens=256, do_sample=False, **forced)
        found.append(tokenizer.batch_decode(out, skip_special_tokens=True)[0].strip())
    return found


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("m2m100", {"tokenizer": {"src_lang": "en"}, "token": "__fr__"}),
        ("nllb", {"tokenizer": {"src_lang": "eng_Latn"}, "token": "fra_Latn"}),
        ("marian", {}),
    ],
)
def test_a_batch_gives_what_transformers_gives_one_by_one(kind, how, request):
    """Source language, target language, padding and order are right for each kind of model."""
    folder = request.getfixturevalue(kind)
    sentences = [ENGLISH[1], ENGLISH[0], "I could not sleep."]
    expected = plainly(folder, sentences, **how)
    assert any(expected)
    translator = Translator(folder, ["fr"], "cpu")
    assert translator.translate(sentences, "fr") == expected
    if "tokenizer" in how:
        assert translator._tokenizer.src_lang == how["tokenizer"]["src_lang"]


def test_a_long_text_is_translated_sentence_by_sentence(m2m100):
    translator = Translator(m2m100, ["fr", "ms"], "cpu")
    seen = []
    batch = translator._batch
    translator._batch = lambda pieces, code: seen.extend(pieces) or batch(pieces, code)
    whole = translator.translate(TEXTS, "fr")
    assert all(len(piece) <= 4 * PIECE_TOKENS for piece in seen)
    assert words_of(seen) == words_of(TEXTS)
    assert len(whole) == len(TEXTS)
    assert whole != translator.translate(TEXTS, "ms")


def words_of(texts):
    return sorted(word for text in texts for word in text.split())


def test_models_that_cannot_are_refused(m2m100, nllb, marian, tmp_path):
    with pytest.raises(InvalidOption, match="has only one language"):
        Translator(marian, ["fr", "ja"], "cpu")
    transformers = transformers_module()
    transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=10, n_embd=4, n_layer=1, n_head=1)).save_pretrained(
        tmp_path
    )
    with pytest.raises(InvalidOption, match="gpt2"):
        Translator(str(tmp_path), ["fr"], "cpu")
    assert Translator(m2m100, ["ms", "zh"], "cpu").key != Translator(nllb, ["ms", "zh"], "cpu").key


def test_answers_are_kept_by_the_models_content(m2m100, tmp_path):
    translator = Translator(m2m100, ["fr"], "cpu")
    cache = AnswerCache(tmp_path)
    questions = [Question(translator.key, VERSION, ("fr",), text) for text in [*TEXTS, TEXTS[0]]]
    assert len(list(translator.fill(questions, cache))) == len(TEXTS)
    assert list(translator.fill(questions, cache)) == []
    assert json.loads(cache.get(questions[1]).content)["fr"] == translator.translate([TEXTS[1]], "fr")[0]


def test_zoo_augment_with_a_local_model(m2m100, tmp_path):
    """Untrained, it answers nonsense, which the checks refuse and count; nothing is computed twice."""
    english = tmp_path / "in.jsonl"
    english.write_text("".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(TEXTS)))
    given = ["augment", str(english), "--translator", m2m100, "--languages", "fr,ja", "--device", "cpu"]
    given += ["-o", str(tmp_path / "out.jsonl")]
    first = CliRunner().invoke(zoo, given, catch_exceptions=False)
    assert "fr: 4 texts to translate on cpu, 0 known" in first.output
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    translated = [row for row in rows if row["language"] != "en"]
    refused = first.output.count("refused, ")
    assert first.exit_code == (0 if not refused else 1 if translated else 3)
    lines = [line.split() for line in first.output.splitlines() if line.startswith(("fr ", "ja "))]
    assert sum(int(line[1]) for line in lines) == len(translated)
    assert all(int(line[1]) + int(line[4]) == 4 for line in lines)
    assert all((row["model"], row["prompt"], row["method"]) == (m2m100, VERSION, "toga") for row in translated)
    again = CliRunner().invoke(zoo, given, catch_exceptions=False)
    assert "ja: 0 texts to translate on cpu, 4 known" in again.output
    piga = CliRunner().invoke(zoo, [*given, "--method", "piga"])
    assert piga.exit_code == 2
    assert "--method toga" in piga.output
