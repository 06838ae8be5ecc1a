"""Divergence of the path of a denoising sampler from that of a reference score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..arrays import check_dtype, widen
from ..backend import backend_of
from ..parameters import known_to
from .objectives import Objective

__all__ = ["PathKL"]

Array = Any


@dataclass(frozen=True)
class PathKL(Objective):
    """Kullback-Leibler divergence of a sampler's path from that of a reference score.

    Two reverse SDEs with noise sqrt(2) and scores s and s_0 are apart by ``E of the integral of
    |s - s_0|^2 dt`` along the first, by Girsanov's theorem. It bounds the divergence of the laws at
    the end from above, and is 0 only for equal scores. The value is that of the discrete path: the
    mean over particles of the sum over steps of ``h |s - s_0|^2``.

    Parameters
    ----------
    score_ref
        Function of particles (n, *event) and times (n,) to an array like the particles: the
        score of the model that the path should stay close to, with its own parameters.

    Raises
    ------
    TypeError
        If `score_ref` is no function; or where it is asked for the law of particles alone, without
        the path of a `DenoisingSampler`.

    Notes
    -----
    *Derivatives*: by `DenoisingSampler.gradient`.

    References
    ----------
    P. Marion et al., "Implicit diffusion: efficient optimization through stochastic sampling",
    arXiv 2402.05468.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.diffusion import DenoisingSampler
    >>> score = lambda y, t, center: -(y - np.exp(-t)[:, None] * center)
    >>> walk = DenoisingSampler(score, 4.0, 64, shape=(8, 1))
    >>> center = np.asarray(2.0)
    >>> state, states = walk.init(0, center), []
    >>> for _ in range(64):
    ...     states.append(state.x)
    ...     state = walk.step(state, center)
    >>> objective = PathKL(lambda y, t: score(y, t, 1.0))
    >>> value, gradient = walk.gradient(objective, center, np.stack([*states, state.x]))
    >>> round(float(value), 2), round(float(gradient), 2)
    (0.47, 0.94)
    """

    score_ref: Callable[[Array, Array], Array]

    def __post_init__(self) -> None:
        """Check the type."""
        given: object = self.score_ref
        if not callable(given):
            found = type(given).__qualname__
            raise TypeError(f"`score_ref` must be a function; got {found}")

    def rate(self, score: Array, y: Array, t: Array) -> Array:
        """Return the mean over particles of |s - s_0|^2, in the dtype that is computed in.

        Raises
        ------
        ValueError
            If the reference score has another shape.
        """
        reference = self.score_ref(y, t)
        if tuple(reference.shape) != tuple(score.shape):
            raise ValueError(
                f"`score_ref` must return an array of shape {tuple(score.shape)}; "
                f"got {tuple(reference.shape)}"
            )
        backend = backend_of(score, reference)
        xp = backend.namespace
        apart = known_to(backend, score) - known_to(backend, reference)
        apart = widen(xp, apart, check_dtype("score", score))
        return xp.sum(apart * apart) * (1.0 / y.shape[0])
