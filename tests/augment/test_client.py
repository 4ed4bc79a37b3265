"""One question to a real server that fails in every way it can."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest

from augment import api as faults
from augment.api import text_of
from featzoo.augment.answer_cache import AnswerCache
from featzoo.augment.client import Endpoint, EndpointError, Service
from featzoo.augment.prompt import Question
from featzoo.augment.rate_limit import Pace
from featzoo.errors import ClipError

KEY = "sk-test-0123456789abcdef"


def question(number=0):
    return Question("m1", "toga-1", ("fr", "ja"), text_of(number))


@pytest.fixture
def endpoint(api):
    def make(**changes):
        pace = changes.pop("pace", None) or Pace()
        service = {"url": api.url, "key": KEY, "timeout": 1.5, "tries": 3, "backoff": 0.01}
        return Endpoint(Service(**service | changes), pace)

    return make


def test_an_answer_is_the_servers_own(api, endpoint):
    """Content, model and counts come from the response; the request is the prompt, the text, and the key's header."""
    answer = endpoint().ask(question())
    assert json.loads(answer.content)["fr"] == faults.translated(text_of(0), "fr")
    assert (answer.tokens_in, answer.tokens_out) == (api.usage["prompt_tokens"], api.usage["completion_tokens"])
    assert (answer.model, answer.finish, answer.cached) == ("m1-0613", "stop", False)
    assert api.paths == ["/v1/chat/completions"]
    assert api.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert api.seen == [{"model": "m1", "messages": question().messages(), "response_format": {"type": "json_object"}}]


def test_the_request_has_the_given_options(api, endpoint):
    """A temperature only where there is one; no JSON mode where the user said so."""
    endpoint(json_mode=False).ask(Question("m1", "toga-1", ("fr",), text_of(1), temperature=0.7))
    assert api.seen[0]["temperature"] == 0.7
    assert "response_format" not in api.seen[0]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.hangs, "timeout"),
        (faults.status(429), "http-429"),
        (faults.status(500), "http-500"),
        (faults.status(503, "loading model"), "http-503"),
        (faults.drops, "connection"),
        (faults.html, "not-json"),
        (faults.truncated, "not-json"),
        (lambda handler, _: handler.reply(200, "[]"), "not-a-completion"),
        (lambda handler, _: handler.reply(200, '{"error": "overloaded"}'), "not-a-completion"),
        (lambda handler, _: handler.reply(200, ""), "not-json"),
        (lambda handler, _: handler.reply(502, "<html>Bad <b>Gateway</b></html>", "text/html"), "http-502"),
    ],
)
def test_a_fault_that_may_pass_is_tried_again(api, endpoint, fault, reason):
    """Once it passes there is an answer; if it does not, the question's own error, after just so many tries."""
    api.faults["(1)"] = [fault]
    assert endpoint().ask(question(1)).content
    assert len(api.seen) == 2
    api.always["(2)"] = fault
    with pytest.raises(ClipError) as caught:
        endpoint(tries=2).ask(question(2))
    assert caught.value.reason == reason
    assert len(api.seen) == 4


def test_half_a_character_in_an_answer_can_be_kept(api, endpoint, tmp_path):
    """JSON's escapes may tear one in two (`\\ud83d`): it is marked as lost, a whole one is not."""
    api.always["(1)"] = lambda handler, body: handler.complete(body, "a\ud83d b\U0001f600")
    answer = endpoint().ask(question(1))
    assert answer.content == "a\ufffd b\U0001f600"
    AnswerCache(tmp_path).put(question(1), answer)
    assert AnswerCache(tmp_path).get(question(1)).content == answer.content


def test_a_page_of_html_is_quoted(api, endpoint):
    api.always["(1)"] = faults.html
    with pytest.raises(ClipError, match="Sign in to the campus network"):
        endpoint(tries=1).ask(question(1))


@pytest.mark.parametrize("header", [{"Retry_After": "0.6"}, {"retry_after_ms": "600"}])
def test_retry_after_is_obeyed_by_all(api, endpoint, header):
    """Whoever is told to wait, no request of any thread leaves before that, and then at the usual pace."""
    told = []

    def wait(handler, body):
        told.append(time.monotonic())
        faults.status(429, **header)(handler, body)

    api.faults["(1)"] = [wait]
    server = endpoint(pace=Pace(400))
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(server.ask, map(question, range(1, 7))))
    begun = sorted(begun for begun, _ in api.times)
    assert len(begun) == 7
    # The word takes a moment to reach the client.
    after = [each for each in begun if each > told[0] + 0.15]
    assert len(after) >= 4
    assert after[0] >= told[0] + 0.6
    # Departures are 0.15 s apart; what lies between them and being seen varies, but does not add up.
    assert after[-1] - after[0] >= (len(after) - 1) * 0.15 - 0.25


