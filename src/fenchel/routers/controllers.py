"""Controllers that steer a router from step to step, as pure transitions of their state."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

from ..arrays import check_number, sign
from ..backend import Array, backend_of
from ..parameters import known_to

__all__ = ["BiasBalance", "SparsityControl"]


@dataclass(frozen=True)
class BiasBalance:
    r"""Balance without a loss: the bias of an overloaded expert sinks, that of an idle one rises.

    :math:`b_e \leftarrow b_e + u \, \mathrm{sign}(\bar c - c_e)` with the counts c of a step and
    their mean. The state is the bias, an array (m,) that starts at 0; it takes part in the choice
    of experts alone, ``route(..., method="bias_balanced", bias=bias)``.

    Parameters
    ----------
    rate : float
        Size u of a step, at least 0.
    center : bool
        Whether the mean of the update is subtracted, so that the mean of the bias stays.

    Raises
    ------
    ValueError
        If `rate` is negative.

    References
    ----------
    L. Wang et al., "Auxiliary-loss-free load balancing strategy for mixture-of-experts", 2024,
    arXiv 2408.15664; DeepSeek-AI, "DeepSeek-V3 technical report", 2024, arXiv 2412.19437.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.routers import BiasBalance
    >>> BiasBalance(rate=0.5).step(np.zeros(3), np.asarray([4, 1, 1]))
    array([-0.5,  0.5,  0.5])
    """

    rate: float = 1e-3
    center: bool = False

    def __post_init__(self) -> None:
        """Check the rate."""
        check_number("rate", self.rate, minimum=0.0)

    def step(self, bias: Array, counts: Array) -> Array:
        """Return the bias after a step with these counts.

        Parameters
        ----------
        bias : array (..., m)
            Bias of each expert; keep it in float32 where the model is in a half type.
        counts : array (..., m)
            Assignments that each expert was asked for, ``routing.stats().demand`` summed over the
            groups of a step; integer or floating.

        Returns
        -------
        array (..., m)
            Like `bias`, a constant for derivatives. Experts that get exactly the mean stay.
        """
        backend = backend_of(bias, counts)
        xp = backend.namespace
        bias, counts = known_to(backend, bias), known_to(backend, counts)
        bias = backend.stop_gradient(bias)
        # Differences of counts first: they are exact where sums of large counts would round.
        beyond = xp.subtract(counts, counts[..., :1])
        beyond = xp.astype(beyond, bias.dtype)
        excess = beyond.shape[-1] * beyond - xp.sum(beyond, axis=-1, keepdims=True)
        update = -self.rate * sign(xp, backend.stop_gradient(excess))
        if self.center:
            update = update - xp.mean(update, axis=-1, keepdims=True)
        return xp.add(bias, update)


@dataclass(frozen=True)
class SparsityControl:
    r"""Steer the share of inactive weights to a target by the coefficient of a penalty.

    :math:`\lambda \leftarrow \lambda \, a^{\mathrm{sign}(s^* - s)}` for a measured sparsity s and
    its target. The state is the coefficient of `sparsity_loss`, which starts small (1e-8).

    Parameters
    ----------
    target : float
        Wanted share of zeros in [0, 1]: 1 - k / m for k experts a token.
    factor : float
        What the coefficient is multiplied or divided by, at least 1.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Z. Wang et al., "ReMoE: fully differentiable mixture-of-experts with ReLU routing", 2024,
    arXiv 2412.14711. (Its code divides where the sparsity is at the target; here it stays.)

    Examples
    --------
    >>> from fenchel.routers import SparsityControl
    >>> SparsityControl(0.75, factor=2.0).step(1.0, 0.5)
    2.0
    """

    target: float
    factor: float = 1.2

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_number("target", self.target, minimum=0.0, maximum=1.0)
        check_number("factor", self.factor, minimum=1.0)

    def step(self, coefficient: Any, sparsity: Any) -> Any:
        """Return the coefficient after a step of this sparsity.

        Parameters
        ----------
        coefficient : float or array
            Coefficient of the penalty.
        sparsity : float or array
            Share of the weights of the step that are zero.

        Returns
        -------
        float or array
            Like `coefficient`, a constant for derivatives.
        """
        if isinstance(coefficient, Real) and isinstance(sparsity, Real):
            missing = self.target - float(sparsity)
            return float(coefficient) * self.factor ** ((missing > 0) - (missing < 0))
        backend = backend_of(coefficient, sparsity)
        xp = backend.namespace
        arrays = [
            v if isinstance(v, Real) else known_to(backend, v) for v in (coefficient, sparsity)
        ]
        like = next(v for v in arrays if not isinstance(v, Real))
        coefficient, sparsity = (
            xp.full_like(like, v) if isinstance(v, Real) else backend.stop_gradient(v)
            for v in arrays
        )
        missing = xp.astype(self.target - sparsity, coefficient.dtype)
        up, down = coefficient * self.factor, coefficient / self.factor
        return xp.where(missing > 0, up, xp.where(missing < 0, down, coefficient))
