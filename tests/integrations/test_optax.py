"""Losses with the signature of optax: its own values where they are right."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402

from fenchel import losses  # noqa: E402
from fenchel.integrations import optax as functions  # noqa: E402

FUNCTIONS = [
    functions.logistic_loss,
    functions.sparsemax_loss,
    functions.entmax_loss,
    functions.f_divergence_loss,
    functions.fitzpatrick_logistic_loss,
    functions.fitzpatrick_sparsemax_loss,
]


@pytest.fixture
def scores():
    return jnp.asarray(np.random.default_rng(0).standard_normal((5, 4)), dtype=jnp.float32)


@pytest.fixture
def labels():
    return jnp.asarray([0, 3, 1, 1, 2])


def test_optax_agrees(scores, labels):
    optax = pytest.importorskip("optax")
    ours = functions.logistic_loss(scores, labels)
    theirs = optax.losses.softmax_cross_entropy_with_integer_labels(scores, labels)
    assert np.asarray(ours) == pytest.approx(np.asarray(theirs), abs=1e-6)
    ours = functions.sparsemax_loss(scores, labels)
    theirs = optax.losses.multiclass_sparsemax_loss(scores, labels)
    assert np.asarray(ours) == pytest.approx(np.asarray(theirs), abs=1e-6)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_one_value_an_example_under_every_transformation(scores, labels, function):
    values = function(scores, labels)
    assert values.shape == (5,)
    assert np.asarray(jax.jit(function)(scores, labels)) == pytest.approx(
        np.asarray(values), abs=1e-6
    )
    mapped = jax.vmap(function)(scores, labels)
    assert np.asarray(mapped) == pytest.approx(np.asarray(values), abs=1e-6)
    gradient = jax.grad(lambda s: jnp.sum(function(s, labels)))(scores)
    assert np.asarray(jnp.sum(gradient, axis=-1)) == pytest.approx(np.zeros(5), abs=1e-5)
    swapped = function(scores.T, labels, axis=0)
    assert np.asarray(swapped) == pytest.approx(np.asarray(values), abs=1e-6)


def test_dense_labels_and_masks(scores):
    dense = jax.nn.softmax(scores, axis=-1)
    assert np.asarray(functions.logistic_loss(scores, dense)) == pytest.approx(
        np.zeros(5), abs=1e-6
    )
    where = jnp.asarray([True, True, True, False])
    masked = functions.sparsemax_loss(scores, jnp.zeros(5, dtype=jnp.int32), where=where)
    short = functions.sparsemax_loss(scores[:, :3], jnp.zeros(5, dtype=jnp.int32))
    assert np.asarray(masked) == pytest.approx(np.asarray(short), abs=1e-6)


def test_per_example_of_any_loss(scores):
    values = functions.per_example(losses.squared)(scores, jnp.zeros_like(scores))
    assert np.asarray(values) == pytest.approx(
        0.5 * np.sum(np.asarray(scores) ** 2, axis=1), abs=1e-5
    )
