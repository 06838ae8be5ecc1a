"""What a sampler carries from step to step, and the protocol of samplers and objectives.

Sampler
    ``shape``: (n, *event), of a batch of particles. ``n_steps``: None where the law that is
    optimised is the stationary one, and the particles persist; T where it is the law after T steps
    from a fresh batch. ``energy``: the `Energy` of the law, None where there is none.
    ``temperature``: of the law.

    ``init(rng, params, *, start=None) -> SamplerState`` begins a batch (t = 0).
    ``step(state, params, *, noise=None) -> SamplerState`` makes one step; it is pure.
    ``run(state, params, steps, *, noise=None)`` makes many; noise has a leading axis of steps.
    ``transition(x, t, params) -> (mean, scale)``: the next particles are mean + scale * noise.

Slots
    A batch has x of shape (n, *event) and t of shape (). A queue of m batches at times of their own
    has x of shape (m, n, *event), t of shape (m,), and a `RandomStream` with `step` and `stream` of
    shape (m,): `stream` is the number of the batch, and `step` counts its draws (0 is the start).
    A sampler flattens slots and particles into one batch for energies and networks; `slots_of` and
    `flat` do it. The draw in slot i is then that of batch i alone.

Objective
    ``value(energy, params, x, *, weights=None, temperature=1.0)`` and ``gradient(energy, params, x,
    *, weights=None, ddof=1, temperature=1.0, rng=None)``; ``terms`` is a tuple of pairs (factor,
    simple objective), itself with factor 1 for a simple one. Objectives are added, subtracted and
    multiplied by numbers.

Paths
    A sampler whose gradient is that of a path, not a covariance, has ``gradient(objective, params,
    states) -> (value, gradient)``: `states` are all n_steps + 1 states of a batch, of shape
    (n_steps + 1, n, *event), the start first. It looks through ``objective.terms`` and raises
    TypeError for those that have no meaning there (and so does the loop for those that have one
    only there). The loop keeps the states of every slot where a sampler has that method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..backend import Backend
from ..trees import register_dataclass

__all__ = ["SamplerState", "flat", "folded", "slots_of"]

Array = Any


@register_dataclass()
@dataclass(frozen=True)
class SamplerState:
    """Particles, how many steps they have made, and where their random numbers stand.

    States are containers of arrays: immutable, picklable, and a run goes on from one bit for bit
    (with a generator that advances, its state is part of it).

    Parameters
    ----------
    x
        Particles, of shape (n, *event); (m, n, *event) in a queue of m slots.
    t
        Number of steps made, an integer array of shape (); (m,) in a queue.
    stream
        A `RandomStream`, or a key or generator of the library.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.random import RandomStream
    >>> SamplerState(np.zeros((5, 2)), np.asarray(0), RandomStream(0)).x.shape
    (5, 2)
    """

    x: Array
    t: Array
    stream: Any


def slots_of(state: SamplerState) -> tuple[int, ...]:
    """Return the shape of the slots: () for a batch, (m,) for a queue."""
    return tuple(getattr(state.t, "shape", ()))


def flat(backend: Backend, x: Array, slots: tuple[int, ...]) -> Array:
    """Return the particles of all slots as one batch."""
    if not slots:
        return x
    count = slots[0] * x.shape[1]
    return backend.namespace.reshape(x, (count, *x.shape[2:]))


def folded(backend: Backend, values: Array, slots: tuple[int, ...]) -> Array:
    """Undo `flat`, for particles or for one value a particle."""
    if not slots:
        return values
    count = values.shape[0] // slots[0]
    return backend.namespace.reshape(values, (*slots, count, *values.shape[1:]))
