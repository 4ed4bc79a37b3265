"""The baselines' equations against nested loops, hand-computed numbers and closed forms; float64 unless said."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featzoo.zoo.head import Padded, make_head
from featzoo.zoo.heads.baselines.almt import HyperLayer
from featzoo.zoo.heads.baselines.almt import Options as AlmtOptions
from featzoo.zoo.heads.baselines.dlf_losses import label_margin, opposite, step_error
from featzoo.zoo.heads.baselines.feature_head import LastNet, MeanNet, onto
from featzoo.zoo.heads.baselines.mmim import gaussian_entropy, log_density
from featzoo.zoo.heads.baselines.mult import Layer, Options, Transformer, positions
from featzoo.zoo.heads.baselines.self_mm import unimodal_label
from featzoo.zoo.heads.baselines.tfn import tensor_fusion
from featzoo.zoo.input_spec import InputSpec
from featzoo.zoo.nn.layers import MaskedAttention, MaskedLSTM
from featzoo.zoo.nn.losses import central_moment_discrepancy, orthogonality, predictive_nce
from zoo.heads.test_baselines import made, split
from zoo.oracles import h, lstm

TIGHT = {"atol": 1e-10, "rtol": 1e-10}


def t(array):
    return torch.from_numpy(np.asarray(array, dtype=np.float64))


def test_tfn_is_the_outer_product_of_three_vectors():
    parts = [h(4, 3, 0.1), h(4, 2, 0.2), h(4, 5, 0.3)]
    found = tensor_fusion([t(p) for p in parts])
    for b in range(4):
        a, c, d = ([*p[b], 1.0] for p in parts)
        expected = [x * y * z for x in a for y in c for z in d]
        torch.testing.assert_close(found[b], t(expected), **TIGHT)


def test_lmf_is_the_linear_map_of_the_tensor_that_its_factors_make():
    widths = {"text": 3, "audio": 2, "vision": 4}
    inputs = {m: InputSpec(5) for m in widths}
    head = make_head("lmf", {"text_hidden": 4, "rank": 3, **widths}, inputs, 2).double()
    torch.nn.init.normal_(head.bias)
    parts = {m: t(h(6, width, 0.1 * width)) for m, width in widths.items()}
    w = {m: head.factors[m].detach().numpy() for m in widths}  # (R, D + 1, K)
    full = np.zeros((4, 3, 5, 2))
    for r, i, j, k, out in itertools.product(range(3), range(4), range(3), range(5), range(2)):
        full[i, j, k, out] += w["text"][r, i, out] * w["audio"][r, j, out] * w["vision"][r, k, out]
    tensor = tensor_fusion([parts[m] for m in ("text", "audio", "vision")])
    expected = tensor @ t(full.reshape(-1, 2)) + head.bias
    torch.testing.assert_close(head.fuse(parts), expected, **TIGHT)


def overlaps(values, steps):
    """Onto `steps` equal steps, number by number."""
    count = len(values)
    rows = []
    for i in range(steps):
        total, weight = np.zeros(values.shape[1]), 0.0
        for j in range(count):
            shared = min((i + 1) / steps, (j + 1) / count) - max(i / steps, j / count)
            if shared > 0:
                total, weight = total + shared * values[j], weight + shared
        rows.append(total / weight)
    return np.array(rows)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=4))
def test_averaging_onto_another_clock_is_its_loop(lengths):
    longest, clock_longest = max(1, *(s for s, _ in lengths), 1), max(c for _, c in lengths)
    values = h(len(lengths) * longest, 2, 0.5).reshape(len(lengths), longest, 2)
    mask = np.arange(longest)[None] < np.array([s for s, _ in lengths])[:, None]
    clock = np.arange(clock_longest)[None] < np.array([c for _, c in lengths])[:, None]
    found = onto(t(values), torch.from_numpy(mask), torch.from_numpy(clock)).numpy()
    for b, (steps, wanted) in enumerate(lengths):
        expected = overlaps(values[b, :steps], wanted) if steps else np.zeros((wanted, 2))
        np.testing.assert_allclose(found[b, :wanted], expected, atol=1e-12)
        assert not found[b, wanted:].any()
        if steps == wanted:  # word-aligned features stay what they are
            np.testing.assert_allclose(found[b, :wanted], values[b, :steps], atol=1e-12)
        if steps == 1:
            np.testing.assert_allclose(found[b, :wanted], np.repeat(values[b, :1], wanted, axis=0), atol=1e-12)


def test_lstm_layers_and_directions():
    """Stacked: the second layer reads the first's outputs. Both ways: the second reads the reversed sequence."""
    values, mask = h(10, 3, 0.2).reshape(2, 5, 3), np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=bool)
    stacked = MaskedLSTM(3, 2, layers=2).double()
    both = MaskedLSTM(3, 2, both_ways=True).double()
    arrays = [{k: p.detach().numpy() for k, p in made.lstm.named_parameters()} for made in (stacked, both)]
    upper = {f"{k}_l0": arrays[0][f"{k}_l1"] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    back = {f"{k}_l0": arrays[1][f"{k}_l0_reverse"] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    with torch.no_grad():
        steps, last = stacked(t(values), torch.from_numpy(mask))
        two_ways, ends = both(t(values), torch.from_numpy(mask))
    for b, length in enumerate((5, 3)):
        expected = lstm(upper, lstm(arrays[0], values[b, :length]))
        np.testing.assert_allclose(steps[b, :length], expected, atol=1e-10)
        np.testing.assert_allclose(last[b], expected[-1], atol=1e-10)
        forth, reverse = lstm(arrays[1], values[b, :length]), lstm(back, values[b, :length][::-1])
        np.testing.assert_allclose(two_ways[b, :length], np.hstack([forth, reverse[::-1]]), atol=1e-10)
        np.testing.assert_allclose(ends[b], [*forth[-1], *reverse[-1]], atol=1e-10)


def test_small_networks_of_a_modality():
    values, mask = t(h(8, 3, 0.4).reshape(2, 4, 3)), torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0]]).bool()
    padded = Padded(values, mask, mask)
    mean, last = MeanNet(3, 5, 0.0).double(), LastNet(3, 4, 2, 0.0).double()
    x = values[0, :2].mean(dim=0)
    for layer in mean.layers:
        x = layer(x)
    torch.testing.assert_close(mean(padded), torch.stack([x, torch.zeros_like(x)]), **TIGHT)
    state = last.lstm.lstm(values[0, None, :2])[1][0][0, 0]
    expected = last.out.weight @ state + last.out.bias
    torch.testing.assert_close(last(padded), torch.stack([expected, torch.zeros_like(expected)]), **TIGHT)


