"""The discrete adjoint along a path whose states are kept, run again, or solved for backwards.

Adjoint of ``y[k+1] = y[k] + h mu(y[k], t[k], theta) + noise[k]`` with costs c (arXiv 2402.05468):
``a[n] = dF/dy``, then for k = n-1, ..., 0 with s(y, theta) = <h mu(y, t[k], theta), a[k+1]> + c[k]:
``g += ds/dtheta`` and ``a[k] = a[k+1] + ds/dy``. One pullback gives both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import Any, NamedTuple

from ..arrays import check_dtype, widen
from ..backend import Backend, backend_of
from ..parameters import known_to
from ._replay import ReplayedNoise, row

__all__ = [
    "Path",
    "Sweep",
    "along",
    "checkpointed",
    "conclude",
    "pulled",
    "reconstructed",
    "start",
    "stored",
]

Array = Any

_SWEEPS = 100  # of the fixed point that solves a step backwards; each gains a factor h L


class Sweep(NamedTuple):
    """What goes backwards along a path: adjoint state, gradient (leaves) and cost so far."""

    adjoint: Array
    gradient: list[Array]
    cost: Array


@dataclass(frozen=True)
class Path:
    """A simulated path: its drift, costs, parameters (leaves) and noise.

    `both`, where it is given, is the drift and the running cost in one evaluation.
    """

    backend: Backend
    drift: Callable[..., Array]
    running: Callable[..., Array] | None
    terminal: Callable[..., Array]
    leaves: list[Array]
    structure: Any
    step_size: float
    scale: float = 0.0
    noise: ReplayedNoise | None = None
    both: Callable[..., tuple[Array, Array]] | None = None

    def time(self, k: Any, y: Array) -> Array:
        """Time of step k, of shape () and the dtype that `y` is computed in."""
        xp, info = self.backend.namespace, check_dtype("y0", y)
        dtype = xp.float32 if info.half else y.dtype
        if isinstance(k, int):
            t = xp.asarray(k * self.step_size, dtype=dtype, device=self.backend.device_of(y))
        else:
            t = xp.astype(k, dtype) * self.step_size
        return xp.astype(t, y.dtype) if info.half else t

    def params(self, leaves: list[Array]) -> Any:
        """Return the container of the parameters."""
        return self.backend.tree_unflatten(self.structure, list(leaves))

    def move(self, y: Array, t: Array, leaves: list[Array]) -> Array:
        """Return h times the drift."""
        return self._like(y, self.drift(y, t, self.params(leaves))) * self.step_size

    def _like(self, y: Array, drift: Array) -> Array:
        if tuple(drift.shape) != tuple(y.shape):
            raise ValueError(
                f"`drift` must return an array of shape {tuple(y.shape)}; got {tuple(drift.shape)}"
            )
        return drift

    def step(self, y: Array, k: Any) -> Array:
        """Return the states after step k, a constant."""
        new = y + self.move(y, self.time(k, y), self.leaves)
        if self.noise is not None and self.scale > 0:
            new = new + self.scale * self.noise(k)
        return self.backend.stop_gradient(new)

    def move_and_cost(self, y: Array, t: Array, leaves: list[Array]) -> tuple[Array, Array]:
        """Return h times the drift, and the running cost in the dtype that is computed in."""
        params, xp = self.params(leaves), backend_of(y).namespace
        if self.both is not None:
            drift, cost = self.both(y, t, params)
        elif self.running is None:
            drift = self.drift(y, t, params)
            cost = xp.sum(widen(xp, y, check_dtype("y0", y)) * 0.0)
        else:
            drift, cost = self.drift(y, t, params), self.running(y, t, params)
        return self._like(y, drift) * self.step_size, _scalar("running", cost)

    def forward(self, y: Array, first: Any, count: int) -> tuple[Array, Array]:
        """Return the states after `count` steps from step `first` on, and those before each."""

        def advance(carry: tuple[Array, Any], _: Any) -> tuple[tuple[Array, Any], Array]:
            y, k = carry
            return (self.step(y, k), k + 1), y

        (end, _), states = self.backend.scan(advance, (y, first), None, count)
        return end, states


def _scalar(name: str, value: Array) -> Array:
    """Return a cost in the dtype that is computed in.

    Raises
    ------
    TypeError
        If it is no array.
    ValueError
        If it is no scalar.
    """
    if not hasattr(value, "shape"):
        raise TypeError(f"`{name}` must return an array; got {type(value).__qualname__}")
    shape = tuple(value.shape)
    if shape:
        raise ValueError(f"`{name}` must return a scalar of shape (); got {shape}")
    return widen(backend_of(value).namespace, value, check_dtype(f"{name}(y)", value))


def start(path: Path, final: Array) -> Sweep:
    """Return the terminal value and the adjoint state it begins with."""
    backend, xp = path.backend, path.backend.namespace

    def terminal(y: Array) -> Array:
        return _scalar("terminal", path.terminal(y))

    value, slope = backend.value_and_grad(terminal)(final)
    wide = [widen(xp, leaf, check_dtype("params", leaf)) for leaf in path.leaves]
    zeros = [xp.zeros_like(leaf) for leaf in wide]
    return Sweep(widen(xp, slope, check_dtype("y0", slope)), zeros, value)


def pulled(path: Path, sweep: Sweep, y: Array, k: Any) -> Sweep:
    """Go backwards over step k, which began at states `y`."""
    backend, xp = path.backend, path.backend.namespace
    time = path.time(k, y)

    def local(y: Array, *leaves: Array) -> tuple[Array, Array]:
        tracer = backend_of(y, *leaves)
        t, adjoint = known_to(tracer, time), known_to(tracer, sweep.adjoint)
        names = tracer.namespace
        move, cost = path.move_and_cost(y, t, list(leaves))
        work = names.sum(widen(names, move, check_dtype("y0", y)) * adjoint)
        return work + cost, cost

    cost, slopes = _slopes(backend, local, [y, *path.leaves])
    wide = [widen(xp, slope, check_dtype("params", slope)) for slope in slopes]
    gradient = [a + b for a, b in zip(sweep.gradient, wide[1:], strict=True)]
    return Sweep(sweep.adjoint + wide[0], gradient, sweep.cost + backend.stop_gradient(cost))


def _slopes(backend: Backend, f: Callable[..., Any], inputs: list[Array]) -> tuple[Array, Any]:
    """Return the second result of `f` and the derivatives of the first in all inputs."""
    shorter = getattr(backend, "slopes_with_aux", None)
    found = None if shorter is None else shorter(f, inputs)
    if found is not None:
        return found  # type: ignore[no-any-return]
    places = tuple(range(len(inputs)))
    (_, aux), slopes = backend.value_and_grad(f, places, has_aux=True)(*inputs)
    return aux, slopes


def along(path: Path, states: Array, sweep: Sweep, first: Any, count: int) -> Sweep:
    """Go backwards over steps `first`, ..., `first + count - 1`, whose states were kept."""

    def back(i: Any, sweep: Sweep) -> Sweep:
        place = count - 1 - i
        return pulled(path, sweep, row(path.backend, states, place), first + place)

    return path.backend.fori_loop(0, count, back, sweep)  # type: ignore[no-any-return]


def conclude(path: Path, sweep: Sweep, final: Array) -> tuple[Array, list[Array], Array]:
    """Return value, gradient in the dtypes of the parameters, and last states."""
    xp = path.backend.namespace
    pairs = zip(sweep.gradient, path.leaves, strict=True)
    gradient = [g if g.dtype == leaf.dtype else xp.astype(g, leaf.dtype) for g, leaf in pairs]
    return sweep.cost, gradient, final


def stored(path: Path, y0: Array, n_steps: int) -> tuple[Array, list[Array], Array]:
    """Keep all states."""
    final, states = path.forward(y0, 0, n_steps)
    return conclude(path, along(path, states, start(path, final), 0, n_steps), final)


def checkpointed(path: Path, y0: Array, n_steps: int) -> tuple[Array, list[Array], Array]:
    """Keep the first states of about sqrt(n) segments, and run each segment again."""
    backend = path.backend
    length = isqrt(n_steps)
    count, rest = divmod(n_steps, length)

    def segment(carry: tuple[Array, Any], _: Any) -> tuple[tuple[Array, Any], Array]:
        y, first = carry
        end = backend.fori_loop(0, length, lambda i, y: path.step(y, first + i), y)
        return (end, first + length), y

    (y, _), starts = backend.scan(segment, (y0, 0), None, count)
    final, states = path.forward(y, count * length, rest) if rest else (y, None)
    sweep = start(path, final)
    if rest:
        sweep = along(path, states, sweep, count * length, rest)

    def back(i: Any, sweep: Sweep) -> Sweep:
        place = count - 1 - i
        states = path.forward(row(backend, starts, place), place * length, length)[1]
        return along(path, states, sweep, place * length, length)

    return conclude(path, backend.fori_loop(0, count, back, sweep), final)


def reconstructed(path: Path, y0: Array, n_steps: int) -> tuple[Array, list[Array], Array]:
    """Keep no states: solve each step of the ODE backwards, and see that `y0` is found again."""
    backend, xp = path.backend, path.backend.namespace
    final = backend.fori_loop(0, n_steps, lambda k, y: path.step(y, k), y0)

    def back(i: Any, carry: tuple[Array, Sweep]) -> tuple[Array, Sweep]:
        y, sweep = carry
        k = n_steps - 1 - i
        y = _before(path, y, k)
        return y, pulled(path, sweep, y, k)

    found, sweep = backend.fori_loop(0, n_steps, back, (final, start(path, final)))
    wide = widen(xp, y0, check_dtype("y0", y0))
    off = xp.max(xp.abs(widen(xp, found, check_dtype("y0", y0)) - wide))
    allowed = xp.finfo(y0.dtype).eps ** 0.5 * (1.0 + xp.max(xp.abs(wide)))
    lost = ~(off <= allowed)
    if not backend.is_traced(lost) and bool(lost) and bool(xp.all(xp.isfinite(final))):
        raise FloatingPointError(
            "the ODE contracts too much to be solved backwards (the first states come back with an "
            f"error of {float(off):.3g}): `memory` must be 'stored' or 'checkpoint'; got 'ode'"
        )
    gradient = [xp.where(lost, xp.nan * g, g) for g in sweep.gradient]
    return conclude(path, sweep._replace(gradient=gradient), final)


def _before(path: Path, after: Array, k: Any) -> Array:
    """Return the states before step k of an ODE: the fixed point of y = after - h mu(y)."""
    backend, xp = path.backend, path.backend.namespace
    time = path.time(k, after)
    close = 2.0 * xp.finfo(after.dtype).eps

    def going(carry: tuple[Array, Array, Array]) -> Array:
        y, change, count = carry
        return (change > close * (1.0 + xp.max(xp.abs(y)))) & (count < _SWEEPS)

    def improve(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        y, _, count = carry
        new = backend.stop_gradient(after - path.move(y, time, path.leaves))
        return new, xp.max(xp.abs(new - y)), count + 1

    far = xp.max(xp.abs(after)) * 0.0 + float("inf")
    count = xp.asarray(0, device=backend.device_of(after))
    return backend.while_loop(going, improve, (after, far, count))[0]
