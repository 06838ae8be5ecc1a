"""Tuners as optimisers of PyTorch, against the tuners themselves."""

import copy
import inspect
import io

import pytest

torch = pytest.importorskip("torch")

from fenchel import tuners  # noqa: E402
from fenchel.integrations.torch import (  # noqa: E402
    CDAT,
    Armijo,
    Hypergradient,
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
    "hypergradient": tuners.Hypergradient(0.05, rate=1e-3, base=tuners.Momentum(0.5)),
    "multiplicative": tuners.Hypergradient(0.05, kind="multiplicative"),
    "schedule": tuners.Constant(tuners.warmup_cosine(0.1, 3, 8)),
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


class Parts:
    """A network with a logistic loss, whose Hessian is not its Gauss-Newton matrix."""

    def __init__(self, inputs, classes):
        self.inputs, self.classes = inputs, classes

    def predict(self, params, inputs):
        return torch.tanh(inputs @ params[0]) @ params[1]

    def loss(self, outputs, classes):
        return torch.nn.functional.cross_entropy(outputs, classes)

    def __call__(self, params, inputs, classes):
        return self.loss(self.predict(params, inputs), classes)


@pytest.mark.parametrize("every", [1, 2])
def test_gauss_newton_curvature_of_a_pair(every):
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator)
    data, start = (draw(15, 3), torch.arange(15) % 4), [draw(3, 5), draw(5, 4)]
    f, params, plain = Parts(*data), leaves_of(start), list(start)
    tuner = tuners.CDAT(curvature="ggn", every=every)
    optimizer, state = CDAT(params, curvature="ggn", every=every), tuner.init(start)

    def closure():
        return f.predict(params, data[0]), lambda z: f.loss(z, data[1])

    for _ in range(8):
        value = optimizer.step(closure)
        plain, state, info = tuner.step(f, plain, state, *data)
        assert float(value) == pytest.approx(float(info.value), rel=1e-9)
        assert optimizer.learning_rate == pytest.approx(float(info.learning_rate), rel=1e-7)
    for a, b in zip(params, plain, strict=True):
        assert a.detach().numpy() == pytest.approx(b.numpy(), rel=1e-7)


def test_gauss_newton_curvature_where_there_is_none():
    w, unused = torch.ones(2, requires_grad=True), torch.ones(1, requires_grad=True)
    for outputs, loss in (
        (lambda: w * 2.0, lambda z: z.sum()),  # a linear loss
        (lambda: torch.ones(2), lambda z: (z**2).sum()),  # of no parameter
        (lambda: w.detach(), lambda z: torch.ones(())),  # of nothing
    ):
        optimizer = CDAT([w, unused], curvature="ggn", guard=None)
        optimizer.step(lambda a=outputs, b=loss: (a(), b))
        assert float(optimizer.info.denominator) == 0.0
        assert w.tolist() == [1.0, 1.0]


def test_learning_rates_beyond_single_precision():
    """No curvature to speak of: what a float cannot hold is refused, not an error."""
    w = torch.ones(2, requires_grad=True)
    optimizer = CDAT([w], 1.0)
    optimizer.step(lambda: w.sum() + 1e-42 * (w**2).sum())
    assert bool(torch.isfinite(w).all())


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


@pytest.mark.parametrize("kind", ["own base", "torch base", "hypergradient"])
def test_a_saved_state_goes_on_bit_for_bit(problem, kind):
    loss, start = problem

    def fresh(values):
        params = leaves_of([w.detach() for w in values])
        if kind == "hypergradient":
            return params, Hypergradient(params, 0.05)
        base = torch.optim.Adam(params, lr=1.0) if kind == "torch base" else tuners.Adam()
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


@pytest.mark.parametrize("own", [False, True])
def test_a_decay_never_turns_the_weights_around(own):
    """Far from the minimum along a slope almost straight: a rate of 100 would be accepted."""
    w = torch.ones(3, dtype=torch.float64, requires_grad=True)
    base = (
        torch.optim.AdamW([w], lr=1.0, weight_decay=0.5) if own else tuners.Adam(weight_decay=0.5)
    )
    optimizer = CDAT([w], base=base)
    optimizer.step(lambda: (1.0 + (w - 100.0) ** 2).sqrt().sum())
    assert 0.0 < optimizer.learning_rate <= 2.0
    assert float(w.detach().min()) >= 0.0


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
    for kind in (CDAT, QuadraticGreedy, Armijo, StrongWolfe, Polyak, Hypergradient):
        params = leaves_of(start)
        first = (0.02,) if kind is Hypergradient else ()
        optimizer = kind(params, *first, base=tuners.Momentum(0.5))
        first = optimizer.step(lambda p=params: loss(p))
        for _ in range(15):
            last = optimizer.step(lambda p=params: loss(p))
        assert last < first


def test_options_are_in_the_signature():
    options = inspect.signature(CDAT).parameters
    assert list(options)[:2] == ["params", "scaling"]
    assert options["every"].default == 1
    assert options["base"].default is None


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
    with pytest.raises(TypeError, match=r"`closure` must return \(outputs, loss\) for curvature="):
        CDAT([w], curvature="ggn").step(lambda: (w**2).sum())
    with pytest.raises(ValueError, match="`base` must be over parameters of this optimiser"):
        CDAT([w], base=torch.optim.SGD([torch.ones(1)], lr=1.0))
    with pytest.raises(TypeError, match="`tuner` must be a tuner of fenchel"):
        Tuned([w], torch.optim.SGD([w], lr=0.1))
