"""Questions to a translator and their keys: equal questions have equal keys, and are asked once."""

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
        system: The system message, with `$languages` and `$shape`.
        again: The text added after a refused answer, with `$faults`.
    """

    version: str
    system: str
    again: str


@cache
def prompt(version: str) -> Prompt:
    """The prompt of a version, from the files in `prompts/`."""
    file = resources.files("featzoo.augment") / "prompts" / f"{version}.toml"
    return Prompt(**tomllib.loads(file.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Question:
    """One text to translate into some languages.

    Attributes:
        model: The server's name of the model; for a local model, the digest of its weights.
        version: Version of the prompt; a local model's is `seq2seq-1`.
        languages: Codes, sorted.
        text: The English text, or a piece of a long one.
        labels: For PIGA, trait to 0 or 1; otherwise empty.
        temperature: Sampling temperature; None is the server's own.
        attempt: Number of answers to the question that have been refused.
        faults: Faults of the last refused answer.
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
        """SHA-256 of everything that may change the answer.

        It includes the prompt's text, not only its version. It does not include the endpoint, so the same model at
        another address reuses paid answers, and because an address may hold a secret. It does not include the row
        either: rows with the same text (and labels, for PIGA) share an answer.
        """
        facts = asdict(self) | {"messages": self.messages() if self.version in CURRENT.values() else None}
        return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def messages(self) -> list[dict[str, str]]:
        """The messages to send: the prompt, then the text as JSON."""
        wording = prompt(self.version)
        shape = json.dumps(dict.fromkeys(self.languages, ""))
        system = Template(wording.system).substitute(languages=names(self.languages), shape=shape).strip()
        if self.faults:
            # In the system message, because some models' chat templates refuse two consecutive user messages.
            system += "\n" + Template(wording.again).substitute(faults="; ".join(self.faults))
        user: dict[str, Any] = {"user_text": self.text}
        if self.labels is not None:
            user["given_labels"] = {trait: str(int(value)) for trait, value in self.labels.items()}
        return [
            {"role": "system", "content": system},
            {"role": "user", "content": json.dumps(user, ensure_ascii=False)},
        ]
