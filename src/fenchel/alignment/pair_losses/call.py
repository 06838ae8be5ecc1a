"""From log-ratios, labels and lengths to the loss of pairs."""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple

from ...arrays import FloatInfo, check_choice, check_dtype, check_number, narrow, widen
from ...backend import backend_of, namespace
from ...kernels import eager_rule
from ...parameters import check_array, known_to
from ._pieces import weighted
from ._record import PairLoss
from ._rule import Rule, reduced
from .registry import find

__all__ = ["pair_loss", "pair_loss_grad"]

Array = Any

_INF = float("inf")


class Pairs(NamedTuple):
    """Checked pairs, in the dtype that is computed in."""

    backend: Any
    info: FloatInfo
    dtype: Any
    chosen: Array
    rejected: Array
    lengths: tuple[Any, Any]  # None, or at least 1
    beta: Any
    prob: Any  # number or array: that the chosen response is the better one
    options: dict[str, Any]


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
    pairs = _prepare(
        name, loss, rho_chosen, rho_rejected, beta, prob, label_smoothing,
        (len_chosen, len_rejected), options,
    )  # fmt: skip
    if reduction == "mean" and 0 in pairs.chosen.shape:
        raise ValueError(
            "`reduction` must be none or sum where there are no pairs; got mean of none"
        )

    def formula(a: Array, b: Array) -> Array:
        return reduced(_mixed(_known(pairs, a), loss, *_normalised(pairs, a, b)), reduction)

    found = None
    if loss.slopes is not None and _constant(pairs):
        rule = Rule(lambda a, b: _slopes(pairs, loss, a, b), formula, reduction)
        found = eager_rule(pairs.backend, rule, formula, pairs.chosen, pairs.rejected)
    value = formula(pairs.chosen, pairs.rejected) if found is None else found
    return narrow(pairs.backend.namespace, value, pairs.info, pairs.dtype)


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
    pairs = _prepare(
        name, loss, rho_chosen, rho_rejected, beta, prob, label_smoothing,
        (len_chosen, len_rejected), options,
    )  # fmt: skip
    xp = pairs.backend.namespace
    slopes = _slopes(pairs, loss, pairs.chosen, pairs.rejected)
    first, second = (narrow(xp, s, pairs.info, pairs.dtype) for s in slopes)
    return first, second


def _slopes(pairs: Pairs, loss: PairLoss, a: Array, b: Array) -> tuple[Array, Array]:
    """Return the derivatives of each pair's loss in its log-ratios."""
    a, b = _normalised(pairs, a, b)
    if loss.slopes is None:
        rows, pullback = pairs.backend.vjp(lambda a, b: _mixed(_known(pairs, a), loss, a, b), a, b)
        slopes = pullback(pairs.backend.namespace.ones_like(rows))
    else:
        slopes = _mixed_slopes(pairs, loss, a, b)
    first, second = (
        slope if length is None else slope / length
        for slope, length in zip(slopes, pairs.lengths, strict=True)
    )
    return first, second


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
    first, second = (
        weighted(p, one) + weighted(1.0 - p, other)
        for one, other in zip(straight, swapped[::-1], strict=True)
    )
    return first, second


def _known(pairs: Pairs, a: Array) -> Pairs:
    """Return the pairs with their other arrays as constants of the trace of `a`."""
    backend = backend_of(a)
    beta, prob = (
        value if isinstance(value, float) else known_to(backend, value)
        for value in (pairs.beta, pairs.prob)
    )
    return pairs._replace(beta=beta, prob=prob)


def _normalised(pairs: Pairs, a: Array, b: Array) -> tuple[Array, Array]:
    """Return the log-ratios, per token where lengths are given."""
    first, second = (
        rho if length is None else rho / length
        for rho, length in zip((a, b), pairs.lengths, strict=True)
    )
    return first, second


def _constant(pairs: Pairs) -> bool:
    """Whether nothing but the log-ratios can be differentiated: all else are numbers."""
    others = (pairs.beta, pairs.prob, *pairs.lengths, *pairs.options.values())
    return all(value is None or isinstance(value, float | int) for value in others)


