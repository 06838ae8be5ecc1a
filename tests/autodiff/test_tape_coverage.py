"""Every function of the standard has a rule, is constant by decision, or takes no array."""

import array_api_compat
import array_api_compat.numpy as compat
import array_api_strict as strict
import numpy as np
import pytest

from fenchel.autodiff import tape
from fenchel.autodiff.tape.rules import Constant
from fenchel.autodiff.tape.table import find_rule
from fenchel.autodiff.tape.traced import strip

# These make arrays from numbers, or answer questions about data types and devices.
WITHOUT_ARRAYS = {
    *("arange", "empty", "eye", "ones", "zeros", "from_dlpack", "broadcast_shapes", "isdtype"),
    *("fft.fftfreq", "fft.rfftfreq", "__array_namespace_info__"),
    # the strict library's own
    *("Device", "ArrayAPIStrictFlags", "set_array_api_strict_flags"),
    *("get_array_api_strict_flags", "reset_array_api_strict_flags"),
}


def functions_of_the_standard():
    for prefix, part in (("", strict), ("linalg.", strict.linalg), ("fft.", strict.fft)):
        for name in part.__all__:
            if callable(getattr(part, name)) and prefix + name not in WITHOUT_ARRAYS:
                yield prefix + name


@pytest.mark.parametrize("name", list(functions_of_the_standard()))
def test_every_function_has_a_rule(name):
    assert find_rule(name) is not None


ARGUMENTS = {
    "searchsorted": lambda xp, x: (xp.sort(xp.asarray([0.1, 0.7])), x),
    "can_cast": lambda xp, x: (x.dtype, xp.float64),
    "iinfo": lambda xp, x: (xp.int64,),
    "isin": lambda xp, x: (xp.astype(x, xp.int64), xp.asarray([1, 3])),
    "linalg.matrix_rank": lambda xp, x: (xp.reshape(x, (2, 2)),),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor"), lambda xp, x: (x > 1, x > 2)),
    **dict.fromkeys(("logical_not", "all", "any", "bitwise_invert"), lambda xp, x: (x > 1,)),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), lambda xp, x: (x > 1, x > 2)),
    **dict.fromkeys(
        ("bitwise_left_shift", "bitwise_right_shift"),
        lambda xp, x: (xp.astype(x, xp.int64), xp.astype(x, xp.int64)),
    ),
    **dict.fromkeys(
        (
            *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
            *("floor_divide", "nextafter"),
        ),
        lambda xp, x: (x, x),
    ),
}
CONSTANT = [name for name in functions_of_the_standard() if isinstance(find_rule(name), Constant)]


@pytest.mark.parametrize("base", [compat, strict], ids=["numpy", "strict"])
@pytest.mark.parametrize("name", CONSTANT)
def test_constants_equal_the_library(base, name):
    x = base.asarray([0.5, 1.5, 2.5, 3.0])
    arguments = ARGUMENTS.get(name, lambda xp, x: (x,))

    def call(xp, x):
        prefix, _, last = name.rpartition(".")
        return getattr(getattr(xp, prefix) if prefix else xp, last)(*arguments(xp, x))

    expected = call(base, x)

    def check(y):
        found = call(array_api_compat.array_namespace(y), y)
        if base is compat:  # over NumPy constants are plain; elsewhere they belong to no level
            assert type(found) is type(expected)
        found = tuple(map(strip, found)) if isinstance(found, tuple) else strip(found)
        if hasattr(found, "shape") and name != "empty_like":
            assert bool(base.all(found == expected))
        elif isinstance(found, tuple):
            assert all(bool(base.all(a == b)) for a, b in zip(found, expected, strict=True))
        return y

    tape.vjp(check, x)


