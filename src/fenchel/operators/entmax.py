"""Entmax: sparse softmax, from softmax (alpha = 1) over sparsemax (2) to argmax (infinity)."""

from __future__ import annotations

from typing import Any

from ..backend import backend_of, compiled
from ..parameters import row_parameter
from ._arguments import finish, prepare, temperature_of, with_temperature
from ._scores import hard_argmax, shifted
from ._tsallis import entmax_formula, steep_formula
from .softmax import softmax_formula

__all__ = ["entmax", "entmax_scores", "sparsemax"]

Array = Any


def entmax(
    x: Array,
    /,
    *,
    alpha: Any = 1.5,
    temperature: Any = 1.0,
    axis: int = -1,
    where: Array | None = None,
) -> Array:
    r"""Entmax: :math:`y_i = [(\alpha-1) x_i/\tau - t]_+^{1/(\alpha-1)}`, t such that y sums to 1.

    The maximiser over the simplex of :math:`\langle p, x \rangle - \tau \Omega_\alpha(p)` with
    Tsallis' :math:`\Omega_\alpha(p) = (\sum_i p_i^\alpha - \sum_i p_i)/(\alpha(\alpha-1))`:
    softmax at alpha = 1, sparsemax at 2, and the sparser the larger alpha.

    Parameters
    ----------
    x : array (..., n)
        Scores of a real floating dtype; -inf entries get 0.
    alpha : number or array (..., 1)
        At least 1 (infinity is the argmax); differentiated if an array, at 1 too.
    temperature : number or array (..., 1)
        At least 0; 0 is the hard argmax, ties sharing equally.
    axis : int
        Axis of the entries.
    where : boolean array, optional
        Entries that take part; a row with none is all 0.

    Returns
    -------
    array (..., n)
        Probabilities with exact zeros, of the dtype of `x`.

    Raises
    ------
    TypeError
        If `x` is not a floating array.
    ValueError
        If `alpha` is below 1, `temperature` is negative, or the axis is empty or out of range.

    Notes
    -----
    *Derivatives*: in `x`, `temperature` and `alpha`, to order three wherever the support is locally
    constant. For alpha <= 2 the map is Lipschitz; for alpha > 2 its derivative is unbounded at the
    edge of the support. Sources: arXiv 1905.05702, arXiv 1909.00015 (derivative in alpha).

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel import entmax
    >>> entmax(np.asarray([1.0, 2.0, 0.0])).round(4)
    array([0.1693, 0.8307, 0.    ])
    """
    ready = prepare(x, axis, where, (alpha, temperature))
    backend = ready.backend
    if type(alpha) is not float or not alpha >= 1.0:
        alpha = row_parameter(backend, "alpha", alpha, x, ready.axis, minimum=1.0)
    temperature = temperature_of(backend, temperature, x, ready.axis)
    return finish(ready, entmax_scores(backend, ready.x, alpha, temperature))


def sparsemax(
    x: Array, /, *, temperature: Any = 1.0, axis: int = -1, where: Array | None = None
) -> Array:
    r"""Sparsemax: the Euclidean projection of :math:`x/\tau` onto the simplex (entmax, alpha = 2).

    Parameters
    ----------
    x : array (..., n)
        Scores of a real floating dtype; -inf entries get 0.
    temperature : number or array (..., 1)
        At least 0; 0 is the hard argmax, ties sharing equally.
    axis : int
        Axis of the entries.
    where : boolean array, optional
        Entries that take part; a row with none is all 0.

    Returns
    -------
    array (..., n)
        Probabilities with exact zeros, of the dtype of `x`.

    Raises
    ------
    TypeError
        If `x` is not a floating array.
    ValueError
        If `temperature` is negative, or the axis is empty or out of range.

    Notes
    -----
    *Derivatives*: in `x` and `temperature`; piecewise linear in `x`, so that second derivatives are
    0 almost everywhere. Source: arXiv 1602.02068.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel import sparsemax
    >>> sparsemax(np.asarray([1.0, 1.5, 0.0]))
    array([0.25, 0.75, 0.  ])
    """
    ready = prepare(x, axis, where, (temperature,))
    temperature = temperature_of(ready.backend, temperature, x, ready.axis)
    return finish(ready, entmax_scores(ready.backend, ready.x, 2.0, temperature))


def entmax_scores(backend: Any, x: Array, alpha: Any, temperature: Any) -> Array:
    """Entmax of prepared scores: fused where a kernel serves, by the formula elsewhere."""
    if type(alpha) is float and type(temperature) is float and temperature > 0.0:
        if alpha == float("inf"):
            return hard_argmax(backend, x)
        apply = backend.fused("entmax", x) if 1.0 < alpha <= 2.0 else None
        if apply is not None:
            scores = x if temperature == 1.0 else x / temperature
            return apply(
                lambda x: entmax_formula(backend_of(x), shifted(backend_of(x), x, 1.0), alpha),
                scores,
                (alpha,),
            )
    return with_temperature(
        backend,
        temperature,
        lambda positive: _soft(backend, x, positive, alpha),
        lambda: hard_argmax(backend, x),
    )


def _soft(backend: Any, x: Array, temperature: Any, alpha: Any) -> Array:
    """Entmax at a positive temperature for any alpha >= 1, a number or an array."""
    if isinstance(alpha, float):
        if alpha == 1.0:
            return softmax_formula(backend, x, temperature)
        if alpha == float("inf"):
            return hard_argmax(backend, x)
        formula = _closed if alpha in (1.5, 2.0) else _gentle if alpha < 2.0 else _steep
        return formula(backend, x, temperature, alpha)
    return _mixed(backend, x, temperature, alpha)


def _entmax(backend: Any, x: Array, temperature: Any, alpha: Any) -> Array:
    return entmax_formula(backend, shifted(backend, x, temperature), alpha)


# The two numbers that have formulas of their own, and the others.
_closed, _gentle = compiled("alpha")(_entmax), compiled()(_entmax)


@compiled()
def _steep(backend: Any, x: Array, temperature: Any, alpha: Any) -> Array:
    return steep_formula(backend, shifted(backend, x, temperature), alpha)


@compiled()
def _mixed(backend: Any, x: Array, temperature: Any, alpha: Array) -> Array:
    xp, z = backend.namespace, shifted(backend, x, temperature)
    steep = backend.stop_gradient(alpha) > 2.0
    gentle = entmax_formula(backend, z, xp.where(steep, xp.full_like(alpha, 2.0), alpha))
    return xp.where(
        steep,
        steep_formula(backend, z, xp.where(steep, alpha, xp.full_like(alpha, 3.0))),
        gentle,
    )
