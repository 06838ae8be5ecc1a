"""The rows that every library has: eager values, dtypes, and members of the contract."""

from __future__ import annotations

from typing import Any

from ..kernels import use_kernels
from .transformation import Probe, Transformation

__all__ = ["transformations"]


def transformations(backend: Any) -> dict[str, Transformation]:
    """Return the rows of a library by name: the common ones, and its own.

    An adapter may have `transformations()`, which returns the rows of its library's transforms;
    one without has those of the adapter contract.
    """
    own = getattr(backend, "transformations", None)
    return _common() | (own() if own is not None else _contract())


def _common() -> dict[str, Transformation]:
    rows = {
        "eager": Transformation("value", lambda probe: probe.f(*probe.primals)),
        "reference route": Transformation("value", _without_kernels),
    }
    for dtype in ("float32", "float16", "bfloat16"):
        rows[dtype] = Transformation("value", rows["eager"].run, dtype)
    rows["float32, gradient"] = Transformation("vjp", _vjp, "float32")
    return rows


def _without_kernels(probe: Probe) -> Any:
    with use_kernels(False):
        return probe.f(*probe.primals)


def _contract() -> dict[str, Transformation]:
    """Rows made of members of the adapter contract alone."""
    return {
        "value_and_grad": Transformation("vjp", _value_and_grad),
        "vjp": Transformation("vjp", _vjp),
        "jvp": Transformation("jvp", _jvp),
        "linearize": Transformation("jvp", _linearize),
        "vmap": Transformation("values", lambda p: p.backend.vmap(p.f)(*p.batch)),
        "vmap(grad)": Transformation("vjps", lambda p: p.backend.vmap(_gradient(p))(*p.batch)),
        "jit": Transformation("value", lambda p: p.backend.jit(p.f)(*p.primals)),
        "forward over reverse": Transformation("hvp", _forward_over_reverse),
        "reverse over forward": Transformation("hvp", _reverse_over_forward),
        "reverse over reverse": Transformation("hvp", _reverse_over_reverse),
        "reverse, reference route": Transformation("vjp", _vjp_without_kernels),
    }


def _gradient(probe: Probe) -> Any:
    both = probe.backend.value_and_grad(probe.scalar, probe.places)
    return lambda *primals: tuple(both(*primals)[1])


def _value_and_grad(probe: Probe) -> Any:
    return _gradient(probe)(*probe.primals)


def _vjp(probe: Probe) -> Any:
    _, pullback = probe.backend.vjp(probe.f, *probe.primals)
    return pullback(probe.cotangent)


def _vjp_without_kernels(probe: Probe) -> Any:
    with use_kernels(False):
        return _vjp(probe)


def _jvp(probe: Probe) -> Any:
    return probe.backend.jvp(probe.f, probe.primals, probe.tangents)[1]


def _linearize(probe: Probe) -> Any:
    return probe.backend.linearize(probe.f, *probe.primals)[1](*probe.tangents)


def _forward_over_reverse(probe: Probe) -> Any:
    return probe.backend.jvp(_gradient(probe), probe.primals, probe.tangents)[1]


def _reverse_over_forward(probe: Probe) -> Any:
    def slope(*primals: Any) -> Any:
        return probe.backend.jvp(probe.scalar, primals, probe.tangents)[1]

    return probe.backend.value_and_grad(slope, probe.places)(*probe.primals)[1]


def _reverse_over_reverse(probe: Probe) -> Any:
    def slope(*primals: Any) -> Any:
        return probe.directional(_gradient(probe)(*primals))

    return probe.backend.value_and_grad(slope, probe.places)(*probe.primals)[1]
