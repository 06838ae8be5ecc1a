"""Langevin dynamics: unadjusted, and with the correction of Metropolis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from math import sqrt
from typing import Any

from ..arrays import check_dtype, check_number
from ..backend import Backend, backend_of
from ..random import RandomStream, sampler
from ._checks import check_noise
from ._draws import seeded
from ._runs import Steps, first_like
from .state import SamplerState, flat, folded, slots_of

__all__ = ["LangevinSampler", "langevin_step"]

Array = Any
Tree = Any
StepSize = float | Callable[[Array], Any]

MAX_STEP = 1e300  # what is finite, its square root times noise too


def langevin_step(
    energy: Any,
    x: Array,
    params: Tree,
    step_size: Any,
    *,
    rng: Any = None,
    noise: Any = None,
    temperature: float = 1.0,
    adjust: bool = False,
) -> Array:
    """Move particles by one step of Langevin dynamics.

    x - step_size grad_x V(x, params) + sqrt(2 step_size temperature) noise.

    Parameters
    ----------
    energy
        An `Energy`.
    x
        Particles, floating, of shape (n, *event); independent problems may lead.
    params
        Parameters of the energy.
    step_size
        Number above 0; for particles with times of their own, an array that broadcasts to `x`.
    rng
        Seed, `RandomStream`, or generator or key of the library.
    noise
        Standard normal numbers like `x`, in place of `rng`; with `adjust` a pair of them and of
        uniform numbers, one a particle.
    temperature
        Of the law exp(-V / temperature), at least 0.
    adjust
        Whether a particle stays where the ratio of Metropolis and Hastings refuses the step (MALA):
        the stationary law is then exact for every step size.

    Returns
    -------
    array
        Particles, like `x`.

    Raises
    ------
    ValueError
        If a number is out of range, not exactly one of `rng` and `noise` is given, or the noise
        has another shape.
    TypeError
        If particles or noise are no floating arrays of one library, or `rng` is not understood.

    Notes
    -----
    *Derivatives*: of every order in particles, parameters and noise; with `adjust` those of the
    branch taken.

    References
    ----------
    G. Roberts, R. Tweedie, "Exponential convergence of Langevin distributions and their discrete
    approximations", Bernoulli 1996.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.diffusion import Energy
    >>> energy = Energy(lambda x, center: np.sum((x - center) ** 2, axis=-1) / 2)
    >>> x = np.zeros((2, 1))
    >>> langevin_step(energy, x, np.ones(1), 0.5, noise=np.asarray([[0.0], [2.0]])).tolist()
    [[0.5], [2.5]]
    """
    check_number("temperature", temperature, above=0.0 if adjust else None, minimum=0.0)
    if (rng is None) == (noise is None):
        given = "neither" if rng is None else "both"
        raise ValueError(f"exactly one of `rng` and `noise` must be given; got {given}")
    check_dtype("x", backend_of(x).stop_gradient(x))
    if not hasattr(step_size, "dtype"):
        step_size = check_number("step_size", step_size, above=0.0, maximum=MAX_STEP)
    if noise is None:
        rng = seeded(rng)
        if not adjust and isinstance(rng, RandomStream):
            moved = _at_once(energy, x, params, step_size, temperature, rng)
            if moved is not None:
                return moved
        draw = sampler(rng, x)
        noise = draw.normal(tuple(x.shape))
        if adjust:
            lead = tuple(energy(backend_of(x).stop_gradient(x), params).shape)
            noise = noise, draw.uniform(lead)
    check_noise(noise, backend_of(x), tuple(x.shape), pair=adjust)
    if adjust:
        normal, uniform = noise
        return _adjusted(energy, x, params, step_size, normal, uniform, temperature)
    moved = _at_once(energy, x, params, step_size, temperature, noise)
    if moved is not None:
        return moved
    mean, scale = _transition(energy, x, params, step_size, temperature)
    return mean + scale * noise


def _at_once(
    energy: Any, x: Array, params: Tree, step_size: Any, temperature: float, noise: Any
) -> Array | None:
    """Return the particles after a step where one kernel makes it: plain values, eagerly."""
    step = getattr(energy, "step_at_once", None)
    if step is None or not isinstance(step_size, float):
        return None
    return step(x, params, step_size, sqrt(2.0 * step_size * temperature), noise)


def _transition(
    energy: Any, x: Array, params: Tree, step_size: Any, temperature: float
) -> tuple[Array, Any]:
    """Return the mean of the next particles, and the standard deviation."""
    if isinstance(step_size, float):
        scale: Any = sqrt(2.0 * step_size * temperature)
    else:
        scale = backend_of(step_size).namespace.sqrt(2.0 * temperature * step_size)
    return x - step_size * energy.grad_x(x, params), scale


def _adjusted(
    energy: Any,
    x: Array,
    params: Tree,
    step_size: Any,
    normal: Array,
    uniform: Array,
    temperature: float,
) -> Array:
    mean, scale = _transition(energy, x, params, step_size, temperature)
    proposed = mean + scale * normal
    before, after = energy(x, params), energy(proposed, params)
    back, _ = _transition(energy, proposed, params, step_size, temperature)
    xp = backend_of(x, proposed).namespace
    axes = tuple(range(before.ndim, x.ndim))
    # Both densities are those of a Gaussian of this scale; that of the proposal is its noise's.
    ways = ((x - back) / scale) ** 2 - normal**2
    log_ratio = (before - after) / temperature - 0.5 * xp.sum(ways, axis=axes)
    accepted = xp.log(1.0 - uniform) < log_ratio  # 1 - u is in (0, 1]; NaN refuses
    accepted = xp.reshape(accepted, (*before.shape, *(1 for _ in axes)))
    return xp.where(accepted, proposed, x)


@dataclass(frozen=True)
class LangevinSampler(Steps):
    """Particles that follow Langevin dynamics.

    Parameters
    ----------
    energy
        An `Energy`.
    step_size
        Number above 0, or a schedule: a function of the number of steps made, a floating array.
    shape
        Shape (n, *event) of the particles; independent problems may lead.
    temperature
        Of the law exp(-V / temperature), above 0.
    adjust
        Whether steps are corrected as in `langevin_step`, so that the law is exact.
    n_steps
        None: `ImplicitDiffusion` optimises the stationary law, and the particles persist. A number:
        it optimises the law after so many steps from fresh particles.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Notes
    -----
    Unadjusted, the stationary law has a bias: for V = (x - b)' A (x - b) / 2 its covariance is the
    inverse of A - step_size A^2 / 2, and it exists for step_size < 2 / max eigenvalue of A.

    *Derivatives*: `step` and `run` are differentiable, as an unrolled loop.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.diffusion import Energy
    >>> energy = Energy(lambda x, center: np.sum((x - center) ** 2, axis=-1) / 2)
    >>> walk = LangevinSampler(energy, step_size=0.1, shape=(4000, 1))
    >>> state = walk.run(walk.init(0, np.asarray([3.0])), np.asarray([3.0]), 100)
    >>> round(float(np.mean(state.x)), 1), int(state.t)
    (3.0, 100)
    """

    energy: Any
    _: KW_ONLY
    step_size: StepSize
    shape: tuple[int, ...]
    temperature: float = 1.0
    adjust: bool = False
    n_steps: int | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_number("temperature", self.temperature, above=0.0)
        for name in ("__call__", "grad_x"):
            if not hasattr(self.energy, name):
                kind = type(self.energy).__qualname__
                raise TypeError(f"`energy` must be an Energy, with `{name}`; got {kind}")
        if not callable(self.step_size):
            size = check_number("step_size", self.step_size, above=0.0, maximum=MAX_STEP)
            object.__setattr__(self, "step_size", size)
        self.check_sizes()

    def transition(self, x: Array, t: Array, params: Tree) -> tuple[Array, Any]:
        """Return the mean of the next particles, and the standard deviation around it.

        `t` has shape () or, for particles at times of their own, (n,).
        """
        return _transition(self.energy, x, params, self._size(x, t), self.temperature)

    def _size(self, x: Array, t: Array) -> Any:
        if not callable(self.step_size):
            return self.step_size
        xp = backend_of(x).namespace
        size = self.step_size(xp.astype(t, x.dtype))
        if isinstance(size, int | float):
            return check_number("step_size", size, above=0.0, maximum=MAX_STEP)
        size = xp.astype(size, x.dtype)
        return xp.reshape(size, (*size.shape, *(1 for _ in x.shape[1:]))) if size.ndim else size

    def advance(
        self, backend: Backend, state: SamplerState, params: Tree, noise: Any
    ) -> tuple[Array, RandomStream]:
        """Return the next particles, and the stream after the draws."""
        slots, stream = slots_of(state), state.stream
        if noise is not None:
            check_noise(noise, backend, tuple(state.x.shape), pair=self.adjust)
        x = flat(backend, state.x, slots)
        if not self.adjust and not callable(self.step_size):
            drawn = stream if noise is None else flat(backend, noise, slots)
            moved = _at_once(self.energy, x, params, self.step_size, self.temperature, drawn)
            if moved is not None:
                return folded(backend, moved, slots), stream.next()
        t = first_like(backend, state.t, x) if slots else state.t
        if noise is None:
            noise = self._noise(state, params, x)
        normal, uniform = noise if self.adjust else (noise, None)
        drawn = flat(backend, normal, slots)
        if self.adjust:
            size, uniform = self._size(x, t), flat(backend, uniform, slots)
            new = _adjusted(self.energy, x, params, size, drawn, uniform, self.temperature)
        else:
            mean, scale = self.transition(x, t, params)
            new = mean + scale * drawn
        return folded(backend, new, slots), stream.next()

    def _noise(self, state: SamplerState, params: Tree, x: Array) -> Any:
        """Draw for a step: normal numbers from place 0, uniform ones from place 1."""
        like = backend_of(x).stop_gradient(x)
        normal = state.stream.normal(tuple(state.x.shape), like=like)
        if not self.adjust:
            return normal
        lead = len(self.energy(like, params).shape) + len(slots_of(state))
        return normal, self.second(state.stream).uniform(tuple(state.x.shape[:lead]), like=like)
