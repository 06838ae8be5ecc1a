"""Philox4x32-10 for JAX, its rounds a loop.

Unrolled, the rounds take seconds to compile, and inside a loop of the program XLA computes shared
parts of them again and again: sixty times the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["jax_philox_words"]

Array = Any
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)


def jax_philox_words(counter: Sequence[Array], key: Sequence[Array]) -> list[Array]:
    """Mix four counter words with two key words.

    Parameters
    ----------
    counter, key : sequence of jax.Array
        Integers in [0, 2^32), of any integer dtype; they broadcast.

    Returns
    -------
    list of jax.Array
        Four words of uint32.

    Examples
    --------
    >>> zero = jnp.asarray(0, jnp.uint32)
    >>> [hex(int(word)) for word in jax_philox_words([zero] * 4, [zero] * 2)]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    words = [jnp.asarray(word).astype(jnp.uint32) for word in (*counter, *key)]
    return list(_mixed(*words))


@jax.jit
def _mixed(*words: Array) -> tuple[Array, ...]:
    mixed: tuple[Array, ...] = jax.lax.fori_loop(0, 10, _round, tuple(jnp.broadcast_arrays(*words)))
    return mixed[:4]


def _round(_: Any, words: tuple[Array, ...]) -> tuple[Array, ...]:
    c0, c1, c2, c3, k0, k1 = words
    high0, low0 = _multiply(c0, _MULTIPLIERS[0])
    high1, low1 = _multiply(c2, _MULTIPLIERS[1])
    step0, step1 = (jnp.asarray(step, jnp.uint32) for step in _WEYL)
    return high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0, k0 + step0, k1 + step1


def _multiply(a: Array, constant: int) -> tuple[Array, Array]:
    """High and low word of a product of two words, from halves: there may be no 64-bit integers."""
    b0, b1 = (jnp.asarray(half, jnp.uint32) for half in (constant & 0xFFFF, constant >> 16))
    low, half = jnp.asarray(0xFFFF, jnp.uint32), jnp.asarray(16, jnp.uint32)
    a0, a1 = a & low, a >> half
    p00, p01, p10 = a0 * b0, a0 * b1, a1 * b0
    middle = (p00 >> half) + (p01 & low) + (p10 & low)
    high = a1 * b1 + (p01 >> half) + (p10 >> half) + (middle >> half)
    return high, a * jnp.asarray(constant, jnp.uint32)
