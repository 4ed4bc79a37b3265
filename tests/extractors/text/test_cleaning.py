"""Transcripts as they would be written, on sentences of CMU-MOSI's kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featzoo.extractors.text.bert import Bert
from featzoo.extractors.text.cleaning import APOSTROPHE, FILLERS, written
from featzoo.extractors.text.tokens import tokens_of
from featzoo.media.clip import Clip
from featzoo.media.transcripts import Word, words_of


def text_of(text):
    return " ".join(word.text for word in written(words_of(text)))


@pytest.mark.parametrize(
    ("said", "wrote"),
    [
        ("UM THEY DIDNT REALLY GO", "they didn't really go."),
        ("THEY COULDVE UH SAID SO", "they could've said so."),
        ("Um, dont you think so?", "don't you think so?"),
        ("im sure Theyre late, arent they", "i'm sure They're late, aren't they."),
        ("its well done and were ill", "its well done and were ill."),  # each is a word without an apostrophe too
        ("I don't know.", "I don't know."),
        ("UM UH", "um uh."),
        ("umbrella is dontist", "umbrella is dontist."),
        ("", ""),
        ("!", "!"),
        ("映画はよかった", "映画はよかった."),
    ],
)
def test_sentences(said, wrote):
    assert text_of(said) == wrote


@pytest.mark.parametrize("word", sorted(APOSTROPHE))
def test_the_treebank_parts_a_contraction_where_the_apostrophe_is_put(word):
    whole = written([Word(word), Word("so.")])[0].text
    assert whole.replace("'", "") == word
    first, second = tokens_of(whole, lambda token: False, "treebank", "none")
    assert second in {"n't", "'ve", "'ll", "'re", "'m", "'s", "'d"}
    assert first + second == whole


@given(st.lists(st.sampled_from([*sorted(APOSTROPHE), *sorted(FILLERS), "The", "film,", "3D", "é", "..."]), max_size=9))
def test_times_stay_with_their_words_and_twice_is_once(texts):
    words = [Word(text, float(i), i + 0.5) for i, text in enumerate(texts)]
    found = written(words)
    letters = str.maketrans("", "", "'.")
    for word in found:
        own = words[int(word.start)]
        assert (word.start, word.end) == (own.start, own.end)
        assert word.text.lower().translate(letters) == own.text.lower().translate(letters)
    assert [word.text for word in written(found)] == [word.text for word in found]
    if set(texts) - FILLERS:
        assert not {word.text.strip(".") for word in found} & FILLERS


def test_bert_reads_what_is_written(random_bert):
    said, wrote = (Clip("a", words=words_of(text, 0.0, 4.0)) for text in ("UM THE FILM DIDNT", "the film didn't."))
    plain, cleaned = (
        Bert(model=str(random_bert), output="ids"),
        Bert(model=str(random_bert), output="ids", cleaning="speech"),
    )
    found = cleaned.extract(said)
    assert found.features.tolist() == plain.extract(wrote).features.tolist()
    assert found.intervals[1, 0] == said.words[1].start  # the first row is [CLS], the filler has none
    assert plain.key != cleaned.key
    assert "cleaning" not in plain.spec()["options"]  # what was stored before is still found
