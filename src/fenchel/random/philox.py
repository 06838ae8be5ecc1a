"""The counter-based generator Philox4x32-10, bit for bit the same on every library."""

from __future__ import annotations

from typing import Any

from ..backend import Backend, backend_of

__all__ = ["philox4x32", "philox_words"]

Array = Any

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)  # golden ratio and sqrt(3) - 1, the steps of the key
_ROUNDS = 10
_LOW, _WORD = 0xFFFF, 0xFFFFFFFF


def philox4x32(counter: Array, key: Array, /) -> Array:
    """Return the four random words that belong to a counter and a key.

    Parameters
    ----------
    counter
        Integers in [0, 2^32) of shape (..., 4), of dtype uint32, uint64 or int64.
    key
        Integers in [0, 2^32) of shape (..., 2), of the same dtype; the batch axes broadcast.

    Returns
    -------
    array
        Words in [0, 2^32) of shape (..., 4) and the dtype of `counter`.

    Raises
    ------
    TypeError
        If a dtype cannot hold the words.
    ValueError
        If the last axes do not have lengths 4 and 2.

    Notes
    -----
    Products are formed from 16-bit halves, so that 32-bit integers suffice: JAX has no others by
    default. *Derivatives*: none; the result is an integer array.

    References
    ----------
    J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Examples
    --------
    >>> import numpy as np
    >>> words = philox4x32(np.zeros(4, dtype=np.uint32), np.zeros(2, dtype=np.uint32))
    >>> [hex(int(word)) for word in words]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    backend = backend_of(counter, key)
    xp = backend.namespace
    for name, words, length in (("counter", counter, 4), ("key", key, 2)):
        if words.ndim == 0 or words.shape[-1] != length:
            raise ValueError(
                f"`{name}` must have length {length} along its last axis; "
                f"got shape {tuple(words.shape)}"
            )
        if words.dtype not in (xp.uint32, xp.uint64, xp.int64):
            raise TypeError(f"`{name}` must be uint32, uint64 or int64; got {words.dtype}")
    working = working_dtype(backend)
    c = [xp.astype(counter[..., i], working) for i in range(4)]
    k = [xp.astype(key[..., i], working) for i in range(2)]
    mixed = xp.broadcast_arrays(*philox_words(xp, c, k))
    return xp.astype(xp.stack(list(mixed), axis=-1), counter.dtype)


def working_dtype(backend: Backend) -> Any:
    """Return int64, or uint32 where the library has no 64-bit integers switched on."""
    xp = backend.namespace
    info = getattr(xp, "__array_namespace_info__", None)
    if info is None or "int64" in info().dtypes(kind="signed integer"):
        return xp.int64
    return xp.uint32


def philox_words(xp: Any, counter: list[Array], key: list[Array]) -> list[Array]:
    """Mix four counter words with two key words, all of one working dtype."""
    dtype = counter[0].dtype

    def number(value: int) -> Array:
        return xp.asarray(value, dtype=dtype, device=getattr(counter[0], "device", None))

    constants = {value: number(value) for value in (_LOW, _WORD, 16)}
    low, word, half = constants[_LOW], constants[_WORD], constants[16]

    def multiply(a: Array, constant: int) -> tuple[Array, Array]:
        """High and low word of a product of two words."""
        b0, b1 = number(constant & _LOW), number(constant >> 16)
        a0, a1 = a & low, a >> half
        p00, p01, p10 = a0 * b0, a0 * b1, a1 * b0
        middle = (p00 >> half) + (p01 & low) + (p10 & low)
        high = a1 * b1 + (p01 >> half) + (p10 >> half) + (middle >> half)
        return high, (p00 & low) | ((middle & low) << half)

    steps = [number(value) for value in _WEYL]
    c, k = list(counter), list(key)
    for turn in range(_ROUNDS):
        if turn:
            k = [(k[i] + steps[i]) & word for i in range(2)]
        high0, low0 = multiply(c[0], _MULTIPLIERS[0])
        high1, low1 = multiply(c[2], _MULTIPLIERS[1])
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
    return c
