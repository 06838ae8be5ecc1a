"""One regularizer of every kind, with scores and points for it."""

import numpy as np

from fenchel import regularizers as r
from fenchel.convex import CappedSimplex, Cube, Knapsack, L2Ball, NonNegative, Reals, Simplex
from tests.regularizers.oracles import DIVERGENCES

Q = np.random.default_rng(11).dirichlet(np.ones(5), size=3) * 1.4

SIMPLEX = {
    "Shannon": r.Shannon(),
    "Gini": r.Gini(),
    "Tsallis 1.01": r.Tsallis(1.01),
    "Tsallis 1.5": r.Tsallis(1.5),
    "Tsallis 3": r.Tsallis(3.0),
    "Tsallis rows": r.Tsallis(np.asarray([[1.0], [1.6], [2.6]])),
    "NormEntropy 1.4": r.NormEntropy(1.4),
    "NormEntropy 3": r.NormEntropy(3.0),
    "NormEntropy rows": r.NormEntropy(np.asarray([[1.3], [2.0], [4.0]])),
    **{name: r.FDivergence(name) for name in DIVERGENCES},
    **{f"{name}, reference": r.FDivergence(name, Q) for name in DIVERGENCES},
    "alpha -1.5": r.FDivergence("alpha", Q, -1.5),
    "alpha 1.5": r.FDivergence("alpha", Q[0], 1.5),
    "alpha 3": r.FDivergence("alpha", Q, 3.0),
    "alpha rows": r.FDivergence("alpha", Q, np.asarray([[-0.4], [1.0], [2.6]])),
}
OTHERS = {
    "simplex": r.SquaredNorm(Simplex()),
    "capped simplex": r.SquaredNorm(CappedSimplex(2)),
    "cube": r.SquaredNorm(Cube()),
    "ball": r.SquaredNorm(L2Ball()),
    "space": r.SquaredNorm(Reals()),
    "entropic cube": r.Entropic(Cube()),
    "entropic capped simplex": r.Entropic(CappedSimplex(2)),
    "entropic orthant": r.Entropic(NonNegative()),
    "entropic knapsack": r.Entropic(Knapsack(1.0, 2.0)),
    "mask 2": r.PNorm(CappedSimplex(2), 2.0),
    "mask 4/3": r.PNorm(CappedSimplex(2), 4 / 3),
    "power on the simplex": r.PNorm(Simplex(), 3.0),
    "power on the cube": r.PNorm(Cube(), 1.5),
    "power on the orthant": r.PNorm(NonNegative(), 1.5),
    "power": r.PNorm(Reals(), 3.0),
    "one bit, Shannon": r.BinaryShannon(),
    "one bit, Gini": r.BinaryGini(),
}
ALL = {**SIMPLEX, **OTHERS}


def total(omega, entries):
    """Sum over what is one event."""
    return entries if omega.elementwise else entries.sum(axis=-1)
