"""What counts as a translation, judged on answers with one fault each."""

import csv
import gettext
import json
import re
import statistics
from pathlib import Path

import pytest

from augment.api import ENGLISH, SENTENCES
from featzoo.augment.answer_cache import Answer
from featzoo.augment.checks import NOT_WRITTEN, is_in, judge
from featzoo.augment.label_words import leaks
from featzoo.augment.languages import LANGUAGES, parse
from featzoo.augment.prompt import CURRENT, Question, prompt
from featzoo.errors import InvalidOption, UnknownName

TEXT = ENGLISH[0]
GOOD = SENTENCES[TEXT]
CODES = ("fr", "ja", "ms", "zh")


def judged(content, *, text=TEXT, languages=CODES, informed=True, finish="stop"):
    content = content if content is None or isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return judge(Question("m", "piga-1", languages, text, {"openness": 1.0}), Answer(content, finish), informed)


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(GOOD),
        f"```json\n{json.dumps(GOOD)}\n```",
        f"```\n{json.dumps(GOOD, indent=2)}```",
        f"<think>The author\n is {{tired}}.</think>\n\n{json.dumps(GOOD)}",
        f"  {json.dumps(dict(reversed(GOOD.items())))}\n",
    ],
)
def test_a_correct_answer_is_kept_unchanged(content):
    """Also behind markdown fences, or the thoughts that local servers leave in."""
    assert judged(content) == (GOOD, {})


@pytest.mark.parametrize(
    ("content", "finish", "reason"),
    [
        (None, "no-choices", "no-choices"),
        (None, "stop", "empty-answer"),
        ("  ", "stop", "empty-answer"),
        (json.dumps(GOOD), "length", "cut-off"),
        (json.dumps(GOOD), "content_filter", "content-filter"),
        (json.dumps(GOOD)[:-5], "stop", "not-json"),
        ("Here is your translation: " + json.dumps(GOOD), "stop", "not-json"),
        ([GOOD], "stop", "not-json"),
        (GOOD | {"analysis": "open"}, "stop", "extra-fields"),
        (GOOD | {"en": TEXT}, "stop", "extra-fields"),
    ],
)
def test_a_fault_of_the_whole_refuses_every_language(content, finish, reason):
    good, bad = judged(content, finish=finish)
    assert not good
    assert {code: fault.reason for code, fault in bad.items()} == dict.fromkeys(CODES, reason)


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        ("fr", None, "missing-language"),
        ("fr", "", "missing-language"),
        ("fr", ["a"], "missing-language"),
        ("fr", TEXT, "wrong-language"),  # not translated
        ("ja", GOOD["zh"], "wrong-language"),
        ("zh", GOOD["ja"], "wrong-language"),
        ("ms", GOOD["fr"], "wrong-language"),
        ("fr", GOOD["fr"] * 4, "length"),
        ("ja", GOOD["ja"] * 5, "length"),
        ("zh", GOOD["zh"][:5], "length"),
        ("zh", GOOD["zh"] + "我是INFP。", "leaked-label"),
        ("ms", GOOD["ms"] + " Neurotisisme saya tinggi.", "leaked-label"),
        ("fr", GOOD["fr"] + " \ufffd\ufffd", "broken-text"),
    ],
)
def test_a_fault_of_one_language_leaves_the_others(code, text, reason):
    given = dict(GOOD)
    if text is None:
        del given[code]
    else:
        given[code] = text
    good, bad = judged(given)
    assert good == {other: GOOD[other] for other in CODES if other != code}
    assert {name: fault.reason for name, fault in bad.items()} == {code: reason}
    assert f"'{code}'" in bad[code].message


def test_a_model_that_saw_no_labels_cannot_leak_them():
    """A label word is then its own way to translate."""
    told = GOOD | {"ja": GOOD["ja"] + "私は外向的です。"}
    assert judged(told).bad["ja"].reason == "leaked-label"
    assert not judged(told, informed=False).bad


@pytest.mark.parametrize(
    ("source", "translation", "found"),
    [
        ("I like cats.", "J'aime les chats, j'ai une personnalité ouverte.", ["personnalité"]),
        ("I like cats.", "J'aime les chats, ouverture à l’expérience.", ["ouverture à l’expérience"]),
        ("I like cats.", "Je suis très extraverti et j'aime les chats.", ["extraverti"]),
        ("I like cats.", "猫が好きな性格です。", ["性格"]),
        ("I like cats.", "私は開放性が高い。", ["開放性"]),
        ("I like cats.", "我很外向，喜欢猫。", ["外向"]),
        ("I like cats.", "我的神經質讓我喜歡貓。", ["神經質"]),
        ("I like cats.", "Saya suka kucing, personaliti saya terbuka.", ["personaliti"]),
        ("I like cats.", "INFPです。猫が好き。", ["INFP"]),
        ("I like cats.", "ＩＮＦＰの猫", ["INFP"]),
        ("I like cats.", "Nous les enfps aimons les chats.", ["ENFP"]),
        ("I like cats.", "Big Five : 1", ["big five"]),
        # Not whole words, and not label words.
        ("I like cats.", "Le chat est impersonnel ; l'ouverture du magasin, la conscience.", []),
        ("I like cats.", "Fintpa, aintjx", []),
        ("I like cats.", "猫は個人的に好き。", []),
        # What the source says, a translation may.
        ("He has a nice personality.", "Il a une belle personnalité.", []),
        ("My character is bad.", "我的性格不好。", []),
        ("I am so shy.", "我很内向。", []),
        ("I am an INFP", "私はINFPです", []),
        ("I am an INFP", "私はENTJです", ["ENTJ"]),
        ("INTJs are fun", "Les INTJ sont drôles", []),
    ],
)
def test_label_words_are_whole_words_that_the_source_does_not_have(source, translation, found):
    told = leaks(source, translation)
    assert len(told) == len(found), told
    for word, said in zip(found, told, strict=True):
        assert word.lower() in said.lower()


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_language_is_known_from_the_others_and_short_texts_pass(code):
    for sentence in SENTENCES.values():
        for other in CODES:
            assert is_in(sentence[other], code) == (other == code)
    assert is_in("OK :) https://example.org/an/english/address/of/a/page @someone", code)


