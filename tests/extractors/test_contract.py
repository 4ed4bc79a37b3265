"""Keys: what enters them and what does not."""

import hashlib
import json

import pytest

from featzoo.extractors.contract import Extractor, ModelExtractor, make_extractor, spec_digest
from featzoo.extractors.vision.raw_frames import Frames
from featzoo.media.clip import Clip


def test_key_is_the_digest_of_canonical_json():
    spec = {
        "extractor": "frames", "version": 2, "reads": ["video"], "digests": {},
        "options": {"count": 6, "rate": None, "height": 140, "width": 248},
    }  # fmt: skip
    assert Frames().spec() == spec
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"))
    assert Frames().key == "frames-" + hashlib.sha256(text.encode()).hexdigest()[:8]
    assert spec_digest(dict(reversed(spec.items()))) == hashlib.sha256(text.encode()).hexdigest()


# SHA-256 of the canonical JSON, by hand: options in order of name, no spaces.
GOLDEN = {
    "frames": ('{"count":6,"height":140,"rate":null,"width":248}', "video"),
    "egemaps": ('{"channel":"mix","feature_set":"eGeMAPSv02","level":"lld","rate":null}', "audio"),
    "motion-energy": ('{"height":90,"hop":0.5,"threshold":16,"width":120,"window":1.0}', "video"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_keys(name):
    """Keys are names on other people's disks: one that changes without a new version orphans their features."""
    options, reads = GOLDEN[name]
    text = f'{{"digests":{{}},"extractor":"{name}","options":{options},"reads":["{reads}"],"version":2}}'
    assert make_extractor(name).key == f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def test_options_and_tags():
    assert Frames(count=7).key != Frames().key
    tagged, plain = make_extractor("egemaps.functionals"), make_extractor("egemaps[level=functionals]")
    assert tagged.spec() == plain.spec()
    assert tagged.key.startswith("egemaps.functionals-")
    assert plain.key == tagged.key


def test_an_extractor_that_defines_nothing_says_so():
    with pytest.raises(TypeError, match="defines no extract"):
        Extractor().extract(Clip("a"))
    with pytest.raises(TypeError, match="defines no load"):
        ModelExtractor().extract(Clip("a"))
    with pytest.raises(TypeError, match="defines no encode"):
        ModelExtractor().encode([])
