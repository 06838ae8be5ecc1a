"""CDAT: the learning rate that the curvature along the direction allows, at the edge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from math import inf
from typing import Any, NamedTuple

from ..arrays import check_choice, check_integer
from ..autodiff import value_and_grad
from ..backend import backend_of
from ..trees import is_array, leaves, zeros_like
from ._curvature import CURVATURES, check_parts, curvature_along, wants_pullback
from ._directions import check_base, start
from ._scalars import Holder
from ._stage import Stage, chosen_tree, finish, no_flags, stage_at
from .bases import GradientDescent
from .guard import NonMonotone, Trial
from .info import Flags, Info
from .rule import Averages, Rule

__all__ = ["CDAT", "CDATState"]

Tree = Any
Scalar = Any


class CDATState(NamedTuple):
    """State of `CDAT`; a container of arrays, which resumes bit for bit.

    Parameters
    ----------
    base
        State of the base.
    averages
        State of `cdat_rule`.
    count
        Number of steps.
    history
        Last values of the objective, for the guard.
    differenced
        Whether the exact curvature was not to be had, so that gradients are differenced.
    known
        Value and gradient at the parameters where `store_grad` is on, and whether they are there.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.tuners import CDAT
    >>> CDAT(guard=None).init(np.asarray([1.0])).count
    array(0, dtype=int32)
    """

    base: Any
    averages: Averages
    count: Scalar
    history: Any
    differenced: Scalar
    known: Any


@dataclass(frozen=True)
class CDAT:
    """Curvature-dynamics-aware tuner: learning rate `scaling` N / D at every step.

    n = max(-<g, u>, 0) and d = |<u, H u>| for the direction u of the base, the gradient g and the
    Hessian H of the objective on the data of the step; N and D are averages of n and d.

    Parameters
    ----------
    scaling
        2 is at the edge, where the quadratic model predicts no change; 1 is the greedy choice.
    base
        Where the directions come from: `GradientDescent()`, `Momentum()`, `Adam()`, `RMSProp()`, a
        function of the gradient, or an object with ``direction(params, *data)``.
    ema
        Weight of the past in the averages of n and d, in [0, 1): 0 for full batches, about 0.9 for
        small ones.
    curvature
        "hessian": exact; "ggn": of the Gauss-Newton matrix, for an objective with `loss` and
        `predict`; "grad_difference": one more gradient; "value_difference": two more values.
    guard
        `NonMonotone` or None. Without a guard the rule is not safe: at scaling 2 it overflows even
        on convex problems.
    every
        The learning rate is found anew every so many steps, and held in between.
    max_learning_rate, min_learning_rate, max_growth, eps, ema_init
        As for `cdat_rule`.
    store_grad
        Whether accepted trials of the guard are evaluated with their gradient, which serves the
        next step. Right only where every step has the same objective and data; the guard then
        costs nothing unless it refuses. Without effect where the exact curvature needs the gradient
        to be taken anew: on all libraries but JAX.

    Raises
    ------
    TypeError
        By `step`, if `curvature` is "ggn" and the objective lacks `loss` or `predict`.
    ValueError
        If an option lies outside its range.

    Notes
    -----
    The decay of the weights of `Adam` is left out of n, d and the trials of the guard, and takes
    part in the step; learning rates at which it would turn the weights around are refused. Leaves
    with direction 0 are frozen. Where an operation has no second derivative (fused attention, on
    PyTorch), "hessian" falls back to "grad_difference", noted in `state.differenced`.

    If the gradient or the direction is not finite the step is skipped and the base keeps its
    state. If only the curvature is not, half the last learning rate is used.

    *Derivatives*: a step is a constant of differentiation.

    References
    ----------
    V. Roulet et al., "Stepping on the Edge: Curvature Aware Learning Rate Tuners", NeurIPS 2024,
    arXiv 2407.06183.

    Examples
    --------
    >>> import numpy as np
    >>> def objective(w):
    ...     return np.sum(np.asarray([1.0, 10.0]) * w**2) / 2
    >>> tuner, w = CDAT(1.8), np.asarray([1.0, 1.0])
    >>> state = tuner.init(w)
    >>> for _ in range(40):
    ...     w, state, info = tuner.step(objective, w, state)
    >>> bool(info.value < 1e-6), round(float(info.learning_rate), 2)
    (True, 0.18)
    """

    scaling: float = 2.0
    _: KW_ONLY
    base: Any = field(default_factory=GradientDescent)
    ema: float = 0.0
    curvature: str = "hessian"
    guard: NonMonotone | None = field(default_factory=NonMonotone)
    every: int = 1
    max_learning_rate: float = inf
    min_learning_rate: float = 0.0
    max_growth: float = inf
    eps: float = 0.0
    ema_init: str = "zero"
    store_grad: bool = False

    def __post_init__(self) -> None:
        self._rule().check()
        check_base(self.base)
        check_choice("curvature", self.curvature, CURVATURES)
        check_integer("every", self.every, minimum=1)
        if not (self.guard is None or isinstance(self.guard, NonMonotone)):
            raise TypeError(
                f"`guard` must be NonMonotone or None; got {type(self.guard).__qualname__}"
            )

    def _rule(self) -> Rule:
        return Rule._make(getattr(self, name) for name in Rule._fields)

    def init(self, params: Tree) -> CDATState:
        """Return the state before the first step."""
        holder = Holder.like(params)
        (zero,) = holder.counts(0)
        known: Any = ()
        if self.store_grad:
            known = (*holder.numbers(0.0), zeros_like(params), *holder.truths(False))
        return CDATState(
            start(self.base, params),
            Averages._make((*holder.numbers(0.0, 0.0, 0.0, 0.0), zero)),
            zero,
            () if self.guard is None else self.guard.init(holder),
            holder.truths(False)[0],
            known,
        )

    def step(
        self, objective: Callable[..., Any], params: Tree, state: CDATState, *data: Any
    ) -> tuple[Tree, CDATState, Info]:
        """Take one step.

        Parameters
        ----------
        objective
            Function of the parameters and the data to an array of shape ().
        params
            Container of floating arrays.
        state
            What `init` or the last step returned.
        *data
            What `objective` takes beside the parameters.

        Returns
        -------
        tuple
            New parameters, new state, and `Info`.

        Raises
        ------
        TypeError
            If a leaf is not floating, the objective returns no floating scalar, or `curvature` is
            "ggn" and the objective lacks `loss` or `predict`.
        """
        check_parts(objective, self.curvature, data)
        refresh = self._refreshes(state.count)
        stage = stage_at(
            self.base,
            objective,
            params,
            state.base,
            data,
            state.count,
            pullback=refresh is True and wants_pullback(self.curvature, params),
            known=state.known if self._stores(params) else None,
        )
        curvature, differenced = self._curvature(objective, data, stage, state, refresh)
        chosen = self._chosen(stage, curvature, state.averages, refresh)
        history, trial = self._search(stage, chosen.learning_rate, state)
        denominator = chosen.curvature * stage.unit.scale * stage.unit.scale + self.eps
        flags = chosen.flags._replace(backtracks=trial.refused)
        rate = trial.learning_rate
        new, base, info = finish(stage, rate, trial.accepted, denominator, flags)
        last = _last_rate(stage, trial, chosen, state.averages)
        (count,) = stage.point.holder.counts(state.count + 1)
        (differenced,) = stage.point.holder.truths(differenced)
        averages = _held(stage, chosen.averages, last)
        known = self._known(stage, trial)
        return new, CDATState(base, averages, count, history, differenced, known), info

    def _refreshes(self, count: Scalar) -> Any:
        """Whether the learning rate is found anew at this step: a boolean where that is known."""
        if self.every == 1:
            return True
        known = not (is_array(count) and backend_of(count).is_traced(count))
        return int(count) % self.every == 0 if known else count % self.every == 0

    def _curvature(
        self, objective: Any, data: tuple[Any, ...], stage: Stage, state: CDATState, refresh: Any
    ) -> tuple[Scalar, Scalar]:
        """Return the magnitude of the curvature along the unit, and whether it was differenced."""
        ops = stage.ops
        known = not ops.traced and bool(state.differenced)

        def measured() -> tuple[Scalar, Scalar]:
            found, differenced = curvature_along(
                self.curvature, objective, data, stage.point, stage.unit, known
            )
            return ops.absolute(found), ops.truth(differenced)

        def absent() -> tuple[Scalar, Scalar]:
            return ops.number(0.0), ops.truth(state.differenced)

        if isinstance(refresh, bool):
            return measured() if refresh else absent()
        chosen: tuple[Scalar, Scalar] = ops.choose(refresh, measured, absent)
        return chosen

    def _chosen(self, stage: Stage, curvature: Scalar, averages: Averages, refresh: Any) -> _Chosen:
        """Return the learning rate of the rule at a step that refreshes, else the last one."""
        ops, unit = stage.ops, stage.unit
        averages = Averages._make((*map(ops.number, averages[:4]), _whole(ops, averages.count)))
        held = _Chosen(
            averages.learning_rate,
            averages.denominator * (averages.scale / unit.scale) * (averages.scale / unit.scale),
            averages,
            no_flags(ops),
        )
        if refresh is False:
            return held
        # A value that is not finite makes the slope and the curvature suspect, finite or not.
        slope = ops.where(ops.is_finite(stage.point.value), stage.slope, float("nan"))
        rate, new, flags = self._rule().apply(ops, slope, curvature, averages, unit.scale)
        found = _Chosen(rate, curvature, new, flags)
        if refresh is True:
            return found
        either = [
            [ops.where(refresh, a, b) for a, b in zip(one, other, strict=True)]
            for one, other in (
                (found[:2], held[:2]),
                (found.averages, held.averages),
                (found.flags, held.flags),
            )
        ]
        rate, curvature = either[0]
        return _Chosen(rate, curvature, Averages(*either[1]), Flags(*either[2]))

    def _stores(self, params: Tree) -> bool:
        """Whether a stored gradient spares work: not where its pullback is wanted as well."""
        return (
            self.store_grad and bool(leaves(params)) and not wants_pullback(self.curvature, params)
        )

    def _search(self, stage: Stage, rate: Scalar, state: CDATState) -> tuple[Any, Trial]:
        """Return the remembered values, and the learning rate that the guard accepts."""
        ops = stage.ops
        if self.guard is None:
            value, accepted = stage.point.value, ops.truth(True)
            return state.history, Trial(rate, value, (), ops.counted(False), accepted)
        history = self.guard.remember(ops, state.history, stage.point.value)
        bound = self.guard.bound(ops, history)

        longest = stage.longest_decay()

        def trial(rate: Scalar) -> tuple[Scalar, Any]:
            value, gradient = stage.value_at(rate), ()
            if longest is not None:
                value = ops.where(rate <= longest, value, inf)
            return value, gradient

        def trial_with_gradient(rate: Scalar) -> tuple[Scalar, Any]:
            value, gradient = value_and_grad(stage.point.f)(stage.at(rate))
            return ops.number(value), gradient

        if self._stores(stage.point.params) and longest is None:
            trial = trial_with_gradient
        return history, self.guard.search(ops, bound, rate, trial, stage.healthy)

    def _known(self, stage: Stage, trial: Trial) -> Any:
        """Return value and gradient at the new parameters, where they are stored."""
        if not self.store_grad:
            return ()
        ops, point = stage.ops, stage.point
        if stage.course.decay is not None or self.guard is None:
            return (
                *point.holder.numbers(point.value),
                point.gradient,
                *point.holder.truths(ops.truth(False)),
            )
        (value,) = point.holder.numbers(ops.where(trial.accepted, trial.value, point.value))
        gradient = chosen_tree(ops, trial.accepted, trial.found, point.gradient)
        return value, gradient, *point.holder.truths(stage.healthy & ops.is_finite(point.value))


class _Chosen(NamedTuple):
    """What the rule says: before the guard has its say."""

    learning_rate: Scalar
    curvature: Scalar
    averages: Averages
    flags: Flags


def _whole(ops: Any, count: Scalar) -> Scalar:
    return count if ops.traced else int(count)


def _last_rate(stage: Stage, trial: Trial, chosen: _Chosen, before: Averages) -> Scalar:
    """Return the learning rate that the next step starts from.

    It is the one that was accepted, if it moved anything. A skipped step leaves it as it was,
    except that numbers that were not finite have halved it.
    """
    ops, rate = stage.ops, trial.learning_rate
    taken = trial.accepted & stage.healthy
    kept = ops.where(
        chosen.flags.non_finite, chosen.averages.learning_rate, ops.number(before.learning_rate)
    )
    return ops.where(
        taken & (rate > 0), rate, ops.where(taken, chosen.averages.learning_rate, kept)
    )


def _held(stage: Stage, averages: Averages, last: Scalar) -> Averages:
    """Return the averages as they are held in a state."""
    holder = stage.point.holder
    return Averages._make((*holder.numbers(*averages[:3], last), *holder.counts(averages.count)))
