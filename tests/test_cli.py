"""The commands, as a user types them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from featzoo.cli import feat, zoo

CLIPS = Path(__file__).parents[1] / "examples" / "clips"


def run(*words: object, command: object = feat) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words])  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three example clips with features that need no model."""
    folder = tmp_path_factory.mktemp("cli")
    shutil.copytree(
        CLIPS,
        folder / "clips",
        ignore=lambda d, names: [n for n in names if not n.startswith(("clip01", "clip02", "clip03"))],
    )
    done = run("extract", folder / "clips", "-x", "egemaps,motion-energy", "-o", folder / "features", "-j", "1")
    assert done.exit_code == 0, done.output
    assert done.output.count("3 stored") == 2
    return folder / "features"


@pytest.mark.parametrize("words", [["feat"], ["zoo"], ["feat", "import"], ["feat", "export"], ["feat", "weights"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    program = (
        "import sys; from click.testing import CliRunner; import featzoo.cli\n"
        f"shown = CliRunner().invoke(featzoo.cli.{words[0]}, {[*words[1:], '--help']!r})\n"
        "print(shown.exit_code, {'torch', 'numpy', 'h5py', 'av', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0 set()"


def groups(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(command, click.Group):
        yield path
        for name, inner in command.commands.items():
            yield from groups(inner, (*path, name))


@pytest.mark.parametrize(
    ("program", "words"), [(program, words) for program in (feat, zoo) for words in groups(program)]
)
def test_help_of_a_group_cuts_nothing_at_80_columns(program: click.Group, words: tuple[str, ...]) -> None:
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(program, [*words, "--help"], terminal_width=80).output
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("  ") for line in lines)
    assert not [line for line in lines if re.search(r"\w\.\.\.$", line)]


def test_listing_what_a_store_can_train_imports_no_torch() -> None:
    store = Path(__file__).parent / "fixtures" / "0.1.0" / "features"
    program = (
        "import sys; from click.testing import CliRunner; import featzoo.cli\n"
        f"shown = CliRunner().invoke(featzoo.cli.zoo, ['list', '--store', {str(store)!r}])\n"
        "print(shown.exit_code, 'trains  needs' in shown.output, {'torch', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0 True set()"


def test_second_run_computes_nothing(store: Path) -> None:
    done = run("extract", store.parent / "clips", "-x", "egemaps,motion-energy", "-o", store)
    assert done.exit_code == 0
    assert done.output.count("0 stored       3 cached       0 failed") == 2


def test_dry_run_changes_nothing(store: Path, tmp_path: Path) -> None:
    done = run("extract", store.parent / "clips", "-x", "egemaps", "-o", tmp_path / "new", "--dry-run")
    assert done.exit_code == 0
    assert "3 missing, 0 stale, 0 cached, 0 failed" in done.output
    assert not (tmp_path / "new").exists()


def test_verbose_reports_each_clip(store: Path, tmp_path: Path) -> None:
    done = run("extract", store.parent / "clips" / "clip01.mp4", "-x", "frames", "-o", tmp_path / "f", "-v", "-j", "1")
    assert [line.split()[0] for line in done.output.splitlines() if "clip01.mp4 (" in line] == ["stored"]


def test_a_broken_file_fails_with_its_reason_and_the_others_go_on(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store.parent / "clips", tmp_path / "clips")
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"not a film")
    (tmp_path / "clips" / "notes.pdf").write_bytes(b"%PDF")
    done = run("extract", tmp_path / "clips", "-x", "egemaps", "-o", tmp_path / "f", "-j", "1")
    assert done.exit_code == 1
    assert "3 stored       0 cached       1 failed" in done.output
    assert "unreadable: 1 (broken.mp4)" in done.output
    assert "skipped: 1 (notes.pdf)" in done.output
    listed = run("ls", "egemaps", "--failed", "-o", tmp_path / "f")
    assert "broken.mp4  unreadable" in listed.output


def test_default_run_names_what_is_left_out_and_why(tmp_path: Path) -> None:
    """Without -x: what can run runs; sound files leave vision out; nothing can read words that are not there."""
    (tmp_path / "clips").mkdir()
    source = CLIPS / "clip01.mp4"
    import av

    with av.open(str(source)) as film, av.open(str(tmp_path / "clips" / "a.wav"), "w") as sound:
        stream = sound.add_stream("pcm_s16le", rate=16000)
        stream.layout = "mono"
        for frame in film.decode(audio=0):
            frame.pts = None
            sound.mux(stream.encode(frame))
        sound.mux(stream.encode(None))
    done = run("extract", tmp_path / "clips", "-o", tmp_path / "f", "-j", "1")
    assert done.exit_code == 0, done.output
    assert "motion-energy: all clips are sound files" in done.output
    assert "no clip has a transcript" in done.output
    assert "egemaps-" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-x", "egemap"], "did you mean 'egemaps'?"),
        (["-x", "egemaps[levl=lld]"], "did you mean 'level'?"),
        (["-x", "egemaps[level=high]"], "must be one of lld, lld_de, functionals"),
        (["-x", "egemaps[feature_set=eGeMAPSv03]"], "did you mean 'eGeMAPSv02'?"),
        (["-x", "bert.minlm"], "did you mean 'minilm'?"),
        (["-x", "bert[model=/nowhere]"], "no weights of '/nowhere'"),
        (["-x", "resnet50[weights=IMAGENET1K_V3]"], "did you mean 'IMAGENET1K_V2'?"),
        (["--for", "psa-fm"], "did you mean 'psa-mf'?"),
    ],
)
def test_wrong_requests_say_what_to_do(words: list[str], said: str, tmp_path: Path) -> None:
    done = run("extract", CLIPS, *words, "-o", tmp_path / "f")
    assert done.exit_code == (3 if "no weights" in said else 2)
    assert said in done.output
    assert "Traceback" not in done.output


def test_a_manifest_names_labels_of_both_kinds_and_what_it_leaves_out(tmp_path: Path) -> None:
    rows = "id,text,sentiment,mood\none,fine words,1.5,happy\ntwo,more words,many,sad\n"
    (tmp_path / "m.csv").write_text(rows)
    done = run("extract", tmp_path / "m.csv", "-x", "bert.minilm-ids", "-o", tmp_path / "f", "--dry-run")
    assert "labels sentiment; names mood" in done.output
    assert "m.csv: 'sentiment' is not a number in 1 row (line 3: 'many'): left out" in done.output


def test_an_interrupt_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from featzoo.commands import extract

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(extract, "run", stop)
    done = run("extract", CLIPS, "-o", tmp_path / "f")
    assert done.exit_code == 130
    assert "run the same command again to continue" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["extrct"], "No such command 'extrct'"),
        (["extract", CLIPS, "--colour"], "No such option"),
        (["extract", CLIPS, "-x", "egemaps", "--for", "psa-mf"], "give -x or --for, not both"),
        (["extract", CLIPS, "--backend", "dask"], "needs the address of its scheduler"),
        (["extract", CLIPS, "--scheduler", "tcp://x:1"], "loky's workers run on this machine"),
        (["extract", CLIPS, "--rank", "0"], "--rank and --world go together"),
        (["extract", CLIPS, "--rank", "2", "--world", "2"], "expected a rank from 0 to 1"),
        (["extract", CLIPS, "--memory", "4"], "is not a size such as 4GB"),
    ],
)
def test_usage_errors_exit_2(words: list[str], said: str, tmp_path: Path) -> None:
    done = run(*words, *(["-o", tmp_path / "f"] if words[0] == "extract" else []))
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


