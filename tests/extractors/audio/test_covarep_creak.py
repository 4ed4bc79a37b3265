"""Creak: features against COVAREP 5a2be5d under GNU Octave 7.3, the network against a naive loop, MATLAB's files.

Features that COVAREP and the papers define alike are equal but for float32 storage; of the others, whose settings are
not published, the table prints the correlation, and nothing is promised.
"""

import dataclasses
import math

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import DATA, tone, write_wav

pytest.importorskip("scipy", reason="needs featzoo[covarep]")
from scipy.io import savemat

from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.errors import InvalidOption, MissingWeights
from featzoo.extractors.audio.covarep import NAMES, Covarep, creak, creak_network
from featzoo.extractors.audio.covarep.pitch import srh
from featzoo.extractors.audio.covarep.residual import long_order, polarity, residual
from featzoo.extractors.contract import make_extractor
from featzoo.media import audio
from featzoo.media.clip import Clip

FOLDER = DATA / "covarep_reference"
CLIPS = ["arctic_a0007_16k", "arctic_bdl1_16k", "lj050_0131_16k", "northwind_16k", "edge_noise_16k"]
# Stored as float32: half a step at the largest values (500 Hz; 226; 16; 14).
EQUAL = {"F0": 4e-5, "F0_median": 4e-5, "power_deviation": 2e-5, "energy": 2e-6, "zero_crossings": 2e-6}


@pytest.fixture(scope="module")
def pairs():
    """Per clip, our (T, 36) features and COVAREP's."""
    if not FOLDER.is_dir():
        pytest.skip(f"needs COVAREP's own output: no folder {FOLDER} (set FEATZOO_TEST_DATA)")
    found = {}
    for name in CLIPS:
        samples = audio.decode_audio(FOLDER / f"{name}.wav").samples[0].astype(np.float64)
        error = residual(samples, 16000, long_order(16000))
        sign = polarity(samples, 16000, error)
        ours = creak.features(samples * sign, srh(samples, 16000, creak.LOWEST), error * sign)
        with np.load(FOLDER / f"{name}.npz") as arrays:
            found[name] = ours, arrays["creak_featmat36"].astype(np.float64)
    return found


@pytest.mark.data
def test_table(pairs, print_table):
    lines = [f"{'creak feature':<17}{'tolerance':>11}{'worst':>11}{'correlation':>13}"]
    for column, name in enumerate(creak.NAMES):
        one, other = (np.concatenate([pair[side][:, column] for pair in pairs.values()]) for side in (0, 1))
        tolerance = f"{EQUAL[name]:.0e}" if name in EQUAL else "none"
        lines.append(
            f"{name:<17}{tolerance:>11}{np.abs(one - other).max():>11.1e}{np.corrcoef(one, other)[0, 1]:>13.3f}"
        )
    print_table(lines)
    assert set(EQUAL) < set(creak.NAMES)


@pytest.mark.data
@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("feature", EQUAL)
def test_feature(pairs, clip, feature):
    """With its first and second differences."""
    ours, expected = pairs[clip]
    assert ours.shape == expected.shape
    columns = creak.NAMES.index(feature) + np.array([0, 12, 24])
    np.testing.assert_allclose(ours[:, columns], expected[:, columns], atol=4 * EQUAL[feature], rtol=0)


def test_zero_crossings_of_a_sine():
    """A closed form: a sine of 500 Hz crosses zero once a millisecond."""
    found = creak.zero_crossings(np.sin(2 * np.pi * 500 * np.arange(16000) / 16000 + 0.1))
    np.testing.assert_allclose(found, 1.0, atol=1 / 32)


def test_periodicity_and_pulses():
    """Closed forms: pulses 20 ms apart are alike, stand out, and are peaks at their own places."""
    time = np.arange(800) / 16000
    pulse = np.exp(-time / 0.002) * np.sin(2 * np.pi * 600 * time)
    sound = np.concatenate([np.zeros(320), *[np.roll(pulse, 0)[:320]] * 20])
    centre, values = creak.power_peaks(sound)
    inner = slice(2, -2)
    np.testing.assert_allclose(np.diff(centre)[inner], 320, atol=32)
    assert values[inner, 0].min() > 0.99
    assert values[inner, 1:].min() > 14  # 7 dB: what Ishi et al. ask of a pulse
    periodic = sum(np.cos(2 * np.pi * 125 * k * np.arange(16000) / 16000) for k in range(1, 9))
    np.testing.assert_allclose(creak.intra_frame_periodicity(periodic), 1.0, atol=1e-6)


def network(seed=0, width=5):
    random = np.random.default_rng(seed)
    low = random.normal(size=36) - 3
    return {
        "low": low, "high": low + random.uniform(1, 9, 36), "hidden": random.normal(size=(width, 36)),
        "hidden_bias": random.normal(size=width), "output": random.normal(size=width), "output_bias": 0.3,
    }  # fmt: skip


def test_posterior_is_the_naive_loop():
    made = network()
    rows = np.random.default_rng(1).normal(size=(7, 36)) * 3
    rows[2, 5] = np.nan
    found = creak_network.Network(**made).posterior(rows)
    for row, value in zip(rows, found, strict=True):
        inner = made["output_bias"]
        for unit in range(5):
            total = made["hidden_bias"][unit]
            for k in range(36):
                x = made["low"][k] if math.isnan(row[k]) else row[k]
                scaled = 2 * (x - made["low"][k]) / (made["high"][k] - made["low"][k]) - 1
                total += made["hidden"][unit, k] * scaled
            inner += made["output"][unit] * (2 / (1 + math.exp(-2 * total)) - 1)  # MATLAB's tansig
        assert value == pytest.approx(1 / (1 + math.exp(-inner)), abs=1e-12)


