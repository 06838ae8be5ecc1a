"""One call of an oracle: the batch, the network at the parameters, the loss and its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..arrays import check_dtype
from ..autodiff.arguments import as_primals, check_leaves
from ..backend import Backend
from ..parameters import check_array, known_to
from ..trees import dot, find_backend, is_array, map
from ..trees import leaves as leaves_of
from ._linearization import Linearization, as_dtype, linearize_predict
from ._proximity import Proximity, proximity
from ._rows import LossRows, loss_rows

__all__ = ["Batch", "Model", "open_batch", "open_model"]

Array = Any
Tree = Any
Vector = list[Any]


@dataclass(frozen=True)
class Batch:
    """Checked arguments of an oracle; dropped samples hold the values of one that counts."""

    backend: Backend
    params: Tree
    inputs: Tree
    targets: Array
    weights: Array | None


@dataclass(frozen=True)
class Model:
    """What solvers work with: all arrays constant, in the dtype that is computed in.

    Attributes
    ----------
    outputs
        f, (m, k).
    omega
        Weights of the samples (m, 1), of sum one.
    slopes
        grad h_i(f_i), (m, k).
    gradient
        J^T (omega slopes) + decay w, list of leaves.
    start
        P(0).
    """

    backend: Backend
    leaves: Vector
    structure: Any
    line: Linearization
    rows: LossRows
    omega: Array
    near: Proximity
    slopes: Array
    gradient: Vector
    start: Array

    @property
    def outputs(self) -> Array:
        """Outputs (m, k)."""
        return self.line.outputs

    def total(self, values: Array) -> Array:
        """Return the weighted sum of one value a sample."""
        xp = self.backend.namespace
        return xp.sum(self.omega[:, 0] * values)

    def inner(self, a: Array, b: Array) -> Array:
        """Return the weighted inner product of two dual vectors."""
        return self.backend.namespace.sum(self.omega * a * b)

    def pull(self, dual: Array) -> Vector:
        """Return J^T (omega dual)."""
        return self.line.pull(self.omega * dual)

    def decayed(self, b: Vector) -> Vector:
        """Return b + decay w."""
        if self.near.decay is None:
            return b
        return [x + self.near.decay * w for x, w in zip(b, self._weights(), strict=True)]

    def direction(self, dual: Array) -> Vector:
        """Return d(dual) = -N^-1 (J^T omega dual + decay w)."""
        return [-x for x in self.near.solve(self.decayed(self.pull(dual)))]

    def change(self, z: Array, d: Vector) -> Array:
        """Return P(d) - P(0) of the prox-linear model for z = f + J d."""
        moved = self.rows.values(z) - self.rows.values(self.outputs)
        change = self.total(moved) + 0.5 * self.near.square(d)
        return (
            change
            if self.near.decay is None
            else change + self.near.decay * dot(self._weights(), d)
        )

    def _weights(self) -> Vector:
        return [as_dtype(self.backend, w, self.outputs.dtype) for w in self.leaves]

    def finish(self, backend: Backend, d: Vector) -> Tree:
        """Return leaves, maybe traced by `backend`, as a container like the parameters."""
        cast = [as_dtype(backend, x, w.dtype) for x, w in zip(d, self.leaves, strict=True)]
        return self.backend.tree_unflatten(self.structure, cast)

    def shaped(self, dual: Array) -> Array:
        """Return a dual vector in the shape of the outputs of `predict`."""
        return dual[:, 0] if self.line.column else dual


def open_batch(
    params: Tree, inputs: Tree, targets: Array, weights: Array | None, others: Tree = None
) -> Batch:
    """Check the arguments of an oracle; samples of weight 0 are overwritten.

    `others` may hold traced arrays too.

    Raises
    ------
    TypeError
        If an array is missing, of another library, or not floating where it must be.
    ValueError
        If `weights` is not of shape (m,), or the batch is empty.
    """
    check_leaves("params", params)
    if not leaves_of(params):
        raise TypeError("`params` must hold at least one array; got an empty container")
    backend, (params,) = as_primals((params,), others=(inputs, targets, weights))
    if not is_array(targets):
        raise TypeError(f"`targets` must be an array; got {type(targets).__qualname__}")
    found = find_backend(params, inputs, targets, weights, others)
    backend = backend if found is None else found
    params, inputs, targets, weights = map(
        lambda x: known_to(backend, x) if is_array(x) else x, (params, inputs, targets, weights)
    )
    if targets.ndim == 0 or targets.shape[0] == 0:
        raise ValueError(
            f"`targets` must hold m >= 1 samples along the first axis; got {tuple(targets.shape)}"
        )
    if weights is None:
        return Batch(backend, params, inputs, targets, None)
    check_array("weights", weights, backend)
    check_dtype("weights", weights)
    m = targets.shape[0]
    if tuple(weights.shape) != (m,):
        raise ValueError(f"`weights` must have the shape ({m},); got {tuple(weights.shape)}")
    inputs, targets = _without_dropped(backend, weights, (inputs, targets))
    return Batch(backend, params, inputs, targets, weights)


def _without_dropped(backend: Backend, weights: Array, trees: Tree) -> Tree:
    """Return containers whose rows of weight 0 repeat the row of the largest weight.

    What a dropped sample holds (NaN, say) then reaches neither outputs nor derivatives, for which
    multiplying by 0 would not be enough.
    """
    xp, m = backend.namespace, weights.shape[0]
    fixed = backend.stop_gradient(weights)
    places = xp.arange(m, device=backend.device_of(fixed))
    rows = xp.where(fixed != 0, places, xp.argmax(fixed))

    def keep(x: Any) -> Any:
        if not is_array(x) or x.ndim == 0 or x.shape[0] != m:
            return x
        return xp.take(x, rows, axis=0)

    return map(keep, trees)


def open_model(
    backend: Backend,
    loss: Any,
    predict: Any,
    batch: Batch,
    gamma: Any,
    metric: Any,
    decay: Any,
    *,
    live: bool = False,
) -> Model:
    """Evaluate network, loss and gradient at the parameters; `live` for a model to differentiate.

    Raises
    ------
    TypeError, ValueError
        As oracles document.
    """
    xp = backend.namespace
    line = linearize_predict(backend, predict, batch.params, batch.inputs, live=live)
    z = line.outputs
    m = z.shape[0]
    if batch.targets.shape[0] != m:
        raise ValueError(
            f"`targets` must hold as many samples as the outputs, {m}; got {batch.targets.shape[0]}"
        )
    if batch.weights is None:
        omega = xp.full_like(z[:, :1], 1.0 / m)
    else:
        share = xp.astype(batch.weights, z.dtype)
        total = xp.sum(share)
        omega = xp.expand_dims(share / xp.where(total == 0, xp.ones_like(total), total), axis=-1)
    leaves, structure = backend.tree_flatten(batch.params)
    near = proximity(backend, gamma, metric, decay, leaves, z)
    rows = loss_rows(backend, loss, batch.targets, line.column)
    slopes = rows.live_gradient(z) if live else rows.gradient(z)
    start = xp.sum(omega[:, 0] * rows.values(z))
    model = Model(backend, leaves, structure, line, rows, omega, near, slopes, [], start)
    gradient = model.decayed(model.pull(slopes))
    if near.decay is not None:
        weights = model._weights()
        start = start + 0.5 * near.decay * dot(weights, weights)
    return Model(backend, leaves, structure, line, rows, omega, near, slopes, gradient, start)
