"""Edge cases of routing, the same on every library, and its errors."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fenchel.autodiff import grad
from fenchel.routers import route
from tests.routers import by_hand

TOKEN = ("softmax_token_choice", "sinkhorn_token_choice", "batch_prioritized")
EXPERT = ("softmax_expert_choice", "sinkhorn_expert_choice", "sparse_expert_choice")
OTHERS = ("sparse_topk", "bias_balanced", "relu", "balanced_assignment")
every_method = pytest.mark.parametrize("method", (*TOKEN, *EXPERT, *OTHERS))


def total(routing, x):
    return routing.combine(routing.dispatch(x))


@every_method
def test_no_tokens_and_no_places(method):
    empty = route(np.zeros((2, 0, 3)), method=method)
    assert total(empty, np.zeros((2, 0, 4))).shape == (2, 0, 4)
    stats = empty.stats()
    assert_array_equal(stats.load, np.zeros((2, 3)))
    assert_array_equal(stats.entropy, [0, 0])
    assert not np.any(np.signbit(stats.entropy))
    closed = route(np.ones((4, 3)), method=method, capacity=0)
    assert_array_equal(total(closed, np.full((4, 2), 7.0)), np.zeros((4, 2)))
    assert closed.dispatch(np.ones((4, 2))).shape == (3, 0, 2)
    assert closed.segments().combine(closed.segments().dispatch(np.ones((4, 2)))).shape == (4, 2)


@every_method
def test_no_groups(xp, method):
    logits, x = xp.array(np.zeros((0, 5, 3))), xp.array(np.zeros((0, 5, 2)))
    routing = xp.run(lambda z: route(z, method=method), logits)
    assert total(routing, x).shape == (0, 5, 2)
    rows = routing.segments()
    assert rows.combine(rows.dispatch(x)).shape == (0, 5, 2)
    assert routing.stats().load.shape == (0, 3)
    assert all(part.shape[:3] == (0, 5, 3) for part in routing.dense())


@every_method
@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3), (0, 5, 3)])
def test_gradients_of_nothing_are_empty(method, shape):
    torch = pytest.importorskip("torch")
    logits = torch.zeros(shape, requires_grad=True)
    x = torch.zeros((*shape[:-1], 2), requires_grad=True)
    total(route(logits, method=method), x).sum().backward()
    assert logits.grad.shape == shape and x.grad.shape == x.shape


@pytest.mark.parametrize("method", ["sinkhorn_token_choice", "sinkhorn_expert_choice"])
def test_infinite_logits_have_the_plan_of_their_limit(xp, method):
    logits = np.asarray([[0.5, np.inf, 0.0], [1.0, 0.0, -1.0], [np.inf, 0.3, np.inf], [0, 0, 0]])
    large = np.where(logits == np.inf, 600.0, logits)
    found = xp.run(lambda z: route(z, method=method, max_iter=200), xp.array(logits))
    expected = route(large, method=method, max_iter=200)
    assert_allclose(xp.numpy(found.plan), expected.plan, atol=1e-10)
    assert_allclose(xp.numpy(found.marginal_error), 0, atol=1e-10)
    assert_array_equal(xp.numpy(found.token_index), expected.token_index)


@every_method
def test_one_expert_has_everything(method):
    routing = route(np.asarray([[0.3], [0.1], [2.0]]), method=method)
    assert_array_equal(np.sort(routing.token_index), [[0, 1, 2]])
    own = {"relu": [[0.3], [0.1], [2.0]], "balanced_assignment": by_hand.sigmoid}
    if method == "balanced_assignment":
        assert_allclose(routing.weight[:, 0], by_hand.sigmoid(np.asarray([0.3, 0.1, 2.0])))
    else:
        assert_allclose(total(routing, np.ones((3, 1))), own.get(method, np.ones((3, 1))))


@every_method
def test_infinities_nan_and_masked_groups(xp, rng, method):
    logits = rng.normal(size=(2, 6, 3)) + 4  # positive, for the sake of relu
    logits[0, 1] = -np.inf
    logits[0, 2, 1] = -np.inf
    logits[0, 3, 0] = np.nan
    logits[1] = -np.inf
    options = {"method": method, "k": 1 if method == "balanced_assignment" else 2}
    routing = xp.run(lambda z: route(z, **options), xp.array(logits))
    dispatch, combine = (xp.numpy(part).sum(-1) for part in routing.dense())
    bad = ~(logits > -np.inf)
    assert np.all(dispatch[bad] == 0)
    assert np.all(np.isfinite(combine))
    assert np.all(xp.numpy(routing.combine(routing.dispatch(xp.array(np.ones((2, 6, 1))))))[1] == 0)
    clean = np.where(np.isnan(logits), -np.inf, logits)
    same = xp.run(lambda z: route(z, **options), xp.array(clean))
    assert_array_equal(xp.numpy(routing.token_index), xp.numpy(same.token_index))
    assert_array_equal(xp.numpy(routing.stats().unrouted)[1], 0)


@every_method
def test_tokens_without_a_logit_take_no_part_whatever_the_mask(rng, method):
    logits = rng.normal(size=(5, 3))
    logits[3] = -np.inf
    mask = np.asarray([True, True, False, True, True])
    routing = route(logits, method=method, where=mask, capacity=1)
    assert_array_equal(routing.routed, [True, True, False, False, True])
    seats = np.isin(np.arange(5), routing.token_index)
    assert_array_equal(routing.stats().unrouted, np.sum(routing.routed & ~seats))


@pytest.mark.parametrize("method", ["softmax_token_choice", "sinkhorn_token_choice", "relu"])
def test_gradients_stay_finite_next_to_infinities(rng, method):
    logits = rng.normal(size=(5, 3))
    logits[1], logits[2, 1] = -np.inf, np.nan
    x = rng.normal(size=(5, 2))
    for weights in (None, "renormalized", "sigmoid"):
        options = {"method": method, "k": 2, "weights": weights}
        slope = grad(lambda z, o=options: np.sum(total(route(z, **o), x) ** 2))(logits)
        assert np.all(np.isfinite(slope))
        assert np.all(slope[~(logits > -np.inf)] == 0)


def test_half_precision_is_computed_wide(xp):
    if xp.name in ("strict", "strict-device1", "third-party"):
        pytest.skip("the library has no half precision")
    logits = np.asarray([[6e4, -6e4, 5.9e4], [1.0, 2.0, 3.0]], np.float16)
    routing = xp.run(lambda z: route(z, k=2), xp.array(logits, dtype="float16"))
    assert_array_equal(xp.numpy(routing.expert_index), [[0, 2], [2, 1]])
    assert str(routing.weight.dtype).endswith("float16")
    wide = by_hand.softmax(logits.astype(np.float64))
    assert_allclose(xp.numpy(routing.weight)[1], wide[1, [2, 1]], rtol=1e-3)
    x = np.ones((2, 3), np.float16)
    out = total(routing, xp.array(x, dtype="float16"))
    assert str(out.dtype).endswith("float16")


def test_all_experts_and_none(rng):
    logits, x = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    assert_allclose(total(route(logits, k=3), x), x, rtol=1e-12)
    nothing = route(logits, k=0)
    assert nothing.expert_index.shape == (5, 0)
    assert_array_equal(total(nothing, x), np.zeros((5, 2)))


@every_method
def test_batches_are_loops_over_groups(rng, method):
    logits = np.asarray(rng.normal(size=(4, 6, 2, 3)).transpose(2, 0, 1, 3))
    mask = rng.random((2, 4, 6)) < 0.8
    options = {"method": method, "capacity": 3}
    routing = route(logits, where=mask, **options)
    x = rng.normal(size=(2, 4, 6, 2))
    out = total(routing, x)
    for place in np.ndindex(2, 4):
        alone = route(logits[place], where=mask[place], **options)
        assert_array_equal(routing.token_index[place], alone.token_index)
        assert_allclose(out[place], total(alone, x[place]), rtol=1e-12)
        for batched, single in zip(routing.stats(), alone.stats(), strict=True):
            assert_allclose(batched[place], single, rtol=1e-12)


BAD = [
    ({"k": 4}, ValueError, r"`k` must be in \[0, m\]; got k=4 with m=3"),
    ({"k": -1}, ValueError, "`k` must be at least 0"),
    ({"k": 1.5}, TypeError, "`k` must be an integer"),
    ({"capacity": -1}, ValueError, "`capacity` must be at least 0"),
    ({"weights": "renormalized"}, ValueError, "no gradient; got k=1"),
    ({"weights": "plan"}, ValueError, "needs a method with a transport plan"),
    ({"method": "nearest"}, ValueError, "`method` must be one of"),
    ({"method": "softmax_expert_choice", "capacity": 6}, ValueError, "capacity=6 with n=5"),
    ({"method": "balanced_assignment", "k": 2}, ValueError, "`k` must be 1"),
    ({"method": "bias_balanced", "n_group": 2}, ValueError, "`n_group` must divide"),
    ({"method": "bias_balanced", "topk_group": 1}, ValueError, "`topk_group` needs `n_group`"),
    ({"method": "bias_balanced", "bias": np.ones(2)}, ValueError, "`bias` must have the shape"),
    ({"priority": "random"}, ValueError, "`priority` must be one of"),
    ({"where": np.ones(5)}, TypeError, "`where` must be boolean"),
    ({"where": np.ones(4, bool)}, ValueError, "`where` must broadcast"),
    ({"method": "bias_balanced", "bias": np.ones((2, 3))}, ValueError, r"broadcast to \(3,\)"),
    ({"bias": np.ones(3)}, ValueError, '`bias` needs method="bias_balanced"'),
    ({"n_group": 3}, ValueError, '`n_group` needs method="bias_balanced"'),
    ({"method": "relu", "topk_group": 1}, ValueError, "`topk_group` needs method"),
    ({"noise": np.ones((5, 2))}, ValueError, "`noise` must broadcast to the shape"),
    ({"noise": np.ones((4, 5, 3))}, ValueError, "`noise` must broadcast to the shape"),
    ({"noise": np.ones((5, 3), np.float32)}, TypeError, "`noise` must have the dtype float64"),
    ({"noise": 0.1}, TypeError, "`noise` must be an array of numpy"),
    ({"noise": np.ones((5, 3)), "rng": 0}, ValueError, "must not be given together"),
    ({"temperature": -1.0}, ValueError, "`temperature` must be at least 0"),
    ({"method": "relu", "temperature": -1.0}, ValueError, "`temperature` must be at least"),
    ({"max_iter": 0}, ValueError, "`max_iter` must be at least 1"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD, ids=map(str, range(len(BAD))))
def test_errors_name_the_argument(options, error, message):
    with pytest.raises(error, match=message):
        route(np.zeros((5, 3)), **options)


def test_errors_of_shapes_and_types():
    with pytest.raises(TypeError, match="`logits` must have a real floating dtype"):
        route(np.zeros((5, 3), int))
    with pytest.raises(TypeError, match="got list"):
        route([[1.0, 2.0]], rng=0)
    with pytest.raises(ValueError, match="with at least one expert"):
        route(np.zeros((5, 0)))
    with pytest.raises(ValueError, match="`logits` must have the shape"):
        route(np.zeros(5))
    routing = route(np.zeros((5, 3)), capacity=2)
    with pytest.raises(ValueError, match="`x` must have the shape"):
        routing.dispatch(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="`y` must have the shape"):
        routing.combine(np.zeros((3, 3, 2)))
