"""The number patterns of the golden values, and slow, plain versions of what is tested."""

import math

import numpy as np


def h(n, d, c):
    """h(n,d,c)[i,j] = frac(sin(12.9898 (i+1) + 78.233 (j+1) + c) * 43758.5453) - 0.5."""
    i, j = np.arange(1, n + 1)[:, None], np.arange(1, d + 1)[None, :]
    value = np.sin(12.9898 * i + 78.233 * j + c) * 43758.5453
    return value - np.floor(value) - 0.5


def mosi_pattern():
    """Predictions and truths of the golden metrics: p = 3 sin(1.7 i), t = round(9 sin(1.7 i + .5)) / 3."""
    i = np.arange(40)
    return 3 * np.sin(1.7 * i), np.round(9 * np.sin(1.7 * i + 0.5)) / 3


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def lstm(weights, steps):
    """Every output of a one-layer LSTM over (T, D), one number at a time (gates in torch's order i f g o)."""
    w, u, b, c = (weights[k] for k in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"))
    hidden = w.shape[0] // 4
    state, cell, outputs = [0.0] * hidden, [0.0] * hidden, []
    for x in steps:
        gate = [
            sum(w[r, k] * x[k] for k in range(len(x))) + sum(u[r, k] * state[k] for k in range(hidden)) + b[r] + c[r]
            for r in range(4 * hidden)
        ]
        for k in range(hidden):
            i, f, g, o = (gate[k + part * hidden] for part in range(4))
            cell[k] = sigmoid(f) * cell[k] + sigmoid(i) * math.tanh(g)
            state[k] = sigmoid(o) * math.tanh(cell[k])  # gates of this step are computed already
        outputs.append(list(state))
    return np.array(outputs)
