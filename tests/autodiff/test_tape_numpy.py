"""Unmodified NumPy code: gradients and Hessian products against the same code on jax.numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from numpy.testing import assert_allclose

from fenchel.autodiff import tape

# Compiling takes most of the time, and these programs run once.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}

_RNG = np.random.default_rng(3)
X = _RNG.uniform(0.3, 1.5, (3, 4))
Y = _RNG.uniform(0.4, 1.4, (3, 4))
V = _RNG.standard_normal((3, 4))
SHIFT = np.diag([3.0, 4.0, 5.0])

SAME_IN_JAX = {
    "ufuncs": lambda m, x: m.sin(x) * m.arctan2(x, Y) + m.exp2(x) + m.cbrt(x) + m.log1p(x),
    "more ufuncs": lambda m, x: m.logaddexp2(x, Y) + m.deg2rad(x) + m.fabs(x) + m.float_power(x, 2),
    "fmax and fmin": lambda m, x: m.fmax(x, Y) * m.fmin(x, Y),
    "mod and fmod": lambda m, x: m.mod(x, 0.29) + m.fmod(x, 0.41),
    "operators": lambda m, x: Y * x - Y / x + Y**x + 2.0 ** (-x) + abs(x) + (x @ x.T).sum() * x,
    "matmul with a constant": lambda m, x: Y.T @ x @ x.T,
    "methods": lambda m, x: x.sum(axis=1) + x.mean() * x.max(axis=1) + x.std(axis=1) - x.min(),
    "shape methods": lambda m, x: (
        x.reshape(2, -1).T.ravel() * x.flatten() * x.transpose(1, 0).ravel()
    ),
    "more methods": lambda m, x: x.cumsum(axis=1) * x.clip(0.5, 1.2) + x.prod(axis=1)[:, None],
    "trace and diagonal": lambda m, x: x.trace() * x.diagonal() + x.dot(x.T)[0] * x[:, 0],
    "where": lambda m, x: m.where(Y > 0.7, x * x, m.exp(x)),
    "select": lambda m, x: m.select([Y > 1.0, Y > 0.6], [x * 2, x * x], 0.0),
    "concatenate": lambda m, x: m.concatenate([x, x * x, Y], axis=1),
    "stacks": lambda m, x: m.vstack([x, x[0]]).sum() * m.hstack([x, Y]) + m.dstack([x, x]).sum(),
    "column_stack": lambda m, x: m.column_stack([x[0] * x[1], x[2]]),
    "stack of scalars": lambda m, x: m.stack([x[0, 0] * x[1, 1], x[2, 2]]),
    "splits": lambda m, x: m.split(x, 2, axis=1)[0] * m.array_split(x, [2], axis=1)[1],
    "einsum product": lambda m, x: m.einsum("ij,kj->ik", x, m.sin(x)),
    "einsum of three": lambda m, x: m.einsum("ij,jk,kl->il", x, m.transpose(x), m.exp(x)),
    "einsum diagonal": lambda m, x: m.einsum("ii->i", x[:, :3] * x[:, :3]),
    "einsum trace": lambda m, x: m.einsum("ii,j", x[:, :3], x[0]),
    "einsum sum": lambda m, x: m.einsum("ij->j", x * x),
    "einsum batch": lambda m, x: m.einsum("...j,kj->...k", m.stack([x, x * x]), x),
    "products": lambda m, x: m.dot(x, x.T) + m.inner(x, Y) + m.outer(x[0], x[1])[:3, :3],
    "kron": lambda m, x: m.kron(x, x[:2, :2]),
    "cross": lambda m, x: m.cross(x[:, :3], x[:, 1:]),
    "tensordot": lambda m, x: m.tensordot(x, x, axes=([0, 1], [0, 1])) * m.vdot(x, Y),
    "convolve": lambda m, x: m.convolve(x[0], x[1]),
    "convolve same": lambda m, x: m.convolve(x[0], x[1, :3], mode="same"),
    "norms": lambda m, x: m.linalg.norm(x) * m.linalg.norm(x, axis=1) + m.linalg.norm(x, 1),
    "nuclear norm": lambda m, x: m.linalg.norm(x, "nuc") + m.linalg.norm(x, 2),
    "solve and inverse": lambda m, x: m.linalg.solve(
        x[:, :3] + SHIFT, m.linalg.inv(SHIFT + x[:, 1:])
    ),
    "determinants": lambda m, x: m.linalg.det(x[:, :3]) + m.linalg.slogdet(x[:, :3] + SHIFT)[1],
    "eigenvalues": lambda m, x: m.linalg.eigh(x @ x.T + SHIFT)[0] * m.linalg.eigvalsh(x @ x.T),
    "singular values": lambda m, x: m.linalg.svd(x, compute_uv=False) ** 3,
    "cholesky": lambda m, x: m.linalg.cholesky(x @ x.T + SHIFT),
    "qr": lambda m, x: m.linalg.qr(x.T)[1] ** 2,
    "pinv": lambda m, x: m.linalg.pinv(x),
    "matrix_power": lambda m, x: m.linalg.matrix_power(x[:, :3] + SHIFT, -2),
    "multi_dot": lambda m, x: m.linalg.multi_dot([x, x.T, x]),
    "list index": lambda m, x: x[np.array([0, 0, 2])] * x[0],
    "two index arrays": lambda m, x: x[np.array([0, 1, 1]), np.array([2, 2, 2])],
    "slice and index array": lambda m, x: x[:, np.array([1, 1, 3])] * x[1:, :1][0],
    "mask": lambda m, x: x[Y > 0.8],
    "reductions": lambda m, x: m.sum(x) * m.mean(x, axis=0) + m.prod(x, axis=0) - m.var(x, ddof=1),
    "reductions where": lambda m, x: m.sum(x * x, axis=0, where=Y > 0.7) + m.nansum(x),
    "running": lambda m, x: m.cumsum(x) * m.cumprod(x),
    "ptp": lambda m, x: m.ptp(x, axis=0) * m.amax(x) + m.amin(x, axis=0),
    "average": lambda m, x: m.average(x, axis=1, weights=np.array([1.0, 2.0, 3.0, 4.0])),
    "median": lambda m, x: m.median(x, axis=1) * m.percentile(x, 30.0),
    "quantiles": lambda m, x: m.quantile(x, np.array([0.2, 0.7]), axis=0),
    "sort": lambda m, x: m.sort(x * x, axis=None) * m.arange(12.0),
    "tile, repeat, roll": lambda m, x: (
        m.tile(x, (2, 2))[:3, :4] * m.roll(x, 1) + m.repeat(x[0], 3)[:4]
    ),
    "flips": lambda m, x: m.flip(x) * m.fliplr(x) * m.flipud(x) + m.rot90(m.rot90(x)),
    "pad": lambda m, x: m.pad(x, ((1, 2), (0, 1))),
    "pad reflected": lambda m, x: m.pad(x, 1, mode="reflect"),
    "diag": lambda m, x: m.diag(x[0], k=1)[:4, :4] + m.diag(x[1], k=-2)[:4, :4],
    "triangles": lambda m, x: m.tril(x) * m.triu(x, 1) + m.tril(x @ x.T, -1).sum(),
    "axes": lambda m, x: (
        m.swapaxes(m.moveaxis(x[None], 0, -1), 0, 1).squeeze() * m.expand_dims(x.T, 0)
    ),
    "broadcast": lambda m, x: m.broadcast_to(x, (2, 3, 4)) + m.broadcast_arrays(x[0], Y)[0],
    "atleast": lambda m, x: m.atleast_2d(x[0]) * m.atleast_1d(x[0, 0]) + m.atleast_3d(x).sum(),
    "diff and trapezoid": lambda m, x: m.diff(x, axis=0) * m.trapezoid(x, axis=1)[:, None][:2],
    "interp": lambda m, x: m.interp(x, np.array([0, 0.5, 1, 2]), np.array([0.0, 1, 4, 2])),
    "sinc": lambda m, x: m.sinc(x - 0.5),
    "nan_to_num": lambda m, x: m.nan_to_num(x) * x,
    "take": lambda m, x: m.take(x, np.array([0, 1, 1]), axis=1) + m.take(x, 2),
    "take_along_axis": lambda m, x: m.take_along_axis(x, np.argsort(Y, axis=1), axis=1),
    "linspace": lambda m, x: m.linspace(x[0, 0], x[1, 1], 5),
    "meshgrid": lambda m, x: m.meshgrid(x[0], x[:, 1])[0] * m.meshgrid(x[0], x[:, 1])[1],
    "append and delete": lambda m, x: m.append(m.delete(x, 1, axis=0), x[0]),
    "fft": lambda m, x: m.abs(m.fft.fft(x)) + m.fft.fft2(x).imag,
    "rfft": lambda m, x: m.fft.irfft(m.fft.rfft(x * x, axis=0, n=5), n=5, axis=0),
    "rfft real": lambda m, x: m.real(m.fft.rfft(x)) * m.imag(m.fft.rfft(x, norm="ortho")),
    "fftshift": lambda m, x: m.fft.fftshift(x) * m.fft.ifftshift(x, axes=1),
    "ufunc in a loop": lambda m, x: sum(i * m.sin(row).sum() for i, row in enumerate(x)),
}


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("name", SAME_IN_JAX)
def test_numpy_code_differentiates_as_in_jax(name):
    f = SAME_IN_JAX[name]
    weights = np.cos(np.arange(np.size(f(np, X)))).reshape(np.shape(f(np, X)))

    def scalar(m):
        return lambda x: m.sum(weights * m.sin(f(m, x)))

    value, gradient = tape.value_and_grad(scalar(np))(X)
    product = tape.jvp(lambda x: tape.value_and_grad(scalar(np))(x)[1], (X,), (V,))[1]

    def in_jax(x):
        g = jax.grad(scalar(jnp))
        return scalar(jnp)(x), g(x), jax.jvp(g, (x,), (V,))[1]

    for ours, theirs in zip(
        (value, gradient, product),
        jax.jit(in_jax, compiler_options=QUICK)(jnp.asarray(X)),
        strict=True,
    ):
        scale = max(1.0, float(np.max(np.abs(theirs))))
        assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12 * scale)


NUMPY_ONLY = {
    "add.reduce": (lambda x: np.add.reduce(x), lambda x: np.sum(x, axis=0)),
    "multiply.reduce": (lambda x: np.multiply.reduce(x, axis=1), lambda x: np.prod(x, axis=1)),
    "maximum.reduce": (lambda x: np.maximum.reduce(x, axis=None), lambda x: np.max(x)),
    "add.accumulate": (lambda x: np.add.accumulate(x, axis=1), lambda x: np.cumsum(x, axis=1)),
    "subtract.outer": (
        lambda x: np.subtract.outer(x[0], x[1]),
        lambda x: x[0][:, None] - x[1][None, :],
    ),
    "partition": (
        lambda x: np.sum(np.partition(x, 2, axis=1)[:, 2]),
        lambda x: np.sum(np.sort(x)[:, 2]),
    ),
    "lstsq": (
        lambda x: np.linalg.lstsq(x.T, np.ones(4), rcond=None)[0],
        lambda x: np.linalg.solve(x @ x.T, x @ np.ones(4)),
    ),
    "matvec": (lambda x: np.matvec(x, x[0]), lambda x: x @ x[0]),
    "apply_along_axis": (
        lambda x: np.apply_along_axis(lambda row: row * row.sum(), 1, x),
        lambda x: x * np.sum(x, axis=1, keepdims=True),
    ),
    "unique": (lambda x: np.unique(x), lambda x: np.sort(x, axis=None)),
    "divmod": (lambda x: divmod(x, 0.3)[1], lambda x: x % 0.3),
    "linalg.vector_norm": (np.linalg.vector_norm, np.linalg.norm),
    "hfft": (lambda x: np.fft.hfft(x), lambda x: np.fft.irfft(np.conj(x), n=6) * 6),
    "rfftn": (
        lambda x: np.abs(np.fft.rfftn(x)),
        lambda x: np.abs(np.fft.fft(np.fft.rfft(x), axis=0)),
    ),
}


@pytest.mark.parametrize("name", NUMPY_ONLY)
def test_numpy_names_for_the_same_thing(name):
    first, second = NUMPY_ONLY[name]
    (one, pull_one), (two, pull_two) = tape.vjp(first, X), tape.vjp(second, X)
    assert_allclose(one, two, rtol=1e-12)
    u = np.cos(np.arange(np.size(one))).reshape(np.shape(one))
    assert_allclose(pull_one(u)[0], pull_two(u)[0], rtol=1e-10, atol=1e-12)


SPECIAL = {
    "erf": (-1.2, 1.3),
    "erfc": (-1.2, 1.3),
    "erfcx": (-1.2, 1.3),
    "erfinv": (-0.7, 0.8),
    "ndtr": (-1.2, 1.3),
    "log_ndtr": (-3.0, 1.3),
    "ndtri": (0.1, 0.8),
    "expit": (-3.0, 3.0),
    "log_expit": (-3.0, 3.0),
    "logit": (0.1, 0.8),
    "gamma": (0.6, 3.0),
    "gammaln": (0.6, 3.0),
    "digamma": (0.6, 3.0),
    "entr": (0.2, 2.0),
    "i0": (-1.5, 2.0),
    "i0e": (0.4, 2.0),
    "i1": (-1.5, 2.0),
    "i1e": (0.4, 2.0),
    "wrightomega": (-1.5, 2.0),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_functions_of_scipy(name):
    """First and second derivatives against central differences of SciPy's own values."""
    f, x = getattr(scipy.special, name), np.linspace(*SPECIAL[name], 7)
    first = tape.jvp(f, (x,), (np.ones(7),))[1]
    second = tape.jvp(lambda y: tape.jvp(f, (y,), (np.ones(7),))[1], (x,), (np.ones(7),))[1]
    h = 1e-3  # eighth-order stencil: error h^8

    def difference(g):
        weights = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
        return sum(c * (g(x + k * h) - g(x - k * h)) for k, c in weights.items()) / h

    assert_allclose(first, difference(f), rtol=1e-10, atol=1e-11)
    slope = difference(lambda y: tape.jvp(f, (y,), (np.ones(7),))[1])
    assert_allclose(second, slope, rtol=1e-9, atol=1e-10)


