"""Learning-rate tuners as optimisers of PyTorch.

A tuner looks at its objective along a line only, from the parameters w in the direction u of a
base: values, slopes and curvatures. Here that line is measured by a closure and automatic
differentiation of PyTorch, and the tuner itself, the one of `fenchel.tuners`, runs on numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fenchel import tuners
from fenchel.trees import flatten, leaves, unflatten
from fenchel.tuners._directions import course_of, start

from ._torch_line import Line, flat_norm, shift

__all__ = ["CDAT", "Armijo", "Polyak", "QuadraticGreedy", "StrongWolfe", "Tuned"]

Closure = Callable[[], Tensor]

_OWN = ("_tuner", "_base", "_tuner_state", "_base_state", "info")


class Tuned(torch.optim.Optimizer):
    """Any tuner that looks along a line, as an optimiser.

    Parameters
    ----------
    params : iterable of Tensor or dict
        As for every optimiser; all groups share one learning rate.
    tuner : tuner
        Of `fenchel.tuners`; curvature "ggn" and `Hypergradient` need more than a line.
    base : base or torch.optim.Optimizer, optional
        What gives the directions: a base of `fenchel.tuners`, by default that of the tuner, or an
        optimiser over the same parameters, whose step at its own learning rate (best 1) is the
        direction. A decoupled decay of its weights is left out of what is measured. It is taken
        over: from now on it moves copies of the parameters.

    Attributes
    ----------
    learning_rate : float
        Of the last step; `param_groups[0]["lr"]` too.
    info : fenchel.tuners.Info
        What the tuner says of the last step.

    Raises
    ------
    TypeError
        If the tuner or the base is none of these.

    Notes
    -----
    `step(closure)` needs a closure that computes the loss and returns it, **without** `backward`:
    the exact curvature differentiates twice. It is called again for the trials of a guard or a
    line search, without gradients, on the same batch. Gradients are left in `p.grad`.

    Where an operation has no second derivative, such as fused attention, the curvature is a
    difference of gradients; ``curvature="grad_difference"`` chooses that from the start.

    Examples
    --------
    >>> import torch
    >>> from fenchel import tuners
    >>> w = torch.tensor([3.0, -1.0], requires_grad=True)
    >>> optimizer = Tuned([w], tuners.CDAT(1.0))
    >>> round(optimizer.step(lambda: (w**2).sum()).item(), 3), optimizer.learning_rate
    (10.0, 0.5)
    >>> w.detach()
    tensor([0., 0.])
    """

    def __init__(self, params: Iterable[Any], tuner: Any, *, base: Any = None) -> None:
        if isinstance(tuner, tuners.Hypergradient) or not hasattr(tuner, "base"):
            raise TypeError(
                "`tuner` must be a tuner of fenchel.tuners that looks along a line; "
                f"got {type(tuner).__qualname__}"
            )
        if getattr(tuner, "curvature", None) == "ggn":
            raise TypeError("`curvature` must not be ggn: a closure does not show its parts")
        super().__init__(params, {"lr": 0.0})
        self._base = tuner.base if base is None else base
        if isinstance(self._base, torch.optim.Optimizer):
            self._base = _Inner(self._base, self._params())
        self._tuner = replace(tuner, base=_Ahead())
        self._tuner_state: Any = self._tuner.init(self._origin())
        self._base_state: Any = None
        self.info: Any = None

    @property
    def learning_rate(self) -> float:
        """Learning rate of the last step; 0 before the first."""
        return float(self.param_groups[0]["lr"])

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:  # type: ignore[override]  # a tensor
        """Take one step and return the loss before it.

        Parameters
        ----------
        closure : callable
            Returns the loss, without calling `backward`.

        Raises
        ------
        TypeError
            If there is no closure.
        ValueError
            If the closure calls `backward`.
        """
        if closure is None:
            raise TypeError("`closure` must be a function that returns the loss; got None")
        params = self._params()
        line = Line(closure, params, curved=self._wants_curvature())
        gradient = line.gradient
        norm = flat_norm(gradient)
        # A gradient that is not finite must not reach the state of the base.
        direction, decay = self._course(params, gradient) if isfinite(norm) else (gradient, None)
        line.aim(direction, decay)
        self._tuner = replace(self._tuner, base=_Ahead(line.length))
        try:
            _, self._tuner_state, info = self._tuner.step(line, self._origin(), self._tuner_state)
        finally:
            line.restore()
        rate = float(info.learning_rate)
        if rate != 0.0:
            for i, p in enumerate(params):
                shift(p, p, rate, direction[i])
                if decay is not None:
                    shift(p, p, rate, decay[i])
        self.info = info._replace(grad_norm=np.asarray(norm, dtype=info.value.dtype))
        for group in self.param_groups:
            group["lr"] = rate
        return line.loss

    def _wants_curvature(self) -> bool:
        """Whether this step asks for the exact curvature."""
        if isinstance(self._tuner, tuners.CDAT):
            due = int(self._tuner_state.count) % self._tuner.every == 0
            return due and self._tuner.curvature == "hessian"
        return isinstance(self._tuner, tuners.QuadraticGreedy)

    def _params(self) -> list[Tensor]:
        return [p for g in self.param_groups for p in g["params"] if p.requires_grad]

    def _origin(self) -> Any:
        wide = any(p.dtype == torch.float64 for g in self.param_groups for p in g["params"])
        return np.zeros((), dtype=np.float64 if wide else np.float32)

    def _course(
        self, params: list[Tensor], gradient: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor] | None]:
        """Return the direction of the base, and the decay of the weights or None."""
        if isinstance(self._base, _Inner):
            return self._base.course(params, gradient)
        still = [p.detach() for p in params]
        if self._base_state is None:
            self._base_state = start(self._base, still)
        course = course_of(self._base, gradient, self._base_state, still, ())
        self._base_state = course.state
        return course.direction, course.decay

    def state_dict(self) -> dict[str, Any]:
        """Return the state, of numbers and tensors alone; `torch.save` takes it."""
        own = [np.asarray(leaf).tolist() for leaf in leaves(self._tuner_state)]
        if isinstance(self._base, _Inner):
            inner: Any = self._base.optimizer.state_dict()
        else:
            inner = None if self._base_state is None else list(leaves(self._base_state))
        return {**super().state_dict(), "tuner": own, "base": inner}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a state from `state_dict()`; training goes on as if it had not stopped."""
        super().load_state_dict(state_dict)
        model, structure = flatten(self._tuner_state)
        pairs = zip(model, state_dict["tuner"], strict=True)
        own = [np.asarray(saved, dtype=np.asarray(leaf).dtype) for leaf, saved in pairs]
        self._tuner_state = unflatten(structure, own)
        inner = state_dict["base"]
        if isinstance(self._base, _Inner):
            self._base.optimizer.load_state_dict(inner)
        elif inner is None:
            self._base_state = None
        else:
            _, structure = flatten(start(self._base, [p.detach() for p in self._params()]))
            self._base_state = unflatten(structure, [leaf.clone() for leaf in inner])

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles carry over."""
        return {**super().__getstate__(), **{name: self.__dict__[name] for name in _OWN}}


class _Ahead:
    """A base on a line: straight ahead."""

    def __init__(self, length: float = 1.0) -> None:
        self._length = length

    def direction(self, params: Any) -> tuple[Any, None]:
        """Return the length of the direction."""
        return np.asarray(self._length, dtype=params.dtype), None


# Optimisers that take a share of the weights away beside their step.
_DECOUPLED = (torch.optim.AdamW,)


class _Inner:
    """An optimiser as a base: it moves copies of the parameters, and the moves are directions.

    Moved in place, the parameters themselves would spoil the graph that gives the curvature.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, params: list[Tensor]) -> None:
        self.optimizer = optimizer
        self.copies = [p.detach().clone() for p in params]
        copy_of = {id(p): copy for p, copy in zip(params, self.copies, strict=True)}
        for group in optimizer.param_groups:
            if any(id(p) not in copy_of for p in group["params"]):
                raise ValueError("`base` must be over parameters of this optimiser; got others")
            for p in group["params"]:
                if p in optimizer.state:
                    optimizer.state[copy_of[id(p)]] = optimizer.state.pop(p)
            group["params"] = [copy_of[id(p)] for p in group["params"]]

    def course(
        self, params: list[Tensor], gradient: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor] | None]:
        """Return what a step adds, and its decay of the weights or None."""
        for copy, p, g in zip(self.copies, params, gradient, strict=True):
            copy.copy_(p)
            copy.grad = g
        decays = [(group, _decay_of(self.optimizer, group)) for group in self._groups()]
        for group, decay in decays:
            if decay:
                group["weight_decay"] = 0.0
        try:
            self.optimizer.step()
        finally:
            for group, decay in decays:
                if decay:
                    group["weight_decay"] = decay
        direction = [copy - p for copy, p in zip(self.copies, params, strict=True)]
        share = {id(p): d * group["lr"] for group, d in decays for p in group["params"]}
        if not any(share.values()):
            return direction, None
        pairs = zip(self.copies, params, strict=True)
        return direction, [-share.get(id(copy), 0.0) * p for copy, p in pairs]

    def _groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups


