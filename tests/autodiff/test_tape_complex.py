"""Complex intermediate values: gradients as in JAX (no conjugation in the pullback)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fenchel.autodiff import tape

X = np.asarray([0.3, -1.2, 0.7])
Z = np.asarray([0.3 + 0.4j, -1.2 + 0.1j, 0.7 - 0.9j])


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


REAL_TO_REAL = {
    "abs": lambda m, x: m.abs(m.exp(1j * x) + x),
    "real of a product": lambda m, x: m.real((x + 2j) * (x * 1j + 1.0)),
    "imaginary part": lambda m, x: m.imag(m.exp((0.5 + 1j) * x)),
    "conjugate": lambda m, x: m.real(m.conj(x + 1j * x * x) * (x - 2j)),
    "quotient": lambda m, x: m.real(1.0 / (x + 2j)),
    "logarithm and root": lambda m, x: m.imag(m.log(x + 2j) * m.sqrt(x + 1j)),
    "square": lambda m, x: m.abs((x + 1j * x[0]) ** 2),
    "vdot": lambda m, x: m.real(m.vdot(x + 1j, 1j * x * x)),
    "sum and mean": lambda m, x: m.abs(m.sum(x * 1j + x * x) + m.mean(m.exp(1j * x))),
    "matmul": lambda m, x: m.real(m.outer(x + 1j, x) @ (1j * x + x**2)),
    "index": lambda m, x: m.imag((x * 1j + x * x)[m.array([0, 0, 2])] ** 2),
    "norm": lambda m, x: m.linalg.norm(x + 1j * x * x),
    "fft": lambda m, x: m.abs(m.fft.ifft(m.fft.fft(x, n=4) * m.array([1.0, 1j, 2.0, 3.0]))),
    "angle": lambda m, x: m.angle(x + 2j),
    "variance": lambda m, x: m.var(m.exp(1j * x)),
}


@pytest.mark.parametrize("name", REAL_TO_REAL)
def test_real_functions_through_complex_values(name):
    f = REAL_TO_REAL[name]

    def scalar(m):
        return lambda x: m.sum(m.sin(f(m, x)))

    value, gradient = tape.value_and_grad(scalar(np))(X)
    product = tape.jvp(lambda x: tape.value_and_grad(scalar(np))(x)[1], (X,), (X,))[1]
    assert gradient.dtype == product.dtype == np.float64
    expected = jax.grad(scalar(jnp))
    assert_allclose(value, scalar(jnp)(jnp.asarray(X)), rtol=1e-13)
    assert_allclose(gradient, expected(jnp.asarray(X)), rtol=1e-12, atol=1e-13)
    assert_allclose(product, jax.jvp(expected, (X,), (X,))[1], rtol=1e-11, atol=1e-12)


COMPLEX_TO_REAL = {
    "abs": lambda m, z: m.abs(z),
    "real": lambda m, z: m.real(z * z),
    "imag": lambda m, z: m.imag(z * z),
    "exp": lambda m, z: m.abs(m.exp(z) * m.conj(z)),
    "mixed": lambda m, z: m.real(z * m.conj(z)) + m.imag(m.sin(z)),
}


@pytest.mark.parametrize("name", COMPLEX_TO_REAL)
def test_complex_arguments_as_in_jax(name):
    f = COMPLEX_TO_REAL[name]
    _, gradient = tape.value_and_grad(lambda z: np.sum(f(np, z)))(Z)
    assert_allclose(gradient, jax.grad(lambda z: jnp.sum(f(jnp, z)))(jnp.asarray(Z)), rtol=1e-13)
    _, tangent = tape.jvp(lambda z: f(np, z), (Z,), (1j * Z,))
    expected = jax.jvp(lambda z: f(jnp, z), (jnp.asarray(Z),), (jnp.asarray(1j * Z),))[1]
    assert_allclose(tangent, expected, rtol=1e-13, atol=1e-14)


def test_direction_of_zero_is_zero():
    _, gradient = tape.value_and_grad(lambda z: np.sum(np.abs(z)))(np.zeros(2, dtype=complex))
    assert_allclose(gradient, 0.0)


def test_hermitian_eigenvalues():
    a = np.asarray([[2.0, 1.0 + 1j], [1.0 - 1j, 3.0]])

    def f(m):
        return lambda t: m.sum(m.linalg.eigvalsh(a + t * a @ a) ** 3)

    t = np.asarray(0.3)
    _, gradient = tape.value_and_grad(f(np))(t)
    assert_allclose(gradient, jax.grad(f(jnp))(jnp.asarray(0.3)), rtol=1e-13)


def test_complex_singular_values_and_qr():
    a = np.asarray([[2.0, 1.0 + 1j], [1.0 - 2j, 3.0], [0.3j, 1.0]])

    def f(m):
        def scalar(t):
            b = a + t * m.conj(a) * 1j
            q, r = m.linalg.qr(b)
            return m.sum(m.linalg.svd(b, full_matrices=False)[1] ** 3) + m.real(m.sum(q) * m.sum(r))

        return scalar

    _, gradient = tape.value_and_grad(f(np))(np.asarray(0.3))
    assert_allclose(gradient, jax.grad(f(jnp))(jnp.asarray(0.3)), rtol=1e-12)
