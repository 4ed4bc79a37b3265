"""What goes out in any of our both-way formats comes back: every bit, time, name and clip id."""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import same_features
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from featzoo import FeatureSequence, FeatureStore
from featzoo.cli import feat
from featzoo.errors import InvalidClips, MissingFeatures, StoreError

SUFFIXES = {"parquet": ".parquet", "npz": ".npz", "webdataset": ".tar", "huggingface": ""}
TYPES = ["float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool"]
# HDF5 keeps text in UTF-8 that ends at NUL.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)


def functions(name):
    module = import_module(f"featzoo.exchange.formats.{name}")
    return getattr(module, f"export_{name}"), getattr(module, f"import_{name}")


@st.composite
def sets(draw):
    """A feature set: 1 to 4 clips of 0 to 4 rows, of one type and shape, with NaN in features and times."""
    dtype = np.dtype(draw(st.sampled_from(TYPES)))
    tail = draw(st.sampled_from([(1,), (3,), (2, 3), (2, 1, 2)]))
    names = draw(st.lists(TEXT, min_size=tail[-1], max_size=tail[-1]))
    values = {"allow_nan": True, "allow_infinity": False} if dtype.kind == "f" else {}
    clips = {}
    for clip in draw(st.lists(TEXT | st.just("a/ü.b%2F.mp4"), min_size=1, max_size=4, unique=True)):
        length = draw(st.integers(0, 4))
        features = draw(hnp.arrays(dtype, (length, *tail), elements=hnp.from_dtype(dtype, **values)))
        times = draw(hnp.arrays(np.float64, (length, 2), elements=st.floats(0, 1e6) | st.just(np.nan)))
        clips[clip] = FeatureSequence(features, np.sort(times, axis=1), names)  # NaN is sorted to the end
    return clips


@pytest.mark.parametrize("name", SUFFIXES)
@settings(max_examples=25, deadline=None)
@given(clips=sets())
def test_everything_comes_back(name, clips):
    export, bring = functions(name)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        before = FeatureStore.create(place / "before").add(
            "some.set", clips, spec={"options": {"rate": 5}, "version": 3}
        )
        export(place / "before", "some.set", place / f"out{SUFFIXES[name]}")
        account = bring(place / f"out{SUFFIXES[name]}", place / "after")
        assert account.complete
        after = FeatureStore(place / "after")["some.set"]
        assert (after.key, after.spec) == (before.key, before.spec)
        assert after.ids() == sorted(clips)
        for clip, sequence in clips.items():
            assert same_features(after[clip], sequence)


@pytest.fixture
def store(tmp_path):
    made = FeatureStore.create(tmp_path / "features")
    rng = np.random.default_rng(0)
    times = np.arange(4)[:, None] * 0.5 + np.array([[0.0, 0.5]])
    clips = {
        f"{i}.mp4": FeatureSequence(rng.normal(size=(4, 2)).astype(np.float32), times, ("a", "b")) for i in range(3)
    }
    made.add("pair", clips)
    return made


@pytest.mark.parametrize("name", [*SUFFIXES, "audformat"])
def test_a_dry_run_writes_nothing_and_an_existing_file_stays(store, tmp_path, name):
    export, bring = functions(name)
    out = tmp_path / f"out{SUFFIXES.get(name, '.csv')}"
    assert "nothing is written" in export(store.path, "pair", out, dry_run=True)[0]
    assert not out.exists()
    export(store.path, "pair", out)
    bring(out, tmp_path / "other", dry_run=True)
    assert not (tmp_path / "other").exists()
    with pytest.raises(StoreError, match="exists: give another name"):
        export(store.path, "pair", out)
    with pytest.raises(MissingFeatures):
        export(store.path, "none", tmp_path / f"new{SUFFIXES.get(name, '.csv')}")
    assert {each.name for each in tmp_path.iterdir()} == {"features", out.name}


@pytest.mark.parametrize("name", [*SUFFIXES, "audformat"])
def test_rubbish_is_refused_by_name(tmp_path, name):
    if name == "huggingface":
        place = tmp_path / "out"
        place.mkdir()
        (place / "train.parquet").write_bytes(b"PAR1 no table")
    else:
        place = tmp_path / f"out{SUFFIXES.get(name, '.csv')}"
        place.write_bytes(b"no such thing\n")
    with pytest.raises(InvalidClips, match="out"):
        functions(name)[1](place, tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("name", [*SUFFIXES, "audformat"])
def test_the_commands(store, tmp_path, name):
    out = tmp_path / f"out{SUFFIXES.get(name, '.csv')}"
    wrote = CliRunner().invoke(feat, ["export", name, "pair", str(out), "-o", str(store.path)])
    assert wrote.exit_code == 0, wrote.output
    dry = CliRunner().invoke(feat, ["import", name, str(out), "-o", str(tmp_path / "new"), "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "3 clips x 2 columns" in dry.output
    assert not (tmp_path / "new").exists()
    came = CliRunner().invoke(feat, ["import", name, str(out), "-o", str(tmp_path / "new"), "--name", "named"])
    assert came.exit_code == 0, came.output
    assert len(FeatureStore(tmp_path / "new")["named"]) == 3