def mha(module, query, source):
    """Multi-head attention of (T, D) over (S, D), a softmax at a time."""
    weight, bias = module.in_proj_weight.detach().numpy(), module.in_proj_bias.detach().numpy()
    d, heads = query.shape[1], module.num_heads
    q, k, v = (
        x @ weight[i * d : (i + 1) * d].T + bias[i * d : (i + 1) * d] for i, x in enumerate((query, source, source))
    )
    out = np.zeros((len(query), d))
    size = d // heads
    for n, i in itertools.product(range(heads), range(len(query))):
        part = slice(n * size, (n + 1) * size)
        scores = [math.exp(sum(q[i, part] * k[j, part]) / math.sqrt(size)) for j in range(len(source))]
        out[i, part] = sum(s * v[j, part] for j, s in enumerate(scores)) / sum(scores)
    return out @ module.out_proj.weight.detach().numpy().T + module.out_proj.bias.detach().numpy()


def noisy(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module.double().eval()


def test_mults_attention_is_the_softmax_over_true_steps():
    torch.manual_seed(0)
    attend = noisy(MaskedAttention(6, 2, 0.0))
    query, source = h(10, 6, 0.1).reshape(2, 5, 6), h(8, 6, 0.7).reshape(2, 4, 6)
    mask = torch.tensor([[1, 1, 1, 0], [0, 0, 0, 0]]).bool()
    with torch.no_grad():
        found = attend(t(query), t(source), mask[:, None])
    np.testing.assert_allclose(found[0], mha(attend.attention, query[0], source[0, :3]), atol=1e-10)
    assert not found[1].any()


def norm(layer, x):
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + layer.eps)
    return scaled * layer.weight.detach().numpy() + layer.bias.detach().numpy()


