"""Functions that numba compiles: imported by the first call of one, never before."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec

from .table import LOSSES

__all__ = ["cpu_function", "numba_found", "raw_kernel"]

# Where each raw kernel lives, below `kernels.cpu`.
_MODULES = {
    "mask_threshold": "mask",
    "topk_mask": "mask",
    "magnitude_threshold": "magnitude",
    "topk_magnitude": "magnitude",
    "entmax_threshold": "entmax",
    "entmax": "entmax",
    "normmax_threshold": "normmax",
    "topk_pav_threshold": "topk_pav",
    "isotonic_blocks": "isotonic",
    "isotonic": "isotonic",
    "weighted_isotonic_blocks": "weighted",
    "kl_isotonic_blocks": "entropic",
    "pnorm_isotonic_blocks": "pnorm",
    "dykstra": "dykstra",
    "section_start": "section",
    "sinkhorn_columns": "sinkhorn",
    "sorted_by_expert": "routing",
    "balanced_owners": "routing",
    "soft_rank": "ranking",
    "soft_sort": "ranking",
    "loss_rows": "loss_pullback",
    **{name: name.rpartition("_")[0] for name in LOSSES},
}


@cache
def numba_found() -> bool:
    """Whether numba is installed.

    Examples
    --------
    >>> isinstance(numba_found(), bool)
    True
    """
    return find_spec("numba") is not None


@cache
def cpu_function(module: str, name: str) -> Callable[..., None]:
    """Return a compiled function of a module below `kernels.cpu`.

    Examples
    --------
    >>> cpu_function("token_rows", "gather_rows").__name__
    'gather_rows'
    """
    function: Callable[..., None] = getattr(import_module(f".cpu.{module}", __package__), name)
    return function


@cache
def raw_kernel(name: str) -> Callable[..., None]:
    """Return a compiled row kernel: a name of the table, or `fused_NAME`, `fused_NAME_vjp`.

    Parameters
    ----------
    name : str
        Name of the kernel.

    Returns
    -------
    callable
        Takes C-contiguous rows; see the table.

    Raises
    ------
    KeyError
        If there is no such kernel.

    Examples
    --------
    >>> raw_kernel("isotonic_blocks").__name__
    'isotonic_blocks'
    """
    topic = name.removeprefix("fused_").removesuffix("_vjp")
    return cpu_function(_MODULES[topic], name)
