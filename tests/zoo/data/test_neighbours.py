"""Which clip another one's input is read from."""

import dataclasses
from pathlib import Path

import numpy as np

from featzoo.cache.store import FeatureStore
from featzoo.media.clip import Clip
from featzoo.zoo.data.feature_choice import choose
from featzoo.zoo.data.load import load_split
from featzoo.zoo.data.neighbours import member, siblings
from featzoo.zoo.recipe import find_recipe
from zoo.conftest import fill, sets_for


def by_id(*clips):
    return {clip.id: clip for clip in clips}


def test_an_id_is_split_into_group_and_member():
    assert member("03bSnISJMiM$_$11") == ("03bSnISJMiM", "11")
    assert member("essays/7/fr") == ("essays/7", "fr")
    assert member("alone") == ("", "alone")


def test_neighbours_are_in_the_order_of_time_whatever_their_names():
    clips = by_id(
        Clip("v$_$1", start=9.0), Clip("v$_$2", start=1.0), Clip("v$_$10", start=4.0), Clip("w$_$1", start=5.0)
    )
    assert siblings("previous", clips, clips) == {"v$_$10": "v$_$2", "v$_$1": "v$_$10"}
    assert siblings("next", clips, clips) == {"v$_$2": "v$_$10", "v$_$10": "v$_$1"}


def test_without_times_numbers_in_names_count_by_value():
    clips = by_id(*(Clip(f"v/{n}.mp4") for n in (10, 9, 1)))
    assert siblings("previous", clips, clips) == {"v/9.mp4": "v/1.mp4", "v/10.mp4": "v/9.mp4"}


def test_files_beside_each_other_in_the_top_folder_are_not_neighbours():
    clips = by_id(Clip("a.mp4", Path("a.mp4")), Clip("b.mp4", Path("b.mp4")))
    assert siblings("previous", clips, clips) == siblings("next", clips, clips) == {}


def test_segments_of_one_file_belong_together():
    film = Path("film.mp4")
    clips = by_id(Clip("a", film, 0.0, 2.0), Clip("z", film, 1.0, 3.0), Clip("b", Path("other.mp4"), 0.0, 1.0))
    assert siblings("next", clips, clips) == {"a": "z"}


def test_a_named_sibling_is_the_clip_of_that_name_in_the_group():
    clips = by_id(Clip("7/en"), Clip("7/fr"), Clip("8/fr"))
    assert siblings("en", clips, clips) == {"7/en": "7/en", "7/fr": "7/en"}
    assert siblings("en", by_id(Clip("essay.txt")), ["essay.txt"]) == {"essay.txt": "essay.txt"}
    assert siblings("itself", clips, ["8/fr"]) == {"8/fr": "8/fr"}


def test_a_role_reads_the_neighbour_of_the_same_split_or_is_masked(tmp_path):
    clips = [
        Clip(f"v$_${n}", start=float(n), split="train" if n < 4 else "valid", labels={"sentiment": 1.0})
        for n in range(6)
    ]
    sets = sets_for(clips)
    store = fill(tmp_path / "features", clips, sets, "x")
    recipe = find_recipe("psa-mf", {"inputs.audio.of": "previous", "inputs.audio.standardise": False})
    chosen = choose(FeatureStore(store.path), recipe)
    train = load_split(store, recipe, "train", chosen)
    assert train.ids == tuple(f"v$_${n}" for n in range(4))
    assert train.features["audio"][0] is None
    for n in (1, 2, 3):
        np.testing.assert_array_equal(train.features["audio"][n], sets["audio"][f"v$_${n - 1}"])
        np.testing.assert_array_equal(train.features["text"][n], sets["ids"][f"v$_${n}"])
    assert train.counts.missing["audio"] == 1
    dev = load_split(store, recipe, "valid", chosen, train.statistics)
    assert dev.features["audio"][0] is None  # the clip before it is in another split


def test_the_field_of_is_part_of_a_recipe():
    recipe = find_recipe("psa-mf", {"inputs.audio.of": "en"})
    assert dataclasses.asdict(recipe)["inputs"]["audio"]["of"] == "en"
