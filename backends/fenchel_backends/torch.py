"""Adapter for PyTorch: `torch.func` for derivatives, registered operators for kernels.

Structure kernels stand behind `torch.library` operators, so that compile, vmap and fake tensors
see them; plain eager tensors on the CPU take the fused route of `kernels/torch_ops.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat.torch as compat
import numpy as np
import optree
import torch
from torch import Tensor

from fenchel.kernels import kernels_enabled

from . import torch_jacobian, torch_linear
from .kernels import (
    rows,
    torch_losses,
    torch_ops,
    torch_rows,
    torch_rules,
    torch_solvers,
    torch_streams,
)

__all__ = ["BACKEND", "TorchBackend"]

Array = Any

# Dynamo cannot trace a context variable: its value is read when a function is compiled.
_kernels_enabled = torch.compiler.assume_constant_result(  # type: ignore[no-untyped-call]
    kernels_enabled
)

_PROXIES = torch._C._TorchDispatchModeKey.PROXY  # the mode of make_fx and torch.func.linearize

_SPECIAL = {
    "lambertw": None,
    "wright_omega": None,
    "gammaln": torch.special.gammaln,
    "digamma": torch.special.digamma,
    "i0e": torch.special.i0e,
    "i1e": torch.special.i1e,
    "erf": torch.special.erf,
    "erfc": torch.special.erfc,
    "erfcx": torch.special.erfcx,
    "ndtr": torch.special.ndtr,
    "log_ndtr": torch.special.log_ndtr,
    "ndtri": torch.special.ndtri,
    "expit": torch.special.expit,
    "logit": torch.special.logit,
    "xlogy": torch.special.xlogy,
}


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _uncompiled(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return f(*args, **kwargs)


class TorchBackend:
    """PyTorch: eager, under `torch.func`, or compiled."""

    name = "torch"
    namespace = compat
    native_autodiff = True
    # The pullback of a gradient just computed costs less than two forward sweeps.
    reverse_over_reverse = True

    def is_traced(self, x: Array) -> bool:
        """Whether values are out of reach: compiling, mapping, or for fake and meta tensors."""
        if torch.compiler.is_compiling() or x.is_meta or _is_fake(x) or _is_mapped(x):
            return True
        return torch._C._get_dispatch_mode(_PROXIES) is not None

    def device_of(self, x: Array) -> Any:
        """Device of `x`."""
        return x.device

    def stop_gradient(self, x: Array) -> Array:
        """Return `x` as a constant of every transformation."""
        return x.detach()

    # -- derivatives -------------------------------------------------------------------------

    def value_and_grad(
        self, f: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
    ) -> Callable[..., Any]:
        """Return a function giving the value of `f` and its gradient."""
        both = torch.func.grad_and_value(f, argnums=argnums, has_aux=has_aux)

        def value_first(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
            gradient, value = both(*args, **kwargs)
            return value, gradient

        return value_first

    def vjp(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
        """Return the value of `f` and its pullback."""
        out, pullback = torch.func.vjp(f, *primals)[:2]
        return out, lambda cotangent: tuple(pullback(cotangent))

    def jvp(self, f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
        """Return the value of `f` and its derivative along `tangents`."""
        out, tangent = torch.func.jvp(f, tuple(primals), tuple(tangents))[:2]
        return out, tangent

    def linearize(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
        """Return the value of `f` and its derivative as a function, which runs `f` again.

        `torch.func.linearize` replays a trace, in which what depends on values is frozen.
        """
        return f(*primals), lambda *tangents: torch.func.jvp(f, primals, tangents)[1]

    def jacobian_products(self, f: Callable[..., Any], leaves: list[Any]) -> tuple[Any, Any, Any]:
        """Return `f(*leaves)`, and products with its Jacobian from either side: constants."""
        return torch_jacobian.jacobian_products(f, leaves)

    def slopes_with_aux(self, f: Callable[..., Any], leaves: list[Any]) -> Any:
        """Return the second result of `f` and the derivatives of the first; None when tracing."""
        if torch.compiler.is_compiling() or any(map(self.is_traced, leaves)):
            return None
        return torch_jacobian.slopes_with_aux(f, leaves)

    def plain(self, x: Array) -> Array:
        """Return `x` without the levels of `torch.func`."""
        return torch_jacobian.plain(x)

    def differentiates(self, tree: Any) -> bool:
        """Whether a derivative in one of the tensors may be asked for."""
        return torch_jacobian.differentiated(tree)

    def zero_with_derivative(self, solve: Callable[..., Any], x: Array) -> Array:
        """Return zeros like the vector `x` with a symmetric linear map as derivative."""
        return torch_jacobian.zero_with_derivative(solve, x)

    def vmap(self, f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Any:
        """Map `f` over an axis."""
        return torch.func.vmap(f, in_axes, out_axes)

    def jit(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Compile `f`."""
        return torch.compile(f)

    def uncompiled(self, f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call `f` as it is, also inside code that is being compiled."""
        return (
            _uncompiled(f, *args, **kwargs) if torch.compiler.is_compiling() else f(*args, **kwargs)
        )

    def checkpoint(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Recompute `f` in the backward pass of autograd.

        `torch.func` has no hooks on saved tensors: under its transformations `f` runs as it is.
        """
        from torch.utils.checkpoint import checkpoint

        def recomputed(*args: Any) -> Any:
            if torch._C._functorch.peek_interpreter_stack() is not None:
                return f(*args)
            return checkpoint(f, *args, use_reentrant=False)

        return recomputed

    # -- what the standard lacks -----------------------------------------------------------------

    def segment_sum(self, values: Array, ids: Array, num_segments: int) -> Array:
        """Sum the entries of each row that share an id."""
        zeros = values.new_zeros((*values.shape[:-1], num_segments))
        return zeros.scatter_add(-1, ids.to(torch.int64), values)

    def scatter_add(self, x: Array, indices: Array, updates: Array) -> Array:
        """Return `x` with `updates` added at `indices` of the last axis."""
        return x.scatter_add(-1, indices.to(torch.int64), updates)

    def top_k(self, x: Array, k: int) -> tuple[Array, Array]:
        """Return the `k` largest entries of each row and their places; ties by lower index."""
        # torch.topk leaves the order of ties open; a stable sort does not.
        values, indices = torch.sort(x, dim=-1, descending=True, stable=True)
        return values[..., :k], indices[..., :k]

    # -- control flow --------------------------------------------------------------------------

    def while_loop(self, cond: Any, body: Any, init: Any) -> Any:
        """Apply `body` while `cond` holds; compiled where a condition cannot be decided now."""
        if torch.compiler.is_compiling():
            return _compiled_while_loop(cond, body, init)
        if any(_is_fake(leaf) or leaf.is_meta for leaf in _tensors(init)):
            return body(init)  # without values, the shapes are all there is to know
        carry, going = init, cond(init)
        while _any(going):
            carry = _step(body, carry, going)
            going = cond(carry)
        return carry

    def fori_loop(self, lower: int, upper: int, body: Any, init: Any) -> Any:
        """Apply `body(i, carry)` for i from `lower` to `upper - 1`."""
        carry = init
        for i in range(lower, upper):
            carry = body(i, carry)
        return carry

    def scan(self, f: Any, init: Any, xs: Any, length: int | None = None) -> tuple[Any, Any]:
        """Fold `f` over the leading axis of `xs`, and stack what it returns."""
        leaves, structure = self.tree_flatten(xs)
        steps = leaves[0].shape[0] if leaves else int(length or 0)
        carry, rows_of = init, []
        for i in range(steps):
            carry, y = f(carry, self.tree_unflatten(structure, [leaf[i] for leaf in leaves]))
            rows_of.append(self.tree_flatten(y))
        if not rows_of:
            return carry, None
        stacked = [torch.stack(column) for column in zip(*(r[0] for r in rows_of), strict=True)]
        return carry, self.tree_unflatten(rows_of[0][1], stacked)

    def cond(self, pred: Any, true_fn: Any, false_fn: Any, *operands: Any) -> Any:
        """Apply one of two functions."""
        if torch.compiler.is_compiling():
            return torch.cond(pred, true_fn, false_fn, operands)
        if isinstance(pred, Tensor) and _is_mapped(pred):
            chosen, other = true_fn(*operands), false_fn(*operands)
            return optree.tree_map(lambda a, b: torch.where(pred, a, b), chosen, other)
        return true_fn(*operands) if bool(pred) else false_fn(*operands)

    # -- randomness, special functions, kernels --------------------------------------------------

    def sampler(self, rng: Any) -> TorchSampler:
        """Draws from an integer seed or a generator."""
        return TorchSampler(rng)

    def special(self, name: str) -> Callable[..., Any] | None:
        """Special function of `torch.special`."""
        return _SPECIAL.get(name)

    def kernel(self, name: str, dtype: Any, device: Any) -> Callable[..., Any] | None:
        """Registered operator around the numba or CUDA kernel."""
        return torch_ops.torch_kernel(name, device) if _kernels_enabled() else None

    def solver(self, solver: Callable[..., Any]) -> Callable[..., Any]:
        """Iterative solver as one operator, which tracers do not look into."""
        return torch_solvers.torch_solver(solver)

    def token_rows(self, x: Array) -> Any:
        """Passes over rows of tokens, of plain tensors on the CPU."""
        if torch.compiler.is_compiling() or not kernels_enabled():
            return None
        return torch_rows.torch_token_rows(x)

    def linear_map(self, apply: Any, transpose: Any, x: Array, *constants: Array) -> Array:
        """Apply a linear function whose transpose is written by hand."""
        return torch_linear.linear_map(self, apply, transpose, x, *constants)

    def fused(self, name: str, x: Array) -> Callable[..., Any] | None:
        """Fused rule where plain eager reverse mode is what is active."""
        if torch.compiler.is_compiling() or not kernels_enabled():
            return None
        return torch_ops.torch_fused(name, x)

    def class_loss(self, *arguments: Any) -> tuple[Array, Array] | None:
        """Loss of class indices and its gradient, on plain CPU tensors."""
        if torch.compiler.is_compiling() or not kernels_enabled():
            return None
        return torch_losses.torch_class_loss(*arguments)

    def class_loss_value(self, *arguments: Any) -> Array | None:
        """Loss of class indices, with a rule for reverse mode, on plain CPU tensors."""
        if torch.compiler.is_compiling() or not kernels_enabled():
            return None
        return torch_losses.torch_class_loss_value(*arguments)

    def stream_normals(self, stream: Any, shape: tuple[int, ...], like: Array) -> Array | None:
        """Normal numbers of a `RandomStream` in one pass, on plain CPU tensors."""
        if torch.compiler.is_compiling() or not kernels_enabled():
            return None
        return torch_streams.torch_stream_normals(stream, shape, like)

    def mixture_step(self, *arguments: Any) -> Array | None:
        """Langevin step of a Gaussian mixture in one pass, on plain CPU tensors."""
        if torch.compiler.is_compiling() or not kernels_enabled():
            return None
        return torch_streams.torch_mixture_step(*arguments)

    def network_step(self, *arguments: Any) -> Array | None:
        """Langevin step of a small network in one pass, on plain CPU tensors."""
        if torch.compiler.is_compiling() or not kernels_enabled():
            return None
        return torch_streams.torch_network_step(*arguments)

    def eager_rule(self, rule: Any, formula: Callable[..., Any], *inputs: Array) -> Array | None:
        """Rule of several inputs where plain eager reverse mode is what is active."""
        return torch_rules.torch_rule(rule, formula, *inputs)

    def host_call(self, f: Callable[..., Any], result_like: Any, *arrays: Array) -> Any:
        """Run NumPy code on host copies of `arrays`, and carry the result back."""
        result = f(*(self.to_host(x) for x in arrays))
        leaves, structure = optree.tree_flatten(result)
        device = arrays[0].device if arrays else None
        moved = [torch.as_tensor(np.asarray(leaf), device=device) for leaf in leaves]
        return optree.tree_unflatten(structure, moved)

    def from_host(self, x: Array) -> Array:
        """Return a NumPy array as a tensor."""
        return torch.as_tensor(np.array(x))

    def to_host(self, x: Array) -> Any:
        """Return `x` as a NumPy array."""
        return x.numpy(force=True)  # a zero that torch has not stored is one too

    # -- containers ------------------------------------------------------------------------------

    def tree_flatten(self, tree: Any) -> tuple[list[Any], Any]:
        """Leaves of a container, and its structure."""
        leaves, structure = optree.tree_flatten(tree)
        return list(leaves), structure

    def tree_unflatten(self, structure: Any, leaves: Any) -> Any:
        """Inverse of `tree_flatten`."""
        return optree.tree_unflatten(structure, leaves)

    def transformations(self) -> dict[str, Any]:
        """Rows of the matrix of `fenchel.testing`."""
        from .transformations import torch as matrix

        return matrix.rows()

    def describe(self) -> dict[str, Any]:
        """Version, devices and kernels."""
        cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        return {
            "version": torch.__version__,
            "devices": ["cpu", *cuda],
            "kernels": "numba" if rows.numba_found() else "reference",
        }


def _compiled_while_loop(cond: Any, body: Any, init: Any) -> Any:
    """The loop as one operator of the graph; its carry is a flat tuple of tensors."""
    from torch._higher_order_ops.while_loop import while_loop

    loop: Callable[..., Any] = while_loop
    if isinstance(init, Tensor):
        return loop(cond, lambda x: (body(x),), (init,))[0]
    rebuild = getattr(type(init), "_make", tuple)  # a named tuple keeps its names
    carry = loop(lambda *c: cond(rebuild(c)), lambda *c: tuple(body(rebuild(c))), tuple(init))
    return rebuild(carry)


def _step(body: Any, carry: Any, going: Any) -> Any:
    """Return the next carry; under `vmap`, entries that are done keep theirs."""
    new = body(carry)
    if not isinstance(going, Tensor) or not _is_mapped(going):
        return new
    return optree.tree_map(lambda a, b: torch.where(going, a, b), new, carry)


def _any(going: Any) -> bool:
    """Whether a condition holds, for any entry of the axes that are mapped over."""
    if isinstance(going, Tensor):
        while torch._C._functorch.is_functorch_wrapped_tensor(going):
            going = torch._C._functorch.get_unwrapped(going)
        return bool(going.any())
    return bool(going)


def _is_mapped(x: Array) -> bool:
    """Whether `x` has an axis that `torch.func.vmap` maps over."""
    while torch._C._functorch.is_functorch_wrapped_tensor(x):
        if torch._C._functorch.is_batchedtensor(x):
            return True
        x = torch._C._functorch.get_unwrapped(x)
    return False


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in optree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def _is_fake(x: Array) -> bool:
    from torch._subclasses.fake_tensor import FakeTensor

    while torch._C._functorch.is_functorch_wrapped_tensor(x):  # under torch.func
        x = torch._C._functorch.get_unwrapped(x)
    return isinstance(x, FakeTensor)


class TorchSampler:
    """Draws from a torch generator; an integer seed makes one on the CPU.

    Parameters
    ----------
    rng
        An integer seed or a `torch.Generator`, which advances.

    Raises
    ------
    TypeError
        If `rng` is neither.
    """

    def __init__(self, rng: Any) -> None:
        if isinstance(rng, int) and not isinstance(rng, bool):
            rng = torch.Generator().manual_seed(rng)
        if not isinstance(rng, torch.Generator):
            raise TypeError(
                f"`rng` must be an integer seed or a torch.Generator; got {type(rng).__qualname__}"
            )
        self._generator = rng

    def normal(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        """Standard normal draws."""
        g = self._generator
        return torch.randn(shape, generator=g, dtype=dtype, device=g.device)

    def uniform(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        """Uniform draws in [0, 1)."""
        g = self._generator
        return torch.rand(shape, generator=g, dtype=dtype, device=g.device)

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        """Integers in [low, high)."""
        g = self._generator
        return torch.randint(low, high, shape, generator=g, device=g.device)


BACKEND = TorchBackend()
