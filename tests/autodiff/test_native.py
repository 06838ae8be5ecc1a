"""The same derivative by every engine: the library's own, the tape, complex step, differences."""

import numpy as np
import pytest

from fenchel import namespace
from fenchel.autodiff import grad, hvp, jvp, linearize, value_and_grad, vjp
from fenchel.special import erf, logsumexp, softplus
from tests import libraries

X = np.asarray([[0.3, -1.2, 2.0], [0.7, 0.1, -0.4]])
V = np.asarray([[1.0, 0.5, -2.0], [0.3, -1.0, 0.2]])
TOLERANCES = {"native": 1e-12, "tape": 1e-12, "complex": 1e-12, "finite": 1e-7}

FUNCTIONS = {
    "smooth": lambda x: namespace(x).sum(namespace(x).sin(x) * namespace(x).exp(0.5 * x)),
    "rational": lambda x: namespace(x).sum(x / (1.0 + x**2)) ** 2,
    "special": lambda x: namespace(x).sum(logsumexp(x) ** 2) + namespace(x).sum(softplus(x)),
    "matrix": lambda x: namespace(x).sum(namespace(x).matmul(x, namespace(x).matrix_transpose(x))),
    "pick": lambda x: namespace(x).max(x[..., 1:] ** 3) * x[0, 0],
}


def expected(f):
    return grad(f)(X)  # NumPy: the tape


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("method", TOLERANCES)
def test_engines_agree(xp, name, method):
    if method == "native" and xp.name not in ("torch", "jax", "jax-jit"):
        with pytest.raises(ValueError, match="`method`='native' needs a library with derivatives"):
            grad(FUNCTIONS[name], method=method)(xp.array(X))
        return
    if method == "complex" and name == "pick" and xp.name == "torch":
        with pytest.raises(RuntimeError):  # torch has no order on complex numbers
            grad(FUNCTIONS[name], method=method)(xp.array(X))
        return
    if method == "complex" and name == "pick" and xp.name.startswith("strict"):
        with pytest.raises(TypeError):
            grad(FUNCTIONS[name], method=method)(xp.array(X))
        return
    f, x = FUNCTIONS[name], xp.array(X)
    wanted, tolerance = expected(f), TOLERANCES[method]
    value, slope = value_and_grad(f, method=method)(x)
    np.testing.assert_allclose(xp.numpy(slope), wanted, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(np.real(xp.numpy(value)), f(X), rtol=1e-14)
    tangent = jvp(f, (x,), (xp.array(V),), method=method)[1]
    np.testing.assert_allclose(xp.numpy(tangent), np.sum(wanted * V), rtol=tolerance)
    (pulled,) = vjp(f, x, method=method)[1](xp.array(2.0))
    np.testing.assert_allclose(xp.numpy(pulled), 2 * wanted, rtol=tolerance, atol=tolerance)
    pushed = linearize(f, x, method=method)[1](xp.array(V))
    np.testing.assert_allclose(xp.numpy(pushed), np.sum(wanted * V), rtol=tolerance)


@pytest.mark.parametrize("method", TOLERANCES)
def test_values_of_functions_with_auxiliary_results(method):
    pytest.importorskip("jax")
    x = libraries.get("jax").array(X)
    (value, aux), slope = value_and_grad(
        lambda x: (namespace(x).sum(x**2), {"x": x, "tag": "t"}), has_aux=True, method=method
    )(x)
    assert aux["tag"] == "t"
    np.testing.assert_allclose(np.asarray(aux["x"]), X)
    np.testing.assert_allclose(np.asarray(slope), 2 * X, rtol=1e-8)
    assert not np.iscomplexobj(np.asarray(value))


@pytest.mark.parametrize("outer", ["native", "tape"])
@pytest.mark.parametrize("inner", ["native", "tape"])
def test_engines_nest(xp, outer, inner):
    if xp.name not in ("torch", "jax", "jax-jit"):
        outer = inner = "tape"
    if "native" in (outer, inner) and outer != inner and (outer, inner) != ("native", "tape"):
        pytest.skip("a traced array of the tape has no native derivative")
    f, x = FUNCTIONS["smooth"], xp.array(X)
    found = grad(lambda y: namespace(y).sum(grad(f, method=inner)(y)), method=outer)(x)
    wanted = hvp(f, X, np.ones_like(X))
    np.testing.assert_allclose(xp.numpy(found), wanted, rtol=1e-11)


def test_a_traced_array_has_no_native_derivative():
    torch = pytest.importorskip("torch")
    x = torch.asarray([1.0, 2.0])

    def inner(y):
        return grad(lambda z: namespace(z).sum(z), method="native")(y)

    with pytest.raises(ValueError, match="`method`='native'"):
        grad(lambda y: namespace(y).sum(inner(y)), method="tape")(x)


def test_torch_tensors_that_require_grad():
    torch = pytest.importorskip("torch")
    x = torch.tensor([0.5, 1.5], dtype=torch.float64, requires_grad=True)
    slope = grad(lambda x: torch.sum(x**3))(x)
    slope.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [3.0, 9.0])


def test_inside_the_transformations_of_jax():
    jax = pytest.importorskip("jax")
    x = libraries.get("jax").array(X)
    f = FUNCTIONS["smooth"]
    wanted = hvp(f, X, np.ones_like(X))
    found = jax.jit(jax.grad(lambda y: grad(f)(y).sum()))(x)
    np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-12)
    rows = jax.vmap(grad(lambda row: jax.numpy.sum(row**2)))(x)
    np.testing.assert_allclose(np.asarray(rows), 2 * X)


def test_unmodified_numpy_code():
    def f(x):
        return np.mean(np.tanh(x @ np.ones(3)) ** 2) + np.linalg.norm(x)

    def twin(x):
        xp = namespace(x)
        return xp.mean(xp.tanh(xp.sum(x, axis=1)) ** 2) + xp.sqrt(xp.sum(x**2))

    np.testing.assert_allclose(grad(f)(X), grad(twin)(X), rtol=1e-13)


def test_unknown_method(xp):
    with pytest.raises(ValueError, match="`method` must be one of native, tape, complex, finite"):
        grad(FUNCTIONS["smooth"], method="symbolic")(xp.array(X))


def test_special_functions_by_both_engines(xp):
    x = xp.array([-2.0, 0.0, 0.7])
    found = grad(lambda x: namespace(x).sum(erf(x)), method="tape")(x)
    np.testing.assert_allclose(
        xp.numpy(found), 2 / np.sqrt(np.pi) * np.exp(-np.asarray([4.0, 0.0, 0.49])), rtol=1e-14
    )
