"""A small recurrent language model on plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...arrays import check_integer, check_number
from ...backend import backend_of
from ...loops import scan
from ...random import RandomStream, gumbel
from .._logits import index_dtype
from ..kl import kl_exact
from ..logprob import sequence_logprob
from .policy import items_of

__all__ = ["GRUPolicy"]

Array = Any
Params = dict[str, Any]


@dataclass(frozen=True)
class GRUPolicy:
    """A language model with one layer of gated recurrent units; the same code on every library.

    Prompts are integers of shape (B, P), of one length (0 allowed) or padded with negative numbers,
    which are passed over. Responses have shape (B, max_tokens), filled up with the end token.

    Parameters
    ----------
    vocabulary
        Number of tokens, with those of the start and of the end.
    units
        Size of the state.
    max_tokens
        Longest response, its end token included.
    start_token, end_token
        What comes first, and what ends a response.

    Raises
    ------
    TypeError
        If a number is not an integer.
    ValueError
        If it is out of range.

    Notes
    -----
    *Derivatives*: of `logprob` and `logits` in the parameters, of every order.

    References
    ----------
    K. Cho et al., arXiv 1406.1078.

    Examples
    --------
    >>> import numpy as np
    >>> policy = GRUPolicy(vocabulary=5, units=4, max_tokens=3)
    >>> params, prompts = policy.init(0, like=np.zeros(1)), np.zeros((2, 0), dtype=np.int64)
    >>> responses = policy.sample(params, prompts, 0, 1.0)
    >>> responses.shape, policy.logprob(params, prompts, responses).shape
    ((2, 3), (2,))
    """

    vocabulary: int
    units: int = 32
    max_tokens: int = 12
    start_token: int = 0
    end_token: int = 1

    def __post_init__(self) -> None:
        for name, least in (("vocabulary", 2), ("units", 1), ("max_tokens", 1)):
            check_integer(name, getattr(self, name), minimum=least)
        for name in ("start_token", "end_token"):
            check_integer(name, getattr(self, name), minimum=0, maximum=self.vocabulary - 1)

    def init(self, rng: int | RandomStream = 0, *, like: Array) -> Params:
        """Return random parameters of the library, dtype and device of `like`."""
        stream = rng if isinstance(rng, RandomStream) else RandomStream(rng)
        v, d = self.vocabulary, self.units
        shapes = {"input": (v, 3 * d), "recurrent": (d, 3 * d), "output": (d, v)}
        streams = stream.split(len(shapes))
        params: Params = {
            name: part.normal(shape, like=like) * d**-0.5
            for part, (name, shape) in zip(streams, shapes.items(), strict=True)
        }
        zeros = backend_of(like).namespace.zeros_like
        params["bias"] = zeros(params["input"][0, :])
        params["offset"] = zeros(params["output"][0, :])
        return params

    def sample(self, params: Params, prompts: Array, rng: Any, temperature: float = 1.0) -> Array:
        """Draw a response to each prompt; the likeliest tokens at temperature 0."""
        check_number("temperature", temperature, minimum=0.0)
        backend = backend_of(params["output"])
        xp = backend.namespace
        state = self._read(params, prompts)
        shape = (self.max_tokens, prompts.shape[0], self.vocabulary)
        noise = gumbel(rng, shape, like=params["output"]) if temperature else None

        def step(carry: Any, row: Any) -> Any:
            state, done = carry
            logits = self._project(params, state)
            scores = logits if row is None else logits / temperature + row
            token = xp.where(done, self.end_token, xp.argmax(scores, axis=-1))
            state = self._cell(params, state, token)
            return (state, done | (token == self.end_token)), token

        done = xp.zeros(prompts.shape[0], dtype=xp.bool, device=backend.device_of(state))
        tokens = scan(step, (state, done), noise, self.max_tokens)[1]
        return xp.permute_dims(tokens, (1, 0))

    def logprob(self, params: Params, prompts: Array, responses: Array) -> Array:
        """Return the log-probability of each response, its end token included."""
        return sequence_logprob(
            self.logits(params, prompts, responses), responses, self.mask(responses)
        )

    def compare(
        self, params: Params, reference: Params, prompts: Array, responses: Array
    ) -> tuple[Array, Array, Array]:
        """Return log-probabilities under both, and the divergence along each response."""
        own, other = (self.logits(p, prompts, responses) for p in (params, reference))
        mask = self.mask(responses)
        logp, ref = (sequence_logprob(x, responses, mask) for x in (own, other))
        return logp, ref, kl_exact(own, other, mask)

    def logits(self, params: Params, prompts: Array, responses: Array) -> Array:
        """Return logits (B, max_tokens, vocabulary) that predict each token of the responses."""
        xp = backend_of(params["output"]).namespace
        state = self._read(params, prompts)

        def step(state: Array, token: Array) -> Any:
            return self._cell(params, state, token), state

        states = scan(step, state, xp.permute_dims(responses, (1, 0)))[1]
        return xp.permute_dims(self._project(params, states), (1, 0, 2))

    def mask(self, responses: Array) -> Array:
        """Return which tokens count: all up to the first end token, and that one."""
        xp = backend_of(responses).namespace
        ends = xp.astype(responses == self.end_token, responses.dtype)
        return xp.cumulative_sum(ends, axis=-1) - ends == 0

    def lengths(self, responses: Array) -> Array:
        """Return the number of tokens that count."""
        xp = backend_of(responses).namespace
        return xp.sum(xp.astype(self.mask(responses), responses.dtype), axis=-1)

    def decode(self, prompts: Array, responses: Array) -> tuple[list[Any], list[Any]]:
        """Return NumPy rows of tokens: prompts without padding, responses up to the end token."""
        shown = [row[row >= 0] for row in items_of(prompts)]
        ends = [row == self.end_token for row in items_of(responses)]
        rows = items_of(responses)
        return shown, [
            row[: end.argmax()] if end.any() else row for row, end in zip(rows, ends, strict=True)
        ]

    def _read(self, params: Params, prompts: Array) -> Array:
        """State after the start token and the prompt."""
        backend = backend_of(params["output"])
        xp, device = backend.namespace, backend.device_of(params["output"])
        if prompts.ndim != 2:
            raise ValueError(f"`prompts` must have shape (B, P); got {tuple(prompts.shape)}")
        batch, dtype = prompts.shape[0], params["output"].dtype
        state = xp.zeros((batch, self.units), dtype=dtype, device=device)
        whole = index_dtype(backend, params["output"])
        start = xp.full((batch,), self.start_token, dtype=whole, device=device)
        state = self._cell(params, state, start)
        if prompts.shape[1] == 0:
            return state

        def step(state: Array, token: Array) -> Any:
            after = self._cell(params, state, xp.where(token < 0, self.start_token, token))
            return xp.where(token[:, None] < 0, state, after), ()

        tokens = xp.astype(xp.permute_dims(prompts, (1, 0)), whole)
        return scan(step, state, tokens)[0]

    def _cell(self, params: Params, state: Array, token: Array) -> Array:
        """Next state (B, d) after a token (B,)."""
        xp, d = backend_of(params["output"]).namespace, self.units
        x = xp.take(params["input"], token, axis=0) + params["bias"]
        h = xp.matmul(state, params["recurrent"])
        # The logistic function by tanh: on NumPy it is the larger part of a cell otherwise.
        gates = 0.5 + 0.5 * xp.tanh(0.5 * (x[:, : 2 * d] + h[:, : 2 * d]))
        reset, keep = gates[:, :d], gates[:, d:]
        fresh = xp.tanh(x[:, 2 * d :] + reset * h[:, 2 * d :])
        return fresh + keep * (state - fresh)

    def _project(self, params: Params, state: Array) -> Array:
        xp = backend_of(params["output"]).namespace
        return xp.matmul(state, params["output"]) + params["offset"]
