"""The objective where a step begins: value, gradient, sizes, and the way to trial points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..arrays import float_info
from ..autodiff import stop_gradient, value_and_grad, vjp
from ..backend import backend_of
from ..trees import is_array, leaves, norm
from ..trees import map as map_leaves
from ._scalars import Holder

__all__ = ["Point", "Unit", "inner", "move", "normalised", "point_at", "size_of"]

Tree = Any
Scalar = Any

# Squares of sizes in this range, and a curvature times them, are floats of single precision too.
_SMALL, _LARGE = 1e-9, 1e9


class Point(NamedTuple):
    """The objective `f` of the parameters alone, with what is known of it at `params`."""

    f: Callable[[Tree], Any]
    params: Tree
    holder: Holder
    ops: Any
    value: Scalar
    gradient: Tree
    grad_norm: Scalar
    pullback: Callable[[Tree], Any] | None  # of the gradient


def point_at(
    objective: Callable[..., Any],
    params: Tree,
    data: tuple[Any, ...],
    clock: Scalar,
    *,
    pullback: bool = False,
    known: tuple[Any, Any, Any] | None = None,
) -> Point:
    """Return the objective at some parameters, with its gradient.

    `clock` is a scalar of the state; `pullback` asks for the derivative of the gradient too;
    `known` is a value and gradient found earlier, and whether they were.
    """
    if not callable(objective):
        raise TypeError(f"`objective` must be callable; got {type(objective).__qualname__}")
    holder = Holder.like(params)
    params = stop_gradient(params)
    found = leaves(params)

    def f(p: Tree) -> Any:
        value = objective(p, *data)
        if getattr(value, "shape", ()) != ():
            raise ValueError(
                f"`objective` must return an array of shape (); got {tuple(value.shape)}"
            )
        return value

    pull: Callable[[Tree], Any] | None = None
    if not found:
        value, gradient = f(params), params
    elif known is not None:
        value, gradient = _known_or_found(f, params, holder, known)
    elif pullback:
        (value, gradient), both = vjp(value_and_grad(f), params)
        still = backend_of(value).namespace.zeros_like(value)

        def pull(tangent: Tree) -> Any:
            return both((still, tangent))

    else:
        value, gradient = value_and_grad(f)(params)
    ops = holder.arithmetic(value, clock, *found[:1])
    value = ops.number(value)
    return Point(f, params, holder, ops, value, gradient, size_of(ops, gradient), pull)


def _known_or_found(
    f: Callable[[Tree], Any], params: Tree, holder: Holder, known: tuple[Any, Any, Any]
) -> tuple[Any, Any]:
    value, gradient, valid = known
    ops = holder.arithmetic(valid, *leaves(params)[:1])

    def compute() -> tuple[Any, Any]:
        value, gradient = value_and_grad(f)(params)
        return ops.number(value), gradient

    found: tuple[Any, Any] = ops.choose(ops.truth(valid), lambda: (value, gradient), compute)
    return found


def inner(ops: Any, a: Tree, b: Tree) -> Scalar:
    """Return the sum of products of two containers, half types in single precision."""
    total = ops.number(0.0)
    for x, y in zip(leaves(a), leaves(b), strict=True):
        total = total + ops.number(_leaf_inner(ops, x, y))
    return total


def _leaf_inner(ops: Any, x: Any, y: Any) -> Any:
    if not is_array(x):
        return x * y
    xp = backend_of(x, y).namespace
    x, y = _wide(xp, x), _wide(xp, y)
    if ops.traced:
        return xp.sum(x * y)
    # One pass over the memory, without an array of products.
    return xp.matmul(xp.reshape(x, (-1,)), xp.reshape(y, (-1,)))


def _wide(xp: Any, x: Any) -> Any:
    info = float_info(x.dtype)
    return xp.astype(x, xp.float32) if info is not None and info.half else x


def size_of(ops: Any, tree: Tree) -> Scalar:
    """Return the Euclidean norm of a container; nothing overflows on the way."""
    if not ops.traced and not _SMALL < _largest(tree) < _LARGE:
        return float(_safe_norm(ops, tree))  # NumPy would warn of the overflow of the plain sum
    square = inner(ops, tree, tree)
    moderate = (square > _SMALL**2) & (square < _LARGE**2)
    # The plain sum reads the entries once, the one that is safe everywhere twice.
    size: Scalar = ops.choose(moderate, lambda: ops.root(square), lambda: _safe_norm(ops, tree))
    return size


def _largest(tree: Tree) -> float:
    """Return the largest magnitude in a container, without an array of magnitudes."""
    found = 0.0
    for x in leaves(tree):
        if not is_array(x):
            found = max(found, abs(x))
        elif 0 not in x.shape:
            xp = backend_of(x).namespace
            bounds = float(xp.max(x)), -float(xp.min(x))
            found = max(found, *bounds) if bounds[0] == bounds[0] else float("inf")
    return found


def _safe_norm(ops: Any, tree: Tree) -> Scalar:
    wide = map_leaves(
        lambda x: _wide(backend_of(x).namespace, x) if is_array(x) else float(x), tree
    )
    return ops.number(norm(wide)) if leaves(wide) else ops.number(0.0)


class Unit(NamedTuple):
    """A direction as `scale` times `direction`, whose own norm is `size` and moderate."""

    given: Tree
    scale: Scalar
    size: Scalar
    divided: bool

    @property
    def direction(self) -> Tree:
        """The container itself: divided where it is used, so that nothing is kept for a branch."""
        return map_leaves(self._over_scale, self.given) if self.divided else self.given

    def _over_scale(self, x: Any) -> Any:
        if not is_array(x):
            return x / self.scale
        xp = backend_of(x).namespace
        wide = _wide(xp, x)
        factor = xp.astype(self.scale, wide.dtype) if is_array(self.scale) else self.scale
        return xp.astype(wide / factor, x.dtype)


def normalised(ops: Any, tree: Tree, size: Scalar) -> Unit:
    """Return a direction with its size taken out, where that may lie outside a moderate range."""
    one = ops.number(1.0)
    if not ops.traced and (_SMALL < size < _LARGE or not 0.0 < size < float("inf")):
        return Unit(tree, one, size, False)
    usable = (size > 0) & ops.is_finite(size)
    return Unit(tree, ops.where(usable, size, one), ops.where(usable, one, size), True)


def move(ops: Any, params: Tree, rate: Scalar, step: Tree, taken: Any = True) -> Tree:
    """Return `params + rate * step` where `taken`, else `params`, in the dtypes of `params`."""
    if not ops.traced and not taken:
        return params

    def moved(w: Any, p: Any) -> Any:
        if not is_array(w):
            return w + rate * p
        xp = backend_of(w).namespace
        wide = _wide(xp, w)
        factor = xp.astype(rate, wide.dtype) if is_array(rate) else rate
        new = wide + factor * _like(xp, p, wide)
        new = new if new.dtype == w.dtype else xp.astype(new, w.dtype)
        return new if taken is True else xp.where(taken, new, w)

    return map_leaves(moved, params, step)


def _like(xp: Any, x: Any, model: Any) -> Any:
    return x if not is_array(x) or x.dtype == model.dtype else xp.astype(x, model.dtype)
