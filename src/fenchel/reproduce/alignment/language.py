"""A small language: its source, the model that is trained on it first, and the annotator's rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from fenchel.alignment import GRUPolicy, OnlineLoop, ScoreAnnotator
from fenchel.backend import Array, namespace
from fenchel.random import RandomStream
from fenchel.trees import axpy
from fenchel.tuners import Adam

from ..paper import Run

__all__ = ["Language", "count_of_fives"]

POLICY = GRUPolicy(vocabulary=10, units=32, max_tokens=12)  # start, end and eight symbols
SYMBOLS, FIVE = 8, 5
_ENDS = 0.1  # probability that the source ends after a symbol
RATE = 2e-3


def count_of_fives(prompt: Any, response: Any) -> float:
    """Return how often the symbol 5 comes: the rule of the annotator."""
    return float((response == FIVE).sum())


def source(size: int, seed: int) -> Any:
    """Draw responses of a Markov chain whose transitions are the same in every experiment."""
    import numpy as np

    transitions = np.random.default_rng(5).dirichlet(np.ones(SYMBOLS), size=SYMBOLS + 1)
    rng = np.random.default_rng(seed)
    tokens = np.full((size, POLICY.max_tokens), POLICY.end_token)
    state, going = np.zeros(size, dtype=int), np.ones(size, dtype=bool)
    for t in range(POLICY.max_tokens):
        bounds = transitions[state].cumsum(axis=1)
        drawn = (rng.random((size, 1)) > bounds[:, :-1]).sum(axis=1)
        tokens[going, t] = drawn[going] + 2
        state = drawn + 1
        going &= rng.random(size) > _ENDS
    return tokens


@dataclass(frozen=True)
class Language:
    """A policy that has learnt the source by maximum likelihood, and what is needed to align it."""

    run: Run
    params: Any

    @classmethod
    def learnt(cls, run: Run, *, seed: int = 0) -> Language:
        """Train the policy on the source: 600 steps of Adam (half of them for a quick run)."""
        library, optimizer, batch = run.library, Adam(), 64
        params = POLICY.init(seed, like=library.array([0.0]))
        prompts = _empty(run, batch)

        def loss(params: Any, tokens: Array) -> Array:
            logprob = POLICY.logprob(params, prompts, tokens)
            return -namespace(logprob).mean(logprob)

        def step(params: Any, state: Any, tokens: Array) -> Any:
            gradient = library.backend.value_and_grad(lambda p: loss(p, tokens))(params)[1]
            direction, state = optimizer.update(gradient, state, params)
            return axpy(5e-3, direction, params), state

        step, state = library.compiled(step), optimizer.init(params)
        data = source(64 * batch, seed)
        for i in run.progress(range(300 if run.quick else 600), "language"):
            rows = data[(i % 64) * batch :][:batch]
            params, state = step(params, state, library.backend.from_host(rows))
        return cls(run, params)

    @cached_property
    def _sample(self) -> Callable[..., Any]:
        return self.run.library.compiled(partial(POLICY.sample, temperature=1.0))

    @cached_property
    def _logprob(self) -> Callable[..., Any]:
        return self.run.library.compiled(POLICY.logprob)

    def loop(self, annotator: Any = None, **options: Any) -> OnlineLoop:
        """Return the online loop of the experiments, for the rule unless told otherwise."""
        rule = ScoreAnnotator(count_of_fives, temperature=0.0) if annotator is None else annotator
        return OnlineLoop(POLICY, rule, **{"optimizer": Adam(), "learning_rate": RATE, **options})

    def prompts(self, count: int = 64) -> Array:
        """Return so many empty prompts."""
        return _empty(self.run, count)

    def responses(self, params: Any, count: int = 2000, seed: int = 99) -> tuple[Any, list[Any]]:
        """Return draws at temperature 1: of the library, and as the annotator sees them."""
        prompts = self.prompts(count)
        tokens = self._sample(params, prompts, RandomStream(seed))
        return tokens, POLICY.decode(prompts, tokens)[1]

    def reward(self, params: Any, count: int = 2000) -> float:
        """Return the mean reward."""
        shown = self.responses(params, count)[1]
        return sum(count_of_fives(None, row) for row in shown) / len(shown)

    def measure(self, params: Any, count: int = 2000) -> tuple[float, float]:
        """Return the mean reward, and KL(policy, first model), from draws of the policy."""
        tokens, shown = self.responses(params, count)
        logprob, first = (
            self.run.library.numpy(self._logprob(p, self.prompts(count), tokens))
            for p in (params, self.params)
        )
        reward = sum(count_of_fives(None, row) for row in shown) / len(shown)
        return reward, float((logprob - first).mean())


def _empty(run: Run, count: int) -> Array:
    import numpy as np

    return run.library.backend.from_host(np.zeros((count, 0), dtype=np.int64))
