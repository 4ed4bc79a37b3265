"""Labels in clips' names: every field is read in one way only, and what is unclear is refused."""

import pytest

from featzoo.errors import InvalidOption
from featzoo.media.clip import Clip
from featzoo.media.path_labels import PathPattern, label_clips, read_code_tables


@pytest.mark.parametrize(
    ("pattern", "clip_id", "fields"),
    [
        ("{speaker}_{emotion}_{take}.wav", "set/03_joy_1.wav", {"speaker": "03", "emotion": "joy", "take": "1"}),
        ("{speaker:2}{text:3}{emotion:1}{take}.wav", "03a01Wb.wav",
         {"speaker": "03", "text": "a01", "emotion": "W", "take": "b"}),
        ("Actor_{speaker}/{}-{}-{emotion}-{}-{}-{}-{speaker}.flac", "Actor_12/03-01-06-01-02-01-12.flac",
         {"speaker": "12", "emotion": "06"}),
        ("{emotion}/{}.mp4", "angry/clip 1.mp4", {"emotion": "angry"}),
        (r"(?P<speaker>\d+)(?P<emotion>[a-z]+)\.wav", "x/15joy.wav", {"speaker": "15", "emotion": "joy"}),
        ("{speaker}_{emotion}_{take}.wav", "a_b_c_d.wav", None),
        ("{speaker}_{emotion}_{take}.wav", "a_b_c.flac", None),
        ("Actor_{speaker}/{}-{speaker}.wav", "Actor_12/1-13.wav", None),
        ("{emotion}/{}.mp4", "x/angry/clip.mp4", None),
        ("{a}+({b}).wav", "1+(2).wav", {"a": "1", "b": "2"}),
    ],
)  # fmt: skip
def test_fields_are_read_from_ids(pattern, clip_id, fields):
    assert PathPattern(pattern).read(clip_id) == fields


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("a.wav", "names no field"), ("{a}{b}.wav", "nothing separates {a} from {b}"), ("(?P<a>", "not a regular")],
)
def test_a_pattern_that_cannot_be_read_is_refused(pattern, said):
    with pytest.raises(InvalidOption, match=said):
        PathPattern(pattern)


def test_codes_become_names():
    tables = read_code_tables(["emotion.W=anger,F=happiness", "emotion.N=neutral", "emotion.X=", "split.1=dev"])
    clips = [Clip("03W1.wav"), Clip("08F2.wav", split="test"), Clip("08X1.wav", labels={"emotion": 3.0})]
    labelled, others = label_clips([*clips, Clip("y.wav")], PathPattern("{speaker:2}{emotion:1}{split:1}.wav"),
                                   {**tables, "split": {"1": "dev", "2": "train"}})  # fmt: skip
    assert [(c.split, dict(c.categories), dict(c.labels)) for c in labelled] == [
        ("valid", {"speaker": "03", "emotion": "anger"}, {}),
        ("train", {"speaker": "08", "emotion": "happiness"}, {}),
        ("valid", {"speaker": "08", "emotion": ""}, {}),
    ]
    assert others == ["y.wav"]


def test_a_code_without_a_name_is_refused_with_the_clip():
    with pytest.raises(InvalidOption, match=r"clip 'aL.wav': no name for emotion 'L'; the table has W"):
        label_clips([Clip("aL.wav")], PathPattern("{}{emotion:1}.wav"), read_code_tables(["emotion.W=anger"]))
    with pytest.raises(InvalidOption, match="a code table for 'mood', but the fields are emotion"):
        label_clips([Clip("aL.wav")], PathPattern("{}{emotion:1}.wav"), read_code_tables(["mood.W=anger"]))


@pytest.mark.parametrize("text", ["emotion", "emotion.W", "W=anger", "emotion.=anger", "emotion.W=a,W=b"])
def test_a_wrong_table_of_codes_is_refused(text):
    with pytest.raises(InvalidOption):
        read_code_tables([text])
