"""Directions by dense primal solves in NumPy, with Hessians written out by hand."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import fenchel
from fenchel import losses
from fenchel.autodiff import hessian

CLASSES = ("logistic", "sparsemax_loss", "entmax_loss")
NONSMOOTH = ("hinge", "absolute", "perceptron")


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def support_hessian(p, alpha):
    s = np.where(p > 0, np.where(p > 0, p, 1.0) ** (2.0 - alpha), 0.0)
    return _diag(s) - s[:, :, None] * s[:, None, :] / s.sum(axis=-1)[:, None, None]


def _diag(v):
    return v[:, :, None] * np.eye(v.shape[1])


def _sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


# Loss, and its Hessians (m, k, k) at scores z for targets y.
SMOOTH = {
    "logistic": (losses.logistic, lambda z, y: support_hessian(softmax(z), 1.0)),
    "squared": (losses.squared, lambda z, y: _diag(np.ones_like(z))),
    "sparsemax_loss": (
        losses.sparsemax_loss,
        lambda z, y: support_hessian(losses.sparsemax_loss.link(z), 2.0),
    ),
    "entmax_loss": (
        losses.entmax_loss(alpha=1.5),
        lambda z, y: support_hessian(losses.entmax_loss(alpha=1.5).link(z), 1.5),
    ),
    "binary_logistic": (
        losses.binary_logistic,
        lambda z, y: _diag(_sigmoid(z) * (1.0 - _sigmoid(z))),
    ),
    "huber": (losses.huber(delta=0.7), lambda z, y: _diag((np.abs(z - y) < 0.7) * 1.0)),
    "squared_hinge": (losses.squared_hinge, lambda z, y: _diag((z * y < 1) * 1.0)),
    "cube": (losses.cube, lambda z, y: _diag(((z > 0) & (z < 1)) * 1.0)),
    "fitzpatrick_squared": (losses.fitzpatrick_squared, lambda z, y: _diag(0.5 * np.ones_like(z))),
}


def by_derivatives(loss):
    """Hessians (m, k, k) of a loss without a formula of its own here."""

    def found(z, y):
        whole = hessian(lambda v: loss(v, y, reduction="sum"))(z)
        return np.stack([whole[i, :, i, :] for i in range(len(z))])

    return found


# The other losses, with the one whose targets they take.
OTHERS = {
    "binary_sparse": (losses.binary_sparse, "binary_logistic"),
    "fitzpatrick_binary_logistic": (losses.fitzpatrick_binary_logistic, "binary_logistic"),
    "fitzpatrick_entmax": (losses.fitzpatrick_entmax(alpha=1.5), "logistic"),
    "fitzpatrick_logistic": (losses.fitzpatrick_logistic, "logistic"),
    "fitzpatrick_sparsemax": (losses.fitzpatrick_sparsemax, "logistic"),
    "jensen_shannon": (losses.f_divergence_loss(divergence="jensen_shannon"), "logistic"),
    "perceptron": (losses.perceptron, "logistic"),
}
EVERY = (*SMOOTH, "hinge", "absolute", *OTHERS)


@dataclass
class Problem:
    """A batch for a network w -> tanh(x A) b + c of flat weights."""

    name: str
    loss: object
    w: np.ndarray
    x: np.ndarray
    y: np.ndarray
    k: int

    def predict(self, w, x):
        xp, n, k = fenchel.namespace(w), self.x.shape[1], self.k
        hidden = (w.shape[0] - k) // (n + k)
        a = xp.reshape(w[: n * hidden], (n, hidden))
        b = xp.reshape(w[n * hidden : (n + k) * hidden], (hidden, k))
        return xp.matmul(xp.tanh(xp.matmul(x, a)), b) + w[(n + k) * hidden :]

    def jacobian(self):
        """Return the outputs (m, k) and J (m k, p), by complex steps."""
        n, k = self.x.shape[1], self.k
        hidden = (self.w.shape[0] - k) // (n + k)

        def outputs(w):
            a = w[: n * hidden].reshape(n, hidden)
            b = w[n * hidden : (n + k) * hidden].reshape(hidden, k)
            return np.tanh(self.x @ a) @ b + w[(n + k) * hidden :]

        eye = np.eye(self.w.shape[0])
        rows = [outputs(self.w + 1e-30j * e).imag.ravel() / 1e-30 for e in eye]
        return outputs(self.w), np.stack(rows, axis=1)

    def system(self, weights=None, decay=0.0):
        """Return B + decay, g and the objective of the Gauss-Newton model."""
        f, jac = self.jacobian()
        m, k = f.shape
        omega = np.full(m, 1.0 / m) if weights is None else weights / weights.sum()
        bend = SMOOTH[self.name][1] if self.name in SMOOTH else by_derivatives(self.loss)
        bent = bend(f, self.y) * omega[:, None, None]
        b = jac.T @ np.einsum("mij,mjp->mip", bent, jac.reshape(m, k, -1)).reshape(m * k, -1)
        slopes = self.loss.value_and_grad(f, self.y, reduction="none")[1] * omega[:, None]
        values = self.loss(f, self.y, reduction="none").reshape(m, -1).sum(axis=1)
        g = jac.T @ slopes.ravel() + decay * self.w
        start = omega @ values + 0.5 * decay * self.w @ self.w
        return b + decay * np.eye(b.shape[0]), g, start

    def primal_and_dual(self, d, dual, gamma, decay=0.0):
        """Return P(d) and D(dual) of the prox-linear model, from the definitions, and d(dual)."""
        f, jac = self.jacobian()
        m = f.shape[0]

        def mean(values):
            return values.reshape(m, -1).sum(axis=1).mean()

        z = f + (jac @ d).reshape(f.shape)
        ridge = decay + 1.0 / gamma
        primal = mean(self.loss(z, self.y, reduction="none")) + d @ d / (2 * gamma)
        primal += 0.5 * decay * np.sum((self.w + d) ** 2)
        pulled = jac.T @ dual.ravel() / m + decay * self.w
        value = mean((f * dual).sum(axis=1)) - mean(self.loss.conjugate(dual, self.y))
        value += 0.5 * decay * self.w @ self.w - 0.5 * pulled @ pulled / ridge
        return primal, value, -pulled / ridge


def problem(name, m=4, k=3, n=2, hidden=2, seed=0, scale=1.0):
    if name in OTHERS:
        found, like = OTHERS[name]
        return replace(problem(like, m, k, n, hidden, seed, scale), name=name, loss=found)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(m, n))
    w = scale * rng.normal(size=(n + k) * hidden + k)
    if name in (*CLASSES, "hinge"):
        y = rng.integers(0, k, m)
    elif name == "squared_hinge":
        y = rng.choice([-1.0, 1.0], (m, k))
    elif name in ("binary_logistic", "cube"):
        y = rng.integers(0, 2, (m, k)).astype(float)
    else:
        y = rng.normal(size=(m, k))
    found = SMOOTH[name][0] if name in SMOOTH else getattr(losses, name)
    return Problem(name, found, w, x, y, k)


def compiled_only(xp):
    if xp.name == "jax":
        pytest.skip("operation by operation JAX compiles for half a minute; the jitted twin runs")
