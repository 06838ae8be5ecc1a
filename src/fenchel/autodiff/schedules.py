"""Where the states of a chain are kept while it is reversed, and what that costs.

A chain of n steps with `slots` states in memory is split: j steps are run to a state that is kept,
the rest is reversed with one slot less, and then the first j steps are run again and reversed.
The extra steps are C(n, S) = j + C(n - j, S - 1) + C(j, S), and C(1, S) = 0.
"""

from __future__ import annotations

from functools import lru_cache
from math import comb

from ..arrays import check_choice, check_integer

__all__ = ["SCHEDULES", "checkpoint_cost", "split"]

SCHEDULES = ("revolve", "halving", "online", "dp")


def checkpoint_cost(n: int, slots: int, *, schedule: str = "revolve") -> tuple[int, int]:
    """Return what it costs to reverse a chain with few states in memory.

    Parameters
    ----------
    n
        Number of steps of the chain.
    slots
        How many states may be kept at a time, the first one included.
    schedule
        As for `checkpoint_chain`.

    Returns
    -------
    tuple of int
        How many steps are run beyond the n of the chain itself, and how many states are kept at
        the peak.

    Raises
    ------
    ValueError
        If `n` is negative, `slots` below 1 or the schedule unknown.

    Notes
    -----
    *Derivatives*: none. "revolve" and "dp" reach the least number there is,
    t n - binom(S + t, t - 1) with the smallest t such that binom(S + t, S) >= n.

    References
    ----------
    A. Griewank, A. Walther, "Algorithm 799: revolve", ACM Transactions on Mathematical Software 26
    (2000).

    Examples
    --------
    >>> checkpoint_cost(100, 5), checkpoint_cost(100, 10), checkpoint_cost(1000, 1)
    ((316, 5), (222, 10), (499500, 1))
    """
    check_integer("n", n, minimum=0)
    check_integer("slots", slots, minimum=1)
    check_choice("schedule", schedule, SCHEDULES)
    return _cost(n, slots, schedule)


def split(n: int, slots: int, schedule: str) -> int:
    """Return how many of n > 1 steps come before the next state that is kept."""
    if slots == 1:
        return n - 1
    return _RULES[schedule](n, slots)


@lru_cache(maxsize=100_000)
def _cost(n: int, slots: int, schedule: str) -> tuple[int, int]:
    extra = peak = held = 0
    while n > 1 and slots > 1:
        j = split(n, slots, schedule)
        before, states = _cost(j, slots, schedule)
        extra, peak = extra + j + before, max(peak, held + states)
        held, n, slots = held + 1, n - j, slots - 1
    return extra + n * (n - 1) // 2, max(peak, held + min(n, 1))


def _revolve(n: int, slots: int) -> int:
    """Return the least of the best splits, by binomial coefficients."""
    t = 1
    while comb(slots + t, slots) < n:
        t += 1
    return max(1, comb(slots + t - 2, slots), n - comb(slots + t - 1, slots - 1))


def _halving(n: int, slots: int) -> int:
    return n // 2


def _online(n: int, slots: int) -> int:
    """Return the second state that is left when n steps were run without knowing n.

    A state may be overwritten once a later one has a higher level; where none may, the last one
    moves on and its level rises (Wang, Moin, Iaccarino, SIAM Journal on Scientific Computing 31,
    2009).
    """
    kept: list[tuple[int, int]] = []  # (step, level), behind the first state
    for step in range(1, n):
        if len(kept) < slots - 1:
            kept.append((step, 0))
            continue
        place = _dispensable(kept)
        if place is None:
            kept[-1] = (step, kept[-1][1] + 1)
        else:
            kept.pop(place)
            kept.append((step, 0))
    return kept[0][0]


def _dispensable(kept: list[tuple[int, int]]) -> int | None:
    highest = -1
    for place in range(len(kept) - 1, -1, -1):
        if kept[place][1] < highest:
            return place
        highest = max(highest, kept[place][1])
    return None


@lru_cache(maxsize=1_000_000)
def _least(n: int, slots: int) -> int:
    if n <= 1:
        return 0
    if slots == 1:
        return n * (n - 1) // 2
    return min(j + _least(n - j, slots - 1) + _least(j, slots) for j in range(1, n))


def _by_dynamic_programming(n: int, slots: int) -> int:
    costs = ((j + _least(n - j, slots - 1) + _least(j, slots), j) for j in range(1, n))
    return min(costs)[1]


_RULES = {
    "revolve": _revolve,
    "halving": _halving,
    "online": _online,
    "dp": _by_dynamic_programming,
}
