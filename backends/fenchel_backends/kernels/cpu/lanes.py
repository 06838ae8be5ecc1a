"""Places of the few large entries of a row: 64 comparisons at a time, as the bits of one word."""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import Rows, compiled

__all__ = ["places_above"]

_WIDTH = 64


def _comparisons(typing: Any, x: Any, start: Any, bound: Any) -> Any:
    """Bit j of the result: whether x[start + j] > bound, for 64 entries."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, args[0])
        real = context.get_data_type(signature.args[0].dtype)
        lanes = ir.VectorType(real, _WIDTH)
        address = builder.bitcast(builder.gep(array.data, [args[1]]), lanes.as_pointer())
        values = builder.load(address, align=signature.args[0].dtype.bitwidth // 8)
        first = builder.insert_element(
            ir.Constant(lanes, ir.Undefined), args[2], cgutils.int32_t(0)
        )
        all_lanes = ir.Constant(ir.VectorType(cgutils.int32_t, _WIDTH), [0] * _WIDTH)
        bounds = builder.shuffle_vector(first, first, all_lanes)
        return builder.bitcast(builder.fcmp_ordered(">", values, bounds), ir.IntType(64))

    return types.uint64(x, types.intp, x.dtype), generate


def _lowest_bit(typing: Any, word: Any) -> Any:
    """Place of the lowest bit that is set."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


_above: Any = intrinsic(_comparisons)
_first: Any = intrinsic(_lowest_bit)


@compiled
def places_above(x: Rows, floor: Rows, places: Rows) -> int:
    """Write the places of the entries above ``floor[0]``, which is of their dtype; count them."""
    # unsigned numbers: a signed index would be checked for counting from the end
    count, one, nothing, bound = np.uint64(0), np.uint64(1), np.uint64(0), floor[0]
    if x.size < _WIDTH:
        for i in range(x.size):
            places[count] = i
            count += one if x[i] > bound else nothing
        return int(np.int64(count))
    for start in range(0, x.size, _WIDTH):
        # the last word overlaps the one before, whose bits it drops
        again = max(0, start + _WIDTH - x.size)
        begin = start - again
        word = (_above(x, begin, bound) >> np.uint64(again)) << np.uint64(again)
        while word != nothing:
            places[count] = begin + np.int64(_first(word))
            count += one
            word &= word - one
    return int(np.int64(count))