def test_a_date_to_come_back_at_is_understood(api, endpoint):
    """Beyond ten minutes, waiting is the user's affair."""
    at = formatdate(time.time() + 3600, usegmt=True)
    api.always["(1)"] = faults.status(429, Retry_After=at)
    with pytest.raises(EndpointError, match=r"a pause of (3600|359\d) s"):
        endpoint().ask(question(1))
    assert len(api.seen) == 1


@pytest.mark.parametrize("code", [400, 403, 413, 422])
def test_a_refusal_of_one_text_is_not_repeated(api, endpoint, code):
    api.always["(1)"] = faults.status(code, "too many tokens")
    with pytest.raises(ClipError, match="too many tokens") as caught:
        endpoint().ask(question(1))
    assert caught.value.reason == f"http-{code}"
    assert len(api.seen) == 1
    assert endpoint().ask(question(2)).content


def test_a_filter_of_the_server_has_its_own_reason(api, endpoint):
    api.always["(1)"] = faults.status(400, "filtered", "content_filter")
    with pytest.raises(ClipError) as caught:
        endpoint().ask(question(1))
    assert caught.value.reason == "content-filter"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (faults.status(401, f"Incorrect API key provided: {KEY}"), "OPENAI_API_KEY"),
        (faults.status(402), "payment required"),
        (faults.status(404, "no model m1"), "no model m1"),
        (faults.status(429, "You exceeded your quota", "insufficient_quota"), "quota is used up"),
    ],
)
def test_errors_for_all_requests_end_the_run_at_once(api, endpoint, fault, words):
    api.always["("] = fault
    with pytest.raises(EndpointError, match=words) as caught:
        endpoint().ask(question(1))
    assert len(api.seen) == 1
    assert KEY[8:] not in str(caught.value)


def test_a_server_that_is_down_is_not_asked_for_ever(api, endpoint):
    """After so many questions in a row without an answer the run ends; an answer between starts the count anew."""
    api.always["(1)"] = faults.status(500)
    server = endpoint(tries=1, patience=3)
    for number in (1, 1, 0, 1, 1):
        if number:
            with pytest.raises(ClipError):
                server.ask(question(number))
        else:
            server.ask(question(number))
    with pytest.raises(EndpointError, match="3 consecutive requests"):
        server.ask(question(1))


def test_nobody_listens(endpoint):
    with pytest.raises(ClipError) as caught:
        endpoint(url="http://127.0.0.1:9/v1", tries=1).ask(question())
    assert caught.value.reason == "connection"


def test_secrets_are_in_no_error(api, endpoint):
    """Neither where a server repeats the request's headers, nor in an address with a password."""

    def repeats(handler, _):
        said = f"{handler.headers['Authorization']} {handler.path} hunter2"
        handler.reply(500, json.dumps({"error": {"message": said}}))

    api.always["(1)"] = repeats
    url = api.url.replace("http://", "http://ann:hunter2@") + "?token=t0k3n"
    server = endpoint(url=url, tries=1)
    with pytest.raises(ClipError) as caught:
        server.ask(question(1))
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    told = " ".join([*map(repr, chain), *map(str, chain), repr(server.service), server.service.shown])
    for secret in (KEY, "0123456789", "hunter2", "t0k3n", "ann:"):
        assert secret not in told
    assert server.service.shown == api.url


def test_an_address_that_is_none(endpoint):
    with pytest.raises(EndpointError, match="http"):
        endpoint(url="localhost:8000/v1")


def test_pace_spreads_requests_and_tokens_evenly():
    """n turns take (n - 1) intervals at least, whichever limit is the tighter; a wrong guess is put right."""
    for pace, cost, each in ((Pace(1200), 1, 0.05), (Pace(None, 6000), 5, 0.05), (Pace(60000, 6000), 5, 0.05)):
        begun = time.monotonic()
        for _ in range(5):
            pace.wait(cost)
        assert 4 * each <= time.monotonic() - begun
    pace = Pace(None, 6000)
    pace.wait(5)
    pace.spent(35, 5)  # 30 more: 0.3 s later
    begun = time.monotonic()
    pace.wait(5)
    assert time.monotonic() - begun + 0.02 >= 0.3
