"""The tape against HIPS autograd: value and gradient of small functions of NumPy arrays.

Both run unmodified NumPy code; autograd needs its own `autograd.numpy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fenchel.autodiff import tape

from .case import Case, Contender, installed

__all__ = ["TITLE", "cases"]

TITLE = "Tape: value and gradient of functions of NumPy arrays, float64"
SIZES = (8, 32, 100)

Function = Callable[[Any, Any], Any]


def cases(quick: bool) -> Iterator[Case]:
    """Yield gradients, and products with a Hessian, against autograd; none if it is absent."""
    import numpy as np

    autograd = installed("autograd")
    if autograd is None:
        return
    anp = installed("autograd.numpy")
    rng = np.random.default_rng(0)
    for name, f in FUNCTIONS.items():
        for n in SIZES[:1] if quick else SIZES:
            inputs = list(rng.uniform(0.2, 0.9, (64, n)))
            ours = tape.value_and_grad(lambda x, f=f: f(np, x))
            peer = autograd.value_and_grad(lambda x, f=f: f(anp, x))
            yield _agreeing(f"gradient of {name}, n = {n}", ours, peer, inputs)
    inputs = list(rng.uniform(0.2, 0.9, (64, 32)))
    yield _agreeing("Hessian product, n = 32", *_hessian_products(autograd, anp), inputs)


def _agreeing(name: str, ours: Any, peer: Any, inputs: list[Any]) -> Case:
    """Return the case; a fast wrong answer is no answer."""
    import numpy as np

    for a, b in zip(_leaves(ours(inputs[0])), _leaves(peer(inputs[0])), strict=True):
        if not np.allclose(a, b, rtol=1e-10):
            raise ArithmeticError(f"{name}: the two libraries disagree")
    return Case(name, Contender("fenchel", ours, inputs), (Contender("autograd", peer, inputs),))


def _leaves(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _hessian_products(autograd: Any, anp: Any) -> tuple[Any, Any]:
    import numpy as np

    v = np.ones(32)
    gradient = tape.value_and_grad(lambda x: _product_with_hessian(np, x))
    product = autograd.hessian_vector_product(lambda x: _product_with_hessian(anp, x))

    def ours(x: Any) -> Any:
        return tape.jvp(lambda y: gradient(y)[1], (x,), (v,))[1]

    return ours, lambda x: product(x, v)


def _elementwise(xp: Any, x: Any) -> Any:
    for _ in range(10):
        x = xp.tanh(x * 1.1 + 0.1)
        x = x * xp.sin(x) - xp.exp(-x)
    return xp.sum(x)


def _operators(xp: Any, x: Any) -> Any:
    y = x
    for _ in range(20):
        y = y * x + 0.5 * y
    return xp.sum(y)


def _logsumexp(xp: Any, x: Any) -> Any:
    for _ in range(5):
        top = xp.max(x)
        x = x - (top + xp.log(xp.sum(xp.exp(x - top))))
    return xp.sum(x)


def _network(xp: Any, x: Any) -> Any:
    n = x.shape[0]
    w = xp.reshape(xp.linspace(-0.3, 0.4, n * n), (n, n))
    for _ in range(4):
        x = xp.tanh(xp.dot(w, x) + 0.1)
    return xp.sum(x * x)


def _recurrence(xp: Any, x: Any) -> Any:
    state = x[0]
    for i in range(1, 8):
        state = xp.sin(state) * x[i] + state
    return state


def _shapes(xp: Any, x: Any) -> Any:
    for _ in range(4):
        y = xp.reshape(x, (2, -1))
        x = xp.concatenate([y[0] * y[1], xp.mean(y, axis=0)])
    return xp.sum(x)


def _product_with_hessian(xp: Any, x: Any) -> Any:
    return xp.sum(xp.exp(xp.sin(x) * x) + x**3)


FUNCTIONS: dict[str, Function] = {
    "elementwise chain": _elementwise,
    "operator chain": _operators,
    "logsumexp": _logsumexp,
    "network": _network,
    "recurrence": _recurrence,
    "shapes": _shapes,
}
