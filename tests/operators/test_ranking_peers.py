"""What other libraries of soft sorting get wrong, as regressions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fenchel.operators import soft_rank, soft_sort
from tests import libraries
from tests.convex import oracles
from tests.derivatives import vjp_matrix


def plain(library):
    if library == "torch":
        pytest.importorskip("torch")
    return libraries.get(library)


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("n", [1000, 3000])
@pytest.mark.parametrize("operator", [soft_rank, soft_sort])
def test_half_precision_of_long_rows(rng, library, n, operator):
    """torchsort keeps indices in the dtype of the values: NaN at 1000, a crash at 3000."""
    xp = plain(library)
    x = rng.permutation(np.linspace(-8, 8, n)).astype(np.float16)
    got = operator(xp.array(x, dtype="float16"), temperature=0.5)
    assert str(got.dtype).endswith("float16")
    expected = operator(x.astype(float), temperature=0.5)
    assert_allclose(xp.numpy(got).astype(float), expected, rtol=2e-3, atol=2e-3)


def test_bfloat16_ranks_on_torch():
    torch = pytest.importorskip("torch")
    x = torch.linspace(-4, 4, 300, dtype=torch.bfloat16).requires_grad_()
    rank = soft_rank(x, temperature=0.1)
    assert rank.dtype == torch.bfloat16
    rank.sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_float32_ranks_of_a_long_row(library):
    """torchsort's float32 sums put ranks off by 0.13 at n = 1e5."""
    xp = plain(library)
    x = np.float32(np.random.default_rng(0).normal(size=100_000))
    got = xp.numpy(soft_rank(xp.array(x, dtype="float32"), temperature=1e-3)).astype(float)
    expected = soft_rank(x.astype(float), temperature=1e-3)
    # float32 cannot hold ranks near 1e5 to better than 0.004.
    assert_allclose(got, expected, rtol=2e-6, atol=2e-3)


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("temperature", [1e-3, 0.1])
def test_float32_entropic_ranks_of_a_long_row(library, temperature):
    """x / t reaches 9e3 here, which float32 holds to 5e-4; ranks are its exponentials."""
    xp = plain(library)
    x = np.float32(np.random.default_rng(0).normal(size=100_000))

    def rank(x):
        return soft_rank(x, temperature=temperature, regularization="entropic")

    got = xp.numpy(rank(xp.array(x, dtype="float32"))).astype(float)
    assert_allclose(got, rank(x.astype(float)), rtol=2e-6)


def test_entropic_ranks_do_not_overflow(xp):
    """torchsort's KL backward is NaN as soon as exp overflows."""
    x = np.array([-1000.0, 0.0, 999.0, 1000.0])
    for t in (1e-3, 1.0, 30.0):

        def rank(x, t=t):
            return soft_rank(x, temperature=t, regularization="entropic")

        assert_allclose(xp.numpy(rank(xp.array(x))).sum(), 10, rtol=1e-12)
        assert np.isfinite(vjp_matrix(xp, rank, x)).all()


def test_entropic_sort_vjp_uses_the_sorted_logits(xp):
    """fast-soft-sort reads the wrong vector here: its error is 0.12."""
    x = np.array([1.2, 0.0, -0.4, 2.9, 0.3])

    def sort(x):
        return soft_sort(x, temperature=2.0, regularization="entropic", descending=True)

    def numeric(x):
        z = np.arange(5, 0, -1.0) / 2.0
        fit = oracles.isotonic(z, np.sort(x)[::-1], oracles.log_ratio, increasing=False)
        return z - fit

    assert_allclose(vjp_matrix(xp, sort, x), oracles.jacobian(numeric, x), atol=1e-9)


@pytest.mark.parametrize("shape", [(), (2,), (2, 3), (2, 1, 3)])
def test_any_leading_axes_and_both_directions(rng, shape):
    """torchsort takes two axes and ascending order only."""
    x = rng.normal(size=(*shape, 5))
    down = soft_sort(x, temperature=0.6, descending=True)
    assert_allclose(down, soft_sort(x, temperature=0.6)[..., ::-1], atol=1e-12)
    assert soft_rank(x).shape == x.shape
