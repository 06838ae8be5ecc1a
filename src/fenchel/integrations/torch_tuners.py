"""The tuners by name, as optimisers of PyTorch."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, ClassVar

from fenchel import tuners

from .torch_optim import Tuned

__all__ = ["CDAT", "Armijo", "Hypergradient", "Polyak", "QuadraticGreedy", "StrongWolfe"]


class _Named(Tuned):
    """A tuner by its class: parameters, then what the class takes; `base` as for `Tuned`."""

    _kind: ClassVar[Any]
    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls) -> None:
        """Show the options of the tuner in the signature."""
        super().__init_subclass__()
        own = inspect.signature(_Named.__init__).parameters
        values = dict(inspect.signature(cls._kind).parameters)
        values.pop("base")
        cls.__signature__ = inspect.Signature([own["params"], *values.values(), own["base"]])

    def __init__(
        self, params: Iterable[Any], *values: Any, base: Any = None, **options: Any
    ) -> None:
        super().__init__(params, self._kind(*values, **options), base=base)


class CDAT(_Named):
    """`fenchel.tuners.CDAT` as an optimiser: no learning rate to set.

    Parameters
    ----------
    params, base
        As for `Tuned`.
    scaling : float
        By default 2, the edge of stability; smaller for small batches.
    **options
        As for `fenchel.tuners.CDAT`: ema, curvature, guard, every, max_learning_rate, ...

    Raises
    ------
    TypeError, ValueError
        As `fenchel.tuners.CDAT` and `Tuned` do.

    Notes
    -----
    For ``curvature="ggn"`` the closure returns the outputs and the loss as a function of them.
    Source: arXiv 2407.06183.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(3, 1)
    >>> inner = torch.optim.SGD(model.parameters(), lr=1.0)
    >>> optimizer = CDAT(model.parameters(), 1.0, base=inner)
    >>> x, y = torch.ones(4, 3), torch.ones(4, 1)
    >>> for _ in range(5):
    ...     loss = optimizer.step(lambda: ((model(x) - y) ** 2).mean())
    >>> bool(loss < 1e-2)
    True

    The curvature of Gauss and Newton, which is never negative:

    >>> optimizer = CDAT(model.parameters(), 1.0, curvature="ggn")
    >>> loss = optimizer.step(lambda: (model(x), lambda z: ((z - y) ** 2).mean()))
    """

    _kind = tuners.CDAT


class QuadraticGreedy(_Named):
    """`fenchel.tuners.QuadraticGreedy` as an optimiser: to the minimum of the quadratic model.

    Parameters
    ----------
    params, base
        As for `Tuned`.
    clip : bool
        As for `fenchel.tuners.QuadraticGreedy`.

    Notes
    -----
    Source: arXiv 2407.06183.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor([3.0, -1.0], requires_grad=True)
    >>> optimizer = QuadraticGreedy([w])
    >>> loss = optimizer.step(lambda: (w**2).sum())
    >>> w.detach(), optimizer.learning_rate
    (tensor([0., 0.]), 0.5)
    """

    _kind = tuners.QuadraticGreedy


class Armijo(_Named):
    """`fenchel.tuners.Armijo` as an optimiser: backtracking until the decrease is enough.

    Parameters
    ----------
    params, base
        As for `Tuned`.
    **options
        As for `fenchel.tuners.Armijo`: c1, decrease_factor, increase_factor, max_learning_rate, ...

    Notes
    -----
    Trials call the closure without gradients. Source: arXiv 1905.09997.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = Armijo([w], decrease_factor=0.5)
    >>> loss = optimizer.step(lambda: (4 * w**2).sum())
    >>> optimizer.learning_rate, int(optimizer.info.flags.backtracks)
    (0.125, 3)
    """

    _kind = tuners.Armijo


class StrongWolfe(_Named):
    """`fenchel.tuners.StrongWolfe` as an optimiser: enough decrease and a small slope.

    Parameters
    ----------
    params, base
        As for `Tuned`.
    **options
        As for `fenchel.tuners.StrongWolfe`: c1, c2, initial, max_iter.

    Notes
    -----
    Each trial takes a gradient. Source: J. Nocedal, S. Wright, "Numerical Optimization",
    section 3.5.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = StrongWolfe([w], c2=0.1)
    >>> loss = optimizer.step(lambda: (4 * w**2).sum())
    >>> optimizer.learning_rate
    0.125
    """

    _kind = tuners.StrongWolfe


class Polyak(_Named):
    """`fenchel.tuners.Polyak` as an optimiser: what is left to gain, over the slope.

    Parameters
    ----------
    params, base
        As for `Tuned`.
    scaling : float
        Multiplies the bounded ratio; by default 1.
    **options
        As for `fenchel.tuners.Polyak`: f_min, max_learning_rate, eps, clip.

    Notes
    -----
    Source: arXiv 2002.10542.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor([3.0, -1.0], requires_grad=True)
    >>> optimizer = Polyak([w])
    >>> loss = optimizer.step(lambda: (w**2).sum())
    >>> optimizer.learning_rate
    0.25
    """

    _kind = tuners.Polyak


class Hypergradient(_Named):
    """`fenchel.tuners.Hypergradient` as an optimiser: a descent on the learning rate itself.

    Parameters
    ----------
    params, base
        As for `Tuned`.
    initial : float
        First learning rate.
    **options
        As for `fenchel.tuners.Hypergradient`: rate, kind, min_learning_rate.

    Notes
    -----
    The closure is called once a step. Source: arXiv 1703.04782.

    Examples
    --------
    >>> import torch
    >>> w = torch.tensor([1.0], requires_grad=True)
    >>> optimizer = Hypergradient([w], 0.25, rate=0.125)
    >>> for _ in range(2):
    ...     loss = optimizer.step(lambda: (w**2).sum() / 2)
    >>> optimizer.learning_rate
    0.34375
    """

    _kind = tuners.Hypergradient
