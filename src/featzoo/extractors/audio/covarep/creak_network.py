"""COVAREP's network of creaky voice, from the user's own copy of its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featzoo.errors import InvalidOption
from featzoo.extractors.audio.covarep.creak import NAMES
from featzoo.sequence import Array

FEATURES = 3 * len(NAMES)
WANTED = (
    "IW (hidden x 36), LW (1 x hidden), b1 (hidden), b2 (1), or a `network` with IW, LW and b, and vectors of 36 "
    "whose names hold 'min' and 'max'"
)


class Network(NamedTuple):
    """A perceptron with one hidden layer: logsig(LW tansig(IW x + b1) + b2), x scaled to [-1, 1].

    Attributes:
        low: (36,) the smallest training value of each feature.
        high: (36,) the largest.
        hidden: (H, 36) weights, and (H,) biases.
        hidden_bias: (H,).
        output: (H,).
        output_bias: One number.
    """

    low: Array
    high: Array
    hidden: Array
    hidden_bias: Array
    output: Array
    output_bias: float

    def posterior(self, features: Array) -> Array:
        """(T,) in [0, 1] of `features` (T, 36); NaN counts as the least value.

        Reference:
            Drugman, Kane & Gobl, "Data-driven detection and analysis of the patterns of creaky voice", Computer
            Speech & Language 2014, section 4.
        """
        known = np.where(np.isnan(features), self.low, features)
        scaled = -1 + 2 * (known - self.low) / (self.high - self.low)
        inner = np.tanh(scaled @ self.hidden.T + self.hidden_bias)
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-(inner @ self.output + self.output_bias))))


def read_network(path: Path) -> Network:
    """The network from MATLAB's files: one .mat, or all of a folder, of version 5 or 7.3.

    Raises:
        InvalidOption: If a file cannot be read or an array is missing; the text names the expected arrays.
    """
    files = sorted(path.glob("*.mat")) if path.is_dir() else [path]
    arrays: dict[str, Array] = {}
    for file in files:
        arrays.update(_arrays(file))

    def one(name: str, fits: Any) -> Array:
        # The last name of the path counts: `net.LW2` is LW.
        found = [a for key, a in arrays.items() if name in key.lower().rpartition(".")[2] and fits(a)]
        if not found:
            shapes = ", ".join(f"{key} {'x'.join(map(str, a.shape))}" for key, a in arrays.items()) or "no arrays"
            raise InvalidOption(f"covarep: no {name} for creak in {path}: it holds {shapes}; expected {WANTED}")
        return found[0]

    hidden = one("iw", lambda a: a.ndim == 2 and a.shape[1] == FEATURES)
    width = len(hidden)
    return Network(
        one("min", lambda a: a.size == FEATURES).ravel(),
        one("max", lambda a: a.size == FEATURES).ravel(),
        hidden,
        one("b", lambda a: a.size == width).ravel(),
        one("lw", lambda a: a.size == width).ravel(),
        float(one("b", lambda a: a.size == 1).ravel()[0]),
    )


def _arrays(file: Path) -> dict[str, Array]:
    """Every array of numbers in a .mat file, by its path of names."""
    import h5py
    from scipy.io import loadmat

    found: dict[str, Array] = {}

    def walk(name: str, value: Any) -> None:
        if not isinstance(value, np.ndarray):
            return
        if value.dtype.names:
            for field in value.dtype.names:
                for each in value[field].ravel():
                    walk(f"{name}.{field}", each)
        elif value.dtype == object:
            for number, each in enumerate(value.ravel()):
                walk(f"{name}{number + 1}", each)
        elif value.dtype.kind in "fiu" and value.size:
            found[name] = value.astype(np.float64)

    try:
        if h5py.is_hdf5(file):
            with h5py.File(file) as stored:
                for key, value in stored.items():
                    if isinstance(value, h5py.Dataset):
                        walk(key, np.asarray(value[()]).T)  # MATLAB's columns are HDF5's rows
        else:
            for key, value in loadmat(file).items():
                walk(key, value)
    except (OSError, ValueError, NotImplementedError, TypeError) as error:
        raise InvalidOption(f"covarep: cannot read {file} as a .mat file: {error}") from error
    return found
