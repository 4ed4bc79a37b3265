"""What is asked of a translator, and what names it: equal questions have equal keys, and are asked once."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from string import Template
from typing import Any, Literal, NamedTuple

from featzoo.augment.languages import names

Method = Literal["toga", "piga"]
# The newest prompt of each method.
CURRENT = {"toga": "toga-1", "piga": "piga-1"}


class Prompt(NamedTuple):
    """A versioned prompt.

    Attributes:
        version: Its name, `toga-1`.
        system: With `$languages` and `$shape`.
        again: What is added after a refused answer, with `$faults`.
    """

    version: str
    system: str
    again: str


@cache
def prompt(version: str) -> Prompt:
    """The prompt of this version, from the files in `prompts/`."""
    file = resources.files("featzoo.augment") / "prompts" / f"{version}.toml"
    return Prompt(**tomllib.loads(file.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Question:
    """One text to be put into some languages.

    Attributes:
        model: Whom it is put to, as the server names it; a local model by the digest of its weights.
        version: Of the prompt; a local model's is `seq2seq-1`.
        languages: Codes, sorted.
        text: In English; a text, or a piece of a long one.
        labels: For PIGA, trait to 0 or 1; else none.
        temperature: Of the sampling; None is the server's own.
        attempt: 0, or how many answers to the question have been refused.
        faults: What was wrong with the last one of these.
    """

    model: str
    version: str
    languages: tuple[str, ...]
    text: str
    labels: Mapping[str, float] | None = None
    temperature: float | None = None
    attempt: int = 0
    faults: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """SHA-256 of all that may change the answer.

        The prompt's text counts too, not only its version. The endpoint does not: the same model behind another
        address gives what was paid for already, and an address may hold a secret. Nor does the row: rows of the
        same text (and labels, for PIGA) share an answer.
        """
        facts = asdict(self) | {"messages": self.messages() if self.version in CURRENT.values() else None}
        return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def messages(self) -> list[dict[str, str]]:
        """What is sent: the prompt, then the text as JSON."""
        wording = prompt(self.version)
        shape = json.dumps(dict.fromkeys(self.languages, ""))
        system = Template(wording.system).substitute(languages=names(self.languages), shape=shape).strip()
        if self.faults:
            # In the system message: chat templates of some models refuse two messages of the user in a row.
            system += "\n" + Template(wording.again).substitute(faults="; ".join(self.faults))
        user: dict[str, Any] = {"user_text": self.text}
        if self.labels is not None:
            user["given_labels"] = {trait: str(int(value)) for trait, value in self.labels.items()}
        return [
            {"role": "system", "content": system},
            {"role": "user", "content": json.dumps(user, ensure_ascii=False)},
        ]
