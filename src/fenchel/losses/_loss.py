"""What all losses share: the call, the gradient without a trace, and what oracles ask for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from ..backend import backend_of
from ..kernels import kernels_enabled
from ._direct import direct, is_plain_call
from ._formulas import formula_both, formula_rows
from ._problem import Problem, open_problem

__all__ = ["Loss"]

Array = Any


class Loss(ABC):
    """A loss of scores and targets, one value a row of scores.

    The signature is the same for every loss of `fenchel.losses`; what a loss is follows from the
    private formulas: `_rows` (robust values, differentiable), `_gradient` (closed form in the
    scores) and `_link`.
    """

    _masked: float = float("-inf")
    _elementwise: bool = False
    _labels: bool = False
    _matrix: bool = False

    def __call__(
        self,
        scores: Array,
        target: Array,
        /,
        *,
        axis: int = -1,
        where: Array | None = None,
        weight: Array | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
        target_term: bool = True,
    ) -> Array:
        r"""Return the loss of the rows of `scores` against `target`.

        Parameters
        ----------
        scores : array (..., n)
            Scores, real floating.
        target : array
            Classes, integers of the shape of `scores` without `axis`; or dense rows, floating and
            shaped like `scores` (label proportions). Elementwise losses take labels in [0, 1].
        axis : int
            Axis of the entries; elementwise losses ignore it.
        where : boolean array, optional
            Entries that take part, broadcastable to `scores`. A row with none has loss 0.
        weight : array (n,), optional
            Weights of the classes: a row of class k counts ``weight[k]`` times, a dense one
            ``sum(weight * target)`` times. Two weights, of the labels 0 and 1, for an elementwise
            loss.
        ignore_index : int, optional
            Rows of this class do not count; of a dense target, the part on this class does not.
        label_smoothing : float
            In [0, 1]: this part of the target is spread evenly over the entries that take part.
        reduction : {"mean", "sum", "none"}
            "mean" divides by the sum of the weights of the rows (integer targets) or by the number
            of rows (dense); over no rows it is 0.
        target_term : bool
            Without it the loss lacks Omega(target), a constant in the scores, which may be
            infinite.

        Returns
        -------
        array
            A scalar, or with "none" one loss a row; of the dtype of `scores`.

        Raises
        ------
        TypeError
            If `scores` is not floating, or another argument not an array of its library.
        ValueError
            If shapes do not match, a class is out of range (where values can be looked at), or an
            option is unknown or out of range.
        """
        if is_plain_call(where, weight, ignore_index, label_smoothing, target_term):
            value = self._direct_value(scores, target, axis, reduction)
            if value is not None:
                return value
        problem = self._open(
            scores, target, axis, where, weight, ignore_index, label_smoothing, reduction
        )
        rows = self._fused(problem) if target_term else None
        if rows is None:
            rows = formula_rows(self, problem, bool(target_term))
        return problem.reduce(rows)

    def value_and_grad(
        self,
        scores: Array,
        target: Array,
        /,
        *,
        axis: int = -1,
        where: Array | None = None,
        weight: Array | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
        target_term: bool = True,
    ) -> tuple[Array, Array]:
        """Return the loss and its gradient in the scores, in one pass and without a trace.

        Parameters
        ----------
        scores, target, axis, where, weight, ignore_index, label_smoothing, reduction, target_term
            As for the call.

        Returns
        -------
        value : array
            The loss.
        gradient : array
            Like `scores`; with reduction "none", row by row that of the loss of the row.

        Raises
        ------
        TypeError, ValueError
            As the call does.

        Notes
        -----
        *Derivatives*: differentiate the call rather than this.
        """
        if is_plain_call(where, weight, ignore_index, label_smoothing, target_term):
            found = direct(self._kernel_name(), scores, target, axis, reduction)
            pair = None if found is None else found.both(*found.arguments)
            if pair is not None:
                return pair
        problem = self._open(
            scores, target, axis, where, weight, ignore_index, label_smoothing, reduction
        )
        both = self._kernel(problem) if target_term else None
        if both is None:
            rows, gradient = formula_both(self, problem, bool(target_term))
            return problem.reduce(rows), gradient
        return problem.reduce(both[0]), problem.reduce_gradient(both[1])

    def link(self, scores: Array, /, *, axis: int = -1, where: Array | None = None) -> Array:
        """Return the prediction: the target at which the loss of `scores` is 0.

        Parameters
        ----------
        scores : array (..., n)
            Scores, real floating.
        axis : int
            Axis of the entries.
        where : boolean array, optional
            Entries that take part; the others get 0.

        Returns
        -------
        array (..., n)
            Like `scores`.

        Raises
        ------
        TypeError
            If `scores` is not a floating array.
        ValueError
            If the axis is empty or out of range.

        Notes
        -----
        *Derivatives*: as for the regularised argmax.
        """
        raise TypeError(f"{type(self).__name__} predicts no probabilities")

    @property
    def dual_set(self) -> Any:
        """The set of `fenchel.convex` that `dual_point` of the dual vectors ranges over.

        The conjugate is finite there and inf elsewhere.
        """
        raise TypeError(f"{type(self).__name__} has no conjugate in closed form")

    def dual_point(self, dual: Array, target: Array, /) -> Array:
        """Return the point of `dual_set` that a dual vector stands for: ``dual + target``."""
        return dual + target

    def dual_vector(self, point: Array, target: Array, /) -> Array:
        """Return the dual vector that a point of `dual_set` stands for: ``point - target``."""
        return point - target

    def conjugate(self, dual: Array, target: Array, /, *, axis: int = -1) -> Array:
        """Return the conjugate of ``scores -> loss(scores, target)`` of each row.

        Parameters
        ----------
        dual : array (..., n)
            Where the conjugate is taken; a gradient of the loss is such a point.
        target : array
            As for the call.
        axis : int
            Axis of the entries.

        Returns
        -------
        array (...)
            One value a row (an entry, for elementwise losses); inf off the dual set.

        Raises
        ------
        TypeError, ValueError
            As the call does.

        Notes
        -----
        *Derivatives*: in `dual` inside of the dual set.
        """
        problem = self._open(dual, target, axis, masked=0.0)
        return problem._replace(reduction="none").reduce(self._conjugate(problem))

    def conjugate_prox(
        self, scores: Array, center: Array, target: Array, /, *, tau: Any, axis: int = -1
    ) -> Array:
        r"""Return argmin_a h*(a) - <scores, a> + tau/2 \|a - center\|^2, h the loss of a row.

        Parameters
        ----------
        scores, center : array (..., n)
            Scores, and a dual point.
        target : array
            As for the call.
        tau : number or array (..., 1)
            Weight of the distance, above 0.
        axis : int
            Axis of the entries.

        Returns
        -------
        array (..., n)
            Like `scores`: the dual point.

        Raises
        ------
        TypeError, ValueError
            As the call does, or if `tau` is not above 0.

        Notes
        -----
        *Derivatives*: not differentiated; the result may be a constant.
        """
        from ._prox import open_prox  # the solvers are for oracles alone

        problem, middle, tau = open_prox(self, scores, center, target, tau, axis)
        dual = self._prox(problem, middle, tau)
        return problem._replace(reduction="sum").reduce_gradient(dual)

    def _open(
        self,
        scores: Array,
        target: Array,
        axis: int = -1,
        where: Array | None = None,
        weight: Array | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
        *,
        masked: float | None = None,
    ) -> Problem:
        return open_problem(
            scores,
            target,
            axis=axis,
            where=where,
            weight=weight,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            reduction=reduction,
            masked=self._masked if masked is None else masked,
            elementwise=self._elementwise,
            labels=self._labels,
            matrix=self._matrix,
            parameters=self._parameters(),
        )

    @abstractmethod
    def _rows(self, problem: Problem, target_term: bool) -> Array:
        """Return the loss of each row, (..., 1)."""

    @abstractmethod
    def _gradient(self, problem: Problem) -> Array:
        """Return the gradient of each row in its scores, (..., n)."""

    def _both(self, problem: Problem, target_term: bool) -> tuple[Array, Array]:
        """Return the loss of each row and its gradient."""
        return self._rows(problem, target_term), self._gradient(problem)

    def _conjugate(self, problem: Problem) -> Array:
        """Return the conjugate (..., 1) at the dual points ``problem.x``."""
        raise TypeError(f"{type(self).__name__} has no conjugate in closed form")

    def _prox(self, problem: Problem, middle: Array, tau: Any) -> Array:
        r"""Return argmin_a h*(a) + tau/2 \|a\|^2 - <middle, a> for ``middle = z + tau center``."""
        raise TypeError(f"{type(self).__name__} has no conjugate in closed form")

    def _parameters(self) -> tuple[Any, ...]:
        """Return the fields that may be differentiated arrays."""
        return ()

    def _direct_value(self, scores: Array, target: Array, axis: Any, reduction: Any) -> Any:
        """Return the loss by the short way of `_direct`, None where it does not lead there."""
        found = direct(self._kernel_name(), scores, target, axis, reduction)
        if found is None:
            return None

        def formula(x: Array) -> Array:
            problem = self._open(x, target, axis, reduction=reduction)
            return problem.reduce(self._rows(problem, True))

        return found.value(*found.arguments, formula)

    def _kernel_name(self) -> tuple[str, tuple[float, ...]] | None:
        """Return the name of the fused kernel and its parameters, None where there is none."""
        return None

    def _window(self) -> tuple[float, float] | None:
        """Return alpha and temperature of an entmax with the support of the gradient, if any."""
        return None

    def _takes_blocks(self) -> bool:
        """Whether the rows of a problem may be taken some at a time, as those on the simplex."""
        return False

    def _block(
        self, problem: Problem, target_term: bool, slopes: bool
    ) -> tuple[Array, Array | None]:
        """Return the rows of some long ones, and their gradients where `slopes` are asked for."""
        if slopes:
            return self._both(problem, target_term)
        return self._rows(problem, target_term), None

    def _of_softmax(self) -> bool:
        """Whether the gradient in the scores of a class is softmax but for factors of the rows."""
        return False

    def _fused(self, problem: Problem) -> Array | None:
        """Return the rows by the fused rule of the library, None where none serves."""
        found = _kernel_target(problem, self._kernel_name())
        if found is None:
            return None
        name, parameters, target = found
        apply = problem.backend.fused(name, problem.x)
        if apply is None:
            return None

        def formula(x: Array) -> Array:
            return self._rows(problem._replace(backend=backend_of(x), x=x), True)

        return apply(formula, problem.x, parameters, target)

    def _kernel(self, problem: Problem) -> tuple[Array, Array] | None:
        """Return rows and their gradients by the fused kernel, None where there is none."""
        found = _kernel_target(problem, self._kernel_name())
        if found is None:
            return None
        name, parameters, target = found
        backend, x = problem.backend, problem.x
        kernel = backend.kernel(name, x.dtype, backend.device_of(x))
        return None if kernel is None else kernel(x, target, *parameters)


def _kernel_target(
    problem: Problem, kernel: tuple[str, tuple[float, ...]] | None
) -> tuple[str, tuple[float, ...], Array] | None:
    """Return the kernel's full name, parameters and target if the target is a plain constant."""
    if kernel is None or not kernels_enabled():
        return None
    name, parameters = kernel
    if problem.classes is not None:
        return f"loss_{name}_index", parameters, problem.backend.stop_gradient(problem.classes)
    if not problem.constant_target:
        return None
    dense = problem.backend.stop_gradient(problem.soft_target())
    return f"loss_{name}_dense", parameters, dense
