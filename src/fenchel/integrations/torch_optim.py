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
from fenchel.trees import map as map_leaves
from fenchel.tuners._directions import course_of, start

from ._torch_inner import Ahead, Given, Inner
from ._torch_line import Line, flat_norm, shift, tangent
from ._torch_parts import PartsLine

__all__ = ["Tuned"]

Closure = Callable[[], Tensor]

_OWN = ("_tuner", "_line", "_base", "_tuner_state", "_base_state", "info")


class Tuned(torch.optim.Optimizer):
    """Any tuner that looks along a line, as an optimiser.

    Parameters
    ----------
    params : iterable of Tensor or dict
        As for every optimiser; all groups share one learning rate.
    tuner : tuner
        Of `fenchel.tuners`.
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
    ValueError
        If the base is an optimiser over other parameters.

    Notes
    -----
    `step(closure)` needs a closure that computes the loss and returns it, **without** `backward`:
    the exact curvature differentiates twice. It is called again for the trials of a guard or a
    line search, without gradients, on the same batch. Gradients are left in `p.grad`.

    With ``curvature="ggn"`` the closure returns a pair: the outputs, and the loss as a function of
    them.

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
        if not (hasattr(tuner, "step") and hasattr(tuner, "base")):
            raise TypeError(
                f"`tuner` must be a tuner of fenchel.tuners; got {type(tuner).__qualname__}"
            )
        super().__init__(params, {"lr": 0.0})
        self._base = tuner.base if base is None else base
        if isinstance(self._base, torch.optim.Optimizer):
            self._base = Inner(self._base, self._params())
        self._line: type[Line] = Line
        if getattr(tuner, "curvature", None) == "ggn":
            # On a line of parts the second derivative is the curvature of Gauss and Newton.
            self._line, tuner = PartsLine, replace(tuner, curvature="hessian")
        self._tuner = replace(tuner, base=Ahead())
        whole = isinstance(tuner, tuners.Hypergradient)
        self._tuner_state: Any = self._tuner.init(self._still() if whole else self._origin())
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
        line = self._line(closure, params, curved=self._wants_curvature())
        norm = flat_norm(line.gradient)
        # A gradient that is not finite must not reach the state of the base.
        if isinstance(self._base, tuners.GradientDescent) or not isfinite(norm):
            line.descend(norm)
            direction, decay, sign = line.gradient, None, -1.0
        else:
            direction, decay = self._course(params, line.gradient)
            line.aim(direction, decay)
            sign = 1.0
        info = self._searched(line, direction, sign)
        rate = float(info.learning_rate)
        if rate != 0.0:
            for i, p in enumerate(params):
                shift(p, p, sign * rate, direction[i])
                if decay is not None:
                    shift(p, p, rate, decay[i])
        self.info = info._replace(grad_norm=np.asarray(norm, dtype=info.value.dtype))
        for group in self.param_groups:
            group["lr"] = rate
        return line.loss

    def _searched(self, line: Line, direction: list[Tensor], sign: float) -> tuners.Info:
        """Return what the tuner says of a step along the line."""
        if isinstance(self._tuner, tuners.Hypergradient):
            # It remembers a direction, and of the objective it sees value and gradient alone.
            given = direction if sign > 0 else [-u for u in direction]
            tuner = replace(self._tuner, base=Given(given))
            _, self._tuner_state, info = tuner.step(
                tangent(line.loss, line.gradient, self._still()), self._still(), self._tuner_state
            )
            return map_leaves(lambda x: x.cpu().numpy(), info)  # type: ignore[no-any-return]
        self._tuner = replace(self._tuner, base=Ahead(line.length))
        try:
            _, self._tuner_state, info = self._tuner.step(line, self._origin(), self._tuner_state)
        finally:
            line.restore()
        return info  # type: ignore[no-any-return]

    def _wants_curvature(self) -> bool:
        """Whether this step asks for the exact curvature."""
        if isinstance(self._tuner, tuners.CDAT):
            due = int(self._tuner_state.count) % self._tuner.every == 0
            return due and self._tuner.curvature == "hessian"
        return isinstance(self._tuner, tuners.QuadraticGreedy)

    def _params(self) -> list[Tensor]:
        return [p for g in self.param_groups for p in g["params"] if p.requires_grad]

    def _still(self) -> list[Tensor]:
        return [p.detach() for p in self._params()]

    def _origin(self) -> Any:
        wide = any(p.dtype == torch.float64 for g in self.param_groups for p in g["params"])
        return np.zeros((), dtype=np.float64 if wide else np.float32)

    def _course(
        self, params: list[Tensor], gradient: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor] | None]:
        """Return the direction of the base, and the decay of the weights or None."""
        if isinstance(self._base, Inner):
            return self._base.course(params, gradient)
        still = self._still()
        if self._base_state is None:
            self._base_state = start(self._base, still)
        course = course_of(self._base, gradient, self._base_state, still, ())
        self._base_state = course.state
        return course.direction, course.decay

    def state_dict(self) -> dict[str, Any]:
        """Return the state, of numbers and tensors alone; `torch.save` takes it."""
        own = [_saved(leaf) for leaf in leaves(self._tuner_state)]
        if isinstance(self._base, Inner):
            inner: Any = self._base.optimizer.state_dict()
        else:
            inner = None if self._base_state is None else list(leaves(self._base_state))
        return {**super().state_dict(), "tuner": own, "base": inner}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a state from `state_dict()`; training goes on as if it had not stopped."""
        super().load_state_dict(state_dict)
        model, structure = flatten(self._tuner_state)
        pairs = zip(model, state_dict["tuner"], strict=True)
        own = [_loaded(saved, leaf) for leaf, saved in pairs]
        self._tuner_state = unflatten(structure, own)
        inner = state_dict["base"]
        if isinstance(self._base, Inner):
            self._base.optimizer.load_state_dict(inner)
        elif inner is None:
            self._base_state = None
        else:
            _, structure = flatten(start(self._base, self._still()))
            self._base_state = unflatten(structure, [leaf.clone() for leaf in inner])

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles carry over."""
        return {**super().__getstate__(), **{name: self.__dict__[name] for name in _OWN}}


def _saved(leaf: Any) -> Any:
    return leaf.clone() if isinstance(leaf, Tensor) else np.asarray(leaf).tolist()


def _loaded(saved: Any, like: Any) -> Any:
    if isinstance(like, Tensor):
        return saved.to(like, copy=True)
    return np.asarray(saved, dtype=np.asarray(like).dtype)
