"""The JSON of speech recognisers, laid out as their documentation shows it."""

import json
import math

import pytest

from featzoo.errors import ClipError
from featzoo.media.transcripts import load_transcript, read_transcript
from featzoo.media.transcripts.recognisers import NotATranscript

TIMES = [("red", 0.1, 0.3), ("fox", 0.4, 0.8), ("ran", 2.0, 2.5)]
WORDS = [{"word": text, "start": start, "end": end} for text, start, end in TIMES]
SEGMENT = {"id": 0, "start": 0.0, "end": 3.0, "text": " red fox ran"}


def milliseconds(key, name="text"):
    return [{name: text, "start": round(1000 * a), "end": round(1000 * b), key: 0.9} for text, a, b in TIMES]


def whisper_cpp(text, start, end):
    return {
        "text": text, "timestamps": {"from": "00:00:00,000", "to": "00:00:00,000"},
        "offsets": {"from": round(1000 * start), "to": round(1000 * end)},
    }  # fmt: skip


DOCUMENTS = {
    "openai words": {"text": "red fox ran", "words": WORDS},
    "openai words and segments": {"task": "transcribe", "text": "red fox ran", "segments": [SEGMENT], "words": WORDS},
    "whisper words in segments": {"text": " red fox ran", "segments": [SEGMENT | {"words": WORDS}]},
    "whisperx": {"segments": [SEGMENT | {"words": WORDS}], "word_segments": [], "language": "en"},
    "whisperx word_segments": {"segments": [SEGMENT], "word_segments": [{**w, "score": 0.8} for w in WORDS]},
    "transformers": {"text": "red fox ran", "chunks": [{"text": f" {t}", "timestamp": [a, b]} for t, a, b in TIMES]},
    "whisper.cpp -ml 1": {"systeminfo": "", "transcription": [whisper_cpp(f" {t}", a, b) for t, a, b in TIMES]},
    "whisper.cpp -ojf": {
        "transcription": [
            {
                **whisper_cpp(" red fox ran", 0, 3),
                "tokens": [
                    whisper_cpp("[_BEG_]", 0, 0), whisper_cpp(" red", 0.1, 0.3), whisper_cpp(" f", 0.4, 0.6),
                    whisper_cpp("ox", 0.6, 0.8), whisper_cpp(" ran", 2, 2.5), whisper_cpp("[_TT_150]", 3, 3),
                ],
            }
        ]
    },
    "deepgram": {
        "metadata": {"duration": 3.0},
        "results": {"channels": [{"alternatives": [{"transcript": "red fox ran", "words": WORDS}]}]},
    },
    "deepgram, two channels": {
        "results": {"channels": [{"alternatives": [{"words": part}]} for part in (WORDS[::2], WORDS[1:2])]}
    },
    "assemblyai": {"id": "x", "status": "completed", "text": "red fox ran", "words": milliseconds("confidence")},
    "vosk": {"result": [{"conf": 1.0, **word} for word in WORDS], "text": "red fox ran"},
    "vosk, parts": [
        {"result": [WORDS[0]], "text": "red"}, {"text": ""}, {"result": WORDS[1:], "text": "fox ran"},
    ],
    "amazon transcribe": {
        "jobName": "a", "results": {
            "transcripts": [{"transcript": "red fox ran"}],
            "items": [
                {"start_time": str(a), "end_time": str(b), "type": "pronunciation", "alternatives": [{"content": text}]}
                for text, a, b in TIMES
            ],
        },
    },
    "montreal forced aligner": {
        "start": 0.0, "end": 3.0, "tiers": {
            "words": {"type": "interval", "entries": [[a, b, text] for text, a, b in TIMES] + [[2.5, 3.0, "<eps>"]]},
            "phones": {"type": "interval", "entries": [[0.1, 0.2, "r"], [0.2, 0.3, "d"]]},
        },
    },
    "words of other recognisers": {"transcript": "red fox ran", "words": [{**word, "case": ""} for word in WORDS]},
}  # fmt: skip


def read(tmp_path, document, name="a.json"):
    (tmp_path / name).write_text(document if isinstance(document, str) else json.dumps(document))
    return [(word.text, round(word.start, 9), round(word.end, 9)) for word in read_transcript(tmp_path / name)]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_word_times_are_kept(tmp_path, name):
    assert read(tmp_path, DOCUMENTS[name]) == TIMES


def test_punctuated_words_are_taken_where_there_are_such(tmp_path):
    words = [{**word, "punctuated_word": f"{word['word'].title()}."} for word in WORDS]
    document = {"results": {"channels": [{"alternatives": [{"words": words}]}]}}
    assert [text for text, _, _ in read(tmp_path, document)] == ["Red.", "Fox.", "Ran."]


