"""Gradient descent on the exact losses of diagonal heads and positional weights (figure 3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fenchel.incontext import population_gradient, population_loss, positional_profile
from fenchel.loops import fori_loop

from ..figures import COLORS, new_figure
from ..paper import Claim, Run

__all__ = ["claims", "tour"]

DIM, LENGTH = 10, 20
PREFIXES = LENGTH - 1  # lengths 2, ..., 20
CHUNK = 50


class Descent:
    """Parameters A, B and P after steps of gradient descent, and the losses on the way."""

    def __init__(
        self, run: Run, kind: str, heads: int, rate: float, steps: int, seed: int = 0
    ) -> None:
        import numpy as np

        rng, library = np.random.default_rng(seed), run.library
        shapes = (heads, DIM), (heads, DIM), (LENGTH, LENGTH)
        params = tuple(library.array(0.1 * rng.standard_normal(shape)) for shape in shapes)

        def step(_: Any, params: Any) -> Any:
            slopes = population_gradient(*params, kind=kind)
            return tuple(x - rate * slope for x, slope in zip(params, slopes, strict=True))

        advance = library.compiled(lambda params: fori_loop(0, CHUNK, step, params))
        measure = library.compiled(lambda params: population_loss(*params, kind=kind))
        self.losses = [float(library.numpy(measure(params)))]
        for _ in run.progress(range(steps // CHUNK), f"{kind}, {heads} heads"):
            params = advance(params)
            self.losses.append(float(library.numpy(measure(params))))
        self.A, self.B, P = (library.numpy(x) for x in params)
        self.P = np.tril(P)

    @property
    def product(self) -> Any:
        """C times the weight of the last token, of the longest prefix."""
        return self.P[-1, -1] * self.B.T @ self.A

    @property
    def ratio(self) -> float:
        """Weight of the token before the last over that of the last, mean over long prefixes."""
        rows = range(LENGTH // 2, LENGTH)
        return float(sum(self.P[t, t - 1] / self.P[t, t] for t in rows) / len(rows))


def claims(run: Run) -> Iterator[Claim]:
    """Yield what descent finds on unitary contexts and on rotations."""
    found = Descent(run, "unitary", DIM, 0.01, 1500)
    yield Claim("unitary, as many heads as coordinates: loss", found.losses[-1], "<=", 1e-10)
    off, ends = _off_diagonal(found.product), abs(found.product.diagonal() - 1).max()
    yield Claim("unitary: largest entry of C off the diagonal over those on it", off, "<=", 1e-6)
    yield Claim("unitary: distance of p_T C_ii from 1", float(ends), "<=", 1e-5)
    fewer = Descent(run, "unitary", 4, 0.01, 1500)
    gap = abs(fewer.losses[-1] / PREFIXES - (DIM - 4))
    yield Claim("unitary, 4 heads: distance of the mean loss from 10 - 4", gap, "<=", 1e-3)
    pairs = Descent(run, "rotation", 8, 0.003, 6000)
    yield Claim("rotations, 8 heads: loss", pairs.losses[-1], "<=", 1.0)
    within, outside = _blocks(pairs.product)
    yield Claim("rotations: within a plane, smallest entry of C over largest", within, ">=", 0.9)
    yield Claim("rotations: largest entry of C outside over the diagonal", outside, "<=", 0.02)
    yield _trigonometric(pairs)
    run.save(_draw(found, fewer, pairs), "descent")


def tour(run: Run) -> Claim:
    """Learn heads and positional weights on rotations: the weights of a trigonometric identity."""
    pairs = Descent(run, "rotation", 8, 0.003, 6000)
    run.save(_draw_weights(pairs), "incontext")
    return _trigonometric(pairs)


def _trigonometric(pairs: Descent) -> Claim:
    """The identity 2 cos R_t = R_2t + I asks for -1/2, which descent is on its way to."""
    statement = "rotations: distance of p_{T-1} / p_T, learnt, from -0.485"
    return Claim(statement, abs(pairs.ratio + 0.485), "<=", 0.065)


def _off_diagonal(product: Any) -> float:
    import numpy as np

    diagonal = np.abs(product.diagonal())
    return float(np.abs(product - np.diag(product.diagonal())).max() / diagonal.min())


def _blocks(product: Any) -> tuple[float, float]:
    """Return how even the 2 x 2 blocks are, and how large the rest is beside the diagonal."""
    import numpy as np

    blocks = product.reshape(DIM // 2, 2, DIM // 2, 2).swapaxes(1, 2)
    own = blocks[np.arange(DIM // 2), np.arange(DIM // 2)].reshape(DIM // 2, 4)
    rest = blocks[~np.eye(DIM // 2, dtype=bool)]
    return float((own.min(1) / own.max(1)).min()), float(np.abs(rest).max() / own.mean())


def _draw(found: Descent, fewer: Descent, pairs: Descent) -> Any:
    import numpy as np

    figure, (left, middle, right) = new_figure(3)
    for run, label, color in (
        (found, "unitary, 10 heads", "soft"),
        (fewer, "unitary, 4 heads", "smooth"),
        (pairs, "rotations, 8 heads", "reference"),
    ):
        steps = CHUNK * np.arange(len(run.losses))
        left.plot(steps, np.maximum(run.losses, 1e-15), color=COLORS[color], label=label)
    left.set(yscale="log", xlabel="step", ylabel="loss, all prefixes", title="Exact losses")
    left.legend(frameon=False)
    _show(middle, pairs.product, "Rotations: C")
    _profile(right, pairs)
    return figure


def _draw_weights(pairs: Descent) -> Any:
    figure, (left, right) = new_figure(2)
    _show(left, pairs.P / abs(pairs.P).max(), "Rotations: learnt P")
    _profile(right, pairs)
    return figure


def _show(axis: Any, matrix: Any, title: str) -> None:
    bound = abs(matrix).max()
    axis.imshow(matrix, cmap="RdBu_r", vmin=-bound, vmax=bound)
    axis.set(title=title, xticks=[], yticks=[])


def _profile(axis: Any, pairs: Descent) -> None:
    profile = positional_profile(pairs.P[2:, 2:])[:6]
    axis.bar(range(len(profile)), profile / profile[0], color=COLORS["soft"])
    axis.axhline(-0.5, color=COLORS["hard"], linestyle="--", label="2 cos R = R² + I")
    axis.set(xlabel="lag", ylabel="weight over that of the last", title="Rotations: weights")
    axis.legend(frameon=False)
