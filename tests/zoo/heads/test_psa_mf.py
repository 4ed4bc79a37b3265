"""PSA-MF against transformers and formulas written out; padding, order, missing parts, options, errors."""

import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from featzoo.errors import InvalidOption, MissingWeights, UnknownName
from featzoo.media.clip import Clip
from featzoo.weights.imports import transformers_module
from featzoo.zoo.data.split import Counts, Split, Statistics
from featzoo.zoo.head import find_head, make_head
from featzoo.zoo.heads.psa_mf import PsaMf
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.split_encoder import pretrained, untrained
from featzoo.zoo.runs.run import train_recipe
from featzoo.zoo.training.frozen_features import for_stage
from zoo.conftest import SMALL, fill, sets_for
from zoo.oracles import h

LENGTHS = {"text": [6, 3, 9, 1], "personality": [1, 1, 1, 1], "vision": [4, 0, 1, 2], "audio": [2, 7, 0, 3]}
WIDTH = {"personality": 16, "vision": 3, "audio": 5}


def specs(model, **changes):
    found = {role: InputSpec(width) for role, width in WIDTH.items()}
    return {"text": InputSpec(1, True, str(model))} | found | changes


def split(lengths=LENGTHS, seed=0):
    rng = np.random.default_rng(seed)
    features = {}
    for role, steps in lengths.items():
        if role == "text":
            make = [rng.integers(5, 13, size=(t, 1)) for t in steps]
        else:
            make = [rng.normal(size=(t, WIDTH[role])).astype(np.float32) for t in steps]
        features[role] = [a if len(a) else None for a in make]
    count = len(lengths["text"])
    targets = rng.uniform(-3, 3, size=(count, 1))
    ids = tuple(f"clip{i}" for i in range(count))
    return Split("train", ids, features, targets, specs("x"), Statistics({}, {}), Counts(count))


@pytest.fixture
def head(tiny_bert):
    torch.manual_seed(0)
    return make_head("psa-mf", {"hidden": 8, "wide": 12}, specs(tiny_bert), 1).eval()


def predict(head, whole, rows):
    with torch.no_grad():
        return head(whole.batch(rows).inputs)["prediction"]


def test_the_encoder_is_transformers_own(tiny_bert):
    bert = transformers_module().BertModel.from_pretrained(tiny_bert).eval()
    encoder = pretrained(str(tiny_bert)).eval()
    ids = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]).bool()
    with torch.no_grad():
        expected = bert(ids, attention_mask=mask.long(), output_hidden_states=True).hidden_states
        embedded = encoder.embed(ids, mask)
        found = [embedded, *encoder.run(embedded, mask, 0, 3)]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours[mask], theirs[mask], atol=1e-6, rtol=1e-6)


