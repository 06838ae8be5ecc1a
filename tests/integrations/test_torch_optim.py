"""Tuners as optimisers of PyTorch, against the tuners themselves."""

import copy
import io

import pytest

torch = pytest.importorskip("torch")

from fenchel import tuners  # noqa: E402
from fenchel.integrations.torch import (  # noqa: E402
    CDAT,
    Armijo,
    Polyak,
    QuadraticGreedy,
    StrongWolfe,
    Tuned,
)

TUNERS = {
    "cdat": tuners.CDAT(),
    "cdat with Adam, every third step": tuners.CDAT(ema=0.9, every=3, base=tuners.Adam()),
    "cdat with AdamW": tuners.CDAT(base=tuners.Adam(weight_decay=0.01)),
    "greedy": tuners.QuadraticGreedy(),
    "signed": tuners.QuadraticGreedy(clip=False, base=tuners.Momentum(0.5)),
    "armijo": tuners.Armijo(),
    "wolfe": tuners.StrongWolfe(),
    "polyak": tuners.Polyak(0.5),
}


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(20, 3, dtype=torch.float64, generator=generator)
    targets = torch.randn(20, dtype=torch.float64, generator=generator)
    first = torch.randn(3, 4, dtype=torch.float64, generator=generator)
    second = torch.randn(4, dtype=torch.float64, generator=generator)

    def loss(params):
        return ((torch.tanh(inputs @ params[0]) @ params[1] - targets) ** 2).mean()

    return loss, [first, second]


def leaves_of(start):
    return [w.clone().requires_grad_() for w in start]


@pytest.mark.parametrize("name", TUNERS)
def test_the_same_numbers_as_the_tuner(problem, name):
    loss, start = problem
    tuner, plain, params = TUNERS[name], list(start), leaves_of(start)
    optimizer, state = Tuned(params, tuner), tuner.init(start)
    for _ in range(10):
        value = optimizer.step(lambda: loss(params))
        plain, state, info = tuner.step(loss, plain, state)
        assert float(value) == pytest.approx(float(info.value), rel=1e-9)
        assert optimizer.learning_rate == pytest.approx(float(info.learning_rate), rel=1e-6)
        assert optimizer.info.grad_norm == pytest.approx(float(info.grad_norm), rel=1e-9)
    for a, b in zip(params, plain, strict=True):
        assert a.detach().numpy() == pytest.approx(b.numpy(), rel=1e-7)


@pytest.mark.parametrize("curvature", ["grad_difference", "value_difference"])
def test_differences_are_near_the_exact_curvature(problem, curvature):
    loss, start = problem
    rates = []
    for kind in ("hessian", curvature):
        params = [w.float().requires_grad_() for w in start]
        optimizer = CDAT(params, curvature=kind)
        optimizer.step(lambda p=params: loss([w.double() for w in p]))
        rates.append(optimizer.learning_rate)
    assert rates[1] == pytest.approx(rates[0], rel=1e-2)


@pytest.mark.parametrize("inner", ["SGD", "Adam", "AdamW"])
def test_directions_of_another_optimiser(problem, inner):
    loss, start = problem
    params, twins = leaves_of(start), leaves_of(start)
    options = {"lr": 1.0, "weight_decay": 0.01} if inner == "AdamW" else {"lr": 1.0}
    base = getattr(torch.optim, inner)(params, **options)
    ours = {
        "SGD": tuners.GradientDescent(),
        "Adam": tuners.Adam(),
        "AdamW": tuners.Adam(weight_decay=0.01),
    }[inner]
    optimizer, twin = CDAT(params, base=base), CDAT(twins, base=ours)
    for _ in range(8):
        optimizer.step(lambda: loss(params))
        twin.step(lambda: loss(twins))
        assert optimizer.learning_rate == pytest.approx(twin.learning_rate, rel=1e-6)
    assert base.param_groups[0]["weight_decay"] == options.get("weight_decay", 0.0)
    for a, b in zip(params, twins, strict=True):
        assert a.detach().numpy() == pytest.approx(b.detach().numpy(), rel=1e-6)


