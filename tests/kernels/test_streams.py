"""Normal numbers and mixture steps in one pass, against the formulas in the array API."""

from itertools import pairwise

import numpy as np
import pytest
from fenchel_backends.kernels import streams
from fenchel_backends.kernels.compiled import numba_found

import fenchel
from fenchel.random import RandomStream

pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(not numba_found(), reason="numba is not installed"),
]

TOLERANCE = {"float64": 4e-15, "float32": 1e-6, "float16": 0.0}


def formula(stream, shape, like):
    with fenchel.use_kernels(False):
        return np.asarray(stream.normal(shape, like=like))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 127, 128, 129, 1001])
def test_the_numbers_of_a_stream(dtype, count):
    like = np.zeros(1, dtype)
    stream = RandomStream(2**63 + 12345, step=2**32 - 1, slot=7, stream=99)
    found, expected = stream.normal((count,), like=like), formula(stream, (count,), like)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_numbers_are_normal():
    drawn = RandomStream(1).normal((200_000,), like=np.zeros(1))
    moments = [np.mean(drawn**k) for k in (1, 2, 3, 4, 6)]
    np.testing.assert_allclose(moments, [0, 1, 0, 3, 15], atol=0.5)
    np.testing.assert_allclose(moments[:4], [0, 1, 0, 3], atol=0.04)
    assert len(np.unique(drawn)) > 199_990


def test_streams_of_many_positions_are_streams_of_their_own():
    like = np.zeros(1)
    steps, numbers = np.arange(3), np.asarray([4, 9, 2])
    together = RandomStream(5, step=steps, stream=numbers).normal((3, 7, 2), like=like)
    for row, step, number in zip(together, steps, numbers, strict=True):
        alone = RandomStream(5, step=int(step), stream=int(number)).normal((7, 2), like=like)
        np.testing.assert_array_equal(row, alone)


def test_tensors():
    torch = pytest.importorskip("torch")
    like = torch.zeros(1, dtype=torch.float64)
    for stream in (RandomStream(5), RandomStream(5, step=torch.arange(3), stream=2)):
        expected = formula(stream, (3, 2), like)
        np.testing.assert_allclose(stream.normal((3, 2), like=like), expected, atol=4e-15)
    compiled = torch.compile(lambda x: x + RandomStream(5).normal((3, 2), like=x), backend="eager")
    np.testing.assert_allclose(compiled(like), formula(RandomStream(5), (3, 2), like), atol=4e-15)


def mixture(n, d, k, dtype):
    rng = np.random.default_rng(n + d)
    arrays = (3 * rng.normal(size=(n, d)), rng.normal(size=(k, d)), rng.normal(size=k))
    return tuple(a.astype(dtype) for a in arrays)


def moved(x, means, logits, noise, step, scale, precision):
    """One step, written out in double precision."""
    x, means, logits = (a.astype(np.float64) for a in (x, means, logits))
    heights = logits - 0.5 * precision * np.sum((x[:, None] - means) ** 2, axis=-1)
    share = np.exp(heights - heights.max(axis=-1, keepdims=True))
    share /= share.sum(axis=-1, keepdims=True)
    return x - step * precision * (x - share @ means) + scale * noise


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("n", "d", "k"), [(1, 1, 1), (255, 2, 6), (256, 2, 6), (600, 5, 3)])
def test_a_step_of_a_mixture(dtype, n, d, k):
    arrays, numbers = mixture(n, d, k, dtype), (0.2, 0.6, 1.7)
    stream = RandomStream(3, step=8)
    noise = stream.normal((n, d), like=arrays[0])
    expected = moved(*arrays, noise, *numbers)
    for source in (stream, noise):
        found = streams.mixture_step(*arrays, numbers, source)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=10 * np.finfo(dtype).eps, atol=2e-6)
        if dtype == "float64":
            np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


def test_far_particles_masked_components_and_nan():
    means = np.asarray([[4.0, 0.0], [-4.0, 0.0], [0.0, 0.0]])
    logits = np.asarray([0.0, 0.0, -np.inf])
    x = np.asarray([[100.0, 0.0], [1e8, 1.0], [np.nan, 0.0], [0.0, 0.0]])
    found = streams.mixture_step(x, means, logits, (1.0, 0.0, 1.0), np.zeros((4, 2)))
    np.testing.assert_allclose(found[:2], [[4.0, 0.0], [4.0, 0.0]], atol=1e-7)
    assert np.isnan(found[2]).all()
    np.testing.assert_allclose(found[3], 0.0, atol=1e-15)


