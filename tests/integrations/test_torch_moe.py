"""Mixture-of-experts layers of PyTorch, and experts spread over processes."""

import copy
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from fenchel import routers  # noqa: E402
from fenchel.integrations._mixture import METHODS  # noqa: E402
from fenchel.integrations.torch import ExpertMLP, MoELayer, expert_parallel  # noqa: E402

WIDTH, EXPERTS = 6, 4


def layer_of(method, **options):
    torch.manual_seed(0)
    k = 1 if method == "balanced_assignment" else 2
    options = {"hidden": 5, "k": k, "slots": 2, **options}
    return MoELayer(WIDTH, EXPERTS, method=method, **options).double()


@pytest.fixture
def x():
    return torch.randn(3, 8, WIDTH, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains(method, x):
    layer = layer_of(method)
    result = layer(x)
    assert result.output.shape == x.shape and result.loss.shape == ()
    (result.output.square().mean() + result.loss).backward()
    for name, p in layer.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all(), name
        assert p.grad.abs().max() > 0 or method == "relu", name
    assert result.tokens == 24


@pytest.mark.parametrize("method", METHODS)
def test_is_the_functions(method, x):
    """The layer is `route`, the experts written out, and `combine`."""
    layer = layer_of(method, capacity_factor=None)
    mlp = layer.experts
    if method == "soft":
        routing = routers.soft_route(x, layer.router, logit_scale=layer.logit_scale)
    else:
        bias = {"bias": layer.bias} if method == "bias_balanced" else {}
        logits = torch.einsum("gnd,dm->gnm", x, layer.router)
        routing = routers.route(logits, method=method, k=layer.mixture.k, **bias)
    buffers = routing.dispatch(x)
    hidden = torch.einsum("gmcd,mdh->gmch", buffers, mlp.up) + mlp.up_bias
    answers = torch.einsum("gmch,mhd->gmcd", nn.functional.gelu(hidden), mlp.down) + mlp.down_bias
    assert torch.allclose(layer(x).output, routing.combine(answers), atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_padding(method, x):
    layer = layer_of(method).eval()
    where = torch.ones(3, 8, dtype=torch.bool)
    where[1, 6:] = False
    where[2] = False
    wild = torch.where(where[..., None], x, torch.full_like(x, 1e3))
    with torch.no_grad():
        a, b = layer(x, where), layer(wild, where)
    assert torch.equal(a.output, b.output)
    assert torch.all(a.output[~where] == 0)
    assert a.tokens == 14
    assert torch.equal(a.demand, b.demand) and torch.equal(a.loss, b.loss)


def test_losses_are_those_of_the_room(x):
    weights = {"switch": 0.3, "z": 0.2, "importance": 0.1, "gshard": 0.4, "sequence": 0.5}
    layer = layer_of("softmax_token_choice", losses=weights)
    logits = x @ layer.router
    expected = (
        0.3 * routers.switch_loss(logits, k=2)
        + 0.2 * routers.z_loss(logits)
        + 0.1 * routers.importance_loss(logits)
        + 0.4 * routers.gshard_loss(logits)
        + 0.5 * routers.sequence_balance_loss(logits, k=2)
    )
    assert torch.allclose(layer(x).loss, expected.mean())
    where = torch.ones(3, 8, dtype=torch.bool)
    where[2] = False
    assert torch.allclose(layer(x, where).loss, expected[:2].mean())


def test_noise_is_for_training_alone(x):
    layer = layer_of("softmax_token_choice", noise=1.0, losses={"load": 1.0})
    torch.manual_seed(3)
    noisy = layer(x)
    torch.manual_seed(3)
    noise = torch.randn(3, 8, EXPERTS, dtype=torch.float64) / EXPERTS
    logits = x @ layer.router
    expected = routers.load_loss(logits, k=2, noise=noise, scale=1 / EXPERTS).mean()
    assert torch.allclose(noisy.loss, expected)
    assert torch.allclose(layer(x, noise=noise).output, noisy.output)
    layer.eval()
    assert torch.equal(layer(x).output, layer(x).output) and layer(x).loss == 0


def test_bias_is_steered_and_saved(x):
    layer = layer_of("bias_balanced", balance=routers.BiasBalance(0.1))
    assert "bias" in layer.state_dict() and not layer.bias.requires_grad
    result = layer(x)
    layer.update(result)
    expected = routers.BiasBalance(0.1).step(torch.zeros(EXPERTS), result.demand)
    assert torch.allclose(layer.bias, expected) and layer.bias.abs().max() > 0
    other = layer_of("bias_balanced")
    stored = io.BytesIO()
    torch.save(layer.state_dict(), stored)
    stored.seek(0)
    other.load_state_dict(torch.load(stored))
    assert torch.equal(other.bias, layer.bias)
    assert torch.equal(other(x).output, layer(x).output)


def test_bias_stays_wide_in_half_precision(x):
    layer = MoELayer(WIDTH, EXPERTS, method="bias_balanced", k=2).to(torch.bfloat16)
    assert layer.bias.dtype == torch.float32
    assert layer(x.bfloat16()).output.dtype == torch.bfloat16


def test_sparsity_is_steered(x):
    layer = layer_of("relu", k=1)
    result = layer(x)
    share = (x @ layer.router > 0).double().mean()
    assert result.demand.sum() / (result.tokens * EXPERTS) == pytest.approx(float(share))
    before = float(layer.coefficient)
    layer.update(result)
    assert 1 - share < 0.75  # of zeros: more are wanted for one expert of four
    assert float(layer.coefficient) == pytest.approx(before * 1.2)


def test_bias_balances(x):
    """Tokens that all like one expert are spread by the bias within some steps."""
    torch.manual_seed(0)
    layer = MoELayer(WIDTH, EXPERTS, method="bias_balanced", balance=routers.BiasBalance(0.02))
    x = torch.randn(1, 512, WIDTH)
    with torch.no_grad():
        layer.router += 0.5 * layer.router[:, :1]
        for _ in range(60):
            layer.update(layer(x))
        demand = layer(x).demand
    assert demand.max() / demand.mean() < 1.15


# The compiler looks through a cache of array-api-compat, and says so.
@pytest.mark.filterwarnings("ignore:Dynamo detected a call")
@pytest.mark.parametrize("method", ["softmax_token_choice", "softmax_expert_choice", "soft"])
def test_compiles_whole(method, x):
    layer = layer_of(method, capacity_factor=1.0)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    where = torch.ones(3, 8, dtype=torch.bool)
    where[1, 5:] = False
    expected, got = layer(x, where), compiled(x, where)
    for a, b in zip(expected, got, strict=True):
        assert torch.allclose(a, b)
    (got.output.square().sum() + got.loss).backward()
    gradients = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    (expected.output.square().sum() + expected.loss).backward()
    for p, g in zip(layer.parameters(), gradients, strict=True):
        assert torch.allclose(p.grad, g)


def test_own_experts(x):
    many = [nn.Linear(WIDTH, WIDTH).double() for _ in range(EXPERTS)]
    torch.manual_seed(0)
    layer = MoELayer(WIDTH, EXPERTS, k=2, experts=many).double()
    result = layer(x).output
    logits = x @ layer.router
    p, chosen = logits.softmax(-1), logits.topk(2).indices
    for g, t in ((0, 0), (2, 7)):
        expected = sum(p[g, t, e] * many[e](x[g, t]) for e in chosen[g, t].tolist())
        assert torch.allclose(result[g, t], expected)
    assert isinstance(copy.deepcopy(layer).experts, nn.ModuleList)


class Seen(nn.Module):
    def forward(self, buffers):
        self.shape = tuple(buffers.shape)
        return 2.0 * buffers


def test_dropless_experts_see_no_more_rows_than_the_busiest_needs():
    x = torch.randn(2, 64, WIDTH, generator=torch.Generator().manual_seed(0))
    layer = MoELayer(WIDTH, EXPERTS, experts=Seen(), k=1)
    result = layer(x)
    routing = routers.route(x @ layer.router, k=1)
    most = int(routing.demand.max())
    groups, m, rows, width = layer.experts.shape
    assert (groups, m, width) == (2, EXPERTS, WIDTH) and most <= rows < most + 4
    assert torch.equal(result.output, routers.moe(x, routing, lambda rows: 2.0 * rows))
    layer(torch.zeros_like(x), torch.zeros(2, 64, dtype=torch.bool))  # nobody is there
    assert layer.experts.shape == (2, EXPERTS, 4, WIDTH)
    tight = MoELayer(WIDTH, EXPERTS, experts=Seen(), k=1, capacity_factor=1.0)
    tight(x)
    assert tight.experts.shape[2] == 16


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(2, 0, WIDTH), (0, 8, WIDTH)])
def test_no_tokens(method, shape):
    layer = layer_of(method, losses={} if method == "soft" else {"z": 1.0, "switch": 1.0})
    result = layer(torch.zeros(shape, dtype=torch.float64, requires_grad=True))
    assert result.output.shape == shape and result.loss == 0 and result.tokens == 0
    (result.output.sum() + result.loss).backward()
    assert all(torch.all(p.grad == 0) for p in layer.parameters())


