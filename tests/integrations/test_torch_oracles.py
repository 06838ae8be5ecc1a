"""Directions of oracles in the place of gradients, against the oracles themselves."""

import copy
import io
from functools import partial

import pytest

torch = pytest.importorskip("torch")

from fenchel.integrations.torch import OracleGradients  # noqa: E402
from fenchel.losses import logistic  # noqa: E402
from fenchel.oracles import GaussNewton, ProxLinear, gradient_oracle  # noqa: E402


def setting(kind=GaussNewton, inner=torch.optim.SGD, **options):
    torch.manual_seed(0)
    layers = torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)
    model = torch.nn.Sequential(*layers).double()
    oracle = kind(logistic, partial(torch.func.functional_call, model), gamma=0.5, **options)
    batch = torch.randn(9, 3, dtype=torch.float64), torch.arange(9) % 2
    base = inner(model.parameters(), lr=0.5)
    return model, oracle, batch, OracleGradients(dict(model.named_parameters()), oracle, base)


def value(model, batch):
    return torch.nn.functional.cross_entropy(model(batch[0]), batch[1])


@pytest.mark.parametrize("kind", [GaussNewton, ProxLinear])
@pytest.mark.parametrize("weighted", [False, True])
def test_descent_at_the_rate_gamma_takes_the_direction(kind, weighted):
    model, oracle, batch, optimizer = setting(kind)
    if weighted:
        batch = (*batch, torch.linspace(0.0, 1.0, 9, dtype=torch.float64))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    direction, info = oracle.direction(before, *batch)
    loss = optimizer.step(lambda: batch)
    for name, p in model.named_parameters():
        assert p.detach().numpy() == pytest.approx((before[name] + direction[name]).numpy())
    assert float(loss) == pytest.approx(float(info.value + info.model_decrease))
    assert bool(optimizer.info.certified_descent)
    assert value(model, batch).item() < float(loss)


def test_the_gradient_oracle_is_the_optimiser_itself():
    model, _, batch, optimizer = setting(gradient_oracle, torch.optim.Adam)
    other = copy.deepcopy(model)
    adam = torch.optim.Adam(other.parameters(), lr=0.5)
    for _ in range(4):
        optimizer.step(lambda: batch)
        adam.zero_grad()
        value(other, batch).backward()
        adam.step()
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert p.detach().numpy() == pytest.approx(q.detach().numpy(), rel=1e-9)


def test_a_saved_state_goes_on_bit_for_bit_and_a_copy_is_independent():
    model, _, batch, optimizer = setting(inner=torch.optim.Adam)
    for _ in range(3):
        optimizer.step(lambda: batch)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    twin, _, _, other = setting(inner=torch.optim.Adam)
    twin.load_state_dict(model.state_dict())
    other.load_state_dict(torch.load(file, weights_only=True))
    copied = copy.deepcopy(optimizer)
    for _ in range(3):
        optimizer.step(lambda: batch)
        other.step(lambda: batch)
    assert all(map(torch.equal, model.parameters(), twin.parameters()))
    moved = copied._named["0.weight"].detach().clone()
    assert not torch.equal(moved, model[0].weight)
    copied.step(lambda: batch)
    assert not torch.equal(moved, copied._named["0.weight"])


def test_schedulers_and_frozen_parameters():
    model, _, batch, _ = setting()
    model[0].weight.requires_grad_(False)
    inner = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    oracle = GaussNewton(logistic, partial(torch.func.functional_call, model), gamma=0.5)
    optimizer = OracleGradients(dict(model.named_parameters()), oracle, inner)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)
    before = model[0].weight.clone()
    optimizer.step(lambda: batch)
    scheduler.step()
    assert optimizer.learning_rate == pytest.approx(0.05)
    assert inner.param_groups[0]["lr"] == pytest.approx(0.05)
    assert torch.equal(before, model[0].weight)


def test_parameters_that_are_frozen_are_constants_of_the_model():
    model, oracle, batch, _ = setting()
    model[0].weight.requires_grad_(False)
    free = [p for p in model.parameters() if p.requires_grad]
    named = dict(model.named_parameters())
    still = {name: p.detach().clone() for name, p in named.items()}
    moving = {name: w for name, w in still.items() if name != "0.weight"}
    exact, _ = oracle.direction(moving, *batch)
    OracleGradients(named, oracle, torch.optim.SGD(free, lr=0.5)).step(lambda: batch)
    for name, d in exact.items():
        assert torch.allclose(named[name].detach(), still[name] + d, rtol=0.0, atol=1e-12)
    assert torch.equal(named["0.weight"].detach(), still["0.weight"])
    assert named["0.weight"].grad is None


def test_what_is_refused():
    model, oracle, batch, optimizer = setting()
    inner = torch.optim.SGD(model.parameters(), lr=1.0)
    named = dict(model.named_parameters())
    with pytest.raises(TypeError, match="`closure` must be a function that returns the batch"):
        optimizer.step()
    with pytest.raises(TypeError, match="`oracle` must be an oracle of fenchel"):
        OracleGradients(named, logistic, inner)
    with pytest.raises(TypeError, match="`optimizer` must be an optimiser of PyTorch"):
        OracleGradients(named, oracle, oracle)
    with pytest.raises(ValueError, match="`optimizer` must be over the parameters in `params`"):
        OracleGradients({}, oracle, inner)
    with pytest.raises(ValueError, match="m >= 1 samples"):
        optimizer.step(lambda: (batch[0][:0], batch[1][:0]))
