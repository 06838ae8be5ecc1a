"""The loop with a language model behind a server that fails in a third of the calls."""

import logging

import numpy as np

from fenchel.alignment import (
    CachedAnnotator,
    LLMAnnotator,
    OnlineLoop,
    OpenAICompatibleClient,
    TabularPolicy,
)
from tests.alignment.server import FAILURES, FakeServer

KEY = "sk-of-the-failing-server"
WORDS = ["a", "bb", "ccc", "dddd", "eeeee"]


def run(url, path, steps, **options):
    client = OpenAICompatibleClient(
        url, "tiny", api_key_env="FENCHEL_KEY", timeout=4.0, backoff=0.001, concurrency=4, **options
    )
    annotator = CachedAnnotator(LLMAnnotator(client, combine="logit"), path)
    loop = OnlineLoop(TabularPolicy(WORDS), annotator, optimizer=40.0, beta=0.5, labels="soft")
    state, history = loop.run(loop.init(np.zeros((20, 5))), np.arange(20), steps)
    annotator.close()
    client.close()
    return client, state, history


def failing(seed, share=0.3):
    rng = np.random.default_rng(seed)
    # Few stalls: each costs a time-out, which a busy machine must not reach without one.
    names = [name for name in FAILURES if name not in ("stall", "drip")] * 8 + ["stall", "drip"]
    fates = [rng.choice(names) if rng.random() < share else None for _ in range(5000)]
    return FakeServer(lambda n, text: fates[n], bias=0.7)


def test_the_loop_finishes_and_learns(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("FENCHEL_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    fake = failing(0)
    with fake.running() as url:
        client, state, history = run(url, tmp_path / "cache.db", 8, max_retries=6)
    assert len(history) == 8
    assert sum(m.used for m in history) > 80
    assert state.params[:, 4].mean() > state.params[:, 0].mean() + 0.5
    assert all(m.position_bias > 0 for m in history)
    assert client.usage.retries > 10
    assert len(fake.answered) == len(set(fake.answered))  # no text was paid for twice
    assert KEY not in caplog.text
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert KEY.encode() not in files


def test_answers_that_fail_for_good_are_counted_and_asked_again(tmp_path, monkeypatch):
    monkeypatch.setenv("FENCHEL_KEY", KEY)
    fake = failing(1)
    with fake.running() as url:
        _, _, history = run(url, tmp_path / "cache.db", 3, max_retries=0)
        fake.fate = lambda n, text: None
        _, _, healed = run(url, tmp_path / "cache.db", 3, max_retries=0)
    assert sum(m.invalid for m in history) > 3
    assert all(m.used + m.invalid + m.identical == m.pairs for m in history)
    assert sum(m.invalid for m in healed) == 0


def test_the_budget_is_respected_and_the_loop_ends(tmp_path, monkeypatch):
    monkeypatch.setenv("FENCHEL_KEY", KEY)
    fake = failing(2)
    with fake.running() as url:
        client, _, history = run(url, tmp_path / "cache.db", 8, max_retries=4, max_requests=60)
    # A connection that was refused or came too late counts, and the server has not seen it.
    assert len(fake.requests) <= client.usage.requests == 60
    assert client.usage.unasked > 0
    assert sum(m.invalid for m in history) > 0
    assert history[-1].updates in (0, 1)
