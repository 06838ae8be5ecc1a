"""What a mixture-of-experts layer is apart from its arrays: the same for every framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple

from fenchel import routers
from fenchel.arrays import check_choice, check_integer, check_number
from fenchel.backend import Array, backend_of

__all__ = ["Mixture", "MoEOutput"]

METHODS = (
    "softmax_token_choice",
    "sinkhorn_token_choice",
    "softmax_expert_choice",
    "sinkhorn_expert_choice",
    "sparse_expert_choice",
    "sparse_topk",
    "bias_balanced",
    "relu",
    "balanced_assignment",
    "batch_prioritized",
    "soft",
)
OPTIONS = (
    "priority",
    "weights",
    "temperature",
    "max_iter",
    "solver",
    "gradient",
    "n_group",
    "topk_group",
    "weight_scale",
)
LOSSES = ("importance", "load", "gshard", "switch", "sequence", "z")
_FIRST_COEFFICIENT = 1e-8  # of the sparsity loss: ReMoE, section 3.3


class MoEOutput(NamedTuple):
    """What a mixture-of-experts layer returns.

    Parameters
    ----------
    output
        Answers to the tokens, like `x`.
    loss
        Weighted sum of the auxiliary losses, averaged over groups: a scalar to be added to the
        objective.
    demand
        Assignments that each expert was asked for, over all groups: (m,) floating.
    tokens
        Number of tokens that took part.
    dropped
        Number of assignments that found no place.
    """

    output: Array
    loss: Array
    demand: Array
    tokens: Array
    dropped: Array


@dataclass(frozen=True)
class Mixture:
    """Settings of a layer: how it routes, what it adds to the objective, how it is steered."""

    n_experts: int
    method: str = "softmax_token_choice"
    k: int = 1
    capacity_factor: float | None = None
    preset: str | None = None
    noise: float = 0.0
    losses: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    balance: Any = field(default_factory=routers.BiasBalance)
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Check what `route` will not."""
        check_choice("method", self.method, METHODS)
        check_integer("n_experts", self.n_experts, minimum=1)
        check_integer("k", self.k, minimum=0, maximum=self.n_experts)
        for name in self.options:
            check_choice("options", name, OPTIONS)
        if self.capacity_factor is not None:
            self.capacity(1)
        check_number("noise", self.noise, minimum=0.0)
        for name, weight in self.losses.items():
            check_choice("losses", name, LOSSES)
            check_number(f"losses[{name}]", weight)
        if "load" in self.losses and self.noise == 0.0:
            raise ValueError("`noise` must be above 0 for the load loss; got noise=0")
        if self.method == "soft" and self.losses:
            raise ValueError("`losses` must be empty for soft routing, which has no load; got some")

    def __hash__(self) -> int:
        """Return a hash of the settings: they are static in a compiled function."""
        tables = (tuple(sorted(self.losses.items())), tuple(sorted(self.options.items())))
        return hash((self.n_experts, self.method, self.k, self.capacity_factor, *tables))

    @property
    def scale(self) -> float:
        """Standard deviation of the noise of the logits."""
        return self.noise / self.n_experts

    def capacity(self, n_tokens: int) -> int | None:
        """Return the rows of a buffer; None leaves them to `route`."""
        if self.capacity_factor is None:
            return None
        by_expert = self.method.endswith("expert_choice")
        preset = self.preset or ("expert_choice" if by_expert else "vmoe")
        rows = routers.expert_capacity(
            n_tokens, self.n_experts, self.k, self.capacity_factor, preset=preset
        )
        # Expert choice cannot take more tokens than there are; more rows help nobody else either.
        return None if rows is None else min(rows, n_tokens)

    def state(self) -> dict[str, Any]:
        """Return the names and first values of what controllers steer, as Python numbers."""
        if self.method == "bias_balanced":
            return {"bias": [0.0] * self.n_experts}
        return {"coefficient": _FIRST_COEFFICIENT} if self.method == "relu" else {}

    def step(self, state: Mapping[str, Array], demand: Array, tokens: Array) -> dict[str, Array]:
        """Return the state after a step with this demand."""
        if self.method == "bias_balanced":
            return {"bias": self.balance.step(state["bias"], demand)}
        if self.method != "relu":
            return dict(state)
        xp = backend_of(demand).namespace
        places = tokens * self.n_experts
        share = xp.sum(demand) / xp.where(places > 0, places, xp.ones_like(places))
        control = routers.SparsityControl(1.0 - self.k / self.n_experts)
        return {"coefficient": control.step(state["coefficient"], 1.0 - share)}

    def run(
        self,
        x: Array,
        score: Callable[[Array], Array],
        apply: Callable[[Array, Any], Array],
        state: Mapping[str, Array],
        where: Array | None,
        noise: Array | None,
    ) -> MoEOutput:
        """Route the tokens by `score`, and have ``apply(x, routing)`` answer them.

        For soft routing `score` gives the routing itself, elsewhere the logits.
        """
        if self.method == "soft":
            routing = score(x)
            return self._soft_output(apply(x, routing), routing)
        logits = score(x)
        options = dict(self.options)
        if self.method == "bias_balanced":
            options["bias"] = state["bias"]
        routing = routers.route(
            logits,
            method=self.method,
            k=self.k,
            capacity=self.capacity(int(x.shape[-2])),
            where=where,
            noise=noise,
            **options,
        )
        loss = self._loss(logits, where, noise, state)
        return self._output(apply(x, routing), routing, loss)

    def _soft_output(self, output: Array, routing: Any) -> MoEOutput:
        backend = backend_of(output)
        xp, device = backend.namespace, backend.device_of(output)
        none = xp.zeros((), dtype=output.dtype, device=device)
        rows = float(routing.capacity)
        demand = xp.full((self.n_experts,), rows, dtype=output.dtype, device=device)
        tokens = xp.sum(xp.astype(routing.routed, output.dtype))
        return MoEOutput(output, none, demand, tokens, none)

    def _output(self, output: Array, routing: Any, loss: Array) -> MoEOutput:
        backend = backend_of(output)
        xp = backend.namespace
        stats = routing.stats()
        demand = xp.astype(stats.demand, xp.float32)
        demand = xp.sum(xp.reshape(demand, (-1, self.n_experts)), axis=0)
        tokens = xp.sum(xp.astype(routing.routed, xp.float32))
        dropped = xp.sum(xp.astype(stats.dropped, xp.float32))
        return MoEOutput(output, loss, demand, tokens, dropped)

    def _loss(
        self, logits: Array, where: Array | None, noise: Array | None, state: Mapping[str, Array]
    ) -> Array:
        """Return the weighted losses, averaged over the groups that have tokens."""
        backend = backend_of(logits)
        xp, device = backend.namespace, backend.device_of(logits)
        total = xp.zeros(tuple(logits.shape[:-2]), dtype=logits.dtype, device=device)
        noisy = logits if noise is None else logits + noise
        for name, weight in self.losses.items():
            total = total + weight * self._named_loss(name, logits, noisy, where, noise)
        if self.method == "relu":
            sparsity = routers.sparsity_loss(noisy, k=self.k, where=where)
            total = total + xp.astype(state["coefficient"], sparsity.dtype) * sparsity
        return _mean_over_groups(xp, total, where)

    def _named_loss(
        self, name: str, logits: Array, noisy: Array, where: Array | None, noise: Array | None
    ) -> Array:
        if name == "load":
            if noise is None:  # what is not random has no expected load
                return 0.0 * routers.z_loss(logits, where=where)
            return routers.load_loss(logits, k=self.k, noise=noise, scale=self.scale, where=where)
        # Losses of the choices see the noise that the choices were made with.
        if name in ("switch", "sequence"):
            of_choices = {
                "switch": routers.switch_loss,
                "sequence": routers.sequence_balance_loss,
            }
            return of_choices[name](noisy, k=self.k, where=where)
        if name == "gshard":
            return routers.gshard_loss(noisy, where=where)
        loss = routers.importance_loss if name == "importance" else routers.z_loss
        return loss(logits, where=where)


def _mean_over_groups(xp: Any, losses: Array, where: Array | None) -> Array:
    if where is None:
        return xp.sum(losses) / max(prod(losses.shape), 1)
    some = xp.any(xp.broadcast_to(where, (*losses.shape, where.shape[-1])), axis=-1)
    count = xp.sum(xp.astype(some, losses.dtype))
    return xp.sum(losses) / xp.where(count > 0, count, xp.ones_like(count))
