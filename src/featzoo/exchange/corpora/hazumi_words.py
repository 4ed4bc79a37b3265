"""Words of Hazumi's participants, from the ELAN files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from featzoo.media.transcripts import Word, words_of
from featzoo.media.transcripts.elan import read_eaf_tiers
from featzoo.media.transcripts.encoding import decode
from featzoo.wording import count, some

USER, ACT = "user_utterance", "dialogue_act"
# (F filler), (D slip of the tongue), (? not sure) ...: the mark goes, the word stays. A bar is a pause.
MARK = re.compile(r"\([A-Z?]+ ?([^()]*)\)")
PAUSE = re.compile(r"[|｜]")

Times = tuple[float, float, float]


class Said(NamedTuple):
    """A participant's answer in an exchange, and the dialogue act of the agent."""

    text: str
    act: str


#: Participant and start of an exchange (s) to its answer.
Spoken = Mapping[tuple[str, float], Said]


def spoken_in(
    folder: Path, exchanges: Mapping[str, Sequence[Times]]
) -> tuple[dict[tuple[str, float], Said], list[str]]:
    """The answers of the exchanges: the annotations whose middle lies in the exchange.

    Args:
        folder: Folder of `<participant>.eaf`.
        exchanges: Participant to the start, the end of the agent's turn and the end of each exchange, in seconds.

    Returns:
        The answers, and notes.

    Raises:
        ClipError: If a file is not one of ELAN.
    """
    found: dict[tuple[str, float], Said] = {}
    notes, beyond, missing = [], 0, []
    for person, times in exchanges.items():
        path = folder / f"{person}.eaf"
        if not path.is_file():
            missing.append(person)
            continue
        tiers = {tier.name: tier.intervals for tier in read_eaf_tiers(decode(path.read_bytes()), path.name)}
        middles = {name: [((a + b) / 2, text) for a, b, text in tiers.get(name, [])] for name in (USER, ACT)}
        taken = 0
        for start, _, end in times:
            texts, acts = ([text for at, text in middles[name] if start <= at < end] for name in (USER, ACT))
            taken += len(texts)
            found[person, start] = Said(" ".join(filter(None, map(plain, texts))), acts[0].strip() if acts else "")
        beyond += len(middles[USER]) - taken
    if missing:
        notes.append(f"warning: no transcript of {count(len(missing), 'participant')}: {some(missing)}")
    if beyond:
        notes.append(f"{count(beyond, 'annotated exchange')} without a row in the dump files: not imported")
    extra = sorted(path.stem for path in folder.glob("*.eaf") if path.stem not in exchanges)
    if extra:
        notes.append(f"transcripts without a dump file, not imported: {some(extra)}")
    return found, notes


def plain(text: str) -> str:
    """A transcript without its marks: `(F あ)|なるほど` becomes `あ なるほど`."""
    while MARK.search(text):
        text = MARK.sub(r"\1", text)
    return " ".join(PAUSE.sub(" ", text).split())


def spoken_words(said: Said | None, start: float, end: float) -> tuple[Word, ...]:
    """The words of an answer between two times (s) of the clip, which they share by their length."""
    return words_of(said.text, start, end) if said else ()
