"""The transformation matrix: an operator of one library under every transformation it has."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..backend import backend_named, backend_of
from .catalogue import operators
from .operator import Operator
from .reference import Point, Reference, draw_point, split
from .rows import transformations
from .transformation import ORDERS, Probe, Transformation

__all__ = [
    "Outcome",
    "check_operator",
    "compared",
    "gap",
    "probe_of",
    "references",
    "resolve",
    "to_library",
    "to_numpy",
]

# By order of derivative: what rounding and, for derivatives, the reference's differences leave.
TOLERANCES = {
    "float64": (1e-10, 1e-7, 1e-5),
    "float32": (1e-5, 2e-4, 2e-3),
    "float16": (4e-3, 4e-2, 1e-1),
    "bfloat16": (3e-2, 1e-1, 1e-1),
}


@dataclass(frozen=True)
class Outcome:
    """What one transformation of one operator gave.

    Attributes
    ----------
    operator, library, transformation
        Names.
    status
        "ok"; "error" if it raised; "wrong" if it gave another value, dtype or shape; "refused" if
        the operator's entry says so; "none" if the library has no such dtype.
    error
        Largest difference from the reference, relative to the larger of 1 and the largest entry;
        None where there was no number.
    message
        What was raised or wrong.
    """

    operator: str
    library: str
    transformation: str
    status: str
    error: float | None = None
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is to be repaired."""
        return self.status in ("ok", "refused", "none")

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)


def check_operator(
    op: Operator | str,
    xp: Any,
    *,
    device: Any = None,
    only: Collection[str] | None = None,
    compiled: bool = True,
) -> tuple[Outcome, ...]:
    """Run an operator of a library under every transformation, and compare with the reference.

    Parameters
    ----------
    op
        Entry of `fenchel.testing.operators`, or its name.
    xp
        Array namespace of the library, its adapter, or its name.
    device
        Device of the arrays; the library's default if absent.
    only
        Names of transformations to run; all if absent.
    compiled
        Whether to run those that call a slow compiler.

    Returns
    -------
    tuple of Outcome
        One a transformation; no exception of the operator escapes.

    Raises
    ------
    ValueError
        If `only` has an unknown name, or the sample of the operator is near a kink.

    Examples
    --------
    >>> import numpy as np
    >>> all(outcome.ok for outcome in check_operator("sparsemax", np))
    True
    """
    entry = operators[op] if isinstance(op, str) else op
    backend = resolve(xp)
    rows = transformations(backend)
    if only is not None and not set(only) <= set(rows):
        raise ValueError(f"`only` must name rows of {sorted(rows)}; got {sorted(only)}")
    return tuple(
        _outcome(entry, backend, device, name, row)
        for name, row in rows.items()
        if (only is None or name in only)
        and (compiled or not row.compiles)
        and ORDERS[row.quantity] <= entry.order
    )


def resolve(xp: Any) -> Any:
    """Return the adapter for a namespace, an adapter or a name."""
    if isinstance(xp, str):
        return backend_named(xp)
    if hasattr(xp, "stop_gradient") and hasattr(xp, "namespace"):
        return xp
    return backend_of(xp.asarray(np.zeros(1)))


def to_library(backend: Any, x: Any, dtype: str, device: Any = None) -> Any:
    """Return a NumPy array as one of the library, a floating one in the dtype `dtype`."""
    xp, floating = backend.namespace, x.dtype.kind == "f"
    if floating:  # cast before: a device may have no float64
        x = x.astype("float32" if dtype == "bfloat16" else dtype)
    array = backend.from_host(x) if device is None else xp.asarray(x, device=device)
    return xp.astype(array, xp.bfloat16) if floating and dtype == "bfloat16" else array


def to_numpy(backend: Any, x: Any) -> Any:
    """Return an array of the library as a NumPy array in float64."""
    xp = backend.namespace
    name = str(x.dtype)
    if "float16" in name:
        x = xp.astype(x, xp.float32)
    return np.asarray(backend.to_host(x), dtype=np.float64)


@lru_cache(maxsize=4096)  # of a few numbers each: every operator in every dtype
def references(entry: Operator, dtype: str) -> tuple[Reference, Reference]:
    """Return the references at both points, rounded to what `dtype` can hold."""
    points = (draw_point(entry, 0), draw_point(entry, 1))
    return tuple(Reference(entry, _rounded(point, dtype)) for point in points)  # type: ignore[return-value]


def _rounded(point: Point, dtype: str) -> Point:
    if dtype == "float64":
        return point

    def rounded(x: Any) -> Any:
        return _round(x, dtype) if x.dtype.kind == "f" else x

    return Point(
        tuple(map(rounded, point.primals)),
        tuple(map(rounded, point.constants)),
        tuple(map(rounded, point.tangents)),
        rounded(point.cotangent),
    )