def test_values_agree_with_the_library_on_every_route():
    """The formulas that stand in for library functions on traced arrays give the same values."""
    x = np.random.default_rng(2).uniform(0.3, 1.4, (4, 4))
    calls = {
        "unique_all": lambda xp, x: xp.unique_all(x)[0],
        "unique_counts": lambda xp, x: xp.unique_counts(x)[0],
        "unique_inverse": lambda xp, x: xp.unique_inverse(x).values,
        "unique_values": lambda xp, x: xp.unique_values(x),
        "linspace": lambda xp, x: xp.linspace(x[0, 0], 2.0, 5),
        "linspace open": lambda xp, x: xp.linspace(1.0, x[0, 0], 5, endpoint=False),
        "prod with dtype": lambda xp, x: xp.prod(xp.astype(x, xp.float32), dtype=xp.float64),
        "sum with dtype": lambda xp, x: xp.sum(xp.astype(x, xp.float32), dtype=xp.float64),
        "sum of several axes": lambda xp, x: xp.sum(xp.reshape(x, (2, 2, 4)), axis=(0, -1)),
        "prod of several axes": lambda xp, x: xp.prod(xp.reshape(x, (2, 2, 4)), axis=(0, 2)),
        "cumulative_prod from one": lambda xp, x: xp.cumulative_prod(
            x, axis=0, include_initial=True
        ),
        "trace": lambda xp, x: xp.linalg.trace(x, offset=-1, dtype=xp.float32),
        "diff with ends": lambda xp, x: xp.diff(x, prepend=x[:, :1], append=x[:, :2]),
        "repeat by array": lambda xp, x: xp.repeat(x, xp.asarray([1, 0, 2, 1]), axis=0),
        "repeat flat": lambda xp, x: xp.repeat(x, 2),
        "take from the end": lambda xp, x: xp.take(x, xp.asarray([-1, 0]), axis=-1),
        "matrix_power of zero": lambda xp, x: xp.linalg.matrix_power(x, 0) * x[0, 0],
        "matrix norms": lambda xp, x: xp.stack(
            [xp.linalg.matrix_norm(x, ord=o) for o in (1, -1, 2, -2, np.inf, -np.inf, "nuc")]
        ),
        "vector norms": lambda xp, x: xp.stack(
            [xp.linalg.vector_norm(x, ord=o) for o in (0, 0.5, 1, 2, 3, -2, np.inf, -np.inf)]
        ),
        "norm kept": lambda xp, x: xp.linalg.matrix_norm(x, ord=1, keepdims=True),
        "pinv": lambda xp, x: xp.linalg.pinv(x[:, :2]),
        "upper cholesky": lambda xp, x: xp.linalg.cholesky(x @ x.mT, upper=True),
        "fftn": lambda xp, x: xp.real(xp.fft.fftn(x)) + xp.imag(xp.fft.ifftn(x, axes=(0, 1))),
        "irfftn": lambda xp, x: xp.fft.irfftn(xp.fft.rfftn(x), s=(4, 4), axes=(0, 1)),
        "ihfft": lambda xp, x: xp.real(xp.fft.ihfft(x, norm="ortho")),
        "meshgrid by index": lambda xp, x: xp.meshgrid(x[0], x[1], x[2], indexing="ij")[1],
        "roll": lambda xp, x: xp.roll(x, -3, axis=1),
        "tile longer": lambda xp, x: xp.tile(x[0], (2, 3)),
        "permute": lambda xp, x: xp.permute_dims(xp.reshape(x, (2, 2, 4)), (2, 0, 1)),
    }
    for name, f in calls.items():
        expected = f(compat, x)
        out, pullback = tape.vjp(lambda y, f=f: f(array_api_compat.array_namespace(y), y), x)
        assert out.shape == expected.shape and out.dtype == expected.dtype, name
        np.testing.assert_allclose(out, expected, rtol=1e-6 if out.dtype == "f4" else 1e-13)
        u = np.cos(np.arange(out.size, dtype=out.dtype)).reshape(out.shape)
        v = np.sin(np.arange(16.0)).reshape(4, 4)
        _, tangent = tape.jvp(lambda y, f=f: f(array_api_compat.array_namespace(y), y), (x,), (v,))
        np.testing.assert_allclose(
            np.sum(u * tangent), np.sum(pullback(u)[0] * v), rtol=1e-5, atol=1e-6, err_msg=name
        )
        h = 1e-5
        difference = (f(compat, x + h * v) - f(compat, x - h * v)) / (2 * h)
        if "dtype" not in name and out.dtype == np.float64:
            np.testing.assert_allclose(tangent, difference, rtol=1e-5, atol=1e-7, err_msg=name)
