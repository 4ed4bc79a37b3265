"""Papers from made files in their published formats, with tiny encoders in place of the published weights."""

import json
import pickle
import zipfile

import h5py
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from conftest import make_bert
from scipy import stats

from featzoo.cache.store import FeatureStore
from featzoo.cli import zoo
from featzoo.errors import FeatzooError
from featzoo.examples.corpora import make_mosi
from featzoo.zoo.reproduce.imports import Files
from featzoo.zoo.reproduce.paper import find_paper
from featzoo.zoo.reproduce.readiness import readiness
from featzoo.zoo.reproduce.run import Listener, RowRun

CODES = ("en", "fr", "bm", "jp", "zh")
PARTS = (("train", "training", 8, ""), ("val", "validation", 4, ""), ("test", "test", 4, "e"))
QUICK = ["--device", "cpu", "-j", "1", "--set", "training.epochs=1"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder of models by name: tiny ones, and word vectors of three words."""
    folder = tmp_path_factory.mktemp("weights")
    names = ("bert-base-uncased", "bert-base-personality", "all-MiniLM-L6-v2", "paraphrase-multilingual-MiniLM-L12-v2")
    for seed, name in enumerate(names):
        make_bert(folder / name, seed, layers=3, positions=300)
    vectors = np.random.default_rng(0).normal(size=(3, 300)).round(3)
    lines = [" ".join([word, *map(str, row)]) for word, row in zip(("film", "good", "bad"), vectors, strict=True)]
    (folder / "glove.6B.300d.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(autouse=True)
def uses_weights(weights, monkeypatch):
    monkeypatch.setenv("FEATZOO_WEIGHTS", str(weights))


@pytest.fixture
def mosi(tmp_path):
    folder = tmp_path / "data" / "MOSI"
    folder.mkdir(parents=True)
    make_mosi(folder)
    return folder.parent


def test_psa_mf_from_mmsa_s_pickle_with_a_stop_between_seeds(mosi, tmp_path, one_process):
    row = find_paper("psa-mf").rows["mosi"]
    place = tmp_path / "out" / "mosi"
    ready = readiness(row, Files(mosi), place)
    assert ready.ready, ready.lacking

    def stop(trial):
        raise KeyboardInterrupt

    small = {"training.epochs": 1, "options.hidden": 8, "options.wide": 12}
    with pytest.raises(KeyboardInterrupt):
        RowRun(row, place, 3, "cpu", 1, small, Listener(trial=stop)).run(ready)
    assert len(list((place / "runs").glob("*/metrics.json"))) == 1
    trained = (place / "runs" / "full-model-s1111" / "weights.safetensors").stat()
    lines = []
    changes = [f"--set={key}={value}" for key, value in small.items()]
    asked = ["reproduce", "psa-mf", "--data", str(mosi), "--out", str(tmp_path / "out"), "--only", "mosi"]
    done = CliRunner().invoke(zoo, [*asked, "--seeds", "3", *QUICK, *changes])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert not any(line.startswith("importing") for line in lines)
    assert [line.rpartition("(")[2] == "kept)" for line in lines if ", seed " in line] == [True, False, False]
    after = (place / "runs" / "full-model-s1111" / "weights.safetensors").stat()
    assert (after.st_mtime_ns, after.st_ino) == (trained.st_mtime_ns, trained.st_ino)
    assert "recipe was changed by the user: training.epochs = 1" in done.output
    assert "the data have 84 clips, those of the paper 2,199" in done.output

    report = json.loads((tmp_path / "out" / "report.json").read_text())
    (result,) = report["rows"]
    mae = next(one for one in result["variants"][0]["verdicts"] if one["metric"] == "mae")
    runs = [json.loads(path.read_text()) for path in sorted((place / "runs").glob("*/metrics.json"))]
    values = [run["splits"]["test"]["head"]["mae"] for run in runs]
    assert mae["values"] == values
    assert [mae["low"], mae["high"]] == pytest.approx(stats.t.interval(0.95, 2, np.mean(values), stats.sem(values)))
    assert mae["published"] == 0.686
    assert result["verdict"].startswith("not reproduced")
    assert (tmp_path / "out" / "report.txt").read_text() in done.output


def test_a_file_is_imported_once_and_refused_after_a_change(mosi, tmp_path):
    row, place, file = find_paper("psa-mf").rows["mosi"], tmp_path / "out", mosi / "MOSI" / "aligned_50.pkl"
    lines = []
    one = RowRun(row, place, 1, "cpu", 1, {}, Listener(line=lines.append))
    one.import_files(readiness(row, Files(mosi), place))
    assert lines.pop(0) == f"importing {file}"
    kept = list(FeatureStore(one.store))
    lines.clear()
    moved = file.rename(file.parent / "unaligned_50.pkl")  # the same contents, in another place and of another time
    moved.touch()
    one.import_files(readiness(row, Files(mosi), place))
    assert lines == []

    content = pickle.loads(moved.read_bytes())
    content["train"]["audio"] = content["train"]["audio"] + 1
    moved.write_bytes(pickle.dumps(content))
    with pytest.raises(FeatzooError, match="contents have changed"):
        one.import_files(readiness(row, Files(mosi), place))
    assert list(FeatureStore(one.store)) == kept


@pytest.mark.data
def test_psa_mf_from_the_sdk_s_files(data, tmp_path):
    """The real labels, folds and words of CMU-MOSI, with made recordings of sound and picture."""
    folder = tmp_path / "sdk"
    folder.mkdir()
    names = ("CMU_MOSI_Opinion_Labels.csd", "standard_folds.json", "mertools_cmumosi_transcription-engchi-polish.csv")
    for name in names:
        (folder / name).symlink_to(data / "mosi" / name)
    with h5py.File(folder / names[0]) as file:
        videos = list(next(iter(file.values()))["data"])
    times = np.arange(0.0, 600.0, 0.5)
    for name, width in (("CMU_MOSI_COVAREP.csd", 74), ("CMU_MOSI_Visual_Facet_42.csd", 35)):
        with h5py.File(folder / name, "w") as file:
            for video in videos:
                group = file.create_group(f"{name}/data/{video}")
                group["features"] = np.ones((len(times), width), np.float32)
                group["intervals"] = np.stack([times, times + 0.5], axis=1)
    row = find_paper("psa-mf").rows["mosi"]
    ready = readiness(row, Files(tmp_path), tmp_path / "out")
    assert ready.source is not None
    assert ready.source.name == "the SDK's .csd files"
    one = RowRun(row, tmp_path / "out")
    one.import_files(ready)
    store = FeatureStore(one.store)
    assert len(store.clips()) == row.work.clips
    assert len(store["covarep"]["ZUXBRvtny7o$_$9"]) > 1
    assert len(store["facet"].names) == 35
    # One utterance of the published table has no length, so no row of a recording.
    assert len(store["facet"]) >= row.work.clips - 1


def essays(folder, rows=30):
    """The files of `DatasetDict.save_to_disk`, with a column for each language."""
    rng = np.random.default_rng(0)
    for split, number in {"train": rows, "validation": 16, "test": 16}.items():
        made = []
        for k in range(number):
            texts = {code: " ".join(rng.choice(["film", "good", "bad", "so"], 6)) for code in CODES}
            labels = {trait: str(k >> n & 1) for n, trait in enumerate("OCEAN")}
            made.append({**labels, **texts, "ptype": k % 32, "__index_level_0__": f"{split}{k}"})
        table = pa.Table.from_pylist(made)
        (folder / split).mkdir(parents=True)
        place = str(folder / split / "data-00000-of-00001.arrow")
        with pa.OSFile(place, "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "validation", "test"]}')


def test_adam_from_a_saved_data_set(tmp_path, one_process):
    essays(tmp_path / "data" / "essays-gpt4o-guided-en-fr-bm-jp-zh")
    asked = ["reproduce", "adam", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--only", "essays"]
    done = CliRunner().invoke(zoo, [*asked, "--seeds", "2", *QUICK])
    assert done.exit_code == 0, done.output
    (result,) = json.loads((tmp_path / "out" / "report.json").read_text())["rows"]
    assert [variant["name"] for variant in result["variants"]] == ["full model", "BCE"]
    assert [variant["verdicts"][0]["published"] for variant in result["variants"]] == [0.6332, 0.5759]
    run = json.loads((tmp_path / "out" / "essays" / "runs" / "full-model-s42" / "features.json").read_text())
    assert run["sets"]["teacher"]["key"].startswith("clad-teacher")
    assert "CLAD is a reconstruction" in done.output


def archives(folder, clip):
    """ChaLearn's archives, not encrypted: annotations and transcripts of Python 2, clips in archives of their own."""
    folder.mkdir(parents=True)
    traits = ("extraversion", "neuroticism", "agreeableness", "conscientiousness", "interview", "openness")
    rng = np.random.default_rng(0)
    (folder / "passwords.txt").write_text("not needed here\n")
    for short, part, number, end in PARTS:
        names = [f"{short}{k}.000.mp4" for k in range(number)]
        labels = {trait: {name: float(rng.uniform()) for name in names} for trait in traits}
        texts = dict.fromkeys(names, "the film was good")
        inner = {
            f"{short}-annotation{'' if short == 'train' else '-e'}.zip": {f"annotation_{part}.pkl": labels},
            f"{short}-transcription{'-e' if end else ''}.zip": {f"transcription_{part}.pkl": texts},
        }
        for name, files in inner.items():
            with zipfile.ZipFile(folder / name, "w") as archive:
                for each, content in files.items():
                    archive.writestr(each, pickle.dumps(content, 2))
        with zipfile.ZipFile(folder / f"{short}80_01.zip", "w") as archive:
            for name in names:
                archive.writestr(name, clip)
        with zipfile.ZipFile(folder / f"{short}-1{end}.zip", "w") as archive:
            archive.write(folder / f"{short}80_01.zip", f"{short}80_01.zip")
        for more in range(2, {"train": 7, "val": 3, "test": 3}[short]):
            zipfile.ZipFile(folder / f"{short}-{more}{end}.zip", "w").close()


@pytest.mark.slow
def test_siamese_from_chalearn_s_archives(tmp_path, made, one_process):
    archives(tmp_path / "data", (made / "talk.mp4").read_bytes())
    asked = ["reproduce", "siamese", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    small = ["--set=options.backbone=resnet10", "--set=training.stages={}", "--set=training.batch_size=8"]
    done = CliRunner().invoke(zoo, [*asked, "--seeds", "1", *QUICK, *small])
    assert done.exit_code == 0, done.output
    (result,) = json.loads((tmp_path / "out" / "report.json").read_text())["rows"]
    published = {each["name"]: each["verdicts"][0]["published"] for each in result["variants"]}
    assert published == {"full model": 0.9127, "M1 (no cross-modal embeddings)": 0.9094}
    assert any("clips: 4 valid, 4 test" in line for line in result["protocol"])
