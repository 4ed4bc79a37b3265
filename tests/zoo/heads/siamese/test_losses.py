"""Bell and multi-similarity: golden values, pytorch-metric-learning where it is installed, naive loops everywhere."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from featzoo.zoo.heads.siamese.losses import MultiSimilarity, bell_loss, trait_classes
from featzoo.zoo.nn.losses import absolute_error
from zoo.oracles import h

LABELS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3])
SINGLETON = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 9])


def embeddings():
    return torch.from_numpy(h(12, 8, 0))


def wave(n, d, a, b, c):
    i, j = np.arange(n)[:, None], np.arange(d)[None, :]
    return torch.from_numpy((np.sin(c + a * i + b * j) + 1) / 2)


def test_the_bell_loss_gives_the_golden_values():
    """Derived in NumPy from the formulas; 1e-8 leaves room for the order of summation only."""
    pred, truth = wave(6, 5, 7.1, 1.3, 1.0), wave(6, 5, 3.3, 0.9, 0.4)
    mae, mse, bell = absolute_error(pred, truth), (pred - truth).square().mean(), bell_loss(pred, truth)
    assert mae.item() == pytest.approx(0.41014342022184797, abs=1e-8)
    assert mse.item() == pytest.approx(0.25797780968647366, abs=1e-8)
    assert bell.item() == pytest.approx(0.47689194270091445, abs=1e-8)
    assert (mae + mse + bell).item() == pytest.approx(1.145013172609236, abs=1e-8)
    # 32 bit keeps its digits: 1 - exp of so small a number would not.
    assert bell_loss(pred.float(), truth.float()).item() == pytest.approx(0.47689194270091445, rel=1e-6)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20))
def test_bell_on_unit_targets_is_a_scaled_squared_error(pairs):
    pred, truth = torch.tensor(pairs, dtype=torch.float64).T
    squared = (pred - truth).square().mean().item()
    low, high = 300 * -math.expm1(-1 / 162), 300 / 162  # its chord and its tangent
    assert low * squared - 1e-12 <= bell_loss(pred, truth).item() <= high * squared + 1e-12
    assert low / high > 0.996


def test_bell_is_a_bell_when_errors_reach_its_width():
    far = bell_loss(torch.tensor([100.0]), torch.tensor([0.0]))
    assert far.item() == pytest.approx(300.0)
    assert bell_loss(torch.tensor([2.0]), torch.tensor([0.0]), 1.0, 1.0).item() == pytest.approx(1 - math.exp(-2))


# Values of pytorch-metric-learning 2.9.0, derived again in NumPy; mining at 0.1 where there is a margin.
@pytest.mark.parametrize(
    ("labels", "beta", "base", "epsilon", "value"),
    [
        (LABELS, 50, 0.5, None, 1.062942284764856),
        (LABELS, 50, 0.5, 0.1, 1.0629422847648249),
        (LABELS, 40, 0.5, None, 1.0642628350123404),
        (LABELS, 40, 0.5, 0.1, 1.0642628350054653),
        (LABELS, 50, 1.0, None, 1.4904253977567834),
        (SINGLETON, 50, 0.5, 0.1, 0.9871521176573848),
        (SINGLETON, 50, 0.5, None, 0.9871754122717696),
    ],
)
def test_golden_values_with_every_row_an_anchor(labels, beta, base, epsilon, value):
    found = MultiSimilarity("all", beta=beta, base=base, epsilon=epsilon)(embeddings(), labels)
    assert found.item() == pytest.approx(value, abs=1e-8)


def test_golden_values_with_extreme_anchors():
    found = MultiSimilarity("extreme", base=0.5)(embeddings(), LABELS)
    assert found.item() == pytest.approx(0.5416551577927632, abs=1e-8)
    assert found.item() * 12 / 6 == pytest.approx(1.0833103155855264, abs=1e-8)  # over its 6 anchors


def test_the_only_difference_from_the_tensorflow_code_is_its_floor_of_the_similarity():
    """geonm/tf_ms_loss gives these for lambda 1 and .5."""
    for base, value in ((1.0, 1.29438979835033), (0.5, 0.8836129278796161)):
        slow = naive(embeddings(), LABELS[:, None], "all", 2, 50, base, 0.1, True, floor=True)
        assert slow == pytest.approx(value, abs=1e-8)


def naive(rows, classes, anchors, alpha, beta, base, epsilon, normalise, floor=False):
    """One pair at a time."""
    rows, classes = rows.double().numpy(), classes.numpy()
    if normalise:
        rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    means = []
    for labels in classes.T:
        total = 0.0
        for i, mine in enumerate(labels):
            if mine < 0 or (anchors == "extreme" and mine not in (0, 3)):
                continue
            others = [k for k in range(len(rows)) if k != i and labels[k] >= 0]
            near = [max(0.0, rows[i] @ rows[k]) if floor else rows[i] @ rows[k] for k in others]
            pos = [s for s, k in zip(near, others, strict=True) if labels[k] == mine]
            neg = [s for s, k in zip(near, others, strict=True) if labels[k] != mine]
            if epsilon is not None:
                hardest, easiest = max(neg, default=-math.inf), min(pos, default=math.inf)
                pos = [s for s in pos if s - epsilon < hardest]
                neg = [s for s in neg if s + epsilon > easiest]
            total += math.log1p(sum(math.exp(-alpha * (s - base)) for s in pos)) / alpha
            total += math.log1p(sum(math.exp(beta * (s - base)) for s in neg)) / beta
        means.append(total / max(1, (labels >= 0).sum()))
    return float(np.mean(means))


@st.composite
def cases(draw):
    n, traits = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    seed = draw(st.integers(0, 10_000))
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    classes = torch.randint(-1, 4, (n, traits), generator=generator)
    return rows, classes


@settings(deadline=None, max_examples=60)
@given(
    cases(), st.sampled_from(["extreme", "all"]), st.sampled_from([None, 0.0, 0.1]), st.booleans(),
    st.sampled_from([(2.0, 50.0, 1.0), (2.0, 40.0, 0.5), (1.0, 3.0, 0.0)]),
)  # fmt: skip
def test_equal_to_one_pair_at_a_time(case, anchors, epsilon, normalise, scales):
    rows, classes = case
    rows.requires_grad_()
    found = MultiSimilarity(anchors, *scales, epsilon, normalise)(rows, classes)
    slow = naive(rows.detach(), classes, anchors, *scales, epsilon, normalise)
    assert found.item() == pytest.approx(slow, abs=1e-8, rel=1e-10)
    found.backward()
    assert torch.isfinite(rows.grad).all()
    # Alone, rows without a class have no part.
    assert all(rows.grad[i].abs().max() == 0 for i in range(len(rows)) if (classes[i] < 0).all())


@pytest.mark.parametrize("epsilon", [None, 0.1])
def test_equal_to_pytorch_metric_learning(epsilon):
    """It takes one trait, every row an anchor, and cosines; gradients included."""
    pytest.importorskip("pytorch_metric_learning", reason="pip install pytorch-metric-learning==2.9.0")
    from pytorch_metric_learning.losses import MultiSimilarityLoss
    from pytorch_metric_learning.miners import MultiSimilarityMiner

    generator = torch.Generator().manual_seed(3)
    for _ in range(5):
        rows = torch.randn(30, 6, generator=generator, dtype=torch.float64, requires_grad=True)
        classes = torch.randint(0, 4, (30, 3), generator=generator)
        loss, miner = MultiSimilarityLoss(2, 50, 1.0), MultiSimilarityMiner(epsilon or 0.0)
        pairs = [None if epsilon is None else miner(rows, one) for one in classes.T]
        theirs = torch.stack([loss(rows, one, of) for one, of in zip(classes.T, pairs, strict=True)]).mean()
        ours = MultiSimilarity("all", epsilon=epsilon)(rows, classes)
        # Both are in 64 bit; only the order of sums differs.
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=1e-10)
        (wanted,), (given_,) = torch.autograd.grad(theirs, rows), torch.autograd.grad(ours, rows)
        torch.testing.assert_close(given_, wanted, atol=1e-10, rtol=1e-8)


def test_traits_are_averaged_and_the_order_of_rows_does_not_matter():
    rows, classes = embeddings(), torch.stack([LABELS, LABELS.flip(0), LABELS.roll(2)], dim=1)
    together = MultiSimilarity()(rows, classes)
    each = [MultiSimilarity()(rows, classes[:, j]) for j in range(3)]
    torch.testing.assert_close(together, torch.stack(each).mean(), atol=1e-12, rtol=1e-12)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(MultiSimilarity()(rows[order], classes[order]), together, atol=1e-12, rtol=1e-12)


def test_dot_products_as_large_as_they_come_do_not_overflow():
    rows = (1e3 * embeddings()).float().requires_grad_()
    loss = MultiSimilarity("all", normalise=False)(rows, LABELS)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(rows.grad).all()


def test_classes_follow_train_mean_and_deviation():
    mean, std = torch.tensor([0.5, 0.25]), torch.tensor([0.125, 0.25])
    targets = torch.tensor([[0.0, 0.0], [0.375, 0.125], [0.5, 0.25], [0.625, 0.5], [1.0, 1.0]])
    # Each class begins at its bound: 0.375 is C2, 0.5 is C3, 0.625 is C4.
    assert trait_classes(targets, mean, std).tolist() == [[0, 1], [1, 1], [2, 2], [3, 3], [3, 3]]


@pytest.mark.parametrize("base", [1.0, 0.5])
def test_identical_embeddings_by_hand(base):
    """Every pair's cosine is 1: 6 anchors of 12 rows, each with 2 positives and 9 negatives."""
    pull = math.log1p(2 * math.exp(-2 * (1 - base))) / 2
    push = math.log1p(9 * math.exp(50 * (1 - base))) / 50
    rows = torch.ones(12, 4, dtype=torch.float64)
    assert MultiSimilarity(base=base)(rows, LABELS).item() == pytest.approx((pull + push) / 2, abs=1e-12)


def test_it_separates_the_classes_of_one_trait():
    """Descending it ends where no pair is left: each anchor's own class is nearer than any other, by the margin."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(24, 8, generator=generator).requires_grad_()
    classes = torch.arange(4).repeat(6)
    descent = torch.optim.Adam([rows], 0.05)
    for _ in range(300):
        descent.zero_grad()
        loss = MultiSimilarity(base=0.5)(rows, classes)
        loss.backward()
        descent.step()
    assert loss.item() == 0.0
    unit = torch.nn.functional.normalize(rows.detach(), dim=1)
    cosines, same = unit @ unit.T, classes[:, None] == classes
    for i in range(24):
        if classes[i] in (0, 3):
            assert cosines[i][same[i]].min() > cosines[i][~same[i]].max() + 0.1 - 1e-4
    inner = [i for i in range(24) if classes[i] not in (0, 3)]
    assert min(cosines[i][same[i]].min() for i in inner) < 0.5  # no anchors: nothing drew them together
