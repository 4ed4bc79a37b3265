"""`zoo augment` as it is used: against a real server, with every fault, killed and taken up again."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from pyarrow import parquet

from augment import api as faults
from augment.api import asked, says, text_of, translated
from featzoo.augment.answer_cache import Answer, AnswerCache
from featzoo.augment.prompt import Question
from featzoo.cache.store import FeatureStore
from featzoo.media.clip import Clip
from featzoo.media.transcripts import Word

KEY = "sk-test-0123456789abcdef"


def table(output):
    """The lines of the account: language to (answered, cached, fallback, refused)."""
    lines = output.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("language "))
    assert lines[start].split() == ["language", "answered", "cached", "fallback", "refused"]
    found = {}
    for line in lines[start + 1 :]:
        words = line.split()
        if len(words) != 5 or not all(word.isdigit() for word in words[1:]):
            break
        found[words[0]] = tuple(map(int, words[1:]))
    return found


def test_toga_translates_every_text_once(api, run, source, rows):
    """Sources and translations in the contract's form; a second run asks nothing, a third only what is new."""
    english = source(1, 2)
    first = run(english, "--languages", "zh,ja")
    assert first.exit_code == 0, first.output
    assert table(first.output) == {"ja": (2, 0, 0, 0), "zh": (2, 0, 0, 0)}
    plain = {"split": "train", "flags": []}
    assert rows() == [
        {
            "id": f"r{number}", "language": code, "labels": {"openness": number % 2}, **plain,
            "text": translated(text_of(number), code) if code != "en" else text_of(number),
            "method": "toga" if code != "en" else "source",
            "model": "m1" if code != "en" else None, "prompt": "toga-1" if code != "en" else None,
        }
        for number in (1, 2) for code in ("en", "ja", "zh")
    ]  # fmt: skip
    assert Counter(api.texts()) == {text_of(1): 1, text_of(2): 1}
    assert all(asked(body)[1:] == (["ja", "zh"], None) for body in api.seen)
    before = rows()
    again = run(english, "--languages", "ja,zh", yes=False)  # nothing to agree to
    assert table(again.output) == {"ja": (0, 2, 0, 0), "zh": (0, 2, 0, 0)}
    assert len(api.seen) == 2
    assert rows() == before
    more = run(source(1, 2, 3), "--languages", "ja,zh")
    assert table(more.output) == {"ja": (1, 2, 0, 0), "zh": (1, 2, 0, 0)}
    assert len(api.seen) == 3
    # Another language joins the rows that are there.
    run(english, "--languages", "fr")
    assert [(row["id"], row["language"]) for row in rows() if row["id"] == "r2"] == [
        ("r2", code) for code in ("en", "fr", "ja", "zh")
    ]


