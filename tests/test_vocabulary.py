import ast
import pickle
from pathlib import Path

import pytest

import featzoo
from featzoo.errors import ClipError
from featzoo.vocabulary import LASTING, TRAIT_COLUMNS, TRAITS, is_lasting, split_name

# Reasons of commands that keep no failures: `feat transcribe` and `zoo augment`.
NOT_KEPT = {"no-answer", "too-long", "transcript-exists", "transcription", "unwritable"}


@pytest.mark.parametrize(
    ("names", "split"),
    [
        ("train Train TRAIN training Training", "train"),
        ("valid Valid val VAL dev Dev DEV validation Validation devel development", "valid"),
        ("test Test TEST testing", "test"),
    ],
)
def test_a_splits_names_mean_the_same_in_any_case(names, split):
    assert {split_name(name) for name in names.split()} == {split}
    assert split_name(f"  {names.split()[0]} ") == split


@pytest.mark.parametrize("name", ["", None, "held-out", "training set", 1])
def test_other_names_mean_no_split(name):
    assert split_name(name) is None


def test_the_columns_of_the_big_five_name_one_trait_each():
    assert tuple(TRAIT_COLUMNS) == TRAITS
    columns = [column for names in TRAIT_COLUMNS.values() for column in names]
    assert len(columns) == len(set(columns)) == 15
    # The header of Essays as distributed, and the letters of the acronym in the order of the traits.
    assert {"cext", "cneu", "cagr", "ccon", "copn"} <= set(columns)
    assert "".join(names[1] for names in TRAIT_COLUMNS.values()) == "ocean"


def test_every_reason_that_featzoo_gives_is_in_the_vocabulary():
    """Read from the source: the first argument of each ClipError."""
    given = set()
    for file in Path(featzoo.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ClipError":
                reason = node.args[0]
                if isinstance(reason, ast.Constant):
                    given.add(reason.value)
    assert len(given) > 15
    assert given - set(LASTING) == NOT_KEPT


def test_a_plugins_reason_lasts_unless_it_says_retry():
    assert is_lasting("two-speakers")
    assert not is_lasting("two-speakers", retry=True)
    assert not is_lasting("no-audio", retry=True)
    assert not is_lasting("out-of-memory")


def test_a_clip_error_keeps_its_reason_and_retry_between_processes():
    got = pickle.loads(pickle.dumps(ClipError("server-busy", "it did not answer", retry=True)))
    assert (got.reason, str(got), got.retry) == ("server-busy", "it did not answer", True)
    assert pickle.loads(pickle.dumps(ClipError("no-audio", "none"))).retry is False
