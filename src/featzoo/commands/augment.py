"""`zoo augment`: English texts translated with or without their labels in sight, by a server or a local model."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from featzoo.commands.options import DEVICE, FOLDER
from featzoo.commands.weights import takes_weights

if TYPE_CHECKING:
    from featzoo.augment.answer_cache import AnswerCache
    from featzoo.augment.client import Service
    from featzoo.augment.prompt import Method
    from featzoo.augment.rows import Row
    from featzoo.augment.run import Forecast, Tally
    from featzoo.augment.translate import Outcome, Task

# Refused texts that are named.
EXAMPLES = 10
KEY_NAME = "OPENAI_API_KEY"


@dataclass(frozen=True)
class Prices:
    """What a million tokens cost, in a currency that is the user's affair; None where it was not said."""

    tokens_in: float | None
    tokens_out: float | None

    def of(self, tokens_in: float, tokens_out: float) -> str:
        """Tokens and their cost, for people."""
        said = f"{tokens_in:,.0f} tokens in, {tokens_out:,.0f} out"
        if self.tokens_in is None and self.tokens_out is None:
            return f"{said}; no price given (--price-in, --price-out)"
        cost = (tokens_in * (self.tokens_in or 0) + tokens_out * (self.tokens_out or 0)) / 1e6
        return f"{said}, cost {cost:,.4f}"


@dataclass(frozen=True)
class Request:
    """What the user asked for, whoever translates."""

    rows: Sequence[Row]
    task: Task
    model: str
    cache: AnswerCache
    output: Path
    dry_run: bool


@click.command()
@click.argument("source", type=FOLDER)
@click.option("--method", type=click.Choice(["toga", "piga"]), default="toga", show_default=True,
              help="toga: translation only; piga: the labels in sight.")  # fmt: skip
@click.option("--languages", default="fr,ja,ms,zh", show_default=True, help="ISO 639-1 codes.")
@click.option("--endpoint", metavar="URL", help="An OpenAI-compatible API: https://api.openai.com/v1.")
@click.option("--model", help="As the server names it.")
@click.option("--translator", metavar="MODEL", help="A local NLLB, M2M100, mBART-50 or Marian instead; TOGA only.")
@click.option("-o", "--output", type=FOLDER, default=Path("parallel.jsonl"), show_default=True,
              help="A .jsonl or .parquet file; rows that it holds already are kept.")  # fmt: skip
@click.option("--answers", type=FOLDER, help="Where every answer is kept; default: `answers` beside the output.")
@click.option("--splits", default="", help="Take these only: train,valid.")
@click.option("--include-test", is_flag=True, help="PIGA for test texts, too: their labels leak ('paper-like').")
@click.option("--limit", type=click.IntRange(1), help="Take only so many texts, the first ones.")
@click.option("-j", "--jobs", type=click.IntRange(1), default=4, show_default=True, help="Requests at the same time.")
@click.option("--requests-per-minute", type=click.FloatRange(0, min_open=True), help="The server's limit.")
@click.option("--tokens-per-minute", type=click.FloatRange(0, min_open=True), help="The server's limit, in and out.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=120.0, show_default=True,
              help="Seconds without a byte after which a request is given up.")  # fmt: skip
@click.option("--tries", type=click.IntRange(1), default=6, show_default=True,
              help="Requests for one question at most, while the server fails.")  # fmt: skip
@click.option("--backoff", type=click.FloatRange(0), default=1.0, show_default=True,
              help="Seconds before the second of these; doubled each time, up to a minute.")  # fmt: skip
@click.option("--retries", type=click.IntRange(0), default=2, show_default=True,
              help="Times an answer that fails a check is asked for again.")  # fmt: skip
@click.option("--temperature", default="0", show_default=True, help="Of the sampling, or `default`: the server's own.")
@click.option("--json-mode/--no-json-mode", default=True, show_default=True,
              help="Whether the server is asked for `response_format: json_object`.")  # fmt: skip
@click.option("--piece-tokens", type=click.FloatRange(50), default=1500.0, show_default=True,
              help="Longer texts are cut into pieces between sentences.")  # fmt: skip