def test_piga_shows_the_labels_and_falls_back_to_toga(api, run, source, rows):
    """After three answers with a leak, one without labels: it is counted, the row says so, and the exit is 0."""
    leaking = says(lambda given, _: given | {"ja": given["ja"] + "私は外向的です。"})
    api.faults["(2)"] = [leaking] * 3
    english = source(*({"id": f"r{n}", "text": text_of(n), "labels": {"openness": 1.0, "mood": 0.5}} for n in (1, 2)))
    done = run(english, "--method", "piga", "--languages", "ja,zh", "--jobs", "1")
    assert done.exit_code == 0, done.output
    assert table(done.output) == {"ja": (1, 0, 1, 0), "zh": (2, 0, 0, 0)}
    assert "fell back to toga: leaked-label 1" in done.output
    got = {(row["id"], row["language"]): row for row in rows()}
    assert (got["r2", "ja"]["method"], got["r2", "ja"]["flags"]) == ("toga", ["fallback-toga"])
    assert got["r2", "ja"]["prompt"] == "toga-1"
    assert got["r2", "ja"]["text"] == translated(text_of(2), "ja")
    assert {(got[key]["method"], got[key]["prompt"]) for key in (("r1", "ja"), ("r2", "zh"))} == {("piga", "piga-1")}
    # Only traits are shown, only what failed is asked again, and the model is told why.
    of_two = [body for body in api.seen if "(2)" in asked(body)[0]]
    assert [asked(body)[1:] for body in of_two] == [
        (["ja", "zh"], {"openness": "1"}),
        (["ja"], {"openness": "1"}),
        (["ja"], {"openness": "1"}),
        (["ja"], None),
    ]
    told = [body["messages"][0]["content"] for body in of_two]
    assert ["refused" in system and "外向" in system for system in told] == [False, True, True, False]
    # The answers that were refused are answers too.
    again = run(english, "--method", "piga", "--languages", "ja,zh")
    assert len(api.seen) == 5
    assert table(again.output) == {"ja": (0, 1, 1, 0), "zh": (0, 2, 0, 0)}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.no_choices, "no-choices"),
        (says(lambda given, _: given, finish="length"), "cut-off"),
        (says(lambda given, _: "", finish="content_filter"), "content-filter"),
        (says(lambda given, text: given | {"ja": text}), "wrong-language"),
        (says(lambda given, _: {code: text for code, text in given.items() if code != "ja"}), "missing-language"),
        (says(lambda given, _: json.dumps(given)[:-9]), "not-json"),
        (says(lambda given, _: given | {"ja": "は"}), "length"),
        (says(lambda given, _: json.dumps(given | {"ja": given["ja"] + "\ud83d"})), "broken-text"),
        (says(lambda given, _: given | {"ja": given["ja"] + "\ufffd"}), "broken-text"),
    ],
)
def test_a_bad_answer_is_asked_for_again_then_refused(api, run, source, rows, fault, reason):
    """Put right by the second answer, it costs one request more; never right, it is refused and counted."""
    api.faults["(1)"] = [fault]
    api.always["(2)"] = fault
    english = source(1, 2, 3)
    done = run(english, "--languages", "ja,zh")
    assert done.exit_code == 1
    counts = table(done.output)
    assert counts["ja"] == (2, 0, 0, 1)
    assert sum(counts["zh"]) == 3
    assert f"refused, {reason}" in done.output
    assert "r2/ja" in done.output
    assert Counter(text[-3:] for text in api.texts()) == {"(1)": 2, "(2)": 3, "(3)": 1}
    assert {row["id"] for row in rows() if row["language"] == "ja"} == {"r1", "r3"}
    assert {row["id"] for row in rows() if row["language"] == "en"} == {"r1", "r2", "r3"}
    # It is not asked a fourth time, unless the user wants more retries.
    asked_so_far = len(api.seen)
    assert run(english, "--languages", "ja,zh").exit_code == 1
    assert len(api.seen) == asked_so_far
    api.always.clear()
    more = run(english, "--languages", "ja,zh", "--retries", "3")
    assert more.exit_code == 0, more.output
    assert len(api.seen) == asked_so_far + 1


def test_fences_are_no_fault(api, run, source):
    api.faults["(1)"] = [says(lambda given, _: f"```json\n{json.dumps(given)}\n```")]
    assert run(source(1), "--languages", "fr").exit_code == 0
    assert len(api.seen) == 1


def test_faults_of_the_line_lose_nothing(api, run, source, rows):
    """Each text meets another fault; all are translated, each is answered just once."""
    met = [faults.hangs, faults.status(429, Retry_After="0.1"), faults.status(500), faults.drops, faults.html]
    for number, fault in enumerate([*met, faults.truncated]):
        api.faults[f"({number})"] = [fault]
    done = run(source(*range(8)), "--languages", "fr", "--timeout", "2")
    assert done.exit_code == 0, done.output
    assert table(done.output) == {"fr": (8, 0, 0, 0)}
    assert len(api.seen) == 8 + 6
    assert Counter(api.answered) == dict.fromkeys(map(text_of, range(8)), 1)
    assert len(rows()) == 16


def test_the_next_run_requests_missing_answers_again(api, run, source):
    """A failing line refuses the text, keeps nothing, and does not make PIGA fall back."""
    api.always["(1)"] = faults.status(500)
    english = source(1, 2)
    done = run(english, "--method", "piga", "--languages", "fr", "--tries", "2")
    assert done.exit_code == 1
    assert table(done.output) == {"fr": (1, 0, 0, 1)}
    assert "refused, http-500: 1" in done.output
    assert "run the same command again to ask for what got no answer" in done.output
    assert len(api.seen) == 3
    api.always.clear()
    assert table(run(english, "--method", "piga", "--languages", "fr").output) == {"fr": (1, 1, 0, 0)}
    assert len(api.seen) == 4


