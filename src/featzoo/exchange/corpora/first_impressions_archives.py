"""First Impressions V2 from the archives that ChaLearn distributes."""

from __future__ import annotations

from pathlib import Path

from featzoo.errors import InvalidClips
from featzoo.exchange.corpora.archives import unpack
from featzoo.exchange.corpora.first_impressions import PARTS, import_first_impressions
from featzoo.exchange.importing import Account

#: Annotations and transcripts, then the clips: each holds archives such as training80_01.zip.
ARCHIVES = (
    "train-annotation.zip", "val-annotation-e.zip", "test-annotation-e.zip",
    "train-transcription.zip", "val-transcription.zip", "test-transcription-e.zip",
    *(f"train-{number}.zip" for number in range(1, 7)), "val-1.zip", "val-2.zip", "test-1e.zip", "test-2e.zip",
)  # fmt: skip
#: A file with the passwords of the encrypted archives, one in each line.
PASSWORDS = "passwords.txt"


def import_first_impressions_archives(folder: Path, store: Path, unpacked: Path, dry_run: bool = False) -> Account:
    """Unpack the archives of First Impressions V2, and import them; see `import_first_impressions`.

    Args:
        folder: Folder with the archives, and `passwords.txt` for those whose names end in `e`.
        store: The store; created if missing.
        unpacked: Where the archives are unpacked; what is there is kept.
        dry_run: Only report what would be imported; the annotations are unpacked.

    Raises:
        InvalidClips: If there is no archive, or one cannot be unpacked or holds another content.
    """
    there = [folder / name for name in ARCHIVES if (folder / name).is_file()]
    if not there:
        raise InvalidClips(f"{folder} holds none of {', '.join(ARCHIVES[:3])} ...: not the archives of ChaLearn")
    passwords = folder / PASSWORDS
    known = passwords.read_text(encoding="utf-8").split() if passwords.is_file() else []
    for _ in unpack(there, unpacked, known):
        pass
    for part in PARTS:
        _gather(unpacked, f"annotation_{part}.pkl")
        _gather(unpacked, f"transcription_{part}.pkl")
    return import_first_impressions(unpacked, store, dry_run)


def _gather(folder: Path, name: str) -> None:
    """Link a file that an archive has in a folder of its own to the top, where the importer looks for it."""
    found = next((path for path in sorted(folder.rglob(name)) if path.parent != folder), None)
    if found is not None and not (folder / name).exists():
        (folder / name).hardlink_to(found)