def test_mults_crossmodal_transformer_is_its_equations():
    """Z_0 = scaled target + positions; Z_i = f(LN(Z^)) + Z^ with Z^ = CM(LN(Z_i-1), LN(source)) + Z_i-1."""
    torch.manual_seed(0)
    options = Options(width=6, heads=2, layers=2, kernel=1)
    made_of = noisy(Transformer(6, 2, options))
    target, source = h(5, 6, 0.1), h(3, 6, 0.9)
    with torch.no_grad():
        found = made_of(t(target)[None], t(source)[None], torch.ones(1, 5).bool(), torch.ones(1, 3).bool())[0]
    z, read = (
        math.sqrt(6) * x + np.array([[sinusoid(i, k, 6) for k in range(6)] for i in range(len(x))])
        for x in (target, source)
    )
    for layer in made_of.layers:
        assert isinstance(layer, Layer)
        z = z + mha(layer.attention.attention, norm(layer.before, z), norm(layer.before, read))
        first, _, second = layer.network
        hidden = np.maximum(norm(layer.between, z) @ first.weight.detach().numpy().T + first.bias.detach().numpy(), 0)
        z = z + hidden @ second.weight.detach().numpy().T + second.bias.detach().numpy()
    # The positions are made in float32.
    np.testing.assert_allclose(found, norm(made_of.norm, z), atol=1e-5)


def sinusoid(step, column, width):
    half = (width + 1) // 2
    angle = step / 10000 ** ((column % half) / half)
    return math.sin(angle) if column < half else math.cos(angle)


@pytest.mark.parametrize("width", [5, 6])
def test_positions_are_sines_then_cosines(width):
    expected = [[sinusoid(i, k, width) for k in range(width)] for i in range(40)]
    np.testing.assert_allclose(positions(40, width), expected, atol=1e-5)  # float32 angles up to 40


def test_mults_self_attention_reads_what_the_layer_below_wrote():
    torch.manual_seed(0)
    made_of = noisy(Transformer(6, 2, Options(width=6, heads=2)))
    x = t(h(4, 6, 0.2))[None]
    mask = torch.ones(1, 4).bool()
    with torch.no_grad():
        z = math.sqrt(6) * x + positions(4, 6).double()
        for layer in made_of.layers:
            z = layer(z, z, mask[:, None])
        torch.testing.assert_close(made_of(x, x, mask, mask), made_of.norm(z), **TIGHT)


@pytest.mark.parametrize("width", [5, 6])
def test_released_positions_count_from_1_and_end_at_a_rate_of_a_ten_thousandth(width):
    half = width // 2
    found = positions(7, width, released=True)
    for step, row in enumerate(found.tolist(), start=1):
        angles = [step * 10000 ** (-i / (half - 1)) for i in range(half)]
        expected = [*map(math.sin, angles), *map(math.cos, angles), *[0.0] * (width % 2)]
        assert row == pytest.approx(expected, abs=1e-6)


def test_without_positions_the_order_of_a_source_does_not_matter():
    torch.manual_seed(0)
    target, source, mask = t(h(4, 6, 0.2))[None], t(h(3, 6, 0.5))[None], torch.ones(1, 4).bool()
    for kind in ("ours", "released", "none"):
        made_of = noisy(Transformer(6, 1, Options(width=6, heads=2, positions=kind)))
        with torch.no_grad():
            found, turned = (made_of(target, steps, mask, mask[:, :3]) for steps in (source, source.flip(1)))
        assert torch.allclose(found, turned) is (kind == "none")