@click.option("--price-in", type=click.FloatRange(0), help="Of a million tokens of questions.")
@click.option("--price-out", type=click.FloatRange(0), help="Of a million tokens of answers.")
@click.option("--key-env", metavar="NAME", help=f"The environment variable with the API key; default {KEY_NAME}.")
@click.option("-y", "--yes", is_flag=True, help="Ask the server without asking you.")
@click.option("--dry-run", is_flag=True, help="Say what would be asked and cost; change nothing.")
@DEVICE
@takes_weights
def augment(
    source: Path,
    method: Method,
    languages: str,
    endpoint: str | None,
    model: str | None,
    translator: str | None,
    output: Path,
    answers: Path | None,
    splits: str,
    include_test: bool,
    limit: int | None,
    jobs: int,
    requests_per_minute: float | None,
    tokens_per_minute: float | None,
    timeout: float,
    tries: int,
    backoff: float,
    retries: int,
    temperature: str,
    json_mode: bool,
    piece_tokens: float,
    price_in: float | None,
    price_out: float | None,
    key_env: str | None,
    yes: bool,
    dry_run: bool,
    device: str,
) -> None:
    """Translate the English texts of SOURCE, a feature store or a .jsonl or .parquet file of texts.

    Every answer is kept, and none is asked for twice: the same command goes on after a crash. The API key comes from
    the environment and is written nowhere. Exit status 1 if a text was refused; the others are written all the same.

    \b
    zoo augment essays --method toga --languages ja,zh,ms,fr --endpoint https://api.openai.com/v1 --model gpt-4o
    zoo augment essays --method piga --splits train,valid --endpoint http://localhost:8000/v1 --model Qwen/Qwen3-8B
    zoo augment essays --languages fr --translator facebook/nllb-200-distilled-600M -o nllb.jsonl
    """
    from featzoo.augment.answer_cache import AnswerCache
    from featzoo.augment.client import Service
    from featzoo.augment.languages import parse
    from featzoo.augment.rows import check_output, read_sources
    from featzoo.augment.run import choose
    from featzoo.augment.translate import Task

    if bool(translator) == bool(endpoint) or bool(model) != bool(endpoint):
        raise click.UsageError("give --endpoint URL with --model NAME, or --translator MODEL")
    if translator and method != "toga":
        raise click.UsageError("a --translator takes no labels: --method toga")
    codes = parse(languages)
    check_output(output, method)
    found = read_sources(source)
    names = [name.strip() for name in splits.split(",") if name.strip()]
    rows = choose(found.rows, method, names, include_test)[:limit]
    click.echo(f"{len(rows)} English texts" + (f", {found.left_aside} of other languages" if found.left_aside else ""))
    task = Task(
        method, codes, model or "", temperature=_temperature(temperature), retries=retries, piece_tokens=piece_tokens
    )  # fmt: skip
    cache = AnswerCache(answers or output.absolute().parent / "answers")
    request = Request(rows, task, model or translator or "", cache, output, dry_run)
    prices = Prices(price_in, price_out)
    if translator:
        settled = _translate(request, device)
    else:
        service = Service(
            endpoint or "", _key(key_env), key_env or KEY_NAME, json_mode, timeout, tries, backoff, max(5, 2 * jobs)
        )
        settled = _ask(request, service, prices, jobs, requests_per_minute, tokens_per_minute, yes)
    if settled is not None and _finish(request, settled):
        raise SystemExit(1)


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
    """The API key, which nothing may print or keep."""
    if name and not os.environ.get(name):
        raise click.BadParameter(f"the environment variable {name} is not set", param_hint="--key-env")
    return os.environ.get(name or KEY_NAME, "").strip()


def _ask(
    request: Request,
    service: Service,
    prices: Prices,
    jobs: int,
    requests_per_minute: float | None,
    tokens_per_minute: float | None,
    yes: bool,
) -> list[list[Outcome]] | None:
    """Ask a server, after the user has agreed to what it may cost; None where nothing was to be asked."""
    from featzoo.augment.client import Endpoint
    from featzoo.augment.rate_limit import Pace
    from featzoo.augment.run import Tally, forecast, translate_all

    expected = forecast(request.rows, request.task, request.cache)
    _announce(request, expected, prices, service)
    if request.dry_run:
        return None
    if expected.requests and not yes:
        click.confirm("ask?", abort=True)
    pace = Pace(requests_per_minute, tokens_per_minute)
    server = Endpoint(service, pace)
    tally = Tally()
    try:
        with _progress(len(request.rows), tally, prices) as tell:
            settled = translate_all(
                request.rows,
                request.task,
                lambda question: tally.count(request.cache.once(question, server.ask, service.shown)),
                partial(request.cache.known, new=()),
                jobs=jobs, stop=pace.stop, on_row=tell,
            )  # fmt: skip
    finally:
        if tally.requests:
            uncounted = f"; {tally.uncounted} answers came without a count" if tally.uncounted else ""
            spent = prices.of(tally.tokens_in, tally.tokens_out)
            click.echo(f"{tally.requests} answers, by the server's count {spent}{uncounted}")
    if settled.failure:
        if all(each.state == "refused" for outcomes in settled.outcomes for each in outcomes):
            raise settled.failure
        click.secho(f"error: {settled.failure}", err=True, fg="red")
    return settled.outcomes


