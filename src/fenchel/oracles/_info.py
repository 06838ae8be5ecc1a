"""What an oracle says of its direction."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["OracleInfo"]

Array = Any


class OracleInfo(NamedTuple):
    """What an oracle says of its direction.

    Attributes
    ----------
    value
        P(d), the model at the direction returned.
    dual
        Dual point, shaped like the outputs: -gamma/m J^T dual is the direction, before the model
        step, without metric and weight decay; dual = grad h is the gradient's.
    gap
        Duality gap P(d) - D(dual) of the pair returned.
    slope
        <g, d>, the derivative of the objective along the direction.
    model_decrease
        P(0) - P(d).
    iterations
        Steps of the solver.
    certified_descent
        Whether the model proves that the objective decreases along the direction.

    Examples
    --------
    >>> from fenchel.oracles import OracleInfo
    >>> OracleInfo._fields[:3]
    ('value', 'dual', 'gap')
    """

    value: Array
    dual: Array
    gap: Array
    slope: Array
    model_decrease: Array
    iterations: Any
    certified_descent: Array
