"""Normal numbers of a `RandomStream`, and steps of samplers, on plain CPU tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from . import streams
from .torch_ops import is_eager

__all__ = ["torch_mixture_step", "torch_network_step", "torch_stream_normals"]

_DTYPES: dict[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}


def _plain(value: Any) -> bool:
    """Whether a value is a number, or a CPU tensor of which no derivative is recorded."""
    if not isinstance(value, Tensor):
        return True
    if value.requires_grad and torch.is_grad_enabled():
        return False
    strided = type(value) is Tensor and value.is_cpu and value.layout is torch.strided
    return strided and not value.is_neg()


def _host(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return (value.detach() if value.requires_grad else value).numpy()


class _Place(NamedTuple):
    """Seed and position of a stream, known to NumPy."""

    seed: int
    step: Any
    slot: int
    stream: Any


def _host_stream(stream: Any) -> _Place | None:
    """Return where a stream stands; None where its position cannot be known to NumPy."""
    if not (_plain(stream.step) and _plain(stream.stream)):
        return None
    return _Place(stream.seed, _host(stream.step), stream.slot, _host(stream.stream))


def torch_stream_normals(stream: Any, shape: tuple[int, ...], like: Tensor) -> Tensor | None:
    """Return the normal numbers of a stream; None where the formula must serve.

    Parameters
    ----------
    stream : RandomStream
        Its step and number may be tensors.
    shape : tuple of int
        Of what is drawn.
    like : Tensor
        On the CPU.

    Returns
    -------
    Tensor or None
        The numbers that `RandomStream.normal` defines.

    Examples
    --------
    >>> from fenchel.random import RandomStream
    >>> torch_stream_normals(RandomStream(0), (2,), torch.zeros(1, dtype=torch.float64))
    tensor([-0.0905, -1.0051], dtype=torch.float64)
    """
    if type(like) is not Tensor or not like.is_cpu or not is_eager():
        return None
    dtype, known = _DTYPES.get(like.dtype), _host_stream(stream)
    if dtype is None or known is None:
        return None
    drawn = streams.stream_normals(known, shape, dtype)
    return None if drawn is None else torch.from_numpy(drawn)


def torch_mixture_step(
    x: Tensor,
    means: Tensor,
    logits: Tensor,
    numbers: tuple[float, float, float],
    noise: Any,
) -> Tensor | None:
    """Return particles after a Langevin step of a mixture; None where the formula must serve.

    Parameters
    ----------
    x, means, logits, numbers, noise
        As for `streams.mixture_step`.

    Returns
    -------
    Tensor or None
        A constant.

    Examples
    --------
    >>> x, means = torch.ones((1, 2)), torch.zeros((1, 2))
    >>> torch_mixture_step(x, means, torch.zeros(1), (0.5, 0.0, 1.0), torch.zeros((1, 2)))
    tensor([[0.5000, 0.5000]])
    """
    if not all(map(_plain, (x, means, logits, noise))) or not is_eager():
        return None
    given = noise if isinstance(noise, Tensor) else _host_stream(noise)
    if given is None or any(a.dtype not in _DTYPES for a in (x, means, logits)):
        return None
    moved = streams.mixture_step(_host(x), _host(means), _host(logits), numbers, _host(given))
    return None if moved is None else torch.from_numpy(moved)


def torch_network_step(
    x: Tensor,
    layers: Sequence[tuple[Tensor, Tensor]],
    numbers: tuple[float, float, float],
    noise: Any,
) -> Tensor | None:
    """Return particles after a Langevin step of a network; None where the formula must serve.

    Parameters
    ----------
    x, layers, numbers, noise
        As for `streams.network_step`.

    Returns
    -------
    Tensor or None
        A constant.

    Examples
    --------
    >>> layers = [(torch.ones((2, 1)), torch.zeros(1))]
    >>> torch_network_step(torch.ones((1, 2)), layers, (0.5, 0.0, 1.0), torch.zeros((1, 2)))
    tensor([[0., 0.]])
    """
    parts = [part for layer in layers for part in layer]
    if not all(map(_plain, (x, noise, *parts))) or not is_eager():
        return None
    given = noise if isinstance(noise, Tensor) else _host_stream(noise)
    if given is None or any(a.dtype not in _DTYPES for a in (x, *parts)):
        return None
    hosts = [(_host(weight), _host(bias)) for weight, bias in layers]
    moved = streams.network_step(_host(x), hosts, numbers, _host(given))
    return None if moved is None else torch.from_numpy(moved)