def test_a_causal_step_depends_on_no_later_step_of_its_source():
    """Of true lengths 5 and 3, step i reads the source up to step i + 2; padding changes nothing."""
    torch.manual_seed(0)
    made_of = noisy(Transformer(6, 1, Options(width=6, heads=2, causal=True)))
    target = t(h(3, 6, 0.2))[None]
    source = t(h(6, 6, 0.5))[None].requires_grad_()
    own, mask = torch.ones(1, 3).bool(), torch.tensor([[True] * 5 + [False]])
    for step in range(3):
        (reached,) = torch.autograd.grad(made_of(target, source, own, mask)[0, step].square().sum(), source)
        assert [bool(row.any()) for row in reached[0]] == [k <= step + 2 and k < 5 for k in range(6)]


def test_mfn_step_by_step():
    """One clip, equations 1 to 9 with NumPy, aligned inputs of three steps."""
    options = {"text": 3, "audio": 2, "vision": 2, "memory": 4, "attention": 5, "update": 5, "retain": 5, "write": 5}
    torch.manual_seed(0)
    widths = {"text": 4, "audio": 3, "vision": 2}
    head = noisy(make_head("mfn", options, {m: InputSpec(w) for m, w in widths.items()}, 1))
    values = {m: h(3, w, 0.1 * w) for m, w in widths.items()}
    p = {k: v.detach().numpy() for k, v in head.named_parameters()}

    def net(name, x):
        hidden = np.maximum(p[f"{name}.0.weight"] @ x + p[f"{name}.0.bias"], 0)
        return p[f"{name}.3.weight"] @ hidden + p[f"{name}.3.bias"]

    def gate(x):
        return 1 / (1 + np.exp(-x))

    cell = {m: np.zeros(options[m]) for m in widths}
    hidden = {m: np.zeros(options[m]) for m in widths}
    memory = np.zeros(4)
    for step in range(3):
        before = np.concatenate([cell[m] for m in widths])
        for m in widths:
            c = f"cells.{m}."
            gates = p[c + "weight_ih"] @ values[m][step] + p[c + "bias_ih"] + p[c + "bias_hh"]
            i, f, g, o = np.split(gates + p[c + "weight_hh"] @ hidden[m], 4)
            cell[m] = gate(f) * cell[m] + gate(i) * np.tanh(g)
            hidden[m] = gate(o) * np.tanh(cell[m])
        window = np.concatenate([before, *(cell[m] for m in widths)])
        weights = np.exp(net("attention", window))
        attended = weights / weights.sum() * window
        both = np.concatenate([attended, memory])
        proposed = np.tanh(net("update", attended))
        memory = gate(net("retain", both)) * memory + gate(net("write", both)) * proposed
    expected = net("out", np.concatenate([*(hidden[m] for m in widths), memory]))
    full = torch.ones(1, 3).bool()
    with torch.no_grad():
        found = head({m: Padded(t(v)[None], full, full) for m, v in values.items()})["prediction"]
    np.testing.assert_allclose(found[0], expected, atol=1e-10)


def test_misas_difference_loss_is_the_frobenius_norm_of_the_product():
    a, b = h(6, 3, 0.1), h(6, 4, 0.8)
    unit = []
    for x in (a, b):
        centred = [[x[i, k] - sum(x[:, k]) / 6 for k in range(x.shape[1])] for i in range(6)]
        unit.append([[v / math.sqrt(sum(w * w for w in row)) for v in row] for row in centred])
    squares = [sum(unit[0][n][i] * unit[1][n][j] for n in range(6)) ** 2 for i in range(3) for j in range(4)]
    assert float(orthogonality(t(a), t(b))) == pytest.approx(sum(squares) / 12, rel=1e-10)
    # The lengths of rows are constants in the gradient, as in the released code: numbers that are computed here once.
    moved, still = t(a).requires_grad_(), t(b)
    orthogonality(moved, still).backward()
    lengths = np.linalg.norm(a - a.mean(axis=0), axis=1)[:, None]
    other = np.array(unit[1])

    def overlap(x):
        return np.mean((((x - x.mean(axis=0)) / lengths).T @ other) ** 2)

    steps = [(np.eye(18)[k] * 1e-6).reshape(6, 3) for k in range(18)]
    slopes = np.array([(overlap(a + step) - overlap(a - step)) / 2e-6 for step in steps]).reshape(6, 3)
    np.testing.assert_allclose(moved.grad, slopes, atol=1e-8)
    # Orthogonal by construction: columns of a move only where those of b stand still.
    left, right = t([[1, 0], [-1, 0], [0, 0], [0, 0]]), t([[0, 0], [0, 0], [0, 1], [0, -1]])
    assert float(orthogonality(left, right)) == 0.0


