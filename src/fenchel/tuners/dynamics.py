"""Learning rate and sharpness together, in the smallest model that shows how they meet.

Two numbers: x, the coordinate along the sharpest direction, and the sharpness there. Training
drives the sharpness up (progressive sharpening), and oscillations of x drive it down
(self-stabilisation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from ..arrays import check_choice, check_integer, check_number
from ..backend import backend_of
from ..loops import scan
from ..trees import find_backend, is_array

__all__ = ["Dynamics", "SharpeningLoss", "joint_dynamics"]

Scalar = Any
Array = Any


class Dynamics(NamedTuple):
    """A course of the recurrences: arrays of T + 1, T + 1 and T entries along the first axis.

    Parameters
    ----------
    x, sharpness
        States, the first one included.
    learning_rate
        Of each step.

    Examples
    --------
    >>> Dynamics([1.0, -1.0], [2.0, 2.0], [1.0]).learning_rate
    [1.0]
    """

    x: Any
    sharpness: Any
    learning_rate: Any


def joint_dynamics(
    tuner: str,
    steps: int,
    *,
    x: Scalar,
    sharpness: Scalar,
    progressive: Scalar,
    stabilizing: Scalar,
    learning_rate: Scalar | None = None,
    margin: Scalar | None = None,
    scaling: Scalar = 2.0,
    bulk_gradient: Scalar = 0.0,
    bulk_curvature: Scalar = 1.0,
) -> Dynamics:
    """Return the joint course of a coordinate and of the sharpness under a rule for the step.

    With learning rate r, sharpness s, a = `progressive` and b = `stabilizing`::

        x <- (1 - r s) x,        s <- s + r (a - b x^2)

    Parameters
    ----------
    tuner
        "constant": r is `learning_rate`. "undershoot": r = 2 (1 - `margin`) / s, as line searches
        and greedy rules stay below the edge. "cdat": r = `scaling` (s^2 x^2 + G) / (s^3 x^2 + c G)
        with G = `bulk_gradient` and c = `bulk_curvature`.
    steps
        Number of steps T.
    x, sharpness
        First state: numbers, or arrays of one shape.
    progressive, stabilizing
        How fast the sharpness grows by itself, and how strongly oscillations lower it.
    learning_rate, margin, scaling
        Of the rules.
    bulk_gradient, bulk_curvature
        Squared norm of the gradient in the other directions, and the curvature there.

    Returns
    -------
    Dynamics
        `x`, `sharpness` (T + 1 entries) and `learning_rate` (T entries); float64 NumPy arrays
        unless an argument is an array, whose library the results then belong to.

    Raises
    ------
    ValueError
        If `tuner` is unknown, `steps` is negative, or the option that the rule needs is missing.

    Notes
    -----
    The recurrences are gradient descent on `SharpeningLoss`. Undershooting holds r s at
    2 (1 - margin), so that x dies out and nothing stops the sharpness: s_t^2 grows like
    4 (1 - margin) a t and the learning rate falls like 1 / sqrt(t). "cdat" at scaling 2 keeps x
    alive and the sharpness bounded.

    *Derivatives*: those of the recurrences, in every argument.

    References
    ----------
    V. Roulet et al., arXiv 2407.06183, with the model of A. Damian, E. Nichani, J. Lee,
    "Self-Stabilization", arXiv 2209.15594. The bulk of "cdat" is an extension.

    Examples
    --------
    >>> course = joint_dynamics("undershoot", 20000, x=0.1, sharpness=5.0, progressive=1.0,
    ...                         stabilizing=0.1, margin=0.1)
    >>> course.sharpness.shape, round(float(course.sharpness[-1]), 3)
    ((20001,), 268.388)
    """
    check_choice("tuner", tuner, ("constant", "undershoot", "cdat"))
    steps = check_integer("steps", steps, minimum=0)
    needed = {"constant": ("learning_rate", learning_rate), "undershoot": ("margin", margin)}
    name, value = needed.get(tuner, ("", 0.0))
    if value is None:
        raise ValueError(f"`{name}` must be given for tuner={tuner!r}; got None")
    rule = _Rule(
        tuner,
        progressive,
        stabilizing,
        learning_rate,
        margin,
        scaling,
        bulk_gradient,
        bulk_curvature,
    )
    if find_backend((x, sharpness, *rule[1:])) is None:
        return _floats(rule, float(x), float(sharpness), steps)
    return _arrays(rule, x, sharpness, steps)


class _Rule(NamedTuple):
    """The options of the recurrences."""

    tuner: str
    progressive: Scalar
    stabilizing: Scalar
    learning_rate: Scalar
    margin: Scalar
    scaling: Scalar
    bulk_gradient: Scalar
    bulk_curvature: Scalar

    def next(self, x: Scalar, s: Scalar) -> tuple[Scalar, Scalar, Scalar]:
        """Return the next state and the learning rate that leads there."""
        if self.tuner == "constant":
            rate = self.learning_rate
        elif self.tuner == "undershoot":
            rate = 2.0 * (1.0 - self.margin) / s
        else:
            slope, bulk = s * s * x * x, self.bulk_gradient
            rate = self.scaling * (slope + bulk) / (s * slope + self.bulk_curvature * bulk)
        drift = self.progressive - self.stabilizing * (x * x)
        return (1.0 - rate * s) * x, s + rate * drift, rate


def _floats(rule: _Rule, x: float, s: float, steps: int) -> Dynamics:
    import numpy as np

    xs, sharp, rates = np.empty(steps + 1), np.empty(steps + 1), np.empty(steps)
    xs[0], sharp[0] = x, s
    for t in range(steps):
        x, s, rates[t] = rule.next(x, s)
        xs[t + 1], sharp[t + 1] = x, s
    return Dynamics(xs, sharp, rates)


def _arrays(rule: _Rule, x: Scalar, s: Scalar, steps: int) -> Dynamics:
    arrays = [leaf for leaf in (x, s, *rule[1:]) if is_array(leaf)]
    xp = backend_of(*arrays).namespace
    zero = 0.0 * arrays[0]
    for leaf in arrays[1:]:
        zero = zero + 0.0 * leaf
    x, s = zero + x, zero + s
    if not steps:
        return Dynamics(x[None, ...], s[None, ...], zero[None, ...][:0, ...])

    def step(carry: Any, _: Any) -> Any:
        x, s, rate = rule.next(*carry)
        return (x, s), (x, s, zero + rate)

    _, (xs, sharp, rates) = scan(step, (x, s), None, length=steps)
    return Dynamics(xp.concat([x[None, ...], xs]), xp.concat([s[None, ...], sharp]), rates)


@dataclass(frozen=True)
class SharpeningLoss:
    """The loss of two parameters whose gradient descent is the recurrence of `joint_dynamics`.

    L(x, z) = (s0 + c z) x^2 / 2 - alpha z with c = sqrt(2 b) and alpha = a / c: the sharpness along
    x is s0 + c z.

    Parameters
    ----------
    sharpness
        s0, that at z = 0.
    progressive, stabilizing
        a >= 0 and b > 0 of the recurrence.

    Raises
    ------
    ValueError
        If an argument lies outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> loss = SharpeningLoss(9.5, progressive=0.02, stabilizing=0.2)
    >>> params = {"x": np.asarray(0.1), "z": np.asarray(0.0)}
    >>> round(float(loss(params)), 9), float(loss.sharpness_at(params))
    (0.0475, 9.5)
    """

    sharpness: float
    progressive: float
    stabilizing: float

    def __post_init__(self) -> None:
        check_number("sharpness", self.sharpness)
        check_number("progressive", self.progressive, minimum=0.0)
        check_number("stabilizing", self.stabilizing, above=0.0)

    def __call__(self, params: dict[str, Scalar]) -> Scalar:
        """Return the loss at `params["x"]` and `params["z"]`, scalars."""
        x, z = params["x"], params["z"]
        alpha = self.progressive / self._coupling
        return 0.5 * self.sharpness_at(params) * x * x - alpha * z

    def sharpness_at(self, params: dict[str, Scalar]) -> Scalar:
        """Return the second derivative along x."""
        return self.sharpness + self._coupling * params["z"]

    @property
    def _coupling(self) -> float:
        return float((2.0 * self.stabilizing) ** 0.5)
