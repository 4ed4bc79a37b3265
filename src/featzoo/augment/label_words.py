"""Words that reveal a label: trait names, personality, frameworks and type names, in five languages."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple


class Concept(NamedTuple):
    """A topic that a translation may mention only if the source does.

    Attributes:
        name: The name in messages.
        source: A pattern of the English words that may correctly be translated by one of `words`.
        words: Patterns of whole words, in any language with spaces between words.
        characters: Chinese and Japanese words, which are searched anywhere because these languages have no spaces.
    """

    name: str
    source: str
    words: str
    characters: str


CONCEPTS = (
    Concept(
        "personality",
        r"personalit\w*|character\w*|nature|temper\w*|disposition\w*|individual\w*|identit\w*|kind of \w+",
        r"personalit(?:y|ies)|personnalit[ée]s?|traits? de caractère|personaliti|keperibadian",
        "性格|人格|パーソナリティ|个性|個性",
    ),
    Concept(
        "a theory of personality",
        r"big[- ]five|five[- ]factors?|mbti|myers[- ]briggs|types?",
        r"big[- ]five|five[- ]factors?|mbti|myers[- ]briggs|cinq grands|lima besar|given_labels",
        "ビッグファイブ|ビッグ5|5因子|五因子|大五|五大人格|マイヤーズ・?ブリッグス|迈尔斯|邁爾斯",
    ),
    Concept(
        "openness",
        r"open\w*|receptiv\w*",
        r"openness|ouverture d['’]esprit|ouverture à l['’]expérience|keterbukaan",
        "開放性|开放性",
    ),
    Concept(
        "conscientiousness",
        r"conscien\w*|careful\w*|thorough\w*|diligen\w*|accura\w*|meticul\w*|sincer\w*|hard[- ]?work\w*|responsib\w*",
        r"conscientious(?:ness)?|conscienciosité|consciencieux|consciencieuses?|ketelitian",
        "誠実性|勤勉性|尽责性|盡責性",
    ),
    Concept(
        "extraversion",
        r"extra?[vo]\w*|introver\w*|outgoing|sociab\w*|social\w*|shy\w*|quiet\w*|withdrawn|reserved",
        r"extra?over\w+|extraver\w+|introver\w+|ekstra?over\w+|ekstraver\w+",
        "外向|内向|內向|外倾|内倾",
    ),
    Concept(
        "agreeableness",
        r"agreeabl\w*|cooperat\w*|co-operat\w*|harmon\w*|team\w*|easy[- ]?going",
        r"agreeableness|agréabilité|kebersetujuan|kepersetujuan",
        "協調性|調和性|宜人性|亲和性|親和性",
    ),
    Concept(
        "neuroticism",
        r"neuro\w*|nervous\w*|anxi\w*|unstable|instab\w*|sensitive|sensitivity",
        r"neurotic(?:ism)?|névrosisme|névrotisme|neuroticisme|neurotisisme|neurotisme",
        "神経症|神経質|情緒不安定|神经质|神經質|神经症",
    ),
)
# The sixteen types, also with a plural s. Letters of other scripts may be next to them: INFPです.
TYPE = re.compile(r"(?<![A-Za-z])[IE][NS][TF][JP](?=s?(?![A-Za-z]))", re.IGNORECASE)


def leaks(source: str, translation: str) -> list[str]:
    """Topics of the labels that a translation mentions and its source does not.

    The translation of a text that mentions its author's personality, or being an INFP, may mention it too.

    Args:
        source: The English text.
        translation: In any language; words are known in English, French, Malay, Japanese and Chinese.
    """
    before, after = _plain(source), _plain(translation)
    found = []
    for concept in CONCEPTS:
        hit = re.search(rf"(?<!\w)(?:{concept.words})(?!\w)|{concept.characters}", after)
        if hit and not re.search(rf"(?<!\w)(?:{concept.source})(?!\w)", before):
            found.append(f"'{hit[0]}' ({concept.name})")
    given = {name.upper() for name in TYPE.findall(before)}
    return found + [f"'{name}'" for name in sorted({name.upper() for name in TYPE.findall(after)} - given)]


def _plain(text: str) -> str:
    """The text with full-width letters as usual ones, accents joined to their letters, in lower case."""
    return unicodedata.normalize("NFKC", text).lower()
