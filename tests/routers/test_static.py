"""The same indices, bit for bit, on every library, in jit and in compile."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fenchel.routers import route

METHODS = {
    "softmax_token_choice": {"k": 2},
    "sinkhorn_token_choice": {"k": 2},
    "batch_prioritized": {"k": 2},
    "softmax_expert_choice": {},
    "sinkhorn_expert_choice": {},
    "sparse_expert_choice": {},
    "sparse_topk": {"k": 2},
    "bias_balanced": {"k": 2, "n_group": 2, "topk_group": 1},
    "relu": {},
    "balanced_assignment": {},
}
every_method = pytest.mark.parametrize("method", METHODS)


@pytest.fixture
def data(rng):
    return rng.normal(size=(2, 24, 6)).astype(np.float32), rng.random((2, 24)) < 0.9


def indices(method):
    options = {"method": method, "capacity": 5, **METHODS[method]}

    def run(logits, where):
        routing = route(logits, where=where, **options)
        stats = routing.stats()
        found = (routing.token_index, routing.expert_index, routing.slot, stats.demand)
        return tuple(part for part in (*found, stats.load, stats.unrouted) if part is not None)

    return run


@every_method
def test_every_library_decides_alike(xp, data, method):
    logits, mask = data
    expected = indices(method)(logits, mask)
    found = xp.run(indices(method), xp.array(logits, dtype="float32"), xp.array(mask))
    for a, b in zip(found, expected, strict=True):
        assert_array_equal(xp.numpy(a), b)


@pytest.mark.filterwarnings("ignore:.*lru_cache.*:UserWarning")  # of array-api-compat
@every_method
def test_compiled_code_decides_as_eager_code_does(data, method):
    torch = pytest.importorskip("torch")
    torch._dynamo.reset()  # it gives up where one function is compiled for too many options
    arrays = tuple(map(torch.from_numpy, data))
    run = torch.compile(indices(method), fullgraph=True, backend="aot_eager")
    for a, b in zip(run(*arrays), indices(method)(*data), strict=True):
        assert_array_equal(a.numpy(), b)


def test_a_routing_is_a_container(data):
    jax = pytest.importorskip("jax")
    logits = jax.numpy.asarray(data[0])
    routing = jax.jit(lambda z: route(z, k=2, capacity=4))(logits)
    assert (routing.n_tokens, routing.n_experts, routing.capacity) == (24, 6, 4)
    again = jax.tree.map(lambda leaf: leaf, routing)
    assert_array_equal(again.slot, route(data[0], k=2, capacity=4).slot)
