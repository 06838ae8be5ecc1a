"""Linear functions with a transpose written by hand, as an operation of JAX.

`custom_vjp` would forbid forward mode, and `linear_call` cannot be mapped. A primitive has all
rules: its tangent is the function of the tangent, its transpose the function given for it, and a
mapped axis becomes a leading one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import NamedSharding, PartitionSpec

__all__ = ["linear_map"]

Array = Any
Function = Callable[..., Any]


def linear_map(
    backend: Any, apply: Function, transpose: Function, x: Array, *constants: Array
) -> Array:
    """See `fenchel.kernels.linear_map`; every transformation goes through, to every order."""
    missing = frozenset().union(*map(_varying, constants)) - _varying(x)
    if missing:  # within shard_map: all operands vary along the same axes of the mesh
        x = jax.lax.pcast(x, tuple(missing), to="varying")
    value: Array = _LINEAR.bind(
        x, *constants, apply=partial_of(apply, backend), transpose=partial_of(transpose, backend)
    )
    return value


@cache
def partial_of(function: Function, backend: Any) -> Function:
    """Return a function with its adapter, one object a pair: programs are kept by it."""
    return partial(function, backend)


@cache
def _compiled(apply: Function) -> Function:
    return jax.jit(apply)


def _run(*operands: Array, apply: Function, transpose: Function) -> Array:
    return _compiled(apply)(*operands)


def _shape(*operands: Any, apply: Function, transpose: Function) -> Any:
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in operands]  # type: ignore[no-untyped-call]
    found = jax.eval_shape(apply, *shapes)
    # Within shard_map the result varies along the axes of the mesh that the operand varies along.
    mesh = operands[0].sharding.mesh
    free = PartitionSpec(*[None] * len(found.shape))  # type: ignore[no-untyped-call]
    return operands[0].update(
        shape=found.shape, dtype=found.dtype, sharding=NamedSharding(mesh, free)
    )


def _varying(x: Array) -> frozenset[Any]:
    """Return the axes of a mesh along which `x` varies, within shard_map."""
    kind = jax.typeof(x)
    manual = getattr(kind, "manual_axis_type", None)
    return manual.varying if manual is not None else getattr(kind, "vma", frozenset())


def _lowered(*operands: Array, apply: Function, transpose: Function) -> Array:
    return apply(*operands)


def _tangent(primals: Sequence[Array], tangents: Sequence[Any], **functions: Function) -> Any:
    out = _LINEAR.bind(*primals, **functions)
    if type(tangents[0]) is ad.Zero:
        zero: Any = ad.Zero
        return out, zero.from_primal_value(out)
    return out, _LINEAR.bind(tangents[0], *primals[1:], **functions)


def _transposed(
    cotangent: Any, x: Any, *constants: Array, apply: Function, transpose: Function
) -> list[Any]:
    nothing = [None] * len(constants)
    if type(cotangent) is ad.Zero:
        return [ad.Zero(x.aval), *nothing]
    return [_LINEAR.bind(cotangent, *constants, apply=transpose, transpose=apply), *nothing]


def _mapped(operands: Sequence[Array], axes: Sequence[Any], **functions: Function) -> Any:
    size = next(x.shape[a] for x, a in zip(operands, axes, strict=True) if a is not None)
    lead = [
        jnp.broadcast_to(x, (size, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)
        for x, axis in zip(operands, axes, strict=True)
    ]
    return _LINEAR.bind(*lead, **functions), 0


_LINEAR: Any = Primitive("fenchel_linear")
_LINEAR.def_impl(_run)
_LINEAR.def_abstract_eval(_shape)
ad.primitive_jvps[_LINEAR] = _tangent
ad.primitive_transposes[_LINEAR] = _transposed
batching.primitive_batchers[_LINEAR] = _mapped
_lowering: Any = mlir.lower_fun(_lowered, multiple_results=False)
mlir.register_lowering(_LINEAR, _lowering)
