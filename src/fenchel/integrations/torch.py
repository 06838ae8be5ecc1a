"""For PyTorch: losses with the arguments of ``torch.nn``, sparse layers, and optimisers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fenchel import losses
from fenchel.operators import topk

from .torch_functional import Functional, functional
from .torch_moe import ExpertMLP, MoELayer, MoEOutput, expert_parallel
from .torch_optim import Tuned
from .torch_oracles import OracleGradients
from .torch_tuners import CDAT, Armijo, Hypergradient, Polyak, QuadraticGreedy, StrongWolfe

__all__ = [
    "CDAT",
    "Armijo",
    "EntmaxLoss",
    "ExpertMLP",
    "FDivergenceLoss",
    "FenchelYoungLoss",
    "FitzpatrickEntmaxLoss",
    "FitzpatrickLogisticLoss",
    "FitzpatrickLoss",
    "FitzpatrickSparsemaxLoss",
    "Functional",
    "Hypergradient",
    "LogisticLoss",
    "LossModule",
    "MoELayer",
    "MoEOutput",
    "OracleGradients",
    "Polyak",
    "QuadraticGreedy",
    "SparseTopK",
    "SparsemaxLoss",
    "StrongWolfe",
    "Tuned",
    "expert_parallel",
    "functional",
]


class LossModule(nn.Module):
    """Any loss of `fenchel.losses` as a module, with the arguments of ``nn.CrossEntropyLoss``.

    Parameters
    ----------
    loss : loss
        An instance of `fenchel.losses`.
    weight : Tensor, optional
        Weight of each class, of shape (classes,); a buffer of the module.
    ignore_index : int
        Target that does not count; for integer targets.
    reduction : {"mean", "sum", "none"}
        What is done with the losses of the rows.
    label_smoothing : float
        Share of the target spread over all classes, in [0, 1].
    dim : int, optional
        Axis of the classes; by default 1, or 0 of a vector, as in PyTorch.

    Examples
    --------
    >>> import torch
    >>> from fenchel import losses
    >>> from fenchel.integrations.torch import LossModule
    >>> scores = torch.tensor([[2.0, 0.5, 0.0]], requires_grad=True)
    >>> LossModule(losses.sparsemax_loss)(scores, torch.tensor([1])).backward()
    >>> scores.grad
    tensor([[ 1., -1.,  0.]])
    """

    weight: Tensor | None

    def __init__(
        self,
        loss: Any,
        *,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        dim: int | None = None,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing
        self.dim = dim

    def forward(self, scores: Tensor, target: Tensor, where: Tensor | None = None) -> Tensor:
        """Return the loss of `scores` at classes or at dense targets; `where` masks classes."""
        dim = self.dim if self.dim is not None else min(1, scores.ndim - 1)
        # Only integer targets can be ignored; dense ones are masked by a zero weight.
        ignored = None if target.is_floating_point() else self.ignore_index
        loss: Tensor = self._current()(
            scores,
            target,
            axis=dim,
            where=where,
            weight=self.weight,
            ignore_index=ignored,
            label_smoothing=self.label_smoothing,
            reduction=self.reduction,
        )
        return loss

    def link(self, scores: Tensor) -> Tensor:
        """Return the predictions of the loss."""
        dim = self.dim if self.dim is not None else min(1, scores.ndim - 1)
        prediction: Tensor = self._current().link(scores.movedim(dim, -1)).movedim(-1, dim)
        return prediction

    def extra_repr(self) -> str:
        """Return what the module prints in its brackets."""
        return f"{self.loss}, reduction={self.reduction!r}"

    def _current(self) -> Any:
        """Return the loss; modules with parameters make it anew from them."""
        return self.loss


class FenchelYoungLoss(LossModule):
    """Fenchel-Young loss of a regularizer; further arguments as in `LossModule`.

    Examples
    --------
    >>> import torch
    >>> from fenchel.integrations.torch import FenchelYoungLoss
    >>> from fenchel.regularizers import Gini
    >>> FenchelYoungLoss(Gini())(torch.tensor([[1.5, 0.0]]), torch.tensor([0]))
    tensor(0.)
    """

    def __init__(self, regularizer: Any, **options: Any) -> None:
        super().__init__(losses.FenchelYoung(regularizer), **options)


class FitzpatrickLoss(LossModule):
    """Fitzpatrick loss of a regularizer; further arguments as in `LossModule`.

    Examples
    --------
    >>> import torch
    >>> from fenchel.integrations.torch import FitzpatrickLoss
    >>> from fenchel.regularizers import Gini
    >>> FitzpatrickLoss(Gini())(torch.tensor([[1.5, 0.0]]), torch.tensor([0]))
    tensor(0.)
    """

    def __init__(self, regularizer: Any, **options: Any) -> None:
        super().__init__(losses.Fitzpatrick(regularizer), **options)


class LogisticLoss(LossModule):
    """Cross-entropy of the softmax; arguments as in `LossModule`.

    Examples
    --------
    >>> import torch
    >>> from fenchel.integrations.torch import LogisticLoss
    >>> LogisticLoss()(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
    tensor(0.6931)
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(losses.logistic, **options)


class SparsemaxLoss(LossModule):
    """Fenchel-Young loss of sparsemax; arguments as in `LossModule`.

    Examples
    --------
    >>> import torch
    >>> from fenchel.integrations.torch import SparsemaxLoss
    >>> SparsemaxLoss()(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
    tensor(0.2500)
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(losses.sparsemax_loss, **options)


class EntmaxLoss(LossModule):
    """Fenchel-Young loss of entmax, whose `alpha` may be learnt.

    Parameters
    ----------
    alpha : float
        At least 1; softmax at 1, sparsemax at 2.
    learn_alpha : bool
        Whether alpha is a parameter, kept above 1 as 1 + softplus of what is stored.
    **options
        As in `LossModule`.

    Examples
    --------
    >>> import torch
    >>> from fenchel.integrations.torch import EntmaxLoss
    >>> module = EntmaxLoss(1.5, learn_alpha=True)
    >>> round(module.alpha.item(), 6)
    1.5
    >>> [name for name, _ in module.named_parameters()]
    ['raw_alpha']
    """

    def __init__(self, alpha: float = 1.5, *, learn_alpha: bool = False, **options: Any) -> None:
        super().__init__(losses.entmax_loss(alpha=alpha), **options)
        self.raw_alpha: nn.Parameter | None = None
        if learn_alpha:
            if not alpha > 1.0:
                raise ValueError(f"`alpha` must be above 1 to be learnt; got alpha={alpha:g}")
            self.raw_alpha = nn.Parameter(torch.tensor(alpha - 1.0).expm1().log())

    @property
    def alpha(self) -> Any:
        """The current alpha: a number, or a tensor if it is learnt."""
        if self.raw_alpha is None:
            return self.loss.regularizer.alpha
        return 1.0 + nn.functional.softplus(self.raw_alpha)

    def _current(self) -> Any:
        return self.loss if self.raw_alpha is None else losses.entmax_loss(alpha=self.alpha)


class FDivergenceLoss(LossModule):
    """Fenchel-Young loss of an f-divergence from a reference measure, kept as a buffer.

    Parameters
    ----------
    divergence : str
        As in `fenchel.losses.f_divergence_loss`.
    reference : Tensor, optional
        Positive weights of the classes, such as their frequencies; ones by default.
    alpha : float, optional
        Of the divergence "alpha".
    **options
        As in `LossModule`.

    Examples
    --------
    >>> import torch
    >>> from fenchel.integrations.torch import FDivergenceLoss
    >>> prior = torch.tensor([0.9, 0.1])
    >>> FDivergenceLoss("kl", prior).link(torch.zeros(1, 2))
    tensor([[0.9000, 0.1000]])
    """

    reference: Tensor | None

    def __init__(
        self,
        divergence: str = "kl",
        reference: Tensor | None = None,
        alpha: float | None = None,
        **options: Any,
    ) -> None:
        loss = losses.f_divergence_loss(divergence=divergence, alpha=alpha)
        super().__init__(loss, **options)
        self.divergence, self.alpha = divergence, alpha
        self.register_buffer("reference", reference)

    def _current(self) -> Any:
        return losses.f_divergence_loss(
            divergence=self.divergence, reference=self.reference, alpha=self.alpha
        )


class FitzpatrickLogisticLoss(LossModule):
    """Fitzpatrick loss of softmax; arguments as in `LossModule`.

    Examples
    --------
    >>> import torch
    >>> from fenchel.integrations.torch import FitzpatrickLogisticLoss
    >>> FitzpatrickLogisticLoss()(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
    tensor(0.2785)
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(losses.fitzpatrick_logistic, **options)


class FitzpatrickSparsemaxLoss(LossModule):
    """Fitzpatrick loss of sparsemax; arguments as in `LossModule`.

    Examples
    --------
    >>> import torch
    >>> from fenchel.integrations.torch import FitzpatrickSparsemaxLoss
    >>> FitzpatrickSparsemaxLoss()(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
    tensor(0.1250)
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(losses.fitzpatrick_sparsemax, **options)


class FitzpatrickEntmaxLoss(LossModule):
    """Fitzpatrick loss of entmax, 1 < alpha <= 2; further arguments as in `LossModule`.

    Examples
    --------
    >>> import torch
    >>> from fenchel.integrations.torch import FitzpatrickEntmaxLoss
    >>> FitzpatrickEntmaxLoss(2.0)(torch.tensor([[0.0, 0.0]]), torch.tensor([0]))
    tensor(0.1250)
    """

    def __init__(self, alpha: float = 1.5, **options: Any) -> None:
        super().__init__(losses.fitzpatrick_entmax(alpha=alpha), **options)


class SparseTopK(nn.Module):
    """Sparse, differentiable top-k of the last axis: keeps about k entries, the others are 0.

    Parameters
    ----------
    k : int
        How many entries.
    **options
        Keywords of `fenchel.topk`: temperature, p, kind, debias, axis.

    Examples
    --------
    >>> import torch
    >>> from fenchel.integrations.torch import SparseTopK
    >>> SparseTopK(2, temperature=0.1)(torch.tensor([3.0, 1.0, -2.0, 0.5]))
    tensor([ 3.,  0., -2.,  0.])
    """

    def __init__(self, k: int, **options: Any) -> None:
        super().__init__()
        self.k = k
        self.options = options

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with about k entries left."""
        kept: Tensor = topk(x, self.k, **self.options)
        return kept

    def extra_repr(self) -> str:
        """Return what the module prints in its brackets."""
        return ", ".join([f"k={self.k}", *(f"{k}={v!r}" for k, v in self.options.items())])
