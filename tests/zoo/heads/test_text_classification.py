"""The text classifier: losses against closed forms, windows against reading them one by one, runs end to end."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from featzoo.cache.store import FeatureStore
from featzoo.errors import FeatzooError, InvalidOption
from featzoo.extraction.driver import extract_all
from featzoo.extractors.contract import make_extractor
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.weights.imports import transformers_module
from featzoo.zoo.data.split import Counts, Split, Statistics
from featzoo.zoo.head import Padded, make_head
from featzoo.zoo.heads.text_classification import answer_weights
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.text_windows import framed
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.runs.evaluate import evaluate_run
from featzoo.zoo.runs.load import load_head
from featzoo.zoo.runs.run import train_recipe
from featzoo.zoo.training.frozen_features import for_stage

pytestmark = pytest.mark.usefixtures("one_process")
CLS, SEP = 2, 3
CPU = torch.device("cpu")


def build(model, targets=2, **options):
    torch.manual_seed(0)
    return make_head("text-classification", options, {"text": InputSpec(1, True, str(model))}, targets).eval()


def texts(*lengths, extra=0):
    """Random ids of the tiny vocabulary, so many inside, with [CLS] and [SEP], padded."""
    rng = np.random.default_rng(1)
    longest = max(length + 2 if length >= 0 else 0 for length in lengths) + extra
    ids, mask = torch.zeros(len(lengths), longest, dtype=torch.long), torch.zeros(len(lengths), longest).bool()
    for row, length in enumerate(lengths):
        if length >= 0:
            whole = [CLS, *rng.integers(5, 15, length), SEP]
            ids[row, : len(whole)], mask[row, : len(whole)] = torch.tensor(whole), True
    return Padded(ids, mask, mask)


def row(text, number, extra=0):
    """One text of a batch by itself."""
    length = int(text.mask[number].sum())
    return Padded(*(part[number : number + 1, : length + extra] for part in text))


LOGITS = torch.tensor([[0.3, -1.2], [2.0, 0.1], [-0.7, 0.4], [0.0, -3.0]])
TRUTH = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])  # shares of yes: 3/4 and 1/4


def entropy(weights=1.0, truth=TRUTH):
    """In NumPy, from its definition."""
    p, y = 1 / (1 + np.exp(-LOGITS.double().numpy())), truth.double().numpy()
    return float((-(y * np.log(p) + (1 - y) * np.log(1 - p)) * weights).mean())


def test_the_losses_are_their_formulas(tiny_bert):
    y = TRUTH.numpy()
    opposite = np.where(y == 1, [1 / 4, 3 / 4], [3 / 4, 1 / 4])  # the share of the opposite answer
    expected = {"bce": entropy(), "weighted-bce": entropy(opposite)}
    # torch's own pos_weight: N- / N+.
    balanced = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1 / 3, 3.0]))(LOGITS, TRUTH)
    expected["balanced-bce"] = float(balanced)
    for kind, value in expected.items():
        head = build(tiny_bert, loss=kind)
        head.prepare(TRUTH)
        losses = head.losses({"logits": LOGITS}, TRUTH, "main")
        assert list(losses) == [kind]
        assert float(losses[kind]) == pytest.approx(value, rel=1e-6)


def test_smoothing_moves_labels_towards_one_another(tiny_bert):
    head = build(tiny_bert, smoothing=0.2)
    found = head.losses({"logits": LOGITS}, TRUTH, "main")["bce"]
    assert float(found) == pytest.approx(entropy(truth=TRUTH * 0.8 + 0.1), rel=1e-6)


@given(st.floats(0.01, 0.99))
def test_weighted_answers_weigh_the_same_in_sum(share):
    """Yes and no of a split count alike under both weighted losses."""
    for loss in ("weighted-bce", "balanced-bce"):
        yes, no = answer_weights(torch.tensor([[1.0], [0.0]]), torch.tensor([share], dtype=torch.float64), loss)
        assert float(yes) * share == pytest.approx(float(no) * (1 - share))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_the_network_is_as_described(tiny_bert, pooling):
    """transformers' encoder, its first token or mean, a linear layer, ReLU, a linear layer, the sigmoid."""
    head, text = build(tiny_bert, pooling=pooling), texts(4, 9)
    bert = transformers_module().BertModel.from_pretrained(tiny_bert, add_pooling_layer=False).eval()
    with torch.no_grad():
        outputs = head({"text": text})
        for number in range(2):
            alone = row(text, number)
            states = bert(input_ids=alone.values).last_hidden_state[0]  # (T, H)
            vector = states[0] if pooling == "cls" else states.mean(dim=0)
            first, last = head.out[1], head.out[4]
            assert first.weight.shape == (128, 16)
            logits = last.weight @ (first.weight @ vector + first.bias).clamp(min=0) + last.bias
            torch.testing.assert_close(outputs["logits"][number], logits, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(outputs["prediction"], torch.sigmoid(outputs["logits"]))


def by_hand(ids, size):
    """The windows of one text's ids, in plain Python."""
    if len(ids) < 3:
        return [ids]
    inner = ids[1:-1]
    return [[ids[0], *inner[at : at + size - 2], ids[-1]] for at in range(0, len(inner), size - 2)]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=5), st.integers(3, 12))
