"""The real py-feat in the child process, on weights made here, against py-feat called directly in another process."""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import UNEVEN, turn, write_video

from featzoo.errors import InvalidOption, MissingPackage, MissingWeights
from featzoo.extractors.contract import make_extractor
from featzoo.extractors.vision.action_units import FACET, ActionUnits, as_facet, evidence, one_face
from featzoo.extractors.vision.pyfeat_process import PyFeat, Question, Settings, Table
from featzoo.extractors.vision.pyfeat_weights import pyfeat_weights
from featzoo.media.clip import Clip
from featzoo.testing import check_extractor
from featzoo.weights.imports import installed

PYFEAT = Path(__file__).with_name("pyfeat_for_tests.py")
pyfeat = pytest.mark.skipif(not installed("feat"), reason="py-feat is not installed: make test-action-units")
UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43)
ALL_V2 = ("aus", "emotions", "pose", "box", "landmarks", "gaze", "affect", "blendshapes", "mesh")


def outside(*arguments):
    """Run py-feat itself in another process, with one thread as the tests' extractors have."""
    command = [sys.executable, str(PYFEAT), *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def hub(made, tmp_path_factory):
    """Weights laid out as the hub's cache, with which 4 of the 8 frames of talk.mp4 have a face, some two."""
    import torch

    folder = tmp_path_factory.mktemp("pyfeat")
    shots = list(Clip("talk", made / "talk.mp4").frames(rate=4.0))
    np.save(folder / "frames.npy", np.stack([shot.image for shot in shots]))
    outside("make", folder, folder / "frames.npy")
    threads, before = torch.get_num_threads(), os.environ.get("FEATZOO_WEIGHTS")
    torch.set_num_threads(1)
    os.environ["FEATZOO_WEIGHTS"] = str(folder)
    yield folder
    torch.set_num_threads(threads)
    os.environ.pop("FEATZOO_WEIGHTS")
    if before is not None:
        os.environ["FEATZOO_WEIGHTS"] = before


def direct(hub, detector, batch_size, target):
    outside("detect", hub, detector, hub / "frames.npy", batch_size, 0.5, target)
    with np.load(target) as found:
        return [str(name) for name in found["names"]], found["values"]


def naive(names, table, wanted, count, face):
    """The rows that are wanted from py-feat's own table, one frame after the other."""
    rows = np.full((count, len(wanted)), np.nan)
    for frame in range(count):
        faces = [dict(zip(names, row, strict=True)) for row in table if row[names.index("frame")] == frame]
        assert faces, "py-feat gives a row for each frame"
        faces = [each for each in faces if not np.isnan(each["FaceRectX"])]
        if face == "largest":
            faces.sort(key=lambda each: -each["FaceRectWidth"] * each["FaceRectHeight"])
        if faces:
            rows[frame] = [faces[0][name] for name in wanted]
    return rows


@pyfeat
@pytest.mark.parametrize(
    ("detector", "columns"), [("v2", ALL_V2), ("v1", ("aus", "pose", "box", "landmarks"))], ids=["v2", "v1"]
)
def test_equals_pyfeat_called_directly(hub, made, tmp_path, detector, columns):
    names, table = direct(hub, detector, 4, tmp_path / "table.npz")
    clip = Clip("talk", made / "talk.mp4")
    shots = list(clip.frames(rate=4.0))
    for face in ("largest", "first"):
        extractor = ActionUnits(detector=detector, columns=columns, rate=4.0, face=face, batch_size=4)
        extractor.prepare()
        found = extractor.extract(clip)
        expected = naive(names, table, found.names, len(shots), face)
        # the same networks on the same frames in the same batches, with one thread: equal but for rounding to float32
        np.testing.assert_allclose(found.features, expected, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(found.intervals, [(shot.start, shot.end) for shot in shots])
        empty = np.isnan(found.features).all(axis=1)
        assert 0 < empty.sum() < len(shots)
        np.testing.assert_array_equal(np.isnan(found.features).any(axis=1), empty)
    assert len(table) > len(shots), "some frame has two faces, so that there is a choice"
    assert found.names[:20] == tuple(f"AU{n:02d}" for n in UNITS)
    units = found.features[~empty][:, :20]
    assert ((units >= 0) & (units <= 1)).all()
    assert (units.std(axis=1) > 1e-4).all()


@pyfeat
def test_the_contract(hub, made):
    found = check_extractor(make_extractor("action-units[rate=4.0]"), Clip("talk", made / "talk.mp4"))
    assert found.features.shape == (8, 20 + 7 + 6 + 5)


@pyfeat
def test_facet_layout(hub, made):
    clip = Clip("talk", made / "talk.mp4")
    plain = ActionUnits(rate=4.0).extract(clip)
    facet = ActionUnits(rate=4.0, layout="facet").extract(clip)
    assert facet.names == FACET
    there = ~np.isnan(plain.features[:, 0])
    np.testing.assert_array_equal(np.isnan(facet.features[:, FACET.index("AU1")]), ~there)
    odds = plain.features[there, plain.names.index("AU12")]
    evidences = facet.features[there, FACET.index("AU12")]
    np.testing.assert_allclose(10**evidences, odds / (1 - odds), rtol=1e-4)
    turned = plain.features[there, plain.names.index("Yaw")] * 180 / np.pi
    np.testing.assert_allclose(facet.features[there, FACET.index("Yaw")], turned, rtol=1e-5)
    unknown = [name for name, column in zip(FACET, facet.features[there].T, strict=True) if np.isnan(column).all()]
    assert unknown == ["Contempt", "Baseline", "Confusion", "Frustration", "AU18", "Has_Glasses", "Is_Male"]


@pyfeat
def test_frames_of_many_clips_and_sizes(hub, made, tmp_path):
    """Batches cross clips, and never mix sizes; a shrunk picture's box is in pixels of its own."""
    from conftest import moving_picture

    large = write_video(tmp_path / "large.mp4", count=3, picture=lambda n: moving_picture(n, 192, 256))
    turned = turn(write_video(tmp_path / "turned.mp4", count=3))
    clips = [Clip("a", large), Clip("b", made / "uneven.mkv"), Clip("c", turned)]
    extractor = ActionUnits(columns=("box", "aus"), rate=5.0, longest=128, threshold=0.0, batch_size=4)
    samples = [(sample, number) for number, clip in enumerate(clips) for sample in extractor.load(clip)]
    together = extractor.encode([sample for sample, _ in samples])
    for number, clip in enumerate(clips):
        alone = extractor.extract(clip)
        parts = [part for part, (_, owner) in zip(together, samples, strict=True) if owner == number]
        found = np.concatenate([part.features for part in parts])
        np.testing.assert_allclose(found, alone.features, rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(
            np.concatenate([part.intervals for part in parts]),
            [(shot.start, shot.end) for shot in clip.frames(rate=5.0)],
        )
    starts = extractor.extract(clips[1]).intervals[:, 0]
    on_the_fifth = np.isclose((starts * 5).round(), starts * 5)
    assert (on_the_fifth | np.isin(starts.round(3), np.round(UNEVEN, 3))).all(), "a fifth, or a later frame"
    raw = ActionUnits(columns=("box",), rate=5.0, longest=None, threshold=0.0)
    images = [sample.images[0].shape for sample, _ in samples]
    assert images[0] == (96, 128, 3)
    assert images[-1] == (64, 48, 3), "a quarter turn: upright"
    assert next(iter(raw.load(clips[0]))).images[0].shape == (192, 256, 3)


@pyfeat
def test_boxes_are_in_pixels_of_the_frame(hub, tmp_path):
    from conftest import moving_picture

    large = write_video(tmp_path / "large.mp4", count=1, picture=lambda n: moving_picture(n, 192, 256))
    extractor = ActionUnits(columns=("box",), rate=None, longest=128, threshold=0.0)
    (sample,) = extractor.load(Clip("a", large))
    same = sample.__class__(sample.images, [1.0], sample.intervals)
    shrunk, plain = (extractor.encode([each])[0].features[0] for each in (sample, same))
    np.testing.assert_allclose(shrunk, plain * [2, 2, 2, 2, 1], rtol=1e-6)


@pyfeat
def test_the_worker_is_left_as_it_is(hub, made):
    import torch

    before = dict(os.environ)
    assert torch.is_grad_enabled()
    ActionUnits(rate=2.0).extract(Clip("talk", made / "talk.mp4"))
    assert torch.is_grad_enabled()
    assert "feat" not in sys.modules
    assert dict(os.environ) == before


@pyfeat
def test_a_child_that_fails_goes_on_and_one_that_is_killed_is_replaced(hub, made):
    from featzoo.extractors.vision import action_units

    clip = Clip("talk", made / "talk.mp4")
    extractor = ActionUnits(rate=1.0, columns=("aus",))
    first = extractor.extract(clip)
    (child,) = [each for (_, settings, _), each in action_units._processes.items() if settings.detector == "v2"]
    with pytest.raises(RuntimeError, match=r"\w+Error: "):
        child.detect(Question(np.zeros((1, 4), np.uint8), ("aus",), 0.5))
    np.testing.assert_array_equal(extractor.extract(clip).features, first.features)
    child.process.kill()
    with pytest.raises(RuntimeError, match="ended with -9"):
        child.detect(Question(np.zeros((1, 48, 64, 3), np.uint8), ("aus",), 0.5))
    np.testing.assert_array_equal(extractor.extract(clip).features, first.features)


@pyfeat
def test_weights_that_do_not_fit_are_named(hub, tmp_path):
    from safetensors.numpy import save_file

    torn = tmp_path / "x.safetensors"
    save_file({"x": np.zeros(1, np.float32)}, torn)
    weights = tuple((repository, name, str(torn)) for repository, name, _ in pyfeat_weights("v2", ()))
    with pytest.raises(Exception, match="detector v2 cannot be made"):
        PyFeat(Settings("v2", (), "cpu", weights), 1)


ORPHAN = """
import sys
from featzoo.extractors.vision.pyfeat_process import PyFeat, Settings
from featzoo.extractors.vision.pyfeat_weights import pyfeat_weights
child = PyFeat(Settings("v2", (), "cpu", pyfeat_weights("v2", ())), 1)
print(child.process.pid, flush=True)
sys.stdin.read()
"""


@pyfeat
def test_the_child_ends_with_its_worker(hub):
    worker = subprocess.Popen([sys.executable, "-c", ORPHAN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child = int(worker.stdout.readline())
    assert Path(f"/proc/{child}").exists()
    worker.kill()  # as a watchdog does
    worker.communicate()
    for _ in range(200):
        if not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text():
            break
        time.sleep(0.1)
    else:
        pytest.fail("the child outlived its worker by 20 seconds")


@pyfeat
def test_digests_are_of_the_files(hub, tmp_path, monkeypatch):
    here = ActionUnits(columns=("aus",))
    assert set(here.digests()) == {
        "py-feat/retinaface_r34/model.safetensors",
        "py-feat/face_multitask_v2/face_multitask_v28.safetensors",
    }
    before = here.key
    plain = tmp_path / "weights"
    for repository, name, path in pyfeat_weights("v2", ("aus",)):
        (plain / repository).mkdir(parents=True)
        (plain / repository / name).write_bytes(Path(path).read_bytes())
    monkeypatch.setenv("FEATZOO_WEIGHTS", str(plain))
    assert here.key == before
    (plain / repository / name).write_bytes(b"other")
    assert here.key != before


def nowhere(monkeypatch, folder):
    for name in ("FEATZOO_WEIGHTS", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(folder))
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE", "SENTENCE_TRANSFORMERS_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_missing_weights_say_what_where_and_how(monkeypatch, tmp_path):
    nowhere(monkeypatch, tmp_path)
    with pytest.raises(MissingWeights) as caught:
        ActionUnits().digests()
    first, rest = str(caught.value).split("\n", 1)
    assert "py-feat/retinaface_r34" in first
    assert "feat weights get py-feat/face_multitask_v2" in first
    assert str(tmp_path) in rest
    assert "face_multitask_v28.safetensors" in rest
    assert set(caught.value.models) == {"py-feat/retinaface_r34", "py-feat/face_multitask_v2"}
    with pytest.raises(MissingWeights, match="feat weights get py-feat/xgb_au"):
        ActionUnits(detector="v1").digests()
    with pytest.raises(MissingWeights) as caught:
        ActionUnits(columns=("identity",)).digests()
    assert "arcface_r50" in str(caught.value)
    assert "arcface_r50" not in first, "what no column needs is not asked for"


@pyfeat
def test_a_run_without_weights_ends_at_once(monkeypatch, tmp_path):
    nowhere(monkeypatch, tmp_path)
    with pytest.raises(MissingWeights):
        ActionUnits().prepare()


@pytest.mark.skipif(installed("feat"), reason="py-feat is installed")
def test_missing_package_says_what_to_type():
    with pytest.raises(MissingPackage, match=r"py-feat is not installed: pip install 'featzoo\[action-units\]'"):
        ActionUnits().prepare()


def test_wrong_options():
    wrong = {
        "columns=[]": "some of aus",
        'columns=["aus","aus"]': "each once",
        'columns=["au"]': "must be one of aus",
        'layout=facet,columns=["aus"]': "leave out",
        'detector=v1,columns=["mesh"]': "v1 has no",
        "rate=0.0": "positive",
        "longest=10": "at least 64",
        "threshold=2.0": "within 0 and 1",
    }
    for options, reason in wrong.items():
        with pytest.raises(InvalidOption, match=reason):
            make_extractor(f"action-units[{options}]")


def test_pieces_are_small(made):
    """What is held of a clip does not grow with its length."""
    pieces = list(ActionUnits(rate=None).load(Clip("talk", made / "talk.mp4")))
    assert [len(piece) for piece in pieces] == [16, 16, 16, 2]


def test_one_face_of_each_frame():
    boxes = np.array([[0, 0, 5, 5], [9, 9, 8, 8], [np.nan] * 4, [1, 1, 2, 2.0]])
    table = Table(("a", "b"), np.array([0, 0, 1, 2]), boxes, np.arange(8.0).reshape(4, 2))
    largest = one_face(table, 3, "largest", 20, 20)
    np.testing.assert_array_equal(largest, [[2, 3], [np.nan, np.nan], [6, 7]])
    np.testing.assert_array_equal(one_face(table, 3, "first", 20, 20)[0], [0, 1])


def test_evidence_is_log10_of_the_odds():
    np.testing.assert_allclose(evidence(np.array([0.5, 10 / 11, 1 / 101])), [0, 1, -2], atol=1e-12)
    np.testing.assert_allclose(evidence(np.array([0.0, 1.0])), [-6, 6], atol=1e-6)
    assert np.isnan(evidence(np.array([np.nan])))[0]


@pytest.mark.data
def test_names_and_ranges_of_real_exports(data):
    """py-feat's own export and iMotions' of FACET: their columns are ours, their values in the ranges we give."""
    folder = data / "media" / "au_reference"
    with (folder / "pyfeat_Feat_Test.csv").open() as file:
        rows = list(csv.DictReader(file))
    units = [name for name in rows[0] if name.startswith("AU")]
    assert units == [f"AU{n:02d}" for n in UNITS]
    emotions = ["anger", "disgust", "fear", "happiness", "sadness", "surprise"]
    values = np.array([[float(row[name]) for name in [*units, *emotions]] for row in rows])
    mapped = as_facet([*units, *emotions], values)
    assert ((values >= 0) & (values <= 1)).all()
    named = [name for name, column in zip(FACET, mapped.T, strict=True) if not np.isnan(column).any()]
    assert len(named) == 6 + 19  # AU11 is not among FACET's, AU18 not among py-feat's
    lines = (folder / "pyfeat_iMotions_Test_v6.txt").read_text(encoding="utf-8-sig", errors="replace").splitlines()
    head = next(n for n, line in enumerate(lines) if "Joy Evidence" in line)
    exported = list(csv.DictReader(lines[head:], delimiter="\t"))
    evidences = []
    for name in named:
        column = [float(row[f"{name} Evidence"]) for row in exported if row[f"{name} Evidence"]]
        assert column, f"iMotions has no {name}"
        evidences += column
    # theirs, too, is log10 of odds: of both signs, and mostly within the 6 at which ours is cut
    assert min(evidences) < 0 < max(evidences)
    assert np.mean(np.abs(evidences) <= 6) > 0.95