def test_central_moment_discrepancy_is_its_sum():
    x, y = h(7, 3, 0.1) + 0.5, h(4, 3, 0.9) + 0.5
    means = [[sum(v[:, k]) / len(v) for k in range(3)] for v in (x, y)]
    expected = math.sqrt(sum((means[0][k] - means[1][k]) ** 2 for k in range(3)))
    for order in range(2, 6):
        moments = [[sum((v[:, k] - m[k]) ** order) / len(v) for k in range(3)] for v, m in zip((x, y), means)]  # noqa: B905
        expected += math.sqrt(sum((moments[0][k] - moments[1][k]) ** 2 for k in range(3)))
    assert float(central_moment_discrepancy(t(x), t(y))) == pytest.approx(expected, rel=1e-10)
    assert float(central_moment_discrepancy(t(x), t(x))) == 0.0
    assert float(central_moment_discrepancy(t(x), t(y)[:0])) == 0.0


def test_equal_samples_have_finite_gradients():
    """The norm of a zero vector has no derivative: it must give numbers all the same."""
    x = t(h(3, 2, 0.1)).requires_grad_()
    (central_moment_discrepancy(x, x.detach()) + orthogonality(x[:1], x[:1])).backward()
    assert torch.isfinite(x.grad).all()


def test_misas_terms_from_its_parts(tiny_bert):
    """Clips that lack a modality are in none of that modality's terms."""
    head = made("misa", tiny_bert)
    batch = split("misa", tiny_bert).batch(range(6))
    with torch.no_grad():
        out = head(batch.inputs)
        terms = head.losses(out, batch.targets, "main")
    rows = {"text": [0, 1, 2, 3, 4, 5], "audio": [0, 1, 3, 4, 5], "vision": [0, 2, 3, 4]}
    pairs = [("text", "audio"), ("text", "vision"), ("audio", "vision")]
    sim = [central_moment_discrepancy(out[f"shared_{a}"][rows[a]], out[f"shared_{b}"][rows[b]]) for a, b in pairs]
    diff = [orthogonality(out[f"private_{m}"][r], out[f"shared_{m}"][r]) for m, r in rows.items()]
    for a, b in pairs:
        both = sorted(set(rows[a]) & set(rows[b]))
        diff.append(orthogonality(out[f"private_{a}"][both], out[f"private_{b}"][both]))
    recon = [((out[f"whole_{m}"] - out[f"decoded_{m}"])[r] ** 2).mean() for m, r in rows.items()]
    expected = {
        "task": ((out["prediction"] - batch.targets) ** 2).mean(),
        "l_sim": 0.3 * sum(sim) / 3,
        "l_diff": 0.1 * sum(diff),
        "l_recon": sum(recon) / 3,
    }
    assert {k: float(v) for k, v in terms.items()} == pytest.approx({k: float(v) for k, v in expected.items()})


def test_self_mms_label_by_hand():
    """y_m = 1, alpha_s = 1.5, alpha_m = 0.5: scaled 3, shifted 2, their mean 2.5."""
    found = unimodal_label(t([1.0]), t([1.5]), t([0.5]))
    assert float(found) == pytest.approx(2.5)
    # The paper's other way of writing it: y_m + (alpha_s - alpha_m) / 2 * (y_m + alpha_m) / alpha_m.
    y, s, m = (t(h(5, 1, c)[:, 0]) for c in (0.1, 0.2, 0.3))
    torch.testing.assert_close(unimodal_label(y, s, m), y + (s - m) / 2 * (y + m) / m, **TIGHT)


