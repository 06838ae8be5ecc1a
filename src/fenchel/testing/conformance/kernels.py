"""Members that an adapter may leave out: special functions, structure kernels, fused rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...convex.magnitude import magnitude_threshold
from ...convex.pooling import pool_kl, pool_squared, pool_weighted
from ...convex.thresholds import mask_threshold
from .tools import Tools, require

__all__ = ["CHECKS"]

_SPECIAL = {"erf": 0.5204998778130465, "ndtr": 0.6914624612740131, "gammaln": 0.5723649429247001}

_SCORES = ((3.0, 1.0, 0.5, 2.0), (0.3, 0.1, 0.2, 0.4))
_WEIGHTS = ((1.0, 2.5, 0.7, 1.3), (0.6, 1.9, 1.1, 0.8))


def _special(t: Tools) -> None:
    for name, wanted in _SPECIAL.items():
        function = t.backend.special(name)
        if function is not None:
            t.same(function(t.array([0.5])), [wanted], name)


def _against(name: str, reference: Callable[..., Any], *params: float, count: int = 1) -> Any:
    """Return a check that the kernel `name`, where there is one, agrees with the reference."""

    def check(t: Tools) -> None:
        inputs = [t.array(rows) for rows in (_SCORES, _WEIGHTS)[:count]]
        kernel = t.backend.kernel(name, inputs[0].dtype, t.backend.device_of(inputs[0]))
        if kernel is None:
            return
        wanted = t.like(reference(t.backend, *inputs, *params))
        t.same(kernel(*inputs, *params), wanted, name)
        rows = [t.array([[float(value)]] * 2) for value in params]
        t.same(kernel(*inputs, *rows), wanted, f"{name} with one parameter a row")
        broken = [t.array([[np.nan, 1.0, 2.0, 3.0], _SCORES[1]]), *inputs[1:]]
        found = t.like(kernel(*broken, *params))
        whole = t.like(kernel(*(x[1:, :] for x in broken), *params))
        require(bool(np.array_equal(found[1:], whole)), f"{name}: a NaN leaks into another row")

    return check


def _fused(t: Tools) -> None:
    x = t.array(_SCORES)
    apply = t.backend.fused("isotonic", x)
    if apply is not None:
        found = apply(lambda x: x, x, (1,))
        t.same(found, [[1.5, 1.5, 1.5, 2.0], [0.2, 0.2, 0.2, 0.4]], "the fused isotonic fit")
        t.same(x, _SCORES, "the input of a fused rule")


CHECKS = {
    "special": _special,
    "kernel mask_threshold": _against("mask_threshold", mask_threshold, 2.0, 1.5, 2.0),
    "kernel magnitude_threshold": _against(
        "magnitude_threshold", magnitude_threshold, 2.0, 1.5, 2.0
    ),
    "kernel isotonic_blocks": _against("isotonic_blocks", pool_squared, 1),
    "kernel weighted_isotonic_blocks": _against(
        "weighted_isotonic_blocks", pool_weighted, 0, count=2
    ),
    "kernel kl_isotonic_blocks": _against("kl_isotonic_blocks", pool_kl, 1, count=2),
    "fused isotonic": _fused,
}