def test_a_dead_server_ends_the_run_and_keeps_what_was_answered(api, run, source, rows):
    """It is not asked for all 40 texts; each is accounted for, and the same command takes up from there."""
    english = source(*range(40))
    api.delay = 0.01
    for number in range(10, 40):
        api.always[f"({number})"] = faults.status(503)
    done = run(english, "--languages", "fr", "--tries", "1", "--jobs", "2")
    assert done.exit_code == 1
    assert "consecutive requests to" in done.output
    assert len(api.seen) < 20
    assert table(done.output) == {"fr": (10, 0, 0, 30)}
    assert "refused, no-answer: " in done.output
    assert sum(row["language"] == "fr" for row in rows()) == 10
    api.always.clear()
    done = run(english, "--languages", "fr")
    assert table(done.output) == {"fr": (30, 10, 0, 0)}
    assert Counter(api.answered) == dict.fromkeys(map(text_of, range(40)), 1)
    assert len(rows()) == 80


def test_where_nothing_was_answered_nothing_is_written(api, run, source, tmp_path):
    api.always["("] = faults.status(404, "no model m1")
    done = run(source(1, 2), "--languages", "fr")
    assert done.exit_code == 1
    assert "no model m1" in done.output
    assert not (tmp_path / "out.jsonl").exists()


