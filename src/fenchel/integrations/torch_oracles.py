"""Directions of oracles in the place of gradients, for any optimiser of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from fenchel.oracles import as_gradient

__all__ = ["OracleGradients"]


class OracleGradients(torch.optim.Optimizer):
    """An optimiser of PyTorch that follows the directions of an oracle instead of gradients.

    Parameters
    ----------
    params : mapping of str to Tensor
        Parameters by name, what the ``predict`` of the oracle takes:
        ``dict(model.named_parameters())``.
    oracle : oracle
        Of `fenchel.oracles`, such as `GaussNewton`, with
        ``predict = functools.partial(torch.func.functional_call, model)``.
    optimizer : torch.optim.Optimizer
        Over the same parameters. It finds -direction / gamma in the place of each gradient; SGD
        with the learning rate gamma takes the direction itself.

    Attributes
    ----------
    learning_rate : float
        Of the first group of `optimizer`, whose groups are those of this one.
    info : fenchel.oracles.OracleInfo
        What the oracle says of the last direction.

    Raises
    ------
    TypeError
        If `oracle` gives no directions, or `optimizer` is none.
    ValueError
        If `optimizer` has a parameter that `params` lacks.

    Notes
    -----
    `step(closure)` needs a closure that returns the batch: inputs and targets, and weights of the
    samples if there are any. An oracle evaluates the network several times in a step: dropout and
    running statistics have to be frozen, as `model.eval()` does. Parameters without `requires_grad`
    are constants. Source: arXiv 2308.08886.

    Examples
    --------
    >>> from functools import partial
    >>> import torch
    >>> from fenchel.losses import squared
    >>> from fenchel.oracles import GaussNewton
    >>> model = torch.nn.Linear(2, 1)
    >>> predict = partial(torch.func.functional_call, model)
    >>> oracle = GaussNewton(squared, predict, gamma=1e4, rtol=0.0)
    >>> inner = torch.optim.SGD(model.parameters(), lr=1e4)
    >>> optimizer = OracleGradients(dict(model.named_parameters()), oracle, inner)
    >>> x, y = torch.eye(2), torch.tensor([[1.0], [2.0]])
    >>> loss = optimizer.step(lambda: (x, y))
    >>> bool(((model(x) - y) ** 2).sum() < 1e-4), bool(optimizer.info.certified_descent)
    (True, True)
    """

    def __init__(
        self, params: Mapping[str, Tensor], oracle: Any, optimizer: torch.optim.Optimizer
    ) -> None:
        if not (hasattr(oracle, "direction") and hasattr(oracle, "gamma")):
            raise TypeError(
                f"`oracle` must be an oracle of fenchel.oracles; got {type(oracle).__qualname__}"
            )
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(
                f"`optimizer` must be an optimiser of PyTorch; got {type(optimizer).__qualname__}"
            )
        self._named = {name: p for name, p in params.items() if p.requires_grad}
        known = {id(p) for p in params.values()}
        if any(id(p) not in known for group in optimizer.param_groups for p in group["params"]):
            raise ValueError("`optimizer` must be over the parameters in `params`; got others")
        self._oracle, self._optimizer = oracle, optimizer
        self.info: Any = None
        super().__init__(optimizer.param_groups, {})
        # One list of groups, and one state, for schedulers and for whoever reads them.
        self.param_groups, self.state = optimizer.param_groups, optimizer.state

    @property
    def learning_rate(self) -> float:
        """Learning rate of the first group."""
        return float(self.param_groups[0]["lr"])

    @torch.no_grad()
    def step(  # type: ignore[override]  # the closure returns a batch
        self, closure: Callable[[], tuple[Any, ...]] | None = None
    ) -> Tensor:
        """Take one step and return the objective before it.

        Parameters
        ----------
        closure : callable
            Returns inputs, targets and, if there are any, weights of the samples.

        Raises
        ------
        TypeError
            If there is no closure.
        """
        if closure is None:
            raise TypeError("`closure` must be a function that returns the batch; got None")
        still = {name: p.detach() for name, p in self._named.items()}
        direction, self.info = self._oracle.direction(still, *closure())
        for name, slope in as_gradient(direction, self._oracle.gamma).items():
            self._named[name].grad = slope
        self._optimizer.step()
        return self.info.value + self.info.model_decrease  # type: ignore[no-any-return]

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimiser; directions have none."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a state from `state_dict()`; training goes on as if it had not stopped."""
        self._optimizer.load_state_dict(state_dict)
        self.param_groups, self.state = self._optimizer.param_groups, self._optimizer.state

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles carry over."""
        own = {name: self.__dict__[name] for name in ("_named", "_oracle", "_optimizer", "info")}
        return {**super().__getstate__(), **own}
