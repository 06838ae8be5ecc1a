"""The transformations of JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fenchel.testing.transformation import Probe, Transformation

__all__ = ["rows"]

Run = Callable[[Probe], Any]


def rows() -> dict[str, Transformation]:
    """Return the rows by name; those that are not jitted run operation by operation."""
    return _eager() | _jitted()


def _eager() -> dict[str, Transformation]:
    return {
        "grad": Transformation("vjp", lambda p: _grad(p)(*p.primals)),
        "vjp": Transformation("vjp", lambda p: jax.vjp(p.f, *p.primals)[1](p.cotangent)),
        "checkpoint": Transformation("vjp", _checkpoint),
        "jvp": Transformation("jvp", _jvp),
        "linearize": Transformation("jvp", _linearize),
        "jacfwd": Transformation("jacobian", lambda p: _jacobian(p, jax.jacfwd)),
        "jacrev": Transformation("jacobian", lambda p: _jacobian(p, jax.jacrev)),
        "hessian": Transformation("hessian", lambda p: _hessian(p)(*p.primals)),
        "grad of grad": Transformation("hvp", _grad_of_grad),
        "jvp of grad": Transformation("hvp", _jvp_of_grad),
        "grad of jvp": Transformation("hvp", _grad_of_jvp),
        "vmap": Transformation("values", lambda p: jax.vmap(p.f)(*p.batch)),
        "vmap(grad)": Transformation("vjps", lambda p: jax.vmap(_grad(p))(*p.batch)),
        "vmap(jvp)": Transformation("jvp", _vmap_jvp),
        "eval_shape": Transformation("shape", _eval_shape),
        "no x64": Transformation("vjp", _no_x64, "float32"),
    }


def _jitted() -> dict[str, Transformation]:
    def jitted(quantity: str, run: Run) -> Transformation:
        return Transformation(quantity, run, compiles=True)

    return {
        "jit, no transfers": jitted("value", _jit),
        "jit(vmap(grad))": jitted("vjps", lambda p: jax.jit(jax.vmap(_grad(p)))(*p.batch)),
        "jit(hessian)": jitted("hessian", lambda p: jax.jit(_hessian(p))(*p.primals)),
        "grad of jit": jitted("vjp", _grad_of_jit),
        "scan body": jitted("values", _scan),
        "grad through scan": jitted("vjp", _grad_through_scan),
    }


def _grad(probe: Probe) -> Callable[..., Any]:
    return jax.grad(probe.scalar, argnums=probe.places)


def _grad_of_jit(probe: Probe) -> Any:
    inner = jax.jit(probe.f)

    def scalar(*primals: Any) -> Any:
        return jnp.sum(probe.cotangent * inner(*primals))

    return jax.grad(scalar, argnums=probe.places)(*probe.primals)


def _checkpoint(probe: Probe) -> Any:
    return jax.grad(jax.checkpoint(probe.scalar), argnums=probe.places)(*probe.primals)


def _jvp(probe: Probe) -> Any:
    return jax.jvp(probe.f, probe.primals, probe.tangents)[1]


def _linearize(probe: Probe) -> Any:
    return jax.linearize(probe.f, *probe.primals)[1](*probe.tangents)


def _jacobian(probe: Probe, transform: Callable[..., Any]) -> Any:
    return transform(probe.f, argnums=probe.places)(*probe.primals)


def _hessian(probe: Probe) -> Callable[..., Any]:
    return jax.hessian(probe.scalar, argnums=probe.places)


def _grad_of_grad(probe: Probe) -> Any:
    def slope(*primals: Any) -> Any:
        return probe.directional(_grad(probe)(*primals))

    return jax.grad(slope, argnums=probe.places)(*probe.primals)


def _jvp_of_grad(probe: Probe) -> Any:
    return jax.jvp(_grad(probe), probe.primals, probe.tangents)[1]


def _grad_of_jvp(probe: Probe) -> Any:
    def slope(*primals: Any) -> Any:
        return jax.jvp(probe.scalar, primals, probe.tangents)[1]

    return jax.grad(slope, argnums=probe.places)(*probe.primals)


def _vmap_jvp(probe: Probe) -> Any:
    """Forward mode along a batch of tangents (v, -v), of which half the difference is returned."""

    def along(*tangents: Any) -> Any:
        return jax.jvp(probe.f, probe.primals, tangents)[1]

    both = jax.vmap(along)(*(jnp.stack([v, -v]) for v in probe.tangents))
    return (both[0] - both[1]) / 2


def _scan(probe: Probe) -> Any:
    def body(count: Any, primals: Any) -> Any:
        return count + 1, probe.f(*primals)

    return jax.lax.scan(body, 0, probe.batch)[1]


def _grad_through_scan(probe: Probe) -> Any:
    def scalar(*primals: Any) -> Any:
        def body(total: Any, weight: Any) -> Any:
            return total + weight * probe.scalar(*primals), None

        start = jnp.zeros((), probe.cotangent.dtype)
        weights = jnp.asarray([0.25, 0.75], probe.cotangent.dtype)
        return jax.lax.scan(body, start, weights)[0]

    return jax.jit(jax.grad(scalar, argnums=probe.places))(*probe.primals)


def _eval_shape(probe: Probe) -> Any:
    out = jax.eval_shape(probe.f, *probe.primals)
    if out.dtype != probe.primals[0].dtype:
        raise AssertionError(f"the output is {out.dtype}")
    return tuple(out.shape)


def _no_x64(probe: Probe) -> Any:
    with jax.enable_x64(False):
        return _grad(probe)(*probe.primals)


def _jit(probe: Probe) -> Any:
    """Refuse constants that come from the host while the compiled function runs."""
    compiled = jax.jit(probe.f)
    compiled(*probe.primals)
    with jax.transfer_guard("disallow"):
        return compiled(*probe.primals)
