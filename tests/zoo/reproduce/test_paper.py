"""The papers' descriptions, and what a user's folder lacks."""

import pytest
from click.testing import CliRunner

from featzoo.cli import zoo
from featzoo.errors import UnknownName
from featzoo.extractors.contract import make_extractor
from featzoo.zoo.recipe import find_recipe
from featzoo.zoo.reproduce.estimate import estimate
from featzoo.zoo.reproduce.imports import IMPORTERS, Files
from featzoo.zoo.reproduce.paper import FULL, find_paper, papers
from featzoo.zoo.reproduce.readiness import readiness
from featzoo.zoo.reproduce.report import differences


@pytest.mark.parametrize("name", papers())
def test_each_row_names_recipes_variants_importers_and_extractors_that_exist(name):
    for row in find_paper(name).rows.values():
        recipe = find_recipe(row.recipe, row.set)
        for variant in row.published:
            assert variant == FULL or variant in recipe.ablations
        assert {step.importer for source in row.sources for step in source.steps} <= IMPORTERS.keys()
        for wanted in row.extract:
            make_extractor(wanted.features)
        assert differences(recipe.head)


def test_figures_are_those_of_the_recipes():
    for paper, row in (("psa-mf", "mosi"), ("psa-mf", "mosei"), ("siamese", "fi"), ("adam", "essays")):
        found = find_paper(paper).rows[row]
        recipe = find_recipe(found.recipe)
        for variant, published in found.published.items():
            assert published == (recipe.published if variant == FULL else recipe.ablations[variant].published)


def test_an_unknown_paper_is_refused():
    with pytest.raises(UnknownName, match="did you mean 'psa-mf'"):
        find_paper("psamf")


def test_files_are_found_by_their_published_names_in_any_case_and_folder(tmp_path):
    row = find_paper("psa-mf").rows["mosi"]
    assert "MOSI/Processed/unaligned_50.pkl" in readiness(row, Files(tmp_path), tmp_path / "out").lacking[0]
    place = tmp_path / "MMSA" / "MOSI" / "Processed" / "unaligned_50.pkl"
    place.parent.mkdir(parents=True)
    place.touch()
    found = readiness(row, Files(tmp_path), tmp_path / "out")
    assert found.source is not None
    assert found.files == (place,)
    mosei = readiness(find_paper("psa-mf").rows["mosei"], Files(tmp_path), tmp_path / "out")
    assert mosei.source is None


def test_every_missing_archive_is_named(tmp_path):
    (tmp_path / "train-annotation.zip").touch()
    (tmp_path / "train-1.zip").touch()
    lacking = readiness(find_paper("siamese").rows["fi"], Files(tmp_path), tmp_path / "out").lacking[0]
    assert "val-annotation-e.zip, test-annotation-e.zip" in lacking
    assert "train-1.zip" not in lacking
    assert "chalearnlap.cvc.uab.cat" in lacking


def test_a_dry_run_says_what_is_missing_and_what_it_costs_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    done = CliRunner().invoke(zoo, ["reproduce", "psa-mf", "--data", "data", "--dry-run", "--device", "cpu"])
    assert done.exit_code == 1, done.output
    assert "feat weights get bert-base-uncased" in done.output
    assert "github.com/thuiar/MMSA" in done.output
    assert "device memory" in done.output
    assert "estimates: clips x epochs x operations" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    done = CliRunner().invoke(zoo, ["reproduce", "psa-mf", "--data", "data", "--only", "mosy"])
    assert "did you mean 'mosi'" in done.output
    done = CliRunner().invoke(zoo, ["reproduce", "psa-mf", "--data", "nowhere"])
    assert "no folder nowhere" in done.output


def test_a_reproduction_without_a_row_that_can_run_exits_with_3_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    (tmp_path / "data").mkdir()
    asked = ["reproduce", "psa-mf", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(zoo, asked)
    assert done.exit_code == 3, done.output
    assert "mosi: not run, because something is missing" in done.output
    assert not (tmp_path / "out").exists()


def test_costs_grow_with_seeds_and_with_a_teacher():
    row = find_paper("psa-mf").rows["mosi"]
    one, five = (estimate(row, seeds, 1e12) for seeds in (1, 5))
    assert five.training == pytest.approx(5 * one.training)
    assert five.memory == one.memory == 16 * row.work.parameters + row.work.batch * row.work.activations
    assert estimate(find_paper("adam").rows["essays"], 5, 1e12).trainings == 11
