"""What the loop carries from step to step, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from ..backend import Backend
from ..trees import leaves, register_dataclass
from ._queue import Queue
from .state import SamplerState

__all__ = ["Diagnostics", "ImplicitState", "joined_reports", "no_reports", "stacked_reports"]

Array = Any
Tree = Any


class Diagnostics(NamedTuple):
    """What a step of `ImplicitDiffusion` reports: scalars, or arrays with one entry a step.

    Parameters
    ----------
    value
        Of the objective, estimated from the particles that the gradient was.
    gradient_norm
        Euclidean norm of the gradient.
    effective_sample_size
        Share of the particles that their weights leave, 1 without weights.
    staleness
        How many updates old the parameters are that the particles began with.
    finite
        Whether particles, value and gradient are finite.
    updated
        Whether parameters moved: not while the queue fills.

    Examples
    --------
    >>> Diagnostics(0.5, 1.0, 1.0, 0, True, True).staleness
    0
    """

    value: Array
    gradient_norm: Array
    effective_sample_size: Array
    staleness: Array
    finite: Array
    updated: Array


@register_dataclass()
@dataclass(frozen=True)
class ImplicitState:
    """State of `ImplicitDiffusion`: a container of arrays, picklable; a run resumes bit for bit.

    Parameters
    ----------
    params
        Parameters.
    sampler
        State of the particles: all of a stationary sampler, the batch that came last out of the
        queue of a finite one.
    optimizer
        State of the optimiser.
    count
        Number of steps.
    queue
        Batches on their way, None for a stationary sampler.
    log_weights
        Logarithms of the weights of the particles, None without `reweight`.
    average
        Mean of the parameters since `average_from`, None without it.
    """

    params: Tree
    sampler: SamplerState
    optimizer: Any
    count: Array
    queue: Queue | None
    log_weights: Array | None
    average: Tree | None


def no_reports(backend: Backend, params: Tree) -> Diagnostics:
    """Return the reports of no steps."""
    xp = backend.namespace
    empty = xp.zeros((0,), dtype=leaves(params)[0].dtype)
    flags = xp.zeros((0,), dtype=xp.bool)
    return Diagnostics(empty, empty, empty, xp.zeros((0,), dtype=xp.int32), flags, flags)


def stacked_reports(backend: Backend, reports: list[Diagnostics]) -> Diagnostics:
    """Return the reports of single steps as one."""
    xp = backend.namespace
    columns = zip(*reports, strict=True)
    return Diagnostics(*(xp.stack([xp.asarray(part) for part in parts]) for parts in columns))


def joined_reports(backend: Backend, reports: list[Diagnostics]) -> Diagnostics:
    """Return the reports of pieces of a run as one."""
    columns = zip(*reports, strict=True)
    return Diagnostics(*(backend.namespace.concat(list(parts), axis=0) for parts in columns))