def program(api, english, output, *options):
    """A process of its own that can be killed."""
    command = [Path(sys.executable).with_name("zoo"), "augment", english, "--endpoint", api.url, "--model", "m1"]
    environment = {**os.environ, "OPENAI_API_KEY": KEY}
    return subprocess.Popen(
        [*command, "-o", output, "--yes", "--languages", "fr", *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    )  # fmt: skip


def test_killed_in_the_middle_it_goes_on_where_it_was(api, source, tmp_path, rows):
    """What is kept at SIGKILL is never asked again; at most the requests that were out are asked twice."""
    after, jobs, english, output = 9, 3, source(*range(24)), tmp_path / "out.jsonl"
    api.delay = 0.05
    process = program(api, english, output, "--jobs", str(jobs))
    deadline = time.monotonic() + 60
    while len(api.answered) < after and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not output.exists()
    time.sleep(0.15)  # what the server still had in hand
    first = Counter(api.texts())
    kept = len(list((tmp_path / "answers").rglob("*.json")))
    assert kept >= after - jobs
    api.delay = 0
    again = program(api, english, output, "--jobs", str(jobs))
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert table(said) == {"fr": (24 - kept, kept, 0, 0)}
    whole = Counter(api.texts())
    assert set(whole) == set(map(text_of, range(24)))
    assert sum(whole.values()) - sum(first.values()) == 24 - kept
    assert sum(count - 1 for count in whole.values()) <= jobs
    assert len(rows()) == 48


def test_requests_run_at_the_same_time_and_no_more_than_asked(api, run, source):
    """The server sees as many at once as there are jobs."""
    for jobs in (1, 5):
        api.times.clear()
        api.delay = 0.2
        texts = range(jobs * 100, jobs * 102 + 3)
        assert run(source(*texts), "--languages", "fr", "--jobs", str(jobs)).exit_code == 0
        moments = sorted([(begun, 1) for begun, _ in api.times] + [(ended, -1) for _, ended in api.times])
        at_once, most = 0, 0
        for _, step in moments:
            at_once += step
            most = max(most, at_once)
        assert most == jobs


def test_the_rate_limit_holds(api, run, source):
    """At 300 a minute, n requests take (n - 1) / 5 seconds, however many jobs there are; repeats count."""
    run(source(9), "--languages", "fr")  # loads what a first answer needs
    api.times.clear()
    api.faults["(3)"] = [faults.status(500)]
    assert run(source(*range(7)), "--languages", "fr", "--jobs", "8", "--requests-per-minute", "300").exit_code == 0
    begun = sorted(begun for begun, _ in api.times)
    assert len(begun) == 8
    for first, last in combinations(range(8), 2):
        assert begun[last] - begun[first] >= (last - first) * 0.2 - 0.4  # seen a little later than sent
    assert begun[-1] - begun[0] < 6


def test_the_token_limit_holds(api, run, source):
    """The server counts more tokens than were thought: what it counts keeps the pace."""
    options = ("--languages", "fr", "--jobs", "1", "--tokens-per-minute", "120000")
    assert run(source(*range(5)), *options).exit_code == 0
    begun = sorted(begun for begun, _ in api.times)
    spent = sum(api.usage.values()) * 4 / 5  # what the last has cost delays nobody
    assert begun[-1] - begun[0] >= 60 * spent / 120000 - 0.35  # the first connection takes a moment


def test_costs_are_told_before_and_after(api, run, source):
    """The estimate is one (within a factor of 2 here); what is told afterwards is the server's own sum."""
    prices = ("--languages", "fr,ms", "--price-in", "2.5", "--price-out", "10")
    dry = run(source(1, 2), *prices, "--dry-run")
    assert "2 questions to ask, about" in dry.output
    assert "cost 0.00" in dry.output
    assert not api.seen
    done = run(source(1, 2), *prices)
    sum_in, sum_out = api.usage["prompt_tokens"], api.usage["completion_tokens"]
    cost = (sum_in * 2.5 + sum_out * 10) / 1e6
    assert f"2 answers, by the server's count {sum_in:,} tokens in, {sum_out:,} out, cost {cost:,.4f}" in done.output
    free = run(source(3), "--languages", "fr")
    assert "no price given" in free.output
    api.faults["(4)"] = [
        lambda handler, body: handler.reply(
            200, json.dumps({"choices": [{"message": {"content": json.dumps({"fr": translated(text_of(4), "fr")})}}]})
        )
    ]
    assert "1 answer without a count" in run(source(4), "--languages", "fr").output


def test_nothing_is_asked_without_consent(api, run, source, tmp_path):
    for answer in ("n\n", ""):
        done = run(source(1), "--languages", "fr", yes=False, input=answer)
        assert done.exit_code == 1
        assert not api.seen
    assert not (tmp_path / "out.jsonl").exists()
    assert run(source(1), "--languages", "fr", yes=False, input="y\n").exit_code == 0


def test_the_key_is_sent_and_is_nowhere_else(api, run, source, tmp_path, monkeypatch):
    """Not in output, answers or messages, not even where the server repeats it; nor is an address's password."""
    monkeypatch.setenv("MY_KEY", KEY)
    api.always["(2)"] = lambda handler, _: handler.reply(500, json.dumps({"error": handler.headers["Authorization"]}))
    api.always["(3)"] = lambda handler, _: handler.reply(400, handler.headers["Authorization"])
    done = run(source(1, 2, 3), "--languages", "fr", "--key-env", "MY_KEY", "--tries", "2")
    assert table(done.output) == {"fr": (1, 0, 0, 2)}
    assert {headers["Authorization"] for headers in api.headers} == {f"Bearer {KEY}"}
    api.always["("] = faults.status(401, f"Incorrect API key provided: {KEY[:12]}***")
    refused = run(source(5), "--languages", "fr", "--key-env", "MY_KEY")
    assert refused.exit_code == 1
    assert "MY_KEY" in refused.output
    # A password in the address is sent as such, in place of the key.
    url = api.url.replace("http://", "http://ann:hunter2@")
    api.always.clear()
    other = run(source(6), "--languages", "fr", "--endpoint", url)
    assert api.headers[-1]["Authorization"] == "Basic " + base64.b64encode(b"ann:hunter2").decode()
    assert api.url in other.output
    texts = [done.output, refused.output, other.output, *(f.read_text() for f in tmp_path.rglob("*") if f.is_file())]
    assert len(texts) > 4
    for text in texts:
        for secret in (KEY, KEY[:12], "hunter2"):
            assert secret not in text
    unset = run(source(1), "--languages", "fr", "--key-env", "NO_SUCH_KEY")
    assert unset.exit_code == 2
    assert "NO_SUCH_KEY is not set" in unset.output


def test_a_server_without_keys_needs_none(api, run, source):
    assert run(source(1), "--languages", "fr").exit_code == 0
    assert api.headers[0]["Authorization"] == "Bearer none"


def test_long_texts_are_translated_in_pieces(api, run, source, rows):
    """Every piece fits the budget, ends with a sentence, and the translation is that of the whole."""
    text = " ".join(text_of(number) for number in range(30))
    assert run(source({"id": "long", "text": text}), "--languages", "fr,zh", "--piece-tokens", "200").exit_code == 0
    assert len(api.seen) > 4
    assert all(len(piece) <= 800 for piece in api.texts())
    assert sorted("".join(api.texts()).replace(" ", "")) == sorted(text.replace(" ", ""))
    got = {row["language"]: row["text"] for row in rows()}
    assert got["en"] == text
    assert got["fr"] == translated(text, "fr")
    assert got["zh"].replace(" ", "") == translated(text, "zh").replace(" ", "")


def test_odd_texts(api, run, source, rows):
    """Empty ones are refused with a reason and not asked for; equal ones are asked for once; scripts may mix."""
    mixed = f'{text_of(1)} 昨日は😀 прив\u0301ет "quotes" {{json}} $money\n\n'
    english = source(
        {"id": "empty", "text": " \n"}, {"id": "none", "text": None}, {"id": "a", "text": text_of(2)},
        {"id": "b", "text": text_of(2)}, {"id": "mixed", "text": mixed}, {"id": "torn", "text": "\ud83d" + text_of(3)},
    )  # fmt: skip
    done = run(english, "--languages", "fr", "--jobs", "4")
    assert done.exit_code == 1
    assert table(done.output)["fr"][3] == 3
    assert "refused, empty: 2" in done.output
    assert "refused, broken-text: 1" in done.output
    assert Counter(api.texts()) == {text_of(2): 1, mixed.strip(): 1}
    assert {row["id"] for row in rows()} == {"a", "b", "mixed"}
    assert next(row["text"] for row in rows() if (row["id"], row["language"]) == ("mixed", "en")) == mixed


def test_piga_needs_labels_of_zero_or_one(api, run, source):
    english = source(
        {"id": "a", "text": text_of(1)}, {"id": "b", "text": text_of(2), "labels": {"openness": 0.4}},
        {"id": "c", "text": text_of(3), "labels": {"neuroticism": 0}},
    )  # fmt: skip
    done = run(english, "--method", "piga", "--languages", "fr")
    assert table(done.output) == {"fr": (1, 0, 0, 2)}
    assert "refused, no-labels: 1" in done.output
    assert "refused, bad-labels: 1" in done.output
    assert len(api.seen) == 1


def test_piga_does_not_touch_test_texts_unless_told(api, run, source, rows, tmp_path):
    """Labels in test texts make a test set that flatters; with --include-test its rows say so."""
    test = {"id": "t", "text": text_of(7), "split": "test", "labels": {"openness": 1}}
    english = source(1, test)
    done = run(english, "--method", "piga", "--languages", "fr")
    assert done.exit_code == 1
    assert "1 of 2 texts are test ones" in done.output
    assert "--include-test" in done.output
    assert not api.seen
    assert run(english, "--method", "piga", "--languages", "fr", "--splits", "train,valid").exit_code == 1
    assert run(english, "--method", "piga", "--languages", "fr", "--splits", "train").exit_code == 0
    assert {row["id"] for row in rows()} == {"r1"}
    assert run(english, "--method", "piga", "--languages", "fr", "--include-test").exit_code == 0
    flags = {row["id"]: row["flags"] for row in rows() if row["language"] == "fr"}
    assert flags == {"r1": [], "t": ["paper-like"]}
    # What saw labels and what did not must not share a file.
    mixed = run(english, "--method", "toga", "--languages", "fr")
    assert mixed.exit_code == 1
    assert "name another -o" in mixed.output
    assert run(english, "--languages", "fr", "-o", str(tmp_path / "toga.jsonl")).exit_code == 0


def test_a_store_is_a_source_and_parquet_an_output(api, run, tmp_path):
    """Clips of `<row>/en`, or without a language; those of other languages are left aside. Its own output is read."""
    store = FeatureStore.create(tmp_path / "store")
    words = {"a/en": text_of(1), "a/ja": "猫", "b": text_of(2), "essays/c": text_of(3)}
    store.record(
        Clip(
            id=name, split="valid", labels={"openness": 1.0},
            words=tuple(Word(word, float("nan"), float("nan")) for word in text.split()),
        )
        for name, text in words.items()
    )  # fmt: skip
    output = tmp_path / "out.parquet"
    done = run(tmp_path / "store", "--languages", "fr", "-o", str(output))
    assert done.exit_code == 0, done.output
    assert "3 English texts, 1 in other languages ignored" in done.output
    got = parquet.read_table(output).to_pylist()
    assert {(row["id"], row["language"], row["text"]) for row in got} == {
        (name, code, translated(text_of(number), code) if code == "fr" else text_of(number))
        for name, number in (("a", 1), ("b", 2), ("essays/c", 3)) for code in ("en", "fr")
    }  # fmt: skip
    assert {(row["split"], row["labels"]["openness"]) for row in got} == {("valid", 1.0)}
    again = run(output, "--languages", "fr", "-o", str(tmp_path / "more.jsonl"))
    assert table(again.output) == {"fr": (0, 3, 0, 0)}


def test_labels_may_be_columns(run, api, source, rows):
    english = source({"id": "a", "text": text_of(1), "openness": 1, "neuroticism": None})
    assert run(english, "--method", "piga", "--languages", "fr").exit_code == 0
    assert asked(api.seen[0])[2] == {"openness": "1"}
    assert rows()[0]["labels"] == {"openness": 1.0}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: it is not JSON"),
        ("[1]", "line 2: it is not a JSON object"),
        ('{"id": "x"}', "line 2: a row has"),
        ('{"id": "x", "text": "y", "labels": {"openness": "high"}}', "not a number"),
        ('{"id": "r1", "text": "y"}', "two English texts of the id 'r1'"),
    ],
)
def test_a_damaged_source_is_refused_before_anything_is_asked(api, run, source, line, words):
    english = source(1)
    english.write_text(english.read_text() + line + "\n")
    done = run(english, "--languages", "fr")
    assert done.exit_code == 1
    assert words in done.output
    assert not api.seen


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-o", "out.csv"), ".jsonl or .parquet"),
        (("-o", "nowhere/out.jsonl"), "does not exist"),
        (("--languages", "xx"), "no 'xx' among languages"),
        (("--splits", "dev"), "the source has train"),
        (("--temperature", "warm"), "warm"),
        (("--translator", "m"), "--endpoint"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_asked(api, run, source, options, words):
    done = run(source(1), *options)
    assert done.exit_code in (1, 2)
    assert words in done.output
    assert not api.seen


def test_a_damaged_answer_is_asked_for_again(api, run, source, tmp_path):
    run(source(1), "--languages", "fr")
    (place,) = (tmp_path / "answers").rglob("*.json")
    place.write_text(place.read_text()[:40])
    assert table(run(source(1), "--languages", "fr").output) == {"fr": (1, 0, 0, 0)}
    assert len(api.seen) == 2


def test_only_what_changes_an_answer_changes_its_key(tmp_path):
    """Model, prompt, languages, text, labels, temperature, attempt and told faults; not the order of labels."""
    plain = Question("m", "toga-1", ("fr",), "Hi", temperature=0.0)
    informed = {"openness": 1.0, "neuroticism": 0.0}
    others = [
        Question("n", "toga-1", ("fr",), "Hi", temperature=0.0),
        Question("m", "piga-1", ("fr",), "Hi", temperature=0.0),
        Question("m", "toga-1", ("fr", "ja"), "Hi", temperature=0.0),
        Question("m", "toga-1", ("fr",), "Ho", temperature=0.0),
        Question("m", "toga-1", ("fr",), "Hi", temperature=0.5),
        Question("m", "toga-1", ("fr",), "Hi"),
        Question("m", "toga-1", ("fr",), "Hi", temperature=0.0, attempt=1),
        Question("m", "toga-1", ("fr",), "Hi", temperature=0.0, faults=("x",)),
        Question("m", "piga-1", ("fr",), "Hi", informed, temperature=0.0),
        Question("m", "piga-1", ("fr",), "Hi", informed | {"openness": 0.0}, temperature=0.0),
    ]
    assert len({question.key for question in [plain, *others]}) == len(others) + 1
    assert Question("m", "toga-1", ("fr",), "Hi", temperature=0.0).key == plain.key
    cache = AnswerCache(tmp_path)
    cache.put(plain, Answer("x", tokens_in=1), "http://h/v1")
    assert cache.get(plain) == Answer("x", tokens_in=1, cached=True)
    assert cache.get(others[0]) is None
