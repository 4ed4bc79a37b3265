"""`feat import` and `feat export`: the two groups. Each command is defined beside the others of its kind."""

from __future__ import annotations

import click

from featzoo.commands.exchange_formats import EXPORT_FORMATS, IMPORT_FORMATS
from featzoo.commands.exchange_pickles import EXPORT_PICKLES, IMPORT_PICKLES
from featzoo.commands.export_labels import export_csv, export_label_studio
from featzoo.commands.import_corpora import CORPORA
from featzoo.commands.import_speech import SPEECH
from featzoo.commands.import_texts import TEXTS
from featzoo.commands.options import Commands


@click.group(name="import", cls=Commands)
def import_() -> None:
    """Import features and labels from local files."""


@click.group(name="export", cls=Commands)
def export() -> None:
    """Export features and predictions for other programs."""


import_.add_section("Corpora", *CORPORA)
import_.add_section("Corpora of emotional speech", *SPEECH)
import_.add_section("Texts with personality labels", *TEXTS)
import_.add_section("Feature files", *IMPORT_FORMATS, *IMPORT_PICKLES)
export.add_section("Feature files", export_csv, *EXPORT_FORMATS, *EXPORT_PICKLES)
export.add_section("Predictions", export_label_studio)
