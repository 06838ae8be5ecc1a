"""What directions do not depend on: order, names, terms common to all scores, units."""

import numpy as np
import pytest

import fenchel
from fenchel import losses
from fenchel.oracles import GaussNewton, ProxLinear
from tests.oracles.dense import problem

KINDS = (GaussNewton, ProxLinear)


def direction(kind, loss, predict, w, x, y, **options):
    oracle = kind(loss, predict, **{"gamma": 2.0, "rtol": 0.0, "max_iter": 80, **options})
    return oracle.direction(w, x, y)[0]


def parts(seed=0):
    rng = np.random.default_rng(seed)
    w = {"a": rng.normal(size=(3, 5)), "b": rng.normal(size=(5, 4))}
    return rng, w, rng.normal(size=(7, 3)), rng.integers(0, 4, 7)


def network(w, x):
    xp = fenchel.namespace(x)
    return xp.matmul(xp.tanh(xp.matmul(x, w["a"])), w["b"])


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_samples_and_classes(kind):
    rng, w, x, y = parts()
    plain = direction(kind, losses.logistic, network, w, x, y)
    order, classes = rng.permutation(7), rng.permutation(4)
    again = direction(kind, losses.logistic, network, w, x[order], y[order])
    renamed = {"a": w["a"], "b": w["b"][:, classes]}
    named = direction(kind, losses.logistic, network, renamed, x, np.argsort(classes)[y])
    for found in (again, {"a": named["a"], "b": named["b"][:, np.argsort(classes)]}):
        for name, part in found.items():
            np.testing.assert_allclose(part, plain[name], atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", [losses.logistic, losses.sparsemax_loss])
def test_a_common_term_of_all_scores(kind, loss):
    """Scores and rows of the Jacobian shifted by a common vector: the argmax sees neither."""
    _, w, x, y = parts(1)

    def shifted(w, x):
        z, xp = network(w, x), fenchel.namespace(x)
        return z + xp.sum(z * z, axis=-1, keepdims=True) + 3.0

    plain, moved = (direction(kind, loss, f, w, x, y) for f in (network, shifted))
    for name, part in plain.items():
        np.testing.assert_allclose(moved[name], part, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_units_of_the_loss(kind):
    """Half the squared distance of scores and targets scaled by s is s^2 times itself."""
    case, scale = problem("squared"), 1.7
    larger = direction(
        kind, case.loss, lambda w, x: scale * case.predict(w, x), case.w, case.x, scale * case.y,
        gamma=2.0 / scale**2,
    )  # fmt: skip
    plain = direction(kind, case.loss, case.predict, case.w, case.x, case.y)
    np.testing.assert_allclose(larger, plain, atol=1e-11)
