"""A stream of random numbers that are the same on every library."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import pi, prod
from typing import Any

from ..arrays import FloatInfo, check_dtype, check_integer, narrow
from ..backend import backend_of
from ..trees import register_dataclass
from .philox import philox_words, working_dtype

__all__ = ["RandomStream", "below_one"]

Array = Any
Shape = tuple[int, ...]


@register_dataclass(static=("seed", "slot"))
@dataclass(frozen=True)
class RandomStream:
    """Random numbers from a seed and a position, the same on every library.

    The bits are those of Philox4x32-10 with the counter (block, step, slot, stream) and the seed
    as key: they are identical everywhere, and normal numbers agree to about 1e-14 in float64 and
    2e-6 in float32. A stream is immutable: the same stream gives the same numbers, as a key of JAX
    does; `next` and `split` give fresh ones.

    Parameters
    ----------
    seed
        Integer in [0, 2^64).
    step
        Which step of a simulation, in [0, 2^32); may be an integer array, also traced.
    slot
        Which draw within the step, in [0, 2^32).
    stream
        Which of many independent streams, in [0, 2^32); may be an integer array, also traced. Where
        `step` and `stream` are arrays of shape (b, ...), the shape of what is drawn begins with it:
        each entry draws what a stream of its own would.

    Raises
    ------
    TypeError
        If a number is not an integer.
    ValueError
        If one is out of range.

    Notes
    -----
    *Derivatives*: none; the numbers are constants.

    Examples
    --------
    >>> import numpy as np
    >>> stream = RandomStream(0)
    >>> stream.normal((2,), like=np.zeros(1)).round(6).tolist()
    [-0.090473, -1.005132]
    """

    seed: int
    step: Any = 0
    slot: int = 0
    stream: Any = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if type(self.seed) is not int:
            object.__setattr__(self, "seed", check_integer("seed", self.seed, minimum=0))
        for name, value, bits in (
            ("seed", self.seed, 64),
            ("step", self.step, 32),
            ("slot", self.slot, 32),
            ("stream", self.stream, 32),
        ):
            if isinstance(value, int) and not 0 <= value < 2**bits:
                raise ValueError(f"`{name}` must be in [0, 2^{bits}); got {name}={value}")
            if isinstance(value, float):
                raise TypeError(f"`{name}` must be an integer; got float")

    def next(self) -> RandomStream:
        """Return the stream of the next step."""
        return RandomStream(self.seed, self.step + 1, 0, self.stream)

    def split(self, count: int) -> tuple[RandomStream, ...]:
        """Return `count` streams independent of one another.

        Meant for the first stream of a seed: the streams are numbered from its number times
        `count` plus 1 on.

        Raises
        ------
        TypeError
            If `count` is no integer.
        ValueError
            If it is negative.
        """
        count = check_integer("count", count, minimum=0)
        first = self.stream * count + 1
        return tuple(replace(self, stream=first + i) for i in range(count))

    def uniform(self, shape: Shape, *, like: Array) -> Array:
        """Return uniform numbers in [0, 1).

        Parameters
        ----------
        shape
            Their shape.
        like
            Array whose library, floating dtype and device the result has.

        Returns
        -------
        array
            Of 53 random bits a number in float64, 24 in float32, and the first 11 and 8 of them in
            float16 and bfloat16: rounded to nearest, these would reach 1.

        Raises
        ------
        TypeError
            If `like` is not a floating array.
        ValueError
            If the shape does not begin with that of the position of the stream.
        """
        info, xp = check_dtype("like", like), backend_of(like).namespace
        parts = self._uniform(self._count(shape), like, info.name == "float64")
        drawn = below_one(xp, self._arranged(xp, parts, shape), info)
        return narrow(xp, drawn, info, like.dtype)

    def normal(self, shape: Shape, *, like: Array) -> Array:
        """Return standard normal numbers, by the method of Box and Muller.

        Parameters
        ----------
        shape
            Their shape.
        like
            Array whose library, floating dtype and device the result has.

        Returns
        -------
        array
            Normal numbers.

        Raises
        ------
        TypeError
            If `like` is not a floating array.
        ValueError
            If the shape does not begin with that of the position of the stream.
        """
        info, backend = check_dtype("like", like), backend_of(like)
        xp, count = backend.namespace, self._count(shape)
        at_once = getattr(backend, "stream_normals", None)
        drawn = None if at_once is None else at_once(self, shape, like)
        if drawn is not None:
            return drawn
        parts = self._uniform(count, like, info.name == "float64")
        normals = []
        for radial, angular in zip(parts[::2], parts[1::2], strict=True):
            radius = xp.sqrt(-2.0 * xp.log1p(-radial))  # 1 - u is in (0, 1]
            angle = 2.0 * pi * angular
            normals += [radius * xp.cos(angle), radius * xp.sin(angle)]
        return narrow(xp, self._arranged(xp, normals, shape), info, like.dtype)

    def _lead(self) -> Shape:
        """Shape of the position: () for one stream."""
        step, stream = (tuple(getattr(place, "shape", ())) for place in (self.step, self.stream))
        if step and stream and step != stream:
            raise ValueError(f"`step` must have the shape of `stream`, {stream}; got {step}")
        return step or stream

    def _count(self, shape: Shape) -> int:
        """Return how many numbers each stream draws."""
        if not isinstance(shape, tuple | list):
            raise TypeError(f"`shape` must be a tuple; got {type(shape).__qualname__}")
        lead = self._lead()
        if tuple(shape[: len(lead)]) != lead:
            raise ValueError(
                f"`shape` must begin with the shape {lead} of the position of the stream; "
                f"got {tuple(shape)}"
            )
        return prod(shape[len(lead) :])

    def _arranged(self, xp: Any, parts: list[Array], shape: Shape) -> Array:
        """Return numbers by block in the order and shape that they are drawn in."""
        mixed = xp.stack(parts, axis=-1)
        flat = xp.reshape(mixed, (*self._lead(), mixed.shape[-2] * mixed.shape[-1]))
        return xp.reshape(flat[..., : self._count(shape)], shape)

    def _uniform(self, count: int, like: Array, double: bool) -> list[Array]:
        """Uniform numbers by block: two a block in float64, four in float32."""
        per_block = 2 if double else 4
        words = self._words(-(-count // per_block), like)
        xp = backend_of(like).namespace
        if not double:
            return [xp.astype(word >> 8, xp.float32) * 2.0**-24 for word in words]
        pairs = zip(words[::2], words[1::2], strict=True)
        return [
            (xp.astype(a >> 5, xp.float64) * 2.0**26 + xp.astype(b >> 6, xp.float64)) * 2.0**-53
            for a, b in pairs
        ]

    def _words(self, blocks: int, like: Array) -> list[Array]:
        backend = backend_of(like)
        xp, dtype, device = backend.namespace, working_dtype(backend), backend.device_of(like)

        def number(value: Any) -> Array:
            if isinstance(value, int):
                return xp.asarray(value, dtype=dtype, device=device)
            place = xp.astype(value, dtype)
            return xp.expand_dims(place, axis=-1) if place.ndim else place

        block = xp.arange(blocks, dtype=dtype, device=device)
        counter = [block, number(self.step), number(self.slot), number(self.stream)]
        key = [number(self.seed & 0xFFFFFFFF), number(self.seed >> 32)]
        compiled = getattr(backend, "philox_words", None)
        return compiled(counter, key) if compiled is not None else philox_words(xp, counter, key)


def below_one(xp: Any, u: Array, info: FloatInfo) -> Array:
    """Return uniform numbers cut off to the bits of a half type, so that none rounds up to 1."""
    if not info.half:
        return u
    steps = 2.0**11 if info.name == "float16" else 2.0**8
    return xp.floor(u * steps) / steps
