"""Augmented tokens: each with the one before it."""

from __future__ import annotations

from typing import Any

from ..arrays import check_choice
from ._numbers import check_length, check_numbers

__all__ = ["FIRST", "augment_tokens"]

Array = Any

FIRST = ("zero", "previous")


def augment_tokens(s: Array, first: str = "zero") -> Array:
    r"""Return the tokens :math:`e_t = (0, s_t, s_{t-1})`.

    Parameters
    ----------
    s
        Tokens (..., T, d).
    first
        What stands before the first one: ``"zero"`` puts zeros there. ``"previous"`` takes the
        first token of `s` for :math:`s_0`, so that there is one augmented token less.

    Returns
    -------
    array
        Augmented tokens (..., T, 3 d), or (..., T - 1, 3 d).

    Raises
    ------
    TypeError
        If `s` is not floating.
    ValueError
        If `first` is unknown, or `s` too short.

    Notes
    -----
    *Derivatives*: linear.

    References
    ----------
    Sander et al., arXiv 2402.05787, section 3. The official code has ``"zero"``.

    Examples
    --------
    >>> import numpy as np
    >>> s = np.asarray([[1.0], [2.0], [3.0]])
    >>> augment_tokens(s).tolist()
    [[0.0, 1.0, 0.0], [0.0, 2.0, 1.0], [0.0, 3.0, 2.0]]
    >>> augment_tokens(s, "previous").tolist()
    [[0.0, 2.0, 1.0], [0.0, 3.0, 2.0]]
    """
    check_choice("first", first, FIRST)
    xp = check_numbers("s", s).backend.namespace
    check_length("s", s, 1 if first == "zero" else 2)
    if first == "zero":
        before = xp.concat([xp.zeros_like(s[..., :1, :]), s[..., :-1, :]], axis=-2)
    else:
        s, before = s[..., 1:, :], s[..., :-1, :]
    return xp.concat([xp.zeros_like(s), s, before], axis=-1)
