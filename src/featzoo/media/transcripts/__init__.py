"""Transcripts beside the media to words, with times where the format has them.

Times are in seconds from the start of the recording. A word whose time the format does not give has
NaN; a cue of several words with one interval is shared out over its words by their length in letters.
"""

from featzoo.media.transcripts.beside import Beside, Neighbours, find_transcript, read_beside
from featzoo.media.transcripts.read import SUFFIXES, Transcript, load_transcript, read_transcript
from featzoo.media.transcripts.words import Word, words_of

__all__ = [
    "SUFFIXES",
    "Beside",
    "Neighbours",
    "Transcript",
    "Word",
    "find_transcript",
    "load_transcript",
    "read_beside",
    "read_transcript",
    "words_of",
]
