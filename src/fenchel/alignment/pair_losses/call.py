"""From log-ratios, labels and lengths to the loss of pairs."""

from __future__ import annotations

from typing import Any

from ...arrays import check_choice, narrow
from ...backend import backend_of
from ...kernels import eager_rule
from ...parameters import known_to
from ._pairs import Pairs, read_pairs, refuse_same_infinity
from ._pieces import weighted
from ._record import PairLoss
from ._rule import Rule, reduced
from .registry import find

__all__ = ["pair_loss", "pair_loss_grad"]

Array = Any


def pair_loss(
    name: str,
    rho_chosen: Array,
    rho_rejected: Array,
    /,
    *,
    beta: Any,
    prob: Any = None,
    label_smoothing: float = 0.0,
    len_chosen: Array | None = None,
    len_rejected: Array | None = None,
    reduction: str = "mean",
    **options: Any,
) -> Array:
    r"""Loss of preference pairs.

    With the log-ratios :math:`a = \log \pi(y^+) - \log \pi_{ref}(y^+)` and b, likewise of
    :math:`y^-`, and :math:`z = \beta (a - b)`: for example :math:`\log(1 + e^{-z})` ("dpo"),
    :math:`(a - b - 1/(2\beta))^2` ("ipo"), :math:`[1 - z]_+` ("slic"). `pair_loss_names` lists all.

    Parameters
    ----------
    name : str
        Name of the loss.
    rho_chosen, rho_rejected : array (...)
        Log-ratios of the preferred and of the other response, of one shape. (For "simpo",
        log-probabilities.)
    beta : number or array (...)
        Strength of the regularization, above 0.
    prob : number or array (...), optional
        Probability that `rho_chosen` belongs to the better response, 1 by default. The loss is
        then the mean one over such labels; Fenchel-Young and Fitzpatrick losses compare their
        prediction with it.
    label_smoothing : float
        Probability that a label is wrong, in [0, 1]. "robust" (below 0.5) corrects for it, "exo"
        (above 0) needs it as the mass of its target; elsewhere labels are mixed.
    len_chosen, len_rejected : array (...), optional
        Tokens of the responses: log-ratios are divided by them (by 1 where they are 0).
        "sigmoid_norm" requires them.
    reduction : str
        "mean", "sum" or "none".
    **options
        Of the loss: `gamma` of "simpo", `temperature` of "discopop", and of "kto" the log-ratios
        `mismatched` of responses to other prompts, `desirable_weight`, `undesirable_weight`.

    Returns
    -------
    array
        The loss, a scalar; shaped like the log-ratios for "none".

    Raises
    ------
    TypeError
        If the log-ratios are not floating arrays of one library.
    ValueError
        If the name is unknown, shapes differ, `beta` is not positive, `prob` or `label_smoothing`
        is out of range, both log-ratios of a pair are the same infinity, only one length is given,
        or the mean of no pairs is asked for. Values of arrays are looked at where they are known;
        inside jit such pairs give NaN.

    Notes
    -----
    Neither overflows nor cancels; an infinite log-ratio gives the limit. *Derivatives*: in the
    log-ratios, `beta` and `prob`, of every order wherever the loss is smooth; 0 at the kink of
    "slic". Source: arXiv 2402.04792.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.alignment import pair_loss
    >>> a, b = np.asarray([1.0, 4.0]), np.asarray([0.5, -2.0])
    >>> pair_loss("dpo", a, b, beta=0.1, reduction="none").round(4)
    array([0.6685, 0.4375])
    >>> float(pair_loss("ipo", a, b, beta=0.1, prob=0.5).round(4))
    43.125
    """
    check_choice("reduction", reduction, ("mean", "sum", "none"))
    loss = find(name)
    pairs = read_pairs(
        name, loss, rho_chosen, rho_rejected, beta=beta, prob=prob, options=options,
        label_smoothing=label_smoothing, len_chosen=len_chosen, len_rejected=len_rejected,
    )  # fmt: skip
    if reduction == "mean" and 0 in pairs.chosen.shape:
        raise ValueError(
            "`reduction` must be none or sum where there are no pairs; got mean of none"
        )
    # A loss of differences is NaN where both are infinite: it can be looked at late, where the
    # library does not warn (as NumPy does).
    native = pairs.backend.native_autodiff
    late = native and loss.difference and reduction != "none" and not pairs.traced
    pairs = pairs if late else refuse_same_infinity(pairs)
    value = _value(pairs, loss, reduction)
    if late and _is_nan(pairs.backend, value):
        refuse_same_infinity(pairs)
    return narrow(pairs.backend.namespace, value, pairs.info, pairs.dtype)


def _value(pairs: Pairs, loss: PairLoss, reduction: str) -> Array:
    """Return the loss, with its derivatives by the closed slopes where these can serve."""

    def formula(a: Array, b: Array) -> Array:
        return reduced(_rows(_at(pairs, a, b), loss), reduction)

    if loss.slopes is not None and pairs.fixed:
        rule = Rule(
            lambda a, b: _slopes(pairs._replace(chosen=a, rejected=b), loss),
            lambda a, b: _rows(pairs._replace(chosen=a, rejected=b), loss),
            reduction,
        )
        found = eager_rule(pairs.backend, rule, formula, pairs.chosen, pairs.rejected)
        if found is not None:
            return found
    return formula(pairs.chosen, pairs.rejected)


