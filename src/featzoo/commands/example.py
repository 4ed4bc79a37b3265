"""`feat example`: made data to try featzoo on."""

from __future__ import annotations

from pathlib import Path

import click

from featzoo.commands.options import FOLDER
from featzoo.commands.printing import echo

NEXT = {
    "clips": "feat extract {folder}",
    "emotions": "feat extract {folder} -x egemaps.functionals",
    "mosi": "feat import mmsa {folder}/aligned_50.pkl",
    "meld": "feat import meld {folder}",
    "first-impressions": "feat import first-impressions {folder}",
    "essays": "feat import parallel {folder}/toga.jsonl",
}
UNITS = {"clips": "recordings", "emotions": "recordings", "first-impressions": "clips", "essays": "essays"}


@click.command()
@click.argument("name", type=click.Choice(list(NEXT)))
@click.option("-o", "--output", "folder", type=FOLDER, help="Folder to make.  [default: NAME]")
def example(name: str, folder: Path | None) -> None:
    """Make small data in users' formats, to try featzoo on.

    \b
    clips              12 videos of a drawn face, transcripts in five formats, labels.csv
    emotions           72 recordings named SPEAKER_EMOTION_TAKE.wav
    mosi               84 utterances as MMSA's pickle of CMU-MOSI
    meld               96 utterances as MELD's tables
    first-impressions  30 videos of a drawn face with the pickles of First Impressions V2
    essays             48 essays as the distributed file, and in five languages as of `zoo augment`

    Everything is synthetic: no person was filmed or recorded, and scores on it mean nothing.

    \b
    feat example clips -o videos
    """
    from featzoo.errors import InvalidOption
    from featzoo.examples.clips import make_clips
    from featzoo.examples.corpora import make_meld, make_mosi
    from featzoo.examples.emotions import make_emotions
    from featzoo.examples.essays import make_essays
    from featzoo.examples.impressions import make_first_impressions

    folder = folder or Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidOption(f"{folder} exists and is not empty; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    makers = {
        "clips": make_clips, "emotions": make_emotions, "mosi": make_mosi, "meld": make_meld,
        "first-impressions": make_first_impressions, "essays": make_essays,
    }  # fmt: skip
    echo(f"{folder}: {makers[name](folder)} made {UNITS.get(name, 'utterances')}")
    echo(f"next: {NEXT[name].format(folder=folder)}")