TWO_ARGUMENTS = {
    "xlogy": (0.7, 1.3),
    "xlog1py": (0.7, 1.3),
    "rel_entr": (0.7, 1.3),
    "betaln": (0.7, 1.3),
}


@pytest.mark.parametrize("name", TWO_ARGUMENTS)
def test_special_functions_of_two_arguments(name):
    f, (a, b) = getattr(scipy.special, name), TWO_ARGUMENTS[name]
    _, (da, db) = tape.value_and_grad(f, argnums=(0, 1))(np.asarray(a), np.asarray(b))
    h = 1e-5
    assert float(da) == pytest.approx((f(a + h, b) - f(a - h, b)) / (2 * h), rel=1e-8)
    assert float(db) == pytest.approx((f(a, b + h) - f(a, b - h)) / (2 * h), rel=1e-8)


def test_xlogy_at_zero():
    x, y = np.zeros(2), np.asarray([0.5, 0.0])
    (gy,) = tape.vjp(lambda y: scipy.special.xlogy(x, y), y)[1](np.ones(2))
    assert_allclose(gy, [0.0, 0.0])


def test_orders_without_a_rule_are_refused():
    with pytest.raises(TypeError, match="stop_gradient"):
        tape.value_and_grad(scipy.special.gammainc)(np.asarray(1.5), np.asarray(0.7))
    _, g = tape.value_and_grad(scipy.special.gammainc, 1)(np.asarray(1.5), np.asarray(0.7))
    density = 0.7**0.5 * np.exp(-0.7) / scipy.special.gamma(1.5)
    assert float(g) == pytest.approx(density, rel=1e-13)


def test_plain_answers_come_from_plain_arrays():
    def f(x):
        assert type(np.argmax(x)) is np.int64
        assert type(np.argsort(x)) is np.ndarray
        assert np.shape(x) == (3, 4) and np.ndim(x) == 2 and np.size(x) == 12
        assert np.allclose(x, X) and np.all(x > 0)
        assert type(x > 0.5) is np.ndarray
        assert type(np.zeros_like(x)) is np.ndarray
        assert x.argmax() == X.argmax()
        assert np.iscomplexobj(x) is False
        return np.sum(x)

    assert_allclose(tape.value_and_grad(f)(X)[1], np.ones((3, 4)))
