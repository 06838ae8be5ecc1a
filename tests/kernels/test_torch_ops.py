"""Structure kernels as torch operators, and the fused eager route."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("numba")
pytestmark = [
    pytest.mark.kernels,
    # torch itself calls torch.jit.script at the first dual number
    pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning"),
]

from fenchel_backends.kernels.cuda.loader import cupy_found  # noqa: E402
from fenchel_backends.kernels.numpy_kernels import numpy_kernel  # noqa: E402
from fenchel_backends.kernels.table import KERNELS  # noqa: E402
from fenchel_backends.kernels.torch_ops import torch_fused, torch_kernel  # noqa: E402
from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap  # noqa: E402

from tests.kernels.test_cpu_rows import PARAMS, arguments, results  # noqa: E402

K, WIDTH = 3, 0.8


def formula(x):
    """Mask with q = 3: the detached threshold, corrected twice with the live input."""
    tau = torch_kernel("mask_threshold")(x, K, WIDTH, 3.0)
    for _ in range(2):
        u = (x - tau) / WIDTH
        free = (u > 0) & (u < 1)
        v = torch.where(u >= 1, 1.0, torch.where(free, u, 0.0))
        slope = torch.where(free, 2 * v / WIDTH, 0.0).sum(-1, keepdim=True)
        tau = tau + ((v * v).sum(-1, keepdim=True) - K) / slope
    u = (x - tau) / WIDTH
    v = torch.where(u >= 1, 1.0, torch.where(u > 0, u, 0.0))
    return v * v


def mask(x):
    """Mask by the fused rule where it applies, as an operator calls it."""
    fused = torch_fused("topk_mask", x)
    return formula(x) if fused is None else fused(formula, x, (K, WIDTH, 3.0))


@pytest.fixture
def x():
    return torch.from_numpy(np.random.default_rng(3).normal(size=(4, 7)))


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_operators_match_numpy(name, dtype, rng):
    spec = KERNELS[name]
    data = rng.normal(size=(2, 3, 5)).astype(dtype)
    inputs, params = arguments(spec, data), tuple(map(PARAMS.get, spec.params))
    expected = results(numpy_kernel(name)(*inputs, *params))
    out = results(torch_kernel(name)(*map(torch.from_numpy, inputs), *params))
    for a, b in zip(out, expected, strict=True):
        np.testing.assert_array_equal(a.numpy(), b)


@pytest.mark.parametrize("name", KERNELS)
def test_operators_pass_torch_own_checks(name, rng):
    spec = KERNELS[name]
    inputs = [torch.from_numpy(v) for v in arguments(spec, rng.normal(size=(3, 5)))]
    numbers = [float(PARAMS[p]) for p in spec.params]
    operator = getattr(torch.ops.fenchel, name).default
    torch.library.opcheck(operator, (*inputs, numbers, None))
    torch.library.opcheck(operator, (*inputs, [], torch.tensor([numbers] * 3).double()))


@pytest.mark.parametrize("name", KERNELS)
def test_operators_map(name, rng):
    spec = KERNELS[name]
    inputs = [torch.from_numpy(v) for v in arguments(spec, rng.normal(size=(3, 4, 5)))]
    params = tuple(map(PARAMS.get, spec.params))
    kernel = torch_kernel(name)
    mapped = results(vmap(lambda *rows: kernel(*rows, *params), in_dims=1)(*inputs))
    for a, b in zip(mapped, results(kernel(*inputs, *params)), strict=True):
        torch.testing.assert_close(a.movedim(0, 1), b, rtol=0, atol=0)


def test_parameters_may_be_mapped(x):
    kernel = torch_kernel("mask_threshold")
    k = torch.tensor([[1.0], [2.5], [3.0], [4.0]], dtype=x.dtype)
    expected = kernel(x, k, WIDTH, 2.0)
    torch.testing.assert_close(vmap(lambda row, k: kernel(row, k, WIDTH, 2.0))(x, k), expected)
    one = vmap(lambda k: kernel(x[0], k, WIDTH, 2.0))(k)
    torch.testing.assert_close(one, kernel(x[:1].expand(4, -1), k, WIDTH, 2.0))


def test_outputs_are_constant(x):
    kernel = torch_kernel("mask_threshold")
    assert not kernel(x.requires_grad_(), K, WIDTH, 2.0).requires_grad
    _, tangent = jvp(lambda x: kernel(x, K, WIDTH, 2.0), (x.detach(),), (torch.ones_like(x),))
    assert (tangent == 0).all()


def test_fake_and_meta_tensors_have_shapes(x):
    assert formula(x.to("meta")).shape == x.shape
    with FakeTensorMode():
        fake = torch.empty(2, 5)
        assert torch_fused("topk_mask", fake) is None
        assert torch_kernel("isotonic_blocks")(fake, 1).dtype == torch.int32
    on_gpu = torch_kernel("isotonic_blocks", torch.device("cuda", 0))
    assert (on_gpu is None) != cupy_found()


@pytest.mark.parametrize("transform", [lambda f: f, jacrev, hessian, lambda f: vmap(jacrev(f))])
def test_compile_without_graph_breaks(transform, x):
    f = transform(mask)
    sample = x if transform.__name__ == "<lambda>" else x[0]
    compiled = torch.compile(f, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(sample), f(sample))


def test_reverse_mode_of_the_fused_rule(x):
    x = x.requires_grad_()
    assert torch.autograd.gradcheck(mask, (x,))
    assert torch.autograd.gradgradcheck(mask, (x,))
    g = torch.randn_like(x)
    fused = torch.autograd.grad(mask(x), x, g)[0]
    torch.testing.assert_close(fused, torch.autograd.grad(formula(x), x, g)[0])


def test_transformations_take_the_formula(x):
    row = x[0]
    expected = torch.autograd.functional.jacobian(mask, row)
    for other in (jacrev(mask)(row), jacfwd(mask)(row)):
        torch.testing.assert_close(other, expected)
    mapped = torch.autograd.functional.jacobian(mask, row, vectorize=True)
    torch.testing.assert_close(mapped, expected)
    loss = lambda x: (mask(x) ** 3).sum()
    forward_over_reverse = jacfwd(grad(loss))(row)
    torch.testing.assert_close(hessian(loss)(row), forward_over_reverse)
    torch.testing.assert_close(torch.autograd.functional.hessian(loss, row), forward_over_reverse)


def test_the_fused_rule_steps_aside(x):
    assert torch_fused("topk_mask", x) is not None
    assert torch_fused("nothing", x) is None
    assert torch_fused("topk_mask", x.half()) is None
    assert torch_fused("topk_mask", x.to_sparse()) is None
    assert torch_fused("topk_mask", torch.nn.Parameter(x)) is None
    seen = []
    vmap(lambda row: seen.append(torch_fused("topk_mask", row)) or row)(x)
    with torch.autograd.forward_ad.dual_level():
        seen.append(torch_fused("topk_mask", x))
    assert seen == [None, None]


def test_a_differentiated_parameter_takes_the_formula(x):
    k = torch.full((4, 1), 2.0, dtype=x.dtype, requires_grad=True)
    called = []
    torch_fused("topk_mask", x)(lambda x: called.append(1) or x, x, (k, WIDTH, 3.0))
    assert called == [1]
    y = torch_fused("topk_mask", x)(None, x, (k.detach(), WIDTH, 3.0))
    torch.testing.assert_close(y.sum(-1), torch.full((4,), 2.0, dtype=x.dtype))


def test_a_value_overwritten_before_the_pullback_is_noticed(x):
    y = mask(x.requires_grad_())
    y.detach().mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_fused_under_no_grad_and_on_empty_batches(x):
    with torch.no_grad():
        assert not mask(x.requires_grad_()).requires_grad
    empty = torch.zeros(0, 5, requires_grad=True)
    torch.autograd.grad(mask(empty).sum(), empty)


def test_soft_rank_with_its_order(x):
    x = x.requires_grad_()
    order = x.detach().argsort(-1)
    rank = torch_fused("soft_rank", x)(None, x, (2.0,), order)
    torch.testing.assert_close(rank.sum(-1), torch.full((4,), 28.0, dtype=x.dtype))
    (gx,) = torch.autograd.grad(rank, x, torch.ones_like(x))
    torch.testing.assert_close(gx, torch.zeros_like(x))
