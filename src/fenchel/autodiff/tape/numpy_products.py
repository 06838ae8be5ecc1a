"""NumPy's products: `dot` and its kin, `einsum`, convolutions."""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_letters
from typing import Any

from .fitting import deepest, fit
from .rules import General
from .traced import Array

__all__ = ["FUNCTIONS"]


def _dot(xp: Any, a: Array, b: Array, out: Any = None) -> Array:
    a, b = xp.as_array(a), xp.as_array(b)
    if len(a.shape) == 0 or len(b.shape) == 0:
        return xp.multiply(a, b)
    if len(a.shape) <= 2 and len(b.shape) <= 2:
        return xp.matmul(a, b)
    return xp.tensordot(a, b, axes=((len(a.shape) - 1,), (max(len(b.shape) - 2, 0),)))


def _vdot(xp: Any, a: Array, b: Array, /) -> Array:
    return xp.vecdot(xp.reshape(xp.as_array(a), (-1,)), xp.reshape(xp.as_array(b), (-1,)))


def _inner(xp: Any, a: Array, b: Array, /) -> Array:
    a, b = xp.as_array(a), xp.as_array(b)
    if len(a.shape) == 0 or len(b.shape) == 0:
        return xp.multiply(a, b)
    return xp.tensordot(a, b, axes=((len(a.shape) - 1,), (len(b.shape) - 1,)))


def _outer(xp: Any, a: Array, b: Array, out: Any = None) -> Array:
    column = xp.reshape(xp.as_array(a), (-1, 1))
    return xp.multiply(column, xp.reshape(xp.as_array(b), (1, -1)))


def _tensordot(xp: Any, a: Array, b: Array, axes: Any = 2) -> Array:
    return xp.tensordot(xp.as_array(a), xp.as_array(b), axes=axes)


def _kron(xp: Any, a: Array, b: Array) -> Array:
    a, b = xp.as_array(a), xp.as_array(b)
    ndim = max(len(a.shape), len(b.shape))
    sa = (1,) * (ndim - len(a.shape)) + tuple(a.shape)
    sb = (1,) * (ndim - len(b.shape)) + tuple(b.shape)
    left = xp.reshape(a, tuple(n for size in sa for n in (size, 1)))
    right = xp.reshape(b, tuple(n for size in sb for n in (1, size)))
    return xp.reshape(xp.multiply(left, right), tuple(n * m for n, m in zip(sa, sb, strict=True)))


def _cross(xp: Any, a: Array, b: Array, axisa: int = -1, axisb: int = -1, axisc: int = -1,
           axis: int | None = None) -> Array:  # fmt: skip
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = xp.moveaxis(xp.as_array(a), axisa, -1), xp.moveaxis(xp.as_array(b), axisb, -1)
    return xp.moveaxis(xp.linalg.cross(a, b), -1, axisc)


