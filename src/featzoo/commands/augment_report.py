"""The output of `zoo augment`: tokens and their cost, progress, and the outcome of every text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from featzoo.commands.printing import echo
from featzoo.wording import count

if TYPE_CHECKING:
    from featzoo.augment.answer_cache import AnswerCache
    from featzoo.augment.rows import Row
    from featzoo.augment.run import Tally
    from featzoo.augment.translate import Outcome, Task

# Refused texts that are listed.
EXAMPLES = 10


@dataclass(frozen=True)
class Prices:
    """Prices of a million tokens, in any currency; None where not given."""

    tokens_in: float | None
    tokens_out: float | None

    def of(self, tokens_in: float, tokens_out: float) -> str:
        """Tokens and their cost, as text."""
        tokens = f"{tokens_in:,.0f} tokens in, {tokens_out:,.0f} out"
        if self.tokens_in is None and self.tokens_out is None:
            return f"{tokens}; no price given (--price-in, --price-out)"
        cost = (tokens_in * (self.tokens_in or 0) + tokens_out * (self.tokens_out or 0)) / 1e6
        return f"{tokens}, cost {cost:,.4f}"


@dataclass(frozen=True)
class Request:
    """The texts to translate, and how; by a server or a local model."""

    rows: Sequence[Row]
    task: Task
    model: str
    cache: AnswerCache
    output: Path
    dry_run: bool


@contextmanager
def show_progress(total: int, tally: Tally, prices: Prices | None) -> Iterator[Callable[[], None]]:
    """Show a progress bar in a terminal, else a line for each tenth."""
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
                echo(f"{done} of {count(total, 'text')}" + (f"; {spent}" if spent else ""), err=True)

        yield tell


def finish(request: Request, settled: Sequence[Sequence[Outcome]]) -> int:
    """Write the output, and print the outcomes; returns how many texts were refused."""
    from featzoo.augment.rows import check_output, write_rows
    from featzoo.augment.run import merged, to_rows
    from featzoo.augment.translate import STATES

    new = to_rows(request.rows, settled, request.task, request.model)
    # Read again: another run may have added its language meanwhile.
    before = check_output(request.output, request.task.method)
    whole = merged(before, request.rows, new, request.task.languages)
    write_rows(request.output, whole)
    counts = Counter((each.language, each.state) for outcomes in settled for each in outcomes)
    echo("language " + "".join(f"{state:>10}" for state in STATES))
    for code in request.task.languages:
        echo(f"{code:<9}" + "".join(f"{counts[code, state]:>10}" for state in STATES))
    named = [(row.id, each) for row, outcomes in zip(request.rows, settled, strict=True) for each in outcomes]
    fell = Counter(each.reason for _, each in named if each.state == "fallback")
    if fell:
        echo("fell back to toga: " + ", ".join(f"{reason} {number}" for reason, number in fell.most_common()))
    refused = [(name, each) for name, each in named if each.state == "refused"]
    for reason, number in Counter(each.reason for _, each in refused).most_common():
        echo(f"refused, {reason}: {number}", fg="yellow")
    for name, each in refused[:EXAMPLES]:
        echo(f"    {name}/{each.language}: {each.message}", fg="yellow")
    if len(refused) > EXAMPLES:
        echo(f"    ... and {len(refused) - EXAMPLES} more", fg="yellow")
    if any(each.unanswered for _, each in refused):
        echo("run the same command again to ask for what got no answer")
    echo(f"{count(len(whole), 'row')} in {request.output}")
    return len(refused)
