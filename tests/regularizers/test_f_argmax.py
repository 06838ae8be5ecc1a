"""The argmax regularised by an f-divergence: values, edges, derivatives."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fenchel import backend_of, entmax, softmax, sparsemax
from fenchel.operators import f_argmax
from tests.derivatives import jvp_matrix, vjp_matrix
from tests.regularizers import oracles
from tests.regularizers.oracles import DIVERGENCES

RNG = np.random.default_rng(5)
X = RNG.normal(size=(3, 5)) * 2
Q = RNG.dirichlet(np.ones(5), size=3) * 1.6
ALPHAS = (-1.5, 0.0, 0.3, 0.5, 0.999, 1.001, 1.4, 2.0, 2.5, 4.0)


def named(name, alpha=None):
    return {"divergence": name} if alpha is None else {"divergence": "alpha", "alpha": alpha}


CASES = [(name, None) for name in DIVERGENCES] + [("alpha", a) for a in ALPHAS if a != 0.0]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "alpha"), CASES)
def test_equals_bisection_in_60_digits(name, alpha, weighted):
    q = Q if weighted else None
    found = f_argmax(X, reference=q, **named(name, alpha))
    for i, row in enumerate(found):
        wanted, _ = oracles.f_argmax(X[i], name, None if q is None else q[i], alpha)
        # Near alpha = 1 the powers have an exponent of 1000: its rounding is that of the kernel.
        assert_allclose(row, wanted, rtol=1e-9, atol=1e-12)


def test_every_library(xp):
    def all_of(x, q):
        values = [f_argmax(x, reference=q, divergence=name) for name in ("reverse_kl", "chi2")]
        values += [f_argmax(x, divergence="jensen_shannon")]
        values += [f_argmax(x, reference=q, divergence="alpha", alpha=a) for a in (1.5, 3.0)]
        return backend_of(x).namespace.stack(values)

    found = xp.numpy(xp.run(all_of, xp.array(X), xp.array(Q)))
    assert_allclose(found, all_of(X, Q), atol=1e-12)


def test_equals_softmax_sparsemax_entmax():
    assert_allclose(f_argmax(X), softmax(X), atol=1e-15)
    assert_allclose(f_argmax(X, reference=Q), softmax(X + np.log(Q)), atol=1e-15)
    assert_allclose(f_argmax(X, divergence="chi2"), sparsemax(X), atol=1e-15)
    for alpha in (1.0, 1.3, 1.5, 2.0, 3.0):
        plain = f_argmax(X, divergence="alpha", alpha=alpha)
        assert_allclose(plain, entmax(X, alpha=alpha), atol=1e-14)
        ones = f_argmax(X, divergence="alpha", alpha=alpha, reference=np.ones(5))
        assert_allclose(ones, plain, atol=1e-12)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_without_scores_it_is_the_reference(name):
    q = Q / Q.sum(axis=-1, keepdims=True)
    assert_allclose(f_argmax(np.zeros_like(X), divergence=name, reference=q), q, atol=1e-15)


def test_alpha_a_row_is_that_alpha():
    rows = np.asarray([[-0.7], [1.0], [2.6]])
    for q in (None, Q):
        found = f_argmax(X, divergence="alpha", alpha=rows, reference=q)
        for i in range(3):
            options = {"divergence": "alpha", "alpha": float(rows[i, 0])}
            one = f_argmax(X[i], reference=None if q is None else q[i], **options)
            assert_allclose(found[i], one, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "alpha"), [("jensen_shannon", None), ("alpha", -1.0), ("alpha", -3.0)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_references(name, alpha, dtype):
    """A large score on an entry that hardly exists: f' is near its bound there."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(40, 6)) * 3).astype(dtype)
    q = np.exp(rng.normal(size=(40, 6)) * 5 - 10).astype(dtype)
    p = f_argmax(x, reference=q, **named(name, alpha))
    assert p.dtype == dtype
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    assert_allclose(p.sum(axis=-1), 1, atol=tolerance)
    for i in range(0, 40, 8):
        wanted, _ = oracles.f_argmax(x[i], name, q[i], alpha)
        assert_allclose(p[i], wanted, atol=10 * tolerance)


