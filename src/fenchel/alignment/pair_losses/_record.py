"""What is known of a loss of pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["PairLoss"]

Formula = Callable[..., Any]


@dataclass(frozen=True)
class PairLoss:
    """A loss of pairs.

    Parameters
    ----------
    value
        ``value(a, b, beta, **options)``, the loss of each pair from the log-ratios of the preferred
        and the other response. It need not know of labels: those are mixed outside.
    slopes
        Its two derivatives, a function of the same arguments; None leaves them to the library.
    difference
        Whether it depends on a - b alone.
    labels
        Whether it takes ``prob`` itself, as it is not linear in it.
    noise
        Whether it takes ``label_smoothing`` itself: a number that it checks.
    lengths
        Whether it must be given lengths.
    options
        Names of the further options that it takes; None for whatever its function takes.
    aliases
        Other names.
    """

    value: Formula
    slopes: Formula | None = None
    difference: bool = True
    labels: bool = False
    noise: bool = False
    lengths: bool = False
    options: tuple[str, ...] | None = ()
    aliases: tuple[str, ...] = ()