def outputs_of(features, there=None):
    count = len(features["fusion"])
    found = {f"feature_{k}": torch.tensor(v, dtype=torch.float32) for k, v in features.items()}
    for k in ("fusion", "text", "audio", "vision"):
        found[f"prediction_{k}"] = torch.zeros(count, 1)
        found[f"there_{k}"] = torch.ones(count, dtype=torch.bool)
    found |= there or {}
    return found | {"prediction": torch.zeros(count, 1)}


def test_self_mms_labels_move_by_the_published_rule(tiny_bert):
    """Two clips, y = +1 and -1, features on a line: positive centre at 1, negative centre at -1.

    Second epoch: the first clip's fused feature is at 0.5 (distances 0.5 and 1.5: alpha_m = 2), its text at 0.6
    (0.4, 1.6: alpha_s = 3). New label = (1 * 3 / 2 + 1 + 3 - 2) / 2 = 1.75; with the momentum of epoch 2,
    1/3 * 1 + 2/3 * 1.75 = 1.5. Third epoch, same features but for the centres, which stand at 0.6 and -1 for the
    text and at 0.5 and -1 for the fusion: alpha is huge, the label is held at 3: 2/4 * 1.5 + 2/4 * 3 = 2.25.
    """
    head = made("self-mm", tiny_bert, text=1, audio=1, vision=1, fusion=1).train()
    head.prepare(torch.tensor([[1.0], [-1.0]]))
    start = {m: [[1.0], [-1.0]] for m in ("fusion", "text", "audio", "vision")}
    rows = torch.tensor([0, 1])
    targets = torch.tensor([[1.0], [-1.0]])
    head.see(rows)
    terms = head.losses(outputs_of(start), targets, "main")
    assert [float(terms[f"l_{m}"]) for m in ("text", "audio", "vision")] == [0.0, 0.0, 0.0]
    assert head.memory["label_text"].flatten().tolist() == [1.0, -1.0]
    moved = start | {"text": [[0.6], [-1.0]], "fusion": [[0.5], [-1.0]]}
    missing = {"there_audio": torch.tensor([False, True])}
    head.losses(outputs_of(moved, missing), targets, "main")
    assert head.memory["label_text"][0].item() == pytest.approx(1.5, rel=1e-5)
    assert head.memory["label_audio"][0].item() == 1.0  # not there in this epoch
    assert head.memory["feature_audio"][0].item() == 1.0
    terms = head.losses(outputs_of(moved), targets, "main")
    # The term of this step is that of the label before it moves: tanh |1.5 - 1| * |0 - 1.5|, over two clips.
    other = head.memory["label_text"][1].item()
    assert head.memory["label_text"][0].item() == pytest.approx(2.25, rel=1e-5)
    assert math.isfinite(other)
    head.eval()
    before = {k: v.clone() for k, v in head.memory.items()}
    head.losses(outputs_of(moved), targets, "main")
    assert all(torch.equal(v, head.memory[k]) for k, v in before.items())


def test_self_mm_weighs_a_task_by_how_far_its_label_is(tiny_bert):
    head = made("self-mm", tiny_bert).train()
    head.prepare(torch.tensor([[1.0], [-1.0], [2.0]]))
    head.memory["label_text"] = torch.tensor([[1.5], [-1.0], [-1.0]])
    head.see(torch.tensor([2, 0]))
    with torch.no_grad():
        out = head(split("self-mm", tiny_bert).batch([0, 1]).inputs)
        terms = head.losses(out, torch.tensor([[2.0], [1.0]]), "main")
    guess = out["prediction_text"].flatten().tolist()
    expected = (math.tanh(3.0) * abs(guess[0] + 1.0) + math.tanh(0.5) * abs(guess[1] - 1.5)) / 2
    assert float(terms["l_text"]) == pytest.approx(expected, rel=1e-5)