def _convolve(xp: Any, a: Array, v: Array, mode: str = "full") -> Array:
    """Sum over shifts of one operand: linear in both."""
    a, v = xp.as_array(a), xp.as_array(v)
    if a.shape[0] < v.shape[0]:
        a, v = v, a
    n, m = a.shape[0], v.shape[0]
    places = xp.base.arange(n + m - 1)[:, None] - xp.base.arange(m)[None, :]
    inside = (places >= 0) & (places < n)
    rows = xp.gather(a, xp.base.where(inside, places, 0))
    full = xp.matmul(xp.where(inside, rows, xp.zeros_like(rows)), v)
    if mode == "full":
        return full
    low, size = (m - 1, n - m + 1) if mode == "valid" else ((m - 1) // 2, n)
    return full[low : low + size]


# -- einsum --------------------------------------------------------------------------------------


def _einsum(xp: Any, *operands: Any, **options: Any) -> Array:
    """Diagonals and lone sums are taken first; the rest is linear in each operand.

    What is left in each operand are letters that also stand in the output or in another operand,
    so the derivative in one operand is an einsum of the cotangent with the others.
    """
    if not isinstance(operands[0], str):
        raise TypeError("`subscripts` of numpy.einsum must be a string for traced arrays")
    arrays = [xp.as_array(x) for x in operands[1:]]
    inputs, output = _letters(operands[0], [len(x.shape) for x in arrays])
    terms = []
    for i, (x, letters) in enumerate(zip(arrays, inputs, strict=True)):
        x, letters = _take_diagonals(xp, x, letters)
        elsewhere = set(output).union(*(inputs[j] for j in range(len(inputs)) if j != i))
        lone = tuple(k for k, letter in enumerate(letters) if letter not in elsewhere)
        if lone:
            x = xp.sum(x, axis=lone)
            letters = "".join(c for c in letters if c in elsewhere)
        terms.append((x, letters))
    return _contract(xp, [t[0] for t in terms], [t[1] for t in terms], output)


def _letters(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """Return the letters of each operand and of the output, with `...` spelled out."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    parts = left.split(",")
    free = [c for c in ascii_letters if c not in subscripts]
    width = max(
        (n - len(p.replace("...", "")) for p, n in zip(parts, ndims, strict=True) if "..." in p),
        default=0,
    )
    hidden = "".join(free[:width])
    spelled = []
    for part, n in zip(parts, ndims, strict=True):
        if "..." in part:
            count = n - len(part.replace("...", ""))
            part = part.replace("...", hidden[width - count :])
        spelled.append(part)
    if arrow:
        return spelled, right.replace("...", hidden)
    named = "".join(spelled)
    once = sorted(c for c in set(named) if named.count(c) == 1 and c not in hidden)
    return spelled, hidden + "".join(once)


def _take_diagonals(xp: Any, x: Array, letters: str) -> tuple[Array, str]:
    for letter in sorted({c for c in letters if letters.count(c) > 1}):
        while letters.count(letter) > 1:
            i = letters.index(letter)
            j = letters.index(letter, i + 1)
            x = xp.linalg.diagonal(xp.moveaxis(x, (i, j), (-2, -1)))
            letters = letters[:i] + letters[i + 1 : j] + letters[j + 1 :] + letter
    return x, letters


def _contract(xp: Any, arrays: list[Array], inputs: list[str], output: str) -> Array:
    """Einsum of operands whose letters all stand elsewhere, differentiable."""
    if deepest(arrays) is None:
        return xp.base.einsum(f"{','.join(inputs)}->{output}", *arrays)

    def plain(*values: Array) -> Array:
        return xp.base.einsum(f"{','.join(inputs)}->{output}", *values)

    def pulling(i: int) -> Callable[..., Array]:
        def pull(ops: Any, g: Array, out: Array, *values: Array) -> Array:
            rest = [k for k in range(len(values)) if k != i]
            c = _contract(
                ops.space,
                [g, *(values[k] for k in rest)],
                [output, *(inputs[k] for k in rest)],
                inputs[i],
            )
            return fit(ops, c, values[i])

        return pull

    def pushing(i: int) -> Callable[..., Array]:
        def push(ops: Any, t: Array, out: Array, *values: Array) -> Array:
            moved = [*values[:i], t, *values[i + 1 :]]
            return _contract(ops.space, moved, inputs, output)

        return push

    indices = range(len(arrays))
    rule = General(tuple(map(pulling, indices)), tuple(map(pushing, indices)))
    return rule.bind(xp, plain)(*arrays)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "dot": _dot,
    "vdot": _vdot,
    "inner": _inner,
    "outer": _outer,
    "tensordot": _tensordot,
    "kron": _kron,
    "cross": _cross,
    "convolve": _convolve,
    "einsum": _einsum,
    "vecdot": lambda xp, x1, x2, axis=-1: xp.vecdot(x1, x2, axis=axis),
    "trace": lambda xp, a, offset=0, axis1=0, axis2=1, **options: xp.linalg.trace(
        xp.moveaxis(a, (axis1, axis2), (-2, -1)), offset=offset
    ),
}
