"""The quadratically greedy tuner: to the minimum of the quadratic model along the direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, NamedTuple

from ._curvature import curvature_along, wants_pullback
from ._directions import check_base
from ._scalars import Holder
from ._stage import finish, no_flags, stage_at
from .bases import GradientDescent
from .cdat import CDAT, CDATState
from .info import Info

__all__ = ["QuadraticGreedy", "SignedState"]

Tree = Any
Scalar = Any


class SignedState(NamedTuple):
    """State of `QuadraticGreedy` with ``clip=False``.

    Examples
    --------
    >>> import numpy as np
    >>> QuadraticGreedy(clip=False).init(np.asarray([1.0])).learning_rate
    array(0.)
    """

    base: Any
    learning_rate: Scalar


@dataclass(frozen=True)
class QuadraticGreedy:
    """Learning rate -<g, u> / <u, H u>, which minimises the quadratic model along u.

    Parameters
    ----------
    base
        As for `CDAT`.
    clip
        True: as `CDAT(1.0, guard=None)`, never negative. False: the signed ratio, which steps back
        where curvature and slope disagree; for study.

    Notes
    -----
    With ``clip=False``, a ratio that is not finite gives the last learning rate, flagged.

    *Derivatives*: a step is a constant of differentiation.

    References
    ----------
    V. Roulet et al., "Stepping on the Edge: Curvature Aware Learning Rate Tuners", NeurIPS 2024,
    arXiv 2407.06183.

    Examples
    --------
    >>> import numpy as np
    >>> tuner, w = QuadraticGreedy(), np.asarray([3.0, -1.0])
    >>> tuner.step(lambda w: np.sum(w**2), w, tuner.init(w))[0]
    array([0., 0.])
    """

    _: KW_ONLY
    base: Any = field(default_factory=GradientDescent)
    clip: bool = True

    def __post_init__(self) -> None:
        check_base(self.base)

    @property
    def _clipped(self) -> CDAT:
        return CDAT(1.0, base=self.base, guard=None)

    def init(self, params: Tree) -> CDATState | SignedState:
        """Return the state before the first step."""
        if self.clip:
            return self._clipped.init(params)
        (zero,) = Holder.like(params).numbers(0.0)
        return SignedState(self._clipped.init(params).base, zero)

    def step(
        self, objective: Callable[..., Any], params: Tree, state: Any, *data: Any
    ) -> tuple[Tree, Any, Info]:
        """Take one step; as `CDAT.step`."""
        if self.clip:
            return self._clipped.step(objective, params, state, *data)
        pullback = wants_pullback("hessian", params)
        stage = stage_at(
            self.base, objective, params, state.base, data, state.learning_rate, pullback=pullback
        )
        ops, unit = stage.ops, stage.unit
        curvature, _ = curvature_along("hessian", objective, data, stage.point, unit)
        usable = curvature != 0.0
        ratio = stage.slope / ops.where(usable, curvature, 1.0) * (1.0 / unit.scale)
        finite = ops.is_finite(curvature)
        broken = ops.negation(usable & ops.is_finite(ratio))
        previous = ops.number(state.learning_rate)
        rate = ops.where(broken, previous, ratio)
        rate = ops.where(stage.slope == 0.0, 0.0, rate)
        flat = broken & finite & (stage.slope != 0.0)
        flags = no_flags(ops)._replace(flat=flat, non_finite=ops.negation(finite))
        denominator = curvature * unit.scale * unit.scale
        new, base, info = finish(stage, rate, ops.truth(True), denominator, flags)
        (last,) = stage.point.holder.numbers(rate)
        return new, SignedState(base, last), info
