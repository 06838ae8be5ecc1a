"""The modules of PyTorch: against ``torch.nn``, the functions they wrap, and its machinery."""

import copy
import pickle

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from fenchel import losses, topk  # noqa: E402
from fenchel.integrations import torch as modules  # noqa: E402
from fenchel.regularizers import Gini, Shannon  # noqa: E402

MODULES = [
    modules.LogisticLoss,
    modules.SparsemaxLoss,
    modules.EntmaxLoss,
    modules.FDivergenceLoss,
    modules.FitzpatrickLogisticLoss,
    modules.FitzpatrickSparsemaxLoss,
    modules.FitzpatrickEntmaxLoss,
]


@pytest.fixture
def scores():
    return torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def target():
    return torch.randint(0, 4, (6, 3), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_logistic_is_cross_entropy(scores, target, reduction, smoothing):
    """Up to the entropy of a smoothed target, a constant that ``torch`` leaves out."""
    # With both weights and smoothing, ``torch`` weighs each class of the target by itself.
    weight = torch.tensor([0.5, 1.0, 2.0, 1.5], dtype=torch.float64) if smoothing == 0.0 else None
    target[0, 0] = -100
    options = {"weight": weight, "reduction": reduction, "label_smoothing": smoothing}
    a, b = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    ours, theirs = (
        modules.LogisticLoss(**options)(a, target),
        nn.CrossEntropyLoss(**options)(b, target),
    )
    if smoothing == 0.0:
        assert torch.allclose(ours, theirs, atol=1e-12)
    ours.sum().backward()
    theirs.sum().backward()
    assert torch.allclose(a.grad, b.grad, atol=1e-12)


@pytest.mark.parametrize("make", MODULES, ids=lambda make: make.__name__)
def test_module_is_the_function(scores, target, make):
    module = make()
    flat = scores.movedim(1, -1).reshape(-1, 4)
    expected = module.loss(flat, target.reshape(-1))
    assert torch.allclose(module(scores, target), expected, atol=1e-12)
    assert torch.allclose(module(scores[0, :, 0], target[0, 0]), module.loss(flat[0], target[0, 0]))
    predicted = module.link(scores)
    assert torch.allclose(predicted.sum(dim=1), torch.ones(6, 3, dtype=torch.float64))


@pytest.mark.parametrize("make", MODULES, ids=lambda make: make.__name__)
def test_modules_are_copied_saved_and_moved(scores, target, make):
    module = make()
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(twin(scores, target), module(scores, target))
    half = module.to(torch.float32)(scores.float(), target)
    assert half.dtype == torch.float32


@pytest.mark.parametrize("make", [modules.FenchelYoungLoss, modules.FitzpatrickLoss])
def test_losses_of_regularizers(scores, target, make):
    assert torch.isfinite(make(Shannon())(scores, target))
    dense = torch.softmax(scores, dim=1)
    assert make(Gini())(dense, dense).item() == pytest.approx(0.0, abs=1e-12)


def test_masked_classes(scores, target):
    where = torch.ones_like(scores, dtype=torch.bool)
    where[:, 3] = False
    target = target % 3
    masked = modules.SparsemaxLoss()(scores, target, where)
    assert torch.allclose(masked, modules.SparsemaxLoss()(scores[:, :3], target))


def test_alpha_is_learnt(scores, target):
    module = modules.EntmaxLoss(1.5, learn_alpha=True)
    module(scores.float(), target).backward()
    fixed = losses.entmax_loss(alpha=1.5)(scores.movedim(1, -1), target)
    assert torch.allclose(module(scores.float(), target), fixed.float(), atol=1e-5)
    step = 1e-4
    up, down = (
        losses.entmax_loss(alpha=1.5 + sign * step)(scores.movedim(1, -1), target)
        for sign in (1, -1)
    )
    slope = (up - down) / (2 * step)
    # d alpha / d raw = sigmoid(raw) = 1 - exp(-(alpha - 1))
    chain = 1 - torch.exp(torch.tensor(-0.5))
    assert module.raw_alpha.grad.item() == pytest.approx((slope * chain).item(), rel=1e-3)


def test_a_reference_measure_is_a_buffer():
    module = modules.FDivergenceLoss("kl", torch.tensor([0.7, 0.2, 0.1]))
    assert "reference" in module.state_dict()
    scores, target = torch.zeros(2, 3), torch.tensor([0, 2])
    shifted = torch.log(torch.tensor([0.7, 0.2, 0.1])).expand(2, 3)
    expected = nn.functional.cross_entropy(shifted, target)
    assert module(scores, target).item() == pytest.approx(expected.item(), abs=1e-6)


def test_weight_is_saved_with_the_module():
    module = modules.SparsemaxLoss(weight=torch.tensor([1.0, 2.0]))
    assert torch.equal(module.state_dict()["weight"], torch.tensor([1.0, 2.0]))


def test_sparse_top_k_is_the_function():
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(2))
    module = modules.SparseTopK(3, temperature=0.5, kind="positive")
    assert torch.equal(module(x), topk(x, 3, temperature=0.5, kind="positive"))
    assert "k=3" in repr(module)


def test_a_module_compiles(scores, target):
    compiled = torch.compile(modules.SparsemaxLoss(), backend="eager", fullgraph=True)
    assert torch.allclose(compiled(scores, target), modules.SparsemaxLoss()(scores, target))


def test_training_reduces_the_loss():
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(64, 5, generator=generator)
    y = (x @ torch.randn(5, 3, generator=generator)).argmax(dim=1)
    model, loss = nn.Linear(5, 3), modules.FitzpatrickLogisticLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    values = []
    for _ in range(60):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.5 * values[0]