@pytest.mark.parametrize("alpha", [-1.5, -3.0, -6.0])
def test_references_that_span_the_whole_range_of_single_precision(alpha):
    """The powers of such ratios are beyond it."""
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(6, 4)) * [[0.1], [1.0], [10.0], [100.0], [1.0], [10.0]]).astype("float32")
    log_q = rng.uniform(-40, 40, size=(6, 4))
    log_q[:, 0], log_q[:, -1] = -40, 40
    q = np.exp(log_q).astype("float32")
    found = f_argmax(x, reference=q, divergence="alpha", alpha=alpha)
    wide = f_argmax(
        x.astype("float64"), reference=q.astype("float64"), divergence="alpha", alpha=alpha
    )
    assert_allclose(found, wide, atol=1e-5)
    assert_allclose(wide[0], oracles.f_argmax(x[0], "alpha", q[0], alpha)[0], atol=1e-12)


def check_edges(xp, name):
    inf = float("inf")
    x = np.asarray([[1.0, -inf, 0.5], [-inf, -inf, -inf], [np.nan, 0.0, 1.0], [1e8, 1e8 + 1, 0.0]])
    q = np.asarray([0.5, 0.25, 0.25])

    def f(x, q):
        return f_argmax(x, reference=q, divergence=name)

    p = xp.numpy(xp.run(f, xp.array(x), xp.array(q)))
    assert p[0, 1] == 0
    assert_allclose(p[[0, 3]].sum(axis=-1), 1, atol=1e-12)
    assert_array_equal(p[1], 0)
    assert np.isnan(p[2]).all()


def test_edges_on_every_library(xp):
    for name in ("jensen_shannon", "chi2"):
        check_edges(xp, name)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_edges(name):
    from tests import libraries

    check_edges(libraries.get("numpy"), name)
    pair = f_argmax(np.asarray([-1.0, 0.0]), divergence=name)
    far = f_argmax(np.asarray([1e8, 1e8 + 1]), divergence=name)
    assert_allclose(far, pair, atol=1e-15)
    assert_array_equal(f_argmax(np.asarray([[3.0]]), divergence=name), [[1.0]])
    assert f_argmax(np.zeros((0, 3)), divergence=name).shape == (0, 3)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_a_reference_of_zero_is_out(name):
    q = np.asarray([0.4, 0.0, 0.2, 5e-324])
    x = np.asarray([0.3, 9.0, 1.0, 8.0])
    p = f_argmax(x, divergence=name, reference=q)
    assert_array_equal(p[[1, 3]], 0)
    assert_allclose(p[[0, 2]], f_argmax(x[[0, 2]], divergence=name, reference=q[[0, 2]]))
    hard = f_argmax(x, divergence=name, reference=q, temperature=0)
    assert_array_equal(hard, [0, 0, 1, 0])
    masked = f_argmax(x, divergence=name, where=np.asarray([True, False, True, True]))
    assert masked[1] == 0
    assert_allclose(masked.sum(), 1)


@pytest.mark.parametrize("name", DIVERGENCES)
def test_temperature_and_axis(name):
    temperature = np.asarray([[0.5], [1.7], [0.0]])
    p = f_argmax(X, divergence=name, reference=Q, temperature=temperature)
    assert_allclose(p[0], f_argmax(X[0] / 0.5, divergence=name, reference=Q[0]), atol=1e-14)
    assert_array_equal(p[2], X[2] == X[2].max())
    turned = f_argmax(X.T, divergence=name, reference=Q.T, axis=0)
    assert_allclose(turned.T, f_argmax(X, divergence=name, reference=Q), atol=1e-15)
    one = f_argmax(X.T, divergence=name, reference=Q[0], axis=0)
    assert_allclose(one.T, f_argmax(X, divergence=name, reference=Q[0]), atol=1e-15)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types(dtype):
    torch = pytest.importorskip("torch")
    x = torch.asarray(X).to(getattr(torch, dtype))
    p = f_argmax(x, divergence="jensen_shannon", reference=torch.asarray(Q).to(x.dtype))
    assert p.dtype == x.dtype
    wanted = f_argmax(X, divergence="jensen_shannon", reference=Q)
    assert_allclose(p.double().numpy(), wanted, atol=0.05)


