"""What to do with a direction: unit steps, line search, control of gamma."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..arrays import check_integer, check_number
from ..backend import backend_of
from ..eager import uncompiled
from ..trees import axpy, backend_of_tree, dot, leaves, map
from ._batch import open_batch
from ._info import OracleInfo
from ._loop import iterate
from ._rows import loss_rows

__all__ = [
    "ArmijoStep",
    "FactorState",
    "GammaSearch",
    "LevenbergMarquardt",
    "UnitStep",
    "UpdateInfo",
]

Array = Any
Tree = Any


class UpdateInfo(NamedTuple):
    """What an update says of its step.

    Attributes
    ----------
    value
        Objective on the batch, weight decay included, at the incoming parameters.
    new_value
        The objective at the outgoing ones; NaN for a unit step, which does not look.
    step_size
        Multiple of the direction that was taken; 0 if it was rejected.
    gamma
        Gamma of the direction.
    ratio
        Decrease of the objective over that of the model; NaN where it is not computed.
    accepted
        Whether the parameters have moved.
    oracle
        The report of the oracle.

    Examples
    --------
    >>> from fenchel.oracles import UpdateInfo
    >>> UpdateInfo._fields[:3]
    ('value', 'new_value', 'step_size')
    """

    value: Array
    new_value: Array
    step_size: Array
    gamma: Any
    ratio: Array
    accepted: Array
    oracle: OracleInfo


class FactorState(NamedTuple):
    """What updates that control gamma keep: its multiple of the oracle's gamma."""

    factor: Array


@dataclass(frozen=True)
class _Problem:
    """What an update looks at: an oracle at some parameters, on one batch."""

    oracle: Any
    params: Tree
    inputs: Tree
    targets: Array
    weights: Array | None

    def direction(self, oracle: Any = None) -> tuple[Tree, OracleInfo]:
        """Return direction and report, of another oracle if one is given."""
        oracle = self.oracle if oracle is None else oracle
        found: tuple[Tree, OracleInfo] = oracle.direction(
            self.params, self.inputs, self.targets, self.weights
        )
        return found

    def value(self, params: Tree) -> Array:
        """Return F(params) on the batch, weight decay included."""
        batch = open_batch(params, self.inputs, self.targets, self.weights)
        xp = batch.backend.namespace
        outputs = self.oracle.predict(batch.params, batch.inputs)
        column = outputs.ndim == 1
        z = xp.expand_dims(outputs, axis=-1) if column else outputs
        values = loss_rows(batch.backend, self.oracle.loss, batch.targets, column).values(z)
        if batch.weights is None:
            total = xp.mean(values)
        else:
            share = xp.astype(batch.weights, values.dtype)
            total = xp.sum(share * values) / xp.sum(share)
        decay = self.oracle.weight_decay
        if isinstance(decay, float) and decay == 0.0:
            return total
        return total + 0.5 * decay * dot(params, params)


class _Update:
    """What all updates have: a state, and steps on a batch."""

    def init(self, params: Tree) -> Any:
        """Return the first state: nothing, or that gamma is the oracle's."""
        return ()

    @uncompiled
    def step(
        self,
        oracle: Any,
        params: Tree,
        state: Any,
        inputs: Tree,
        targets: Array,
        weights: Array | None = None,
    ) -> tuple[Tree, Any, UpdateInfo]:
        """Return the new parameters, the new state and an `UpdateInfo`."""
        if not hasattr(oracle, "direction"):
            raise TypeError(
                f"`oracle` must be an oracle of fenchel.oracles; got {type(oracle).__qualname__}"
            )
        return self._taken(_Problem(oracle, params, inputs, targets, weights), state)

    @abstractmethod
    def _taken(self, problem: _Problem, state: Any) -> tuple[Tree, Any, UpdateInfo]:
        """Return what `step` does."""


