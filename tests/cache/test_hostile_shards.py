"""A shard that somebody else made cannot read other files, take memory or crash: it is named, and the rest is read."""

import json
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest

from featzoo.cache.store import FeatureStore

pytestmark = pytest.mark.hostile

SECRET = b"a secret of this machine" * 20  # in the files that a shard points to
ROWS, COLUMNS = 12, 3


def replace(name, **made):
    """A change that makes a dataset anew with the arguments of h5py."""

    def change(file, secret):
        del file[name]
        file.create_dataset(name, **made)

    return change


def external_storage(file, secret):
    del file["features"]
    size = ROWS * COLUMNS * 4
    file.create_dataset("features", (ROWS, COLUMNS), "<f4", external=[(str(secret), 0, size)])


def external_link(file, secret):
    with h5py.File(secret.with_suffix(".h5"), "w") as other:
        other["features"] = np.zeros((ROWS, COLUMNS), "<f4")
    del file["features"]
    file["features"] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "features")


def soft_link(file, secret):
    del file["features"]
    file["features"] = h5py.SoftLink("/intervals")


def virtual(file, secret):
    with h5py.File(secret.with_suffix(".h5"), "w") as other:
        other["features"] = np.zeros((ROWS, COLUMNS), "<f4")
    layout = h5py.VirtualLayout((ROWS, COLUMNS), "<f4")
    layout[:] = h5py.VirtualSource(str(secret.with_suffix(".h5")), "features", (ROWS, COLUMNS))
    del file["features"]
    file.create_virtual_dataset("features", layout)


def pointers(file, secret):
    """Texts of variable length, whose bytes in the file are addresses in a process that maps them as objects."""
    del file["features"]
    file.create_dataset("features", (ROWS, COLUMNS), h5py.string_dtype())[:] = "x"


def group(file, secret):
    del file["features"]
    file.create_group("features")


FALLING = np.array([0, 8, 4, ROWS], "<i8")
BEYOND = np.array([0, 4, 8, 10**15], "<i8")
HOSTILE = {
    "external storage": external_storage,
    "an external link": external_link,
    "a soft link": soft_link,
    "a virtual dataset": virtual,
    "pointers": pointers,
    "a group": group,
    "chunks": replace("features", data=np.zeros((ROWS, COLUMNS), "<f4"), chunks=(1, COLUMNS)),
    "compression": replace("features", data=np.zeros((ROWS, COLUMNS), "<f4"), compression="gzip"),
    "a huge shape": replace("features", shape=(10**15, COLUMNS), dtype="<f4"),
    "a compound type": replace("features", data=np.zeros((ROWS, COLUMNS), [("a", "<f4"), ("b", "<i8")])),
    "offsets that fall": replace("offsets", data=FALLING),
    "offsets beyond the rows": replace("offsets", data=BEYOND),
    "offsets that are not whole": replace("offsets", data=np.array([0, 4.5, 8, ROWS])),
    "ids of variable length": replace("clip_ids", data=["a", "b", "c"], dtype=h5py.string_dtype()),
    "fewer ids": replace("clip_ids", data=np.array([b"a", b"b"])),
    "no intervals": lambda file, secret: file.__delitem__("intervals"),
    "intervals of another type": replace("intervals", data=np.zeros((ROWS, 2), "<i8")),
    "a format that is text": lambda file, secret: file.attrs.__setitem__("format", "2"),
    "a format that is an array": lambda file, secret: file.attrs.__setitem__("format", np.full(10, 2)),
}
NOT_NUMBERS = {
    "external storage", "a virtual dataset", "pointers", "chunks", "compression", "a huge shape", "a compound type"
}  # fmt: skip
# In a process of its own, which may crash: what each reader says of the clips of the store with the changed shard.
READ = """
import json, sys, warnings
from featzoo import FeatureStore, reader
from featzoo.errors import FeatzooError
warnings.simplefilter("ignore")
for path in sys.argv[1:]:
    store, said = FeatureStore(path), {}
    for clip in ("a", "good"):
        try:
            said[clip] = store["x"][clip].features.tobytes().hex()
        except FeatzooError as error:
            said[clip] = f"refused: {error}"
        try:
            said[f"{clip} in reader.py"] = reader.Store(path).read("x", clip)[0].tobytes().hex()
        except (KeyError, ValueError) as error:
            said[f"{clip} in reader.py"] = f"refused: {error}"
    print(json.dumps(said), flush=True)
"""
GOOD = np.ones((ROWS // 3, COLUMNS), np.float32)


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What the readers say, by what was done to the shard."""
    top = tmp_path_factory.mktemp("hostile")
    (top / "secret").write_bytes(SECRET)
    template = FeatureStore.create(top / "template")
    template.add("x", {"good": GOOD})
    before = {place.name for place in (template["x"].folder / "shards").iterdir()}
    template.add("x", dict.fromkeys("abc", GOOD))
    places = []
    for number, change in enumerate(HOSTILE.values()):
        places.append(shutil.copytree(template.path, top / str(number)))
        (shard,) = (place for place in places[-1].glob("x-*/shards/*.h5") if place.name not in before)
        with h5py.File(shard, "r+") as file:
            change(file, top / "secret")
    done = subprocess.run([sys.executable, "-c", READ, *places], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return dict(zip(HOSTILE, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_shard_is_refused_and_the_others_are_read(said, name):
    assert said[name]["a"].startswith("refused: x-")
    assert "1 of its shards cannot be read" in said[name]["a"]
    assert said[name]["good"] == said[name]["good in reader.py"] == GOOD.tobytes().hex()
    other = said[name]["a in reader.py"]
    assert other.startswith("refused: ") or other == GOOD.tobytes().hex()
    assert ("is not numbers in one piece" in other) == (name in NOT_NUMBERS)
