"""Requests, entry points and module:Class paths; wrong ones are answered with the nearest right one."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featzoo import plugins
from featzoo.errors import InvalidOption, UnknownName
from featzoo.extractors.contract import make_extractor, usual_extractors
from featzoo.zoo.recipe import find_recipe, recipes


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("egemaps", "egemaps", {}),
        (" bert.minilm[layers=[1,2],output=words] ", "bert.minilm", {"layers": [1, 2], "output": "words"}),
        ("my.pack:Energy[hop=0.02]", "my.pack:Energy", {"hop": 0.02}),
        ("x[]", "x", {}),
        ("x[weights=/a b/c=d.pth]", "x", {"weights": "/a b/c=d.pth"}),
    ],
)
def test_a_request_is_a_name_and_options(text, name, options):
    assert plugins.parse(text) == (name, options)


@pytest.mark.parametrize("text", ["", "a b", "x[", "x[1]", "x]y[", "x[a=1]b"])
def test_text_that_is_not_a_request_is_refused(text):
    with pytest.raises(InvalidOption, match="not"):
        plugins.parse(text)


def test_lists_are_cut_outside_brackets():
    assert plugins.split("a[x=1,y=[2,3]], b ,,c") == ["a[x=1,y=[2,3]]", "b", "c"]


@given(st.lists(st.from_regex(r"[a-z]{1,5}(\[[a-z]=[0-9](,[a-z]=\[1,2\])?\])?", fullmatch=True)))
def test_split_undoes_join(parts):
    assert plugins.split(",".join(parts)) == parts


def test_registered_extractors_are_made_with_variants_and_options():
    assert {"bert", "egemaps", "frames", "motion-energy", "resnet50"} <= set(plugins.registered(plugins.EXTRACTORS))
    functionals = make_extractor("egemaps.functionals")
    assert functionals.level == "functionals"
    assert functionals.label == "egemaps.functionals"
    assert make_extractor("frames[count=9]").count == 9
    assert make_extractor("bert.minilm[layers=3]").layers == (3,)
    assert "egemaps" in usual_extractors()
    assert "bert.minilm" in usual_extractors()


def test_an_extractor_is_found_by_its_class():
    made = make_extractor("plugins_for_tests:Loudness[hop=0.2]")
    assert (made.name, made.hop) == ("loudness", 0.2)


@pytest.mark.parametrize(
    ("request_", "kind", "text"),
    [
        ("egemap", UnknownName, "no 'egemap' among featzoo.extractors: did you mean 'egemaps'"),
        ("bert.minlim", UnknownName, "no 'minlim' among the variants of bert: did you mean 'minilm'"),
        ("frames[cuont=1]", InvalidOption, "frames has no option 'cuont': did you mean 'count'"),
        ("frames[count=0]", InvalidOption, "positive"),
        ("egemaps[level=lldd]", InvalidOption, "one of lld, lld_de, functionals"),
        ("nowhere.to.be:Found", UnknownName, "cannot import 'nowhere.to.be'"),
        ("plugins_for_tests:Nope", UnknownName, "has no 'Nope'"),
        ("plugins_for_tests:loudness", UnknownName, "is not a class"),
        ("plugins_for_tests:Block", InvalidOption, "Block is not an Extractor"),
        ("egemaps[tag=x]", InvalidOption, "no option 'tag'"),
    ],
)
def test_a_wrong_request_is_refused_with_a_suggestion(request_, kind, text):
    with pytest.raises(kind, match=text):
        make_extractor(request_)


RECIPE = """
extends = "tfn"
description = "A variant of ours"
[training]
epochs = 7
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package whose folder `recipes` holds `names`, with more entry points; gives the folder."""

    def one(package, names, points=""):
        folder = tmp_path / package / package / "recipes"
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{name}.toml").write_text(RECIPE)
        metadata = tmp_path / package / f"{package}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(
            f"[featzoo.recipes]\n{package} = {package}.recipes\n\n[featzoo.extractors]\n{points}\n"
        )
        monkeypatch.syspath_prepend(tmp_path / package)
        plugins._points.cache_clear()
        return folder

    yield one
    monkeypatch.undo()
    plugins._points.cache_clear()
    for name in ("acme", "emca"):
        sys.modules.pop(name, None)


def test_a_recipe_of_another_package_is_found_by_its_name(install):
    install("acme", ["acme-tfn"])
    assert recipes()["acme-tfn"].description == "A variant of ours"
    assert find_recipe("acme-tfn").training.epochs == 7
    assert find_recipe("acme-tfn").head == "tfn"


def test_a_recipe_name_that_two_packages_use_is_refused_with_both_files(install):
    first, second = install("acme", ["ours"]), install("emca", ["ours"])
    with pytest.raises(InvalidOption, match="'ours' is taken twice") as error:
        find_recipe("ours")
    assert str(first / "ours.toml") in str(error.value)
    assert str(second / "ours.toml") in str(error.value)
    assert find_recipe("psa-mf").name == "psa-mf"
    with pytest.raises(InvalidOption, match="taken twice"):
        recipes()


def test_a_recipe_of_another_package_cannot_replace_one_of_featzoo(install):
    install("acme", ["psa-mf"])
    with pytest.raises(InvalidOption, match="'psa-mf' is taken twice"):
        find_recipe("psa-mf")


def test_an_extractor_name_that_two_packages_use_is_refused_with_both(install):
    install("acme", [], "egemaps = plugins_for_tests:Loudness")
    with pytest.raises(InvalidOption, match=r"'egemaps' is taken twice, by .*acme \(plugins_for_tests:Loudness\)"):
        make_extractor("egemaps")
    assert make_extractor("frames").name == "frames"


def test_a_recipe_package_that_is_not_there_is_named(install):
    folder = install("acme", [])
    folder.rmdir()
    folder.parent.rmdir()
    with pytest.raises(UnknownName, match=r"acme registers 'acme\.recipes' under featzoo\.recipes"):
        find_recipe("psa-mf")