@dataclass(frozen=True)
class UnitStep(_Update):
    """The step params + direction.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import squared
    >>> from fenchel.oracles import GaussNewton, UnitStep
    >>> oracle = GaussNewton(squared, lambda w, x: x @ w, gamma=1e6)
    >>> update, params = UnitStep(), np.zeros(2)
    >>> x, y = np.eye(2), np.asarray([1.0, 2.0])
    >>> params, state, info = update.step(oracle, params, update.init(params), x, y)
    >>> params.round(3)
    array([1., 2.])
    """

    def _taken(self, problem: _Problem, state: Any) -> tuple[Tree, Any, UpdateInfo]:
        oracle, (d, report) = problem.oracle, problem.direction()
        one = _one(report)
        value, unknown = report.value + report.model_decrease, one * float("nan")
        info = UpdateInfo(value, unknown, one, oracle.gamma, unknown, one > 0, report)
        return _moved(problem.params, one, d), state, info


@dataclass(frozen=True)
class ArmijoStep(_Update):
    """A step of the first length 1, c, c^2, ... that decreases the objective enough.

    Parameters
    ----------
    c1 : float
        The decrease must be this part of that of the tangent, in (0, 1).
    decrease_factor : float
        The factor c, in (0, 1).
    max_iter : int
        Most lengths tried; after them the parameters stay.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> from fenchel.oracles import ArmijoStep
    >>> ArmijoStep().decrease_factor
    0.5
    """

    c1: float = 1e-4
    decrease_factor: float = 0.5
    max_iter: int = 30

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("c1", "decrease_factor"):
            value = check_number(name, getattr(self, name), above=0.0)
            if value >= 1.0:
                raise ValueError(f"`{name}` must be in (0, 1); got {name}={value:g}")
        check_integer("max_iter", self.max_iter, minimum=0)

    def _taken(self, problem: _Problem, state: Any) -> tuple[Tree, Any, UpdateInfo]:
        params, (d, report) = problem.params, problem.direction()
        backend, one = backend_of(report.value), _one(report)
        xp, start = backend.namespace, report.value + report.model_decrease

        def value(length: Array) -> Array:
            return problem.value(_moved(params, length, d))

        def enough(length: Array, now: Array) -> Any:
            return now <= start + self.c1 * length * report.slope

        def going(carry: Any) -> Any:
            count, length, now = carry
            return (count < self.max_iter) & ~enough(length, now)

        def shorten(carry: Any) -> Any:
            count, length, _ = carry
            return count + 1, self.decrease_factor * length, value(self.decrease_factor * length)

        _, length, now = iterate(backend, going, shorten, (0, one, value(one)), one)
        found = enough(length, now)
        length = xp.where(found, length, 0.0 * length)
        now = xp.where(found, now, start)
        ratio, gamma = (start - now) / report.model_decrease, problem.oracle.gamma
        info = UpdateInfo(start, now, length, gamma, ratio, found, report)
        return _kept(found, _moved(params, length, d), params), state, info


@dataclass(frozen=True)
class LevenbergMarquardt(_Update):
    """Unit steps whose gamma grows where the model predicts well, and shrinks where it does not.

    With rho the decrease of the objective over that of the model: above `upper`, gamma is
    multiplied by `increase_factor`; below `lower`, or for values that are not finite, by
    `decrease_factor`; a step with rho <= 0 is rejected.

    Parameters
    ----------
    increase_factor, decrease_factor : float
        Above 1, and in (0, 1).
    upper, lower : float
        The two thresholds.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import squared
    >>> from fenchel.oracles import GaussNewton, LevenbergMarquardt
    >>> oracle = GaussNewton(squared, lambda w, x: x @ w)
    >>> update, params = LevenbergMarquardt(), np.zeros(2)
    >>> params, state, info = update.step(
    ...     oracle, params, update.init(params), np.eye(2), np.asarray([1.0, 2.0]))
    >>> float(state.factor), bool(info.accepted)
    (1.5, True)
    """

    increase_factor: float = 1.5
    decrease_factor: float = 0.5
    upper: float = 0.75
    lower: float = 0.25

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_number("increase_factor", self.increase_factor, above=1.0)
        if check_number("decrease_factor", self.decrease_factor, above=0.0) >= 1.0:
            raise ValueError(
                f"`decrease_factor` must be in (0, 1); got decrease_factor={self.decrease_factor:g}"
            )
        check_number("upper", self.upper, above=self.lower)

    def init(self, params: Tree) -> FactorState:
        """Return the state: gamma is that of the oracle."""
        return _first_state(params)

    def _taken(self, problem: _Problem, state: FactorState) -> tuple[Tree, FactorState, UpdateInfo]:
        params = problem.params
        own = replace(problem.oracle, gamma=problem.oracle.gamma * state.factor)
        d, report = problem.direction(own)
        xp, one = backend_of(report.value).namespace, _one(report)
        start = report.value + report.model_decrease
        now = problem.value(_moved(params, one, d))
        some = report.model_decrease > 0
        ratio = (start - now) / xp.where(some, report.model_decrease, one)
        accepted = (ratio > 0) & some
        factor = xp.where(ratio > self.upper, state.factor * self.increase_factor, state.factor)
        poor = ~(ratio >= self.lower) & some  # NaN is poor; a gradient of 0 tells nothing
        factor = xp.where(poor, state.factor * self.decrease_factor, factor)
        info = UpdateInfo(
            start, xp.where(accepted, now, start), xp.where(accepted, one, 0.0 * one), own.gamma,
            ratio, accepted, report,
        )  # fmt: skip
        return _kept(accepted, _moved(params, one, d), params), FactorState(factor), info


