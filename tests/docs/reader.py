"""Does what a page says, in the current folder and in this process."""

from __future__ import annotations

import contextlib
import doctest
import importlib.metadata
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from docs.pages import Step, is_as_shown
from featzoo.cli import feat, zoo

# Heads that a solver fits have no epochs.
FITTED = ("svm", "linear", "boosting", "tfidf")
TRAINING = ("train", "ablate", "layers", "tune")


def follow(step: Step, status: int = 0, more: str = "", short: bool = False) -> None:
    """Do one step of a page; `more` is added to a command, and `short` makes a training short."""
    if step.kind == "file":
        Path(step.name).write_text(step.text, encoding="utf-8")
    elif step.kind == "python":
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(step.text, "page", "exec"), {"__name__": "page"})  # noqa: S102
    elif step.kind == "session":
        test = doctest.DocTestParser().get_doctest(step.text, {}, "page", None, 0)
        told: list[str] = []
        assert doctest.DocTestRunner(verbose=False).run(test, out=told.append).failed == 0, "".join(told)
    else:
        printed = type_in(step.text.partition(" #")[0].rstrip(), status, short, more)
        if step.shown.strip():
            told = f"{step.text}\n--- shown\n{step.shown}\n--- printed\n{printed}"
            assert is_as_shown(step.shown, printed), told


def type_in(line: str, status: int = 0, short: bool = True, more: str = "") -> str:
    """Run a command line, which must end with the status; what it prints."""
    variables, rest = re.fullmatch(r"((?:\w+=\S+ )*)(.*)", line).groups()
    program = rest.split()[0]
    if program == "pip":
        check_extras(rest)
    elif program == "export":
        os.environ.update([shlex.split(rest)[1].split("=", 1)])
    elif program == "eval":
        subprocess.run(["bash", "-c", line], check=True, env=with_programs())
    elif program in ("cp", "mv", "touch"):
        subprocess.run(shlex.split(rest), check=True)
    else:
        return run(rest, variables, status, short, more)
    return ""


def run(line: str, variables: str, status: int, short: bool, more: str) -> str:
    command, output = re.fullmatch(r"(.*?)(?: > (\S+))?", line).groups()
    program, *words = shlex.split(command)
    words = [found for word in words for found in expand(word)]
    words = with_options(words, shlex.split(more))
    if short and program == "zoo" and words[0] in TRAINING:
        words = with_options(words, shorter(words))
    path = [str(Path(each.partition("=")[2]).resolve()) for each in variables.split() if each.startswith("PYTHONPATH=")]
    sys.path[:0] = path
    done = CliRunner().invoke({"feat": feat, "zoo": zoo}[program], words, prog_name=program, input="y\n")
    sys.path[:] = sys.path[len(path) :]
    told = done.output if done.exit_code in range(4) else f"{done.output}\n{done.exc_info}"
    assert done.exit_code == status, f"{line}: exit status {done.exit_code}\n{told}"
    if output:
        Path(output).write_text(done.stdout, encoding="utf-8")
    return done.output


def expand(word: str) -> list[str]:
    """The files that a word with `*` stands for, or the first one where a page writes `...` for the rest of a name."""
    inside = re.fullmatch(r"(.*\[\w+=)(.*)(\])", word)  # bert[model=runs/x-.../encoder]
    before, pattern, after = inside.groups() if inside else ("", word, "")
    if ("*" not in pattern and "-..." not in pattern) or pattern.startswith("/"):
        return [word]
    found = sorted(map(str, Path().glob(pattern.replace("-...", "-*"))))
    return [before + each + after for each in found if "*" in word or each == found[0]] or [word]


def with_options(words: list[str], options: list[str]) -> list[str]:
    """The words with these options, each in place of one of the same name."""
    found, given = list(words), list(options)
    while given:
        option = [given.pop(0), *([given.pop(0)] if given and not given[0].startswith("-") else [])]
        if option[0] in found:
            place = found.index(option[0])
            del found[place : place + len(option)]
        found += option
    return found


def shorter(words: list[str]) -> list[str]:
    """Options, added to those of a page, that make a training short."""
    recipe = next((word for word in words[1:] if not word.startswith("-")), "")
    added = [] if recipe in FITTED or "--resume" in words or "--epochs" in words else ["--epochs", "1"]
    if "--seeds" in words:
        added += ["--seeds", "2"]
    if "--folds" in words:
        added += ["--folds", "2"]
    if "--trials" in words:
        added += ["--trials", "2"]
    if "-j" in words:
        added += ["-j", "1"]
    return added


def check_extras(line: str) -> None:
    """`pip install 'featzoo[a,b]'` names extras that the package has."""
    (extras,) = re.findall(r"featzoo\[([\w,-]+)\]", line)
    known = importlib.metadata.metadata("featzoo").get_all("Provides-Extra")
    assert set(extras.split(",")) <= set(known or ()), line


def with_programs() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
