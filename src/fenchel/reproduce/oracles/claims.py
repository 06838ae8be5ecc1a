"""The claims: fewer steps than gradients take, and safety over orders of magnitude of gamma."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from math import isfinite
from statistics import fmean
from typing import Any

from fenchel.oracles import GaussNewton, ProxLinear

from ..figures import COLORS, new_figure
from ..paper import Claim, Run
from .network import LOSSES, Outcome, adam, predict, sgd, train, unit_steps

__all__ = ["claims", "tour"]

GAMMAS = (1.0, 10.0, 100.0)


class _Slopes:
    """The largest slope of all directions seen in runs that stayed finite."""

    def __init__(self) -> None:
        self.largest = -float("inf")

    def see(self, outcome: Outcome) -> Outcome:
        if isfinite(outcome.loss):
            self.largest = max(self.largest, outcome.slope)
        return outcome


def claims(run: Run) -> Iterator[Claim]:
    """Yield the claims R1 to R5."""
    slopes = _Slopes()
    yield from _squared(run, slopes)
    yield _safe(run, slopes)
    yield from _prox_linear(run, slopes)
    yield from _small_batches(run, slopes)
    yield Claim("largest slope <g, d> over all steps of all finite runs", slopes.largest, "<=", 0.0)


def _gauss_newton(loss: str, gamma: float, steps: int, model_step: bool = True) -> Any:
    return unit_steps(
        GaussNewton(
            LOSSES[loss], predict, gamma=gamma, max_iter=steps, rtol=0.0, model_step=model_step
        )
    )


def _prox(gamma: float) -> Any:
    return unit_steps(ProxLinear(LOSSES["logistic"], predict, gamma=gamma, max_iter=5))


def _mean(run: Run, loss: str, maker: Any, size: int, steps: int, slopes: _Slopes) -> float:
    """Return the mean final loss over the seeds."""
    step, state = maker
    seeds = range(1 if run.quick else 3)
    found = [
        slopes.see(train(run.library, loss, step, state, size=size, steps=steps, seed=seed)).loss
        for seed in seeds
    ]
    return fmean(found)


def _squared(run: Run, slopes: _Slopes) -> Iterator[Claim]:
    def mean(maker: Any) -> float:
        return _mean(run, "squared", maker, 64, 150, slopes)

    rates = run.progress((0.03, 0.1, 0.3, 0.5), "squared loss, gradient descent")
    gradient = min(
        value for rate in rates if isfinite(value := mean(sgd(run.library, "squared", rate)))
    )
    best = mean(_gauss_newton("squared", 10.0, 20))
    yield Claim(
        "squared loss: dual Gauss-Newton over the best gradient descent", best / gradient, "<=", 0.4
    )
    other = mean(adam(run.library, "squared", 1e-2))
    yield Claim("squared loss: dual Gauss-Newton over Adam", best / other, "<=", 0.7)


def _safe(run: Run, slopes: _Slopes) -> Claim:
    cells = [(gamma, count) for gamma in (*GAMMAS, 1000.0) for count in (1, 5, 20)]
    finite = 0
    for gamma, count in run.progress(cells, "model step"):
        step, state = _gauss_newton("squared", gamma, count)
        steps = 30 if run.quick else 150
        outcome = train(run.library, "squared", step, state, size=64, steps=steps, seed=0)
        finite += isfinite(slopes.see(outcome).loss)
    return Claim(
        "runs that stay finite, gamma 1 to 1000 with 1, 5 and 20 steps, of 12", finite, ">=", 12
    )


def _prox_linear(run: Run, slopes: _Slopes) -> Iterator[Claim]:
    found = [
        _mean(run, "logistic", _prox(gamma), 64, 150, slopes)
        for gamma in run.progress(GAMMAS, "prox-linear, batches of 64")
    ]
    yield Claim("prox-linear: worst loss over gamma 1, 10, 100", max(found), "<=", 0.04)
    rise = max(after / before for before, after in itertools.pairwise(found))
    yield Claim("prox-linear: loss at ten times gamma over that at gamma, worst", rise, "<=", 1.0)
    plain = _gauss_newton("logistic", 10.0, 20, model_step=False)
    quadratic = _mean(run, "logistic", plain, 64, 150, slopes)
    worse = quadratic if isfinite(quadratic) else float("inf")
    yield Claim("the quadratic model lies: unit Gauss-Newton steps, gamma 10", worse, ">=", 0.5)


def _small_batches(run: Run, slopes: _Slopes) -> Iterator[Claim]:
    rates = run.progress((0.3, 1.0, 3.0), "batches of 16, gradient descent")
    values = [
        _mean(run, "logistic", sgd(run.library, "logistic", rate), 16, 200, slopes)
        for rate in rates
    ]
    best = min(value for value in values if isfinite(value))
    worst = max(
        _mean(run, "logistic", _prox(gamma), 16, 200, slopes)
        for gamma in run.progress(GAMMAS, "prox-linear, batches of 16")
    )
    yield Claim(
        "batches of 16: prox-linear at its worst gamma over the best gradient descent",
        worst / best,
        "<=",
        1.0,
    )


def tour(run: Run) -> Claim:
    """Show the squared loss over the steps: gradient descent, Adam, dual Gauss-Newton."""
    methods = {
        "gradient descent, 0.3": (sgd(run.library, "squared", 0.3), COLORS["hard"]),
        "Adam, 0.01": (adam(run.library, "squared", 1e-2), COLORS["smooth"]),
        "dual Gauss-Newton": (_gauss_newton("squared", 10.0, 20), COLORS["soft"]),
    }
    figure, axis = new_figure()
    final = {}
    for name, ((step, state), color) in run.progress(methods.items(), "dual Gauss-Newton"):
        outcome = train(run.library, "squared", step, state, size=64, steps=150, seed=0)
        axis.semilogy(outcome.curve, color=color, label=name)
        final[name] = outcome.loss
    axis.set_xlabel("step")
    axis.set_ylabel("loss of the batch")
    axis.legend(frameon=False)
    run.save(figure, "gauss_newton")
    ours = final.pop("dual Gauss-Newton")
    return Claim(
        "dual Gauss-Newton over the better of Adam and gradient descent, 150 steps on digits",
        ours / min(final.values()),
        "<=",
        0.7,
    )