def _round(x: Any, dtype: str) -> Any:
    if dtype != "bfloat16":
        return x.astype(dtype).astype(np.float64)
    # NumPy has no bfloat16: a float32 of which the lower half is cut off, which it can hold.
    bits = x.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
    return bits.view(np.float32).astype(np.float64).reshape(x.shape)


def probe_of(entry: Operator, backend: Any, device: Any, dtype: str) -> Probe:
    """Return the sample points of an operator as arrays of a library."""
    first, second = (reference.point for reference in references(entry, dtype))

    def carry(x: Any) -> Any:
        return to_library(backend, x, dtype, device)

    return Probe(
        backend,
        split(entry, len(first.primals) + len(first.constants)),
        tuple(map(carry, first.primals)),
        tuple(map(carry, first.constants)),
        tuple(map(carry, first.tangents)),
        carry(first.cotangent),
        tuple(carry(np.stack(pair)) for pair in zip(first.primals, second.primals, strict=True)),
    )


def _outcome(entry: Operator, backend: Any, device: Any, name: str, row: Transformation) -> Outcome:
    labels = (entry.name, backend.name, name)
    dtype = row.dtype or "float64"
    if not hasattr(backend.namespace, dtype):
        return Outcome(*labels, "none", message=f"no {dtype}")
    probe = probe_of(entry, backend, device, dtype)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = row.run(probe)
    except Exception as reason:  # whatever an operator raises is the finding
        status = "refused" if name in entry.exceptions else "error"
        return Outcome(*labels, status, message=f"{type(reason).__name__}: {reason}")
    return compared(labels, entry, probe, row, dtype, found)


def compared(
    labels: tuple[str, str, str],
    entry: Operator,
    probe: Probe,
    row: Transformation,
    dtype: str,
    found: Any,
) -> Outcome:
    """Return the outcome of a row, named by `labels`, that gave `found`."""
    known = references(entry, dtype)
    if row.quantity in ("shape", "passes", "passes twice"):
        wanted = known[0].value.shape if row.quantity == "shape" else True
        right = (tuple(found) if row.quantity == "shape" else found) == wanted
        return Outcome(*labels, "ok" if right else "wrong", message=f"gave {found}")
    leaves = found if isinstance(found, tuple) else (found,)
    kept = all(leaf.dtype == probe.primals[0].dtype for leaf in _flat(leaves))
    if not kept or backend_of(_flat(leaves)[0]).name != probe.backend.name:
        return Outcome(*labels, "wrong", message="another dtype or library")
    error = _error(row.quantity, found, probe, known)
    limit = entry.tolerance * TOLERANCES[dtype][ORDERS[row.quantity]]
    if error <= limit:
        return Outcome(*labels, "ok", error)
    return Outcome(*labels, "wrong", error, f"differs by {error:.1e}, more than {limit:.1e}")


def _flat(leaves: Any) -> list[Any]:
    return [x for leaf in leaves for x in (_flat(leaf) if isinstance(leaf, tuple) else [leaf])]


def _error(quantity: str, found: Any, probe: Probe, known: tuple[Any, Any]) -> float:
    def read(x: Any) -> Any:
        return to_numpy(probe.backend, x)

    first, second = known
    if quantity in ("value", "jvp"):
        return gap(read(found), getattr(first, quantity))
    if quantity == "values":
        return gap(read(found), np.stack([first.value, second.value]))
    if quantity == "vjps":
        stacked = [
            np.stack(pair)
            for pair in zip(first.vjp, second.pullback(first.point.cotangent), strict=True)
        ]
        return max(gap(read(a), b) for a, b in zip(found, stacked, strict=True))
    if quantity == "hessian":
        products = [
            sum(
                np.tensordot(read(block), t, axes=t.ndim)
                for block, t in zip(blocks, first.point.tangents, strict=True)
            )
            for blocks in found
        ]
        return max(gap(a, b) for a, b in zip(products, first.hvp, strict=True))
    wanted = getattr(first, quantity)
    return max(gap(read(a), b) for a, b in zip(found, wanted, strict=True))


def gap(found: Any, wanted: Any) -> float:
    """Largest difference, relative to the larger of 1 and the largest entry; inf by shape."""
    if found.shape != np.shape(wanted):
        return float("inf")
    if found.size == 0:
        return 0.0
    difference = float(np.max(np.abs(found - wanted)))
    size = max(1.0, float(np.max(np.abs(wanted))))
    return difference / size if np.isfinite(difference) else float("inf")
