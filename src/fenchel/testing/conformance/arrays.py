"""Members about arrays: what they are, sums over segments, containers, randomness."""

from __future__ import annotations

import numpy as np

from ...backend import backend_of
from .tools import Tools, require

__all__ = ["CHECKS"]


def _name(t: Tools) -> None:
    require(isinstance(t.backend.name, str) and t.backend.name != "", "`name` is no name")


def _lookup(t: Tools) -> None:
    found = backend_of(t.array([1.0]))
    require(found.name == t.backend.name, f"backend_of gives {found.name!r}")


def _namespace(t: Tools) -> None:
    x = t.array([[3.0, 1.0, 2.0]])
    t.same(t.xp.sort(x, axis=-1), [[1.0, 2.0, 3.0]], "sort")
    t.same(t.xp.where(x > 1.5, x, t.xp.zeros_like(x)), [[3.0, 0.0, 2.0]], "where")
    t.same(t.xp.sum(x, axis=-1, keepdims=True), [[6.0]], "sum")


def _host(t: Tools) -> None:
    for values in ([[1.5, -2.0]], [[1, 2]], [[True, False]]):
        x = np.asarray(values)
        back = t.like(t.array(x))
        require(back.dtype.kind == x.dtype.kind, f"{x.dtype} comes back as {back.dtype}")
        t.same(t.array(x), x, "the array")


def _host_is_a_copy(t: Tools) -> None:
    source = np.asarray([1.0, 2.0])
    x = t.array(source)
    y = x + 1.0
    t.same(x, [1.0, 2.0], "an array after use")
    t.same(y, [2.0, 3.0], "x + 1")


def _traced(t: Tools) -> None:
    require(not t.backend.is_traced(t.array([1.0])), "an array with values counts as traced")


def _device(t: Tools) -> None:
    device = t.backend.device_of(t.array([1.0]))
    if device is not None:
        t.same(t.xp.zeros(2, device=device), [0.0, 0.0], "an array made on `device_of`")


def _segment_sum(t: Tools) -> None:
    values, ids = t.array([[1.0, 2.0, 4.0, 8.0]] * 2), t.array([[0, 2, 2, 0], [3, 1, 0, 1]])
    found = t.backend.segment_sum(values, ids, 4)
    t.same(found, [[9.0, 0.0, 6.0, 0.0], [4.0, 10.0, 0.0, 1.0]], "segment_sum")
    require(found.dtype == values.dtype, "segment_sum changes the dtype")
    t.same(t.backend.segment_sum(values[:0, :], ids[:0, :], 4), np.zeros((0, 4)), "no rows")
    flat = t.backend.segment_sum(values[0, :], ids[0, :], 3)
    t.same(flat, [9.0, 0.0, 6.0], "segment_sum without a batch")


def _scatter_add(t: Tools) -> None:
    x = t.array([[10.0, 20.0, 30.0]])
    found = t.backend.scatter_add(x, t.array([[2, 0, 2]]), t.array([[1.0, 2.0, 3.0]]))
    t.same(found, [[12.0, 20.0, 34.0]], "scatter_add")
    t.same(x, [[10.0, 20.0, 30.0]], "the input of scatter_add")


def _top_k(t: Tools) -> None:
    x = t.array([[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    values, places = t.backend.top_k(x, 2)
    t.same(values, [[3.0, 3.0], [0.0, 0.0]], "the values of top_k")
    t.same(places, [[1, 2], [0, 1]], "the places of top_k (ties by lower index)")


def _trees(t: Tools) -> None:
    tree = {"b": t.array([1.0]), "a": (t.array([2.0]), [t.array([3.0])])}
    leaves, structure = t.backend.tree_flatten(tree)
    require(len(leaves) == 3, f"three leaves are counted as {len(leaves)}")
    again = t.backend.tree_unflatten(structure, [leaf + 1.0 for leaf in leaves])
    require(set(again) == {"a", "b"} and isinstance(again["a"], tuple), "structure is lost")
    t.same(again["a"][1][0], [4.0], "a leaf put back")


def _sampler(t: Tools) -> None:
    for kind in ("normal", "uniform"):
        first, second = (getattr(t.backend.sampler(7), kind)((4, 5)) for _ in range(2))
        t.same(first, t.like(second), f"{kind} draws from the same seed")
        require(tuple(first.shape) == (4, 5), f"{kind} draws have shape {first.shape}")
        require(t.xp.isdtype(first.dtype, "real floating"), f"{kind} draws are {first.dtype}")
    uniform = t.like(t.backend.sampler(0).uniform((1000,)))
    require(bool((uniform >= 0).all() and (uniform < 1).all()), "uniform draws leave [0, 1)")
    integers = t.like(t.backend.sampler(0).integers(2, 5, (1000,)))
    require(set(integers.tolist()) == {2, 3, 4}, f"integers in [2, 5) are {set(integers.tolist())}")
    normal = t.like(t.backend.sampler(0).normal((4000,)))
    require(abs(normal.mean()) < 0.1 and abs(normal.std() - 1) < 0.1, "normal draws are not normal")


def _sampler_advances(t: Tools) -> None:
    sampler = t.backend.sampler(1)
    first, second = t.like(sampler.normal((3,))), t.like(sampler.normal((3,)))
    require(bool((first != second).all()), "two draws of one sampler are equal")


CHECKS = {
    "name": _name,
    "backend_of": _lookup,
    "namespace": _namespace,
    "from_host, to_host": _host,
    "from_host, values kept": _host_is_a_copy,
    "is_traced": _traced,
    "device_of": _device,
    "segment_sum": _segment_sum,
    "scatter_add": _scatter_add,
    "top_k": _top_k,
    "tree_flatten, tree_unflatten": _trees,
    "sampler": _sampler,
    "sampler, successive draws": _sampler_advances,
}
