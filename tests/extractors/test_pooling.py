"""dtype and pool, which every extractor has: what is stored, what is refused, and which keys stay as they were."""

import math
from dataclasses import dataclass

import numpy as np
import plugins_for_tests as plugins
import pytest

from featzoo.cache.store import FeatureStore
from featzoo.errors import ClipError, InvalidOption
from featzoo.extraction.driver import extract_all
from featzoo.extractors.contract import Extractor, make_extractor
from featzoo.media.clip import Clip
from featzoo.media.transcripts import words_of
from featzoo.sequence import FeatureSequence

pytestmark = pytest.mark.usefixtures("one_process")

HOP = 0.1


@dataclass(frozen=True)
class Numbers(Extractor):
    """What a test gives it."""

    name = "numbers"
    modality = "text"
    reads = ("words",)
    rows: tuple[float, ...] = (1.0, 2.0, 6.0, math.nan)
    timed: bool = True

    def extract(self, clip: Clip) -> FeatureSequence:
        rows = np.array(self.rows, np.float32)
        start = np.arange(len(rows)) * HOP
        times = np.stack([start, start + HOP], 1) if self.timed else np.full((len(rows), 2), np.nan)
        return FeatureSequence(np.stack([rows, 2 * rows], 1), times, ("a", "twice"))


CLIP = Clip("any")


@pytest.mark.parametrize(("pool", "expected"), [("mean", 3.0), ("max", 6.0), ("min", 1.0), ("std", math.sqrt(14 / 3))])
@pytest.mark.parametrize("timed", [True, False])
def test_one_row_a_clip(pool, expected, timed):
    found = Numbers(pool=pool, timed=timed)(CLIP)
    np.testing.assert_allclose(found.features, [[expected, 2 * expected]], rtol=1e-6)
    np.testing.assert_allclose(found.intervals, [[0.0, 0.4]] if timed else [[math.nan] * 2])
    assert found.names == ("a", "twice")


def test_windows():
    found = Numbers(rows=(1, 2, 3, 4, 5), pool="mean", pool_seconds=0.2)(CLIP)
    np.testing.assert_allclose(found.features[:, 0], [1.5, 3.5, 5.0])
    np.testing.assert_allclose(found.intervals, [[0.0, 0.2], [0.2, 0.4], [0.4, 0.5]])
    assert len(Numbers(rows=(1, 2, 3, 4), pool="mean", pool_seconds=0.2)(CLIP)) == 2  # no empty window at the end
    assert len(Numbers(rows=(1,), pool="mean", pool_seconds=60.0)(CLIP)) == 1
    with pytest.raises(ClipError, match="rows without times") as caught:
        Numbers(timed=False, pool="mean", pool_seconds=0.2)(CLIP)
    assert caught.value.reason == "no-times"


def test_float16():
    found = Numbers(rows=(65504 / 2, 0.1, math.nan), dtype="float16")(CLIP).features
    assert found.dtype == np.float16
    assert found[0].tolist() == [65504 / 2, 65504]
    assert math.isnan(found[2, 0])
    with pytest.raises(ClipError, match=r"numbers: twice is -80000, more than float16 holds \(65504\)") as caught:
        Numbers(rows=(1.0, -40000.0), dtype="float16")(CLIP)
    assert caught.value.reason == "overflow"
    assert Numbers(rows=(60000.0, 0.0), pool="mean", dtype="float16")(CLIP).features.tolist() == [[30000, 60000]]


def test_whole_numbers_are_left_alone():
    clip = Clip("any", words=words_of("well", 0.0, 1.0))
    for options in ({"dtype": "float16"}, {"pool": "mean"}):
        with pytest.raises(InvalidOption, match=r"word-lengths gives integers \(int32\).*leave out"):
            plugins.WordLengths(**options)(clip)


def test_unused_dtype_and_pool_do_not_change_the_key():
    assert set(Numbers().spec()["options"]) == {"rows", "timed"}
    assert Numbers(dtype="float16").spec()["options"]["dtype"] == "float16"
    assert make_extractor("egemaps[pool=mean]").spec()["options"]["pool"] == "mean"


@pytest.mark.parametrize("bad", ["pool=median", "dtype=int8", "pool_seconds=1.0", "pool=mean,pool_seconds=0"])
def test_refused_options(bad):
    with pytest.raises(InvalidOption):
        make_extractor(f"frames[{bad}]")


def test_the_runner_stores_them(tmp_path, made):
    clip = Clip("talk", made / "talk.mp4")
    wanted = [plugins.Loudness(pool="max", dtype="float16"), plugins.Batched(pool="mean")]
    store = FeatureStore.create(tmp_path / "features")
    extract_all(store, wanted, [clip], jobs=1)
    for extractor in wanted:
        stored = store[extractor.key]["talk"]
        assert len(stored) == 1
        np.testing.assert_array_equal(stored.features, extractor(clip).features)


def test_a_pooled_set_answers_only_where_it_is_asked_for(tmp_path):
    store = FeatureStore.create(tmp_path / "features")
    wanted = plugins.Loudness(pool="mean"), plugins.Loudness(pool="mean", dtype="float16"), plugins.Loudness()
    pooled, both, plain = (store.open_set(each.label, each.spec()) for each in wanted)
    assert store["loudness"].key == plain.key
    assert store["loudness[pool=mean]"].key == pooled.key
    assert store["loudness[pool=mean,dtype=float16]"].key == both.key
    other = FeatureStore.create(tmp_path / "other")
    alone = other.open_set("loudness", wanted[0].spec())
    assert other["loudness"].key == alone.key  # where there is no other
