"""Edge cases, errors and what peers get wrong."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import isotonic_regression as scipy_isotonic

from fenchel.convex import isotonic_regression
from tests.derivatives import vjp_matrix

LOSSES = {"squared": {}, "kl": {}, "pnorm": {"p": 1.5}}


def run(xp, *arrays, dtype=None, **options):
    def fit(y, *weights):
        return isotonic_regression(y, weights=weights[0] if weights else None, **options)

    return xp.run(fit, *(xp.array(a, dtype=dtype) for a in arrays))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.usefixtures("route")
def test_nan_stays_in_its_row(xp, loss):
    """SciPy passes [1, nan, 0] through, not monotone and without a word."""
    y = np.array([[1.0, np.nan, 0.0], [3.0, 2.0, 4.0]])
    got = xp.numpy(run(xp, y, loss=loss, **LOSSES[loss]))
    assert np.isnan(got[0]).all()
    assert_allclose(got[1], xp.numpy(run(xp, y[1], loss=loss, **LOSSES[loss])))


@pytest.mark.usefixtures("route")
def test_nan_weight_is_seen(xp):
    got = xp.numpy(run(xp, np.array([3.0, 2.0, 4.0]), np.array([1.0, 1.0, np.nan])))
    assert np.isnan(got).all()


@pytest.mark.usefixtures("route")
def test_nan_reaches_the_info(xp):
    y = np.array([[1.0, np.nan, 0.0], [3.0, 2.0, 4.0]])
    for solver in ("pav", "dykstra"):
        _, info = run(xp, y, solver=solver, return_info=True)
        assert_array_equal(xp.numpy(info.converged), [False, True])


@pytest.mark.parametrize("shape", [(0, 4), (2, 0, 3), (0, 1)])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.usefixtures("route")
def test_empty_batch(xp, loss, shape):
    got = run(xp, np.zeros(shape), loss=loss, **LOSSES[loss])
    assert tuple(got.shape) == shape


@pytest.mark.usefixtures("route")
def test_single_entry(xp):
    for loss in LOSSES:
        assert_allclose(xp.numpy(run(xp, np.array([[0.3]]), loss=loss, **LOSSES[loss])), [[0.3]])


@pytest.mark.usefixtures("route")
def test_infinite_entries(xp):
    y = np.array([[-np.inf, 1.0, 0.0, np.inf], [0.0, np.inf, 1.0, 2.0]])
    expected = [[-np.inf, 0.5, 0.5, np.inf], [0.0, np.inf, np.inf, np.inf]]
    assert_array_equal(xp.numpy(run(xp, y)), expected)


@pytest.mark.usefixtures("route")
def test_zero_weights_join_a_neighbour(xp):
    """The limit of small weights, up to where the entry may go either way."""
    y = np.array([[9.0, 1.0, 3.0, 2.0], [1.0, 5.0, 3.0, 2.0], [1.0, 3.0, 2.0, -9.0]])
    w = np.array([[0.0, 1.0, 1.0, 1.0], [1.0, 0.0, 2.0, 2.0], [1.0, 1.0, 1.0, 0.0]])
    got = xp.numpy(run(xp, y, w))
    assert np.all(np.diff(got) >= 0)
    positive = w > 0
    for row in range(3):
        kept = positive[row]
        expected = scipy_isotonic(y[row][kept], weights=w[row][kept]).x
        assert_allclose(got[row][kept], expected, atol=1e-14)
        assert np.isin(np.round(got[row], 12), np.round(expected, 12)).all()


def test_row_without_weight_is_finite(xp):
    y, w = np.array([[2.0, 1.0], [2.0, 1.0]]), np.array([[0.0, 0.0], [1.0, 3.0]])
    got = xp.numpy(run(xp, y, w))
    assert np.isfinite(got).all()
    assert_allclose(got[1], 1.25)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_half_types_are_computed_in_float32(rng, library, dtype):
    """Entries whose sum overflows float16, and a block too long for its integers."""
    from tests import libraries

    if library == "torch":
        pytest.importorskip("torch")
    xp = libraries.get(library)
    y = np.linspace(300.0, 200.0, 3000).astype(dtype)
    got = isotonic_regression(xp.array(y, dtype=dtype))
    assert str(got.dtype).endswith(dtype)
    assert_allclose(xp.numpy(got).astype(float), y.astype(float).mean(), rtol=1e-3)


def test_bfloat16_on_torch():
    torch = pytest.importorskip("torch")
    y = torch.tensor([3.0, 1.0, 2.0], dtype=torch.bfloat16, requires_grad=True)
    fit = isotonic_regression(y)
    assert fit.dtype == torch.bfloat16
    assert torch.equal(fit, torch.full((3,), 2.0, dtype=torch.bfloat16))
    fit.sum().backward()
    assert y.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_float32_sums_of_a_long_block(library):
    """torchsort is off by 0.13 here: 1e5 entries in one block."""
    from tests import libraries

    if library == "torch":
        pytest.importorskip("torch")
    xp = libraries.get(library)
    noise = np.random.default_rng(0).normal(size=100_000)
    y = np.float32(np.sort(noise)[::-1] + 100.0)
    _, info = isotonic_regression(xp.array(y, dtype="float32"), return_info=True)
    got = xp.numpy(isotonic_regression(xp.array(y, dtype="float32"), weights=None))
    assert_array_equal(xp.numpy(info.blocks), 0)
    assert_allclose(got, y.astype(float).mean(), rtol=1e-6)


def test_input_is_not_written(rng):
    y = rng.normal(size=(3, 8))
    kept = y.copy()
    y.flags.writeable = False
    for options in ({}, {"solver": "dykstra"}, {"loss": "kl"}, {"loss": "pnorm", "p": 3.0}):
        isotonic_regression(y, **options)
    assert_array_equal(y, kept)


@pytest.mark.parametrize("step", [2, -1])
def test_strided_input(rng, step):
    y = rng.normal(size=(6, 10))[::step, ::step]
    assert_array_equal(isotonic_regression(y), isotonic_regression(y.copy()))


def test_kl_derivative_does_not_overflow(xp):
    """torchsort's overflows to NaN; here it is a softmax over each block."""
    y = np.array([800.0, 799.0, 0.0, -900.0])

    def fit(y):
        return isotonic_regression(y, loss="kl")

    row = np.exp(y - 800) / np.exp(y - 800).sum()
    assert_allclose(vjp_matrix(xp, fit, y), np.tile(row, (4, 1)), atol=1e-15)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"loss": "l1"}, ValueError, "`loss` must be one of squared, kl, pnorm; got 'l1'"),
        ({"solver": "qp"}, ValueError, "`solver` must be one of"),
        ({"solver": "dykstra", "loss": "kl"}, ValueError, "needs `loss` 'squared'"),
        ({"loss": "pnorm", "p": 1.0}, ValueError, "`p` must be above 1"),
        ({"loss": "pnorm", "p": "2"}, TypeError, "`p` must be a real number"),
        ({"lower": 1.0, "upper": 0.0}, ValueError, "`lower` must be at most `upper`"),
        ({"lower": float("nan")}, ValueError, "`lower`"),
        ({"axis": 2}, ValueError, "`axis` must be in"),
        ({"axis": 0.5}, TypeError, "`axis` must be an integer"),
        ({"solver": "dykstra", "max_iter": 0}, ValueError, "`max_iter`"),
        ({"solver": "dykstra", "tol": -1.0}, ValueError, "`tol`"),
    ],
)
def test_options_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        isotonic_regression(np.zeros((2, 3)), **options)


def test_arrays_are_checked(xp):
    y = xp.array(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="`weights` must broadcast"):
        isotonic_regression(y, weights=xp.array(np.ones(2)))
    with pytest.raises(ValueError, match="`lower` must broadcast"):
        isotonic_regression(y, lower=xp.array(np.ones((2, 3))))
    with pytest.raises(TypeError, match="`y` must have a real floating dtype"):
        isotonic_regression(xp.array(np.array([1, 2, 3])))
    with pytest.raises(TypeError, match="list"):
        isotonic_regression([1.0, 2.0])
    with pytest.raises(TypeError):
        isotonic_regression(y, weights=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="must not be empty"):
        isotonic_regression(xp.array(np.zeros((2, 0))))


def test_libraries_are_not_mixed():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"numpy.*torch|torch.*numpy"):
        isotonic_regression(np.zeros(3), weights=torch.ones(3))
