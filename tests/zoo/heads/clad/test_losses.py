"""CLAD's loss terms against loops written from their formulas, and the properties that every term must have."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from featzoo.zoo.head import Padded
from featzoo.zoo.heads.clad.losses import (
    batch_relation,
    binned_attention,
    bins_divergence,
    label_loss,
    logit_divergence,
    representation_distance,
    text_keys,
)

SIZES = st.tuples(st.integers(1, 6), st.integers(1, 7), st.integers(0, 10_000))


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def chances(*shape, seed=0):
    return normal(*shape, seed=seed).softmax(dim=-1)


def coins(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.6


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


@given(SIZES, st.integers(1, 40))
def test_bins_are_a_loop_over_tokens(sizes, bins):
    batch, length, seed = sizes
    attention, where = chances(batch, length + 2, seed=seed), normal(batch, length + 2, seed=seed + 1).sigmoid()
    keys = coins(batch, length + 2, seed=seed + 2)
    shares, covered = binned_attention(attention, where, keys, bins)
    for b in range(batch):
        expected = [0.0] * bins
        for t in range(length + 2):
            if keys[b, t]:
                expected[min(int(float(where[b, t]) * bins), bins - 1)] += float(attention[b, t])
        whole = sum(expected)
        torch.testing.assert_close(shares[b].tolist(), [x / whole if whole else 0.0 for x in expected])
        assert covered[b].tolist() == [x > 0 for x in expected]


def test_the_end_of_the_text_is_in_the_last_bin():
    shares, _ = binned_attention(torch.ones(1, 2) / 2, torch.tensor([[0.0, 1.0]]), torch.ones(1, 2).bool(), 4)
    assert shares.tolist() == [[0.5, 0.0, 0.0, 0.5]]


@given(SIZES, st.sampled_from([0.5, 1.0, 3.0]))
def test_the_divergence_of_bins_is_its_formula(sizes, temperature):
    batch, bins, seed = sizes
    theirs, ours = chances(batch, bins, seed=seed), chances(batch, bins, seed=seed + 1)
    both = coins(batch, bins, seed=seed + 2)
    found = bins_divergence(ours, theirs, both, temperature)
    for b in range(batch):
        kept = [m for m in range(bins) if both[b, m]]

        def shares(side, row=b, kept=kept):
            inside = [float(side[row, m]) for m in kept]
            raised = [(x / sum(inside) + 1e-6) ** (1 / temperature) for x in inside]
            return [x / sum(raised) for x in raised]

        expected = kl(shares(theirs), shares(ours)) if kept else 0.0
        assert float(found[b]) == pytest.approx(expected, abs=1e-12)


@given(SIZES, st.sampled_from([0.5, 1.0, 2.0]))
def test_the_relation_of_a_batch_is_its_formula(sizes, temperature):
    batch, width, seed = sizes
    theirs, ours = normal(batch, width + 2, seed=seed), normal(batch, width, seed=seed + 1)
    present = coins(batch, seed=seed + 2)
    found = batch_relation(ours, theirs, present, temperature)

    def row(side, i, others):
        scores = [float(side[i] @ side[j]) / (math.sqrt(side.shape[1]) * temperature) for j in others]
        return [math.exp(s - max(scores)) / sum(math.exp(x - max(scores)) for x in scores) for s in scores]

    for i in range(batch):
        others = [j for j in range(batch) if j != i and present[j]] if present[i] else []
        expected = kl(row(theirs, i, others), row(ours, i, others)) if others else 0.0
        assert float(found[i]) == pytest.approx(expected, abs=1e-10)


@given(SIZES, st.sampled_from([1.0, 2.0, 4.0]))
def test_logits_are_binary_cross_entropy_less_its_floor(sizes, t):
    batch, targets, seed = sizes
    ours, theirs = normal(batch, targets, seed=seed) * 5, normal(batch, targets, seed=seed + 1) * 5
    soft = (theirs / t).sigmoid()

    def cross(logits):
        return F.binary_cross_entropy_with_logits(logits / t, soft, reduction="none").mean(dim=1) * t**2

    torch.testing.assert_close(logit_divergence(ours, theirs, t), cross(ours) - cross(theirs))
    ours.requires_grad_()
    (mine,) = torch.autograd.grad(logit_divergence(ours, theirs, t).sum(), ours)
    (plain,) = torch.autograd.grad(cross(ours).sum(), ours)
    torch.testing.assert_close(mine, plain)


def test_the_label_loss_is_the_weighted_cross_entropy():
    logits, targets = normal(4, 3), (normal(4, 3, seed=1) > 0).double()
    weight = normal(4, 3, seed=2).exp()
    for row in range(4):
        p = logits[row].sigmoid().tolist()
        each = [-math.log(x if y else 1 - x) for x, y in zip(p, targets[row].tolist(), strict=True)]
        assert float(label_loss(logits, targets)[row]) == pytest.approx(sum(each) / 3)
        weighted = sum(x * w for x, w in zip(each, weight[row].tolist(), strict=True)) / 3
        assert float(label_loss(logits, targets, weight)[row]) == pytest.approx(weighted)


def terms(student, teacher, present, both, t):
    """Every term that compares two sides, from (B, D) each."""
    return {
        "bins": bins_divergence(student.softmax(dim=1), teacher.softmax(dim=1), both, t),
        "relation": batch_relation(student, teacher, present, t),
        "representation": representation_distance(student, teacher),
        "logits": logit_divergence(student, teacher, t),
    }


@settings(max_examples=50)
@given(SIZES, st.sampled_from([0.5, 1.0, 3.0]), st.sampled_from([0.01, 1.0, 100.0]))
def test_terms_are_never_negative_and_0_for_equal_sides(sizes, temperature, scale):
    batch, width, seed = sizes
    ours, theirs = normal(batch, width, seed=seed) * scale, normal(batch, width, seed=seed + 1) * scale
    present, both = coins(batch, seed=seed), coins(batch, width, seed=seed)
    for name, values in terms(ours, theirs, present, both, temperature).items():
        # float64 sums of terms up to the logits' size
        assert (values >= -1e-10 * max(1.0, scale)).all(), name
        assert values.isfinite().all(), name
    for name, values in terms(theirs, theirs, present, both, temperature).items():
        torch.testing.assert_close(values, torch.zeros_like(values), atol=1e-12, rtol=0, msg=name)


def test_terms_are_positive_for_different_sides():
    ours, theirs = normal(4, 3), normal(4, 3, seed=1)
    found = terms(ours, theirs, torch.ones(4).bool(), torch.ones(4, 3).bool(), 1.0)
    assert all((values > 1e-3).all() for values in found.values())


def test_the_teacher_gets_no_gradient_and_the_student_does():
    ours, theirs = normal(4, 3).requires_grad_(), normal(4, 3, seed=1).requires_grad_()
    for name, values in terms(ours, theirs, torch.ones(4).bool(), torch.ones(4, 3).bool(), 2.0).items():
        mine, other = torch.autograd.grad(values.sum(), [ours, theirs], allow_unused=True)
        assert other is None or not other.any(), name
        assert mine.isfinite().all(), name
        assert mine.any(), name


def test_padding_and_absent_rows_change_nothing():
    attention, where = chances(2, 5), normal(2, 5, seed=1).sigmoid()
    keys = torch.tensor([[False, True, True, True, False], [False, True, True, False, False]])
    plain = binned_attention(attention, where, keys, 8)
    more = [F.pad(x, (0, 3), value=fill) for x, fill in ((attention, 0.3), (where, 0.9), (keys, False))]
    for one, other in zip(plain, binned_attention(*more, 8), strict=True):
        torch.testing.assert_close(one, other)
    ours, theirs, present = normal(5, 3), normal(5, 3, seed=1), torch.tensor([True, True, False, True, True])
    found = batch_relation(ours, theirs, present)
    torch.testing.assert_close(found[present], batch_relation(ours[present], theirs[present], torch.ones(4).bool()))
    assert found[2] == 0


def test_sides_without_common_bins_give_0_and_finite_gradients():
    ours = normal(3, 4).requires_grad_()
    none = torch.zeros(3, 4).bool()
    for values in (
        bins_divergence(ours.softmax(dim=1), chances(3, 4), none),
        batch_relation(ours, normal(3, 4, seed=1), none[:, 0]),
        bins_divergence(ours * 0, chances(3, 4), ~none) * 0,
    ):
        assert not values.any()
        (gradient,) = torch.autograd.grad(values.sum(), ours)
        assert gradient.isfinite().all()


def test_a_bin_with_attention_on_one_side_only_gives_a_finite_divergence():
    """p_S is 1e-6 there: about log 1e6 = 13.8."""
    ours, theirs = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    found = float(bins_divergence(ours, theirs, torch.ones(1, 2).bool()))
    assert found == pytest.approx(math.log(1e6), abs=1e-3)


def minilm_attention(theirs, ours):
    """MiniLM's L_AT = 1/(A_h |x|) sum over heads and queries of KL(A^T || A^S), by loops."""
    heads, length = theirs.shape[:2]
    total = sum(kl(theirs[a, t].tolist(), ours[a, t].tolist()) for a in range(heads) for t in range(length))
    return total / (heads * length)


