"""The client against a real server on the loopback that fails in every way a real one does."""

import logging
import pickle
import socket
import threading
import time
import traceback

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fenchel.alignment.annotators import LLMAnnotator, OpenAICompatibleClient, _http
from fenchel.alignment.annotators._replies import chat_label_scores
from tests.alignment.server import FAILURES, FakeServer

KEY = "sk-0123456789-not-to-be-seen"
LABELS = ["1", "2"]
TEXT = "Response 1:\n{}\n\nResponse 2:\n{}\n\nWhich"


def client_of(url, **options):
    quick = {"timeout": 60.0, "backoff": 0.002, "max_backoff": 2.0, "api_key_env": "FENCHEL_KEY"}
    return OpenAICompatibleClient(url, "tiny", **{**quick, **options})


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("FENCHEL_KEY", KEY)


def test_log_probabilities_of_labels():
    fake = FakeServer()
    with fake.running() as url:
        rows = client_of(url).score_labels([TEXT.format("aaa", "a"), TEXT.format("", "a")], LABELS)
    assert_allclose(rows[:, 0] - rows[:, 1], [2.0, -1.0], atol=1e-12)
    assert fake.keys == [f"Bearer {KEY}"] * 2


def test_no_key_is_sent_without_a_variable(monkeypatch):
    monkeypatch.delenv("FENCHEL_KEY")
    fake = FakeServer()
    with fake.running() as url:
        client_of(url).complete([TEXT.format("a", "")])
        client_of(url, api_key_env=None).complete([TEXT.format("a", "")])
    assert fake.keys == [None, None]


def test_labels_of_several_tokens_by_echo():
    fake = FakeServer()
    with fake.running() as url:
        client = client_of(url, endpoint="completions")
        rows = client.score_labels([TEXT.format("aaa", "a")], [" 1", " 2"])
    assert_allclose(rows[0, 0] - rows[0, 1], 2.0, atol=1e-12)


@pytest.mark.parametrize("failure", FAILURES)
def test_every_failure_in_passing_is_tried_again(failure):
    fake = FakeServer(lambda n, text: failure if n == 0 else None)
    with fake.running() as url:
        client = client_of(url, timeout=1.0 if failure in ("stall", "drip") else 60.0)
        rows = client.score_labels([TEXT.format("aaa", "a")], LABELS)
    assert_allclose(rows[0, 0] - rows[0, 1], 2.0, atol=1e-12)
    usage = client.usage
    assert usage.requests == usage.retries + 1 >= 2
    assert (usage.answered, usage.failed) == (1, 0)


@pytest.mark.parametrize("failure", [name for name in FAILURES if name not in ("stall", "drip")])
def test_every_lasting_failure_is_no_answer(failure):
    with FakeServer(lambda n, text: failure).running() as url:
        client = client_of(url, max_retries=1)
        assert np.isnan(client.score_labels([TEXT.format("aaa", "a")], LABELS)).all()
    assert client.usage.requests == 2
    assert client.usage.failed == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_text_is_not_sent_again(status):
    fake = FakeServer(lambda n, text: status)
    with fake.running() as url:
        assert client_of(url).complete([TEXT.format("a", "")]) == [None]
    assert len(fake.requests) == 1


def test_nobody_listens():
    with socket.socket() as taken:  # a port that no other test can be given meanwhile
        taken.bind(("127.0.0.1", 0))
        client = client_of(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", max_retries=2)
        assert client.complete(["hello"]) == [None]
    assert client.usage.requests == 3


def test_a_reply_that_drips_is_given_up():
    """The whole reply would take minutes, and be an answer; no single byte is late."""
    with FakeServer(lambda n, text: "drip").running() as url:
        assert client_of(url, max_retries=0, timeout=0.1).complete([TEXT.format("a", "")]) == [None]


def test_retry_after_is_obeyed_and_too_long_a_wait_is_not():
    fake = FakeServer(lambda n, text: "429 seconds" if n == 0 else None)
    with fake.running() as url:
        assert client_of(url).complete([TEXT.format("a", "")]) == ["Response 1."]
        assert fake.times[1] - fake.times[0] >= 0.05
        fake.fate = lambda n, text: "429 seconds"
        assert client_of(url, max_backoff=0.01).complete([TEXT.format("a", "")]) == [None]
    assert len(fake.requests) == 3


def test_requests_are_spaced():
    fake = FakeServer()
    with fake.running() as url:
        client = client_of(url, requests_per_minute=60 / 0.03, concurrency=4)
        start = time.monotonic()
        client.complete([TEXT.format("a" * i, "") for i in range(5)])
    assert max(fake.times) - start > 4 * 0.03  # an arrival may be late, no start is early


def test_concurrency_is_used_and_bounded():
    ready = threading.Barrier(3, timeout=300)

    def together(n, text):
        ready.wait()

    fake = FakeServer(together)
    with fake.running() as url:
        client = client_of(url, concurrency=3, timeout=300.0)
        client.complete([TEXT.format("a" * i, "") for i in range(9)])
    assert fake.busiest == 3


@pytest.mark.parametrize("budget", [0, 1, 5])
def test_budget_of_requests(budget):
    fake = FakeServer(lambda n, text: "500" if n % 2 else None)
    with fake.running() as url:
        client = client_of(url, max_requests=budget, concurrency=4)
        answers = client.complete([TEXT.format("a" * i, "") for i in range(8)])
    assert len(fake.requests) == client.usage.requests == budget
    assert sum(answer is not None for answer in answers) == client.usage.answered
    assert client.usage.unasked == 8 - client.usage.answered - client.usage.failed


def test_budget_of_tokens():
    fake = FakeServer(tokens=10)
    with fake.running() as url:
        client = client_of(url, max_tokens_spent=25, concurrency=1)
        client.complete([TEXT.format("a" * i, "") for i in range(8)])
    assert client.usage.tokens == 30  # what was under way when the budget was met
    assert len(fake.requests) == 3


@pytest.mark.parametrize(("status", "error"), [(401, PermissionError), (404, ConnectionError)])
def test_what_cannot_work_raises_and_shows_no_key(status, error, caplog):
    caplog.set_level(logging.DEBUG)
    with FakeServer(lambda n, text: status).running() as url:
        client = client_of(url)
        with pytest.raises(error) as caught:
            client.complete([TEXT.format("a", "")])
    shown = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    for text in (shown, caplog.text, repr(client), str(vars(client))):
        assert KEY not in text


@pytest.mark.parametrize("value", ["clé-secrète", "two words", "a\x7fb"])
def test_an_impossible_key_is_refused_unseen(value, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("FENCHEL_KEY", value)
    with FakeServer().running() as url, pytest.raises(PermissionError) as caught:
        client_of(url).complete([TEXT.format("a", "")])
    assert value not in "".join(traceback.format_exception(caught.value)) + caplog.text


def test_no_key_in_logs_of_failures(caplog):
    caplog.set_level(logging.DEBUG)
    fake = FakeServer(lambda n, text: FAILURES[n % len(FAILURES)])
    with fake.running() as url:
        client = client_of(url, max_retries=1, timeout=0.5)
        client.score_labels([TEXT.format("a" * i, "") for i in range(8)], LABELS)
    assert set(fake.keys) == {f"Bearer {KEY}"}
    assert KEY not in caplog.text
    assert "HTTP Request" in caplog.text


@pytest.mark.parametrize(
    ("url", "secret"), [("http://me:hush@host/v1", "hush"), ("https://host/v1?key=hush", "hush")]
)
def test_addresses_with_secrets_are_refused(url, secret):
    with pytest.raises(ValueError, match="base_url") as caught:
        client_of(url)
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0.0},
        {"concurrency": 0},
        {"endpoint": "x"},
        {"max_requests": -1},
        {"max_retries": -1},
        {"requests_per_minute": 0},
    ],
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        client_of("http://host/v1", **options)


