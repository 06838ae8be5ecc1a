"""What all direction oracles share: their fields, and the call."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..arrays import check_number
from ..autodiff import jvp
from ..backend import Backend, backend_of
from ..eager import uncompiled
from ..parameters import check_array, known_to
from ..trees import dot, is_array, map
from ._batch import Batch, Model, Vector, open_batch, open_model
from ._dual_cg import Map, dual_cg
from ._implicit import attach_derivative, plain
from ._info import OracleInfo

__all__ = ["Found", "Oracle", "check_gamma", "check_gammas"]

Array = Any
Tree = Any


class Found(NamedTuple):
    """What a solver found: constants.

    Attributes
    ----------
    direction
        Leaves of the direction returned.
    shift
        Its image J d, where the model's gradient is to be taken; None for a model without
        curvature, whose direction is -N^-1 g.
    curvature
        Product with the Hessians of the model there.
    info
        The report.
    """

    direction: Vector
    shift: Array | None
    curvature: Map
    info: OracleInfo


class Oracle:
    """An object with ``direction(params, inputs, targets, weights) -> (direction, info)``."""

    loss: Any
    predict: Any
    gamma: Any
    metric: Any
    weight_decay: Any

    @uncompiled
    def direction(
        self,
        params: Tree,
        inputs: Tree,
        targets: Array,
        weights: Array | None = None,
        *,
        dual: Array | None = None,
    ) -> tuple[Tree, OracleInfo]:
        """Return a direction of descent on a batch, and what is known of it.

        Parameters
        ----------
        params
            Container of floating arrays, the parameters w.
        inputs
            What ``predict(params, inputs)`` takes: a container of arrays, samples along the first
            axis.
        targets : array
            Targets of the loss, samples along the first axis.
        weights : array (m,), optional
            Weights of the samples, divided by their sum; a sample of weight 0 is dropped, whatever
            it holds. Equal weights by default: **every sum over samples is a mean**.
        dual : array, optional
            Dual point to start from, shaped like the outputs, such as ``info.dual`` of a batch
            like this one.

        Returns
        -------
        direction : container
            Like `params`; add it to them.
        info : OracleInfo
            Values, gap and certificate, all constants.

        Raises
        ------
        TypeError
            If an argument is no array of the library of the others, or not floating.
        ValueError
            If the batch is empty, or shapes do not match.

        Notes
        -----
        *Derivatives*: first ones, in every array, as those of the exact solution of the model at
        the direction returned; one more solve, which is made only if they are asked for.
        """
        live = open_batch(params, inputs, targets, weights, (self.gamma, self.metric))
        backend = live.backend
        arrays = (live.params, live.inputs, live.targets, live.weights)
        mine = (self.loss, self.gamma, self.metric, self.weight_decay)
        model = self._model(live)
        start = None if dual is None else _start(model, dual)
        found = self._solve(model, start)

        def residual() -> Vector:
            return self._residual(backend, live, found)

        def solve(b: Vector) -> Vector:
            # rtol = 0: derivatives are solved for to rounding
            most = min(model.outputs.shape[0] * model.outputs.shape[1], _count(b)) + 1
            negated = [-x for x in b]
            return dual_cg(model, found.curvature, negated, max_iter=most, rtol=0.0).direction

        d = attach_derivative(backend, found.direction, residual, solve, (arrays, mine))
        return model.finish(backend, d), found.info

    def _model(self, live: Batch) -> Model:
        """Return the model on constants."""
        backend = live.backend
        arrays = (live.params, live.inputs, live.targets, live.weights)
        base = getattr(backend, "base", backend)
        fixed = Batch(base, *plain(backend, arrays))
        mine = (self.gamma, self.metric, self.weight_decay)
        return open_model(
            base, plain(backend, self.loss), self.predict, fixed, *plain(backend, mine)
        )

    @uncompiled
    def path(
        self,
        params: Tree,
        inputs: Tree,
        targets: Array,
        gammas: Sequence[Any],
        weights: Array | None = None,
    ) -> list[tuple[Tree, OracleInfo]]:
        """Return direction and info for each of several gammas.

        Parameters
        ----------
        params, inputs, targets, weights
            As for `direction`.
        gammas
            Numbers or arrays ().

        Returns
        -------
        list
            What `direction` returns, a pair a gamma.

        Notes
        -----
        *Derivatives*: as for `direction`; from one eigendecomposition, none.
        """
        own: Any = self
        return [
            replace(own, gamma=gamma).direction(params, inputs, targets, weights)
            for gamma in check_gammas(gammas)
        ]

    @abstractmethod
    def _solve(self, model: Model, start: Array | None) -> Found:
        """Return the direction of a model; `start` is a dual point (m, k)."""

    @abstractmethod
    def _slopes(self, model: Model, shift: Array) -> Array:
        """Return the gradient of the model's losses at the image J d, differentiable, (m, k)."""

    def _residual(self, backend: Backend, live: Batch, found: Found) -> Vector:
        """Return the gradient of the model at the direction, differentiable."""
        mine = (self.gamma, self.metric, self.weight_decay)
        model = open_model(
            backend, self.loss, self.predict, live, *_known(backend, mine), live=True
        )
        d = [known_to(backend, x) for x in found.direction]
        slopes = self._slopes(model, model.line.push(d))
        kept = model.near.apply(d)
        return [x + y for x, y in zip(model.decayed(model.pull(slopes)), kept, strict=True)]


