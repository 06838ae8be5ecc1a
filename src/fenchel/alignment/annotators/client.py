"""Client of a server that speaks the protocol of OpenAI, for language models as annotators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from math import nan
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from ...arrays import check_choice, check_integer, check_number
from ._http import Connection, Limits, Usage
from ._replies import chat_label_scores, chat_text, echo_label_score

__all__ = ["OpenAICompatibleClient"]

T = Any

_LONGEST = 86400.0  # seconds


class OpenAICompatibleClient:
    """Ask a language model over HTTP: log-probabilities of labels, or texts.

    Requests that fail in passing (no connection, time-out, closed or half-written reply, status
    408, 425, 429 or 5xx, a reply that is not what was asked for) are sent again after a random time
    that doubles with each attempt; `Retry-After` is obeyed. What still has no answer then, or was
    refused by status 400, 413 or 422, or is out of budget, is NaN or None, and `LLMAnnotator` makes
    it invalid.

    Parameters
    ----------
    base_url
        Address up to "/v1".
    model
        Name of the model.
    api_key_env
        Name of the environment variable with the key; None for no key. The key is read when a
        request is sent, and is nowhere else: not in this object, its text, a log, or an error.
    endpoint
        "chat": one token is asked for, and the label's probability is read among the likeliest
        tokens. "completions": the text with each label is sent back with the log-probabilities of
        its tokens, for servers that have `echo`; labels may then have several tokens.
    timeout
        Seconds that a request may take in all, the reading of its reply included; at most a day.
    max_retries
        How often a failed request is sent again.
    backoff, max_backoff
        Seconds of the first and the longest wait; a longer `Retry-After` ends the attempts.
    requests_per_minute
        Requests are spaced so that there are no more.
    max_requests, max_tokens_spent
        Budget: requests sent in all, retries included; tokens as the server counts them (requests
        under way may go beyond it by their own).
    concurrency
        Requests under way at once, each on a thread of its own.
    max_tokens
        Length of the answers of `complete`.
    options
        Further entries of the request, such as `{"seed": 0}`.

    Raises
    ------
    ImportError
        If httpx is not installed: `pip install 'fenchel[alignment]'`.
    TypeError
        If an option is of another type; raised by a call that is not given a list of texts.
    ValueError
        If the address holds a user name or password, or an option is out of range.
    PermissionError
        Raised by a call if the server refuses the key (401, 403).
    ConnectionError
        Raised by a call if the server does not know the address or the model (404 and the like).

    Examples
    --------
    >>> client = OpenAICompatibleClient("http://127.0.0.1:8000/v1", "tiny", api_key_env=None)
    >>> client
    OpenAICompatibleClient('http://127.0.0.1:8000/v1', 'tiny')
    >>> client.usage.requests
    0
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key_env: str | None = "OPENAI_API_KEY",
        endpoint: str = "chat",
        timeout: float = 60.0,
        max_retries: int = 5,
        backoff: float = 0.5,
        max_backoff: float = 60.0,
        requests_per_minute: float | None = None,
        max_requests: int | None = None,
        max_tokens_spent: int | None = None,
        concurrency: int = 4,
        max_tokens: int = 16,
        options: dict[str, Any] | None = None,
    ) -> None:
        check_choice("endpoint", endpoint, ("chat", "completions"))
        for name, text in (("base_url", base_url), ("model", model)):
            if not isinstance(text, str):
                raise TypeError(f"`{name}` must be a text; got {type(text).__qualname__}")
        _check_address(base_url)
        check_number("timeout", timeout, above=0.0, maximum=_LONGEST)
        check_number("backoff", backoff, minimum=0.0)
        check_number("max_backoff", max_backoff, minimum=0.0)
        for name, count, least in (
            ("max_retries", max_retries, 0),
            ("concurrency", concurrency, 1),
            ("max_tokens", max_tokens, 1),
        ):
            check_integer(name, count, minimum=least)
        for name, limit in (
            ("max_requests", max_requests),
            ("max_tokens_spent", max_tokens_spent),
        ):
            if limit is not None:
                check_integer(name, limit, minimum=0)
        if requests_per_minute is not None:
            check_number("requests_per_minute", requests_per_minute, above=0.0)
        self.base_url, self.model, self.endpoint = base_url.rstrip("/"), model, endpoint
        self._concurrency, self._max_tokens = int(concurrency), int(max_tokens)
        self._options = dict(options or {})
        limits = Limits(
            timeout=timeout,
            max_retries=int(max_retries),
            backoff=backoff,
            max_backoff=max_backoff,
            requests_per_minute=requests_per_minute,
            max_requests=max_requests,
            max_tokens=max_tokens_spent,
        )
        self._connection = Connection(self.base_url, api_key_env, limits, self._concurrency)

    @property
    def usage(self) -> Usage:
        """What was sent, answered and spent so far."""
        return self._connection.usage

    @property
    def fingerprint(self) -> str:
        """What an answer depends on beside the text: model, endpoint and options."""
        options = sorted((key, repr(value)) for key, value in self._options.items())
        return f"{self.model} {self.endpoint} {self._max_tokens} {options}"

    def score_labels(self, texts: Sequence[str], labels: Sequence[str]) -> Any:
        """Return the log-probability of each label after each text.

        Parameters
        ----------
        texts
            What the model is shown.
        labels
            What it may answer.

        Returns
        -------
        ndarray
            Of shape (texts, labels); rows without an answer are NaN.
        """
        rows = np.full((len(texts), len(labels)), np.nan)
        for i, row in self.score_each(texts, labels):
            rows[i] = row
        return rows

    def score_each(
        self, texts: Sequence[str], labels: Sequence[str]
    ) -> Iterator[tuple[int, list[float]]]:
        """Yield place and log-probabilities of each text, as the answers come."""
        score = self._score_echo if self.endpoint == "completions" else self._score_chat
        blank = [nan] * len(labels)
        for i, row in self._each(texts, lambda text: score(text, labels)):
            yield i, blank if row is None else row

    def complete(self, texts: Sequence[str]) -> list[str | None]:
        """Return the model's answer to each text; None where there is none."""
        answers: list[str | None] = [None] * len(texts)
        for i, answer in self.complete_each(texts):
            answers[i] = answer
        return answers

    def complete_each(self, texts: Sequence[str]) -> Iterator[tuple[int, str | None]]:
        """Yield place and answer of each text, as the answers come."""
        yield from self._each(texts, self._complete)

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __repr__(self) -> str:
        return f"OpenAICompatibleClient({self.base_url!r}, {self.model!r})"

    def _each(self, texts: Sequence[str], ask: Callable[[str], T]) -> Iterator[tuple[int, T]]:
        """Ask for every text, some at a time; what has not begun is dropped on an interruption."""
        wrong = [type(text) for text in texts if not isinstance(text, str)]
        if isinstance(texts, str) or wrong:
            kind = "one text" if isinstance(texts, str) else wrong[0].__qualname__
            raise TypeError(f"`texts` must be a list of texts; got {kind}")
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="fenchel-client")
        try:
            futures = {pool.submit(ask, text): i for i, text in enumerate(texts)}
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _chat(self, text: str, **more: Any) -> dict[str, Any]:
        messages = [{"role": "user", "content": text}]
        return {
            "model": self.model,
            "messages": messages,
            "temperature": 0,
            **more,
            **self._options,
        }

    def _score_chat(self, text: str, labels: Sequence[str]) -> list[float] | None:
        body = self._chat(text, max_tokens=1, logprobs=True, top_logprobs=20)
        return self._connection.post(
            "/chat/completions", body, lambda reply: chat_label_scores(reply, labels)
        )

    def _score_echo(self, text: str, labels: Sequence[str]) -> list[float] | None:
        scores = []
        for label in labels:
            body = {"model": self.model, "prompt": text + label, "max_tokens": 0, "echo": True}
            body |= {"logprobs": 0, "temperature": 0, **self._options}
            score = self._connection.post(
                "/completions", body, lambda reply: echo_label_score(reply, len(text))
            )
            if score is None:
                return None
            scores.append(score)
        return scores

    def _complete(self, text: str) -> str | None:
        body = self._chat(text, max_tokens=self._max_tokens)
        return self._connection.post("/chat/completions", body, chat_text)


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("`base_url` must begin with http:// or https:// and name a host")
    if parts.username or parts.password or parts.query:
        # Not repeated in the message: it would be written to logs.
        raise ValueError("`base_url` must hold no user name, password or query")