def _prepare(
    name: str,
    loss: PairLoss,
    a: Array,
    b: Array,
    beta: Any,
    prob: Any,
    label_smoothing: float,
    lengths: tuple[Any, Any],
    options: dict[str, Any],
) -> Pairs:
    """Check the arguments of the public functions."""
    arrays = {k: v for k, v in options.items() if hasattr(v, "shape")}
    backend = backend_of(a, b, *(v for v in (beta, prob) if v is not None), *arrays.values())
    options = {**options, **{k: known_to(backend, v) for k, v in arrays.items()}}
    for label, value in (("rho_chosen", a), ("rho_rejected", b)):
        check_array(label, value, backend)
    info, xp = check_dtype("rho_chosen", a), backend.namespace
    check_dtype("rho_rejected", b)
    if tuple(a.shape) != tuple(b.shape):
        raise ValueError(
            f"`rho_rejected` must have the shape {tuple(a.shape)} of `rho_chosen`; "
            f"got {tuple(b.shape)}"
        )
    if a.dtype != b.dtype:
        raise TypeError(f"`rho_rejected` must have the dtype {a.dtype}; got {b.dtype}")
    dtype = a.dtype
    a, b = (widen(xp, known_to(backend, v), info) for v in (a, b))
    _refuse_same_infinity(backend, a, b)
    beta = _positive(backend, beta, a)
    prob = _probability(backend, prob, a)
    if loss.noise:
        options = {**options, "label_smoothing": label_smoothing}
    else:
        noise = check_number("label_smoothing", label_smoothing, minimum=0.0, maximum=1.0)
        prob = prob if noise == 0.0 else prob * (1.0 - noise) + (1.0 - prob) * noise
    return Pairs(
        backend, info, dtype, a, b, _read_lengths(name, loss, backend, lengths, a), beta, prob,
        options,
    )  # fmt: skip


def _positive(backend: Any, beta: Any, a: Array) -> Any:
    if isinstance(beta, Real):
        return check_number("beta", beta, above=0.0)
    beta = _like(backend, "beta", beta, a)
    _refuse(backend, ~(beta > 0), "beta", "must be above 0; got an entry that is not")
    return beta


def _probability(backend: Any, prob: Any, a: Array) -> Any:
    if prob is None:
        return 1.0
    if isinstance(prob, Real):
        return check_number("prob", prob, minimum=0.0, maximum=1.0)
    prob = _like(backend, "prob", prob, a)
    outside = ~((prob >= 0) & (prob <= 1))
    _refuse(backend, outside, "prob", "must be in [0, 1]; got an entry outside")
    return prob


def _read_lengths(
    name: str, loss: PairLoss, backend: Any, lengths: tuple[Any, Any], a: Array
) -> tuple[Any, Any]:
    given = [length is not None for length in lengths]
    if any(given) and not all(given):
        raise ValueError("`len_chosen` and `len_rejected` must be given together; got one of them")
    if not any(given):
        if loss.lengths:
            raise ValueError(f"`len_chosen` must be given for the loss {name}; got None")
        return None, None
    xp = backend.namespace
    read = [
        _like(backend, label, length, a)
        for label, length in zip(("len_chosen", "len_rejected"), lengths, strict=True)
    ]
    first, second = (xp.where(length < 1, xp.ones_like(length), length) for length in read)
    return first, second


def _like(backend: Any, name: str, value: Array, a: Array) -> Array:
    """Return an array that broadcasts to the shape of `a`, in its dtype."""
    check_array(name, value, backend)
    xp = backend.namespace
    if xp.isdtype(value.dtype, ("bool", "complex floating")):
        raise TypeError(f"`{name}` must be a real number or array; got {value.dtype}")
    shape, wanted = tuple(value.shape), tuple(a.shape)
    if len(shape) > len(wanted) or any(
        m not in (1, n) for m, n in zip(shape[::-1], wanted[::-1], strict=False)
    ):
        raise ValueError(f"`{name}` must broadcast to the shape {wanted}; got {shape}")
    value = known_to(backend, value)
    return value if value.dtype == a.dtype else xp.astype(value, a.dtype)


def _refuse_same_infinity(backend: Any, a: Array, b: Array) -> None:
    """Raise ValueError if both log-ratios of a pair are the same infinity, where that is known."""
    a, b = backend.stop_gradient(a), backend.stop_gradient(b)
    if backend.is_traced(a) or backend.is_traced(b):
        return
    xp = namespace(a, b)
    if bool(xp.all(xp.isfinite(a))):
        return
    _refuse(
        backend, (a == b) & (xp.abs(a) == _INF), "rho_chosen",
        "must differ from `rho_rejected` where it is infinite; got both infinite of one sign",
    )  # fmt: skip


def _refuse(backend: Any, wrong: Array, name: str, message: str) -> None:
    """Raise ValueError if an entry is wrong and the values are known."""
    plain = backend.stop_gradient(wrong)
    if not backend.is_traced(plain) and bool(backend.namespace.any(plain)):
        raise ValueError(f"`{name}` {message}")
