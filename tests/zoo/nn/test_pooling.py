"""Pooling, compared with NumPy."""

import warnings

import numpy as np
import torch

from featzoo.zoo.head import Padded
from featzoo.zoo.nn.pooling import pool


def test_pooling_ignores_padding_and_what_was_not_observed():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 5, 4)).astype(np.float32)
    mask = np.arange(5) < np.array([[5], [2], [1]])
    observed = mask[..., None] & (rng.random(values.shape) > 0.2)
    observed[2, 0] = True
    observed[0, :, 3] = False  # never observed
    values[~observed] = 7.0  # must not be read
    found = pool(Padded(*map(torch.from_numpy, (values, mask, observed))), "mean-std").numpy()
    seen = np.where(observed, values, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the column that was never observed
        expected = np.concatenate([np.nanmean(seen, axis=1), np.nanstd(seen, axis=1)], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert np.isnan(found[0, 3])
