"""The largest entry of a row and the places of the few large ones, by explicit vectors.

The last vector of a row overlaps the one before: loops that compilers make are left with a
remainder, entry by entry, of which a row of a hundred has much. 64 comparisons are one word.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import Rows, compiled

__all__ = ["count_above", "peak", "places_above"]

_WIDTH = 64


_variable: Any = cgutils.alloca_once_value


def _load(context: Any, builder: Any, kind: Any, x: Any, start: Any, width: int) -> Any:
    """Entries start, ..., start + width - 1 of an array as one vector."""
    array = context.make_array(kind)(context, builder, x)
    lanes = ir.VectorType(context.get_data_type(kind.dtype), width)
    address = builder.bitcast(builder.gep(array.data, [start]), lanes.as_pointer())
    return builder.load(address, align=kind.dtype.bitwidth // 8)


def _spread(builder: Any, value: Any, width: int) -> Any:
    """Return a vector whose lanes are all the same number."""
    lanes = ir.VectorType(value.type, width)
    first = builder.insert_element(ir.Constant(lanes, ir.Undefined), value, cgutils.int32_t(0))
    all_lanes = ir.Constant(ir.VectorType(cgutils.int32_t, width), [0] * width)
    return builder.shuffle_vector(first, first, all_lanes)


def _comparisons(typing: Any, x: Any, start: Any, bound: Any) -> Any:
    """Bit j of the result: whether x[start + j] > bound, for 64 entries."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        values = _load(context, builder, kind, args[0], args[1], _WIDTH)
        level = context.cast(builder, args[2], types.float64, kind.dtype)
        bounds = _spread(builder, level, _WIDTH)
        return builder.bitcast(builder.fcmp_ordered(">", values, bounds), ir.IntType(64))

    return types.uint64(x, types.intp, types.float64), generate


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _across(builder: Any, values: Any, width: int) -> Any:
    """Largest lane of a vector, halving it."""
    while width > 1:
        width //= 2
        halves = [
            builder.shuffle_vector(
                values,
                values,
                ir.Constant(ir.VectorType(cgutils.int32_t, width), list(range(at, at + width))),
            )
            for at in (0, width)
        ]
        values = _larger(builder, *halves)
    return builder.extract_element(values, cgutils.int32_t(0))


def _peak_by(width: int) -> Any:
    """Largest entry of a row of at least `width`, NaN if there is one."""

    def peak(typing: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = signature.args[0]
            size = context.make_array(kind)(context, builder, args[0]).nitems
            step = ir.Constant(size.type, width)
            head = _load(context, builder, kind, args[0], ir.Constant(size.type, 0), width)
            best = _variable(builder, head)
            odd = builder.fcmp_unordered("uno", head, head)
            spoilt = _variable(builder, odd)
            last = builder.sub(size, step)
            with cgutils.for_range_slice(builder, step, size, step, size.type) as (start, _):
                # the last vector overlaps the one before
                late = builder.icmp_signed(">", start, last)
                begin = builder.select(late, last, start)
                values = _load(context, builder, kind, args[0], begin, width)
                builder.store(_larger(builder, values, builder.load(best)), best)
                odd = builder.fcmp_unordered("uno", values, values)
                builder.store(builder.or_(builder.load(spoilt), odd), spoilt)
            word = ir.IntType(width)
            flags = builder.bitcast(builder.load(spoilt), word)
            high = _across(builder, builder.load(best), width)
            nan = ir.Constant(high.type, float("nan"))
            high = builder.select(builder.icmp_unsigned("!=", flags, word(0)), nan, high)
            return context.cast(builder, high, kind.dtype, types.float64)

        return types.float64(x), generate

    return intrinsic(peak)


def _set_bits(typing: Any, word: Any) -> Any:
    """Count the bits that are set."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), generate


def _lowest_bit(typing: Any, word: Any) -> Any:
    """Place of the lowest bit that is set."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


_above: Any = intrinsic(_comparisons)
_first: Any = intrinsic(_lowest_bit)


_ones: Any = intrinsic(_set_bits)
_peak64, _peak8 = _peak_by(64), _peak_by(8)


@compiled
def peak(x: Rows) -> float:
    """Largest entry of a row; NaN if an entry is."""
    if x.size >= _WIDTH:
        return float(_peak64(x))
    if x.size >= 8:
        return float(_peak8(x))
    high = np.float64(x[0])
    for i in range(x.size):
        value = np.float64(x[i])
        high = high if value <= high else value
        if value != value:
            return np.nan
    return high


@compiled
def count_above(x: Rows, floor: float) -> int:
    """Count the entries above `floor`, which is rounded to their dtype."""
    count = np.int64(0)
    if x.size < _WIDTH:
        for i in range(x.size):
            count += np.int64(np.float64(x[i]) > floor)
        return int(count)
    for start in range(0, x.size, _WIDTH):
        again = max(0, start + _WIDTH - x.size)
        count += np.int64(_ones(_above(x, start - again, floor) >> np.uint64(again)))
    return int(count)


@compiled
def places_above(x: Rows, floor: float, places: Rows) -> int:
    """Write the places of the entries above `floor`, rounded to their dtype; count them."""
    # unsigned numbers: a signed index would be checked for counting from the end
    count, one, nothing = np.uint64(0), np.uint64(1), np.uint64(0)
    if x.size < _WIDTH:
        for i in range(x.size):
            places[count] = i
            count += one if np.float64(x[i]) > floor else nothing
        return int(np.int64(count))
    for start in range(0, x.size, _WIDTH):
        # the last word overlaps the one before, whose bits it drops
        again = max(0, start + _WIDTH - x.size)
        begin = start - again
        word = (_above(x, begin, floor) >> np.uint64(again)) << np.uint64(again)
        while word != nothing:
            places[count] = begin + np.int64(_first(word))
            count += one
            word &= word - one
    return int(np.int64(count))
