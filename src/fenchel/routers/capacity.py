"""How many rows a buffer has: the conventions of six libraries."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor

from ..arrays import check_choice, check_integer, check_number

__all__ = ["expert_capacity"]

# Of (n, m, k, factor). Products and quotients in the order of the peers, as they round.
_ROWS: dict[str, Callable[[int, int, int, float], int]] = {
    "vmoe": lambda n, m, k, f: ceil(n * k * f / m),
    "expert_choice": lambda n, m, k, f: ceil(n * f / m),
    "megatron": lambda n, m, k, f: ceil(n * k / m * f),
    "megablocks": lambda n, m, k, f: floor(f * (k * n / m)),
    "tutel": lambda n, m, k, f: k * floor(abs(f) * ceil(n / m)),
    "flaxformer": lambda n, m, k, f: max(round(f * n / m), 4 if n else 0),
}
_MULTIPLE = {"vmoe": 4, "expert_choice": 4}
_DROPLESS = ("megablocks", "tutel")


def expert_capacity(
    n_tokens: int,
    n_experts: int,
    k: int,
    factor: float,
    *,
    preset: str = "vmoe",
    multiple_of: int | None = None,
) -> int | None:
    r"""Return the capacity of an expert's buffer, by the convention of a library.

    Parameters
    ----------
    n_tokens : int
        Tokens of a group, n.
    n_experts : int
        Number of experts, m.
    k : int
        Experts a token.
    factor : float
        Capacity factor f: 1 is room for balanced assignments.
    preset : str
        =============== ================================================
        "vmoe"          :math:`\lceil n k f / m \rceil`, up to a multiple of 4
        "megatron"      :math:`\lceil (n k / m) f \rceil`
        "megablocks"    :math:`\lfloor f k n / m \rfloor`
        "tutel"         :math:`k \lfloor |f| \lceil n / m \rceil \rfloor`
        "flaxformer"    :math:`\max(\mathrm{round}(f n / m), 4)`, whatever k
        "expert_choice" :math:`\lceil n f / m \rceil`, up to a multiple of 4, whatever k
        =============== ================================================
    multiple_of : int, optional
        Round up to a multiple of this rather than of the preset's own (1 where none is said).

    Returns
    -------
    int or None
        Rows a buffer. None, which `route` reads as dropless, where "megablocks" or "tutel" give 0.

    Raises
    ------
    TypeError
        If a count is no integer, or `factor` no number.
    ValueError
        If a number is out of range (only "tutel" takes a negative factor), or `preset` is unknown.

    Notes
    -----
    A negative factor of "tutel" asks for as much as is needed up to the bound: that bound is
    returned, as further empty rows change no result.

    Examples
    --------
    >>> from fenchel.routers import expert_capacity
    >>> expert_capacity(196, 32, 2, 1.05), expert_capacity(196, 32, 2, 1.05, multiple_of=1)
    (16, 13)
    >>> expert_capacity(196, 32, 2, 1.05, preset="tutel")
    14
    """
    check_choice("preset", preset, tuple(_ROWS))
    n_tokens = check_integer("n_tokens", n_tokens, minimum=0)
    n_experts = check_integer("n_experts", n_experts, minimum=1)
    k = check_integer("k", k, minimum=0, maximum=n_experts)
    least = None if preset == "tutel" else 0.0
    factor = check_number("factor", factor, minimum=least, maximum=1e15)
    multiple = _MULTIPLE.get(preset, 1) if multiple_of is None else multiple_of
    multiple = check_integer("multiple_of", multiple, minimum=1)
    rows = _ROWS[preset](n_tokens, n_experts, k, factor)
    if rows == 0 and preset in _DROPLESS:
        return None
    return -(-rows // multiple) * multiple
