"""Chains of steps that are differentiated with few states in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arrays import check_choice, check_integer
from ..backend import Backend
from ..trees import backend_of_tree
from .schedules import SCHEDULES, split

__all__ = ["checkpoint_chain"]

Step = Callable[[Any, int], Any]


def checkpoint_chain(step: Step, s0: Any, n: int, *, slots: int, schedule: str = "revolve") -> Any:
    """Return the last state of a chain, whose reverse mode keeps few states.

    Parameters
    ----------
    step
        Pure function of a state and the number k = 0, ..., n - 1 of the step, a Python integer,
        that returns a state of the same structure.
    s0
        First state: a container of arrays.
    n
        Number of steps.
    slots
        How many states are kept at a time, `s0` included.
    schedule
        "revolve" (the fewest steps run again), "halving" (halves the chain as long as there are
        slots), "online" (keeps the states that a run of unknown length would have kept) or "dp"
        (the fewest steps, found by dynamic programming: as "revolve", at more work in advance).

    Returns
    -------
    container
        The state after the last step.

    Raises
    ------
    TypeError
        If `s0` holds no array.
    ValueError
        If `n` is negative, `slots` below 1 or the schedule unknown.

    Notes
    -----
    *Derivatives*: those of the chain, to any order. Reverse mode runs steps again, as often as
    `checkpoint_cost` says, instead of keeping all n states; forward mode runs each once. Arrays
    that `step` closes over are differentiated as well, but on the tape (NumPy, CuPy, strict) the
    states are then all kept: put such parameters into the state. Under `torch.func` all are kept
    too. Calls nest as deep as a step is run again, with one slot n deep.

    References
    ----------
    A. Griewank, A. Walther, "Algorithm 799: revolve", ACM Transactions on Mathematical Software 26
    (2000); M. Blondel, V. Roulet, "The Elements of Differentiable Programming", arXiv 2403.14606,
    section 8.5.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.autodiff import grad
    >>> def last(x):
    ...     return checkpoint_chain(lambda s, k: s + 0.1 * np.sin(s), x, 50, slots=4)
    >>> float(grad(last)(np.asarray(1.0)).round(6))
    0.026296
    """
    check_integer("n", n, minimum=0)
    check_integer("slots", slots, minimum=1)
    check_choice("schedule", schedule, SCHEDULES)
    return _run(backend_of_tree(s0), step, s0, 0, n, slots, schedule)


def _run(
    backend: Backend, step: Step, s: Any, first: int, last: int, slots: int, schedule: str
) -> Any:
    """Run the steps first, ..., last - 1, so that their reversal keeps `slots` states."""
    while last - first > 1:
        middle = first + split(last - first, slots, schedule)

        def before(s: Any, a: int = first, b: int = middle, free: int = slots) -> Any:
            return _run(backend, step, s, a, b, free, schedule)

        s = backend.checkpoint(before)(s)
        first, slots = middle, max(slots - 1, 1)
    return step(s, first) if last > first else s
