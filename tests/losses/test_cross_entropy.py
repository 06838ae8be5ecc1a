"""Cross-entropy is PyTorch's, with all its options."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fenchel
from fenchel.losses import cross_entropy

torch = pytest.importorskip("torch")
WEIGHT = np.asarray([0.5, 2.0, 1.0, 3.0, 0.0])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.15])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["classes", "ignored", "dense", "unnormalised"])
def test_agrees_with_torch(rng, reduction, smoothing, weighted, kind):
    x = rng.normal(size=(6, 5)) * 2
    target = rng.integers(0, 4, size=6)
    if kind == "ignored":
        target[[1, 4]] = -100
    if kind in ("dense", "unnormalised"):
        target = rng.uniform(size=(6, 5))
        target = target / target.sum(-1, keepdims=True) if kind == "dense" else target
    options = {"reduction": reduction, "label_smoothing": smoothing}
    live = torch.tensor(x, requires_grad=True)
    weight = torch.tensor(WEIGHT) if weighted else None
    wanted = torch.nn.functional.cross_entropy(live, torch.tensor(target), weight, **options)
    wanted.sum().backward()
    for make, read in ((torch.tensor, torch.Tensor.numpy), (np.asarray, np.asarray)):
        more = options | ({"weight": make(WEIGHT)} if weighted else {})
        t = make(target)
        found = cross_entropy(make(x), t, **more)
        assert_allclose(read(found), wanted.detach(), rtol=1e-12)
        total = fenchel.grad(lambda x, t=t, more=more: _sum(cross_entropy(x, t, **more)))
        assert_allclose(read(total(make(x))), live.grad, atol=1e-12)


def _sum(y):
    return fenchel.namespace(y).sum(y)


def test_images_have_their_classes_on_axis_one(rng):
    x, target = rng.normal(size=(2, 5, 3, 4)), rng.integers(0, 5, size=(2, 3, 4))
    wanted = torch.nn.functional.cross_entropy(torch.tensor(x), torch.tensor(target))
    assert_allclose(cross_entropy(x, target, axis=1), wanted, rtol=1e-12)


def test_where_torch_gives_nan(rng):
    """All rows ignored: 0, not NaN. A score of -inf without a target: no trace."""
    x = rng.normal(size=(3, 4))
    ignored = np.asarray([-100, -100, -100])
    assert torch.nn.functional.cross_entropy(torch.tensor(x), torch.tensor(ignored)).isnan()
    assert cross_entropy(x, ignored) == 0
    x[:, 2] = -np.inf
    y = np.tile([0.5, 0.5, 0.0, 0.0], (3, 1))
    assert torch.nn.functional.cross_entropy(torch.tensor(x), torch.tensor(y)).isnan()
    assert_allclose(cross_entropy(x, y), cross_entropy(x[:, [0, 1, 3]], y[:, [0, 1, 3]]))


def test_the_part_of_an_ignored_class_does_not_count(rng):
    """PyTorch refuses `ignore_index` for dense targets."""
    x, classes = rng.normal(size=(4, 5)), np.asarray([0, 3, 3, 2])
    by_class = cross_entropy(x, classes, ignore_index=3)
    assert_allclose(cross_entropy(x, np.eye(5)[classes], ignore_index=3), by_class, rtol=1e-12)
