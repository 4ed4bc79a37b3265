"""ONNX files of heads, read by onnxruntime outside of featzoo."""

import json

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner

from featzoo import FeatureStore
from featzoo.cli import zoo
from featzoo.zoo.runs.folder import RunFolder

NUMBER = ['target.columns=["sentiment"]', "target.kind=number", "target.weights=none", "target.metrics=regression"]
CHANGES = {"lf-dnn": [], "mlp": ['inputs.audio.features=["egemaps"]', *NUMBER]}


def trained(recipe, store, runs):
    words = ["train", recipe, "--store", store, "--runs", runs, "--epochs", "1", "--device", "cpu"]
    words += [word for change in CHANGES[recipe] for word in ("--set", change)]
    done = CliRunner().invoke(zoo, list(map(str, words)))
    assert done.exit_code == 0, done.output
    (run,) = runs.iterdir()
    return run


def export(run, path):
    return CliRunner().invoke(zoo, ["export", str(run), "--onnx", str(path)])


# The export of several inputs takes over ten seconds.
@pytest.mark.parametrize("recipe", [pytest.param("lf-dnn", marks=pytest.mark.slow), "mlp"])
def test_onnxruntime_predicts_from_stored_features_what_the_run_recorded(recipe, small_store, tmp_path, monkeypatch):
    """Features go in as they are stored, padded with anything, NaN where not observed: one clip, and several."""
    run = trained(recipe, small_store, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(zoo, ["export", str(run), "--onnx"])  # head.onnx by default
    assert done.exit_code == 0, done.output
    assert "takes minutes" in done.stderr
    session = onnxruntime.InferenceSession(tmp_path / "head.onnx", providers=["CPUExecutionProvider"])
    said = json.loads(session.get_modelmeta().custom_metadata_map["featzoo"])
    store, recorded = FeatureStore(small_store), RunFolder.open(run).predictions("test")
    for ids in (recorded.ids, recorded.ids[2:3]):
        given = {}
        for role, one in said["inputs"].items():
            arrays = [store[one["set"]][clip].features for clip in ids]
            longest = max(map(len, arrays))
            values = np.full((len(ids), longest, arrays[0].shape[1]), 7.0, np.float32)
            for row, array in enumerate(arrays):
                values[row, : len(array)] = array
            given[role] = values
            given[f"{role}_mask"] = np.arange(longest) < np.array([len(each) for each in arrays])[:, None]
        (found,) = session.run(["prediction"], given)
        rows = [recorded.ids.index(clip) for clip in ids]
        np.testing.assert_allclose(found, recorded.pred[rows], atol=1e-4)


def test_a_head_that_cannot_be_exported_says_why_and_leaves_no_file(small_store, tmp_path, monkeypatch):
    from featzoo.zoo.heads.pooled.networks import Mlp

    run = trained("mlp", small_store, tmp_path / "runs")
    whole = Mlp.forward

    def branches(self, inputs):
        if inputs["audio"].values.sum() > 0:  # a graph cannot follow this
            return whole(self, inputs)
        return {"prediction": whole(self, inputs)["prediction"] * 2}

    monkeypatch.setattr(Mlp, "forward", branches)
    done = export(run, tmp_path / "head.onnx")
    assert done.exit_code == 1
    assert "head mlp cannot be exported" in done.output
    assert not (tmp_path / "head.onnx").exists()
