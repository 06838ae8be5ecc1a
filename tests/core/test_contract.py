"""The members of the adapter contract, on every library, against NumPy by hand."""

import numpy as np
import pytest

from fenchel.backend import Backend, backend_of


def test_every_adapter_follows_the_protocol(xp):
    assert isinstance(backend_of(xp.array([1.0])), Backend)


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 0, 7), (2, 2, 1)])
def test_segment_sum(xp, rng, shape):
    values = rng.normal(size=shape)
    ids = rng.integers(0, 5, size=shape)
    expected = np.zeros((*shape[:-1], 6))
    for place in np.ndindex(shape):
        expected[(*place[:-1], ids[place])] += values[place]
    x, i = xp.array(values), xp.array(ids.astype(np.int32))
    found = xp.run(lambda x, i: backend_of(x).segment_sum(x, i, 6), x, i)
    np.testing.assert_allclose(xp.numpy(found), expected, rtol=1e-13, atol=1e-13)


def test_segment_sum_keeps_float32_accuracy_on_long_rows(xp, rng):
    values = rng.normal(size=(1, 100_000)).astype("float32") + 10
    ids = np.repeat(np.arange(100), 1000)[None].astype(np.int32)
    found = xp.run(
        lambda x, i: backend_of(x).segment_sum(x, i, 100),
        xp.array(values, "float32"),
        xp.array(ids),
    )
    expected = values.astype(float).reshape(100, 1000).sum(-1)[None]
    np.testing.assert_allclose(xp.numpy(found), expected, rtol=2e-6)


def test_scatter_add(xp, rng):
    x, updates = rng.normal(size=(2, 4)), rng.normal(size=(2, 3))
    places = np.asarray([[0, 0, 3], [1, 2, 1]])
    expected = x.copy()
    for r in range(2):
        np.add.at(expected[r], places[r], updates[r])
    found = xp.run(
        lambda a, i, u: backend_of(a).scatter_add(a, i, u),
        xp.array(x),
        xp.array(places),
        xp.array(updates),
    )
    np.testing.assert_allclose(xp.numpy(found), expected, atol=1e-14)


def test_top_k_breaks_ties_by_lower_index(xp):
    x = xp.array([[1.0, 3.0, 3.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    values, places = xp.run(lambda x: backend_of(x).top_k(x, 3), x)
    assert xp.numpy(places).tolist() == [[1, 2, 4], [0, 1, 2]]
    assert xp.numpy(values).tolist() == [[3.0, 3.0, 3.0], [0.0, 0.0, 0.0]]


def test_loops(xp):
    x = xp.array([1.0, 2.0])

    def powers(x):
        backend = backend_of(x)
        doubled = backend.fori_loop(0, 3, lambda i, c: c * 2.0, x)
        total, rows = backend.scan(lambda c, r: (c + r, c * r), x[0], x)
        grown = backend.while_loop(lambda c: backend.namespace.sum(c) < 20, lambda c: c * 2.0, x)
        return doubled, total, rows, grown

    doubled, total, rows, grown = xp.run(powers, x)
    assert xp.numpy(doubled).tolist() == [8.0, 16.0]
    assert float(xp.numpy(total)) == 4.0
    assert xp.numpy(rows).tolist() == [1.0, 4.0]
    assert xp.numpy(grown).tolist() == [8.0, 16.0]


def test_sampler_is_reproducible_and_advances(xp):
    backend = backend_of(xp.array([1.0]))
    first, again = backend.sampler(3), backend.sampler(3)
    a, b, c = first.normal((4,)), again.normal((4,)), first.normal((4,))
    assert xp.numpy(a).tolist() == xp.numpy(b).tolist()
    assert xp.numpy(a).tolist() != xp.numpy(c).tolist()
    with pytest.raises(TypeError, match="`rng`"):
        backend.sampler("seed")


def test_host_call_runs_numpy_code(xp):
    x = xp.array([3.0, 1.0, 2.0])
    found = xp.run(lambda x: backend_of(x).host_call(lambda a: np.sort(a), x, x), x)
    assert xp.numpy(found).tolist() == [1.0, 2.0, 3.0]
