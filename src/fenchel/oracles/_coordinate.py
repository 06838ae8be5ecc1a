"""The prox-linear problem by dual coordinate ascent, a sample at a time, on the Gram matrix."""

from __future__ import annotations

from typing import Any, NamedTuple

from ._batch import Array, Model
from ._conclude import conclude, still_open
from ._direct import eigh, gram_matrix
from ._loop import iterate
from ._oracle import Found

__all__ = ["sdca"]


class _State(NamedTuple):
    count: Any
    dual: Array
    image: Array
    gap: Array
    change: Array
    moving: Array


def sdca(model: Model, start: Array | None, *, max_iter: int, rtol: float) -> Found:
    """Solve the prox-linear problem in passes over the samples.

    With K = J N^-1 J^T formed, m k squared numbers, an update of a sample costs m k^2 operations
    and a proximal point of one row. Its step is the largest eigenvalue of its own block.
    """
    backend, f = model.backend, model.outputs
    xp = backend.namespace
    (m, k), eps = f.shape, float(xp.finfo(f.dtype).eps)
    gram = xp.reshape(gram_matrix(model), (m, k, m, k))
    places = xp.arange(m, device=backend.device_of(f))
    own = xp.stack([gram[i, :, i, :] for i in range(m)])
    steps = model.omega * eigh(xp, own)[0][:, -1:]
    steps = xp.where(steps > 0, steps, xp.ones_like(steps))  # NaN shows in the outputs as well
    fixed = model.line.push(model.direction(xp.zeros_like(f)))  # of the weight decay alone

    def image_of(dual: Array) -> Array:
        weighted = xp.reshape(model.omega * dual, (m * k, 1))
        return fixed - xp.reshape(xp.matmul(xp.reshape(gram, (m * k, m * k)), weighted), (m, k))

    def update(i: Any, state: tuple[Array, Array]) -> tuple[Array, Array]:
        dual, image = state
        at = xp.take(places, xp.reshape(xp.asarray(i, device=backend.device_of(f)), (1,)))

        def row(x: Array) -> Array:
            return xp.take(x, at, axis=0)

        new = model.rows.at(at).prox(row(f) + row(image), row(dual), row(steps))
        drop = row(model.omega) * (new - row(dual))
        column = xp.take(gram, at, axis=2)[:, :, 0, :]
        image = image - xp.sum(column * drop, axis=-1)
        return xp.where(xp.expand_dims(places == at, axis=-1), new, dual), image

    def values(dual: Array, image: Array) -> tuple[Array, Array]:
        z, d = f + image, model.direction(dual)
        return model.change(z, d), model.total(model.rows.gaps(z, dual))

    def going(s: _State) -> Any:
        return (s.count < max_iter) & s.moving & still_open(s.gap, s.change, rtol)

    def step(s: _State) -> _State:
        state = (s.dual, s.image)
        if backend.is_traced(s.gap):
            dual, _ = backend.fori_loop(0, m, update, state)
        else:
            for i in range(m):
                state = update(i, state)
            dual = state[0]
        image = image_of(dual)  # anew: rounding does not pile up over the passes
        change, gap = values(dual, image)
        moved = model.inner(dual - s.dual, dual - s.dual)
        moving = moved > eps**2 * (model.inner(dual, dual) + eps)
        return _State(s.count + 1, dual, image, gap, change, moving)

    dual = model.slopes if start is None else start
    image = image_of(dual)
    change, gap = values(dual, image)
    last = iterate(backend, going, step, _State(0, dual, image, gap, change, gap == gap), gap)
    d = model.direction(last.dual)
    return conclude(model, last.dual, d, last.image, last.gap - last.change, last.count)
