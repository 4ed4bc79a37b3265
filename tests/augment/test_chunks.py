"""Long texts in pieces: nothing lost, nothing too long, cuts between sentences."""

from hypothesis import given
from hypothesis import strategies as st

from featzoo.augment.chunks import join, split, tokens

TEXTS = st.text(st.sampled_from("ab é我。！.?! \n\"'”") | st.characters(codec="utf-8"), max_size=300)


@given(TEXTS, st.integers(1, 60))
def test_nothing_is_lost_and_no_piece_is_too_long(text, budget):
    pieces = split(text, budget)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(tokens(piece) <= budget for piece in pieces)
    assert all(piece == piece.strip() != "" for piece in pieces)


@given(TEXTS)
def test_a_short_text_is_one_piece(text):
    assert split(text, float("inf")) == ([text.strip()] if text.strip() else [])


@given(TEXTS, TEXTS)
def test_tokens_of_a_whole_are_those_of_its_parts(one, other):
    assert tokens(one + other) == tokens(one) + tokens(other)


def test_cuts_are_between_sentences():
    text = 'He said "stop." Then Dr No left!  What? 我很好。你呢？ The end...\nA line without a stop\nlast'
    # By hand: 4 + 4.5 tokens, then 1.5 + 4 + 3.25, then 2.75 + 5.5, then 1.
    assert split(text, 9) == [
        'He said "stop." Then Dr No left!',
        "What? 我很好。你呢？",
        "The end...\nA line without a stop",
        "last",
    ]


def test_a_sentence_that_is_too_long_is_cut_between_words_and_a_word_anywhere():
    assert split("aaaa bbbb cccc dddd", 2.5) == ["aaaa bbbb", "cccc dddd"]
    assert split("x" * 10, 1) == ["xxxx", "xxxx", "xx"]


def test_ten_thousand_words():
    text = " ".join(f"This is sentence number {n} of a very long essay." for n in range(1000))
    pieces = split(text, 1500)
    assert len(pieces) == -(-len(text) // 6000)
    assert all(piece.endswith(".") for piece in pieces)
    assert " ".join(pieces) == text


def test_pieces_are_joined_as_the_language_is_written():
    assert join(["Bonjour. ", " Au revoir."], "fr") == "Bonjour. Au revoir."
    assert join(["今日は。", "明日は。"], "ja") == "今日は。明日は。"
