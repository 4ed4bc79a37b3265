"""Recipes are strict, overrides reach every field, and what is written reads back the same."""

from dataclasses import replace

import pytest

from featzoo.config import to_toml
from featzoo.errors import InvalidOption, UnknownName
from featzoo.zoo.recipe import Recipe, find_recipe, read, recipes

PLAIN = """
head = "psa-mf"
[inputs.text]
features = ["bert.ids"]
[target]
columns = ["sentiment"]
"""


def test_every_own_recipe_can_be_read_and_has_a_description():
    found = recipes()
    assert "psa-mf" in found
    for name, recipe in found.items():
        assert recipe.name == name
        assert recipe.description


def test_psa_mf_takes_what_an_offline_extraction_gives():
    inputs = find_recipe("psa-mf").inputs
    offline = {
        "text": "bert.minilm-ids",
        "personality": "bert.minilm",
        "vision": "motion-energy",
        "audio": "egemaps",
    }
    assert all(request in inputs[role].features for role, request in offline.items())
    assert inputs["personality"].rows == "first"


def test_defaults_are_filled_in(recipe_file):
    recipe = find_recipe(recipe_file(PLAIN))
    assert (recipe.name, recipe.training.epochs, recipe.inputs["text"].rows) == ("mine", 20, "all")


def test_overrides_reach_nested_fields():
    recipe = find_recipe(
        "psa-mf",
        {
            "training.epochs": 3,
            "options.pooling": "cls",
            "training.learning_rates.main": 1,
            "inputs.audio.max_steps": 9,
        },
    )
    assert (recipe.training.epochs, recipe.options["pooling"], recipe.inputs["audio"].max_steps) == (
        3,
        "cls",
        9,
    )
    assert recipe.training.learning_rates == {"main": 1.0, "encoder": 1e-4}


def test_a_written_recipe_reads_back_equal(tmp_path):
    recipe = find_recipe("psa-mf", {"description": 'a "quoted" \\ line\nand ünïcode', "options.odd key": [1.5, True]})
    path = tmp_path / "psa-mf.toml"
    path.write_text(to_toml(recipe), encoding="utf-8")
    assert read(path) == recipe
    assert isinstance(read(path), Recipe)


def test_a_recipe_may_say_only_how_it_differs(recipe_file):
    path = recipe_file("""
extends = "psa-mf"
[inputs.audio]
features = ["hubert"]
[training]
epochs = 3
learning_rates = { encoder = 1e-5 }
""")
    base, own = find_recipe("psa-mf"), read(path)
    assert (own.name, own.description, own.published, own.ablations) == ("mine", "", {}, {})
    assert own.inputs == {**base.inputs, "audio": replace(base.inputs["audio"], features=("hubert",))}
    rates = {"main": base.training.learning_rates["main"], "encoder": 1e-5}
    assert own.training == replace(base.training, epochs=3, learning_rates=rates)
    assert (own.target, own.options) == (base.target, base.options)
    (path.parent / "other.toml").write_text('extends = "mine.toml"\ndescription = "two steps"\n[training]\nseed = 7\n')
    other = read(path.parent / "other.toml")
    assert other == replace(own, name="other", description="two steps", training=replace(own.training, seed=7))
    path.write_text('extends = "other.toml"\n')
    with pytest.raises(InvalidOption, match=r"extends (other|mine)\.toml, which extends"):
        read(path)
    path.write_text('extends = "psa-mg"\n')
    with pytest.raises(UnknownName, match="did you mean 'psa-mf'"):
        read(path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("head", "haed"), "did you mean 'head'"),
        (('head = "psa-mf"\n', ""), "'head' is missing"),
        (('features = ["bert.ids"]', "features = []\nrequired = true"), "at least one feature set"),
        (('features = ["bert.ids"]', 'features = ["bert.ids"]\nrows = "last"'), "one of all, first"),
        (('features = ["bert.ids"]', 'features = ["bert.ids"]\nmax_steps = 0'), "max_steps must be at least 1"),
        (('columns = ["sentiment"]', "columns = []"), "at least one label"),
        (('columns = ["sentiment"]', 'columns = ["sentiment"]\nrange = [3.0, -3.0]'), "lowest, highest"),
        (('columns = ["sentiment"]', "columns = [3]"), "a string"),
    ],
)
def test_unknown_and_unfitting_fields_are_refused(recipe_file, change, text):
    with pytest.raises(InvalidOption, match=text):
        find_recipe(recipe_file(PLAIN.replace(*change)))


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"training.epoch": 3}, "did you mean 'epochs'"),
        ({"training.epochs": 0}, "at least 1"),
        ({"training.epochs": "many"}, "a whole number"),
        ({"training.warmup": 1.0}, "must be in"),
        ({"training.learning_rates.main": -1.0}, "must not be negative"),
        ({"head.name": "x"}, "not a table"),
        ({"training.schedule": "cosin"}, "one of constant, linear"),
    ],
)
def test_overrides_that_do_not_fit_are_refused(overrides, text):
    with pytest.raises(InvalidOption, match=text):
        find_recipe("psa-mf", overrides)


def test_an_unknown_recipe_is_refused_with_a_suggestion(tmp_path):
    with pytest.raises(UnknownName, match="did you mean 'psa-mf'"):
        find_recipe("psamf")
    with pytest.raises(InvalidOption, match="cannot read"):
        find_recipe(tmp_path / "none.toml")


def test_stages_have_their_own_settings_and_fall_back_on_the_recipes():
    training = find_recipe("siamese").training
    assert (training.of("vision").epochs, training.of("vision").batch_size) == (80, 22)
    assert (training.of("text").epochs, training.of("text").batch_size) == (50, 128)
    assert training.of("baseline") == training
    with pytest.raises(InvalidOption, match="must not be negative"):
        find_recipe("siamese", {"training.stages.text.epochs": -1})
    with pytest.raises(InvalidOption, match="end must be"):
        find_recipe("siamese", {"training.end": 1.5})


@pytest.mark.parametrize(
    ("corpus", "base"), [("psa-mf.mosei", "psa-mf.published"), ("psa-mf.official-mosei", "psa-mf.official")]
)
def test_the_recipes_for_mosei_have_the_released_rates_and_read_what_those_for_mosi_do(corpus, base):
    """Batch 128, rates 1e-4 and 1e-5: config.py of HensonXie/PSA-MF, commit 83423f9."""
    found, mosi = find_recipe(corpus), find_recipe(base)
    assert (found.training.batch_size, found.training.learning_rates) == (128, {"main": 1e-4, "encoder": 1e-5})
    assert (found.head, found.inputs, found.target) == (mosi.head, mosi.inputs, mosi.target)
    assert set(found.ablations) == set(mosi.ablations)
    assert not any(each.published for each in found.ablations.values())  # the paper's are CMU-MOSI's


def test_the_recipe_for_ch_sims_learns_from_minus_1_to_1():
    found, mosi = find_recipe("psa-mf.sims"), find_recipe("psa-mf")
    assert (found.target.range, found.target.metrics) == ((-1.0, 1.0), "sims")
    assert set(found.inputs["text"].features) == set(mosi.inputs["text"].features)
