"""Text in the encodings that people's files have: right, or refused, never wrong letters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featzoo.errors import InvalidOption
from featzoo.media.discovery import find_clips
from featzoo.media.transcripts.encoding import UnknownEncoding, decode

CLEAR = {
    "gbk": ["今天天气真好，我们一起去公园散步吧。", "谢谢大家的支持", "你好吗？", "真的很难过\n我不想再说了"],
    "big5": ["今天天氣真好，我們一起去公園散步吧。"],
    "shift_jis": ["今日はとても良い天気ですね。散歩に行きましょう。", "悲しい", "こんにちは"],
    "euc_jp": ["今日はとても良い天気ですね。"],
    "euc_kr": ["오늘 날씨가 정말 좋네요. 공원에 산책하러 갑시다."],
    "cp1251": ["Сегодня очень хорошая погода, пойдём гулять в парк.", "мне очень грустно", "Привіт, як справи?"],
    "koi8_r": ["Сегодня очень хорошая погода, пойдём гулять в парк."],
    "cp1252": [
        "Je suis très content, ça va être une journée à ne pas oublier.",
        "Ich möchte heute über schöne Dinge sprechen, und das war früher größer",
        "It’s “fine” – really",
        "Não sei o que você está fazendo, amanhã não",
    ],
    "cp1253": ["Σήμερα ο καιρός είναι πολύ καλός"],
}
# Those that a few letters cannot tell apart.
UNCERTAIN = {"cp1252": ["naïve café"], "cp1250": ["Nem tudom, hogy mit csináljak őszintén"]}


@pytest.mark.parametrize(("encoding", "text"), [(name, text) for name, texts in CLEAR.items() for text in texts])
def test_an_encoding_that_is_clear_is_found(encoding, text):
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(("encoding", "text"), [(name, text) for name, texts in UNCERTAIN.items() for text in texts])
def test_an_encoding_that_is_not_clear_is_refused_unless_named(encoding, text):
    with pytest.raises(UnknownEncoding, match="uncertain"):
        decode(text.encode(encoding))
    assert decode(text.encode(encoding), encoding) == text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_unicode_with_a_mark_and_utf_8_are_read_exactly(text):
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        assert decode(text.encode(encoding), "gbk").removeprefix("\ufeff") == text.removeprefix("\ufeff")
    assert decode(text.encode("utf-8")).removeprefix("\ufeff") == text.removeprefix("\ufeff")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_read(encoding):
    assert decode("hello, wörld".encode(encoding)) == "hello, wörld"


def test_bytes_that_are_not_text_are_refused():
    for raw in (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", b"\xff\xfe\0", bytes(range(256))):
        with pytest.raises(UnknownEncoding):
            decode(raw)


def test_an_encoding_that_does_not_fit_or_is_unknown_is_refused():
    with pytest.raises(UnknownEncoding, match="not ascii"):
        decode("très".encode("cp1252"), "ascii")
    with pytest.raises(InvalidOption, match="'klingon'"):
        decode("très".encode("cp1252"), "klingon")


SHORT = ["naïve café", "déjà vu", "très bien, merci", "à bientôt", "C'est ça ! Où êtes-vous allés cet été ?"]


def clips_with(folder, texts):
    """The clips of a folder, and nothing but their transcripts in it."""
    for name, raw in texts.items():
        (folder / f"{name}.wav").touch()
        (folder / f"{name}.txt").write_bytes(raw)
    return {clip.id.removesuffix(".wav"): clip for clip in find_clips(folder).clips}


def test_short_texts_of_one_folder_have_the_encoding_that_explains_them_all(tmp_path):
    alone = [text for text in SHORT if refused(text.encode("cp1252"))]
    assert alone
    texts = {f"clip{n}": text.encode("cp1252") for n, text in enumerate(SHORT)}
    found = clips_with(tmp_path, texts | {"plain": b"hello", "utf": "déjà".encode()})
    assert [found[f"clip{n}"].text for n in range(len(SHORT))] == SHORT
    assert (found["plain"].text, found["utf"].text) == ("hello", "déjà")


def test_texts_of_one_folder_in_several_encodings_stay_uncertain(tmp_path):
    found = clips_with(tmp_path, {"a": "naïve café".encode("cp1252"), "b": "真的很难过我不想再说了".encode("gbk")})
    assert "uncertain" in found["a"].problem
    assert found["b"].text == "真的很难过我不想再说了"


def refused(raw):
    try:
        decode(raw)
    except UnknownEncoding:
        return True
    return False