def test_segments_share_their_time_out_where_no_word_has_one(tmp_path):
    expected = [("red", 0, 1), ("fox", 1, 2), ("ran", 2, 3)]
    assert read(tmp_path, {"segments": [SEGMENT]}) == expected
    assert read(tmp_path, {"segments": [SEGMENT], "words": []}) == expected
    assert read(tmp_path, [SEGMENT]) == expected
    assert read(tmp_path, {"transcription": [whisper_cpp(" red fox ran", 0, 3)]}) == expected
    assert read(tmp_path, {"chunks": [{"text": "red fox ran", "timestamp": [0, 3]}]}) == expected


def test_whisper_cpps_passages_of_chinese_are_not_joined(tmp_path):
    document = {"transcription": [whisper_cpp(" 今天", 0, 1), whisper_cpp("天气", 1, 2)]}
    assert read(tmp_path, document) == [("今天", 0, 1), ("天气", 1, 2)]


def test_a_text_alone_gives_words_without_times(tmp_path):
    for document in ({"text": "red fox"}, {"text": "red fox", "segments": []}, {"text": "red fox", "words": []}):
        assert [text for text, _, _ in read(tmp_path, document)] == ["red", "fox"]
    assert read(tmp_path, {"text": "", "segments": []}) == []


def test_times_that_a_recogniser_left_open_are_unknown(tmp_path):
    chunks = [{"text": " red", "timestamp": [0.1, 0.3]}, {"text": " fox", "timestamp": [0.4, None]}]
    assert math.isnan(read(tmp_path, {"text": "red fox", "chunks": chunks})[1][2])
    assert math.isnan(read(tmp_path, {"segments": [SEGMENT | {"words": [{"word": "1999"}]}]})[0][1])


def test_marks_of_amazon_transcribe_belong_to_the_word_before(tmp_path):
    mark = {"type": "punctuation", "alternatives": [{"content": ","}]}
    items = DOCUMENTS["amazon transcribe"]["results"]["items"]
    found = read(tmp_path, {"results": {"items": [items[0], mark, *items[1:]]}})
    assert found == [("red,", *TIMES[0][1:]), *TIMES[1:]]


def test_times_that_are_in_no_known_place_are_noted(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"text": "red fox", "spans": [[0, 1], [1, 2]], "language": "en"}))
    found = load_transcript(tmp_path / "a.json")
    assert [word.text for word in found.words] == ["red", "fox"]
    assert found.notes == ("no word times: none are known in spans of the transcript",)
    (tmp_path / "a.json").write_text(json.dumps({"text": "red fox", "language": "en"}))
    assert load_transcript(tmp_path / "a.json").notes == ()


def test_sounds_and_spaces_between_words_are_not_words(tmp_path):
    words = [{**word, "text": word.pop("word"), "type": "word"} for word in map(dict, WORDS)]
    extra = [{"text": " ", "type": "spacing", "start": 0.3, "end": 0.4}, {"text": "(laughs)", "type": "audio_event"}]
    assert read(tmp_path, {"text": "red fox ran", "words": [*words, *extra]}) == TIMES


def test_a_word_that_ends_before_it_starts_loses_its_time_alone(tmp_path):
    words = [WORDS[0], {"word": "fox", "start": 1.5, "end": 1.2}, WORDS[2]]
    found = read(tmp_path, {"segments": [SEGMENT | {"words": words}]})
    assert (found[0], found[2]) == (TIMES[0], TIMES[2])
    assert found[1][0] == "fox"
    assert math.isnan(found[1][1])
    assert math.isnan(found[1][2])


@pytest.mark.parametrize("document", [{"fps": 25}, [1, 2], [], {"words": 3}, "3", "null", {"segments": "x"}])
def test_json_of_something_else_is_told_apart(tmp_path, document):
    with pytest.raises(NotATranscript, match=r"a\.json: not the JSON of a speech recogniser"):
        read(tmp_path, document)


@pytest.mark.parametrize(
    "document",
    [
        '{"text": "half', {"segments": [{"text": "no times"}]}, {"chunks": [{"text": "x"}]},
        {"audio_url": "x", "status": "error", "text": None}, {"words": [{"start": 1, "end": 2}]},
    ],
)  # fmt: skip
def test_a_recognisers_json_that_is_damaged_is_refused(tmp_path, document):
    with pytest.raises(ClipError, match=r"a\.json") as caught:
        read(tmp_path, document)
    assert not isinstance(caught.value, NotATranscript)
    assert caught.value.reason == "bad-transcript"