def test_self_mm_without_negative_clips_keeps_its_labels(tiny_bert):
    head = made("self-mm", tiny_bert, text=1, audio=1, vision=1, fusion=1).train()
    head.prepare(torch.tensor([[1.0], [2.0]]))
    head.see(torch.tensor([0, 1]))
    for _ in range(3):
        features = {m: [[0.3], [0.9]] for m in ("fusion", "text", "audio", "vision")}
        terms = head.losses(outputs_of(features), torch.tensor([[1.0], [2.0]]), "main")
    assert head.memory["label_text"].flatten().tolist() == [1.0, 2.0]
    assert all(torch.isfinite(term) for term in terms.values())


def test_info_nce_in_one_direction_is_its_loop():
    scores = h(5, 5, 0.3) * 4
    total = 0.0
    for i in range(5):
        total -= math.log(math.exp(scores[i, i]) / sum(math.exp(scores[i, j]) for j in range(5)))
    assert float(predictive_nce(t(scores))) == pytest.approx(total / 5, rel=1e-10)
    assert float(predictive_nce(t(scores[:1, :1]))) == 0.0
    assert float(predictive_nce(t(scores[:0, :0]))) == 0.0


def test_mmims_scores_are_cosines_of_what_the_fusion_predicts(tiny_bert):
    head = made("mmim", tiny_bert)
    inputs = split("mmim", tiny_bert).batch(range(6)).inputs
    with torch.no_grad():
        out = head(inputs)
        vector = head.parts["audio"](inputs["audio"])
        parts = [head.encoder(inputs["text"]), vector, head.parts["vision"](inputs["vision"])]
        fused = head.fuse(torch.cat(parts, dim=1))
    assert out["there_audio"].tolist() == [True, True, False, True, True, True]  # clip 2 has no sound
    guessed = (fused @ head.predict["audio"].weight.T + head.predict["audio"].bias).detach()
    for i in (0, 1, 3, 4, 5):
        for j in (0, 1, 3, 4, 5):
            cosine = float(guessed[i] @ vector[j] / guessed[i].norm() / vector[j].norm())
            assert float(out["scores_audio"][i, j]) == pytest.approx(cosine, abs=1e-5)


def test_gaussians_are_those_of_torch():
    values, mean, spread = t(h(4, 3, 0.1)), t(h(4, 3, 0.2)), t(h(4, 3, 0.3))
    expected = torch.distributions.Normal(mean, (spread / 2).exp()).log_prob(values).sum(dim=1)
    torch.testing.assert_close(log_density(values, mean, spread), expected, **TIGHT)
    samples = h(30, 4, 0.5)
    covariance = np.cov(samples.T, bias=True) + 1e-4 * np.eye(4)
    expected = torch.distributions.MultivariateNormal(torch.zeros(4).double(), t(covariance)).entropy()
    assert float(gaussian_entropy(t(samples))) == pytest.approx(float(expected), rel=1e-5)  # float32 inside
    assert float(gaussian_entropy(t(samples[:1]))) == 0.0
    assert math.isfinite(float(gaussian_entropy(t(samples[:2]))))
    for count in (0, 1, 2, 9):
        chosen = torch.arange(30) % 3 == 1
        chosen &= chosen.cumsum(0) <= count
        alone = float(gaussian_entropy(t(samples)[chosen]))
        assert float(gaussian_entropy(t(samples), chosen)) == pytest.approx(alone, rel=1e-5)


