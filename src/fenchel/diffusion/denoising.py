"""Denoising diffusion: the reverse of an Ornstein-Uhlenbeck process, by a score with parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from math import sqrt
from typing import Any

from ..arrays import check_choice, check_dtype, check_integer, check_number
from ..backend import Backend, backend_of
from ..parameters import known_to
from ..trees import backend_of_tree, is_array
from ._adjoint_path import Path, along, conclude, start
from ._checks import check_function, check_noise, check_particles
from ._runs import Steps, first_like
from .objectives import Objective, Reward
from .path_kl import PathKL
from .state import SamplerState, flat, folded, slots_of

__all__ = ["DenoisingSampler"]

Array = Any
Tree = Any
Score = Callable[[Array, Array, Tree], Array]


@dataclass(frozen=True)
class DenoisingSampler(Steps):
    """Particles that go from noise to samples, along a score.

    Forwards in time ``dX = -X dt + sqrt(2) dB``; backwards, with h = horizon / n_steps and the time
    left ``t = horizon - k h`` at step k,

        ``"sde"``: Y <- Y + h (Y + 2 score(Y, t, params)) + sqrt(2 h) noise,
        ``"ode"``: Y <- Y + h (Y + score(Y, t, params)).

    Parameters
    ----------
    score
        Function of particles (n, *event), the time of each, of shape (n,), and parameters, to an
        array like the particles.
    horizon
        Time T > 0 at which the forward process is taken for noise.
    n_steps
        Number of steps N, at least 1.
    t_min
        The score is asked for no time below: there it grows like 1 / sqrt(t).
    kind
        "sde", or "ode" for the flow with the same marginal laws.
    shape
        Shape (n, *event) of a batch.
    start
        First particles of every batch, of shape `shape`, or a function that makes them from
        standard normal numbers of that shape; None for these numbers.

    Raises
    ------
    TypeError
        If `score` is no function, `start` neither an array nor a function, or a number none.
    ValueError
        If an argument is out of range.

    Notes
    -----
    *Derivatives*: `step` and `run` are differentiable, as an unrolled loop. `gradient` is the exact
    discrete adjoint along states that were kept.

    References
    ----------
    P. Marion et al., "Implicit diffusion: efficient optimization through stochastic sampling",
    arXiv 2402.05468; Y. Song et al., "Score-based generative modeling through stochastic
    differential equations", arXiv 2011.13456.

    Examples
    --------
    >>> import numpy as np
    >>> score = lambda y, t, center: -(y - np.exp(-t)[:, None] * center)
    >>> walk = DenoisingSampler(score, 4.0, 64, shape=(4000, 1))
    >>> state = walk.run(walk.init(0, np.asarray(2.0)), np.asarray(2.0), 64)
    >>> round(float(np.mean(state.x)), 1)
    2.0
    """

    score: Score
    horizon: float
    n_steps: int
    _: KW_ONLY
    t_min: float = 0.02
    kind: str = "sde"
    shape: tuple[int, ...]
    start: Any = None

    energy = None
    temperature = 1.0

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_function("score", self.score)
        check_number("horizon", self.horizon, above=0.0, maximum=1e300)
        check_number("t_min", self.t_min, minimum=0.0)
        if not self.t_min < self.horizon:
            raise ValueError(
                f"`t_min` must be below `horizon`; got t_min={self.t_min:g} with "
                f"horizon={self.horizon:g}"
            )
        check_choice("kind", self.kind, ("sde", "ode"))
        check_integer("n_steps", self.n_steps, minimum=1)
        if not (self.start is None or is_array(self.start) or callable(self.start)):
            kind = type(self.start).__qualname__
            raise TypeError(f"`start` must be an array, a function or None; got {kind}")
        self.check_sizes()

    @property
    def step_size(self) -> float:
        """Length h of a step."""
        return self.horizon / self.n_steps

    def init(self, rng: Any, params: Tree, *, start: Array | None = None) -> SamplerState:
        """Return particles at time 0; see the class for what they are without `start`."""
        if start is None and is_array(self.start):
            start = self.start
        state = super().init(rng, params, start=start)
        if start is None and self.start is not None:
            x = self.start(state.x)
            check_particles("start(noise)", x, backend_of(state.x), self.shape)
            return SamplerState(x, state.t, state.stream)
        return state

    def transition(self, x: Array, t: Array, params: Tree) -> tuple[Array, float]:
        """Return the mean of the next particles, and the standard deviation around it.

        `t` is the number of steps made, of shape () or (n,).
        """
        xp = backend_of(x).namespace
        h = self.step_size
        elapsed = xp.astype(t, x.dtype) * h
        mean = x + self.drift(x, elapsed, params) * h
        return mean, sqrt(2.0 * h) if self.kind == "sde" else 0.0

    def drift(self, y: Array, elapsed: Array, params: Tree) -> Array:
        """Return the drift of the reverse process; `elapsed` has shape () or (n,)."""
        return self._drift(y, self.score(y, self.times(y, elapsed), params))

    def _drift(self, y: Array, score: Array) -> Array:
        if tuple(score.shape) != tuple(y.shape):
            raise ValueError(
                f"`score` must return an array of shape {tuple(y.shape)}; got {tuple(score.shape)}"
            )
        return y + (2.0 if self.kind == "sde" else 1.0) * score

    def times(self, y: Array, elapsed: Array) -> Array:
        """Return the time left of each particle, of shape (n,)."""
        backend = backend_of(y, elapsed)
        xp = backend.namespace
        left = self.horizon - known_to(backend, elapsed)
        left = xp.where(left > self.t_min, left, xp.full_like(left, self.t_min))
        return left if left.ndim else xp.broadcast_to(left, (y.shape[0],))

    def advance(
        self, backend: Backend, state: SamplerState, params: Tree, noise: Any
    ) -> tuple[Array, Any]:
        """Return the next particles, and the stream after the draws."""
        slots = slots_of(state)
        x = flat(backend, state.x, slots)
        t = first_like(backend, state.t, x) if slots else state.t
        mean, scale = self.transition(x, t, params)
        if scale > 0:
            if noise is None:
                like = backend_of(x).stop_gradient(x)
                noise = state.stream.normal(tuple(state.x.shape), like=like)
            else:
                check_noise(noise, backend, tuple(state.x.shape), pair=False)
            mean = mean + scale * flat(backend, noise, slots)
        elif noise is not None:
            raise ValueError("`noise` must be None for kind='ode'; got an array")
        return folded(backend, mean, slots), state.stream.next()

    def gradient(self, objective: Objective, params: Tree, states: Array) -> tuple[Array, Tree]:
        """Return an objective of the last particles and of the path, and its gradient.

        Parameters
        ----------
        objective
            Sum of `Reward`, whose function must be differentiable, and `PathKL`.
        params
            Container of floating arrays.
        states
            All states of a batch, of shape (n_steps + 1, n, *event), the start first.

        Returns
        -------
        tuple
            Value of shape (), and the exact derivative of the discrete path, by its adjoint: a
            container like `params`.

        Raises
        ------
        TypeError
            If the objective has a term that has no meaning for a path, or states or parameters are
            not floating.
        ValueError
            If there are not n_steps + 1 states, or a `PathKL` meets an ODE.
        """
        asked: object = objective
        if not isinstance(asked, Objective):
            kind = type(asked).__qualname__
            raise TypeError(f"`objective` must be an Objective; got {kind}")
        if not is_array(states):
            raise TypeError(f"`states` must be an array; got {type(states).__qualname__}")
        check_dtype("states", states)
        if states.ndim < 2 or states.shape[0] != self.n_steps + 1 or 0 in tuple(states.shape):
            raise ValueError(
                f"`states` must have shape ({self.n_steps + 1}, n, *event), one of each step and "
                f"the start, not empty; got {tuple(states.shape)}"
            )
        backend = backend_of_tree((states, params))
        leaves, structure = backend.tree_flatten(params)
        rewards, costs = self._terms(objective)
        path = Path(
            backend=backend,
            drift=self.drift,
            running=None,
            terminal=lambda y: _terminal(rewards, y),
            leaves=leaves,
            structure=structure,
            step_size=self.step_size,
            both=self._drift_and_cost(costs) if costs else None,
        )
        sweep = along(path, states, start(path, states[-1, ...]), 0, self.n_steps)
        value, gradient, _ = conclude(path, sweep, states)
        return value, backend.tree_unflatten(structure, gradient)

    def _terms(
        self, objective: Objective
    ) -> tuple[list[tuple[Any, Reward]], list[tuple[Any, PathKL]]]:
        rewards, costs = [], []
        for factor, term in objective.terms:
            if isinstance(term, Reward):
                rewards.append((factor, term))
            elif isinstance(term, PathKL):
                costs.append((factor, term))
            else:
                raise TypeError(
                    "`objective` must be made of Reward and PathKL for a DenoisingSampler, which "
                    f"has no energy; got {type(term).__qualname__}"
                )
        if costs and self.kind == "ode":
            raise ValueError("`objective` must have no PathKL for kind='ode': without noise two "
                             "paths are equal or infinitely far apart")  # fmt: skip
        return rewards, costs

    def _drift_and_cost(self, costs: list[tuple[Any, PathKL]]) -> Callable[..., Any]:
        def both(y: Array, elapsed: Array, params: Tree) -> tuple[Array, Array]:
            t = self.times(y, elapsed)
            score = self.score(y, t, params)
            total = sum(factor * term.rate(score, y, t) for factor, term in costs)
            return self._drift(y, score), total * self.step_size

        return both


def _terminal(rewards: list[tuple[Any, Reward]], y: Array) -> Array:
    """Return the weighted mean rewards of particles; 0 where there is none."""
    xp = backend_of(y).namespace
    total = xp.sum(y * 0.0)
    for factor, reward in rewards:
        values = reward.fn(y)
        if tuple(values.shape) != tuple(y.shape[:1]):
            raise ValueError(
                f"`fn` of a Reward must return one number a particle, of shape {(y.shape[0],)}; "
                f"got {tuple(values.shape)}"
            )
        total = total + factor * xp.mean(values)
    return total
