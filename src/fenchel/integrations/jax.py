"""For JAX: mixture-of-experts layers as pure functions, in one device or spread over a mesh."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp

from fenchel import routers

from ._exchange import through_owners
from ._mixture import Mixture, MoEOutput

__all__ = ["MoE", "MoEOutput", "expert_parallel"]

Array = Any
Params = dict[str, Array]


def expert_parallel(
    x: Array, routing: Any, experts: Any, /, *, axis_name: Any = "experts"
) -> Array:
    """Return the answers of experts spread over devices, as `moe` does for one.

    To be called inside of ``jax.shard_map``: each device has tokens of its own and its share of
    the experts. Of W devices along the axis the one of index r holds the experts
    r m / W, ..., (r + 1) m / W - 1, as ``PartitionSpec("experts")`` shards a leading axis.

    Parameters
    ----------
    x : array (..., n, d)
        Tokens of this device.
    routing : Routing or SoftRouting
        Of these tokens among all m experts.
    experts : callable or sequence of callables
        Of the experts here: one function of buffers (m / W, R, d), or m / W functions of rows
        (R, d). They see the rows of every device, each by itself.
    axis_name : str or tuple of str
        Axis of the mesh that the experts are spread along.

    Returns
    -------
    array (..., n, d')
        What a single device with all experts would give.

    Raises
    ------
    ValueError
        If W does not divide m.

    Notes
    -----
    Two ``jax.lax.all_to_all``. *Derivatives*: all that JAX has; they cross devices.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from jax.sharding import PartitionSpec
    >>> from fenchel.integrations.jax import expert_parallel
    >>> from fenchel.routers import route
    >>> def layer(x, factors):
    ...     return expert_parallel(x, route(x, k=1), lambda rows: factors[:, None, None] * rows)
    >>> mesh = jax.make_mesh((1,), ("experts",), (jax.sharding.AxisType.Auto,))
    >>> own = PartitionSpec("experts")
    >>> spread = jax.shard_map(layer, mesh=mesh, in_specs=(own, own), out_specs=own)
    >>> spread(9.0 * jnp.eye(2), jnp.asarray([1.0, 2.0])).round(1).tolist()
    [[9.0, 0.0], [0.0, 18.0]]
    """
    parts = jax.lax.axis_size(axis_name)

    def exchange(blocks: Array) -> Array:
        return jax.lax.all_to_all(  # type: ignore[no-untyped-call]
            blocks, axis_name, split_axis=0, concat_axis=0
        )

    return through_owners(x, routing, experts, parts, exchange)


@dataclass(frozen=True, eq=False)
class MoE:
    """A mixture of experts as `init`, `apply` and `update`: nothing is kept in the object.

    Parameters
    ----------
    width : int
        Size of the tokens.
    n_experts : int
        Number of experts, m.
    hidden : int, optional
        Hidden size of the experts; by default 4 width.
    method : str
        A method of `fenchel.routers.route`, or "soft".
    k : int
        Experts a token.
    slots : int
        Slots an expert, of soft routing.
    capacity_factor : float, optional
        Room in the buffers, see `fenchel.routers.expert_capacity`; by default nothing is dropped,
        and expert choice takes k n / m tokens an expert.
    preset : str, optional
        Convention of the capacity; by default "vmoe", or "expert_choice".
    noise : float
        Where `apply` gets a key, noise of standard deviation noise / m is added to the logits.
    losses : mapping
        Weights of auxiliary losses, by name: importance, load, gshard, switch,
        sequence, z.
    balance : BiasBalance
        How `update` moves the bias of "bias_balanced".
    activation : callable
        Elementwise function of the hidden layer.
    options : mapping
        Further options of `route`: priority, weights, temperature, n_group, weight_scale, ...

    Raises
    ------
    ValueError
        If an option is unknown or out of range.

    Examples
    --------
    >>> import jax
    >>> from fenchel.integrations.jax import MoE
    >>> layer = MoE(8, 4, k=2, losses={"switch": 1e-2})
    >>> params, state = layer.init(jax.random.key(0))
    >>> x = jax.random.normal(jax.random.key(1), (2, 16, 8))
    >>> result = jax.jit(layer.apply)(params, state, x)
    >>> result.output.shape, int(result.demand.sum())
    ((2, 16, 8), 64)
    """

    width: int
    n_experts: int
    hidden: int | None = None
    method: str = "softmax_token_choice"
    k: int = 1
    slots: int = 1
    capacity_factor: float | None = None
    preset: str | None = None
    noise: float = 0.0
    losses: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    balance: routers.BiasBalance = field(default_factory=routers.BiasBalance)
    activation: Callable[[Array], Array] = jax.nn.gelu
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Check the options."""
        self.mixture  # noqa: B018 - making it checks them

    @property
    def mixture(self) -> Mixture:
        """What the layer shares with those of other frameworks."""
        return Mixture(
            self.n_experts,
            method=self.method,
            k=self.k,
            capacity_factor=self.capacity_factor,
            preset=self.preset,
            noise=self.noise,
            losses=self.losses,
            balance=self.balance,
            options=self.options,
        )

    def init(self, key: Array, dtype: Any = jnp.float32) -> tuple[Params, dict[str, Array]]:
        """Return parameters, and the state that `update` moves.

        Parameters
        ----------
        key : key of JAX
            What they are drawn from.
        dtype : dtype
            Of the parameters; the state is float32.
        """
        m, width, hidden = self.n_experts, self.width, self.hidden or 4 * self.width
        keys = jax.random.split(key, 3)

        def matrix(key: Array, shape: tuple[int, ...], inputs: int) -> Array:
            return jax.random.normal(key, shape, dtype) * inputs**-0.5

        soft = self.method == "soft"
        params = {
            "router": matrix(keys[0], (width, m, self.slots) if soft else (width, m), width),
            "up": matrix(keys[1], (m, width, hidden), width),
            "up_bias": jnp.zeros((m, 1, hidden), dtype),
            "down": matrix(keys[2], (m, hidden, width), hidden),
            "down_bias": jnp.zeros((m, 1, width), dtype),
        }
        if soft:
            params["logit_scale"] = jnp.ones((), dtype)
        first = self.mixture.state().items()
        return params, {name: jnp.asarray(value, jnp.float32) for name, value in first}

    def apply(
        self,
        params: Params,
        state: Mapping[str, Array],
        x: Array,
        *,
        where: Array | None = None,
        key: Array | None = None,
        axis_name: Any = None,
    ) -> MoEOutput:
        """Return the answers to the tokens, the auxiliary loss, and what experts were asked for.

        Parameters
        ----------
        params, state : containers
            Of `init`.
        x : array (..., n, width)
            Tokens; leading axes are groups.
        where : boolean array (..., n), optional
            Tokens that take part; the others get 0, and are in no loss and no count.
        key : key of JAX, optional
            What the noise is drawn from; none is added without.
        axis_name : str, optional
            Inside of ``jax.shard_map``: the axis along which tokens, and the leading axis of the
            experts' parameters, are sharded; the router is whole everywhere.
        """
        noise = None
        if key is not None and self.noise and self.method != "soft":
            shape = (*x.shape[:-1], self.n_experts)
            noise = self.noise / self.n_experts * jax.random.normal(key, shape, x.dtype)

        def score(x: Array) -> Any:
            if self.method == "soft":
                scale = params["logit_scale"]
                return routers.soft_route(x, params["router"], logit_scale=scale, where=where)
            return x @ params["router"]

        def answers(x: Array, routing: Any) -> Array:
            def experts(buffers: Array) -> Array:
                hidden = self.activation(buffers @ params["up"] + params["up_bias"])
                return hidden @ params["down"] + params["down_bias"]

            if axis_name is None:
                return routers.moe(x, routing, experts)
            return expert_parallel(x, routing, experts, axis_name=axis_name)

        return self.mixture.run(x, score, answers, state, where, noise)

    def update(
        self, state: Mapping[str, Array], result: MoEOutput, *, axis_name: Any = None
    ) -> dict[str, Array]:
        """Return the state after a step: the bias or the coefficient, moved by the demand.

        Parameters
        ----------
        state : container
            State of the step.
        result : MoEOutput
            What `apply` returned.
        axis_name : str, optional
            Inside of ``jax.shard_map``: demands are added up along this axis.
        """
        demand, tokens = result.demand, result.tokens
        if axis_name is not None:
            demand, tokens = jax.lax.psum(  # type: ignore[no-untyped-call]
                (demand, tokens), axis_name
            )
        return self.mixture.step(state, demand, tokens)
