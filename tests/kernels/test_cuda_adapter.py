"""The adapter for CuPy: its own logic on the host, what needs no device as it is."""

import numpy as np
import pytest

from tests.kernels.cuda_fake import FakeArray, FakeCuPy

adapter = pytest.importorskip("fenchel_backends.cupy", reason="CuPy is not installed")
special = pytest.importorskip("cupyx.scipy.special", reason="CuPy is not installed")


@pytest.fixture
def backend(monkeypatch):
    monkeypatch.setattr(adapter, "cupy", FakeCuPy())
    return adapter.BACKEND


def on_device(x):
    return np.asarray(x).view(FakeArray)


def test_segment_sum_of_a_batch(backend, rng):
    values, ids = rng.normal(size=(2, 3, 5)), rng.integers(0, 4, size=(2, 3, 5))
    got = backend.segment_sum(on_device(values), on_device(ids.astype(np.int32)), 4)
    for r, c in np.ndindex(2, 3):
        assert np.allclose(got[r, c], np.bincount(ids[r, c], values[r, c], 4))
    nothing = on_device(np.empty((0, 5)))
    assert backend.segment_sum(nothing, on_device(ids[0, :0]), 4).shape == (0, 4)
    empty = backend.segment_sum(on_device(np.empty((2, 0))), on_device(ids[0, :2, :0]), 4)
    assert np.array_equal(empty, np.zeros((2, 4)))


def test_scatter_add_leaves_its_argument_alone(backend):
    x = on_device(np.ones((2, 3)))
    got = backend.scatter_add(x, on_device([[0, 0], [2, 1]]), on_device([[1.0, 2.0], [3.0, 4.0]]))
    assert np.array_equal(got, [[4, 1, 1], [1, 5, 4]])
    assert np.array_equal(x, np.ones((2, 3)))


def test_top_k_breaks_ties_by_the_lower_index(backend):
    values, places = backend.top_k(on_device([[1.0, 3.0, 3.0, 2.0]]), 2)
    assert np.array_equal(values, [[3, 3]])
    assert np.array_equal(places, [[1, 2]])


def test_host_call_goes_there_and_back(backend):
    got = backend.host_call(lambda x: {"twice": 2 * x}, None, on_device([1.0, 2.0]))
    assert np.array_equal(got["twice"], [2, 4])
    assert isinstance(got["twice"], FakeArray)
    assert backend.host_call(lambda: np.zeros(2), None).shape == (2,)


def test_special_functions_are_those_of_cupyx():
    assert adapter.BACKEND.special("digamma") is special.psi
    assert adapter.BACKEND.special("erf") is special.erf
    assert adapter.BACKEND.special("no_such_function") is None


def test_kernels_are_for_single_and_double_precision():
    kernel = adapter.BACKEND.kernel
    assert kernel("isotonic_blocks", np.dtype("float32"), None) is not None
    assert kernel("isotonic_blocks", np.dtype("float16"), None) is None
    assert kernel("no_such_kernel", np.dtype("float32"), None) is None
    assert adapter.BACKEND.fused("isotonic", np.ones(3)) is not None
    assert adapter.BACKEND.fused("isotonic", np.ones(3, np.float16)) is None
    assert adapter.BACKEND.fused_rule("isotonic") is not None


@pytest.mark.parametrize(
    "rng", [True, 1.5, None, np.random.default_rng(0)], ids=lambda rng: type(rng).__name__
)
def test_sampler_names_what_it_was_given(rng):
    with pytest.raises(TypeError, match=f"cupy.*got {type(rng).__qualname__}"):
        adapter.BACKEND.sampler(rng)


def test_description_without_a_driver_has_no_devices():
    report = adapter.BACKEND.describe()
    assert report["version"]
    assert report["kernels"] == ("cuda" if report["devices"] else "none")


@pytest.mark.cuda
def test_draws_of_a_device():
    if not adapter.BACKEND.describe()["devices"]:
        pytest.skip("there is no CUDA device")
    for rng in (0, adapter.cupy.random.RandomState(0)):
        sampler = adapter.BACKEND.sampler(rng)
        draws = sampler.uniform((1000,), "float32")
        assert draws.dtype == np.float32
        assert float(draws.min()) >= 0
        assert float(draws.max()) < 1
        assert abs(float(sampler.normal((10000,)).mean())) < 0.1
        assert set(adapter.cupy.asnumpy(sampler.integers(0, 3, (100,)))) == {0, 1, 2}