def test_with_one_token_a_bin_it_is_minilms_term():
    """Where both sides have the same tokens, each row of attention over bins is a row of MiniLM's sum (but 1e-6)."""
    heads, length = 3, 6
    theirs, ours = chances(heads, length, length), chances(heads, length, length, seed=1)
    where = ((torch.arange(length) + 0.5) / length).expand(heads * length, length)
    keys = torch.ones_like(where).bool()
    sides = [binned_attention(side.reshape(-1, length), where, keys, length)[0] for side in (ours, theirs)]
    found = bins_divergence(*sides, keys)
    # (A_h |x|) rows each smoothed by 1e-6 a bin
    assert float(found.mean()) == pytest.approx(minilm_attention(theirs, ours), rel=1e-4)


def test_with_the_diagonal_it_would_be_minilms_relation():
    """MiniLM's L_VR, KL of softmax(V V^T / sqrt(d)) over tokens, on vectors whose product with themselves is -inf.

    A loop over V V^T / sqrt(d) with the diagonal struck out is L_VR of one head whose tokens are the batch.
    """
    theirs, ours = normal(5, 8), normal(5, 4, seed=1)

    def relation(v):
        scores = v @ v.T / math.sqrt(v.shape[1])
        scores.fill_diagonal_(-math.inf)
        return scores.softmax(dim=1)[None]

    expected = minilm_attention(relation(theirs), relation(ours))
    assert float(batch_relation(ours, theirs, torch.ones(5).bool()).mean()) == pytest.approx(expected, rel=1e-9)


