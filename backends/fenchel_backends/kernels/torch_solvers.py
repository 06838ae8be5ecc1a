"""Iterative solvers written in array-API calls, as one operator of PyTorch.

The number of steps of a solver depends on values, which no tracer can follow. Behind the operator
`fenchel::solver` the loop runs on plain tensors, whatever transformation is active outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.library import Library, register_fake, register_vmap

__all__ = ["torch_solver"]

_LIBRARY = Library("fenchel", "FRAGMENT")  # type: ignore[no-untyped-call]
_LIBRARY.define(  # type: ignore[no-untyped-call]
    "solver(str name, Tensor[] arrays, float[] numbers) -> Tensor[]"
)


@cache
def _solver(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)  # type: ignore[no-any-return]


def _run(name: str, arrays: Sequence[Tensor], numbers: Sequence[float]) -> list[Tensor]:
    """Run the solver."""
    backend = import_module("fenchel_backends.torch").BACKEND
    return list(_solver(name)(backend, *arrays, *numbers))


def _shapes(name: str, arrays: Sequence[Tensor], numbers: Sequence[float]) -> list[Tensor]:
    """Run the solver on fake tensors, its loops for one step: shapes are all there is to know."""
    return list(_solver(name)(_one_step(), *arrays, *numbers))


@cache
def _one_step() -> Any:
    """Return the adapter with loops of one step."""
    ordinary = import_module("fenchel_backends.torch").TorchBackend

    class OneStep(ordinary):  # type: ignore[misc, valid-type]
        def fori_loop(self, lower: int, upper: int, body: Any, init: Any) -> Any:
            return super().fori_loop(lower, min(upper, lower + 1), body, init)

    return OneStep()


def _batched(info: Any, in_dims: Any, name: str, arrays: Any, numbers: Any) -> Any:
    """Solvers take any leading axes: a mapped axis becomes the first one."""
    moved = [
        x.expand(info.batch_size, *x.shape) if axis is None else x.movedim(axis, 0)
        for x, axis in zip(arrays, in_dims[1], strict=True)
    ]
    results = torch.ops.fenchel.solver(name, moved, numbers)
    return results, [0] * len(results)


_LIBRARY.impl("solver", _run, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
register_fake("fenchel::solver", _shapes, lib=_LIBRARY)
register_vmap("fenchel::solver", _batched, lib=_LIBRARY)


def torch_solver(solver: Callable[..., Any]) -> Callable[..., Any]:
    """Return a solver of tensors and numbers as one operator, its results constants.

    Parameters
    ----------
    solver : callable
        Public function of a module: of the backend, of arrays, then of numbers; it returns a tuple
        of arrays. Batch axes lead in all of the arrays.

    Returns
    -------
    callable
        Function of the arrays and numbers.
    """
    name = f"{solver.__module__}:{solver.__name__}"

    def run(*arguments: Any) -> tuple[Tensor, ...]:
        arrays = [x.detach() for x in arguments if isinstance(x, Tensor)]
        numbers = [float(x) for x in arguments if not isinstance(x, Tensor)]
        return tuple(torch.ops.fenchel.solver.default(name, arrays, numbers))

    return run