def write(folder, kind):
    """The same network in the layouts that a user may have."""
    made = network()
    path = folder / "net.mat"
    ends = {"mins": made["low"], "maxs": made["high"]}
    plain = {
        "IW": made["hidden"], "LW": made["output"][None], "b1": made["hidden_bias"][:, None],
        "b2": np.array([[made["output_bias"]]]),
    }  # fmt: skip
    if kind == "plain":
        savemat(path, {**plain, **ends})
    elif kind == "network":  # as a struct with cells, which is how MATLAB's object reads
        cells = {name: np.empty(shape, object) for name, shape in (("IW", (2, 1)), ("LW", (2, 2)), ("b", (2, 1)))}
        for cell in cells.values():
            cell.fill(np.zeros((0, 0)))
        cells["IW"][0, 0], cells["LW"][1, 0] = plain["IW"], plain["LW"]
        cells["b"][0, 0], cells["b"][1, 0] = plain["b1"], plain["b2"]
        savemat(path, {"net": cells, **ends})
    elif kind == "folder":
        savemat(folder / "weights.mat", plain)
        savemat(folder / "minis.mat", {"minis": made["low"]})
        savemat(folder / "maxis.mat", {"maxis": made["high"]})
        return folder
    else:  # v7.3
        with h5py.File(path, "w") as file:
            for name, value in {**plain, **{k: v[None] for k, v in ends.items()}}.items():
                file[name] = value.T
    return path


@pytest.mark.parametrize("kind", ["plain", "network", "folder", "v7.3"])
def test_files(tmp_path, kind):
    found = creak_network.read_network(write(tmp_path, kind))
    for name, value in network().items():
        np.testing.assert_allclose(getattr(found, name), value, err_msg=name)


def test_a_file_without_the_network(tmp_path):
    savemat(tmp_path / "other.mat", {"IW": np.zeros((4, 7)), "text": "hello"})
    with pytest.raises(InvalidOption, match=r"no iw for creak in .*other.mat: it holds IW 4x7; expected IW \(hidden"):
        creak_network.read_network(tmp_path / "other.mat")
    (tmp_path / "broken.mat").write_bytes(b"no MATLAB file at all" * 20)
    with pytest.raises(InvalidOption, match=r"cannot read .*broken.mat as a .mat file"):
        creak_network.read_network(tmp_path / "broken.mat")
    with pytest.raises(MissingWeights, match=r"no weights file"):
        Covarep(creak_weights=str(tmp_path / "none.mat")).prepare()
    with pytest.raises(InvalidOption, match=r"creak_weights are for sound at 16000 Hz"):
        make_extractor(f"covarep[creak_weights={tmp_path / 'net.mat'},rate=8000]")


@pytest.mark.parametrize("compat", ["covarep", "corrected"])
def test_column(tmp_path, compat):
    """With the network the column is its posterior half-way between rows of 10 ms; without, 0 or NaN."""
    clip = Clip("a", write_wav(tmp_path / "a.wav", tone(1.2)))
    weights = write(tmp_path, "plain")
    extractor = Covarep(compat=compat, creak_weights=str(weights))
    extractor.prepare()
    found, without = (each.extract(clip).features for each in (extractor, Covarep(compat=compat)))
    column = NAMES.index("creak")
    same = np.delete(np.arange(74), column)
    np.testing.assert_array_equal(found[:, same], without[:, same])
    empty = without[:, column]
    assert np.isnan(empty).all() if compat == "corrected" else (empty == 0).all()
    samples = audio.decode_audio(clip.file).samples[0]
    error = residual(samples, 16000, 18)
    sign = polarity(samples, 16000, error)
    rows = creak.features(samples * sign, srh(samples, 16000, 20), error * sign)
    posterior = creak_network.read_network(weights).posterior(rows)
    np.testing.assert_allclose(found[1:-1, column], (posterior[:-1] + posterior[1:])[: len(found) - 2] / 2, atol=1e-6)


def test_key_has_the_weights_digest(tmp_path):
    one = write(tmp_path, "plain")
    first = Covarep(creak_weights=str(one))
    moved = one.rename(tmp_path / "moved.mat")
    assert dataclasses.replace(first, creak_weights=str(moved)).spec()["digests"].keys() == {"creak"}
    key = dataclasses.replace(first, creak_weights=str(moved)).key
    assert key != Covarep().key
    savemat(moved, {"other": np.ones(3)})
    assert dataclasses.replace(first, creak_weights=str(moved)).key != key


def test_said_once(tmp_path, made):
    """After the run, not for each clip; kept with the set."""
    done = CliRunner().invoke(
        feat, ["extract", str(made / "voice.wav"), "-x", "covarep", "-o", str(tmp_path / "f"), "-j", "1"]
    )
    assert done.exit_code == 0, done.output
    said = "note: column creak is 0: give creak_weights=PATH to compute it"
    assert done.output.count(said) == 1
    assert FeatureStore(tmp_path / "f")["covarep"].provenance["note"] in said
    assert "NaN" in Covarep(compat="corrected").provenance()["note"]