def test_ls_show_and_plot(store: Path, tmp_path: Path) -> None:
    listed = run("ls", "-o", store)
    assert "3 clips" in listed.output
    assert "25 float32" in listed.output
    shown = run("show", "egemaps", "-o", store)
    for what in ("shape: (", "rate: 100 rows/s", "Loudness_sma3", "opensmile 2.6", "licence: openSMILE"):
        assert what in shown.output
    assert "licence:" not in run("show", "motion-energy", "-o", store).output
    assert run("show", "egemaps", "clip01.mp4", "-o", store).exit_code == 0
    missing = run("show", "egemaps", "clip09.mp4", "-o", store)
    assert missing.exit_code == 1
    assert "no 'clip09.mp4' in egemaps-" in missing.output
    drawn = run("plot", "clip02.mp4", "egemaps", "--columns", "Loudness_sma3", "-o", store, "--to", tmp_path / "p.png")
    assert drawn.exit_code == 0, drawn.output
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.size[0] > 800
        assert len(picture.convert("L").getcolors() or range(256)) > 50  # something is drawn, not a blank page
    assert "did you mean" in run("plot", "clip02.mp4", "--columns", "Loudnes_sma3", "-o", store).output
    unwritable = run("plot", "clip02.mp4", "egemaps", "-o", store, "--to", tmp_path / "missing" / "p.png")
    assert (unwritable.exit_code, "cannot write to" in unwritable.output) == (1, True)


def test_doctor_says_what_to_type() -> None:
    said = run("doctor").output
    assert "ok egemaps" in said
    assert "ok bert.minilm" in said
    assert "feat weights get bert-base-uncased" in said or "ok bert:" in said
    assert "psa-mf" in said


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("my only copy")
    assert "is not a feature store" in run("ls", "-o", tmp_path).output
    assert "exists and is not a feature store" in run("extract", CLIPS, "-x", "frames", "-o", tmp_path).output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["thesis.doc"]
