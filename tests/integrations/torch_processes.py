"""One of several processes that share a mixture of experts; run by the tests as a script."""

import sys

import torch
import torch.distributed as dist

from fenchel import routers
from fenchel.integrations.torch import MoELayer, expert_parallel

WIDTH, EXPERTS = 6, 4
CASES = (
    {"method": "softmax_token_choice", "k": 2, "capacity_factor": 1.0, "losses": {"switch": 0.1}},
    {"method": "softmax_token_choice", "k": 1},
    {"method": "softmax_expert_choice", "k": 2},
    {"method": "bias_balanced", "k": 2, "capacity_factor": 2.0},
    {"method": "soft", "slots": 2},
)


def share(p, rank, own):
    return p.detach()[rank * own : (rank + 1) * own]


def check_layer(rank, parts, options):
    torch.manual_seed(0)
    whole = MoELayer(WIDTH, EXPERTS, hidden=5, **options).double()
    spread = MoELayer(WIDTH, EXPERTS, hidden=5, group=dist.group.WORLD, **options).double()
    own = EXPERTS // parts
    with torch.no_grad():
        spread.router.copy_(whole.router)
        for a, b in zip(spread.experts.parameters(), whole.experts.parameters(), strict=True):
            a.copy_(share(b, rank, own))
    tokens = torch.randn(parts, 3, 8, WIDTH, dtype=torch.float64)
    where = torch.rand(parts, 3, 8) < 0.8
    x = tokens[rank].clone().requires_grad_()
    all_x = tokens.clone().requires_grad_()
    mine, everything = spread(x, where[rank]), whole(all_x, where)
    assert torch.allclose(mine.output, everything.output[rank], atol=1e-12)
    # Of the objectives of all processes together.
    mine.output.square().sum().backward()
    everything.output.square().sum().backward()
    assert torch.allclose(x.grad, all_x.grad[rank], atol=1e-12)
    for a, b in zip(spread.experts.parameters(), whole.experts.parameters(), strict=True):
        assert torch.allclose(a.grad, share(b.grad, rank, own), atol=1e-12)
    dist.all_reduce(spread.router.grad)
    assert torch.allclose(spread.router.grad, whole.router.grad, atol=1e-12)
    spread.update(mine)
    whole.update(everything)
    for a, b in zip(spread.buffers(), whole.buffers(), strict=True):
        assert torch.equal(a, b)


def check_second_derivative(rank, parts):
    """The exchange is linear: a gradient of a gradient crosses processes too."""
    x = torch.arange(8.0, dtype=torch.float64).reshape(4, 2) + rank
    x.requires_grad_()
    logits = torch.eye(4, EXPERTS, dtype=torch.float64)
    routing = routers.route(logits, k=1)
    scale = float(rank + 1)
    y = expert_parallel(x, routing, lambda rows: scale * rows**3)
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    owner = torch.arange(4) // (EXPERTS // parts) + 1.0
    weight = logits.softmax(-1).diagonal()
    assert torch.allclose(second, 6.0 * (owner * weight)[:, None] * x.detach())


def main():
    rank, parts, meeting = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=parts)
    for options in CASES:
        check_layer(rank, parts, options)
    check_second_derivative(rank, parts)
    dist.destroy_process_group()
    print("agrees")


if __name__ == "__main__":
    main()
