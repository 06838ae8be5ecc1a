"""Which pair losses there are, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import fenchel_young, logistic, margin, quadratic, separate
from ._record import PairLoss

__all__ = ["find", "pair_loss_names", "register_pair_loss"]

Array = Any
Formula = Callable[..., Any]

_LOSSES = {
    **logistic.LOSSES,
    **quadratic.LOSSES,
    **margin.LOSSES,
    **separate.LOSSES,
    **fenchel_young.LOSSES,
}
_BUILT_IN = _LOSSES | {alias: loss for loss in _LOSSES.values() for alias in loss.aliases}
_ADDED: dict[str, PairLoss] = {}


def find(name: str) -> PairLoss:
    """Return the loss of that name.

    Raises
    ------
    ValueError
        If there is none.
    """
    known = isinstance(name, str)
    loss = (_ADDED.get(name) or _BUILT_IN.get(name)) if known else None
    if loss is None:
        raise ValueError(f"`name` must be one of {', '.join(pair_loss_names())}; got {name!r}")
    return loss


def pair_loss_names(*, aliases: bool = True) -> tuple[str, ...]:
    """Return the names that `pair_loss` knows.

    Parameters
    ----------
    aliases
        Whether the other names of a loss are listed too.

    Returns
    -------
    tuple of str
        In alphabetical order.

    Examples
    --------
    >>> "dpo" in pair_loss_names(), "sigmoid" in pair_loss_names(aliases=False)
    (True, False)
    """
    table = {**_BUILT_IN, **_ADDED}
    own = [name for name, loss in table.items() if aliases or name not in loss.aliases]
    return tuple(sorted(own))


def register_pair_loss(
    name: str | Formula, value: Formula | None = None, /, *, slopes: Formula | None = None
) -> Formula:
    """Make a loss of pairs known to `pair_loss`; also a decorator.

    Parameters
    ----------
    name
        Its name; by default that of the function.
    value
        ``value(a, b, beta, **options) -> loss`` of each pair, elementwise in the log-ratios a of
        the preferred and b of the other response. Soft labels, label noise, lengths and reductions
        are seen to outside.
    slopes
        Its derivatives (in a, in b), a function of the same arguments; by default the library
        differentiates.

    Returns
    -------
    callable
        The function, or the decorator where only a name is given.

    Raises
    ------
    TypeError
        If `name` is neither, or `value` or `slopes` is not callable.
    ValueError
        If the name is that of a built-in loss.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.alignment import pair_loss, register_pair_loss
    >>> @register_pair_loss("exponential")
    ... def exponential(a, b, beta):
    ...     return np.exp(-beta * (a - b))
    >>> float(pair_loss("exponential", np.asarray([1.0]), np.asarray([1.0]), beta=0.1))
    1.0
    """
    if callable(name):
        return register_pair_loss(name.__name__, name, slopes=slopes)
    if not isinstance(name, str):
        raise TypeError(f"`name` must be a text or a function; got {type(name).__qualname__}")
    if value is None:
        return lambda function: register_pair_loss(name, function, slopes=slopes)
    for argument, function in (("value", value), ("slopes", slopes)):
        if function is not None and not callable(function):
            raise TypeError(f"`{argument}` must be callable; got {type(function).__qualname__}")
    if name in _BUILT_IN:
        raise ValueError(f"`name` must not be that of a built-in loss; got {name!r}")
    _ADDED[name] = PairLoss(value, slopes, difference=False, options=None)
    return value
