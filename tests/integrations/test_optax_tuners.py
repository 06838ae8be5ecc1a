"""Tuners as transformations of optax, against the tuners themselves."""

import pickle

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
import jax.numpy as jnp  # noqa: E402

from fenchel import tuners  # noqa: E402
from fenchel.integrations.optax import cdat, oracle_gradients, scale_by_tuner, tuned  # noqa: E402


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((12, 3)), dtype=jnp.float32)
    y = jnp.asarray(rng.standard_normal(12), dtype=jnp.float32)
    w = {
        "a": jnp.asarray(rng.standard_normal((3, 4)), dtype=jnp.float32),
        "b": jnp.asarray(rng.standard_normal(4), dtype=jnp.float32),
    }

    def objective(w):
        return jnp.mean((jnp.tanh(x @ w["a"]) @ w["b"] - y) ** 2)

    return objective, w


def course(optimizer, objective, w, steps):
    """Train under jit; return parameters, learning rates and the last state."""

    @jax.jit
    def step(w, state):
        value, grad = jax.value_and_grad(objective)(w)
        updates, state = optimizer.update(grad, state, w, value_fn=objective, value=value)
        return optax.apply_updates(w, updates), state

    state, rates = optimizer.init(w), []
    for _ in range(steps):
        w, state = step(w, state)
        rates.append(float(optax.tree_utils.tree_get(state, "TunedState").learning_rate))
    return w, rates, state


def close(a, b, rel=1e-4):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.asarray(x) == pytest.approx(np.asarray(y), rel=rel, abs=1e-5)


@pytest.mark.parametrize(
    "tuner",
    [tuners.CDAT(base=tuners.Momentum(0.5)), tuners.Armijo()],
    ids=lambda t: type(t).__name__,
)
def test_the_same_numbers_as_the_tuner(problem, tuner):
    objective, w = problem
    found, rates, _ = course(tuned(tuner), objective, w, 6)
    state, expected = tuner.init(w), []
    for _ in range(6):
        w, state, info = tuner.step(objective, w, state)
        expected.append(float(info.learning_rate))
    assert rates == pytest.approx(expected, rel=1e-3)
    close(found, w, rel=1e-3)


def test_at_the_end_of_a_chain_as_with_the_base(problem):
    objective, w = problem
    chain = optax.chain(
        optax.scale_by_adam(eps=1e-8), optax.scale(-1.0), scale_by_tuner(tuners.CDAT())
    )
    ours = cdat(base=tuners.Adam())
    chained, rates, _ = course(chain, objective, w, 5)
    alone, expected, _ = course(ours, objective, w, 5)
    assert rates == pytest.approx(expected, rel=1e-3)
    close(chained, alone, rel=1e-3)


def test_the_state_keeps_its_structure_and_survives_pickling(problem):
    objective, w = problem
    optimizer = cdat(ema=0.9, every=2)
    first = optimizer.init(w)
    w, _, state = course(optimizer, objective, w, 3)
    assert jax.tree.structure(first) == jax.tree.structure(state)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(state), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    restored = pickle.loads(pickle.dumps(state))
    grad = jax.grad(objective)(w)
    one, _ = optimizer.update(grad, state, w, value_fn=objective)
    other, _ = optimizer.update(grad, restored, w, value_fn=objective)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.all(a == b)), one, other))


def test_arguments_reach_the_objective_by_name_and_by_place():
    def objective(w, target, unused=None):
        return jnp.sum((w - target) ** 2)

    w, optimizer = jnp.zeros(2), cdat(1.0)
    state, grad = optimizer.init(w), jnp.zeros(2)
    by_name, _ = optimizer.update(grad, state, w, value_fn=objective, target=3.0, value=1.0)
    by_place, _ = optimizer.update(grad, state, w, value_fn=objective, data=(3.0,))
    assert by_name.tolist() == by_place.tolist() == pytest.approx([3.0, 3.0])


def test_an_oracle_in_the_place_of_gradients(problem):
    from fenchel.losses import squared
    from fenchel.oracles import GaussNewton

    _, w = problem
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.standard_normal((12, 3)), dtype=jnp.float32)
    y = jnp.asarray(rng.standard_normal(12), dtype=jnp.float32)
    oracle = GaussNewton(squared, lambda p, x: jnp.tanh(x @ p["a"]) @ p["b"], gamma=0.5)
    optimizer = optax.chain(oracle_gradients(oracle), optax.sgd(0.5))
    updates, _ = optimizer.update(w, optimizer.init(w), w, inputs=x, targets=y)
    close(updates, oracle.direction(w, x, y)[0])
    with pytest.raises(TypeError, match="`oracle` must be an oracle of fenchel"):
        oracle_gradients(optax.sgd(0.1))


def test_what_is_refused():
    w, optimizer = jnp.ones(2), cdat()
    with pytest.raises(TypeError, match="`value_fn` must be given to `update`"):
        optimizer.update(w, optimizer.init(w), w)
    with pytest.raises(TypeError, match="`params` must be given to `update`"):
        optimizer.update(w, optimizer.init(w), value_fn=jnp.sum)
    with pytest.raises(TypeError, match="`tuner` must be a tuner of fenchel"):
        tuned(optax.sgd(0.1))