def test_own_module_of_all_buffers(x):
    layer = MoELayer(WIDTH, EXPERTS, experts=nn.Identity(), weights="renormalized", k=2).double()
    assert torch.allclose(layer(x).output, x)


def test_prints_what_it_is():
    assert "method='relu'" in repr(layer_of("relu"))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"method": "best"}, "method"),
        ({"losses": {"balance": 1.0}}, "losses"),
        ({"losses": {"load": 1.0}}, "noise"),
        ({"method": "soft", "losses": {"z": 1.0}}, "losses"),
        ({"noise": -1.0}, "noise"),
        ({"k": EXPERTS + 1}, "k"),
        ({"capasity": 1.0}, "options"),
        ({"capacity_factor": -1.0}, "factor"),
        ({"capacity_factor": 1.0, "preset": "best"}, "preset"),
    ],
)
def test_errors(options, name):
    with pytest.raises(ValueError, match=f"`{name}"):
        MoELayer(WIDTH, EXPERTS, **options)


def test_one_process_is_moe(x):
    experts = ExpertMLP(EXPERTS, WIDTH, 5).double()
    routing = routers.route(x[..., :EXPERTS], k=2)
    assert torch.equal(expert_parallel(x, routing, experts), routers.moe(x, routing, experts))


def test_processes_agree_with_one(tmp_path):
    """Two processes with gloo: values, gradients and controllers of a single one."""
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("torch without gloo")
    script = Path(__file__).with_name("torch_processes.py")
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), str(root / "src"), str(root / "backends")])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), "2", str(tmp_path / "meeting")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    for process in ranks:
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output
        assert "agrees" in output


@pytest.mark.parametrize("method", ["softmax_expert_choice", "softmax_token_choice"])
def test_buffers_have_no_more_rows_than_there_are_tokens(method, x):
    layer = layer_of(method, capacity_factor=2.0 * EXPERTS)
    assert layer.mixture.capacity(8) == 8
    assert layer(x).dropped == 0
