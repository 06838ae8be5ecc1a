"""The named losses: instances, and factories of those that take parameters."""

from __future__ import annotations

from typing import Any

from ..convex import Cube, Reals
from ..regularizers import (
    BinaryGini,
    BinaryShannon,
    FDivergence,
    Gini,
    Shannon,
    SquaredNorm,
    Tsallis,
)
from .fenchel_young import FenchelYoung
from .fitzpatrick import Fitzpatrick
from .margin import Hinge, Perceptron, SquaredHinge
from .robust import Absolute, Huber

__all__ = [
    "absolute",
    "binary_logistic",
    "binary_sparse",
    "cube",
    "entmax_loss",
    "f_divergence_loss",
    "fitzpatrick_binary_logistic",
    "fitzpatrick_entmax",
    "fitzpatrick_logistic",
    "fitzpatrick_sparsemax",
    "fitzpatrick_squared",
    "hinge",
    "huber",
    "logistic",
    "perceptron",
    "sparsemax_loss",
    "squared",
    "squared_hinge",
]

logistic = FenchelYoung(Shannon())
"""Multinomial logistic loss; softmax is its link."""

sparsemax_loss = FenchelYoung(Gini())
"""Sparsemax loss, 0 from a margin of 1 on."""

squared = FenchelYoung(SquaredNorm(Reals()))
"""Half the squared distance, summed over the axis."""

cube = FenchelYoung(SquaredNorm(Cube()))
"""Quadratic loss of the unit cube: clipping to [0, 1] is its link (multilabel targets)."""

binary_logistic = FenchelYoung(BinaryShannon())
"""Logistic loss of single entries, labels in [0, 1]; the sigmoid is its link."""

binary_sparse = FenchelYoung(BinaryGini())
"""Sparsemax loss of two classes, for single entries: clip((t + 1)/2, 0, 1) is its link."""

fitzpatrick_logistic = Fitzpatrick(Shannon())
"""Fitzpatrick loss that predicts by softmax; omega(s - 1) of class indices."""

fitzpatrick_sparsemax = Fitzpatrick(Gini())
"""Fitzpatrick loss that predicts by sparsemax."""

fitzpatrick_squared = Fitzpatrick(SquaredNorm(Reals()))
"""A quarter of the squared distance."""

fitzpatrick_binary_logistic = Fitzpatrick(BinaryShannon())
"""Fitzpatrick loss of single entries that predicts by the sigmoid."""

perceptron = Perceptron()
"""Perceptron loss."""

hinge = Hinge()
"""Multiclass hinge loss."""

squared_hinge = SquaredHinge()
"""Squared hinge of signs."""

absolute = Absolute()
"""Absolute loss."""


def entmax_loss(*, alpha: Any = 1.5) -> FenchelYoung:
    """Return the loss of entmax, the Fenchel-Young loss of Tsallis' entropy.

    Parameters
    ----------
    alpha : number or array (..., 1)
        At least 1; differentiated if an array, at 1 too.

    Returns
    -------
    FenchelYoung
        The loss, 0 from a margin of 1/(alpha - 1) on.

    Raises
    ------
    ValueError
        If `alpha` is a number below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import entmax_loss
    >>> loss = entmax_loss(alpha=1.5)
    >>> round(float(loss(np.asarray([1.0, 0.5, -3.0]), np.asarray(0))), 4)
    0.1844
    """
    return FenchelYoung(Tsallis(alpha))


def f_divergence_loss(
    *, divergence: str = "kl", reference: Any = None, alpha: Any = None
) -> FenchelYoung:
    """Return the Fenchel-Young loss of an f-divergence from a reference measure.

    Parameters
    ----------
    divergence : str
        One of kl, reverse_kl, jensen_shannon, chi2, neyman_chi2, squared_hellinger, alpha.
    reference : array (..., n), optional
        Positive masses, ones by default; differentiated.
    alpha : number or array (..., 1), optional
        For the divergence "alpha".

    Returns
    -------
    FenchelYoung
        The loss. It is infinite for targets with zeros if the generator is infinite at 0; then ask
        it for no `target_term`.

    Raises
    ------
    ValueError
        If `divergence` is unknown, or `alpha` is missing or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import f_divergence_loss
    >>> prior = np.asarray([0.7, 0.2, 0.1])
    >>> loss = f_divergence_loss(divergence="kl", reference=prior)
    >>> round(float(loss(np.asarray([0.0, 0.0, 0.0]), np.asarray(0))), 4)  # -log 0.7
    0.3567
    """
    return FenchelYoung(FDivergence(divergence, reference=reference, alpha=alpha))


def fitzpatrick_entmax(*, alpha: Any = 1.5) -> Fitzpatrick:
    """Return the Fitzpatrick loss that predicts by entmax.

    Parameters
    ----------
    alpha : number or array (..., 1)
        In [1, 2]; an array must be below 2.

    Returns
    -------
    Fitzpatrick
        The loss.

    Raises
    ------
    ValueError
        If `alpha` is a number out of [1, 2].

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import fitzpatrick_entmax
    >>> loss = fitzpatrick_entmax(alpha=1.5)
    >>> round(float(loss(np.asarray([1.0, 0.5, -3.0]), np.asarray(0))), 4)
    0.0854
    """
    return Fitzpatrick(Tsallis(alpha))


def huber(*, delta: float = 1.0) -> Huber:
    """Return Huber's loss.

    Parameters
    ----------
    delta : float
        Where it turns from quadratic to linear, above 0.

    Returns
    -------
    Huber
        The loss.

    Raises
    ------
    ValueError
        If `delta` is not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.losses import huber
    >>> float(huber(delta=2.0)(np.asarray([3.0]), np.asarray([0.0])))
    4.0
    """
    return Huber(delta)
