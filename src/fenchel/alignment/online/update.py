"""One step of the optimiser on annotated pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ... import trees
from ...arrays import check_dtype, widen
from ...backend import Backend, backend_of
from ...parameters import known_to
from ...special import logit
from ..pair_losses import pair_loss
from ..rloo import rloo_gradient
from .state import Batch

__all__ = ["BASELINE", "GradientStep", "PairObjective", "counts", "take_step"]

Tree = Any
Array = Any

BASELINE = "rloo"  # policy gradient behind the same interface
_PER_TOKEN = ("simpo", "sigmoid_norm")
_WITHOUT_REFERENCE = ("simpo",)
# Fields of a batch before those that are numbers of a pair.
_NUMBERS = 3
# Log-odds of a probability that rounding made 0 or 1.
_SURE = 2.0**-24


@dataclass(frozen=True)
class PairObjective:
    """Mean loss of the pairs that count, as a function of the parameters."""

    policy: Any
    loss: str
    beta: float
    label_smoothing: float
    length_normalize: bool
    soft: bool
    options: tuple[tuple[str, Any], ...] = ()

    def __call__(self, params: Tree, batch: Batch) -> Array:
        """Return the mean loss."""
        log_first, log_second = (
            self._logprob(params, batch.prompts, responses)
            for responses in (batch.first, batch.second)
        )
        backend = backend_of(log_first)  # one that traces, while the library differentiates
        numbers = (known_to(backend, x) for x in batch[_NUMBERS:])
        batch = Batch(batch.prompts, batch.first, batch.second, *numbers)
        xp = backend.namespace
        counts = batch.weight > 0
        # What is dropped is put to 0 before the loss: it may be infinite, and its slope too.
        first, second = (
            xp.where(counts, value, xp.zeros_like(value))
            for value in self._scores(log_first, log_second, batch)
        )
        rows = (
            self._baseline(backend, first, second, batch)
            if self.loss == BASELINE
            else self._rows(backend, first, second, batch)
        )
        total = xp.sum(xp.where(counts, batch.weight * rows, xp.zeros_like(rows)))
        return total / xp.sum(batch.weight)

    def _logprob(self, params: Tree, prompts: Any, responses: Any) -> Array:
        found = self.policy.logprob(params, prompts, responses)
        return widen(backend_of(found).namespace, found, check_dtype("logprob", found))

    def _scores(self, first: Array, second: Array, batch: Batch) -> tuple[Array, Array]:
        if self.loss in _WITHOUT_REFERENCE:
            return first, second
        return first - batch.ref_first, second - batch.ref_second

    def _rows(self, backend: Backend, first: Array, second: Array, batch: Batch) -> Array:
        """Loss of each pair, the likelier winner first."""
        xp = backend.namespace
        right = batch.target >= 0.5
        options: dict[str, Any] = dict(self.options)
        if self.soft:
            options["prob"] = xp.where(right, batch.target, 1.0 - batch.target)
        if self.length_normalize or self.loss in _PER_TOKEN:
            options["len_chosen"] = xp.where(right, batch.len_first, batch.len_second)
            options["len_rejected"] = xp.where(right, batch.len_second, batch.len_first)
        return pair_loss(
            self.loss,
            xp.where(right, first, second),
            xp.where(right, second, first),
            beta=self.beta,
            label_smoothing=self.label_smoothing,
            reduction="none",
            **options,
        )

    def _baseline(self, backend: Backend, first: Array, second: Array, batch: Batch) -> Array:
        """A function whose gradient is minus the leave-one-out estimate.

        A preference of probability p is a difference logit(p) of the rewards, and the estimator
        knows of no more than differences.
        """
        xp = backend.namespace
        reward = logit(xp.clip(batch.target, _SURE, 1.0 - _SURE))
        held = [backend.stop_gradient(ratio) for ratio in (first, second)]
        weights = rloo_gradient(reward - self.beta * held[0], -self.beta * held[1])
        return -(weights[0] * first + weights[1] * second)


@dataclass(frozen=True)
class GradientStep:
    """Plain gradient descent, for an `optimizer` that is a number."""

    learning_rate: float

    def init(self, params: Tree) -> tuple[()]:
        """Return the empty state."""
        return ()

    def update(self, grad: Tree, state: Any, params: Tree) -> tuple[Tree, Any]:
        """Return the step."""
        return trees.scale(-self.learning_rate, grad), state


def take_step(
    backend: Backend,
    objective: PairObjective,
    optimizer: Any,
    learning_rate: float,
    params: Tree,
    state: Any,
    batch: Batch,
) -> tuple[Tree, Any, Array, Array]:
    """Return parameters, state of the optimiser, loss and norm of the gradient."""
    loss, grad = backend.value_and_grad(lambda p: objective(p, batch))(params)
    direction, state = optimizer.update(grad, state, params)
    return trees.axpy(learning_rate, direction, params), state, loss, trees.norm(grad)


def counts(backend: Backend, batch: Batch) -> bool:
    """Whether a pair counts: a step on nothing would still move what has momentum."""
    return bool(backend.to_host(batch.weight).any())
