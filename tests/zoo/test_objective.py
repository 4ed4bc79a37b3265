"""The losses of classes against torch's and against the equation of the focal loss."""

import math

import pytest
import torch
import torch.nn.functional as F

from featzoo.zoo.nn.losses import absolute_error
from featzoo.zoo.objective import Objective

WEIGHTS = (0.5, 1.0, 3.0)


@pytest.fixture
def scores():
    return torch.randn(7, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("weights", [(), WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_a_class_is_torchs_cross_entropy(scores, weights, smoothing):
    number = torch.tensor([0, 1, 2, 2, 1, 0, 2])
    (loss,) = Objective("class", weights, smoothing).terms(scores, number[:, None].float()).values()
    given = torch.tensor(weights) if weights else None
    torch.testing.assert_close(loss, F.cross_entropy(scores, number, given, label_smoothing=smoothing))


def test_the_focal_loss_is_its_equation(scores):
    number = [0, 1, 2, 2, 1, 0, 2]
    terms = []
    for row, n in zip(scores.tolist(), number, strict=True):
        share = math.exp(row[n]) / sum(map(math.exp, row))
        terms.append(-((1 - share) ** 2) * math.log(share))
    objective = Objective("class", focal=2.0)
    targets = torch.tensor(number)[:, None].float()
    assert float(objective.terms(scores, targets)["ce"]) == pytest.approx(sum(terms) / 7, rel=1e-5)
    assert objective.each(scores, targets).tolist() == pytest.approx(terms, rel=1e-4)


def test_the_focal_loss_of_several_classes_is_its_equation(scores):
    targets = (scores.roll(1, 0) > 0).float()
    share = scores.double().sigmoid()
    right = torch.where(targets > 0, share, 1 - share)
    expected = (-((1 - right) ** 1.5) * right.log()).mean()
    found = Objective("classes", focal=1.5).terms(scores, targets)["ce"]
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_the_loss_of_several_classes_is_torchs_binary_cross_entropy(scores):
    targets = (scores.roll(1, 0) > 0).float()
    found = Objective("classes", WEIGHTS, 0.2).terms(scores, targets)["ce"]
    smooth = targets * 0.8 + 0.1
    expected = F.binary_cross_entropy_with_logits(scores, smooth, pos_weight=torch.tensor(WEIGHTS))
    torch.testing.assert_close(found, expected)


def test_values_are_probabilities_of_classes_and_numbers_as_they_are(scores):
    assert Objective().values(scores) is scores
    torch.testing.assert_close(Objective("class").values(scores).sum(dim=1), torch.ones(7))
    assert torch.equal(Objective("classes").values(scores), scores.sigmoid())


def test_numbers_have_the_errors_that_a_head_names(scores):
    targets = scores.roll(1, 0)
    terms = Objective().terms(scores, targets, l1=absolute_error)
    assert list(terms) == ["l1"]
    assert float(terms["l1"]) == pytest.approx(float((scores - targets).abs().mean()))
    assert Objective().each(scores, targets).shape == (7,)
