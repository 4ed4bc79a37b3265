"""`zoo probe-leakage`: whether translations made with the labels in sight leak them."""

from __future__ import annotations

from pathlib import Path

import click

from featzoo.commands.options import FOLDER, comma_list
from featzoo.commands.printing import echo, echo_lines
from featzoo.wording import count


@click.command(name="probe-leakage")
@click.argument("toga", type=FOLDER, metavar="TOGA")
@click.argument("piga", type=FOLDER, metavar="PIGA")
@click.option(
    "--language",
    "languages",
    default="",
    metavar="fr,ja",
    help="Languages to probe; default: all in both.",
)
def probe_leakage(toga: Path, piga: Path, languages: str) -> None:
    """Test whether translations leak the labels.

    TOGA and PIGA are files of parallel texts (.jsonl or .parquet) of the same rows, translated without and with the
    labels in sight. A classifier learns each label from the differences in wording, on train rows, and is scored on
    the others.

    \b
    zoo probe-leakage toga.jsonl piga.jsonl
    zoo probe-leakage toga.jsonl piga.jsonl --language fr
    """
    from featzoo.zoo.metrics.tables import text_table
    from featzoo.zoo.runs.leakage import LEVEL, probe_leakage

    found = probe_leakage(toga, piga, comma_list(languages))
    rows = [["label", "BA", "95 % interval", "p", "BA of TOGA", "", ""]]
    for probe in found.probes:
        span = f"{probe.interval[0]:.3f} to {probe.interval[1]:.3f}"
        verdict = "LEAKS" if probe.leaks else "as TOGA" if probe.tells else ""
        words = f"by {' '.join(probe.telling)}" if verdict else ""
        rows.append([f"{probe.language}.{probe.trait}", f"{probe.ba:.3f}", span, f"{probe.p:.4f}",
                     f"{probe.plain:.3f}", verdict, words])  # fmt: skip
    for language, (train, held) in found.rows.items():
        echo(f"{language}: trained on {count(train, 'row')}, scored on {held}")
    echo_lines(text_table(rows))
    for note in found.notes:
        echo(note)
    if found.leaking:
        names = ", ".join(f"{probe.language}.{probe.trait}" for probe in found.leaking)
        echo(f"LABELS LEAK: the wording alone predicts {names}. Do not test on these texts", fg="red")
    else:
        echo(f"no leak found in {count(len(found.probes), 'probe')}, at {100 * LEVEL:.0f} % over all together")
