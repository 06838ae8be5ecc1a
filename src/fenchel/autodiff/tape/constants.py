"""Functions whose derivative is zero, and questions about data types: plain values."""

from __future__ import annotations

from .rules import Constant, Rule

__all__ = ["RULES"]

_NAMES = (
    # comparisons and logic
    *("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"),
    *("logical_and", "logical_or", "logical_not", "logical_xor", "all", "any"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert"),
    *("bitwise_left_shift", "bitwise_right_shift"),
    *("isfinite", "isinf", "isnan", "signbit", "nextafter"),
    # piecewise constant
    *("floor", "ceil", "trunc", "round", "floor_divide"),
    # places and counts
    *("argmax", "argmin", "argsort", "searchsorted", "nonzero", "count_nonzero", "isin"),
    "linalg.matrix_rank",
    # shapes and data types of an example array
    *("zeros_like", "ones_like", "empty_like"),
    *("can_cast", "result_type", "finfo", "iinfo"),
)

RULES: dict[str, Rule] = {name: Constant() for name in _NAMES}