def test_malay_and_indonesian_pass_for_each_other():
    assert is_in("Saya pulang ke rumah karena saya capek sekali hari ini.", "ms")
    assert is_in(GOOD["ms"], "id")


def test_lengths_are_those_of_real_translations():
    """Medians over the translated messages of the programs on this machine, where there are enough of them.

    The tolerance of 25 % is for another set of installed programs.
    """
    compared = 0
    for code, folder in {"fr": "fr", "ms": "ms", "ja": "ja", "zh": "zh_CN", "de": "de", "id": "id"}.items():
        ratios = []
        for place in Path(f"/usr/share/locale/{folder}/LC_MESSAGES").glob("*.mo"):
            try:
                with place.open("rb") as file:
                    catalogue = gettext.GNUTranslations(file)._catalog
            except UnicodeDecodeError:  # a header in Latin-1
                continue
            for message, text in catalogue.items():
                plain = isinstance(message, str) and not re.search(r"%|--\w|\n\s", message)  # prose, not options
                if plain and len(message) >= 80 and isinstance(text, str) and text != message:
                    ratios.append(len(text) / len(message))
        if len(ratios) >= 200:
            compared += 1
            assert statistics.median(ratios) == pytest.approx(LANGUAGES[code].length, rel=0.25), code
    if not compared:
        pytest.skip("no translated catalogues on this machine")


def test_a_released_prompt_does_not_change():
    """Its text is in the keys of paid answers, and its name in the rows: another wording is another version."""
    for version in CURRENT.values():
        assert prompt(version).version == version
    toga = Question("m", "toga-1", ("fr", "ja"), "Hi").messages()
    assert toga == [
        {
            "role": "system",
            "content": "Translate the user's text into French and Japanese. Keep meaning, tone, register, emotion and "
            'writing style. Add no new facts. Input JSON {"user_text": ""}. Output JSON {"fr": "", "ja": ""}.',
        },
        {"role": "user", "content": '{"user_text": "Hi"}'},
    ]
    piga = Question("m", "piga-1", ("fr",), "Hi", {"openness": 1.0, "neuroticism": 0.0}).messages()
    assert piga == [
        {
            "role": "system",
            "content": "Translate the user's text into French. Keep meaning, tone, register, emotion and writing style "
            "so that the author's personality, given by the labels (Big Five, 1 high / 0 low), stays recognisable to a "
            "native reader. Do not name, describe or hint at the labels or any personality theory; add no new facts. "
            'Input JSON {"user_text": "", "given_labels": {}}. Output JSON {"fr": ""}.',
        },
        {"role": "user", "content": '{"user_text": "Hi", "given_labels": {"openness": "1", "neuroticism": "0"}}'},
    ]


def test_languages_are_codes_and_the_authors_names_for_two_are_read():
    assert parse("ja, zh,ms,fr") == parse("zh,bm,jp,fr,fr") == ("fr", "ja", "ms", "zh")
    with pytest.raises(UnknownName, match="did you mean 'fr'"):
        parse("frr")
    for none in ("", "en,fr"):
        with pytest.raises(InvalidOption):
            parse(none)


@pytest.mark.data
def test_identification_on_real_texts(data, print_table):
    """Of 400 texts a language, from 20 letters on (8 in Chinese and Japanese): how many are denied or taken wrongly."""
    names = {"chinese": "zh", "english": "en", "french": "fr", "japanese": "ja", "malay": "ms"}
    texts = {}
    for name, code in names.items():
        with (data / "multilingual" / "sentiment_tyqiangz" / f"{name}_test.csv").open(encoding="utf-8") as file:
            texts[code] = [row["text"] for row in csv.DictReader(file)][:400]
    lines, denied, taken = [], {}, 0
    for code in CODES:
        least = 20 if LANGUAGES[code].spaced else 8
        long = {
            other: [text for text in some if sum(map(str.isalpha, NOT_WRITTEN.sub("", text))) >= least]
            for other, some in texts.items()
        }
        denied[code] = sum(not is_in(text, code) for text in long[code]) / len(long[code])
        wrong = {other: sum(is_in(text, code) for text in some) for other, some in long.items() if other != code}
        taken += sum(wrong.values())
        lines.append(f"{code}: denied {denied[code]:.2%} of {len(long[code])}; taken of the others {wrong}")
    print_table(lines)
    assert max(denied.values()) < 0.02
    assert taken <= 5
