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

from fenchel.kernels import kernels_enabled

from . import torch_jacobian, torch_linear, torch_loops, torch_values
from .kernels import (
    compiled,
    torch_losses,
    torch_ops,
    torch_rows,
    torch_rules,
    torch_solvers,
    torch_streams,
)
from .torch_sampling import TorchSampler

__all__ = ["BACKEND", "TorchBackend"]

Array = Any

# Dynamo cannot trace a context variable: its value is read when a function is compiled.
_kernels_enabled = torch.compiler.assume_constant_result(  # type: ignore[no-untyped-call]
    kernels_enabled
)


def _fast_when_eager() -> bool:
    """Whether kernels without a rule for the compiler may be used."""
    return not torch.compiler.is_compiling() and kernels_enabled()


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
        return torch_values.is_traced(x)

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
        return torch_loops.while_loop(cond, body, init)

    def fori_loop(self, lower: int, upper: int, body: Any, init: Any) -> Any:
        """Apply `body(i, carry)` for i from `lower` to `upper - 1`."""
        return torch_loops.fori_loop(lower, upper, body, init)

    def scan(self, f: Any, init: Any, xs: Any, length: int | None = None) -> tuple[Any, Any]:
        """Fold `f` over the leading axis of `xs`, and stack what it returns."""
        return torch_loops.scan(f, init, xs, length)

    def cond(self, pred: Any, true_fn: Any, false_fn: Any, *operands: Any) -> Any:
        """Apply one of two functions."""
        return torch_loops.cond(pred, true_fn, false_fn, *operands)

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
        if not _fast_when_eager():
            return None
        return torch_rows.torch_token_rows(x)

    def linear_map(self, apply: Any, transpose: Any, x: Array, *constants: Array) -> Array:
        """Apply a linear function whose transpose is written by hand."""
        return torch_linear.linear_map(self, apply, transpose, x, *constants)

    def fused(self, name: str, x: Array) -> Callable[..., Any] | None:
        """Fused rule where plain eager reverse mode is what is active."""
        if not _fast_when_eager():
            return None
        return torch_ops.torch_fused(name, x)

    def class_loss(self, *arguments: Any) -> tuple[Array, Array] | None:
        """Loss of class indices and its gradient, on plain CPU tensors."""
        if not _fast_when_eager():
            return None
        return torch_losses.torch_class_loss(*arguments)

    def class_loss_value(self, *arguments: Any) -> Array | None:
        """Loss of class indices, with a rule for reverse mode, on plain CPU tensors."""
        if not _fast_when_eager():
            return None
        return torch_losses.torch_class_loss_value(*arguments)

    def stream_normals(self, stream: Any, shape: tuple[int, ...], like: Array) -> Array | None:
        """Normal numbers of a `RandomStream` in one pass, on plain CPU tensors."""
        if not _fast_when_eager():
            return None
        return torch_streams.torch_stream_normals(stream, shape, like)

    def mixture_step(self, *arguments: Any) -> Array | None:
        """Langevin step of a Gaussian mixture in one pass, on plain CPU tensors."""
        if not _fast_when_eager():
            return None
        return torch_streams.torch_mixture_step(*arguments)

    def network_step(self, *arguments: Any) -> Array | None:
        """Langevin step of a small network in one pass, on plain CPU tensors."""
        if not _fast_when_eager():
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
            "kernels": "numba" if compiled.numba_found() else "reference",
        }


BACKEND = TorchBackend()
