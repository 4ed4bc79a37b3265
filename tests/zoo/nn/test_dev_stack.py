"""The stack of predictions that is fitted on dev."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from featzoo.zoo.nn.dev_stack import PRIOR, DevStack


def drawn(n: int, parts: int, targets: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(n, targets))
    return truth[:, None] + rng.normal(size=(n, parts, targets)) * np.arange(1, parts + 1)[:, None], truth


def prepared(parts: int, targets: int, level: float) -> DevStack:
    stack = DevStack(parts, targets)
    stack.prepare(torch.full((3, targets), level))
    return stack


def given(stack: DevStack, predictions: np.ndarray) -> np.ndarray:
    return stack(torch.tensor(predictions).float()).numpy()


def ridge_of(x: np.ndarray) -> tuple[Ridge, np.ndarray]:
    """The model, and x with a column for its shift, whose penalty is that of PRIOR clips, as those of the others."""
    alpha = PRIOR * np.square(x).mean()
    return Ridge(alpha=alpha, fit_intercept=False), np.insert(x, x.shape[1], np.sqrt(alpha / PRIOR), axis=1)


def test_it_equals_scikit_learns_ridge_on_what_the_first_prediction_leaves():
    """With and without each clip, for two targets, of which one is not known for two clips."""
    predictions, truth = drawn(25, 3, 2)
    truth[[3, 9], 1] = np.nan
    stack = prepared(3, 2, 0.4)
    stack.fit(predictions, truth)
    left = stack.left_out(predictions, truth)
    for k in range(2):
        known = ~np.isnan(truth[:, k])
        rest = truth[known, k] - predictions[known, 0, k]
        model, x = ridge_of(predictions[known, :, k] - 0.4)
        model.fit(x, rest)
        every = np.insert(predictions[:, :, k] - 0.4, 3, x[0, 3], axis=1)
        whole = predictions[:, 0, k] + model.predict(every)
        np.testing.assert_allclose(stack.weight[:, k], model.coef_[:3] + np.eye(3)[0], atol=1e-6)
        np.testing.assert_allclose(given(stack, predictions)[:, k], whole, atol=1e-5)  # float32
        without = cross_val_predict(model, x, rest, cv=LeaveOneOut()) + predictions[known, 0, k]
        np.testing.assert_allclose(left[known, k], without, rtol=1e-6)
        np.testing.assert_allclose(left[~known, k], whole[~known], rtol=1e-6)


def test_it_is_the_first_prediction_until_it_is_fitted():
    predictions, truth = drawn(30, 3, 2)
    stack = prepared(3, 2, 0.4)
    np.testing.assert_allclose(given(stack, predictions), predictions[:, 0], atol=1e-6)
    stack.fit(predictions, truth)
    assert not np.allclose(given(stack, predictions), predictions[:, 0], atol=0.1)
    assert stack.state_dict().keys() == {"weight", "shift", "level"}  # so that a run keeps them


def test_left_out_scores_what_new_clips_would():
    """Weights that are fitted to noise seem better than they are; left out they do not."""
    rng = np.random.default_rng(5)
    gaps = []
    for _ in range(200):
        truth, predictions = rng.normal(size=(12, 1)), rng.normal(size=(12, 4, 1))
        stack = DevStack(4, 1)
        stack.fit(predictions, truth)
        fresh = rng.normal(size=(50, 4, 1))
        new = np.square(given(stack, fresh) - rng.normal(size=(50, 1))).mean()
        seen = np.square(given(stack, predictions) - truth).mean()
        gaps.append([seen - new, np.square(stack.left_out(predictions, truth) - truth).mean() - new])
    (seen, left), error = np.mean(gaps, axis=0), np.std(gaps, axis=0) / np.sqrt(200)
    assert seen < -5 * error[0]
    assert abs(left) < 4 * error[1] + 0.1  # of 2; eleven clips tell less than the twelve of the stack


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


def test_few_clips_shift_it_little():
    """Dev's few people may all be above what train has; of many clips that is the prediction's fault."""
    for n in (5, 20, 2000):
        right = np.random.default_rng(1).normal(size=(n, 1))
        stack = prepared(1, 1, 0.0)
        stack.fit((right - right.mean())[:, None], right - right.mean() + 0.5)
        np.testing.assert_allclose(stack.shift, 0.5 * n / (n + PRIOR), rtol=1e-6)


def test_the_level_is_trains_median():
    stack = DevStack(2, 2)
    stack.prepare(torch.tensor([[1.0, 0.0], [2.0, 5.0], [9.0, 6.0], [3.0, 7.0]]))
    assert stack.level.tolist() == [2.5, 5.5]


def test_a_target_that_dev_does_not_know_keeps_its_start():
    predictions, truth = drawn(30, 3, 2)
    truth[:, 1] = np.nan
    stack = DevStack(3, 2)
    stack.fit(predictions, truth)
    assert stack.weight[:, 1].tolist() == [1.0, 0.0, 0.0]
    assert stack.weight[1, 0] != 0
    found = stack.left_out(predictions, truth)
    np.testing.assert_array_equal(found[:, 1], predictions[:, 0, 1])
    truth[7, 1] = 0.5  # one clip, whose prediction must not see it
    np.testing.assert_allclose(stack.left_out(predictions, truth)[7, 1], predictions[7, 0, 1], rtol=1e-12)


def test_predictions_that_diverged_change_nothing():
    predictions, truth = drawn(30, 3, 1)
    predictions[4, 2] = np.nan
    stack = DevStack(3, 1)
    stack.fit(predictions, truth)
    assert stack.weight[:, 0].tolist() == [1.0, 0.0, 0.0]
    np.testing.assert_array_equal(stack.left_out(predictions, truth), predictions[:, 0])


def test_a_prediction_that_is_always_the_level_has_no_weight():
    predictions, truth = drawn(30, 3, 1)
    predictions[:, 1] = 2.0
    stack = prepared(3, 1, 2.0)
    stack.fit(predictions, truth)
    assert abs(float(stack.weight[1, 0])) < 1e-9
    constant = np.full((30, 3, 1), 2.0)  # no prediction knows anything
    stack.fit(constant, truth)
    np.testing.assert_allclose(given(stack, constant), 2 + 30 / 50 * (truth.mean() - 2), rtol=1e-6)
    np.testing.assert_allclose(stack.left_out(constant, truth), 2 + (truth.sum() - truth - 58) / 49, rtol=1e-9)
