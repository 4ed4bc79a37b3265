"""Keys: what enters them and what does not."""

import hashlib
import json

import pytest

from featzoo.clips import Clip
from featzoo.extractors.contract import Extractor, ModelExtractor, make_extractor, spec_digest
from featzoo.extractors.egemaps import Egemaps
from featzoo.extractors.frames import Frames


def test_key_is_the_digest_of_canonical_json():
    spec = {
        "extractor": "frames", "version": 1, "reads": ["video"], "digests": {},
        "options": {"count": 6, "rate": None, "height": 140, "width": 248},
    }  # fmt: skip
    assert Frames().spec() == spec
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    assert Frames().key == "frames-" + hashlib.sha256(text.encode()).hexdigest()[:8]
    assert spec_digest(dict(reversed(spec.items()))) == hashlib.sha256(text.encode()).hexdigest()


def test_golden_keys():
    """Keys are names on other people's disks: one that changes without a new version orphans their features."""
    assert Frames().key == "frames-" + GOLDEN["frames"]
    assert Egemaps().key == "egemaps-" + GOLDEN["egemaps"]
    assert make_extractor("motion-energy").key == "motion-energy-" + GOLDEN["motion-energy"]


GOLDEN = {
    name: hashlib.sha256(text.encode()).hexdigest()[:8]
    for name, text in {
        "frames": '{"digests":{},"extractor":"frames","options":{"count":6,"height":140,"rate":null,"width":248},"reads":["video"],"version":1}',
        "egemaps": '{"digests":{},"extractor":"egemaps","options":{"feature_set":"eGeMAPSv02","level":"lld","rate":null},"reads":["audio"],"version":1}',
        "motion-energy": '{"digests":{},"extractor":"motion-energy","options":{"height":90,"hop":0.5,"threshold":16,"width":120,"window":1.0},"reads":["video"],"version":1}',
    }.items()
}


def test_options_and_tags():
    assert Frames(count=7).key != Frames().key
    tagged, plain = make_extractor("egemaps.functionals"), make_extractor("egemaps[level=functionals]")
    assert tagged.spec() == plain.spec()
    assert tagged.key.startswith("egemaps.functionals-")
    assert plain.key == "egemaps-" + tagged.key.removeprefix("egemaps.functionals-")


def test_an_extractor_that_defines_nothing_says_so():
    with pytest.raises(TypeError, match="defines no extract"):
        Extractor().extract(Clip("a"))
    with pytest.raises(TypeError, match="defines no load"):
        ModelExtractor().extract(Clip("a"))
    with pytest.raises(TypeError, match="defines no encode"):
        ModelExtractor().encode([])
