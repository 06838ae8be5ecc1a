"""How a kernel is spread over a device: threads a block, blocks, scratch memory."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Geometry", "geometry"]

# Doubles of scratch an entry: sums, weights and ends of blocks, Dykstra's iterate and gaps,
# potentials, or owners and chains.
_SCRATCH = {
    "isotonic_blocks": 3,
    "weighted_isotonic_blocks": 3,
    "kl_isotonic_blocks": 3,
    "pnorm_isotonic_blocks": 3,
    "dykstra": 2,
    "sinkhorn_columns": 2,
    "balanced_owners": 6,
    "fused_isotonic": 3,
    "fused_soft_rank": 3,
    "fused_soft_sort": 3,
}
_SHARED_BYTES = 40 * 1024  # of the 48 KiB every device gives; the rest is for reductions
_MAX_THREADS = 512  # what the kernels' registers allow; declared in block.cuh as well
_THREADS_A_PROCESSOR = 2048
_ENTRIES_A_THREAD = 4


class Geometry(NamedTuple):
    """Launch of a kernel.

    Parameters
    ----------
    grid : int
        Blocks; each strides over rows.
    block : int
        Threads a block: whole warps.
    shared_bytes : int
        Scratch in shared memory.
    work_stride : int
        Doubles of scratch in global memory that each block owns; 0 where shared memory does.

    Examples
    --------
    >>> geometry("mask_threshold", rows=10, n=100, processors=132)
    Geometry(grid=10, block=32, shared_bytes=0, work_stride=0)
    """

    grid: int
    block: int
    shared_bytes: int
    work_stride: int


def geometry(symbol: str, *, rows: int, n: int, processors: int) -> Geometry:
    """Choose the launch of a kernel on `rows` rows of `n` entries.

    Parameters
    ----------
    symbol : str
        Name of the kernel.
    rows, n : int
        Shape of the data.
    processors : int
        Multiprocessors of the device.

    Returns
    -------
    Geometry
        About four entries a thread, one warp at least; as many blocks as the device holds at once.

    Examples
    --------
    >>> geometry("dykstra", rows=5000, n=4096, processors=132)
    Geometry(grid=528, block=512, shared_bytes=0, work_stride=8192)
    """
    block = 32
    while block < _MAX_THREADS and block * _ENTRIES_A_THREAD < n:
        block *= 2
    if rows > 4 * processors:
        # Many rows fill the device by themselves; narrow blocks wait less at their barriers.
        block = min(block, _MAX_THREADS if n > 2048 else 256)
    grid = max(1, min(rows, processors * (_THREADS_A_PROCESSOR // block)))
    doubles = _SCRATCH.get(symbol, 0) * n
    if 8 * doubles <= _SHARED_BYTES:
        return Geometry(grid, block, 8 * doubles, 0)
    return Geometry(grid, block, 0, doubles)
