"""`zoo probe-leakage`: whether translations made with the labels in sight tell the labels."""

from __future__ import annotations

from pathlib import Path

import click

from featzoo.commands.options import FOLDER, comma_list


@click.command(name="probe-leakage")
@click.argument("toga", type=FOLDER, metavar="TOGA")
@click.argument("piga", type=FOLDER, metavar="PIGA")
@click.option("--language", "languages", default="", metavar="fr,ja", help="Probe these only; default: all in both.")
def probe_leakage(toga: Path, piga: Path, languages: str) -> None:
    """Say whether the wording of PIGA's texts tells the labels that their translator was shown.

    TOGA and PIGA are files of parallel texts (.jsonl or .parquet) of the same rows, made without and with the labels.
    A classifier learns each label from how the words of the two differ, on train rows, and is judged on the others.

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
        said = "LEAKS" if probe.leaks else "as TOGA" if probe.tells else ""
        told = [said, f"by {' '.join(probe.telling)}" if said else ""]
        rows.append([f"{probe.language}.{probe.trait}", f"{probe.ba:.3f}", span, f"{probe.p:.4f}",
                     f"{probe.plain:.3f}", *told])  # fmt: skip
    for language, (train, held) in found.rows.items():
        click.echo(f"{language}: trained on {train} rows, judged on {held}")
    click.echo(text_table(rows))
    for note in found.notes:
        click.echo(note)
    if found.leaking:
        names = ", ".join(f"{probe.language}.{probe.trait}" for probe in found.leaking)
        click.secho(f"LABELS LEAK: the wording alone tells {names}. Do not test on these texts", fg="red")
    else:
        click.echo(f"no leak was found in {len(found.probes)} probes, at {100 * LEVEL:.0f} % over all of them together")
