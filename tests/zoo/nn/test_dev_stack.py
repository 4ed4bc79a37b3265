"""The stack of predictions that is fitted on dev."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from featzoo.zoo.nn.dev_stack import PRIOR, SMALL, DevStack, left_out, stack_weights


def drawn(n: int, parts: int, targets: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(n, targets))
    return truth[:, None] + rng.normal(size=(n, parts, targets)) * np.arange(1, parts + 1)[:, None], truth


def test_weights_equal_scikit_learns_ridge():
    predictions, truth = drawn(40, 3, 1)
    x, y = predictions[:, :, 0], truth[:, 0].copy()
    y[5] = np.nan
    known = ~np.isnan(y)
    x_known = x[known]
    penalty = SMALL * len(x_known) * (x_known - x_known.mean(axis=0)).var()
    model = Ridge(alpha=penalty).fit(x_known, y[known])
    mean, weight, centre = stack_weights(x, y)
    np.testing.assert_allclose(weight, model.coef_, rtol=1e-8)
    np.testing.assert_allclose((x - mean) @ weight + centre, model.predict(x), rtol=1e-8)


def test_a_penalty_draws_to_the_weights_at_the_start():
    predictions, truth = drawn(40, 3, 1)
    x, y, start = predictions[:, :, 0], truth[:, 0], np.array([1.0, 0.0, -0.5])
    model = Ridge(alpha=0.3 * len(x) * (x - x.mean(axis=0)).var()).fit(x, y - x @ start)
    np.testing.assert_allclose(stack_weights(x, y, 0.3, start)[1], start + model.coef_, rtol=1e-8)
    np.testing.assert_allclose(stack_weights(x, y, 1e9, start)[1], start, atol=1e-6)


def test_left_out_equals_scikit_learns_refits_without_each_clip():
    predictions, truth = drawn(25, 3, 1)
    x, y, start = predictions[:, :, 0], truth[:, 0].copy(), np.array([1.0, 0.0, -0.5])
    y[[3, 9]] = np.nan
    known = ~np.isnan(y)
    gap = x[known] - x[known].mean(axis=0)
    model = Ridge(alpha=0.3 * len(gap) * gap.var())
    rest = y[known] - x[known] @ start
    found = left_out(x, y, 0.3, start)
    expected = cross_val_predict(model, x[known], rest, cv=LeaveOneOut()) + x[known] @ start
    np.testing.assert_allclose(found[known], expected, rtol=1e-8)
    mean, weight, centre = stack_weights(x, y, 0.3, start)
    np.testing.assert_allclose(found[~known], (x[~known] - mean) @ weight + centre, rtol=1e-12)


def test_left_out_scores_what_new_clips_would():
    """Weights that are fitted to noise seem better than the mean; left out they do not."""
    rng = np.random.default_rng(5)
    gaps = []
    for _ in range(200):
        truth, predictions = rng.normal(size=(12, 1)), rng.normal(size=(12, 4, 1))
        stack = DevStack(4, 1)
        stack.fit(predictions, truth)
        fresh = rng.normal(size=(50, 4, 1))
        new = np.square(stack(torch.tensor(fresh).float()).numpy() - rng.normal(size=(50, 1))).mean()
        seen = np.square(stack(torch.tensor(predictions).float()).numpy() - truth).mean()
        gaps.append([seen - new, np.square(stack.left_out(predictions, truth) - truth).mean() - new])
    (seen, left), error = np.mean(gaps, axis=0), np.std(gaps, axis=0) / np.sqrt(200)
    assert seen < -5 * error[0]
    assert abs(left) < 4 * error[1] + 0.1  # of 2; eleven clips tell less than the twelve of the stack


def test_it_is_the_first_prediction_until_it_is_fitted():
    predictions, truth = drawn(30, 3, 2)
    stack = DevStack(3, 2)
    given = torch.tensor(predictions).float()
    assert torch.equal(stack(given), given[:, 0])
    stack.fit(predictions, truth)
    for k in range(2):
        mean, weight, centre = stack_weights(predictions[:, :, k], truth[:, k], PRIOR / 30, np.eye(3)[0])
        np.testing.assert_allclose(stack(given)[:, k], (predictions[:, :, k] - mean) @ weight + centre, atol=1e-5)
    assert stack.state_dict().keys() == {"weight", "shift"}  # so that a run keeps them


def test_few_clips_move_it_little():
    """The weights of a first prediction that is noise, and a second that is the truth, from 4 and from 400 clips."""
    moved = {}
    for n in (4, 400):
        rng = np.random.default_rng(0)
        truth = rng.normal(size=(n, 1))
        predictions = np.stack([rng.normal(size=(n, 1)), truth], axis=1)
        stack = DevStack(2, 1)
        stack.fit(predictions, truth)
        moved[n] = float(stack.weight[1, 0])
    assert moved[4] < 0.3 < 0.9 < moved[400]


def test_a_target_that_dev_does_not_know_keeps_its_start():
    predictions, truth = drawn(30, 3, 2)
    truth[:, 1] = np.nan
    stack = DevStack(3, 2)
    stack.fit(predictions, truth)
    assert stack.weight[:, 1].tolist() == [1.0, 0.0, 0.0]
    assert stack.shift[1] == 0
    assert stack.weight[1, 0] != 0
    found = stack.left_out(predictions, truth)
    np.testing.assert_array_equal(found[:, 1], predictions[:, 0, 1])
    truth[7, 1] = 0.5  # one clip, whose prediction must not see it
    np.testing.assert_array_equal(stack.left_out(predictions, truth)[:, 1], predictions[:, 0, 1])
    np.testing.assert_array_equal(stack.left_out(predictions, truth)[:, 0], found[:, 0])


def test_predictions_that_diverged_change_nothing():
    predictions, truth = drawn(30, 3, 1)
    predictions[4, 2] = np.nan
    stack = DevStack(3, 1)
    stack.fit(predictions, truth)
    assert stack.weight[:, 0].tolist() == [1.0, 0.0, 0.0]
    np.testing.assert_array_equal(stack.left_out(predictions, truth), predictions[:, 0])


def test_a_prediction_that_never_varies_has_no_weight():
    predictions, truth = drawn(30, 3, 1)
    predictions[:, 1] = 4.0
    stack = DevStack(3, 1)
    stack.fit(predictions, truth)
    assert abs(float(stack.weight[1, 0])) < 1e-9
    constant = np.full((30, 3, 1), 2.0)
    stack.fit(constant, truth)
    np.testing.assert_allclose(stack(torch.tensor(constant).float()), truth.mean(), atol=1e-6)
    others = (truth.sum() - truth) / (len(truth) - 1)
    np.testing.assert_allclose(stack.left_out(constant, truth), others, atol=1e-9)
