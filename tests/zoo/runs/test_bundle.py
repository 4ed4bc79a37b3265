"""A shared run is the run, to the bit, without what belongs to the machine; and any change to it is refused."""

import json
import shutil

import pytest
from click.testing import CliRunner
from conftest import TESTS

from featzoo.cli import zoo
from featzoo.errors import FeatzooError, InvalidOption
from featzoo.weights.download import NoNetwork
from featzoo.zoo.runs.bundle import pull, push
from featzoo.zoo.runs.folder import RunFolder

RUN = TESTS / "fixtures" / "0.1.0" / "runs" / "lf-dnn"


@pytest.fixture
def bundle(tmp_path):
    push(RUN, str(tmp_path / "shared" / "lf-dnn"))
    return tmp_path / "shared" / "lf-dnn"


def test_a_pushed_and_pulled_run_has_the_same_weights(bundle, tmp_path):
    place = pull(str(bundle), tmp_path / "runs")
    assert place == tmp_path / "runs" / "lf-dnn"
    for name in ("weights.safetensors", "statistics.safetensors", "recipe.toml", "features.json", "metrics.json"):
        assert (place / name).read_bytes() == (RUN / name).read_bytes(), name
    assert RunFolder.open_finished(place).recipe == RunFolder.open_finished(RUN).recipe


def test_a_bundle_names_no_host_and_no_path(bundle):
    told = json.loads((bundle / "environment.json").read_text())
    assert "host" not in told
    assert told["store"] == RunFolder.open(RUN).store.name


def test_a_bundle_has_neither_pickles_nor_labels(tmp_path):
    run = shutil.copytree(RUN, tmp_path / "run")
    (run / "resume.pt").write_bytes(b"\x80\x04N.")
    (run / "tensorboard").mkdir(exist_ok=True)
    (run / "tensorboard" / "events").write_bytes(b"x")
    (run / "elsewhere").symlink_to(tmp_path)
    push(run, str(tmp_path / "shared"))
    names = {path.name for path in (tmp_path / "shared").rglob("*")}
    assert not names & {"resume.pt", "events", "elsewhere", "predictions.csv"}
    push(run, str(tmp_path / "with"), predictions=True)
    assert (tmp_path / "with" / "predictions.csv").read_bytes() == (RUN / "predictions.csv").read_bytes()


def test_a_changed_file_is_refused_when_pulled_and_when_used(bundle, tmp_path):
    place = pull(str(bundle), tmp_path / "runs")
    for folder, use in ((bundle, lambda: pull(str(bundle), tmp_path / "more")), (place, None)):
        weights = folder / "weights.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
        with pytest.raises(FeatzooError, match=r"weights\.safetensors is not the file that its bundle lists"):
            use() if use else RunFolder.open_finished(place)
    assert not (tmp_path / "more").exists() or not any((tmp_path / "more").iterdir())


def test_only_files_inside_a_bundle_are_copied(bundle, tmp_path):
    (bundle / "more.pkl").write_bytes(b"\x80\x04N.")
    assert not (pull(str(bundle), tmp_path / "runs") / "more.pkl").exists()
    (tmp_path / "secret").write_text("x")
    for name in ("../../secret", "/etc/hostname", "a\\b", "C:x", ""):
        (bundle / "digests.json").write_text(json.dumps({name: "0" * 64}))
        with pytest.raises(FeatzooError, match="expected paths inside the bundle"):
            pull(str(bundle), tmp_path / "runs", "other")


def test_a_list_without_the_weights_is_refused(bundle, tmp_path):
    listed = json.loads((bundle / "digests.json").read_text())
    del listed["weights.safetensors"]
    (bundle / "digests.json").write_text(json.dumps(listed))
    with pytest.raises(FeatzooError, match=r"does not list weights\.safetensors: the bundle is incomplete"):
        pull(str(bundle), tmp_path / "runs")
    assert not (tmp_path / "runs" / "lf-dnn").exists()


def test_nothing_is_overwritten(bundle, tmp_path):
    with pytest.raises(FeatzooError, match="exists: choose a new folder"):
        push(RUN, str(bundle))
    pull(str(bundle), tmp_path / "runs")
    with pytest.raises(FeatzooError, match="exists: choose another name"):
        pull(str(bundle), tmp_path / "runs")
    with pytest.raises(FeatzooError, match=r"is not a bundle: digests\.json cannot be read"):
        pull(str(RUN), tmp_path / "runs", "new")


def test_the_hub_is_named_by_owner_and_name(monkeypatch, tmp_path):
    for wrong in ("hub:me", "hub:me/", "hub:a/b/c"):
        with pytest.raises(InvalidOption, match="expected hub:owner/name"):
            push(RUN, wrong)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing answers there
    with pytest.raises(NoNetwork, match="cannot download me/run"):
        pull("hub:me/run@main", tmp_path)


def test_the_commands_share_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(zoo, ["push", str(RUN), "shared"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(zoo, ["pull", "shared", "--name", "mine"])
    assert done.output == "runs/mine: digests checked\n"
    done = CliRunner().invoke(zoo, ["pull", "nowhere"])
    assert done.exit_code == 1
    assert "is not a bundle" in done.output
