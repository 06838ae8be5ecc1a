"""Language models small enough to list everything they can say: every expectation is a sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..alignment._logits import constant_like, index_dtype, log_softmax
from ..alignment.kl import kl_exact
from ..arrays import check_dtype, check_integer, check_number
from ..backend import backend_of
from ..random import gumbel, sampler
from ..special import logsumexp

__all__ = ["EnumeratedLanguage", "EnumeratedPolicy"]

Array = Any


@dataclass(frozen=True)
class EnumeratedLanguage:
    """All responses of at most `max_length` tokens, as leaves of the tree of their prefixes.

    A model of this language is a table of next-token logits (n_prefixes, n_tokens), one row a
    prefix; axes of a batch may lead. A response ends with the end token, or has `max_length` tokens
    without it, so that the probabilities of all responses sum to one.

    Parameters
    ----------
    n_tokens
        Size of the vocabulary, the end token included; at least 2.
    max_length
        Longest response, at least 1.
    end_token
        Which token ends a response; it also fills what comes after.

    Raises
    ------
    TypeError
        If a number is not an integer.
    ValueError
        If it is out of range.

    Notes
    -----
    Responses are numbered so that those that end come first, in the order of their prefixes, and
    then those of full length; the prefixes by length and then like numbers. There are
    n_prefixes + (n_tokens - 1)^max_length responses.

    Examples
    --------
    >>> import numpy as np
    >>> language = EnumeratedLanguage(n_tokens=3, max_length=2)
    >>> language.n_prefixes, language.n_responses
    (3, 7)
    >>> logits = np.zeros((language.n_prefixes, 3))
    >>> np.exp(language.log_probs(logits)).round(3)
    array([0.333, 0.111, 0.111, 0.111, 0.111, 0.111, 0.111])
    """

    n_tokens: int
    max_length: int
    end_token: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_integer("n_tokens", self.n_tokens, minimum=2)
        check_integer("max_length", self.max_length, minimum=1)
        check_integer("end_token", self.end_token, minimum=0, maximum=self.n_tokens - 1)

    @property
    def n_prefixes(self) -> int:
        """Number of prefixes that a token can follow: the empty one is number 0."""
        return sum((self.n_tokens - 1) ** t for t in range(self.max_length))

    @property
    def n_responses(self) -> int:
        """Number of responses."""
        return self.n_prefixes + int((self.n_tokens - 1) ** self.max_length)

    @cached_property
    def responses(self) -> Any:
        """All responses, NumPy integers (n_responses, max_length), filled with the end token."""
        import numpy as np

        symbols = [v for v in range(self.n_tokens) if v != self.end_token]
        rows: list[list[int]] = [[]]
        listed: list[list[int]] = []
        for _ in range(self.max_length):
            listed += rows
            rows = [[*row, v] for row in rows for v in symbols]
        fill = [self.end_token] * self.max_length
        return np.asarray([(row + fill)[: self.max_length] for row in listed + rows], dtype="int64")

    @cached_property
    def mask(self) -> Any:
        """Which places of `responses` count: up to the first end token, itself included."""
        import numpy as np

        before = np.cumsum(self.responses == self.end_token, axis=-1)
        return before - (self.responses == self.end_token) == 0

    @cached_property
    def lengths(self) -> Any:
        """Tokens of each response, the end token included."""
        return self.mask.sum(axis=-1)

    @cached_property
    def places(self) -> Any:
        """Where each token of `responses` stands in a flattened table of logits."""
        import numpy as np

        rows = np.stack(
            [self._prefix_numbers(np, self.responses[:, :t]) for t in range(self.max_length)], -1
        )
        return np.where(self.mask, rows, 0) * self.n_tokens + self.responses

    def random_logits(self, rng: Any, *, scale: float = 1.0, batch: tuple[int, ...] = ()) -> Any:
        """Return a table of normal logits, a NumPy array (*batch, n_prefixes, n_tokens)."""
        import numpy as np

        draw = np.random.default_rng(rng)
        return scale * draw.standard_normal((*batch, self.n_prefixes, self.n_tokens))

    def log_probs(self, logits: Array, /) -> Array:
        """Return the log-probability of every response.

        Parameters
        ----------
        logits
            Table (..., n_prefixes, n_tokens).

        Returns
        -------
        array (..., n_responses)
            Their logarithms; the probabilities sum to one.

        Raises
        ------
        ValueError
            If the shape is not that of a table.

        Notes
        -----
        *Derivatives*: of every order.
        """
        return self.token_sums(log_softmax(self._table(logits)))

    def token_sums(self, values: Array, /) -> Array:
        """Return for every response the sum of a table's entries along it.

        Parameters
        ----------
        values
            Table (..., n_prefixes, n_tokens) of what each token adds.

        Returns
        -------
        array (..., n_responses)
            The sums.
        """
        xp = backend_of(self._table(values)).namespace
        flat = xp.reshape(values, (*values.shape[:-2], self.n_prefixes * self.n_tokens))
        places = constant_like(values, self.places.reshape(-1))
        taken = xp.reshape(xp.take(flat, places, axis=-1), (*flat.shape[:-1], *self.mask.shape))
        counted = constant_like(values, self.mask)
        return xp.sum(xp.where(counted, taken, xp.zeros_like(taken)), axis=-1)

    def conditional(self, log_weights: Array, /) -> Array:
        """Return the model that gives every response its share of the weights.

        Parameters
        ----------
        log_weights
            Logarithms (..., n_responses), of any sum.

        Returns
        -------
        array (..., n_prefixes, n_tokens)
            Table of next-token log-probabilities, so that `log_probs` of it are the normalised
            weights; uniform at prefixes without weight.

        Raises
        ------
        ValueError
            If the last axis is not of length n_responses.
        """
        import numpy as np

        check_dtype("log_weights", log_weights)
        if log_weights.ndim == 0 or log_weights.shape[-1] != self.n_responses:
            raise ValueError(
                f"`log_weights` must have shape (..., {self.n_responses}); "
                f"got {tuple(log_weights.shape)}"
            )
        member = np.zeros((self.n_prefixes * self.n_tokens, self.n_responses), dtype=bool)
        rows = np.broadcast_to(np.arange(self.n_responses)[:, None], self.mask.shape)
        member[self.places[self.mask], rows[self.mask]] = True
        xp = backend_of(log_weights).namespace
        spread = xp.broadcast_to(
            log_weights[..., None, :], (*log_weights.shape[:-1], *member.shape)
        )
        mass = logsumexp(spread, where=constant_like(log_weights, member))
        table = xp.reshape(mass, (*mass.shape[:-1], self.n_prefixes, self.n_tokens))
        reached = xp.max(table, axis=-1, keepdims=True) > float("-inf")
        return log_softmax(xp.where(reached, table, xp.zeros_like(table)))

    def index(self, tokens: Array, /) -> Array:
        """Return the number of each response.

        Parameters
        ----------
        tokens
            Integers (..., max_length); what follows an end token does not matter.

        Returns
        -------
        array (...)
            Row of `responses`.
        """
        xp = backend_of(tokens).namespace
        if tuple(tokens.shape[-1:]) != (self.max_length,):
            raise ValueError(
                f"`tokens` must have shape (..., {self.max_length}); got {tuple(tokens.shape)}"
            )
        ends = tokens == self.end_token
        seen = xp.zeros_like(tokens[..., 0])
        number = xp.zeros_like(seen)
        for t in range(self.max_length):
            number = xp.where(
                ends[..., t] & (seen == 0), self._prefix_numbers(xp, tokens[..., :t]), number
            )
            seen = xp.where(ends[..., t], xp.ones_like(seen), seen)
        return xp.where(seen == 0, self._prefix_numbers(xp, tokens), number)

    def model(self, logits: Array, /) -> Callable[[Array], Array]:
        """Return a table as a function of tokens (B, T) that gives logits (B, n_tokens).

        Parameters
        ----------
        logits
            Table (n_prefixes, n_tokens).

        Returns
        -------
        callable
            It reads the tokens as a prefix. After an end token, and from `max_length` tokens on,
            it gives the logits of the empty prefix.
        """
        table = self._table(logits)
        xp = backend_of(table).namespace

        def next_logits(tokens: Array) -> Array:
            number = self._prefix_numbers(xp, tokens)
            out = xp.any(tokens == self.end_token, axis=-1)
            if tokens.shape[1] >= self.max_length:
                out = xp.ones_like(out)
            return xp.take(table, xp.where(out, number * 0, number), axis=0)

        return next_logits

    def _prefix_numbers(self, xp: Any, tokens: Array) -> Array:
        """Return the numbers of prefixes (..., t) without an end token."""
        base, length = self.n_tokens - 1, tokens.shape[-1]
        digits = xp.where(tokens > self.end_token, tokens - 1, tokens)
        number = xp.sum(digits, axis=-1, dtype=tokens.dtype) * 0
        for t in range(length):
            number = number * base + digits[..., t]
        return number + sum(base**t for t in range(length))

    def _table(self, logits: Array) -> Array:
        backend_of(logits)
        check_dtype("logits", logits)
        shape = tuple(logits.shape)
        if shape[-2:] != (self.n_prefixes, self.n_tokens):
            raise ValueError(
                f"`logits` must have shape (..., {self.n_prefixes}, {self.n_tokens}); got {shape}"
            )
        return logits


@dataclass(frozen=True)
class EnumeratedPolicy:
    """A tabular policy: parameters are a table of logits for each prompt.

    Parameters
    ----------
    language
        What can be said. Prompts are integers (B,), rows of the parameters
        (n_prompts, n_prefixes, n_tokens).

    Examples
    --------
    >>> import numpy as np
    >>> policy = EnumeratedPolicy(EnumeratedLanguage(n_tokens=3, max_length=2))
    >>> params, prompts = np.zeros((1, 3, 3)), np.asarray([0, 0])
    >>> said = policy.sample(params, prompts, rng=0, temperature=1.0)
    >>> np.exp(policy.logprob(params, prompts, said)).shape
    (2,)
    """

    language: EnumeratedLanguage

    def sample(self, params: Array, prompts: Array, rng: Any, temperature: float = 1.0) -> Array:
        """Draw responses (B, max_length) to prompts; at temperature 0 the likeliest tokens."""
        check_number("temperature", temperature, minimum=0.0)
        backend = backend_of(self.language._table(params))
        table = backend.stop_gradient(params)
        xp = backend_of(table).namespace
        language, draw = self.language, sampler(rng, table)
        own = xp.reshape(table / (temperature or 1.0), (-1, language.n_tokens))
        integer = index_dtype(backend_of(table), table)
        tokens = xp.zeros((prompts.shape[0], 0), dtype=integer, device=_device(table))
        ended = xp.zeros_like(prompts) > 0
        for _ in range(language.max_length):
            at = language._prefix_numbers(xp, tokens)
            at = prompts * language.n_prefixes + xp.where(ended, at * 0, at)
            scores = xp.take(own, at, axis=0)
            if temperature:
                scores = scores + gumbel(draw, tuple(scores.shape), like=table)
            token = xp.argmax(scores, axis=-1)
            token = xp.astype(token, integer)
            token = xp.where(ended, xp.full_like(token, language.end_token), token)
            ended = ended | (token == language.end_token)
            tokens = xp.concat((tokens, token[:, None]), axis=-1)
        return tokens

    def logprob(self, params: Array, prompts: Array, responses: Array) -> Array:
        """Return the log-probability (B,) of each response; differentiable in the parameters."""
        backend = backend_of(params)
        xp = backend.namespace
        every = self.language.log_probs(params)
        flat = xp.reshape(every, (-1,))
        return xp.take(flat, prompts * self.language.n_responses + self.language.index(responses))

    def compare(
        self, params: Array, reference: Array, prompts: Array, responses: Array
    ) -> tuple[Array, Array, Array]:
        """Return log-probabilities under both, and the divergence of each prompt: a whole sum."""
        xp = backend_of(params).namespace
        every = (xp.expand_dims(self.language.log_probs(p), axis=-2) for p in (params, reference))
        kl = xp.take(kl_exact(*every), prompts, axis=0)
        logp, ref = (self.logprob(p, prompts, responses) for p in (params, reference))
        return logp, ref, kl

    def lengths(self, responses: Array) -> Array:
        """Return the tokens of each response, the end token included."""
        xp = backend_of(responses).namespace
        ends = xp.astype(responses == self.language.end_token, responses.dtype)
        before = xp.cumulative_sum(ends, axis=-1) - ends
        return xp.sum(xp.astype(before == 0, responses.dtype), axis=-1)


def _device(x: Array) -> Any:
    return backend_of(x).device_of(x)