CURVATURE = {
    "kl": lambda u: 1 / u,
    "reverse_kl": lambda u: u**-2.0,
    "jensen_shannon": lambda u: 1 / (u * (1 + u)),
    "chi2": np.ones_like,
    "neyman_chi2": lambda u: u**-3.0,
    "squared_hellinger": lambda u: 0.5 * u**-1.5,
}


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("name", DIVERGENCES)
def test_jacobians_are_the_closed_formulas(name, library):
    """In the scores diag(s) - s s'/sum(s), s = q/f''(p/q); in q diag(u) - s u'/sum(s)."""
    from tests import libraries

    xp, x, q = libraries.get(library), X[0], Q[0]
    p = f_argmax(x, divergence=name, reference=q)
    on = p > 0
    u = p / q
    s = np.where(on, q / CURVATURE[name](np.where(on, u, 1.0)), 0.0)

    def f(x, q):
        return f_argmax(x, divergence=name, reference=q)

    for matrix in (vjp_matrix, jvp_matrix):
        in_scores = np.diag(s) - np.outer(s, s) / s.sum()
        assert_allclose(matrix(xp, f, x, q), in_scores, atol=1e-12)
        in_reference = np.diag(u) - np.outer(s, u) / s.sum()
        assert_allclose(matrix(xp, f, x, q, argument=1), in_reference, atol=1e-11)


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.6])
@pytest.mark.parametrize("weighted", [False, True])
def test_derivative_in_alpha(alpha, weighted):
    from tests import libraries

    x, q, h = X[1], Q[1] if weighted else None, 1e-7

    def f(alpha):
        return f_argmax(
            backend_of(alpha).namespace.asarray(x), divergence="alpha", alpha=alpha, reference=q
        )

    found = vjp_matrix(libraries.get("numpy"), f, np.asarray([alpha]))[:, 0]
    pair = [oracles.f_argmax(x, "alpha", q, alpha + e)[0] for e in (-h, h)]
    assert_allclose(found, (pair[1] - pair[0]) / (2 * h), atol=1e-6)


def test_derivative_in_alpha_at_one_is_the_limit():
    from tests import libraries

    def f(alpha):
        return f_argmax(backend_of(alpha).namespace.asarray(X[0]), divergence="alpha", alpha=alpha)

    p = softmax(X[0])
    square = np.log(p) ** 2
    wanted = -0.5 * p * (square - (p * square).sum())
    found = vjp_matrix(libraries.get("numpy"), f, np.asarray([1.0]))[:, 0]
    assert_allclose(found, wanted, atol=1e-14)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"divergence": "l2"}, ValueError, "`divergence` must be one of kl"),
        ({"divergence": "alpha"}, ValueError, "`alpha` must be given"),
        ({"alpha": 1.5}, ValueError, "`alpha` must be None"),
        ({"divergence": "alpha", "alpha": float("inf")}, ValueError, "`alpha` must be finite"),
        ({"reference": np.ones(4)}, ValueError, "`reference` must broadcast"),
        ({"reference": [1.0]}, TypeError, "list"),
        ({"reference": np.ones(5, dtype=int)}, TypeError, "`reference` must have a real floating"),
        ({"temperature": -1.0}, ValueError, "`temperature` must be at least 0"),
    ],
)
def test_errors(options, error, words):
    with pytest.raises(error, match=words):
        f_argmax(X, **options)
