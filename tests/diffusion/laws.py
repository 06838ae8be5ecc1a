"""Laws with known answers, written for arrays of any library."""

import numpy as np

import fenchel
from fenchel.diffusion import Energy, GaussianMixture

HEXAGON = 4.0 * np.stack(
    [np.cos(np.pi / 3 * np.arange(6)), np.sin(np.pi / 3 * np.arange(6))], axis=-1
)


def half_square(x, center):
    xp = fenchel.namespace(x, center)
    return xp.sum((x - center) ** 2, axis=-1) / 2


def quartic(x, params):
    """An energy without a closed normaliser, of two parameters in a container."""
    xp = fenchel.namespace(x, params["a"], params["b"])
    return xp.sum(params["a"] * x**4 / 4 + params["b"] * x, axis=-1)


well = Energy(half_square)
bumpy = Energy(quartic)


def hexagon(xp, dtype="float64"):
    return GaussianMixture(xp.array(HEXAGON, dtype=dtype))


def flat(xp, tree):
    return np.concatenate([np.ravel(xp.numpy(leaf)) for leaf in fenchel.trees.leaves(tree)])


def draws(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)
