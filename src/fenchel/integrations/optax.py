"""For optax: losses with the signature of `optax.losses`, and tuners as transformations.

Losses give one value an example, with `axis` and `where`; they do not need optax itself, which is
imported with the first transformation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fenchel import losses
from fenchel.backend import Array

if TYPE_CHECKING:
    from .optax_tuners import cdat, oracle_gradients, scale_by_tuner, tuned

__all__ = [
    "cdat",
    "entmax_loss",
    "f_divergence_loss",
    "fitzpatrick_logistic_loss",
    "fitzpatrick_sparsemax_loss",
    "logistic_loss",
    "oracle_gradients",
    "per_example",
    "scale_by_tuner",
    "sparsemax_loss",
    "tuned",
]

_TUNERS = ("cdat", "oracle_gradients", "scale_by_tuner", "tuned")


def __getattr__(name: str) -> Any:
    if name not in _TUNERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import optax_tuners

    return getattr(optax_tuners, name)


def per_example(loss: Any) -> Callable[..., Array]:
    """Return `f(scores, labels, axis=-1, where=None)`, one value an example, of any loss.

    Parameters
    ----------
    loss
        A loss of `fenchel.losses`.

    Returns
    -------
    callable
        Labels are classes (integers, the shape of the scores without `axis`) or dense targets;
        `where` masks classes.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from fenchel import losses
    >>> from fenchel.integrations.optax import per_example
    >>> per_example(losses.squared)(jnp.asarray([[1.0, 3.0]]), jnp.asarray([[1.0, 1.0]])).tolist()
    [2.0]
    """

    def per_example_loss(
        scores: Array, labels: Array, axis: int = -1, where: Array | None = None
    ) -> Array:
        return loss(scores, labels, axis=axis, where=where, reduction="none")

    return per_example_loss


def logistic_loss(
    scores: Array, labels: Array, axis: int = -1, where: Array | None = None
) -> Array:
    """Return the cross-entropy of the softmax minus the entropy of dense labels.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from fenchel.integrations.optax import logistic_loss
    >>> round(float(logistic_loss(jnp.zeros((1, 2)), jnp.asarray([0]))[0]), 4)
    0.6931
    """
    return per_example(losses.logistic)(scores, labels, axis, where)


def sparsemax_loss(
    scores: Array, labels: Array, axis: int = -1, where: Array | None = None
) -> Array:
    """Return the Fenchel-Young loss of sparsemax.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from fenchel.integrations.optax import sparsemax_loss
    >>> sparsemax_loss(jnp.zeros((1, 2)), jnp.asarray([0])).tolist()
    [0.25]
    """
    return per_example(losses.sparsemax_loss)(scores, labels, axis, where)


def entmax_loss(
    scores: Array,
    labels: Array,
    axis: int = -1,
    where: Array | None = None,
    *,
    alpha: Any = 1.5,
) -> Array:
    """Return the Fenchel-Young loss of entmax; `alpha` is differentiated if it is an array.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from fenchel.integrations.optax import entmax_loss
    >>> entmax_loss(jnp.zeros((1, 2)), jnp.asarray([0]), alpha=2.0).tolist()
    [0.25]
    """
    return per_example(losses.entmax_loss(alpha=alpha))(scores, labels, axis, where)


def f_divergence_loss(
    scores: Array,
    labels: Array,
    axis: int = -1,
    where: Array | None = None,
    *,
    divergence: str = "kl",
    reference: Array | None = None,
    alpha: Any = None,
) -> Array:
    """Return the Fenchel-Young loss of an f-divergence from a reference measure.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from fenchel.integrations.optax import f_divergence_loss
    >>> f_divergence_loss(jnp.zeros((1, 2)), jnp.asarray([0]), divergence="chi2").tolist()
    [0.25]
    """
    loss = losses.f_divergence_loss(divergence=divergence, reference=reference, alpha=alpha)
    return per_example(loss)(scores, labels, axis, where)


def fitzpatrick_logistic_loss(
    scores: Array, labels: Array, axis: int = -1, where: Array | None = None
) -> Array:
    """Return the Fitzpatrick loss of softmax.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from fenchel.integrations.optax import fitzpatrick_logistic_loss
    >>> round(float(fitzpatrick_logistic_loss(jnp.zeros((1, 2)), jnp.asarray([0]))[0]), 4)
    0.2785
    """
    return per_example(losses.fitzpatrick_logistic)(scores, labels, axis, where)


def fitzpatrick_sparsemax_loss(
    scores: Array, labels: Array, axis: int = -1, where: Array | None = None
) -> Array:
    """Return the Fitzpatrick loss of sparsemax.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from fenchel.integrations.optax import fitzpatrick_sparsemax_loss
    >>> fitzpatrick_sparsemax_loss(jnp.zeros((1, 2)), jnp.asarray([0])).tolist()
    [0.125]
    """
    return per_example(losses.fitzpatrick_sparsemax)(scores, labels, axis, where)
