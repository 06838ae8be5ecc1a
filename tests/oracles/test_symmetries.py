"""What directions do not depend on, and how they change with gamma: drawn batches and networks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fenchel
from fenchel import losses
from fenchel.oracles import GaussNewton, ProxLinear
from tests.oracles.dense import NONSMOOTH, problem

KINDS = (GaussNewton, ProxLinear)
NAMES = ("logistic", "sparsemax_loss", "squared", "huber", "squared_hinge", "binary_logistic")
seeds = st.integers(0, 10_000)
few = settings(max_examples=10)


@st.composite
def batches(draw, names=NAMES):
    """Draw a problem of some loss, and a generator for what is done to it."""
    sizes = {"m": st.integers(1, 5), "k": st.integers(2, 3), "hidden": st.integers(1, 3)}
    drawn = {name: draw(size) for name, size in sizes.items()}
    case = problem(draw(st.sampled_from(names)), **drawn, seed=draw(seeds))
    return case, np.random.default_rng(draw(seeds))


def direction(kind, case, *weights, predict=None, w=None, gamma=2.0, **options):
    oracle = kind(
        case.loss, predict or case.predict, gamma=gamma, rtol=0.0,
        **{"max_iter": 80, **options},
    )  # fmt: skip
    return oracle.direction(case.w if w is None else w, case.x, case.y, *weights)


def near(found, expected, room=1e-10):
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=room * scale)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(drawn=batches())
def test_order_of_samples(kind, drawn):
    case, rng = drawn
    plain = direction(kind, case)[0]
    order = rng.permutation(len(case.y))
    case.x, case.y = case.x[order], case.y[order]
    near(direction(kind, case)[0], plain)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(drawn=batches(("logistic", "sparsemax_loss", "squared")))
def test_names_of_outputs(kind, drawn):
    case, rng = drawn
    plain = direction(kind, case)[0]
    order = rng.permutation(case.k)
    if case.y.ndim == 1:
        case.y = np.argsort(order)[case.y]
    else:
        case.y = case.y[:, order]
    columns = lambda w, x: fenchel.namespace(w).take(case.predict(w, x), order, axis=1)
    near(direction(kind, case, predict=columns)[0], plain)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(drawn=batches(), copies=st.integers(2, 3))
def test_weights_of_samples(kind, drawn, copies):
    """Only ratios count; a zero drops a sample, whatever it holds; copies are one weight."""
    case, rng = drawn
    weights = rng.uniform(0.5, 2.0, len(case.y))
    plain, weighted = direction(kind, case)[0], direction(kind, case, weights)[0]
    near(direction(kind, case, 7.0 * weights)[0], weighted)
    near(direction(kind, case, np.ones(len(case.y)))[0], plain)
    x, y = case.x, case.y
    case.x, case.y = np.repeat(x, copies, axis=0), np.repeat(y, copies, axis=0)
    near(direction(kind, case)[0], plain)
    case.x = np.concatenate([x, np.full((1, 2), np.nan)])
    case.y = np.concatenate([y, y[:1]])
    near(direction(kind, case, np.append(weights, 0.0))[0], weighted, 1e-12)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(drawn=batches(("logistic", "sparsemax_loss")))
def test_a_common_term_of_all_scores(kind, drawn):
    """Scores and rows of the Jacobian shifted by a common vector: the argmax sees neither."""
    case, _ = drawn

    def shifted(w, x):
        z, xp = case.predict(w, x), fenchel.namespace(w)
        return z + xp.sum(z * z, axis=-1, keepdims=True) + xp.sum(w) + 3.0

    near(direction(kind, case, predict=shifted)[0], direction(kind, case)[0], 1e-9)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(drawn=batches())
def test_coordinates_of_the_parameters(kind, drawn):
    """Rotations, and with the metric rescaled along, other units of each parameter."""
    case, rng = drawn
    p, plain = case.w.shape[0], direction(kind, case)[0]
    turn = np.linalg.qr(rng.normal(size=(p, p)))[0]
    turned = lambda v, x: case.predict(fenchel.namespace(v).matmul(turn, v), x)
    near(turn @ direction(kind, case, predict=turned, w=turn.T @ case.w)[0], plain)
    units = rng.uniform(0.5, 2.0, p)
    other = lambda v, x: case.predict(units * v, x)
    found = direction(kind, case, predict=other, w=case.w / units, metric=units**2)[0]
    near(units * found, plain)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(drawn=batches(("squared",)), scale=st.floats(0.3, 3.0))
def test_units_of_the_loss(kind, drawn, scale):
    """Half the squared distance of scores and targets scaled by s is s^2 times itself."""
    case, _ = drawn
    plain = direction(kind, case)[0]
    case.y = scale * case.y
    larger = lambda w, x: scale * case.predict(w, x)
    near(direction(kind, case, predict=larger, gamma=2.0 / scale**2)[0], plain)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(drawn=batches(), log_gamma=st.floats(-3.0, 3.0), growth=st.floats(1.1, 10.0))
def test_growth_in_gamma(kind, drawn, log_gamma, growth):
    """Longer with gamma, never longer than the gradient's step, downhill by its own square."""
    case, _ = drawn
    gamma = 10.0**log_gamma
    d, info = direction(kind, case, gamma=gamma)
    longer, _ = direction(kind, case, gamma=growth * gamma)
    size, (_, g, _) = np.linalg.norm(d), case.system()
    room = 1e-9 * (1.0 + gamma * np.linalg.norm(g))
    assert np.linalg.norm(longer) >= size - room
    assert size <= gamma * np.linalg.norm(g) + room
    assert float(info.slope) <= -(size**2) / gamma + room**2 / gamma + 1e-12
    assert float(info.slope) == pytest.approx(g @ d, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(drawn=batches())
def test_short_directions_are_those_of_the_gradient(kind, drawn):
    case, _ = drawn
    _, g, _ = case.system()
    near(direction(kind, case, gamma=1e-8)[0] / 1e-8, -g, 1e-5)


@few
@given(seed=seeds, n=st.integers(1, 4), k=st.integers(1, 3))
def test_least_squares_in_one_step(seed, n, k):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(12, n)), rng.normal(size=(12, k))
    exact = np.linalg.lstsq(x, y, rcond=None)[0]
    for kind in KINDS:
        oracle = kind(losses.squared, lambda w, x: x @ w, gamma=1e8, rtol=0.0, max_iter=60)
        d, _ = oracle.direction(np.zeros((n, k)), x, y)
        np.testing.assert_allclose(d, exact, atol=1e-6 * max(1.0, np.abs(exact).max()))


