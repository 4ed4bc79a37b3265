"""`zoo augment`: English texts translated with or without their labels in sight, by a server or a local model."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featzoo.commands.augment_report import Prices, Request, finish, show_progress
from featzoo.commands.ending import status_of_parts
from featzoo.commands.options import DEVICE, FOLDER, comma_list
from featzoo.commands.printing import echo
from featzoo.commands.weights import takes_weights
from featzoo.wording import count

if TYPE_CHECKING:
    from featzoo.augment.client import Service
    from featzoo.augment.prompt import Method
    from featzoo.augment.run import Forecast
    from featzoo.augment.translate import Outcome

KEY_NAME = "OPENAI_API_KEY"


@dataclass(frozen=True)
class Options:
    """The options of `zoo augment`, as given."""

    source: Path
    method: Method
    languages: str
    endpoint: str | None
    model: str | None
    translator: str | None
    output: Path
    answers: Path | None
    splits: str
    include_test: bool
    limit: int | None
    jobs: int
    requests_per_minute: float | None
    tokens_per_minute: float | None
    timeout: float
    tries: int
    backoff: float
    retries: int
    temperature: str
    json_mode: bool
    piece_tokens: float
    price_in: float | None
    price_out: float | None
    key_env: str | None
    yes: bool
    dry_run: bool
    device: str

    def check(self) -> None:
        """Refuse options that do not fit together.

        Raises:
            click.UsageError: If they do not.
        """
        if bool(self.translator) == bool(self.endpoint) or bool(self.model) != bool(self.endpoint):
            raise click.UsageError("give --endpoint URL with --model NAME, or --translator MODEL")
        if self.translator and self.method != "toga":
            raise click.UsageError("a --translator sees no labels: use --method toga")


@click.command()
@click.argument("source", type=FOLDER)
@click.option("--method", type=click.Choice(["toga", "piga"]), default="toga", show_default=True,
              help="toga shows the translator the texts only, piga their labels too.")  # fmt: skip
@click.option("--languages", default="fr,ja,ms,zh", show_default=True, help="ISO 639-1 codes.")
@click.option("--endpoint", metavar="URL", help="An OpenAI-compatible API, such as https://api.openai.com/v1.")
@click.option("--model", help="The model's name on the server.")
@click.option("--translator", metavar="MODEL", help="Use a local NLLB, M2M100, mBART-50 or Marian model; toga only.")
@click.option("-o", "--output", type=FOLDER, default=Path("parallel.jsonl"), show_default=True,
              help="A .jsonl or .parquet file; its existing rows are kept.")  # fmt: skip
@click.option("--answers", type=FOLDER, help="Folder of the answers; default: `answers` beside the output.")
@click.option("--splits", default="", help="Only these splits, such as train,valid.")
@click.option("--include-test", is_flag=True, help="Let piga translate test texts too; their labels leak.")
@click.option("--limit", type=click.IntRange(1), help="Only the first N texts.")
@click.option("-j", "--jobs", type=click.IntRange(1), default=4, show_default=True, help="Requests at the same time.")
@click.option("--requests-per-minute", type=click.FloatRange(0, min_open=True), help="The server's limit.")
@click.option("--tokens-per-minute", type=click.FloatRange(0, min_open=True), help="The server's limit, in and out.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=120.0, show_default=True,
              help="Give a request up after this many seconds without a byte.")  # fmt: skip
@click.option("--tries", type=click.IntRange(1), default=6, show_default=True,
              help="Most requests for one question while the server fails.")  # fmt: skip
@click.option("--backoff", type=click.FloatRange(0), default=1.0, show_default=True,
              help="Seconds before the second try; doubled each time, up to a minute.")  # fmt: skip
@click.option("--retries", type=click.IntRange(0), default=2, show_default=True,
              help="Ask again this many times for an answer that fails a check.")  # fmt: skip
@click.option(
    "--temperature", default="0", show_default=True, help="Sampling temperature; `default` is the server's own."
)
@click.option("--json-mode/--no-json-mode", default=True, show_default=True,
              help="Ask the server for `response_format: json_object`.")  # fmt: skip
@click.option("--piece-tokens", type=click.FloatRange(50), default=1500.0, show_default=True,
              help="Cut longer texts into pieces, between sentences.")  # fmt: skip
@click.option("--price-in", type=click.FloatRange(0), help="Price of a million input tokens.")
@click.option("--price-out", type=click.FloatRange(0), help="Price of a million output tokens.")
@click.option("--key-env", metavar="NAME", help=f"Environment variable of the API key; default {KEY_NAME}.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--dry-run", is_flag=True, help="Show the requests and their cost; write nothing.")
@DEVICE
@takes_weights
def augment(**given: Any) -> None:
    """Translate English texts, with or without their labels.

    SOURCE is a feature store, or a .jsonl or .parquet file of texts. Every answer is kept and none is asked for twice:
    run a stopped command again to continue it. The API key is read from the environment and written nowhere. The exit
    status is 1 if some texts were refused and the others are written, and 3 if all were refused.

    \b
    zoo augment essays --method toga --languages ja,zh,ms,fr --endpoint https://api.openai.com/v1 --model gpt-4o
    zoo augment essays --method piga --splits train,valid --endpoint http://localhost:8000/v1 --model Qwen/Qwen3-8B
    zoo augment essays --languages fr --translator facebook/nllb-200-distilled-600M -o nllb.jsonl
    """
    options = Options(**given)
    options.check()
    request = _request(options)
    settled = _translate(request, options.device) if options.translator else _ask(request, options)
    if settled is not None:
        refused = finish(request, settled)
        raise SystemExit(status_of_parts(sum(map(len, settled)) - refused, refused))


def _request(options: Options) -> Request:
    """The texts to translate, and how."""
    from featzoo.augment.answer_cache import AnswerCache
    from featzoo.augment.languages import parse
    from featzoo.augment.rows import check_output, read_sources
    from featzoo.augment.run import LabelsLeak, choose
    from featzoo.augment.translate import Task

    codes = parse(options.languages)
    check_output(options.output, options.method)
    found = read_sources(options.source)
    try:
        rows = choose(found.rows, options.method, comma_list(options.splits), options.include_test)[: options.limit]
    except LabelsLeak as error:
        error.hint = (
            "zoo augment --method toga -o FILE translates them without labels, --splits train,valid leaves them out; "
            "--include-test makes the 'paper-like' test set all the same"
        )
        raise
    others = f", {found.left_aside} in other languages ignored" if found.left_aside else ""
    echo(f"{count(len(rows), 'English text')}{others}")
    task = Task(
        options.method, codes, options.model or "", temperature=_temperature(options.temperature),
        retries=options.retries, piece_tokens=options.piece_tokens,
    )  # fmt: skip
    cache = AnswerCache(options.answers or options.output.absolute().parent / "answers")
    return Request(rows, task, options.model or options.translator or "", cache, options.output, options.dry_run)


def _temperature(text: str) -> float | None:
    if text == "default":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 2:
        raise click.BadParameter(f"'{text}' is neither a number from 0 to 2 nor `default`", param_hint="--temperature")
    return value


def _key(name: str | None) -> str:
    """The API key; never print or keep it."""
    if name and not os.environ.get(name):
        raise click.BadParameter(f"the environment variable {name} is not set", param_hint="--key-env")
    return os.environ.get(name or KEY_NAME, "").strip()


def _ask(request: Request, options: Options) -> list[list[Outcome]] | None:
    """Ask a server, after the user has agreed to the possible cost; None if nothing was to be asked."""
    from featzoo.augment.client import Endpoint, Service
    from featzoo.augment.rate_limit import Pace
    from featzoo.augment.run import Tally, forecast, translate_all

    prices = Prices(options.price_in, options.price_out)
    service = Service(
        options.endpoint or "", _key(options.key_env), options.key_env or KEY_NAME, options.json_mode,
        options.timeout, options.tries, options.backoff, max(5, 2 * options.jobs),
    )  # fmt: skip
    expected = forecast(request.rows, request.task, request.cache)
    _announce(request, expected, prices, service)
    if request.dry_run:
        return None
    if expected.requests and not options.yes:
        click.confirm("ask?", abort=True)
    pace = Pace(options.requests_per_minute, options.tokens_per_minute)
    server = Endpoint(service, pace)
    tally = Tally()
    try:
        with show_progress(len(request.rows), tally, prices) as tell:
            settled = translate_all(
                request.rows,
                request.task,
                lambda question: tally.count(request.cache.once(question, server.ask, service.shown)),
                partial(request.cache.known, new=()),
                jobs=options.jobs, stop=pace.stop, on_row=tell,
            )  # fmt: skip
    finally:
        if tally.requests:
            uncounted = f"; {count(tally.uncounted, 'answer')} without a count" if tally.uncounted else ""
            spent = prices.of(tally.tokens_in, tally.tokens_out)
            echo(f"{count(tally.requests, 'answer')}, by the server's count {spent}{uncounted}")
    if settled.failure:
        if all(each.state == "refused" for outcomes in settled.outcomes for each in outcomes):
            raise settled.failure
        echo(f"error: {settled.failure}", err=True, fg="red")
    return settled.outcomes


def _announce(request: Request, expected: Forecast, prices: Prices, service: Service) -> None:
    known = f"; {count(expected.known, 'text')} already answered" if expected.known else ""
    asked = prices.of(expected.tokens_in, expected.tokens_out)
    task = request.task
    echo(f"{task.method} into {', '.join(task.languages)} by {request.model} at {service.shown}")
    echo(f"{count(expected.requests, 'question')} to ask, about {asked} (estimates){known}")


def _translate(request: Request, device: str) -> list[list[Outcome]] | None:
    """Translate on this machine, one language at a time; None for a dry run."""
    from featzoo.augment.local_model import VERSION, Translator
    from featzoo.augment.run import Tally
    from featzoo.augment.translate import questions, settle

    translator = Translator(request.model, request.task.languages, device)
    settled: list[list[Outcome]] = [[] for _ in request.rows]
    for code in request.task.languages:
        # Each language has its own questions, so that adding a language later repeats nothing.
        task = replace(
            request.task, languages=(code,), model=translator.key, version=VERSION, temperature=None, retries=0,
            piece_tokens=float("inf"),
        )  # fmt: skip
        asked = [question for row in request.rows for question in questions(row, task)]
        unknown = {question.key for question in asked if request.cache.get(question) is None}
        known = len(asked) - len(unknown)
        echo(f"{code}: {count(len(unknown), 'text')} to translate on {translator.device}, {known} known")
        if request.dry_run:
            continue
        with show_progress(len(unknown), Tally(), None) as tell:
            for _ in translator.fill(asked, request.cache):
                tell()
        for row, outcomes in zip(request.rows, settled, strict=True):
            outcomes += settle(row, task, partial(request.cache.known, new=unknown))
    return None if request.dry_run else settled
