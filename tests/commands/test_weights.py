"""`feat weights` and `--weights`: what they say and fetch, and that nothing waits for a network that is not there.

Downloads run for real, through the libraries that own the models, from a server on this machine that answers as the
hub's documented API does.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import make_bert, tone, write_wav
from plugins_for_tests import Loudness

from featzoo.cache.store import FeatureStore
from featzoo.cli import feat
from featzoo.errors import InvalidOption, MissingWeights
from featzoo.weights import download
from featzoo.weights.catalogue import KNOWN, Weights

COMMIT = "a" * 40
HELD = ("org/model", "py-feat/svm_au")
# Nothing listens there: a connection is refused at once.
NOBODY = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Licensed(Loudness):
    """Computes with a model whose licence is known, and forbids commercial use."""

    name = "licensed"

    def provenance(self):
        return {"model": "MCG-NJU/videomae-base"}


class Hub(BaseHTTPRequestHandler):
    """The hub's API for the repositories HELD, and plain files: `server.files` maps names to contents."""

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        path = self.path.partition("?")[0]
        files = self.server.files
        headers = {}
        if path.startswith(tuple(f"/api/models/{name}/tree/" for name in HELD)):
            content = json.dumps([entry(name, files[name]) for name in files]).encode()
        elif path.startswith(tuple(f"/api/models/{name}" for name in HELD)):
            content = json.dumps({"id": "model", "sha": COMMIT, "siblings": []}).encode()
        elif path.rpartition("/")[2] in files:
            content = files[path.rpartition("/")[2]]
            headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        else:
            content, headers = b"", {"X-Error-Code": "RepoNotFound"}
        self.send_response(404 if "X-Error-Code" in headers else 200)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)
        self.server.asked.append(f"{self.command} {path}")

    def log_message(self, *given):
        pass


def entry(name, content):
    digest = hashlib.sha256(content).hexdigest()
    return {"type": "file", "path": name, "size": len(content), "oid": digest[:40], "lfs": None}


@pytest.fixture
def server():
    """A server on this machine; its `files` are what it hands out, `asked` what was asked for."""
    made = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    made.files, made.asked = {}, []
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A newcomer's: empty, and without a network."""
    for name in list(os.environ):
        if name.upper() in ("HTTP_PROXY", "HTTPS_PROXY") or name.startswith(("HF_", "FEATZOO_WEIGHTS", "TORCH_HOME")):
            monkeypatch.delenv(name)
    # Set, so that what --weights sets is taken back.
    monkeypatch.setenv("FEATZOO_WEIGHTS", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / ".cache"))
    return tmp_path / "home"


def run(*words):
    return CliRunner().invoke(feat, [str(word) for word in words])