def test_missing_modalities_do_not_change_the_text(head, tiny_bert):
    """With neither sound nor picture, no token attends to the pseudo tokens: BERT's own output comes out."""
    bert = transformers_module().BertModel.from_pretrained(tiny_bert).eval()
    whole = split({"text": [5], "personality": [1], "vision": [0], "audio": [0]})
    inputs = whole.batch([0]).inputs
    with torch.no_grad():
        cls = bert(inputs["text"].values).last_hidden_state[:, 0]
        main = head.text(cls)
        zero = {m: torch.zeros_like(main) for m in ("vision", "audio")}
        torch.testing.assert_close(head(inputs)["prediction"], head._fuse(main, zero), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_padding_and_order_change_no_prediction(tiny_bert, pooling):
    torch.manual_seed(0)
    head = make_head("psa-mf", {"hidden": 8, "wide": 12, "pooling": pooling}, specs(tiny_bert), 1).eval()
    whole = split()
    together = predict(head, whole, [0, 1, 2, 3])
    alone = torch.cat([predict(head, whole, [i]) for i in range(4)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(predict(head, whole, [3, 1, 0, 2]), together[[3, 1, 0, 2]], atol=1e-5, rtol=1e-5)
    assert together.std() > 1e-3


def clip_loss(unit, x, y):
    """Symmetric InfoNCE of the official unit, entry by entry."""
    x, y = unit.left(x), unit.right(y / y.norm(dim=-1, keepdim=True))
    logits = math.log(1 / 0.07) * torch.tensor([[(a @ b / a.norm()).item() for b in y] for a in x])
    total = 0.0
    for i in range(len(logits)):
        total += torch.logsumexp(logits[i], 0) - logits[i, i] + torch.logsumexp(logits[:, i], 0) - logits[i, i]
    return float(total) / (2 * len(logits))


def test_every_loss_term_is_its_formula(head):
    """The four terms from the layers' weights and BERT's states, with the weights 1, 1, 0.1, 0.09."""
    whole = split({role: [n or 1 for n in steps] for role, steps in LENGTHS.items()})
    batch = whole.batch([0, 1, 2, 3])
    with torch.no_grad():
        outputs = head(batch.inputs)
        found = head.losses(outputs, batch.targets, "main")
        rows = {"s11": [], "s10": [], "vision": [], "audio": []}
        vector = batch.inputs["personality"].values[:, 0]
        for i in range(4):
            ids = batch.inputs["text"].values[i : i + 1, : LENGTHS["text"][i]]
            full = torch.ones_like(ids, dtype=torch.bool)
            states = [head.encoder.embed(ids, full)]
            states += head.encoder.run(states[0], full, 0, 3)
            rows["s11"].append(states[2][0, 0])  # 3 layers: N = 2
            rows["s10"].append(states[1][0, 0])  # and hidden state L - 2 = 1 is aligned
            for m in ("vision", "audio"):
                last = head.recurrent[m].lstm(torch.from_numpy(whole.features[m][i])[None])[1][0][0]
                rows[m].append(F.relu(head.pseudo[m](head.summary[m](last)) + vector[i])[0])
        s11, s10, vision, audio = (torch.stack(rows[k]) for k in ("s11", "s10", "vision", "audio"))
        clm = clip_loss(head.match["vision"], s11, vision) + clip_loss(head.match["audio"], s11, audio)
        sentiment, personality = head.align_sentiment(s10), head.align_personality(vector)
        cosine = [float(a @ b / a.norm() / b.norm()) for a, b in zip(sentiment, personality, strict=True)]
        distance = (1 - sum(cosine) / 4) / 2
        ps = (head.align_out(head.align_target(s10)) - batch.targets).abs().mean()
    expected = {
        "l1": (outputs["prediction"] - batch.targets).abs().mean().item(),
        "l_ccl": distance * clip_loss(head.align_match, sentiment, personality),
        "l_ps": 0.1 * (1 - distance) * ps.item(),
        "l_clm": 0.09 * clm,
    }
    assert {k: v.item() for k, v in found.items()} == pytest.approx(expected, rel=1e-4)


def test_the_literal_weighting_is_an_option(tiny_bert):
    made = [
        make_head("psa-mf", {"hidden": 8, "wide": 12, "ccl_weight": kind}, specs(tiny_bert), 1)
        for kind in ("half_distance", "literal")
    ]
    logits = torch.from_numpy(h(3, 3, 0.0)).float()
    outputs = {
        "prediction": torch.zeros(3, 1), "ps": torch.ones(3, 1), "distance": torch.tensor(0.25),
        "ccl": logits,
        "clm_vision": logits, "clm_audio": logits,
        **dict.fromkeys(["aligned", "there_text", "there_vision", "there_audio"], torch.ones(3, dtype=torch.bool)),
    }  # fmt: skip
    ours, literal = (m.losses(outputs, torch.zeros(3, 1), "main") for m in made)
    assert ours["l_ccl"] / literal["l_ccl"] == pytest.approx(0.25 / 0.5)
    assert ours["l_ps"] / literal["l_ps"] == pytest.approx(0.75 / 0.5)


@pytest.mark.parametrize(
    "lengths",
    [
        {"text": [1], "personality": [1], "vision": [1], "audio": [1]},
        {"text": [4, 2], "personality": [0, 0], "vision": [2, 2], "audio": [2, 2]},
        {"text": [4, 2], "personality": [1, 1], "vision": [0, 0], "audio": [0, 0]},
    ],
    ids=["one token, one clip", "no personality", "neither sound nor picture"],
)
def test_a_step_of_training_stays_finite(head, lengths):
    batch = split(lengths).batch(range(len(lengths["text"])))
    head.train()
    terms = head.losses(head(batch.inputs), batch.targets, "main")
    sum(terms.values()).backward()
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


def test_a_missing_modality_does_not_change_the_prediction(head):
    """A clip without sound: nothing that listens may change its prediction."""
    whole = split({"text": [4], "personality": [1], "vision": [2], "audio": [0]})
    before = predict(head, whole, [0])
    with torch.no_grad():
        for module in (head.recurrent["audio"], head.pseudo["audio"], head.attend["audio"]):
            for parameter in module.parameters():
                parameter.add_(1.0)
    torch.testing.assert_close(predict(head, whole, [0]), before)


def test_no_gradient_reaches_inputs_or_frozen_layers(tiny_bert):
    head = make_head("psa-mf", {"hidden": 8, "wide": 12, "frozen_layers": 1}, specs(tiny_bert), 1)
    batch = split().batch(range(4))
    sum(head.losses(head(batch.inputs), batch.targets, "main").values()).backward()
    assert not any(padded.values.requires_grad for padded in batch.inputs.values())
    frozen = [*head.encoder.embeddings.parameters(), *head.encoder.layers[0].parameters()]
    assert all(p.grad is None for p in frozen)
    assert all(p.grad is not None for p in head.encoder.layers[1].parameters())
    grouped = [p for g in head.parameter_groups("main", {"main": 1.0, "encoder": 1.0}) for p in g["params"]]
    assert not {id(p) for p in frozen} & {id(p) for p in grouped}


@pytest.mark.parametrize(("frozen", "align"), [(0, -3), (1, 1), (2, -3), (2, 2), (2, 0), (3, 1), (3, -1)])
def test_kept_layers_give_what_they_would_compute(tiny_bert, frozen, align):
    """Predictions, losses and gradients in training, dropout included: frozen layers draw none."""
    options = {"hidden": 8, "wide": 12, "frozen_layers": frozen, "align_layer": align}
    torch.manual_seed(0)
    head = make_head("psa-mf", options, specs(tiny_bert), 1)
    whole = split()
    kept = for_stage(head, whole, "main", 3, torch.device("cpu"))  # in batches of 3, not of 4 as below
    assert kept.features["text"][0].shape == (6, 16)
    assert ("text-aligned" in kept.features) == (head.align < min(frozen, 2))
    assert all(kept.features[m] == whole.features[m] for m in ("personality", "vision", "audio"))
    found = []
    for batch in (whole.batch([2, 0, 1, 3]), kept.batch([2, 0, 1, 3])):
        torch.manual_seed(1)
        head.train().zero_grad()
        outputs = head(batch.inputs)
        sum(head.losses(outputs, batch.targets, "main").values()).backward()
        found.append((outputs["prediction"].detach(), {n: p.grad for n, p in head.named_parameters()}))
    (prediction, gradients), (other, others) = found
    torch.testing.assert_close(other, prediction, atol=1e-6, rtol=1e-6)
    assert [n for n, g in gradients.items() if g is None] == [n for n, g in others.items() if g is None]
    for name, gradient in gradients.items():
        if gradient is not None:
            torch.testing.assert_close(others[name], gradient, atol=1e-6, rtol=1e-5, msg=name)


def test_frozen_layers_have_no_dropout(tiny_bert):
    head = make_head("psa-mf", {"hidden": 8, "wide": 12, "frozen_layers": 2}, specs(tiny_bert), 1).train()
    text = split().batch(range(4)).inputs["text"]
    embedded = head.encoder.embed(text.values, text.mask)
    once, again = (head.encoder.run(embedded, text.mask, 0, 3) for _ in range(2))
    assert torch.equal(once[1], again[1])
    assert not torch.equal(once[2], again[2])
    assert make_head("psa-mf", {"hidden": 8}, specs(tiny_bert), 1).distil(split().batch([0]).inputs) is None


def test_groups_hold_every_parameter_once(head):
    made = head.parameter_groups("main", {"main": 1e-3, "encoder": 1e-5})
    held = [id(p) for group in made for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in head.parameters())
    assert {group["name"]: group["lr"] for group in made} == {"main": 1e-3, "encoder": 1e-5}
    encoder = {id(p) for p in made[1]["params"]}
    assert {id(p) for p in head.encoder.parameters()} <= encoder
    with pytest.raises(InvalidOption, match="lacks 'encoder'"):
        head.parameter_groups("main", {"main": 1.0})
    with pytest.raises(InvalidOption, match="did you mean 'encoder'"):
        head.parameter_groups("main", {"main": 1.0, "encoder": 1.0, "encodr": 1.0})


def test_fusion_layers_start_from_bert_or_at_random(tiny_bert):
    original = pretrained(str(tiny_bert)).layers
    for init, same in (("bert", True), ("random", False)):
        head = make_head("psa-mf", {"hidden": 8, "fusion_init": init}, specs(tiny_bert), 1)
        weights = [
            (a.output.dense.weight, b.output.dense.weight) for a, b in zip(head.encoder.layers, original, strict=True)
        ]
        assert [torch.equal(a, b) for a, b in weights] == [True, True, same]


def test_a_personality_vector_of_another_width_is_mapped(tiny_bert):
    changed = specs(tiny_bert, personality=InputSpec(7))
    head = make_head("psa-mf", {"hidden": 8, "wide": 12}, changed, 1)
    assert head.personality.weight.shape == (16, 7)


def test_a_head_is_built_again_from_its_assets(head):
    again = make_head("psa-mf", {"hidden": 8, "wide": 12}, specs("/nowhere"), 1, head.assets()).eval()
    again.load_state_dict(head.state_dict())
    whole = split()
    assert torch.equal(predict(again, whole, [0, 1, 2, 3]), predict(head, whole, [0, 1, 2, 3]))
    assert untrained(head.assets()["encoder.json"]).width == 16


@pytest.mark.parametrize(
    ("options", "changes", "kind", "text"),
    [
        ({"poling": "cls"}, {}, InvalidOption, "did you mean 'pooling'"),
        ({"hidden": 9}, {}, InvalidOption, "multiple of heads"),
        ({"fusion_layers": 0}, {}, InvalidOption, "at least 1"),
        ({"weights": [1.0]}, {}, InvalidOption, "four"),
        ({"dropout": 1.0}, {}, InvalidOption, "dropout"),
        ({"fusion_layers": 4}, {}, InvalidOption, "3 layers and 4 hidden states"),
        ({"align_layer": 4}, {}, InvalidOption, "3 layers and 4 hidden states"),
        ({}, {"text": InputSpec(1, True, "")}, InvalidOption, "which model's tokenizer"),
        ({}, {"text": InputSpec(16)}, InvalidOption, "token ids as 'text'"),
        ({}, {"audio": InputSpec(1, True)}, InvalidOption, "needs features as 'audio'"),
        ({}, {"sound": InputSpec(1)}, InvalidOption, "no input 'sound'"),
        ({}, {"text": InputSpec(1, True, "no/such-model")}, MissingWeights, "feat weights get no/such-model"),
    ],
)
def test_errors_say_what_is_wrong(tiny_bert, options, changes, kind, text):
    with pytest.raises(kind, match=text):
        make_head("psa-mf", options, specs(tiny_bert, **changes), 1)


def test_a_missing_role_is_named(tiny_bert):
    lacking = {role: spec for role, spec in specs(tiny_bert).items() if role != "audio"}
    with pytest.raises(InvalidOption, match="needs the input 'audio': a sequence of audio features"):
        make_head("psa-mf", {}, lacking, 1)


def test_encoders_of_another_kind_are_refused(tmp_path, tiny_bert):
    transformers = transformers_module()
    small = {"dim": 8, "n_layers": 1, "n_heads": 1, "hidden_dim": 8}
    transformers.DistilBertModel(transformers.DistilBertConfig(vocab_size=20, **small)).save_pretrained(tmp_path)
    with pytest.raises(InvalidOption, match=r"is a distilbert model; .* bert, roberta, xlm-roberta"):
        make_head("psa-mf", {}, specs(tmp_path), 1)


def test_heads_are_found_by_name_and_path():
    assert find_head("psa-mf") is PsaMf
    assert find_head("featzoo.zoo.heads.psa_mf:PsaMf") is PsaMf
    with pytest.raises(UnknownName, match="did you mean 'psa-mf'"):
        find_head("psa-fm")
    with pytest.raises(InvalidOption, match="not a featzoo"):
        find_head("featzoo.zoo.recipe:Recipe")


def test_a_text_that_is_too_long_for_the_encoder_is_refused(head):
    whole = split({"text": [65], "personality": [1], "vision": [1], "audio": [1]})
    with pytest.raises(InvalidOption, match=r"65 tokens; .* positions for 64: lower inputs\.text\.max_steps"):
        head(whole.batch([0]).inputs)


def test_without_pre_fusion_the_text_does_not_depend_on_sound_or_picture(tiny_bert):
    """The text's last states are BERT's own; sound and picture come in by cross attention only."""
    torch.manual_seed(0)
    made = make_head("psa-mf", {"hidden": 8, "wide": 12, "pre_fusion": False}, specs(tiny_bert), 1).eval()
    bert = transformers_module().BertModel.from_pretrained(tiny_bert).eval()
    inputs = split().batch([0]).inputs
    with torch.no_grad():
        main = made.text(bert(inputs["text"].values).last_hidden_state[:, 0])
        vector = made.personality(inputs["personality"].values[:, 0])
        steps, _, _ = made._listen_and_look(inputs, vector)
        attended = {m: made._attend(m, main, steps[m], inputs[m].mask) for m in ("vision", "audio")}
        torch.testing.assert_close(made(inputs)["prediction"], made._fuse(main, attended), atol=1e-5, rtol=1e-5)


def test_without_enhanced_fusion_summaries_stand_side_by_side(tiny_bert):
    torch.manual_seed(0)
    made = make_head("psa-mf", {"hidden": 8, "enhanced_fusion": False}, specs(tiny_bert), 1).eval()
    assert not hasattr(made, "fused")
    whole = split()
    inputs = whole.batch([1]).inputs  # has no picture
    with torch.no_grad():
        outputs = made(inputs)
        _, last = made.recurrent["audio"](inputs["audio"].values, inputs["audio"].mask)
        audio = made.summary["audio"](last)
        states = made.encoder.embed(inputs["text"].values, inputs["text"].mask)
        vector = made.personality(inputs["personality"].values[:, 0])
        token = F.relu(made.pseudo["audio"](audio) + vector)
        states = made.encoder.run(states, inputs["text"].mask, 0, 2)[-1]
        joined = torch.cat([states, token[:, None]], dim=1)
        main = made.text(made.encoder.run(joined, torch.ones(joined.shape[:2]).bool(), 2, 3)[-1][:, 0])
        expected = made.out(torch.cat([torch.zeros_like(audio), audio, main], dim=-1))
    torch.testing.assert_close(outputs["prediction"], expected, atol=1e-5, rtol=1e-5)


def test_modality_dropout_is_for_training_only(tiny_bert):
    """With nearly everything dropped, training sees what masked sound and picture give; evaluation sees them."""
    torch.manual_seed(0)
    made = make_head(
        "psa-mf", {"hidden": 8, "wide": 12, "modality_dropout": 0.999, "dropout": 0.0}, specs(tiny_bert), 1
    )
    whole = split({"text": [4, 5], "personality": [1, 1], "vision": [2, 3], "audio": [3, 2]})
    bare = {role: p if role in ("text", "personality") else p._replace(mask=p.mask & False) for role, p in
            whole.batch([0, 1]).inputs.items()}  # fmt: skip
    for module in made.encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        full = made.eval()(whole.batch([0, 1]).inputs)["prediction"]
        without = made(bare)["prediction"]
        dropped = made.train()(whole.batch([0, 1]).inputs)["prediction"]
    assert (full - without).abs().max() > 1e-4
    torch.testing.assert_close(dropped, without, atol=1e-5, rtol=1e-5)


def test_neighbouring_utterances_are_pseudo_tokens_and_missing_ones_are_masked(tiny_bert):
    torch.manual_seed(0)
    wider = specs(tiny_bert, before=InputSpec(4), after=InputSpec(4))
    head = make_head("psa-mf", {"hidden": 8, "wide": 12}, wider, 1).eval()
    rng = np.random.default_rng(1)
    plain = split()
    around = {
        "before": [None, *(rng.normal(size=(t, 4)).astype(np.float32) for t in (2, 5, 1))],
        "after": [rng.normal(size=(3, 4)).astype(np.float32), None, None, None],
    }
    whole = dataclasses.replace(plain, features=plain.features | around, specs=wider)
    together = predict(head, whole, range(4))
    for row in range(4):  # alone, without padding of anything
        torch.testing.assert_close(predict(head, whole, [row])[0], together[row], rtol=0, atol=1e-5)
    changed = dataclasses.replace(
        whole, features=whole.features | {"before": [None, *(2 * a for a in around["before"][1:])]}
    )
    moved = (predict(head, changed, range(4)) - together).abs()[:, 0]
    assert moved[0] == 0  # it has no previous utterance
    assert (moved[1:] > 1e-6).all()
    alone = dataclasses.replace(whole, features=plain.features | {"before": [None] * 4, "after": [None] * 4})
    torch.manual_seed(0)
    without = make_head("psa-mf", {"hidden": 8, "wide": 12}, specs(tiny_bert), 1).eval()
    without.load_state_dict({k: v for k, v in head.state_dict().items() if not k.startswith("context.")})
    torch.testing.assert_close(predict(head, alone, range(4)), predict(without, plain, range(4)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("recipe", ["psa-mf.context", "psa-mf.strong", "strong"])
def test_recipes_with_context_train(recipe, tmp_path, tiny_bert):
    rng = np.random.default_rng(0)
    clips = [
        Clip(f"{split}-{video}$_${n}", start=float(n), split=split, labels={"sentiment": float(rng.integers(-3, 4))})
        for split in ("train", "valid", "test") for video in range(2) for n in range(4)
    ]  # fmt: skip
    store = fill(tmp_path / "features", clips, sets_for(clips), tiny_bert)
    for name, width in (("wavlm", 6), ("clip", 7)):
        store.add(name, {clip.id: rng.normal(size=(3, width)).astype(np.float32) for clip in clips})
    run = train_recipe(recipe, store.path, tmp_path, SMALL, "cpu")
    assert (
        run.counts["train"].missing["before"] == run.counts["train"].missing["after"] == 2
    )  # at either end of a video
    assert run.used["before"].startswith("bert.minilm-")
    assert math.isfinite(run.metrics["test"]["mae"])
