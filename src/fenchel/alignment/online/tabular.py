"""A policy over a list of responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...arrays import check_number
from ...backend import backend_of
from ...random import gumbel
from .._logits import chosen, log_softmax
from ..kl import kl_exact
from .batches import row_count
from .policy import items_of

__all__ = ["TabularPolicy"]

Array = Any


@dataclass(frozen=True)
class TabularPolicy:
    """A softmax over a list of responses; the parameters are its logits.

    Logits of shape (n,) answer every prompt alike. Those of shape (p, n) have a row a prompt, and
    prompts are integers. Responses are integers.

    Parameters
    ----------
    responses
        What the annotator is shown for each integer; the integer itself by default.

    Notes
    -----
    *Derivatives*: of `logprob` in the logits, of every order.

    Examples
    --------
    >>> import numpy as np
    >>> policy, logits = TabularPolicy(), np.zeros(4)
    >>> responses = policy.sample(logits, np.zeros(3), 0, 1.0)
    >>> policy.logprob(logits, np.zeros(3), responses).round(4)
    array([-1.3863, -1.3863, -1.3863])
    """

    responses: Sequence[Any] | None = None

    def sample(self, params: Array, prompts: Array, rng: Any, temperature: float = 1.0) -> Array:
        """Draw a response to each prompt; the likeliest one at temperature 0."""
        check_number("temperature", temperature, minimum=0.0)
        xp, logits = backend_of(params).namespace, self._rows(params, prompts)
        if temperature == 0:
            return xp.argmax(logits, axis=-1)
        noise = gumbel(rng, tuple(logits.shape), like=logits)
        return xp.argmax(logits / temperature + noise, axis=-1)

    def logprob(self, params: Array, prompts: Array, responses: Array) -> Array:
        """Return the log-probability of each response."""
        return chosen(backend_of(params), log_softmax(self._rows(params, prompts)), responses)

    def compare(
        self, params: Array, reference: Array, prompts: Array, responses: Array
    ) -> tuple[Array, Array, Array]:
        """Return log-probabilities under both, and the divergence of each prompt."""
        logp, ref = (self.logprob(p, prompts, responses) for p in (params, reference))
        xp = backend_of(params).namespace
        rows = (xp.expand_dims(self._rows(p, prompts), axis=-2) for p in (params, reference))
        return logp, ref, kl_exact(*rows)

    def decode(self, prompts: Any, responses: Array) -> tuple[list[Any], list[Any]]:
        """Return what the annotator is shown."""
        numbers = items_of(responses)
        if self.responses is None:
            return items_of(prompts), numbers
        return items_of(prompts), [self.responses[int(number)] for number in numbers]

    def _rows(self, params: Array, prompts: Array) -> Array:
        """Logits of each prompt, (B, n)."""
        xp = backend_of(params).namespace
        if params.ndim not in (1, 2) or 0 in params.shape:
            raise ValueError(
                f"`params` must have shape (n,) or (prompts, n); got {tuple(params.shape)}"
            )
        if params.ndim == 1:
            return xp.broadcast_to(params, (row_count(prompts), params.shape[0]))
        return xp.take(params, prompts, axis=0)
