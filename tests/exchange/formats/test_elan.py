"""ELAN's files: in as pympi-ling writes them, out as pympi-ling reads them."""

from __future__ import annotations

import pytest

from featzoo import Clip, FeatureStore, Word
from featzoo.errors import InvalidClips, MissingFeatures, StoreError
from featzoo.exchange.formats.elan import export_elan, import_elan

pympi = pytest.importorskip("pympi", reason="needs featzoo[elan]")


def write(path, **tiers):
    made = pympi.Elan.Eaf()
    made.add_linked_file(str(path.with_name("talk.wav")), relpath="./talk.wav", mimetype="audio/x-wav")
    for name, rows in tiers.items():
        made.add_tier(name)
        for row in rows:
            made.add_annotation(name, *row)
    made.remove_tier("default")
    made.to_file(str(path))


def test_utterances_become_clips_with_words_labels_and_their_recording(tmp_path):
    (tmp_path / "talk.wav").write_bytes(b"x")
    write(
        tmp_path / "s1.eaf",
        utterance_Anna=[(1000, 2000, "hello you"), (3000, 4000, "bye now")],
        utterance_Ben=[(2100, 2500, "hi there")],
        valence=[(1000, 1400, "1"), (1400, 2000, "2,5"), (3000, 4000, "-3")],
        comments=[(0, 4000, "a comment")],
    )
    assert import_elan(tmp_path, tmp_path / "s").complete
    clips = FeatureStore(tmp_path / "s").clips()
    assert set(clips) == {"s1/utterance_Anna/001", "s1/utterance_Anna/002", "s1/utterance_Ben/001"}
    first = clips["s1/utterance_Anna/001"]
    assert (first.path, first.start, first.end) == (tmp_path / "talk.wav", 1.0, 2.0)
    assert first.words == (Word("hello", 0.0, 0.625), Word("you", 0.625, 1.0))
    assert first.labels == {"valence": 1.75}
    assert clips["s1/utterance_Anna/002"].labels == {"valence": -3.0}
    assert clips["s1/utterance_Ben/001"].labels == {}


def test_words_that_follow_each_other_are_one_utterance(tmp_path):
    write(tmp_path / "s1.eaf", words=[(0, 400, "so"), (400, 900, "it"), (1100, 1500, "goes"), (4000, 4500, "on")])
    import_elan(tmp_path / "s1.eaf", tmp_path / "s")
    clips = FeatureStore(tmp_path / "s").clips()
    assert {name: (clip.text, clip.start, clip.end) for name, clip in clips.items()} == {
        "s1/words/001": ("so it goes", 0.0, 1.5),
        "s1/words/002": ("on", 4.0, 4.5),
    }


def test_a_file_that_is_not_elans_is_refused_and_the_others_go_on(tmp_path):
    (tmp_path / "bad.eaf").write_text("<html/>")
    with pytest.raises(InvalidClips, match="not an annotation file"):
        import_elan(tmp_path, tmp_path / "s")
    write(tmp_path / "good.eaf", words=[(0, 400, "so")])
    account = import_elan(tmp_path, tmp_path / "s")
    assert set(account.refused) == {"bad.eaf"}
    assert FeatureStore(tmp_path / "s").clip_ids() == ["good/words/001"]


def test_the_clips_of_a_recording_are_written_as_tiers_without_overlaps(tmp_path):
    store = FeatureStore.create(tmp_path / "s")
    media = tmp_path / "talk.wav"
    store.record(
        [
            Clip("a", media, 1.0, 2.0, (Word("so", 0.0, 0.4), Word("good", 0.4, 1.0)), labels={"valence": 1.5}),
            Clip(
                "b",
                media,
                1.5,
                3.0,
                (Word("bad", 0.2, 0.9), Word("word")),
                labels={"valence": -2.0},
                categories={"emotion": "joy"},
            ),
            Clip("text", words=(Word("no"), Word("media"))),
        ]
    )
    said = export_elan(store.path, tmp_path / "out")
    assert "1 recording, 2 clips" in said[1]
    read = pympi.Elan.Eaf(str(tmp_path / "out" / "talk.eaf"))
    rows = {name: sorted(row[:3] for row in read.get_annotation_data_for_tier(name)) for name in read.get_tier_names()}
    assert rows == {
        "utterances": [(1000, 2000, "so good")],
        "utterances 2": [(1500, 3000, "bad word")],
        "words": [(1000, 1400, "so"), (1400, 2000, "good")],
        "words 2": [(1700, 2400, "bad")],
        "valence": [(1000, 2000, "1.5")],
        "valence 2": [(1500, 3000, "-2")],
        "emotion": [(1500, 3000, "joy")],
    }
    assert read.media_descriptors[0]["MEDIA_URL"].endswith("talk.wav")
    with pytest.raises(StoreError, match="exists"):
        export_elan(store.path, tmp_path / "out")
    with pytest.raises(MissingFeatures, match="no clip with a recording"):
        export_elan(FeatureStore.create(tmp_path / "empty").path, tmp_path / "out2")
