"""Losses: Fenchel-Young, Fitzpatrick, margin and robust ones, and those made by factories."""

from __future__ import annotations

from typing import Any

from ... import losses
from ..operator import Operator
from ..samples import Draw, mask, normal, rows, sample, share, uniform

__all__ = ["ENTRIES"]

Array = Any
SCORES = normal(2, 6)
DENSE = share(2, 6)
LABELS = uniform(0.15, 0.85, 2, 6)


def classes(*values: int) -> Draw:
    """Class indices, the same in every draw."""

    def draw(_: Any) -> Any:
        import numpy as np

        return np.asarray(values)

    return draw


def entmax_loss(scores: Array, target: Array, /, *, alpha: Any = 1.3, **options: Any) -> Array:
    """Apply the loss of entmax."""
    return losses.entmax_loss(alpha=alpha)(scores, target, **options)


def fitzpatrick_entmax(
    scores: Array, target: Array, /, *, alpha: Any = 1.3, **options: Any
) -> Array:
    """Apply the Fitzpatrick loss of entmax."""
    return losses.fitzpatrick_entmax(alpha=alpha)(scores, target, **options)


def f_divergence_loss(
    scores: Array,
    target: Array,
    reference: Array,
    /,
    *,
    divergence: str,
    alpha: Any = None,
    **options: Any,
) -> Array:
    """Apply the loss of an f-divergence."""
    loss = losses.f_divergence_loss(divergence=divergence, reference=reference, alpha=alpha)
    return loss(scores, target, **options)


def huber(scores: Array, target: Array, /, **options: Any) -> Array:
    """Apply Huber's loss."""
    return losses.huber(delta=0.7)(scores, target, **options)


def _of(name: str, variant: str, target: Draw, *, both: bool = False, **options: Any) -> Operator:
    home = "fenchel.losses"
    if name in ("entmax_loss", "fitzpatrick_entmax", "huber"):
        home = "fenchel.testing.catalogue.losses"
    seeds = options.pop("seeds", (0, 1))
    return Operator(
        f"{name}({variant})",
        f"{home}:{name}",
        sample(SCORES, target),
        options=options,
        differentiable=(0, 1) if both else (0,),
        seeds=seeds,
    )


def _simplex(name: str, **options: Any) -> tuple[Operator, ...]:
    also = f", alpha={options['alpha']}" if "alpha" in options else ""
    return (
        _of(name, "classes" + also, classes(2, 0), **options),
        _of(name, "dense" + also, DENSE, both=True, **options),
    )


def _divergence(name: str, **options: Any) -> Operator:
    return Operator(
        f"f_divergence_loss({name})",
        "fenchel.testing.catalogue.losses:f_divergence_loss",
        sample(SCORES, DENSE, uniform(0.2, 1.0, 6)),
        options={"divergence": name} | options,
        differentiable=(0, 1, 2),
    )


def _array_alpha(name: str) -> Operator:
    return Operator(
        f"{name}(alpha=array)",
        f"fenchel.testing.catalogue.losses:{name}",
        sample(SCORES, DENSE, rows(1.3, 1.8)),
        keywords=("alpha",),
        differentiable=(0, 1, 2),
    )


def _masked(name: str) -> Operator:
    return Operator(
        f"{name}(where=)",
        f"fenchel.losses:{name}",
        sample(SCORES, classes(2, 0), mask(2, 6, keep=5)),
        keywords=("where",),
        options={"label_smoothing": 0.1},
    )


ENTRIES = (
    *_simplex("logistic"),
    *_simplex("sparsemax_loss"),
    *_simplex("entmax_loss", alpha=1.5),
    *_simplex("entmax_loss", alpha=1.3),
    *_simplex("fitzpatrick_logistic"),
    *_simplex("fitzpatrick_sparsemax"),
    *_simplex("fitzpatrick_entmax", alpha=1.5),
    *_simplex("fitzpatrick_entmax", alpha=1.3),
    *_simplex("perceptron"),
    *_simplex("hinge"),
    _array_alpha("entmax_loss"),
    _array_alpha("fitzpatrick_entmax"),
    _masked("logistic"),
    _masked("sparsemax_loss"),
    _masked("fitzpatrick_logistic"),
    _of("logistic", "axis=0, reduction=none", classes(*[1, 0, 1, 1, 0, 0]), axis=0,
        reduction="none"),
    _of("logistic", "ignore_index", classes(2, -100), ignore_index=-100, label_smoothing=0.2),
    *(
        _divergence(name)
        for name in ("kl", "reverse_kl", "jensen_shannon", "chi2", "neyman_chi2")
    ),
    _divergence("squared_hellinger"),
    _divergence("alpha", alpha=1.4),
    _of("squared", "dense", normal(2, 6), both=True),
    _of("fitzpatrick_squared", "dense", normal(2, 6), both=True),
    _of("cube", "dense", LABELS, both=True),
    _of("binary_logistic", "soft", LABELS, both=True),
    _of("binary_sparse", "soft", LABELS, both=True),
    _of("fitzpatrick_binary_logistic", "soft", LABELS, both=True),
    _of("huber", "dense", normal(2, 6), both=True),
    _of("absolute", "dense", normal(2, 6), both=True),
    _of("squared_hinge", "signs", lambda rng: rng.choice([-1.0, 1.0], (2, 6))),
    _of("cross_entropy", "classes, smoothed", classes(2, 0), label_smoothing=0.1),
    _of("cross_entropy", "dense", DENSE, both=True),
)  # fmt: skip
