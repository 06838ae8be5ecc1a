"""What a direction costs beside a value and gradient of the same batch of 256 samples."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from fenchel.backend import namespace
from fenchel.losses import logistic, squared
from fenchel.oracles import GaussNewton
from fenchel.reproduce.library import Library

from .case import Case, Contender, installed

__all__ = ["TITLE", "cases"]

TITLE = "Dual Gauss-Newton, tanh network of 8970 parameters, 10 outputs, float32 (theirs over ours)"
_WIDTHS = (64, 64, 64, 10)
_SAMPLES = 256


def cases(quick: bool) -> Iterator[Case]:
    """Yield the cost of a direction against gradients, and against a damped step of jaxopt."""
    for name in ("jax", "torch"):
        if installed(name) is not None:
            for count in (10,) if quick else (0, 5, 10, 20):
                yield _in_gradients(Library.named(name), count)
    if installed("jax") is not None and (peer := installed("jaxopt")) is not None:
        yield _against_jaxopt(peer)


def _predict(params: Any, x: Any) -> Any:
    xp = namespace(params[0])
    for weight in params[:-1]:
        x = xp.tanh(xp.matmul(x, weight))
    return xp.matmul(x, params[-1])


def _data(library: Library, samples: int) -> tuple[Any, Any, Any, Any]:
    """Return parameters, inputs, classes and one-hot targets."""
    import numpy as np

    rng = np.random.default_rng(0)
    params = [
        library.array(rng.normal(size=(n, k)) / n**0.5) for n, k in itertools.pairwise(_WIDTHS)
    ]
    classes = rng.integers(0, 10, samples)
    x = library.array(rng.normal(size=(samples, 64)))
    return params, x, library.integers(classes), library.array(np.eye(10)[classes])


def _timed(name: str, library: Library, f: Callable[[Any], Any], params: Any) -> Contender:
    run = library.compiled(f)
    if library.name != "jax":
        return Contender(name, run, [params])
    return Contender(name, lambda p: run(p)[0].block_until_ready(), [params])


def _in_gradients(library: Library, count: int) -> Case:
    params, x, y, _ = _data(library, _SAMPLES)
    oracle = GaussNewton(logistic, _predict, max_iter=count, rtol=0.0)
    both = library.backend.value_and_grad(lambda p: logistic(_predict(p, x), y))
    ours = _timed("fenchel", library, lambda p: oracle.direction(p, x, y)[0], params)
    peer = _timed("value and gradient", library, lambda p: both(p)[1], params)
    return Case(f"{library.name}, {count} iterations", ours, (peer,))


def _against_jaxopt(jaxopt: Any) -> Case:
    """One damped Gauss-Newton step on 64 samples and the squared loss."""
    library = Library.named("jax")
    params, x, _, y = _data(library, 64)
    oracle = GaussNewton(squared, _predict)

    def residuals(p: Any) -> Any:
        return (_predict(p, x) - y).reshape(-1)

    flat, rebuild = _flattened(library, params)
    solver = jaxopt.LevenbergMarquardt(lambda v: residuals(rebuild(v)), materialize_jac=False)
    state = solver.init_state(flat)
    ours = _timed("fenchel", library, lambda p: oracle.direction(p, x, y)[0], params)
    peer = _timed(
        "jaxopt LM",
        library,
        lambda p: [solver.update(_flattened(library, p)[0], state).params],
        params,
    )
    return Case("squared loss, 64 samples, one step", ours, (peer,))


def _flattened(library: Library, params: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return the parameters as one vector, which the peer wants, and the way back."""
    xp = library.namespace
    shapes = [tuple(w.shape) for w in params]

    def rebuild(v: Any) -> Any:
        leaves, first = [], 0
        for n, k in shapes:
            leaves.append(xp.reshape(v[first : first + n * k], (n, k)))
            first += n * k
        return leaves

    return xp.concat([xp.reshape(w, (-1,)) for w in params]), rebuild