def test_windows_are_framed_by_the_texts_own_special_tokens(lengths, size):
    given = [
        [100 + number, *range(number * 40, number * 40 + length)][: length + 1] for number, length in enumerate(lengths)
    ]
    given = [[*ids, 200] if len(ids) > 1 else ids for ids in given]
    longest = max(map(len, given)) + 2
    values, mask = torch.zeros(len(given), longest, dtype=torch.long), torch.zeros(len(given), longest).bool()
    for number, ids in enumerate(given):
        values[number, : len(ids)], mask[number, : len(ids)] = torch.tensor(ids), True
    found = framed(Padded(values, mask, mask), size)
    for number, ids in enumerate(given):
        expected = [token for window in by_hand(ids, size) for token in window]
        assert found.values[number][found.mask[number]].tolist() == expected
        assert found.mask[number, : len(expected)].all()


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_long_text_is_the_mean_over_its_windows(tiny_bert, pooling):
    """Each read by itself, with as much weight as it has tokens."""
    text, plain = texts(37, 6, 14), build(tiny_bert, pooling=pooling).text
    head = build(tiny_bert, pooling=pooling, window=8).text
    with torch.no_grad():
        found = head(text)
        for number in range(3):
            parts = by_hand(row(text, number).values[0].tolist(), 8)
            vectors = [
                plain(Padded(*([torch.tensor([part])] + [torch.ones(1, len(part)).bool()] * 2)))[0] for part in parts
            ]
            expected = sum(v * len(part) for v, part in zip(vectors, parts, strict=True)) / sum(map(len, parts))
            torch.testing.assert_close(found[number], expected, atol=1e-6, rtol=1e-5)


