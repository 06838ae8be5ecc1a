"""What the guard is for: convex problems on which the plain rule overflows."""

from __future__ import annotations

from collections.abc import Iterator

from fenchel.backend import Array, namespace
from fenchel.tuners import CDAT, Adam, GradientDescent

from ..paper import Claim, Run

__all__ = ["claims"]

SEEDS, STEPS = 4, 150


def logistic(w: Array, images: Array, signs: Array) -> Array:
    """Return the mean logistic loss of a linear classifier."""
    xp = namespace(w)
    margins = xp.multiply(signs, xp.matmul(images, w))
    zero = xp.zeros_like(margins)
    return xp.mean(xp.maximum(-margins, zero) + xp.log1p(xp.exp(-xp.abs(margins))))


def claims(run: Run) -> Iterator[Claim]:
    """Yield how many runs leave their start far behind, with and without a guard."""
    bases, guard = (GradientDescent(), Adam()), CDAT().guard
    without = [worst for base in bases for worst in _worst(run, CDAT(base=base, guard=None))]
    kept = [worst for base in bases for worst in _worst(run, CDAT(base=base, guard=guard))]
    share = sum(not worst <= 10.0 for worst in without) / len(without)
    yield Claim("share of runs that diverge without a guard", share, ">=", 0.5)
    yield Claim("largest loss of any guarded run over its first", max(kept), "<=", 1.0)


def _worst(run: Run, tuner: CDAT) -> Iterator[float]:
    """Yield the largest loss of a run over its first, infinity for NaN, one for each seed."""
    import numpy as np

    library = run.library
    step = library.compiled(lambda w, state, data: tuner.step(logistic, w, state, *data))
    for seed in range(1 if run.quick else SEEDS):
        rng = np.random.default_rng(seed)
        images, signs = rng.standard_normal((8, 3)), np.where(rng.random(8) < 0.5, -1.0, 1.0)
        data = (library.array(images), library.array(signs))
        w = library.array([0.1] * 3)
        state, values = tuner.init(w), []
        for _ in range(STEPS):
            w, state, info = step(w, state, data)
            values.append(float(info.value))
        ratios = np.asarray(values) / values[0]
        yield float(np.nan_to_num(ratios, nan=np.inf, posinf=np.inf).max())
