"""Mixture-of-experts layers of PyTorch, in one process or with experts spread over many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from fenchel import routers
from fenchel.routers.used_rows import rows_in_use, with_rows

from ._exchange import through_owners
from ._mixture import Mixture, MoEOutput

__all__ = ["ExpertMLP", "MoELayer", "MoEOutput", "expert_parallel"]


class _Exchange(torch.autograd.Function):
    """All-to-all of equal blocks along the first axis; its transpose is itself."""

    @staticmethod
    def forward(blocks: Tensor, group: Any) -> Tensor:
        sent = blocks.contiguous()
        received = torch.empty_like(sent)
        dist.all_to_all_single(received, sent, group=group)
        return received

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.group = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return _Exchange.apply(gradient, ctx.group), None  # type: ignore[no-untyped-call]


def expert_parallel(x: Tensor, routing: Any, experts: Any, /, *, group: Any = None) -> Tensor:
    """Return the answers of experts spread over the processes of a group, as `moe` does for one.

    Every process calls it at once, with tokens of its own and its share of the experts: of W
    processes the one of rank r holds the experts r m / W, ..., (r + 1) m / W - 1.

    Parameters
    ----------
    x : Tensor (..., n, d)
        Tokens of this process.
    routing : Routing or SoftRouting
        Of these tokens among all m experts. Shapes must be the same on all processes.
    experts : callable or sequence of callables
        Of the experts here: one function of buffers (m / W, R, d), or m / W functions of rows
        (R, d). They see the rows of every process, each by itself.
    group : ProcessGroup, optional
        By default all processes; without any, this is `moe`.

    Returns
    -------
    Tensor (..., n, d')
        What a single process with all experts would give.

    Raises
    ------
    ValueError
        If W does not divide m.

    Notes
    -----
    Two all-to-alls of ``torch.distributed``: gloo on CPUs, NCCL on GPUs. Without a capacity the
    processes first agree on how many rows the busiest expert needs, and send those alone (in
    compiled code, where values are not known, n rows an expert).

    *Derivatives*: reverse mode, of every order; they cross processes, so that experts get the
    gradient of the sum of all processes' objectives. What each process holds in full, such as the
    router, gets that of its own tokens: add it up over processes.

    Examples
    --------
    >>> import torch
    >>> from fenchel.integrations.torch import expert_parallel
    >>> from fenchel.routers import route
    >>> routing = route(torch.tensor([[9.0, 0.0], [0.0, 9.0]]), k=1)
    >>> experts = [lambda rows: 2 * rows, lambda rows: rows]
    >>> expert_parallel(torch.ones(2, 1), routing, experts).round(decimals=2).tolist()
    [[2.0], [1.0]]
    """
    parts = _world(group)
    routing = _without_spare_rows(routing, group, parts)
    if parts == 1:
        return routers.moe(x, routing, experts)  # type: ignore[no-any-return]

    def exchange(blocks: Tensor) -> Tensor:
        return _Exchange.apply(blocks, group)  # type: ignore[no-untyped-call, no-any-return]

    return through_owners(x, routing, experts, parts, exchange)  # type: ignore[no-any-return]


def _without_spare_rows(routing: Any, group: Any, parts: int) -> Any:
    """Return a dropless routing with the rows that the busiest expert of all processes needs."""
    rows = rows_in_use(routing)
    if rows is None:
        return routing
    if parts > 1:
        most = torch.tensor(rows, device=routing.demand.device)
        dist.all_reduce(most, dist.ReduceOp.MAX, group=group)
        rows = int(most)
    return with_rows(routing, rows)


def _world(group: Any) -> int:
    if not (dist.is_available() and dist.is_initialized()):
        return 1
    return dist.get_world_size(group)


class ExpertMLP(nn.Module):
    """Perceptrons with one hidden layer, all experts in two batched products.

    Parameters
    ----------
    n_experts : int
        Number of experts.
    width : int
        Size of tokens and answers.
    hidden : int
        Size of the hidden layer.
    activation : callable
        Elementwise function of the hidden layer.

    Examples
    --------
    >>> import torch
    >>> from fenchel.integrations.torch import ExpertMLP
    >>> ExpertMLP(4, 8, 16)(torch.zeros(4, 3, 8)).shape
    torch.Size([4, 3, 8])
    """

    def __init__(
        self,
        n_experts: int,
        width: int,
        hidden: int,
        activation: Callable[[Tensor], Tensor] = nn.functional.gelu,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.up = nn.Parameter(torch.empty(n_experts, width, hidden))
        self.up_bias = nn.Parameter(torch.zeros(n_experts, 1, hidden))
        self.down = nn.Parameter(torch.empty(n_experts, hidden, width))
        self.down_bias = nn.Parameter(torch.zeros(n_experts, 1, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the matrices anew: normal, of variance 1 over the number of inputs."""
        for matrix in (self.up, self.down):
            nn.init.normal_(matrix, std=matrix.shape[-2] ** -0.5)
        nn.init.zeros_(self.up_bias)
        nn.init.zeros_(self.down_bias)

    def forward(self, buffers: Tensor) -> Tensor:
        """Return the answers to buffers (..., m, C, width)."""
        groups = buffers.shape[:-3]
        m, rows, width = buffers.shape[-3:]
        # One product an expert and not one a group and expert.
        count = prod(groups)
        flat = buffers.reshape(count, m, rows, width).transpose(0, 1)
        flat = flat.reshape(m, count * rows, width)
        hidden = self.activation(torch.baddbmm(self.up_bias, flat, self.up))
        answers = torch.baddbmm(self.down_bias, hidden, self.down)
        answers = answers.reshape(m, count, rows, width).transpose(0, 1)
        return answers.reshape(*groups, m, rows, width)


class MoELayer(nn.Module):
    """A mixture of experts: router, experts, auxiliary losses and controllers.

    Parameters
    ----------
    width : int
        Size of the tokens.
    n_experts : int
        Number of experts, m.
    hidden : int, optional
        Hidden size of the default experts, `ExpertMLP`; by default 4 width.
    experts : Module or sequence of Modules, optional
        Other experts: a module of all buffers (..., m, C, width), or one module an expert.
    method : str
        A method of `fenchel.routers.route`, or "soft".
    k : int
        Experts a token (also for soft routing: k n / m slots an expert would be as many rows).
    slots : int, optional
        Slots an expert, of soft routing; 1 by default.
    capacity_factor : float, optional
        Room in the buffers, see `fenchel.routers.expert_capacity`; by default nothing is dropped,
        and expert choice takes k n / m tokens an expert.
    preset : str, optional
        Convention of the capacity; by default "vmoe", or "expert_choice".
    noise : float
        While training, noise of standard deviation noise / m is added to the logits.
    losses : mapping
        Weights of auxiliary losses, by name: importance, load, gshard, switch,
        sequence, z. By default none.
    balance : BiasBalance
        How `update` moves the bias of "bias_balanced".
    group : ProcessGroup, optional
        Spread the experts over these processes: each layer then holds m / W of them.
    **options
        Further options of `route`: priority, weights, temperature, n_group, weight_scale, ...

    Raises
    ------
    ValueError
        If an option is unknown or out of range.

    Notes
    -----
    Tokens are (..., n, width); leading axes are groups, routed one by one. Without a capacity
    experts see as many rows as the busiest of them needs, rounded up. The layer returns an
    `MoEOutput`; nothing is kept between calls. "bias_balanced" has a buffer `bias` and "relu" a
    buffer `coefficient`, both of the state dict: give the output to `update` after each step.

    Examples
    --------
    >>> import torch
    >>> from fenchel.integrations.torch import MoELayer
    >>> layer = MoELayer(8, 4, k=2, losses={"switch": 1e-2, "z": 1e-3})
    >>> result = layer(torch.randn(2, 16, 8))
    >>> result.output.shape, int(result.demand.sum()), int(result.dropped)
    (torch.Size([2, 16, 8]), 64, 0)
    >>> (result.output.square().mean() + result.loss).backward()
    """

    def __init__(
        self,
        width: int,
        n_experts: int,
        *,
        hidden: int | None = None,
        experts: nn.Module | Sequence[nn.Module] | None = None,
        method: str = "softmax_token_choice",
        k: int = 1,
        slots: int = 1,
        capacity_factor: float | None = None,
        preset: str | None = None,
        noise: float = 0.0,
        losses: Mapping[str, float] | None = None,
        balance: routers.BiasBalance | None = None,
        group: Any = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.mixture = Mixture(
            n_experts,
            method=method,
            k=k,
            capacity_factor=capacity_factor,
            preset=preset,
            noise=noise,
            losses=dict(losses or {}),
            balance=balance or routers.BiasBalance(),
            options=options,
        )
        self.group = group
        parts = 1 if group is None else _world(group)
        if n_experts % parts != 0:
            raise ValueError(f"`n_experts` must be a multiple of {parts}; got {n_experts}")
        if experts is None:
            experts = ExpertMLP(n_experts // parts, width, hidden or 4 * width)
        self.experts = experts if isinstance(experts, nn.Module) else nn.ModuleList(experts)
        shape = (width, n_experts, slots) if method == "soft" else (width, n_experts)
        self.router = nn.Parameter(torch.randn(shape) * width**-0.5)
        if method == "soft":
            self.logit_scale = nn.Parameter(torch.ones(()))
        for name, value in self.mixture.state().items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32))

    def forward(
        self, x: Tensor, where: Tensor | None = None, noise: Tensor | None = None
    ) -> MoEOutput:
        """Return the answers to the tokens, the auxiliary loss, and what experts were asked for.

        Parameters
        ----------
        x : Tensor (..., n, width)
            Tokens.
        where : boolean Tensor (..., n), optional
            Tokens that take part; the others get 0, and are in no loss and no count.
        noise : Tensor (..., n, m), optional
            Noise of the logits; by default drawn while training, if there is to be any.
        """
        if noise is None and self.training and self.mixture.noise and self.mixture.method != "soft":
            noise = self.mixture.scale * torch.randn(
                (*x.shape[:-1], self.mixture.n_experts), dtype=x.dtype, device=x.device
            )
        return self.mixture.run(
            x,
            lambda x: self._score(x, where, noise),
            self._answers,
            dict(self.named_buffers(recurse=False)),
            where,
            noise,
        )

    def _score(self, x: Tensor, where: Tensor | None, noise: Tensor | None) -> Any:
        if self.mixture.method == "soft":
            return routers.soft_route(
                x, self.router, logit_scale=self.logit_scale, where=where, noise=noise
            )
        return x @ self.router

    def _answers(self, x: Tensor, routing: Any) -> Tensor:
        experts: Any = self.experts
        if isinstance(experts, nn.ModuleList):
            experts = list(experts)
        if self.group is None:
            return routers.moe(x, _without_spare_rows(routing, None, 1), experts)  # type: ignore[no-any-return]
        return expert_parallel(x, routing, experts, group=self.group)

    @torch.no_grad()
    def update(self, result: MoEOutput) -> None:
        """Move the bias or the coefficient by what a step asked of the experts.

        Parameters
        ----------
        result
            What `forward` returned. With a group, the demands of its processes are added up.
        """
        demand, tokens = result.demand.detach(), result.tokens.detach()
        if self.group is not None:
            demand, tokens = demand.clone(), tokens.clone()
            for counted in (demand, tokens):
                dist.all_reduce(counted, group=self.group)
        state = dict(self.named_buffers(recurse=False))
        for name, value in self.mixture.step(state, demand, tokens).items():
            state[name].copy_(value)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> MoELayer:
        """Move the module; what controllers steer stays in float32, where small steps count."""
        before = dict(self.named_buffers(recurse=False))
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, value in before.items():
            moved = self._buffers[name]
            if moved is not None and moved.dtype != value.dtype:
                self._buffers[name] = value.to(moved.device)
        return self

    def extra_repr(self) -> str:
        """Return what the module prints in its brackets."""
        mixture = self.mixture
        return f"n_experts={mixture.n_experts}, method={mixture.method!r}, k={mixture.k}"
