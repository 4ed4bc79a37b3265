"""`zoo audit`: whether train shares something with dev or test."""

from __future__ import annotations

from pathlib import Path

import click

from featzoo.commands.options import FOLDER
from featzoo.commands.printing import echo
from featzoo.commands.recipe_options import hint_for_missing_features, parse_changes
from featzoo.wording import count


@click.command()
@click.argument("store", type=FOLDER)
@click.argument("recipe")
@click.option("--set", "changes", multiple=True, metavar="FIELD=VALUE", help="Change a field of the recipe.")
@click.option("--strict", is_flag=True, help="Exit with status 1 if anything is found.")
def audit(store: Path, recipe: str, changes: tuple[str, ...], strict: bool) -> None:
    """Look for leaks between the splits of a recipe.

    It lists speakers and other groups in train and in another split, equal media and texts, and clips with nearly equal
    features. It also tells how far the speaker alone predicts the label, and the scores of a linear head in random
    folds and in folds by speaker. `zoo train` makes the same search, without the linear head.

    \b
    zoo audit emodb svm
    zoo audit emodb svm --set split.folds=5 --set split.by=clip --strict
    """
    from featzoo.zoo.data.trainable import check_training

    table = parse_changes(changes)
    with hint_for_missing_features(recipe, store):
        check_training(recipe, store, table)
        from featzoo.zoo.runs.store_audit import audit_store

        found = audit_store(recipe, store, table)
    for finding in found.findings:
        echo(f"LEAK  {finding}", fg="red")
    if not found.findings:
        echo(found.lines[0])
    for note in found.notes:
        echo(note)
    if found.findings:
        echo(f"{count(len(found.findings), 'finding')}: scores on these splits can be too high")
        if strict:
            raise SystemExit(1)