def test_mmims_q_learns_from_l_q_alone(tiny_bert):
    head = made("mmim", tiny_bert).train()
    batch = split("mmim", tiny_bert).batch(range(6))
    guess = {id(p) for p in head.guess.parameters()}
    for name, of_q in (("l_q", True), ("l_ba", False)):
        head.zero_grad()
        head.losses(head(batch.inputs), batch.targets, "main")[name].backward()
        reached = {id(p) for p in head.parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        assert reached
        assert reached <= guess if of_q else not reached & guess


def test_mmims_entropy_takes_the_last_batch_and_this_one(tiny_bert):
    head = made("mmim", tiny_bert, audio=8).train()
    values = [torch.from_numpy(h(6, 2, c)).float() for c in (0.1, 0.2, 0.3)]
    labels = torch.tensor([1.0, 2.0, -1.0, -2.0, 3.0, 0.0])
    positive, negative = [0, 1, 4], [2, 3]
    assert float(head._entropy("audio", values[0], labels)) == 0.0  # nothing to compare with yet
    head._entropy("audio", values[1], labels)
    found = float(head._entropy("audio", values[2], labels))
    expected = sum(gaussian_entropy(torch.cat([values[2][r], values[1][r]])) / 2 for r in (positive, negative))
    assert found == pytest.approx(float(expected), rel=1e-5)
    head.prepare(torch.zeros(1, 1))
    assert head.memory == {}


def test_almts_hyper_modality_layer_is_its_equation():
    """H + sum over audio and vision of softmax(Q K^T / sqrt(d_k)) V, head by head, all of layer norms; H normed too."""
    torch.manual_seed(0)
    layer = noisy(HyperLayer(AlmtOptions(width=6, heads=2, hyper_head_width=3)))
    text, hyper = h(4, 6, 0.1), h(4, 6, 0.5)
    tokens = {"audio": h(4, 6, 0.7), "vision": h(4, 6, 0.9)}
    with torch.no_grad():
        found = layer(t(text)[None], {m: t(x)[None] for m, x in tokens.items()}, t(hyper)[None])[0]
    query = norm(layer.norm_text, text) @ layer.query.weight.detach().numpy().T
    heard = np.zeros((4, 6))
    for m, x in tokens.items():
        key, value = (norm(layer.norms[m], x) @ part[m].weight.detach().numpy().T for part in (layer.key, layer.value))
        for head in (slice(0, 3), slice(3, 6)):
            scores = np.exp(query[:, head] @ key[:, head].T / math.sqrt(3))
            heard[:, head] += scores / scores.sum(axis=1, keepdims=True) @ value[:, head]
    out = layer.out[0]
    shift = heard @ out.weight.detach().numpy().T + out.bias.detach().numpy()
    np.testing.assert_allclose(found, norm(layer.norm_hyper, hyper) + shift, atol=1e-10)


def test_dlfs_margins_are_their_loop():
    """For each vector, over pairs of one with its label and one with another: max(0, 0.15 |apart| - cos + cos)."""
    vectors, labels = h(7, 4, 0.3), np.array([1.0, -2.0, 1.0, 0.4, -2.0, 1.0, 3.0])
    there = np.array([True, True, True, True, True, False, True])

    def cosine(a, b):
        return a @ b / math.sqrt((a @ a + 1e-8) * (b @ b + 1e-8))

    similar = np.array([[cosine(a, b) for b in vectors] for a in vectors])
    means = []
    for i in np.flatnonzero(there):
        others = [j for j in np.flatnonzero(there) if j != i]
        terms = [
            max(0.0, 0.15 * abs(labels[i] - labels[k]) - similar[i, j] + similar[i, k])
            for j in others if labels[j] == labels[i]
            for k in others if labels[k] != labels[i]
        ]  # fmt: skip
        means += [np.mean(terms)] if terms else []
    found = label_margin(t(vectors), t(labels)[:, None], torch.from_numpy(there))
    assert float(found) == pytest.approx(np.mean(means), rel=1e-12)
    assert float(label_margin(t(vectors), torch.ones(7, 1, dtype=torch.float64), torch.from_numpy(there))) == 0.0


def test_dlfs_opposite_parts_and_equal_sequences_are_pytorchs_losses_over_true_steps():
    a, b = h(6, 4, 0.1).reshape(2, 3, 4), h(6, 4, 0.9).reshape(2, 3, 4)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    flat_a, flat_b = t(a)[mask], t(b)[mask]
    expected = torch.nn.CosineEmbeddingLoss()(flat_a, flat_b, torch.tensor([-1]))
    torch.testing.assert_close(opposite(t(a), t(b), mask), expected, **TIGHT)
    torch.testing.assert_close(step_error(t(a), t(b), mask), torch.nn.MSELoss()(flat_a, flat_b), **TIGHT)
    assert float(opposite(t(a), t(b), torch.zeros(2, 3, dtype=torch.bool))) == 0.0
