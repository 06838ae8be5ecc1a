"""Texts of the CUDA sources: which file holds a kernel, headers pasted in."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from ..table import FUSED, KERNELS, LOSSES, MATRICES, STEPS

__all__ = ["OPTIONS", "source_of", "symbols", "text"]

OPTIONS = ("--std=c++17",)
"""What every compiler of these sources is told; fast-math would break NaN and infinities."""

_FOLDER = Path(__file__).parent
_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"$', re.MULTILINE)


def source_of(symbol: str) -> str:
    """Name of the source file that exports a kernel.

    Parameters
    ----------
    symbol : str
        A name of the table of kernels, or `fused_NAME`, `fused_NAME_vjp`.

    Returns
    -------
    str
        Stem of the file.

    Raises
    ------
    KeyError
        If the tables have no such kernel.

    Examples
    --------
    >>> source_of("fused_entmax_vjp")
    'fused_entmax'
    """
    if symbol in STEPS:
        return symbol
    if symbol in LOSSES:  # the two of a loss stand together
        return symbol.rpartition("_")[0]
    stem = symbol.removesuffix("_vjp")
    if symbol not in KERNELS | MATRICES and stem.removeprefix("fused_") not in FUSED:
        raise KeyError(symbol)
    return stem


def symbols() -> list[str]:
    """Every kernel of the tables, without the suffix of its dtype.

    Returns
    -------
    list of str
        Structure kernels, those of matrices, the two of each fused rule, the losses, then steps.

    Examples
    --------
    >>> "fused_soft_sort_vjp" in symbols()
    True
    """
    fused = [f"fused_{name}{suffix}" for name in FUSED for suffix in ("", "_vjp")]
    return [*KERNELS, *MATRICES, *fused, *LOSSES, *STEPS]


@cache
def text(stem: str) -> str:
    """Return a source as one text, each of its headers pasted in once.

    CuPy caches binaries by the text alone: a header that was merely included could change without
    being noticed.

    Parameters
    ----------
    stem : str
        Name of the file without its extension.

    Returns
    -------
    str
        CUDA C++.

    Examples
    --------
    >>> text("isotonic_blocks").count("#ifndef FENCHEL_BLOCK_CUH")
    1
    """
    return _paste(f"{stem}.cu", set())


def _paste(name: str, seen: set[str]) -> str:
    if name in seen:
        return ""
    seen.add(name)
    source = (_FOLDER / name).read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda match: _paste(match[1], seen), source)
