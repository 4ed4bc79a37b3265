"""Sound on which COVAREP stops or gives infinities: rows of the right number, NaN or 0 as the mode says, never more."""

import numpy as np
import pytest
from conftest import DATA, tone, write_wav
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("scipy", reason="needs featzoo[covarep]")

from featzoo.errors import ClipError
from featzoo.extractors.audio.covarep import NAMES, Covarep, analysis
from featzoo.media import audio
from featzoo.media.clip import Clip

FOLDER = DATA / "covarep_reference"
SLOPE, VUV = NAMES.index("peakSlope"), NAMES.index("VUV")
# What is only of voiced sound in `corrected`.
VOICED = [k for k, name in enumerate(NAMES) if name not in ("VUV", "creak") and not name.startswith("MCEP")]
MODES = pytest.mark.parametrize("compat", ["covarep", "corrected"])


def check(found, count, compat):
    """What holds of any (T, 74) whatever the sound."""
    assert found.shape == (count, 74)
    assert not np.isinf(found).any()
    assert np.isin(found[:, VUV], [0, 1]).sum() + np.isnan(found[:, VUV]).sum() == count
    if compat == "covarep":
        assert not np.isnan(np.delete(found, SLOPE, axis=1)).any()
        assert (found[:, NAMES.index("creak")] == 0).all()
    else:
        unvoiced = found[:, VUV] != 1
        assert np.isnan(found[np.ix_(unvoiced, VOICED)]).all()
        assert np.isnan(found[:, NAMES.index("creak")]).all()


def sounds():
    random = np.random.default_rng(0)
    voice = tone(1.5)
    return {
        "silence": (random.normal(0, 1e-6, 24000), 16000), "digital zeros": (np.zeros(24000), 16000),
        "noise": (random.normal(0, 0.1, 16000), 16000), "no voiced frame": (np.sign(random.normal(size=9600)), 16000),
        "0.005 s": (voice[:80], 16000), "0.02 s": (voice[:320], 16000), "0.09 s": (voice[:1440], 16000),
        "0.12 s": (voice[:1920], 16000), "0.5 s": (voice[:8000], 16000), "0.84 s": (voice[:13440], 16000),
        "clipped": (np.clip(8 * voice, -1, 1), 16000), "8 kHz": (tone(1.5, 8000), 8000),
        "44.1 kHz": (tone(0.5, 44100), 44100), "192 kHz": (tone(0.5, 192000), 192000),
        "silent middle": (np.concatenate([voice[:9600], np.zeros(4000), voice[:9600]]), 16000),
        "six channels": (np.stack([voice] * 6), 16000), "constant": (np.full(16000, 0.25), 16000),
        "one click": (np.eye(1, 16000, 8000)[0] * 0.9, 16000), "upside down": (-voice, 16000),
    }  # fmt: skip


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("kind", sounds())
@MODES
def test_kinds(tmp_path, kind, compat):
    samples, hertz = sounds()[kind]
    path = write_wav(tmp_path / "a.wav", np.asarray(samples, dtype=np.float32), hertz)
    found = Covarep(compat=compat).extract(Clip("a", path))
    seconds = np.shape(samples)[-1] / hertz
    check(found.features, int(100 * seconds + 0.5 + 1e-9), compat)
    assert found.intervals[-1, 1] <= seconds + 1e-9


@pytest.mark.parametrize("hertz", [8000, 32000])
@MODES
def test_own_rate(tmp_path, hertz, compat):
    path = write_wav(tmp_path / "a.wav", tone(0.5, hertz), hertz)
    found = Covarep(compat=compat, rate=None).extract(Clip("a", path))
    check(found.features, 50, compat)
    assert (found.features[:, VUV] == 1).sum() > 30


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    length=st.integers(80, 3200),
    parts=st.lists(st.tuples(st.sampled_from(["zeros", "noise", "pulses", "click", "full"]), st.floats(1e-9, 1.0))),
    seed=st.integers(0, 99),
)
@MODES
def test_random_short_sound(compat, length, parts, seed):
    """Whatever up to 0.2 s is made of."""
    random = np.random.default_rng(seed)
    sound = np.zeros(length)
    for kind, level in parts:
        first, last = np.sort(random.integers(0, length + 1, 2))
        if kind == "noise":
            sound[first:last] += level * random.normal(size=last - first)
        elif kind == "pulses":
            sound[first : last : random.integers(32, 320)] -= level
        elif kind == "click":
            sound[min(first, length - 1)] = level
        else:
            sound[first:last] = level if kind == "full" else 0.0
    found = analysis.analyse(sound.clip(-1, 1), 16000, compat == "corrected")
    check(found, (length - 80) // 160 + 1, compat)


@MODES
def test_samples_that_are_not_finite(tmp_path, compat, monkeypatch):
    """Count as 0: as if they had been silent."""
    voice = tone(1.0)
    path = write_wav(tmp_path / "a.wav", voice)
    broken, silent = voice.copy(), voice.copy()
    broken[4000:4400], silent[4000:4400] = np.nan, 0
    broken[9000], silent[9000] = np.inf, 0
    found = []
    for samples in (broken, silent):
        monkeypatch.setattr(Clip, "audio", lambda self, s=samples, **_: audio.Audio(s[None], 16000))
        found.append(Covarep(compat=compat).extract(Clip("a", path)).features)
    np.testing.assert_array_equal(*found)
    check(found[0], 100, compat)


def test_too_short(tmp_path):
    with pytest.raises(ClipError) as caught:
        Covarep().extract(Clip("a", write_wav(tmp_path / "a.wav", tone(0.004))))
    assert caught.value.reason == "too-short"


@pytest.mark.data
def test_short_clip_of_22_khz(print_table):
    """0.79 s at its own 22.05 kHz: what COVAREP computed before it stopped at HMPD, and 0 where it gave nothing."""
    if not FOLDER.is_dir():
        pytest.skip(f"needs COVAREP's own output: no folder {FOLDER} (set FEATZOO_TEST_DATA)")
    with np.load(FOLDER / "edge_short_vaiueo2d_22k.npz") as arrays:
        expected = arrays["features"]
    sound = audio.decode_audio(FOLDER / "edge_short_vaiueo2d_22k.wav")
    found = analysis.analyse(sound.samples[0].astype(np.float64), sound.rate)
    check(found, len(expected), "covarep")
    apart = np.abs(found - expected)
    # covarep.md, section 15; QOQ and MDQ equal
    groups = {"F0": 1e-9, "VUV": 0, "NAQ": 1e-9, "QOQ": 1e-9, "H1H2": 1e-6, "PSP": 1e-9, "MDQ": 1e-9, "peakSlope": 1e-9}
    groups |= {"Rd": 1e-3, "Rd_conf": 1e-4, **{f"MCEP_{n}": 1e-6 for n in range(25)}}
    lines = [f"{'at 22.05 kHz':<13}{'tolerance':>11}{'worst':>11}"]
    lines += [f"{name:<13}{limit:>11.0e}{apart[:, NAMES.index(name)].max():>11.1e}" for name, limit in groups.items()]
    print_table(lines)
    for name, limit in groups.items():
        assert apart[:, NAMES.index(name)].max() <= limit, name
    assert (found[:, 36:] == 0).all()