def feat_process(*words, **environment):
    """In its own process: huggingface_hub reads its variables when it is imported."""
    command = [Path(sys.executable).with_name("feat"), *map(str, words)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_list_names_every_model_and_how_to_get_it(home):
    done = run("weights", "list")
    assert done.exit_code == 0, done.output
    for each in KNOWN:
        assert f" {each.name}  (" in done.output
        assert each.licence in done.output
    assert "ok all-MiniLM-L6-v2" in done.output
    assert "-- bert-base-uncased  (440 MB)  for bert, bert.ids" in done.output
    assert "feat weights get resnet50" in done.output
    assert "feat weights get COVAREP" not in done.output
    assert "covarep[creak_weights=" in done.output
    assert "--weights weights" in done.output
    assert str(home / ".cache" / "huggingface" / "hub") in done.output


def test_list_and_where_find_what_is_here(home, random_bert, tmp_path):
    shutil.copytree(random_bert, tmp_path / "weights" / "bert-base-uncased")
    place = str(tmp_path / "weights" / "bert-base-uncased")
    assert place in run("weights", "list", "--weights", tmp_path / "weights").output
    found = run("weights", "where", "bert-base-uncased", "--weights", tmp_path / "weights")
    assert found.exit_code == 0, found.output
    assert f"ok {place}: used" in found.output
    digest = hashlib.sha256((random_bert / "model.safetensors").read_bytes()).hexdigest()
    assert digest in found.output
    assert "but 68d45e234eb4" in found.output  # it is not Google's
    os.environ["FEATZOO_WEIGHTS"] = ""
    absent = run("weights", "where", "bert-base-uncased")
    assert absent.exit_code == 1
    assert (
        f"{home / '.cache' / 'huggingface' / 'hub' / 'models--google-bert--bert-base-uncased'}: not there"
        in absent.output
    )
    assert "feat weights get bert-base-uncased" in absent.output
    assert run("weights", "list", "--weights", tmp_path / "nowhere").exit_code == 2
    assert "give the folder that contains it" in run("weights", "list", "--weights", random_bert).output


def test_without_a_network_get_says_what_does_not_answer(home):
    for environment, why in (
        ({"HF_ENDPOINT": NOBODY}, "127.0.0.1 does not answer"),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        ({"HF_ENDPOINT": "http://hub.invalid"}, "hub.invalid does not answer"),  # RFC 2606: it never resolves
        ({"HTTPS_PROXY": NOBODY}, "127.0.0.1 does not answer"),
    ):
        done = feat_process("weights", "get", "bert-base-uncased", **environment)
        assert done.returncode == 1
        assert why in done.stderr
        assert "feat weights get bert-base-uncased --to weights" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    """A name server or firewall that swallows packets: 192.0.2.0/24 is for documentation (RFC 5737)."""
    monkeypatch.setattr(download, "PROBE_SECONDS", 0.3)
    with pytest.raises(download.NoNetwork, match=r"192\.0\.2\.1 does not answer"):
        download.reach("https://192.0.2.1", "m")


def test_get_from_the_hub(home, server, tmp_path):
    """Weights in one form and settings, into the hub's cache, where a run then finds them; or into a folder to copy."""
    folder = make_bert(tmp_path / "model")
    server.files = {path.name: path.read_bytes() for path in folder.iterdir()}
    server.files |= {"pytorch_model.bin": b"the same weights again", "README.md": b"words"}
    there = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
    done = feat_process("weights", "get", "org/model", **there)
    assert done.returncode == 0, done.stderr
    cached = home / ".cache" / "huggingface" / "hub" / "models--org--model" / "snapshots" / COMMIT
    assert f"installed: {cached}" in done.stdout
    assert "ok " in run("weights", "where", "org/model").output
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (cached / name).read_bytes() == server.files[name]
    assert not any("pytorch_model.bin" in each or "README" in each for each in server.asked)
    done = feat_process("weights", "get", "org/model", "--to", tmp_path / "weights", **there)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "weights" / "org" / "model" / "model.safetensors").is_file()
    assert "--weights" in done.stdout
    refused = feat_process("weights", "get", "org/other", **there)
    assert refused.returncode == 1
    assert "org/other was not downloaded" in refused.stderr


def test_get_from_an_archive(home, server, tmp_path):
    files = ("v.50d.txt", "v.300d.txt")
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as packed:
        for name in (*files, "other.txt"):
            packed.writestr(name, f"the {name}\n")
    server.files = {"v.zip": (tmp_path / "v.zip").read_bytes()}
    address = f"http://127.0.0.1:{server.server_port}/v.zip"
    digest = hashlib.sha256(server.files["v.zip"]).hexdigest()
    good = Weights("v", "archive", address, "x", ("glove",), digests={"v.zip": digest}, files=files)
    place = download._from_archive(good, tmp_path / "to")
    assert place == tmp_path / "to" / "v.300d.txt"
    assert {path.name: path.read_text() for path in (tmp_path / "to").iterdir()} == {n: f"the {n}\n" for n in files}
    bad = Weights("v", "archive", address, "x", ("glove",), digests={"v.zip": "0" * 64}, files=files)
    with pytest.raises(MissingWeights, match="does not match the digest"):
        download._from_archive(bad, tmp_path / "bad")
    assert list((tmp_path / "bad").iterdir()) == []


