"""Scores made safe: shifted by their maximum, infinities given the meaning they have here."""

from __future__ import annotations

from typing import Any

from ..convex.thresholds import hard_mask

__all__ = ["hard_argmax", "shifted"]

Array = Any


def shifted(backend: Any, x: Array, temperature: Any) -> Array:
    """Return (x - max x) / temperature; -inf is out, entries of +inf share the first place.

    The shift is a constant for derivatives: every operator of the room is invariant to it.
    """
    xp = backend.namespace
    data = backend.stop_gradient(x)
    top = xp.max(data, axis=-1, keepdims=True)
    infinite = xp.abs(top) == float("inf")
    shift = xp.where(infinite, xp.zeros_like(top), top)
    zeros = xp.zeros_like(x)
    least = xp.full_like(x, float("-inf"))
    out = data == float("-inf")
    beyond = top == float("inf")
    inside = xp.where(out | beyond, zeros, x)
    z = (inside - xp.where(beyond, zeros[..., :1], shift)) / temperature
    first = (data == float("inf")) | ~(out | beyond)
    return xp.where(first, z, least)


def hard_argmax(backend: Any, x: Array) -> Array:
    """Return the one-hot argmax; ties share equally, a row of only -inf is all 0."""
    return hard_mask(backend, x, 1.0)
