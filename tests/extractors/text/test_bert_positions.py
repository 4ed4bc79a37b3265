"""Where in the text each token is, against the offsets that transformers' fast tokenizers give."""

import numpy as np
import pytest

from featzoo.extractors.contract import make_extractor
from featzoo.extractors.text.bert import Bert
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.weights.imports import transformers_module

TEXTS = ["the film was unbelievable !", "bad", "a " * 60, "zebra unbelievable zebra 映画 was good"]


def expected(folder, text, limit=None):
    """(T,) the middle of each token's letters over the letters of the whole text; NaN for special tokens."""
    tokenizer = transformers_module().AutoTokenizer.from_pretrained(str(folder))
    encoded = tokenizer(text, return_offsets_mapping=True, truncation=limit is not None, max_length=limit)
    special = encoded.sequence_ids(0)
    return np.array([
        np.nan if number is None else (start + end) / 2 / len(text)
        for number, (start, end) in zip(special, encoded["offset_mapping"], strict=True)
    ])  # fmt: skip


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory):
    """The folder of a RoBERTa with a byte-level BPE tokenizer, trained here."""
    from tokenizers import ByteLevelBPETokenizer

    transformers = transformers_module()
    folder = tmp_path_factory.mktemp("bpe")
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(TEXTS, vocab_size=300, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.save_model(str(folder))
    fast = transformers.RobertaTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt"))
    fast.save_pretrained(folder)
    config = transformers.RobertaConfig(
        vocab_size=320, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    transformers.RobertaModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", ["wordpiece", "byte-level"])
def test_positions_are_the_tokenizers_offsets(kind, text, random_bert, byte_level):
    folder, text = random_bert if kind == "wordpiece" else byte_level, text.strip()
    extractor = Bert(model=str(folder), output="positions")
    found = extractor.extract(Clip("a", words=words_of(text)))
    limit = 24 if kind == "wordpiece" else None
    np.testing.assert_allclose(found.features[:, 0], expected(folder, text, limit), rtol=1e-6)
    assert found.features.dtype == np.float32
    assert found.names == ("position",)
    assert len(found) == len(Bert(model=str(folder), output="ids").extract(Clip("a", words=words_of(text))))


@pytest.mark.parametrize("keep", ["head", "tail", "both"])
def test_positions_are_of_the_text_before_it_was_cut(random_bert, keep):
    clip = Clip("a", words=words_of(" ".join(f"{'good' if n % 2 else 'a'}" for n in range(40))))
    whole = expected(random_bert, clip.text)
    found = Bert(model=str(random_bert), output="positions", max_tokens=12, keep=keep).extract(clip).features[:, 0]
    inner = whole[1:-1]
    kept = {"head": inner[:10], "tail": inner[-10:], "both": np.concatenate([inner[:5], inner[-5:]])}[keep]
    np.testing.assert_allclose(found, [np.nan, *kept, np.nan], rtol=1e-6)


def test_every_set_of_ids_has_its_positions():
    for tag in ("", "minilm-", "multilingual-", "xlmr-", "mbert-"):
        ids, positions = (make_extractor(f"bert.{tag}{output}") for output in ("ids", "positions"))
        assert (ids.model, ids.output, positions.output) == (positions.model, "ids", "positions")


def test_a_batch_of_one_is_a_batch_of_many(random_bert):
    extractor = Bert(model=str(random_bert), output="positions")
    samples = [each for text in TEXTS for each in extractor.load(Clip("a", words=words_of(text)))]
    for sample, together in zip(samples, extractor.encode(samples), strict=True):
        np.testing.assert_array_equal(extractor.encode([sample])[0].features, together.features)
