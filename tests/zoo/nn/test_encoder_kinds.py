"""BERT, RoBERTa, XLM-R and DeBERTa as heads run them, against transformers' own forward pass."""

import pytest
import torch

from featzoo.errors import InvalidOption
from featzoo.weights.imports import transformers_module
from featzoo.zoo.head import Padded
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.split_encoder import pretrained, untrained
from featzoo.zoo.nn.text_encoder import TextEncoder

# First and last token, padding: RoBERTa's <s> is 0, which our batches are padded with.
SPECIAL = {"bert": (2, 3, 0), "roberta": (0, 2, 1), "xlm-roberta": (0, 2, 1), "deberta-v2": (1, 2, 0)}
NAMES = {"bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta", "deberta-v2": "DebertaV2"}
# As DeBERTa V3.
DEBERTA = {
    "type_vocab_size": 0, "relative_attention": True, "position_buckets": 4, "norm_rel_ebd": "layer_norm",
    "share_att_key": True, "pos_att_type": "p2c|c2p", "position_biased_input": False, "max_relative_positions": -1,
}  # fmt: skip
LENGTHS = (9, 4, 1, 0)


@pytest.fixture(scope="module", params=SPECIAL)
def model(request, tmp_path_factory):
    """The kind and the folder of an encoder of 3 layers whose weights are random."""
    transformers, kind = transformers_module(), request.param
    folder = tmp_path_factory.mktemp(kind)
    config = getattr(transformers, f"{NAMES[kind]}Config")(
        vocab_size=30, hidden_size=16, num_hidden_layers=3, num_attention_heads=4, intermediate_size=32,
        max_position_embeddings=24, pad_token_id=SPECIAL[kind][2], initializer_range=0.5,
        **(DEBERTA if kind == "deberta-v2" else {"type_vocab_size": 1}),
    )  # fmt: skip
    torch.manual_seed(0)
    made = getattr(transformers, f"{NAMES[kind]}Model")(config)
    with torch.no_grad():  # biases that matter, and attention that is not even
        for name, values in made.named_parameters():
            if name.endswith(("query.bias", "key.bias")):
                values.normal_()
            elif name.endswith(("query.weight", "key.weight")):
                values.mul_(3)
    made.save_pretrained(folder)
    return kind, folder


def batch(kind):
    """Ids as `padding.pad` gives them, 0 where there is none, and the mask."""
    first, last, _ = SPECIAL[kind]
    ids, mask = torch.zeros(4, 9, dtype=torch.int64), torch.arange(9) < torch.tensor(LENGTHS)[:, None]
    generator = torch.Generator().manual_seed(1)
    for row, length in enumerate(LENGTHS):
        own = [first, *torch.randint(5, 30, (max(length - 2, 0),), generator=generator).tolist(), last]
        ids[row, :length] = torch.tensor(own[:length], dtype=torch.int64)
    return ids, mask


def theirs(kind, folder, **asked):
    """transformers' eager forward pass, float64, of each text alone, without padding; None for an empty text."""
    model = transformers_module().AutoModel.from_pretrained(folder, attn_implementation="eager").double().eval()
    ids, mask = batch(kind)
    with torch.no_grad():
        return [model(ids[row][None, mask[row]], **asked) if mask[row].any() else None for row in range(4)]


def test_states_are_transformers_own(model):
    kind, folder = model
    ids, mask = batch(kind)
    text = TextEncoder("x", InputSpec(1, True, str(folder)), None, "cls", -1).double().eval()
    with torch.no_grad():
        found = text.states(Padded(ids, mask, mask))
    for row, expected in enumerate(theirs(kind, folder, output_hidden_states=True)):
        for ours, own in zip(found, expected.hidden_states if expected else (), strict=False):
            # float64 here and there: what is left is the order of sums
            torch.testing.assert_close(ours[row, mask[row]], own[0], atol=1e-10, rtol=1e-10)
    assert all(state.isfinite().all() for state in found)


def test_padding_is_the_models_own(model):
    """What a batch of transformers' tokenizer would hold there, and not the token 0, which is RoBERTa's <s>."""
    kind, folder = model
    ids, mask = batch(kind)
    theirs = transformers_module().AutoModel.from_pretrained(folder).eval()
    encoder = pretrained(str(folder)).eval()
    with torch.no_grad():
        expected = theirs.embeddings(input_ids=torch.where(mask, ids, SPECIAL[kind][2]))
        torch.testing.assert_close(encoder.embed(ids, mask), expected)


def test_a_saved_encoder_is_one_of_transformers(model, tmp_path):
    kind, folder = model
    encoder = pretrained(str(folder)).eval()
    encoder.save(tmp_path, str(folder))
    ids, mask = batch(kind)
    again = transformers_module().AutoModel.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        found = encoder.run(encoder.embed(ids[:1], mask[:1]), mask[:1], 0, 3)[-1]
        torch.testing.assert_close(found, again(ids[:1]).last_hidden_state)


def test_cls_attention_is_the_eager_map(model):
    """The first row of the last layer's map, the mean over heads, from the fused kernels' inputs."""
    kind, folder = model
    ids, mask = batch(kind)
    encoder = pretrained(str(folder)).double().eval()
    if kind == "deberta-v2":
        with pytest.raises(InvalidOption, match="not available"):
            encoder.cls_attention(encoder.embed(ids, mask), mask)
        return
    with torch.no_grad():
        hidden = encoder.run(encoder.embed(ids, mask), mask, 0, 2)[-1]
        found = encoder.cls_attention(hidden, mask)
    for row, expected in enumerate(theirs(kind, folder, output_attentions=True)):
        if expected:
            own = expected.attentions[-1][0, :, 0].mean(dim=0)
            torch.testing.assert_close(found[row, mask[row]], own, atol=1e-10, rtol=0)
            assert not found[row, ~mask[row]].any()
            assert row or own.max() > 1.5 / len(own)  # there is something to agree on
    assert found.isfinite().all()


def test_attention_learns_through_queries_and_keys(model):
    kind, folder = model
    if kind == "deberta-v2":
        pytest.skip("its attention is not available")
    ids, mask = batch(kind)
    encoder = pretrained(str(folder))
    encoder.cls_attention(encoder.embed(ids, mask), mask)[:, 1].sum().backward()
    own = encoder.layers[-1].attention.self
    assert own.query.weight.grad.any()
    assert own.key.weight.grad.any()


def test_all_positions_can_be_used_and_no_more(model):
    kind, folder = model
    text = TextEncoder("x", InputSpec(1, True, str(folder)), None, "mean", -1).double().eval()
    assert text.encoder.longest == (24 if kind in ("bert", "deberta-v2") else 22)
    mask = torch.ones(1, text.encoder.longest, dtype=torch.bool)
    ids = torch.full(mask.shape, 7)
    with torch.no_grad():
        expected = (
            transformers_module().AutoModel.from_pretrained(folder).double().eval()(ids).last_hidden_state.mean(dim=1)
        )
        torch.testing.assert_close(text(Padded(ids, mask, mask)), expected)


def test_a_run_keeps_its_kind(model):
    kind, folder = model
    original = pretrained(str(folder)).eval()
    again = untrained(original.config_text()).eval()
    again.load_state_dict(original.state_dict())
    ids, mask = batch(kind)
    with torch.no_grad():
        one, other = (x.run(x.embed(ids, mask), mask, 0, 3)[-1] for x in (original, again))
    assert torch.equal(one, other)
    assert type(again.layers[0]) is type(original.layers[0])
