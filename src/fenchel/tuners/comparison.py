"""Tuners side by side: value, learning rate, sharpness and the product of the last two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..arrays import check_integer
from ..trees import backend_of_tree
from .bases import Adam, GradientDescent, Momentum, RMSProp
from .edge import edge_of_stability, preconditioner_of
from .eigenvalue import sharpness

__all__ = ["Comparison", "Trace", "compare"]

Tree = Any

# Bases whose threshold is known.
_KNOWN = (GradientDescent, Momentum, Adam, RMSProp)


class Trace(NamedTuple):
    """The course of one tuner, as NumPy arrays.

    Parameters
    ----------
    value, learning_rate
        Of each step: the objective before it, and the learning rate taken.
    step
        Where the sharpness was measured.
    sharpness
        There; of the preconditioned Hessian for `Adam` and `RMSProp`.
    product
        Learning rate times sharpness, there.
    edge
        Threshold of the product, None where it is not known for the base.

    Examples
    --------
    >>> Trace([1.0], [0.5], [0], [4.0], [2.0], 2.0).product
    [2.0]
    """

    value: Any
    learning_rate: Any
    step: Any
    sharpness: Any
    product: Any
    edge: float | None


class Comparison(NamedTuple):
    """Courses by name, the final parameters, and the four panels.

    Parameters
    ----------
    traces
        A `Trace` for each name.
    params
        Final parameters for each name.
    figure
        A figure of matplotlib, None where none was asked for.

    Examples
    --------
    >>> Comparison({}, {}, None).figure
    """

    traces: dict[str, Trace]
    params: dict[str, Any]
    figure: Any


def compare(
    tuners: Mapping[str, Any] | Sequence[Any],
    objective: Callable[..., Any],
    params: Tree,
    *data: Any,
    steps: int = 100,
    every: int = 10,
    max_iter: int = 30,
    tol: float = 1e-3,
    draw: bool = True,
    jit: bool = False,
) -> Comparison:
    """Run tuners from the same parameters, and draw what they do.

    Parameters
    ----------
    tuners
        Tuners by name, or a sequence of them.
    objective
        Function `objective(params, *data)` to an array of shape ().
    params
        Where all begin: a container of arrays.
    *data
        Further arguments of the objective, the same at every step.
    steps
        How many steps each takes.
    every
        The sharpness is measured every so many steps, from the last eigenvector on.
    max_iter, tol
        As for `sharpness`.
    draw
        Whether to draw; this needs matplotlib.
    jit
        Whether steps and measurements are compiled by the library of the parameters.

    Returns
    -------
    Comparison
        Courses, final parameters, and a figure with four panels: value, learning rate, sharpness,
        and their product with the threshold of stability of each base.

    Raises
    ------
    TypeError
        If `tuners` holds something else, or `steps` or `every` is not an integer.
    ValueError
        If `steps` or `every` is below 1, or there is no tuner.

    Notes
    -----
    *Derivatives*: none; results are numbers.

    References
    ----------
    V. Roulet et al., arXiv 2407.06183, figures 1 to 5.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.tuners import CDAT, Constant
    >>> def objective(w):
    ...     return np.sum(np.asarray([1.0, 10.0]) * w**2) / 2
    >>> found = compare({"cdat": CDAT(1.0), "constant": Constant(0.1)}, objective, np.ones(2),
    ...                 steps=20, draw=False)
    >>> found.traces["constant"].product.round(6), found.traces["constant"].edge
    (array([1., 1.]), 2.0)
    >>> bool(found.traces["cdat"].value[-1] < found.traces["constant"].value[-1])
    True
    """
    check_integer("steps", steps, minimum=1)
    check_integer("every", every, minimum=1)
    named = _named(tuners)
    if not named:
        raise ValueError("`tuners` must hold at least one tuner; got none")
    compiled = backend_of_tree(params).jit if jit else _as_it_is
    traces, final = {}, {}
    for name, tuner in named.items():
        course = _Course(tuner, objective, data, compiled, max_iter, tol)
        traces[name], final[name] = course.run(params, steps, every)
    return Comparison(traces, final, _drawn(traces) if draw else None)


def _as_it_is(f: Callable[..., Any]) -> Callable[..., Any]:
    return f


def _named(tuners: Any) -> dict[str, Any]:
    """Return tuners by name: those of their classes, numbered where two are of one class."""
    if not isinstance(tuners, Mapping | Sequence):
        raise TypeError(
            "`tuners` must be tuners by name or a sequence of them; "
            f"got {type(tuners).__qualname__}"
        )
    for tuner in tuners.values() if isinstance(tuners, Mapping) else tuners:
        if not (hasattr(tuner, "init") and hasattr(tuner, "step")):
            raise TypeError(f"`tuners` must hold tuners; got {type(tuner).__qualname__}")
    if isinstance(tuners, Mapping):
        return dict(tuners)
    kinds = [type(tuner).__name__ for tuner in tuners]
    names = [
        kind if kinds.count(kind) == 1 else f"{kind} {kinds[:i].count(kind) + 1}"
        for i, kind in enumerate(kinds)
    ]
    return dict(zip(names, tuners, strict=True))


class _Course:
    """One tuner on its way."""

    def __init__(
        self,
        tuner: Any,
        objective: Callable[..., Any],
        data: tuple[Any, ...],
        compiled: Callable[[Callable[..., Any]], Callable[..., Any]],
        max_iter: int,
        tol: float,
    ) -> None:
        self._tuner, self._data = tuner, data
        self._base = getattr(tuner, "base", None)
        self._step = compiled(lambda p, s, d: tuner.step(objective, p, s, *d))

        def measured(p: Tree, scale: Tree, start: Tree, d: Tree) -> tuple[Any, Any]:
            found = sharpness(
                objective, p, *d, preconditioner=scale, start=start, max_iter=max_iter, tol=tol
            )
            return found.value, found.vector

        self._measure = compiled(measured)

    def run(self, params: Tree, steps: int, every: int) -> tuple[Trace, Tree]:
        """Return the course over some steps, and the parameters at its end."""
        import numpy as np

        state, vector = self._tuner.init(params), None
        values, rates, places, sharp = [], [], [], []
        for t in range(steps):
            new, state, info = self._step(params, state, self._data)
            if t % every == 0:
                scale = preconditioner_of(self._base, getattr(state, "base", None))
                value, vector = self._measure(params, scale, vector, self._data)
                places.append(t)
                sharp.append(float(value))
            values.append(float(info.value))
            rates.append(float(info.learning_rate))
            params = new
        measured, rate = np.asarray(sharp), np.asarray(rates)
        edge = edge_of_stability(self._base) if isinstance(self._base, _KNOWN) else None
        product = rate[places] * measured
        trace = Trace(np.asarray(values), rate, np.asarray(places), measured, product, edge)
        return trace, params


def _drawn(traces: dict[str, Trace]) -> Any:
    # A Figure of its own, not pyplot's: no display, no global state, nothing to close.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14.0, 3.2), layout="constrained")
    axes = figure.subplots(1, 4)
    titles = ("objective", "learning rate", "sharpness", "learning rate x sharpness")
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title)
        axis.set_xlabel("step")
        axis.spines[["top", "right"]].set_visible(False)
    for name, trace in traces.items():
        axes[0].plot(trace.value, label=name)
        axes[1].plot(trace.learning_rate)
        axes[2].plot(trace.step, trace.sharpness)
        axes[3].plot(trace.step, trace.product)
    for edge in sorted({trace.edge for trace in traces.values() if trace.edge is not None}):
        axes[3].axhline(edge, color="#6b7280", linestyle="--", linewidth=1.0)
    if all((trace.value > 0).all() for trace in traces.values()):
        axes[0].set_yscale("log")
    axes[0].legend(frameon=False)
    return figure
