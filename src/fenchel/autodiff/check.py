"""Check derivatives against numerical ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..arrays import check_choice, float_info
from ..backend import Backend
from ..random import RandomStream, sampler
from ..trees import dot, norm, size
from ..trees import map as map_leaves
from .arguments import as_primals, leaf_names
from .curvature import hvp
from .forward import jvp
from .numeric import complex_step, finite_difference
from .reverse import grad, vjp

__all__ = ["check_grads"]

_MODES = ("jvp", "vjp", "hvp")
_ENTRY_BY_ENTRY = 64  # above so many inputs, reverse mode is checked along random directions


class _Tolerance(NamedTuple):
    step: float  # eps^(1/5): truncation h^4 after Richardson against rounding eps / h
    differences: float
    complex_step: float
    smooth: float  # how far two Richardson estimates of a smooth function may lie apart


_TOLERANCES = {
    "float64": _Tolerance(7e-4, 1e-8, 1e-11, 1e-4),
    "float32": _Tolerance(4e-2, 2e-3, 1e-5, 2e-2),
}


def check_grads(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    modes: tuple[str, ...] = _MODES,
    *,
    seed: int = 0,
) -> None:
    """Raise unless the derivatives of a function agree with numerical ones.

    Parameters
    ----------
    f
        Function from containers of floating arrays to a container of floating arrays.
    args
        Tuple of its arguments; their values must be known, so not inside jit.
    modes
        Which of "jvp" (forward mode), "vjp" (reverse mode, and its being the transpose of forward
        mode) and "hvp" (second derivatives of a random combination of the outputs) to check.
    seed
        Of the directions, which are the same on every library.

    Raises
    ------
    AssertionError
        If a derivative is off: the message names the worst entry, what was expected and what came.
        Also if one-sided differences show a kink at `args`, where there is nothing to check.
    TypeError
        If `args` is no tuple, or a leaf is not a float32 or float64 array.
    ValueError
        If a mode is unknown.

    Notes
    -----
    Expected values come from central differences at two steps with Richardson extrapolation, and
    from the complex step where `f` takes complex numbers and both agree. *Derivatives*: none.

    Examples
    --------
    >>> import numpy as np
    >>> check_grads(lambda x: np.sin(x) * x, (np.asarray([0.5, 2.0]),))
    """
    for mode in modes:
        check_choice("modes", mode, _MODES)
    if not isinstance(args, tuple | list):
        raise TypeError(f"`args` must be a tuple; got {type(args).__qualname__}")
    backend, x = as_primals(tuple(args))
    run = _Run(backend, f, x, _tolerance(backend, x), RandomStream(seed))
    if "jvp" in modes:
        run.forward()
    if "vjp" in modes:
        run.reverse()
    if "hvp" in modes:
        run.second()


def _tolerance(backend: Backend, x: Any) -> _Tolerance:
    names = set()
    leaves = backend.tree_flatten(x)[0]
    for name, leaf in zip(leaf_names(x, "args", len(leaves)), leaves, strict=True):
        info = float_info(leaf.dtype)
        if info is None or info.half:
            raise TypeError(f"`{name}` must be float32 or float64; got {leaf.dtype}")
        names.add(info.name)
    return _TOLERANCES["float32" if "float32" in names else "float64"]


@dataclass
class _Run:
    backend: Backend
    f: Callable[..., Any]
    x: Any
    tolerance: _Tolerance
    stream: RandomStream

    def packed(self, x: Any) -> Any:
        return self.f(*x)

    def direction(self, pattern: Any) -> Any:
        """Return a random container like another one, fresh at every call."""
        leaves, structure = self.backend.tree_flatten(pattern)
        self.stream = self.stream.next()
        draws = []
        for i, leaf in enumerate(leaves):
            draw = sampler(self.stream.split(len(leaves))[i], leaf)
            draws.append(draw.normal(tuple(leaf.shape)))
        return self.backend.tree_unflatten(structure, draws)

    def forward(self) -> None:
        v = self.direction(self.x)
        found = jvp(self.f, self.x, v)[1]
        self.compare("jvp", "output", found, *self.expected(self.packed, v))

    def reverse(self) -> None:
        out, pullback = vjp(self.f, *self.x)
        u = self.direction(out)
        gradient = pullback(u)
        v = self.direction(self.x)
        pushed = jvp(self.f, self.x, v)[1]
        self.compare("vjp against jvp", "<u, J v>", dot(gradient, v), dot(u, pushed), 1e-9)

        def scalar(x: Any) -> Any:
            return dot(self.packed(x), u)

        if size(self.x) > _ENTRY_BY_ENTRY:
            self.compare("vjp", "<u, J v>", dot(gradient, v), *self.expected(scalar, v))
            return
        for name, basis in self.basis():
            self.compare("vjp", name, dot(gradient, basis), *self.expected(scalar, basis))

    def second(self) -> None:
        u, v = self.direction(self.f(*self.x)), self.direction(self.x)

        def scalar(x: Any) -> Any:
            return dot(self.packed(x), u)

        found = hvp(scalar, self.x, v)
        self.compare("hvp", "args", found, *self.expected(grad(scalar), v))

    def basis(self) -> Any:
        """Yield a name and a unit direction for each entry of the arguments."""
        xp = self.backend.namespace
        leaves, structure = self.backend.tree_flatten(self.x)
        names = leaf_names(self.x, "args", len(leaves))
        for place, (name, leaf) in enumerate(zip(names, leaves, strict=True)):
            count = size(leaf)
            places = xp.arange(count, device=self.backend.device_of(leaf))
            for entry in range(count):
                unit = [xp.zeros_like(other) for other in leaves]
                one_hot = xp.astype(places == entry, leaf.dtype)
                unit[place] = xp.reshape(one_hot, tuple(leaf.shape))
                label = f"{name}{_position(entry, tuple(leaf.shape))}"
                yield label, self.backend.tree_unflatten(structure, unit)

    # -- numerical derivatives ---------------------------------------------------------------

    def expected(self, f: Callable[[Any], Any], v: Any) -> tuple[Any, float]:
        """Return the numerical derivative along `v`, and its relative accuracy."""
        h = self.tolerance.step * max(1.0, float(norm(self.x))) / (float(norm(v)) or 1.0)
        wide = finite_difference(f, self.x, v, step=h)
        narrow = finite_difference(f, self.x, v, step=h / 2)
        best = map_leaves(lambda a, b: (4.0 * b - a) / 3.0, wide, narrow)
        gap, _, _ = self.worst(best, narrow)
        self.refuse_kinks(f, v, h)
        if gap > self.tolerance.smooth:
            raise AssertionError(
                f"differences of `f` at two steps disagree by {gap:.1e} relative to their size: "
                "`f` is not smooth near `args`, or too noisy to be checked"
            )
        exact = self.by_complex_step(f, v)
        if exact is not None and self.worst(exact, best)[0] < self.tolerance.differences:
            return exact, self.tolerance.complex_step
        return best, self.tolerance.differences + gap**2

    def by_complex_step(self, f: Callable[[Any], Any], v: Any) -> Any:
        """Return the derivative by the complex step, None where `f` does not take it."""
        try:
            return complex_step(f, self.x, v)
        except (TypeError, ValueError, RuntimeError):
            return None  # libraries refuse complex numbers each in its own way

    def refuse_kinks(self, f: Callable[[Any], Any], v: Any, h: float) -> None:
        """Raise if the one-sided derivatives differ, and go on to differ at a smaller step."""
        jumps = []
        for step in (h, h / 16):
            right, left = (
                finite_difference(f, self.x, v, scheme=scheme, step=step)
                for scheme in ("forward", "backward")
            )
            jumps.append(self.worst(right, left))
        (before, _, _), (after, name, values) = jumps
        if after > 100 * self.tolerance.smooth and after > 0.5 * before:
            raise AssertionError(
                f"`f` has a kink at `args`: its derivative at {name} is {values[1]:.6g} on one "
                f"side and {values[0]:.6g} on the other"
            )

    # -- comparison --------------------------------------------------------------------------

    def worst(self, found: Any, expected: Any) -> tuple[float, str, tuple[float, float]]:
        """Return the largest error relative to the largest entry, its place and both values."""
        xp = self.backend.namespace
        a, b = (self.backend.tree_flatten(tree)[0] for tree in (found, expected))
        names = leaf_names(expected, "", len(b))
        scale = max([float(xp.max(xp.abs(leaf))) for leaf in b if size(leaf)] or [0.0])
        worst = (0.0, "", (0.0, 0.0))
        for name, one, two in zip(names, a, b, strict=True):
            if not size(two):
                continue
            error = xp.abs(one - two) / max(scale, 1e-3)
            error = xp.where(xp.isnan(error), xp.full_like(error, float("inf")), error)
            flat = xp.reshape(error, (-1,))
            entry = int(xp.argmax(flat))
            if float(flat[entry]) > worst[0]:
                values = tuple(float(xp.reshape(leaf, (-1,))[entry]) for leaf in (one, two))
                place = name + _position(entry, tuple(two.shape))
                worst = (float(flat[entry]), place, (values[0], values[1]))
        return worst

    def compare(self, mode: str, what: str, found: Any, expected: Any, allowed: float) -> None:
        allowed = max(allowed, self.tolerance.complex_step)
        error, place, (got, wanted) = self.worst(found, expected)
        if not error <= allowed:
            raise AssertionError(
                f"{mode} is off at {what}{place}: got {got:.10g}, expected {wanted:.10g}; "
                f"relative error {error:.1e} with {allowed:.1e} allowed"
            )


def _position(entry: int, shape: tuple[int, ...]) -> str:
    """Return the index of a flat entry as it is written in Python."""
    if not shape:
        return ""
    indices = []
    for length in reversed(shape):
        entry, index = divmod(entry, length)
        indices.append(str(index))
    return "[" + ", ".join(reversed(indices)) + "]"
