"""Losses of pairs, log-probabilities and mixtures against what users write by hand in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fenchel.alignment import pair_loss, realign_logits, sequence_logprob
from fenchel.reproduce.library import Library

from .case import Case, Contender, installed

__all__ = ["TITLE", "cases"]

TITLE = "Alignment, torch, float32, value and gradient (theirs over ours)"
_BETA = 0.1


def cases(quick: bool) -> Iterator[Case]:
    """Yield the losses of TRL as its trainer writes them, its log-probabilities, and a mixture."""
    torch = installed("torch")
    if torch is None:
        return
    for name in ("dpo",) if quick else ("dpo", "ipo", "slic", "robust", "exo", "apo_zero"):
        yield _pairs(torch, name)
    for size in (1000,) if quick else (1000, 32000):
        yield _logprobs(torch, size)
        yield _mixture(torch, size)


def _by_hand(torch: Any, name: str) -> Callable[[Any, Any], Any]:
    """Return a loss as a trainer writes it, with the functions of PyTorch."""
    logsigmoid, sigmoid, relu = torch.nn.functional.logsigmoid, torch.sigmoid, torch.relu
    e = 0.1

    def robust(a: Any, b: Any) -> Any:
        z = _BETA * (a - b)
        return (-logsigmoid(z) * (1 - e) + logsigmoid(-z) * e) / (1 - 2 * e)

    def exo(a: Any, b: Any) -> Any:
        z = _BETA * (a - b)
        wanted = torch.log(torch.tensor([1 - e, e]))
        kept = sigmoid(z) * (logsigmoid(z) - wanted[0])
        return kept + sigmoid(-z) * (logsigmoid(-z) - wanted[1])

    formulas: dict[str, Callable[[Any, Any], Any]] = {
        "dpo": lambda a, b: -logsigmoid(_BETA * (a - b)),
        "ipo": lambda a, b: (a - b - 1 / (2 * _BETA)) ** 2,
        "slic": lambda a, b: relu(1 - _BETA * (a - b)),
        "robust": robust,
        "exo": exo,
        "apo_zero": lambda a, b: 1 - sigmoid(_BETA * a) + sigmoid(_BETA * b),
    }
    return formulas[name]


def _pairs(torch: Any, name: str) -> Case:
    import numpy as np

    rng, library = np.random.default_rng(0), Library.named("torch")
    inputs = [
        tuple(library.array(rng.normal(size=256)).requires_grad_() for _ in "ab") for _ in range(64)
    ]
    options: dict[str, Any] = {"label_smoothing": 0.1} if name in ("robust", "exo") else {}
    formula = _by_hand(torch, name)
    ours = _differentiated(torch, lambda a, b: pair_loss(name, a, b, beta=_BETA, **options))
    peer = _differentiated(torch, lambda a, b: formula(a, b).mean())
    return Case(
        f"pair_loss {name}, 256 pairs",
        Contender("fenchel", ours, inputs),
        (Contender("by hand", peer, inputs),),
    )


def _logprobs(torch: Any, size: int) -> Case:
    """Sums over 4 sequences of 64 tokens; by hand as in TRL, a row at a time to save memory."""
    import numpy as np

    rng, library = np.random.default_rng(0), Library.named("torch")
    labels = torch.as_tensor(rng.integers(0, size, (4, 64)))
    mask = torch.as_tensor(rng.uniform(size=(4, 64)) < 0.8)
    inputs = [(library.array(rng.normal(size=(4, 64, size))).requires_grad_(),) for _ in range(3)]

    def by_hand(x: Any) -> Any:
        picked = x.gather(-1, labels[..., None])[..., 0]
        normal = torch.stack([torch.logsumexp(row, dim=-1) for row in x])
        return ((picked - normal) * mask).sum(-1).sum()

    ours = _differentiated(torch, lambda x: sequence_logprob(x, labels, mask).sum())
    return Case(
        f"sequence_logprob, 4 x 64 x {size}",
        Contender("fenchel", ours, inputs),
        (Contender("by hand", _differentiated(torch, by_hand), inputs),),
    )


def _mixture(torch: Any, size: int) -> Case:
    """One step of decoding; by hand without the rule for masked tokens."""
    import numpy as np

    rng, library = np.random.default_rng(0), Library.named("torch")
    inputs = [tuple(library.array(rng.normal(size=(32, size))) for _ in "ab") for _ in range(4)]
    ours = Contender("fenchel", lambda pair: realign_logits(pair[0], pair[1], 0.5), inputs)

    def by_hand(pair: Any) -> Any:
        first, second = (torch.log_softmax(x, dim=-1) for x in pair)
        return 0.5 * second + 0.5 * first

    return Case(
        f"realign_logits, 32 x {size}, value", ours, (Contender("notebook", by_hand, inputs),)
    )


def _differentiated(torch: Any, f: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return the gradient of a scalar as a function of one tuple."""
    return lambda arrays: torch.autograd.grad(f(*arrays), arrays)