@pytest.mark.parametrize("torch_base", [False, True])
def test_a_saved_state_goes_on_bit_for_bit(problem, torch_base):
    loss, start = problem

    def fresh(values):
        params = [w.detach().clone().requires_grad_() for w in values]
        base = torch.optim.Adam(params, lr=1.0) if torch_base else tuners.Adam()
        return params, CDAT(params, ema=0.5, base=base)

    params, optimizer = fresh(start)
    for _ in range(4):
        optimizer.step(lambda: loss(params))
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    others, other = fresh(params)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert other.learning_rate == optimizer.learning_rate
    for _ in range(4):
        optimizer.step(lambda: loss(params))
        other.step(lambda: loss(others))
    assert all(torch.equal(a, b) for a, b in zip(params, others, strict=True))


def test_a_copy_is_independent():
    w = torch.ones(2, requires_grad=True)
    optimizer = CDAT([w])
    optimizer.step(lambda: (w**4).sum())
    twin = copy.deepcopy(optimizer)
    optimizer.step(lambda: (w**4).sum())
    assert int(twin._tuner_state.count) == 1
    assert int(optimizer._tuner_state.count) == 2


def test_groups_frozen_tensors_and_unused_ones():
    used, frozen = torch.ones(2, requires_grad=True), torch.ones(2)
    unused = torch.ones(3, requires_grad=True)
    optimizer = CDAT([{"params": [used, frozen]}, {"params": [unused]}], 1.0)
    optimizer.step(lambda: ((used - frozen * 3.0) ** 2).sum())
    assert used.tolist() == pytest.approx([3.0, 3.0])
    assert frozen.tolist() == [1.0, 1.0]
    assert unused.tolist() == [1.0, 1.0, 1.0]
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5, 0.5])


def test_a_gradient_that_is_not_finite_is_skipped():
    w = torch.ones(2, requires_grad=True)
    optimizer = CDAT([w], base=tuners.Adam())
    optimizer.step(lambda: (w**2).sum())
    before, state = w.detach().clone(), copy.deepcopy(optimizer._base_state)
    optimizer.step(lambda: (w * float("nan")).sum())
    assert torch.equal(w.detach(), before)
    assert bool(optimizer.info.flags.non_finite) and bool(optimizer.info.flags.skipped)
    assert torch.equal(optimizer._base_state.square[0], state.square[0])
    optimizer.step(lambda: (w**2).sum())
    assert bool(torch.isfinite(w).all())


def test_parameters_come_back_where_a_trial_fails():
    w = torch.ones(2, requires_grad=True)
    calls = []

    def closure():
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return (w**2).sum()

    with pytest.raises(KeyboardInterrupt):
        CDAT([w]).step(closure)
    assert w.tolist() == [1.0, 1.0]


def test_huge_and_tiny_gradients():
    for scale in (1e-18, 1e18):
        w = torch.tensor([3.0, -4.0], requires_grad=True)
        QuadraticGreedy([w]).step(lambda w=w, c=scale: c * (w**2).sum())
        assert w.detach().abs().max() < 1e-5


def test_every_tuner_by_name(problem):
    loss, start = problem
    for kind in (CDAT, QuadraticGreedy, Armijo, StrongWolfe, Polyak):
        params = leaves_of(start)
        optimizer = kind(params, base=tuners.Momentum(0.5))
        first = optimizer.step(lambda p=params: loss(p))
        for _ in range(15):
            last = optimizer.step(lambda p=params: loss(p))
        assert last < first


def test_what_is_refused():
    w = torch.ones(2, requires_grad=True)

    def with_backward():
        loss = (w**2).sum()
        loss.backward()
        return loss

    with pytest.raises(ValueError, match="`closure` must return the loss without calling backw"):
        CDAT([w]).step(with_backward)
    with pytest.raises(TypeError, match="`closure` must be a function that returns the loss"):
        CDAT([w]).step()
    with pytest.raises(TypeError, match="`curvature` must not be ggn"):
        CDAT([w], curvature="ggn")
    with pytest.raises(ValueError, match="`base` must be over parameters of this optimiser"):
        CDAT([w], base=torch.optim.SGD([torch.ones(1)], lr=1.0))
    with pytest.raises(TypeError, match="`tuner` must be a tuner of fenchel"):
        Tuned([w], tuners.Hypergradient(0.1))
