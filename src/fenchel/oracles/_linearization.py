"""The network at the parameters: outputs, and products with its Jacobian from either side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..arrays import check_dtype, narrow, widen
from ..autodiff.arguments import as_primals
from ..backend import Backend, backend_of
from ..parameters import known_to
from ..random import RandomStream
from ..trees import dot, is_array, map

__all__ = ["Linearization", "as_dtype", "check_linearization", "linearize_predict"]

Array = Any
Tree = Any
Vector = list[Any]


class Linearization(NamedTuple):
    """Outputs (m, k) in the dtype that is computed in, and both products of one Jacobian.

    Attributes
    ----------
    outputs
        What `predict` returned, with a last axis of one where it had none.
    push
        From a list shaped like the leaves of the parameters to (m, k).
    pull
        From (m, k) to such a list.
    column
        Whether `predict` returned (m,).
    """

    outputs: Array
    push: Callable[[Vector], Array]
    pull: Callable[[Array], Vector]
    column: bool


def linearize_predict(
    backend: Backend,
    predict: Callable[..., Any],
    params: Tree,
    inputs: Tree,
    *,
    live: bool = False,
) -> Linearization:
    """Evaluate `predict` and its Jacobian products once; `live` if these are differentiated.

    Raises
    ------
    TypeError
        If a parameter or the outputs are not floating.
    ValueError
        If the outputs are not (m,) or (m, k) with m, k >= 1.
    """
    leaves, structure = backend.tree_flatten(params)
    outputs, push, pull = _products(backend, predict, leaves, structure, inputs, live)
    if not is_array(outputs):
        raise TypeError(f"`predict` must return an array; got {type(outputs).__qualname__}")
    info = check_dtype("predict(params, inputs)", outputs)
    shape = tuple(outputs.shape)
    if len(shape) not in (1, 2) or 0 in shape:
        raise ValueError(
            "`predict` must return outputs of shape (m,) or (m, k) for a batch of m >= 1 samples; "
            f"got shape {shape}"
        )
    xp, dtype = backend.namespace, outputs.dtype
    rows = (shape[0], 1) if len(shape) == 1 else shape
    z = xp.reshape(widen(xp, outputs, info), rows)
    work = z.dtype

    def forward(tangent: Vector) -> Array:
        cast = [as_dtype(backend, t, leaf.dtype) for t, leaf in zip(tangent, leaves, strict=True)]
        return xp.reshape(as_dtype(backend, push(cast), work), rows)

    def backward(cotangent: Array) -> Vector:
        given = xp.reshape(narrow(xp, cotangent, info, dtype), shape)
        return [as_dtype(backend, g, work) for g in pull(given)]

    return Linearization(z, forward, backward, len(shape) == 1)


def as_dtype(backend: Backend, x: Array, dtype: Any) -> Array:
    """Return `x` in a dtype."""
    return x if x.dtype == dtype else backend.namespace.astype(x, dtype)


def _products(
    backend: Backend, predict: Any, leaves: Vector, structure: Any, inputs: Tree, live: bool
) -> tuple[Array, Callable[[Vector], Array], Callable[[Array], Vector]]:
    """Return outputs and products on lists of leaves: the caller's own, or the library's."""
    own = getattr(predict, "linearize", None)
    if own is not None:
        outputs, jvp, vjp = own(backend.tree_unflatten(structure, leaves), inputs)
        return (
            outputs,
            lambda tangent: jvp(backend.tree_unflatten(structure, tangent)),
            lambda cotangent: backend.tree_flatten(vjp(cotangent))[0],
        )

    def function(*arrays: Array) -> Array:
        tracer = backend_of(*arrays)
        # Operators of some libraries do not defer to traced arrays: inputs become constants.
        given = map(lambda x: known_to(tracer, x) if is_array(x) else x, inputs)
        return predict(backend.tree_unflatten(structure, list(arrays)), given)

    both = getattr(backend, "jacobian_products", None)
    if both is not None and not live:
        return both(function, leaves)  # type: ignore[no-any-return]
    outputs, push = backend.linearize(function, *leaves)
    pull = backend.vjp(function, *leaves)[1]
    return outputs, lambda tangent: push(*tangent), lambda cotangent: list(pull(cotangent))


def check_linearization(predict: Callable[..., Any], params: Tree, inputs: Tree) -> None:
    """Check that both products with the Jacobian of `predict` belong to one linear map.

    The adjoint test <J u, v> = <u, J* v> on random vectors; for a ``predict.linearize`` of your
    own also that its outputs are those of `predict`.

    Parameters
    ----------
    predict
        Function of params and inputs, which may have ``linearize(params, inputs) -> (outputs,
        jvp, vjp)``.
    params, inputs
        Containers of arrays.

    Raises
    ------
    ValueError
        If the test fails.

    Notes
    -----
    *Derivatives*: none; values must be known. Source: arXiv 2308.08886.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.oracles import check_linearization
    >>> check_linearization(lambda w, x: x @ w, np.ones(3), np.eye(3))
    """
    backend, (params,) = as_primals((params,))
    xp = backend.namespace
    line = linearize_predict(backend, predict, params, inputs)
    streams = iter(RandomStream(0).split(1000))

    def draw(x: Array) -> Array:
        return as_dtype(backend, next(streams).normal(tuple(x.shape), like=x), line.outputs.dtype)

    u = [draw(leaf) for leaf in backend.tree_flatten(params)[0]]
    v = draw(line.outputs)
    image, pulled = line.push(u), line.pull(v)
    left, right = float(xp.sum(image * v)), float(dot(u, pulled))
    size = float(xp.sum(image * image)) ** 0.5 * float(xp.sum(v * v)) ** 0.5
    size += float(dot(u, u)) ** 0.5 * float(dot(pulled, pulled)) ** 0.5
    tolerance = float(xp.finfo(line.outputs.dtype).eps) ** 0.5
    if not abs(left - right) <= tolerance * size:
        raise ValueError(
            "`predict` must have products jvp and vjp that are adjoint, <J u, v> = <u, J* v>; "
            f"got {left:.9g} and {right:.9g}"
        )
    outputs = xp.reshape(predict(params, inputs), tuple(line.outputs.shape))
    off = float(xp.max(xp.abs(as_dtype(backend, outputs, line.outputs.dtype) - line.outputs)))
    if not off <= tolerance * (1.0 + float(xp.max(xp.abs(line.outputs)))):
        raise ValueError(
            "`predict` must return the outputs that its linearize does; "
            f"got a difference of {off:.3g}"
        )
