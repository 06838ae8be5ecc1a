"""Discrete Fourier transforms: linear; the matrix of the transform is symmetric."""

from __future__ import annotations

from typing import Any

from .axes import as_tuple, normalize
from .fitting import cast
from .rules import Composite, Linear, Rule
from .traced import Array

__all__ = ["RULES"]


def _resize(xp: Any, x: Array, n: int, axis: int) -> Array:
    """Crop or zero-pad one axis to length `n`: the transpose of doing the same to its length."""
    have, place = x.shape[axis], (slice(None),) * axis
    if have > n:
        return xp.getitem(x, (*place, slice(0, n), Ellipsis))
    if have < n:
        shape = tuple(n - have if i == axis else size for i, size in enumerate(x.shape))
        return xp.concat((x, xp.zeros(shape, dtype=x.dtype, device=xp.device(x))), axis=axis)
    return x


def _transpose(name: str) -> Any:
    def transpose(
        xp: Any, g: Array, x: Array, /, *, n: Any = None, axis: int = -1, norm: str = "backward"
    ) -> Array:
        axis = normalize(axis, len(x.shape))
        c = getattr(xp.fft, name)(g, axis=axis, norm=norm)
        return _fit_dtype(xp, _resize(xp, c, x.shape[axis], axis), x)

    return transpose


def _fit_dtype(xp: Any, c: Array, x: Array) -> Array:
    return c if c.dtype == x.dtype else cast(xp, c, x.dtype)


def _over_axes(name: str) -> Any:
    def formula(
        xp: Any, x: Array, /, *, s: Any = None, axes: Any = None, norm: str = "backward"
    ) -> Array:
        chosen = as_tuple(axes, len(x.shape))
        if s is not None and axes is None:
            chosen = chosen[-len(s) :]
        lengths = [x.shape[a] for a in chosen] if s is None else list(s)
        for axis, n in zip(reversed(chosen), reversed(lengths), strict=True):
            x = getattr(xp.fft, name)(x, n=n, axis=axis, norm=norm)
        return x

    return formula


def _rfft(xp: Any, x: Array, /, *, n: Any = None, axis: int = -1, norm: str = "backward") -> Array:
    axis = normalize(axis, len(x.shape))
    full = xp.fft.fft(_to_complex(xp, x), n=n, axis=axis, norm=norm)
    return _resize(xp, full, full.shape[axis] // 2 + 1, axis)


def _irfft(xp: Any, x: Array, /, *, n: Any = None, axis: int = -1, norm: str = "backward") -> Array:
    axis = normalize(axis, len(x.shape))
    n = 2 * (x.shape[axis] - 1) if n is None else n
    half = _resize(xp, x, n // 2 + 1, axis)
    place = (slice(None),) * axis
    # The other half is the mirror image; the entry at 0, and at n/2 for even n, stands alone.
    mirrored = xp.getitem(half, (*place, slice(1, (n + 1) // 2), Ellipsis))
    full = xp.concat((half, xp.conj(xp.flip(mirrored, axis=axis))), axis=axis)
    return xp.real(xp.fft.ifft(full, n=n, axis=axis, norm=norm))


def _to_complex(xp: Any, x: Array) -> Array:
    wide = xp.complex64 if x.dtype == xp.float32 else xp.complex128
    return x if x.dtype == wide else xp.astype(x, wide)


def _hfft(xp: Any, x: Array, /, *, n: Any = None, axis: int = -1, norm: str = "backward") -> Array:
    return xp.fft.irfft(xp.conj(x), n=n, axis=axis, norm=_OPPOSITE[norm])


def _ihfft(xp: Any, x: Array, /, *, n: Any = None, axis: int = -1, norm: str = "backward") -> Array:
    return xp.conj(xp.fft.rfft(x, n=n, axis=axis, norm=_OPPOSITE[norm]))


_OPPOSITE = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _complex_transform(name: str) -> Linear:
    return Linear(_transpose(name), lambda xp: getattr(xp.fft, name))


def _shift(name: str, back: str) -> Linear:
    def transpose(xp: Any, g: Array, x: Array, /, *, axes: Any = None) -> Array:
        return getattr(xp.fft, back)(g, axes=axes)

    return Linear(transpose, lambda xp: getattr(xp.fft, name))


def _rfftn(
    xp: Any, x: Array, /, *, s: Any = None, axes: Any = None, norm: str = "backward"
) -> Array:
    chosen = as_tuple(axes, len(x.shape))
    if s is not None and axes is None:
        chosen = chosen[-len(s) :]
    lengths = [x.shape[a] for a in chosen] if s is None else list(s)
    x = xp.fft.rfft(x, n=lengths[-1], axis=chosen[-1], norm=norm)
    if len(chosen) == 1:
        return x
    return xp.fft.fftn(x, s=lengths[:-1], axes=chosen[:-1], norm=norm)


def _irfftn(
    xp: Any, x: Array, /, *, s: Any = None, axes: Any = None, norm: str = "backward"
) -> Array:
    chosen = as_tuple(axes, len(x.shape))
    if s is not None and axes is None:
        chosen = chosen[-len(s) :]
    last = 2 * (x.shape[chosen[-1]] - 1) if s is None else s[-1]
    if len(chosen) > 1:
        lengths = [x.shape[a] for a in chosen[:-1]] if s is None else list(s)[:-1]
        x = xp.fft.ifftn(x, s=lengths, axes=chosen[:-1], norm=norm)
    return xp.fft.irfft(x, n=last, axis=chosen[-1], norm=norm)


RULES: dict[str, Rule] = {
    "fft.fft": _complex_transform("fft"),
    "fft.ifft": _complex_transform("ifft"),
    "fft.fftn": Composite(_over_axes("fft")),
    "fft.ifftn": Composite(_over_axes("ifft")),
    "fft.rfft": Composite(_rfft),
    "fft.irfft": Composite(_irfft),
    "fft.rfftn": Composite(_rfftn),
    "fft.irfftn": Composite(_irfftn),
    "fft.hfft": Composite(_hfft),
    "fft.ihfft": Composite(_ihfft),
    "fft.fftshift": _shift("fftshift", "ifftshift"),
    "fft.ifftshift": _shift("ifftshift", "fftshift"),
}