def _decay_of(base: torch.optim.Optimizer, group: dict[str, Any]) -> float:
    """Return the decoupled decay of a group."""
    decoupled = isinstance(base, _DECOUPLED) or group.get("decoupled_weight_decay", False)
    return float(group.get("weight_decay", 0.0)) if decoupled else 0.0


class CDAT(Tuned):
    """`fenchel.tuners.CDAT` as an optimiser: no learning rate to set.

    Parameters
    ----------
    params : iterable of Tensor or dict
        As for every optimiser.
    scaling : float
        2 is the edge of stability; smaller for small batches.
    base : base or torch.optim.Optimizer, optional
        As for `Tuned`.
    **options
        As for `fenchel.tuners.CDAT`: ema, curvature, guard, every, max_learning_rate, ...

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
    """

    def __init__(
        self, params: Iterable[Any], scaling: float = 2.0, *, base: Any = None, **options: Any
    ) -> None:
        super().__init__(params, tuners.CDAT(scaling, **options), base=base)


class QuadraticGreedy(Tuned):
    """`fenchel.tuners.QuadraticGreedy` as an optimiser; arguments as for `CDAT`."""

    def __init__(self, params: Iterable[Any], *, base: Any = None, **options: Any) -> None:
        super().__init__(params, tuners.QuadraticGreedy(**options), base=base)


class Armijo(Tuned):
    """`fenchel.tuners.Armijo` as an optimiser; arguments as for `CDAT`."""

    def __init__(self, params: Iterable[Any], *, base: Any = None, **options: Any) -> None:
        super().__init__(params, tuners.Armijo(**options), base=base)


class StrongWolfe(Tuned):
    """`fenchel.tuners.StrongWolfe` as an optimiser; arguments as for `CDAT`."""

    def __init__(self, params: Iterable[Any], *, base: Any = None, **options: Any) -> None:
        super().__init__(params, tuners.StrongWolfe(**options), base=base)


class Polyak(Tuned):
    """`fenchel.tuners.Polyak` as an optimiser; arguments as for `CDAT`."""

    def __init__(
        self, params: Iterable[Any], scaling: float = 1.0, *, base: Any = None, **options: Any
    ) -> None:
        super().__init__(params, tuners.Polyak(scaling, **options), base=base)