def test_the_representation_is_tinyberts_hidden_loss():
    """TinyBERT's L_hidn = MSE(H_S W, H_T)."""
    ours, theirs, projection = normal(4, 3), normal(4, 5, seed=1), normal(3, 5, seed=2)
    expected = F.mse_loss(ours @ projection, theirs)
    torch.testing.assert_close(representation_distance(ours @ projection, theirs).mean(), expected)


def test_keys_leave_out_special_tokens_padding_and_what_a_cut_has_moved():
    """Ids cut to 4 keep [CLS], two tokens and [SEP]; positions cut to 4 keep [CLS] and three tokens."""
    mask = torch.tensor([[True, True, True, True], [True, True, True, False]])
    observed = torch.tensor([[False, True, True, True], [False, True, False, False]])[:, :, None]
    values = torch.tensor([[0.0, 0.1, 0.2, 0.3], [0.0, 0.5, 0.0, 0.0]])[:, :, None]
    where, keys = text_keys(mask, Padded(values, mask, observed))
    assert keys.tolist() == [[False, True, True, False], [False, True, False, False]]
    torch.testing.assert_close(where, values[:, :, 0])
    wider = Padded(F.pad(values, (0, 0, 0, 2)), F.pad(mask, (0, 2)), F.pad(observed, (0, 0, 0, 2)))
    assert torch.equal(text_keys(mask, wider)[1], keys)
    assert torch.equal(text_keys(F.pad(mask, (0, 2)), Padded(values, mask, observed))[1], F.pad(keys, (0, 2)))