def _start(model: Model, dual: Array) -> Array:
    """Return a dual start as (m, k).

    Raises
    ------
    TypeError
        If it is of another library.
    ValueError
        If it is not shaped like the outputs.
    """
    backend, shape = model.backend, tuple(model.outputs.shape)
    wanted = shape[:1] if model.line.column else shape
    if is_array(dual):
        dual = plain(backend_of(dual), dual)
        check_array("dual", dual, backend)
    if not is_array(dual) or tuple(dual.shape) != wanted:
        got = tuple(dual.shape) if is_array(dual) else type(dual).__qualname__
        raise ValueError(f"`dual` must have the shape {wanted} of the outputs; got {got}")
    xp = backend.namespace
    return xp.astype(xp.reshape(dual, shape), model.outputs.dtype)


def _known(backend: Backend, tree: Tree) -> Tree:
    """Return a container whose plain arrays may stand beside traced ones."""
    return map(lambda x: known_to(backend, x) if is_array(x) else x, tree)


def _count(leaves: Vector) -> int:
    total = 0
    for x in leaves:
        size = 1
        for length in x.shape:
            size *= length
        total += size
    return total


_GAMMA = {"above": 0.0, "maximum": 1e300}


def check_gammas(gammas: Sequence[Any]) -> list[Any]:
    """Return the gammas of a path; arrays are taken as they are."""
    return [g if is_array(g) else check_number("gammas", g, **_GAMMA) for g in gammas]


def check_gamma(oracle: Any) -> None:
    """Check the numbers that all oracles have; arrays are taken as they are."""
    bounds_of = {"gamma": _GAMMA, "weight_decay": {"minimum": 0.0, "maximum": 1e300}}
    for name, bounds in bounds_of.items():
        value = getattr(oracle, name)
        if is_array(value):
            if tuple(value.shape) != ():
                raise ValueError(
                    f"`{name}` must be a number or an array of shape (); "
                    f"got shape {tuple(value.shape)}"
                )
        else:
            object.__setattr__(oracle, name, check_number(name, value, **bounds))
    if not callable(oracle.predict):
        raise TypeError(f"`predict` must be callable; got {type(oracle.predict).__qualname__}")


def bent_slopes(model: Model, image: Array) -> Array:
    """Return grad h(f) + H J d, differentiable."""
    value, bent = jvp(model.rows.live_gradient, (model.outputs,), (image,))
    return value + bent


def slope_along(model: Model, d: Vector) -> Array:
    """Return <g, d>."""
    return dot(model.gradient, d)