def test_a_third_of_the_calls_fails_in_all_ways(caplog):
    caplog.set_level(logging.DEBUG)
    rng = np.random.default_rng(0)
    fates = [FAILURES[i % len(FAILURES)] if rng.random() < 0.3 else None for i in range(2000)]
    fake = FakeServer(lambda n, text: fates[n], bias=1.5)
    first = ["a" * (1 + i % 5) for i in range(40)]
    second = ["b" * (1 + (i * 7) % 4) for i in range(40)]
    with fake.running() as url:
        client = client_of(url, concurrency=4, max_retries=8, max_requests=300, timeout=1.0)
        annotator = LLMAnnotator(client, combine="logit")
        answer = annotator.annotate([str(i) for i in range(40)], first, second)
    assert answer.valid.sum() >= 38
    truth = np.array([len(a) - len(b) for a, b in zip(first, second, strict=True)])
    expected = 1 / (1 + np.exp(-truth))
    # The liking for the first place is gone.
    assert_allclose(answer.prob_first[answer.valid], expected[answer.valid], atol=1e-12)
    assert (answer.position_bias[answer.valid] > 0.0).all()
    assert client.usage.retries > 10
    assert len(fake.requests) <= 300
    assert KEY not in caplog.text


def test_a_client_holds_no_key_and_no_thread():
    before = threading.active_count()
    with FakeServer().running() as url:
        client = client_of(url)
        client.complete([TEXT.format("a", "")])
        client.close()
    assert KEY.encode() not in pickle.dumps(str(vars(client)))
    deadline = time.monotonic() + 300.0
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_a_label_that_is_not_listed_has_a_bound():
    """At most the probability of the last token listed, and of what is left of 1."""

    def scores(*listed):
        tokens = [{"token": token, "logprob": float(np.log(p))} for token, p in listed]
        content = [{"top_logprobs": tokens}]
        return chat_label_scores({"choices": [{"logprobs": {"content": content}}]}, LABELS)

    assert_allclose(scores((" 1", 0.5), ("the", 0.2)), np.log([0.5, 0.2]))  # 0.3 is left
    assert_allclose(scores((" 1", 0.7), ("the", 0.2)), np.log([0.7, 0.1]))
    assert_allclose(scores(("1", 0.5), (" 1", 0.2), ("2", 0.1)), np.log([0.7, 0.1]))
    assert np.isnan(scores(("a", 0.5), ("the", 0.2))).all()


class Clock:
    """Time that passes while one sleeps."""

    def __init__(self):
        self.now, self.slept = 100.0, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def test_every_thread_waits_as_long_as_the_server_wants(monkeypatch):
    client = client_of("http://127.0.0.1/v1", max_backoff=2.0, requests_per_minute=120)
    clock, connection = Clock(), client._connection
    monkeypatch.setattr(_http, "time", clock)
    for _ in range(3):
        connection._reserve(False)
    assert_allclose(clock.slept, [0.0, 0.5, 0.5])  # spaced by the rate
    connection._pause(1.5)
    connection._reserve(True)
    assert_allclose(clock.slept[-1], 1.5)
    connection._pause(30.0)  # longer than anybody waits: that request alone is given up
    connection._reserve(True)
    assert_allclose(clock.slept[-1], 0.5)
    assert client.usage.requests == 5 and client.usage.retries == 2
