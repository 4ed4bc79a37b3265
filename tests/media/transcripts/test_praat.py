"""TextGrids as Praat itself writes them, and as aligners do."""

import pytest

from featzoo.errors import ClipError
from featzoo.media.transcripts import read_transcript
from featzoo.media.transcripts.praat import read_tiers

ROWS = [(0, 0.5, ""), (0.5, 0.875, "hello"), (0.875, 1.25, 'the ""re'), (1.25, 3, "a\nline 5")]


def textgrid(*tiers, end=5):
    head = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {end}\ntiers? <exists>\n'
    text = f"{head}size = {len(tiers)}\nitem []:\n"
    for number, (name, rows) in enumerate(tiers, 1):
        text += f'    item [{number}]:\n        class = "IntervalTier"\n        name = "{name}"\n        xmin = 0\n'
        text += f"        xmax = {end}\n        intervals: size = {len(rows)}\n"
        for place, (start, stop, label) in enumerate(rows, 1):
            text += f"        intervals [{place}]:\n            xmin = {start}\n            xmax = {stop}\n"
            text += f'            text = "{label}"\n'
    return text


def words(tmp_path, *tiers):
    (tmp_path / "a.TextGrid").write_text(textgrid(*tiers), encoding="utf-8")
    return [word.text for word in read_transcript(tmp_path / "a.TextGrid")]


@pytest.fixture
def praat():
    parselmouth = pytest.importorskip("parselmouth", reason="needs featzoo[praat]")
    grid = parselmouth.praat.call("Create TextGrid", 0, 3, "phones word - clicks", "clicks")
    call = parselmouth.praat.call
    call(grid, "Set tier name", 2, "words")
    for _, end, _ in ROWS[:-1]:
        call(grid, "Insert boundary", 2, end)
    for number, (_, _, label) in enumerate(ROWS, 1):
        call(grid, "Set interval text", 2, number, label)
    for time in (0.25, 2.0):
        call(grid, "Insert point", 4, time, "click 7")
    return lambda command, path: call(grid, command, str(path))


@pytest.mark.parametrize("kind", ["text", "short text", "chronological text"])
def test_each_text_file_that_praat_writes_gives_the_same_words(tmp_path, praat, kind):
    praat(f"Save as {kind} file", tmp_path / "a.TextGrid")
    tiers = {tier.name: tier.intervals for tier in read_tiers((tmp_path / "a.TextGrid").read_text(), "a")}
    assert tiers["words"] == ROWS
    assert [len(rows) for rows in tiers.values()] == [1, 4, 1]
    found = read_transcript(tmp_path / "a.TextGrid")
    assert [word.text for word in found] == ["hello", "the", '""re', "a", "line", "5"]
    assert found[0][1:] == (0.5, 0.875)


def test_praats_binary_file_is_refused_with_what_to_do(tmp_path, praat):
    praat("Save as binary file", tmp_path / "a.TextGrid")
    with pytest.raises(ClipError, match="not text"):
        read_transcript(tmp_path / "a.TextGrid")


def test_marks_of_silence_and_noise_are_not_words(tmp_path):
    p2fa = [(0, 1, "sp"), (1, 2, "ANYHOW"), (2, 2.5, "sp"), (2.5, 3, "{LG}"), (3, 4, "GOOD"), (4, 5, "sil")]
    assert words(tmp_path, ("phone", [(0, 5, "sil")]), ("word", p2fa)) == ["ANYHOW", "GOOD"]
    mfa = [(0, 1, "<eps>"), (1, 2, "hello"), (2, 3, "spn"), (3, 4, "<unk>"), (4, 5, "")]
    assert words(tmp_path, ("words", mfa), ("phones", [(0, 5, "spn")])) == ["hello"]
    maus = [(0, 1, "<p:>"), (1, 2, "sp they"), (2, 3, "<usb>"), (3, 4, "#"), (4, 5, "_")]
    assert words(tmp_path, ("ORT-MAU", maus), ("KAN-MAU", maus), ("MAU", maus)) == ["sp", "they"]


def test_the_words_of_several_speakers_are_in_order_of_time(tmp_path):
    anna, ben = [(0, 1, "hello"), (1, 4, ""), (4, 5, "bye")], [(0, 2, ""), (2, 3, "good day"), (3, 5, "")]
    found = words(
        tmp_path, ("anna - words", anna), ("anna - phones", anna), ("ben - words", ben), ("ben - phones", ben)
    )
    assert found == ["hello", "good", "day", "bye"]


@pytest.mark.parametrize(
    "names",
    [("MAU", "ORT-MAU"), ("phones", "Words"), ("phone", "utterance"), ("segments", "Mary"), ("words_phones", "words")],
)
def test_the_tier_of_words_is_found_by_its_name(tmp_path, names):
    assert words(tmp_path, (names[0], [(0, 5, "w")]), (names[1], [(0, 2, "hello"), (2, 5, "you")])) == ["hello", "you"]


@pytest.mark.parametrize("names", [("phone",), ("MAU", "KAN-MAU"), ("anna", "ben"), ()])
def test_a_grid_without_a_known_tier_of_words_is_refused(tmp_path, names):
    with pytest.raises(ClipError, match="is called 'words'") as caught:
        words(tmp_path, *((name, [(0, 5, "x")]) for name in names))
    assert all(f"'{name}'" in str(caught.value) for name in names)


def test_two_tiers_of_the_same_words_are_refused(tmp_path):
    rows = [(0, 1, "hello"), (1, 2, "you")]
    with pytest.raises(ClipError, match="have the same times"):
        words(tmp_path, ("words", rows), ("words corrected", rows))


@pytest.mark.parametrize("cut", [100, 250, 400])
def test_a_grid_that_breaks_off_is_refused(tmp_path, cut):
    (tmp_path / "a.TextGrid").write_text(textgrid(("words", ROWS))[:cut])
    with pytest.raises(ClipError, match=r"a\.TextGrid, line (\d+|its end): expected a"):
        read_transcript(tmp_path / "a.TextGrid")