def _is_nan(backend: Any, value: Array) -> bool:
    """Whether a number is known, and NaN."""
    plain = backend.stop_gradient(value)
    return not backend.is_traced(plain) and bool(plain != plain)


def pair_loss_grad(
    name: str,
    rho_chosen: Array,
    rho_rejected: Array,
    /,
    *,
    beta: Any,
    prob: Any = None,
    label_smoothing: float = 0.0,
    len_chosen: Array | None = None,
    len_rejected: Array | None = None,
    **options: Any,
) -> tuple[Array, Array]:
    r"""Return the derivatives of each pair's loss in its two log-ratios.

    They weigh the two gradients of a step:
    :math:`\ell_a \nabla \log \pi(y^+) + \ell_b \nabla \log \pi(y^-)`.

    Parameters
    ----------
    name, rho_chosen, rho_rejected, beta, prob, label_smoothing, len_chosen, len_rejected, options
        As for `pair_loss`.

    Returns
    -------
    tuple of arrays (...)
        In `rho_chosen` and in `rho_rejected`.

    Raises
    ------
    TypeError, ValueError
        As `pair_loss`.

    Notes
    -----
    Closed forms where there are some, else a vector-Jacobian product. *Derivatives*: of every
    order.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.alignment import pair_loss_grad
    >>> zero = np.asarray([0.0])
    >>> [float(g[0]) for g in pair_loss_grad("dpo", zero, zero, beta=0.5)]
    [-0.25, 0.25]
    """
    loss = find(name)
    pairs = read_pairs(
        name, loss, rho_chosen, rho_rejected, beta=beta, prob=prob, options=options,
        label_smoothing=label_smoothing, len_chosen=len_chosen, len_rejected=len_rejected,
    )  # fmt: skip
    xp = pairs.backend.namespace
    pairs = refuse_same_infinity(pairs)
    slopes = _slopes(_at(pairs, pairs.chosen, pairs.rejected), loss)
    first, second = (narrow(xp, s, pairs.info, pairs.dtype) for s in slopes)
    return first, second


def _at(pairs: Pairs, a: Array, b: Array) -> Pairs:
    """Return the pairs with other log-ratios, and their constants as those know them."""
    backend = backend_of(a)
    beta, prob = (
        value if isinstance(value, float) else known_to(backend, value)
        for value in (pairs.beta, pairs.prob)
    )
    return pairs._replace(chosen=a, rejected=b, beta=beta, prob=prob)


def _rows(pairs: Pairs, loss: PairLoss) -> Array:
    """Return the loss of each pair."""
    return _mixed(pairs, loss, *_normalised(pairs))


def _slopes(pairs: Pairs, loss: PairLoss) -> tuple[Array, ...]:
    """Return the derivatives of each pair's loss in its log-ratios."""
    a, b = _normalised(pairs)
    if loss.slopes is None:

        def rows(a: Array, b: Array) -> Array:
            return _mixed(_at(pairs, a, b), loss, a, b)

        found, pullback = pairs.backend.vjp(rows, a, b)
        slopes = pullback(pairs.backend.namespace.ones_like(found))
    else:
        slopes = _mixed_slopes(pairs, loss, a, b)
    return tuple(
        slope if length is None else slope / length
        for slope, length in zip(slopes, pairs.lengths, strict=True)
    )


def _mixed(pairs: Pairs, loss: PairLoss, a: Array, b: Array) -> Array:
    """Return the mean loss over the labels."""
    p, beta, options = pairs.prob, pairs.beta, pairs.options
    if loss.labels:
        return loss.value(a, b, beta, prob=p, **options)
    if isinstance(p, float) and p in (0.0, 1.0):
        return loss.value(*((a, b) if p else (b, a)), beta, **options)
    straight = weighted(p, loss.value(a, b, beta, **options))
    return straight + weighted(1.0 - p, loss.value(b, a, beta, **options))


def _mixed_slopes(pairs: Pairs, loss: PairLoss, a: Array, b: Array) -> tuple[Array, Array]:
    """Return the mean derivatives over the labels."""
    assert loss.slopes is not None
    p, beta, options = pairs.prob, pairs.beta, pairs.options
    if loss.labels:
        first, second = loss.slopes(a, b, beta, prob=p, **options)
        return first, second
    if isinstance(p, float) and p == 1.0:
        first, second = loss.slopes(a, b, beta, **options)
        return first, second
    straight, swapped = loss.slopes(a, b, beta, **options), loss.slopes(b, a, beta, **options)
    first = weighted(p, straight[0]) + weighted(1.0 - p, swapped[1])
    if loss.difference:
        return first, -first
    return first, weighted(p, straight[1]) + weighted(1.0 - p, swapped[0])


def _normalised(pairs: Pairs) -> tuple[Array, Array]:
    """Return the log-ratios, per token where lengths are given."""
    first, second = (
        rho if length is None else rho / length
        for rho, length in zip((pairs.chosen, pairs.rejected), pairs.lengths, strict=True)
    )
    return first, second