@dataclass(frozen=True)
class GammaSearch(_Update):
    """Unit steps with the best of several multiples of the last gamma.

    Parameters
    ----------
    factors : tuple of float
        Multiples tried, all above 0. With ``GaussNewton(solver="dual_direct")`` one
        eigendecomposition serves all of them.

    Raises
    ------
    ValueError
        If there is none, or one is not above 0.

    Examples
    --------
    >>> from fenchel.oracles import GammaSearch
    >>> GammaSearch().factors
    (0.25, 1.0, 4.0)
    """

    factors: tuple[float, ...] = (0.25, 1.0, 4.0)

    def __post_init__(self) -> None:
        """Check the factors."""
        if not isinstance(self.factors, Sequence):
            raise TypeError(
                f"`factors` must be a tuple of numbers; got {type(self.factors).__qualname__}"
            )
        if not self.factors:
            raise ValueError("`factors` must hold at least one number; got none")
        object.__setattr__(self, "factors", tuple(self.factors))
        for factor in self.factors:
            check_number("factors", factor, above=0.0)

    def init(self, params: Tree) -> FactorState:
        """Return the state: gamma is that of the oracle."""
        return _first_state(params)

    def _taken(self, problem: _Problem, state: FactorState) -> tuple[Tree, FactorState, UpdateInfo]:
        oracle, params = problem.oracle, problem.params
        gammas = [oracle.gamma * state.factor * factor for factor in self.factors]
        tried = oracle.path(params, problem.inputs, problem.targets, gammas, problem.weights)
        first = tried[0][1]
        xp, one = backend_of(first.value).namespace, _one(first)
        best = first.value + first.model_decrease
        start, chosen, length, factor, gamma, report = (
            best, params, 0.0 * one, state.factor, gammas[0], first,
        )  # fmt: skip
        for scale, value, (d, info) in zip(self.factors, gammas, tried, strict=True):
            moved = _moved(params, one, d)
            now = problem.value(moved)
            better = now < best
            best = xp.where(better, now, best)
            length = xp.where(better, one, length)
            factor = xp.where(better, state.factor * scale, factor)
            gamma = xp.where(better, value, gamma)
            chosen, report = _kept(better, moved, chosen), _kept(better, info, report)
        # Where nothing decreases, all were too long.
        taken = length > 0
        factor = xp.where(taken, factor, state.factor * min(self.factors))
        ratio = (start - best) / xp.where(taken, report.model_decrease, one)
        info = UpdateInfo(start, best, length, gamma, ratio, taken, report)
        return chosen, FactorState(factor), info


def _one(report: OracleInfo) -> Array:
    return backend_of(report.value).namespace.ones_like(report.value)


def _first_state(params: Tree) -> FactorState:
    xp = backend_of_tree(params).namespace
    return FactorState(xp.ones_like(xp.sum(leaves(params)[0])))


def _moved(params: Tree, length: Array, d: Tree) -> Tree:
    return axpy(length, d, params)


def _kept(taken: Array, new: Tree, old: Tree) -> Tree:
    """Return one of two containers; what is not taken may hold NaN."""
    where = backend_of(taken).namespace.where
    return map(lambda x, y: where(taken, x, y) if hasattr(x, "dtype") else x, new, old)