@few
@given(seed=seeds, m=st.integers(1, 5), k=st.integers(1, 4), log_gamma=st.floats(6.0, 9.0))
def test_least_norm_where_parameters_abound(seed, m, k, log_gamma):
    """The squared loss, gamma without bound: d = -J^+ (f - y) where the rows of J are free."""
    rng, p = np.random.default_rng(seed), 4 * m * k
    jac, f, y = rng.normal(size=(m * k, p)), rng.normal(size=(m, k)), rng.normal(size=(m, k))
    predict = lambda w, x: fenchel.namespace(w).reshape(jac @ w, (m, k)) + f
    for kind in KINDS:
        oracle = kind(losses.squared, predict, gamma=10.0**log_gamma, rtol=0.0, max_iter=80)
        d, info = oracle.direction(np.zeros(p), np.zeros((m, 1)), y)
        near(d, -np.linalg.pinv(jac) @ (f - y).ravel(), 1e-4)
        assert float(info.value) < 1e-4


@few
@given(drawn=batches(), log_gamma=st.floats(2.0, 6.0))
def test_any_gamma_is_solved(drawn, log_gamma):
    """Solves cut short by their first number of steps go on where these were not enough."""
    case, _ = drawn
    gamma = 10.0**log_gamma
    d, info = direction(ProxLinear, case, gamma=gamma)
    primal, dual, _ = case.primal_and_dual(d, info.dual, gamma)
    assert primal - dual <= 1e-7 * max(1.0, abs(primal))


@few
@given(
    drawn=batches(("logistic", "sparsemax_loss", "hinge", "perceptron", "huber", "absolute")),
    count=st.integers(0, 8),
)
def test_rows_of_dual_points(drawn, count):
    """Differences of two points of the simplex, or entries in a box, however early it ends."""
    case, _ = drawn
    found = [direction(ProxLinear, case, max_iter=count)[1].dual]
    if case.name not in NONSMOOTH:
        found.append(direction(GaussNewton, case, max_iter=count)[1].dual)
    box = {"huber": 0.7, "absolute": 1.0}.get(case.name)
    for dual in found if box is None else found[:1]:
        if box is None:
            np.testing.assert_allclose(dual.sum(axis=1), 0.0, atol=1e-12)
        else:
            assert np.abs(dual).max() <= box + 1e-12