def test_a_text_of_one_window_is_read_as_without_windows(tiny_bert):
    text = texts(1, 9, 14, 0)
    with torch.no_grad():
        plain, windowed = (build(tiny_bert, window=window)({"text": text})["logits"] for window in (0, 16))
    torch.testing.assert_close(plain, windowed, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("window", [0, 8])
def test_neither_padding_nor_the_other_texts_matter(tiny_bert, window):
    head = build(tiny_bert, window=window, pooling="mean")
    text = texts(3, 20, 11, -1, extra=5)
    with torch.no_grad():
        together = head({"text": text})["logits"]
        turned = head({"text": Padded(*(part.flip(0) for part in text))})["logits"].flip(0)
        torch.testing.assert_close(turned, together, atol=1e-6, rtol=1e-5)
        for number in range(3):
            alone = head({"text": row(text, number)})["logits"][0]
            torch.testing.assert_close(alone, together[number], atol=1e-6, rtol=1e-5)
        noise = text.values.masked_fill(~text.mask, 7)
        assert torch.equal(head({"text": text._replace(values=noise)})["logits"], together)


@pytest.mark.parametrize("window", [0, 8])
def test_missing_texts_have_a_vector_of_zeros(tiny_bert, window):
    head = build(tiny_bert, window=window)
    with torch.no_grad():
        assert head.text(texts(-1, -1, extra=2)).tolist() == [[0.0] * 16] * 2


def split_of(text, targets):
    arrays = [row(text, n).values[0][:, None].numpy() if text.mask[n].any() else None for n in range(len(text.mask))]
    ids = tuple(str(number) for number in range(len(arrays)))
    spec = {"text": InputSpec(1, ids=True)}
    return Split("train", ids, {"text": arrays}, targets, spec, Statistics({}, {}), Counts(len(ids)))


@pytest.mark.parametrize("drawn", [0, 1])
@pytest.mark.parametrize("window", [0, 8])
@pytest.mark.parametrize("frozen", [0, 2, 3])
def test_outputs_of_frozen_layers_are_kept(tiny_bert, frozen, window, drawn):
    """Reading what was kept gives what reading the ids gives, in logits and in gradients."""
    if drawn and not window:
        return
    text = texts(19, 6, -1, 2)
    head = build(tiny_bert, frozen_layers=frozen, window=window, drawn=drawn, pooling="mean")
    split = split_of(text, np.zeros((4, 2)))
    kept = for_stage(head, split, "main", 3, CPU).batch([0, 1, 2, 3]).inputs["text"]
    assert kept.values.is_floating_point()
    assert (kept.values.shape[1] == 1) == (frozen == 3 and not drawn)
    found = []
    for read in (text, kept):
        head.zero_grad()
        logits = head({"text": read})["logits"]
        logits.square().sum().backward()
        found.append((logits.detach(), {n: p.grad.clone() for n, p in head.named_parameters() if p.grad is not None}))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-6, rtol=1e-5)
    assert found[0][1].keys() == found[1][1].keys()
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(gradient, found[1][1][name], atol=1e-5, rtol=1e-4)
    learning = {name.split(".")[3] for name in found[0][1] if name.startswith("text.encoder.layers")}
    assert learning == {str(number) for number in range(frozen, 3)}
    assert not any("embeddings" in name for name in found[0][1])


def test_nothing_is_kept_where_everything_learns(tiny_bert):
    split = split_of(texts(3, 4), np.zeros((2, 2)))
    assert for_stage(build(tiny_bert), split, "main", 2, CPU) is split


def test_windows_are_drawn_anew_in_training_alone(tiny_bert):
    """A text of windows 0, 1 and 2, by the ids inside: each step reads two; a short text keeps its one."""
    text, head = texts(12, 4), build(tiny_bert, window=6, drawn=2)
    text.values[0, 1:13] = torch.arange(5, 8).repeat_interleave(4)
    head.train()
    seen = set()
    for _ in range(60):
        read = head.text.windows(text)
        assert read.owner.tolist() == [0, 0, 1]
        seen.add(tuple(read.text.values[:2, 1].tolist()))
    assert seen == {(5, 6), (5, 7), (6, 7)}
    head.eval()
    assert head.text.windows(text).owner.tolist() == [0, 0, 0, 1]


def test_an_encoder_may_be_cut_to_its_first_layers(tiny_bert, tmp_path):
    head, text = build(tiny_bert, layers=2), texts(5)
    bert = transformers_module().BertModel.from_pretrained(tiny_bert, add_pooling_layer=False).eval()
    with torch.no_grad():
        expected = bert(input_ids=text.values, output_hidden_states=True).hidden_states[2][:, 0]
        torch.testing.assert_close(head.text(text), expected, atol=1e-6, rtol=1e-5)
    assert json.loads(head.assets()["encoder.json"])["num_hidden_layers"] == 2
    with pytest.raises(InvalidOption, match="layers = 4: the encoder has 3"):
        build(tiny_bert, layers=4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"window": 2}, "at least 3 tokens"),
        ({"drawn": 1}, "needs window"),
        ({"smoothing": 1.0}, r"\[0, 1\)"),
        ({"hidden": 0}, "at least 1"),
        ({"loss": "focal"}, "weighted-bce"),
        ({"window": 65}, "window = 65; the encoder has positions for 64 tokens"),
    ],
)
def test_options_that_do_not_fit_are_refused(tiny_bert, options, said):
    with pytest.raises(FeatzooError, match=said):
        build(tiny_bert, **options)