def test_get_a_checkpoint(home, server, tmp_path):
    import torch

    torch.save({"a": torch.ones(3)}, tmp_path / "a.pth")
    content = (tmp_path / "a.pth").read_bytes()
    good, bad = f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth", "net-00000000.pth"
    server.files = {good: content, bad: content}
    address = f"http://127.0.0.1:{server.server_port}"
    assert download._checkpoint(f"{address}/{good}", tmp_path / "to").read_bytes() == content
    with pytest.raises(MissingWeights, match="does not match the digest in its name"):
        download._checkpoint(f"{address}/{bad}", tmp_path / "to")
    assert [path.name for path in (tmp_path / "to").iterdir()] == [good]


def test_pyfeats_models_keep_the_layout_of_its_folder(home, server, tmp_path):
    """All their files, whatever their form: py-feat's older models are not safetensors."""
    server.files = {"svm_68.skops": b"numbers", "config.json": b"{}"}
    there = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
    done = feat_process("weights", "get", "py-feat/svm_au", "--to", tmp_path / "weights", **there)
    assert done.returncode == 0, done.stderr
    place = tmp_path / "weights" / "models--py-feat--svm_au" / "snapshots" / COMMIT
    assert (place / "svm_68.skops").read_bytes() == b"numbers"


def test_get_refuses_what_nobody_hands_out(home):
    with pytest.raises(InvalidOption, match="Give your own copy"):
        download.get("COVAREP creak")
    with pytest.raises(InvalidOption, match="did you mean 'bert-base-uncased'"):
        download.get("bert-base-uncasd")


def test_extract_finds_weights_in_the_folder_given(home, tmp_path, random_bert):
    """In its worker too; and the weights' place is not in the key."""
    (tmp_path / "clips").mkdir()
    for number in range(2):
        write_wav(tmp_path / "clips" / f"c{number}.wav", tone(0.3))
        (tmp_path / "clips" / f"c{number}.txt").write_text("the film was good")
    shutil.copytree(random_bert, tmp_path / "weights" / "bert-base-uncased")
    given = ("extract", tmp_path / "clips", "-x", "bert", "-o", tmp_path / "f", "-j", 1)
    lacking = run(*given)
    assert lacking.exit_code == 3  # nothing was done
    assert "feat weights get bert-base-uncased" in lacking.output
    done = run(*given, "--weights", tmp_path / "weights")
    assert done.exit_code == 0, done.output
    assert "2 stored" in done.output
    (found,) = FeatureStore(tmp_path / "f").sets()
    assert found.provenance["licence"] == "bert-base-uncased: Apache-2.0"
    assert "licence" not in done.output  # nothing to mind
    os.environ["FEATZOO_WEIGHTS"] = ""
    elsewhere = run(*given[:3], f"bert[model={random_bert}]", *given[4:])
    assert "2 cached" in elsewhere.output, elsewhere.output


def test_non_commercial_licences_are_named_once_and_kept(home, tmp_path, made):
    """An extractor's own, such as openSMILE's, and that of a model given by name."""
    store = tmp_path / "f"
    requests = f"egemaps.functionals,{__name__}:Licensed"
    done = run("extract", made / "voice.wav", "-x", requests, "-o", store, "-j", 1)
    assert done.exit_code == 0, done.output
    assert done.output.count("licence: openSMILE: research and private use only") == 1
    assert done.output.count("licence: MCG-NJU/videomae-base: CC BY-NC 4.0: no commercial use") == 1
    kept = {json.loads(path.read_text())["provenance"]["licence"] for path in store.glob("*/set.json")}
    assert any("no commercial use" in each for each in kept)
    assert any("research and private use only" in each for each in kept)
    again = run("extract", made / "voice.wav", "-x", "egemaps.functionals", "-o", store, "-j", 1)
    assert "licence" not in again.output