def _announce(request: Request, expected: Forecast, prices: Prices, service: Service) -> None:
    known = f"; {expected.known} texts need none" if expected.known else ""
    asked = prices.of(expected.tokens_in, expected.tokens_out)
    task = request.task
    click.echo(f"{task.method} into {', '.join(task.languages)} by {request.model} at {service.shown}")
    click.echo(f"{expected.requests} questions to ask, about {asked} (estimates){known}")


def _translate(request: Request, device: str) -> list[list[Outcome]] | None:
    """Translate on this machine, language by language; None for a dry run."""
    from featzoo.augment.local_model import VERSION, Translator
    from featzoo.augment.run import Tally
    from featzoo.augment.translate import questions, settle

    translator = Translator(request.model, request.task.languages, device)
    settled: list[list[Outcome]] = [[] for _ in request.rows]
    for code in request.task.languages:
        # A language has questions of its own: another language later computes nothing again.
        task = replace(
            request.task, languages=(code,), model=translator.key, version=VERSION, temperature=None, retries=0,
            piece_tokens=float("inf"),
        )  # fmt: skip
        asked = [question for row in request.rows for question in questions(row, task)]
        unknown = {question.key for question in asked if request.cache.get(question) is None}
        click.echo(
            f"{code}: {len(unknown)} texts to translate on {translator.device}, {len(asked) - len(unknown)} known"
        )
        if request.dry_run:
            continue
        with _progress(len(unknown), Tally(), None) as tell:
            for _ in translator.fill(asked, request.cache):
                tell()
        for row, outcomes in zip(request.rows, settled, strict=True):
            outcomes += settle(row, task, partial(request.cache.known, new=unknown))
    return None if request.dry_run else settled


@contextmanager
def _progress(total: int, tally: Tally, prices: Prices | None) -> Iterator[Callable[[], None]]:
    """Shows how far it is: a bar in a terminal, else a line for each tenth."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[spent]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total, spent="")

        def tell() -> None:
            with tally.lock:
                tally.rows += 1
                done = tally.rows
                spent = prices.of(tally.tokens_in, tally.tokens_out) if prices else ""
            progress.update(task, completed=done, spent=spent)
            if not console.is_terminal and done * 10 // total > (done - 1) * 10 // total:
                click.echo(f"{done} of {total} texts" + (f"; {spent}" if spent else ""), err=True)

        yield tell


def _finish(request: Request, settled: Sequence[Sequence[Outcome]]) -> int:
    """Write the output, and print what became of every text; how many were refused."""
    from featzoo.augment.rows import check_output, write_rows
    from featzoo.augment.run import merged, to_rows
    from featzoo.augment.translate import STATES

    new = to_rows(request.rows, settled, request.task, request.model)
    # Read again: another run may have added its language meanwhile.
    before = check_output(request.output, request.task.method)
    whole = merged(before, request.rows, new, request.task.languages)
    write_rows(request.output, whole)
    counts = Counter((each.language, each.state) for outcomes in settled for each in outcomes)
    click.echo("language " + "".join(f"{state:>10}" for state in STATES))
    for code in request.task.languages:
        click.echo(f"{code:<9}" + "".join(f"{counts[code, state]:>10}" for state in STATES))
    named = [(row.id, each) for row, outcomes in zip(request.rows, settled, strict=True) for each in outcomes]
    fell = Counter(each.reason for _, each in named if each.state == "fallback")
    if fell:
        click.echo("fell back to toga: " + ", ".join(f"{reason} {count}" for reason, count in fell.most_common()))
    refused = [(name, each) for name, each in named if each.state == "refused"]
    for reason, count in Counter(each.reason for _, each in refused).most_common():
        click.secho(f"refused, {reason}: {count}", fg="yellow")
    for name, each in refused[:EXAMPLES]:
        click.secho(f"    {name}/{each.language}: {each.message}", fg="yellow")
    if len(refused) > EXAMPLES:
        click.secho(f"    ... and {len(refused) - EXAMPLES} more", fg="yellow")
    if any(each.unanswered for _, each in refused):
        click.echo("what got no answer is asked again by the same command")
    click.echo(f"{len(whole)} rows in {request.output}")
    return len(refused)