def test_labels_that_do_not_fit_are_refused(tiny_bert):
    with pytest.raises(InvalidOption, match="labels 0 and 1"):
        build(tiny_bert).prepare(torch.tensor([[0.5, 1.0]]))
    constant = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    build(tiny_bert).prepare(constant)
    with pytest.raises(InvalidOption, match="has only one"):
        build(tiny_bert, loss="balanced-bce").prepare(constant)


COLUMNS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, random_bert, one_process):
    """A store of texts, some longer than the encoder reads, whose labels hang on a word; a run on it."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("answers")
    clips = []
    for split, count in (("train", 48), ("valid", 24)):
        for number in range(count):
            good = number % 2 == 0
            text = " ".join(rng.choice(["film", "a", "so", "very"], rng.integers(2, 40)))
            labels = {name: float(good != (k % 2 == 1)) for k, name in enumerate(COLUMNS)}
            words = words_of(("good good good " if good else "bad bad bad ") + text)
            clips.append(Clip(id=f"{split}/{number}", split=split, words=words, labels=labels))
    store = FeatureStore.create(folder / "store")
    request = f"bert.minilm-ids[model={random_bert},windows=overlap]"
    extract_all(store, [make_extractor(request)], clips, jobs=1)
    changes = {
        "training.epochs": 12, "training.batch_size": 8, "training.learning_rates": {"main": 0.02, "encoder": 0.01},
        "options.layers": 2, "options.frozen_layers": 1, "options.window": 12,
        "inputs.text.features": ["bert.minilm-ids[windows=overlap]"],
    }  # fmt: skip
    return folder / "store", train_recipe("adam-teacher", folder / "store", folder / "runs", changes, "cpu")


def test_a_run_learns_and_is_chosen_by_balanced_accuracy(trained):
    _, run = trained
    assert run.metrics["valid"]["ba"] > 0.9
    assert {f"{name}.ba" for name in COLUMNS} <= set(run.metrics["valid"])
    epochs = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert {epoch["chosen_by"] for epoch in epochs} == {"BA"}
    chosen = epochs[run.best_epoch - 1]
    assert chosen["score"] == max(epoch["score"] for epoch in epochs)
    assert run.metrics["valid"]["ba"] == pytest.approx(chosen["score"])
    assert not math.isnan(chosen["dev_mae"])


def test_a_run_loads_and_scores_the_same(trained):
    store, run = trained
    again = evaluate_run(run.path, store, "valid", "cpu")
    assert again.metrics == pytest.approx(again.stored, abs=1e-6)


def test_the_exported_encoder_is_the_trained_one(trained):
    _, run = trained
    transformers = transformers_module()
    bert = transformers.AutoModel.from_pretrained(run.path / "encoder", local_files_only=True).eval()
    assert bert.config.num_hidden_layers == 2
    encoded = transformers.AutoTokenizer.from_pretrained(run.path / "encoder")("good film so", return_tensors="pt")
    mask = torch.ones_like(encoded["input_ids"]).bool()
    with torch.no_grad():
        expected = bert(**encoded).last_hidden_state.mean(dim=1)
        found = load_head(run.path).text(Padded(encoded["input_ids"], mask, mask))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_the_recipe_fits_its_task():
    recipe = find_recipe("adam-teacher")
    assert (recipe.head, recipe.target.metrics, recipe.target.columns) == ("text-classification", "binary", COLUMNS)
    assert recipe.published["ba"] == pytest.approx(0.6332 - 0.0573)
    mbti = find_recipe("adam-teacher", {"target.columns": list(COLUMNS[:4])})
    assert mbti.target.columns == COLUMNS[:4]
