"""Requests that are sent again, spaced and counted; the key of the server is seen here alone."""

from __future__ import annotations

import json
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Generator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar

from ._replies import MalformedReply, tokens_of

__all__ = ["Connection", "Limits", "Usage"]

T = TypeVar("T")

_PASSING = (408, 425, 429)  # and every 5xx
_OWN_FAULT = (400, 413, 422)  # this text alone is refused: too long, or filtered
_LARGEST_REPLY = 16 * 2**20


class Usage(NamedTuple):
    """What a client has sent and spent.

    Parameters
    ----------
    requests
        Requests sent, retries included.
    retries
        Those among them that repeat a failed one.
    answered
        Questions with an answer.
    failed
        Questions given up after all attempts, or refused by the server.
    unasked
        Questions without an answer because the budget was spent.
    tokens
        Tokens as the server counts them.

    Examples
    --------
    >>> Usage().requests
    0
    """

    requests: int = 0
    retries: int = 0
    answered: int = 0
    failed: int = 0
    unasked: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class Limits:
    """How long, how often and how much; see `OpenAICompatibleClient`."""

    timeout: float
    max_retries: int
    backoff: float
    max_backoff: float
    requests_per_minute: float | None
    max_requests: int | None
    max_tokens: int | None


class _Retry(Exception):
    """A failure in passing; `wait` is what the server asked for, in seconds."""

    def __init__(self, wait: float | None = None) -> None:
        super().__init__()
        self.wait = wait


class _Refused(Exception):
    """The server refuses this question, and will again."""


class Connection:
    """Posts JSON to one server, within the limits, from several threads."""

    def __init__(
        self, base_url: str, key_variable: str | None, limits: Limits, concurrency: int
    ) -> None:
        self._url, self._variable, self._limits = base_url, key_variable, limits
        self._usage = Usage()
        self._lock = threading.Lock()
        self._next_start = 0.0  # no request begins before this time of the monotonic clock
        self._random = random.Random()  # of its own: waits shall differ between processes
        self._client = _new_client(key_variable, limits.timeout, concurrency)
        self._finalizer = weakref.finalize(self, self._client.close)  # if nobody calls `close`

    @property
    def usage(self) -> Usage:
        """Counts so far."""
        with self._lock:
            return self._usage

    def close(self) -> None:
        """Close the connections."""
        self._finalizer()

    def post(self, path: str, body: dict[str, Any], read: Callable[[Any], T]) -> T | None:
        """Return what `read` finds in the reply; None where there is no reply to be had."""
        for attempt in range(self._limits.max_retries + 1):
            if not self._reserve(attempt > 0):
                self._count(unasked=1)
                return None
            try:
                answer = self._once(path, body, read)
            except _Refused:
                break
            except _Retry as failure:
                if attempt == self._limits.max_retries or not self._wait(attempt, failure.wait):
                    break
            else:
                self._count(answered=1)
                return answer
        self._count(failed=1)
        return None

    def _once(self, path: str, body: dict[str, Any], read: Callable[[Any], T]) -> T:
        status, wait, content = self._send(path, body)
        self._check_status(status, wait)
        try:
            reply = json.loads(content)
            self._count(tokens=tokens_of(reply))
            return read(reply)
        except (ValueError, MalformedReply):  # the first includes bad JSON and bad UTF-8
            raise _Retry from None

    def _send(self, path: str, body: dict[str, Any]) -> tuple[int, float | None, bytes]:
        """Return status, `Retry-After` and content of one reply.

        The whole reply has a deadline: a server that sends a byte now and then would otherwise keep
        the request for ever.
        """
        import httpx

        deadline = time.monotonic() + self._limits.timeout
        parts, size = [], 0
        try:
            with self._client.stream("POST", self._url + path, json=body) as response:
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if time.monotonic() > deadline or size > _LARGEST_REPLY:
                        raise _Retry
                wait = _seconds(response.headers.get("retry-after"))
                # Complaints are dropped: some servers repeat the key in them.
                content = b"".join(parts) if response.status_code == 200 else b""
                return response.status_code, wait, content
        except (httpx.TransportError, httpx.DecodingError):
            # The error holds the request, and that the key: it goes no further.
            raise _Retry from None

    def _check_status(self, status: int, wait: float | None) -> None:
        if status in _PASSING or status >= 500:
            if wait is not None:
                self._pause(wait)
            raise _Retry(wait)
        if status in _OWN_FAULT:
            raise _Refused
        if status in (401, 403):
            hint = f"; is the environment variable {self._variable} set?" if self._variable else ""
            raise PermissionError(f"{self._url} refused the key (status {status}){hint}")
        if status != 200:
            raise ConnectionError(f"{self._url} answered with status {status}")

    def _reserve(self, again: bool) -> bool:
        """Take one request from the budget and wait for its turn; False where none is left."""
        limits, now = self._limits, time.monotonic()
        with self._lock:
            usage = self._usage
            if limits.max_requests is not None and usage.requests >= limits.max_requests:
                return False
            if limits.max_tokens is not None and usage.tokens >= limits.max_tokens:
                return False
            self._usage = usage._replace(requests=usage.requests + 1, retries=usage.retries + again)
            start = max(now, self._next_start)
            if limits.requests_per_minute is not None:
                self._next_start = start + 60.0 / limits.requests_per_minute
        time.sleep(max(start - now, 0.0))
        return True

    def _pause(self, seconds: float) -> None:
        """Keep every thread from asking again before the server wants it."""
        if seconds <= self._limits.max_backoff:
            with self._lock:
                self._next_start = max(self._next_start, time.monotonic() + seconds)

    def _wait(self, attempt: int, wanted: float | None) -> bool:
        """Sleep before the next attempt; False where the server wants too long a wait."""
        if wanted is not None and wanted > self._limits.max_backoff:
            return False
        longest = min(self._limits.backoff * 2.0**attempt, self._limits.max_backoff)
        # Anywhere in the interval: clients that failed together shall not come back together.
        time.sleep((wanted or 0.0) + self._random.uniform(0.0, longest))
        return True

    def _count(self, **more: int) -> None:
        with self._lock:
            old = self._usage
            self._usage = old._replace(**{k: getattr(old, k) + v for k, v in more.items()})


def _new_client(variable: str | None, timeout: float, concurrency: int) -> Any:
    try:
        import httpx
    except ImportError:
        raise ImportError(
            "OpenAICompatibleClient needs httpx: python -m pip install 'fenchel[alignment]'"
        ) from None

    class KeyFromEnvironment(httpx.Auth):
        """Adds the key to a request at the moment it is sent."""

        def auth_flow(
            self, request: httpx.Request
        ) -> Generator[httpx.Request, httpx.Response, None]:
            if variable is not None and variable in os.environ:
                request.headers["Authorization"] = f"Bearer {_key(variable)}"
            yield request

    return httpx.Client(
        auth=KeyFromEnvironment(),
        timeout=timeout,
        limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
    )


def _key(variable: str) -> str:
    key = os.environ[variable].strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        # Checked here, as the complaints of lower levels would show the key.
        raise PermissionError(f"the environment variable {variable} must hold a key in plain ASCII")
    return key


def _seconds(header: str | None) -> float | None:
    """Return the wait that a `Retry-After` asks for: seconds, or a date."""
    if header is None:
        return None
    try:
        return max(float(header), 0.0)
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(date.timestamp() - time.time(), 0.0)