def test_what_the_kernel_leaves_to_the_formula():
    x, means, logits = mixture(4, 2, 3, "float64")
    numbers, noise = (0.1, 0.1, 1.0), np.zeros((4, 2))
    for arrays in (
        (x[None], means, logits),
        (x, means, np.stack([logits, logits])),
        (x.astype(np.float32), means, logits),
        (x.astype(np.float16),) * 3,
    ):
        assert streams.mixture_step(*arrays, numbers, noise) is None
    assert streams.mixture_step(x, means, logits, numbers, np.zeros((1, 2))) is None
    torch = pytest.importorskip("torch")
    from fenchel_backends.kernels.torch_streams import torch_mixture_step

    x, means, logits = (torch.from_numpy(a) for a in (x, means, logits))
    assert torch_mixture_step(x, means, logits.requires_grad_(), numbers, torch.zeros(4, 2)) is None
    with torch.no_grad():
        found = torch_mixture_step(x, means, logits, numbers, RandomStream(0))
    plain = (a.detach().numpy() for a in (x, means, logits))
    np.testing.assert_array_equal(found, streams.mixture_step(*plain, numbers, RandomStream(0)))


def network(d, hidden, dtype):
    rng = np.random.default_rng(d)
    widths = (d, *hidden, 1)
    pairs = list(pairwise(widths))
    return [
        (rng.normal(size=(a, b)).astype(dtype), rng.normal(size=b).astype(dtype)) for a, b in pairs
    ]


def slope(x, layers, well):
    """Gradient of the energy, layer by layer in double precision."""
    h, kept = x.astype(np.float64), []
    for weight, bias in layers[:-1]:
        h = np.tanh(h @ weight + bias)
        kept.append(h)
    g = np.broadcast_to(layers[-1][0][:, 0].astype(np.float64), h.shape)
    for (weight, _), h in zip(layers[-2::-1], kept[::-1], strict=True):
        g = (g * (1 - h * h)) @ weight.T
    return g + well * x


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("n", "d", "hidden"), [(1, 1, (1,)), (255, 2, (16, 16)), (600, 3, (4, 7, 2)), (5, 2, ())]
)
def test_a_step_of_a_network(dtype, n, d, hidden):
    layers, numbers = network(d, hidden, dtype), (0.2, 0.6, 1.7)
    x = 3 * np.random.default_rng(n).normal(size=(n, d)).astype(dtype)
    stream = RandomStream(3, step=8)
    noise = stream.normal((n, d), like=x)
    expected = x - 0.2 * slope(x, layers, 1.7) + 0.6 * noise
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    for source in (stream, noise):
        found = streams.network_step(x, layers, numbers, source)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    torch = pytest.importorskip("torch")
    from fenchel_backends.kernels.torch_streams import torch_network_step

    tensors = [(torch.from_numpy(weight), torch.from_numpy(bias)) for weight, bias in layers]
    same = torch_network_step(torch.from_numpy(x), tensors, numbers, stream)
    np.testing.assert_array_equal(same, streams.network_step(x, layers, numbers, stream))


def test_networks_the_kernel_leaves_to_the_formula():
    layers, x, numbers = network(2, (3,), "float64"), np.ones((4, 2)), (0.1, 0.1, 1.0)
    noise = np.zeros((4, 2))
    assert streams.network_step(x.astype(np.float32), layers, numbers, noise) is None
    assert streams.network_step(x[None], layers, numbers, noise) is None
    assert streams.network_step(x, layers[:1], numbers, noise) is None
    assert streams.network_step(x[:, :1], layers, numbers, noise) is None
    far = np.asarray([[1e6, 0.0], [np.nan, 0.0]])
    found = streams.network_step(far, layers, numbers, np.zeros((2, 2)))
    np.testing.assert_allclose(found[0], 0.9 * far[0], atol=1e-9)
    assert np.isnan(found[1]).all()
