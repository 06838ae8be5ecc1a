"""Exponential and logarithm that LLVM turns into vector code: no branch, no table, no call.

Both reduce their argument by a power of two, read off or written into the exponent bits, and
evaluate a near-minimax polynomial: 3e-16 relative in double precision, 1e-7 in single.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from .jit import inlined

__all__ = ["LOWEST32", "LOWEST64", "exp32", "exp64", "log64"]

LOWEST32, LOWEST64 = np.float32(-87.3), -708.0  # exp is a normal number from here on

# 1.5 * 2^p plus the bias of the exponent: added to an integer k, it leaves k + bias in the low bits
_SCALES = {
    types.float32: (32, 23, 1.5 * 2.0**23 + 127),
    types.float64: (64, 52, 1.5 * 2.0**52 + 1023),
}


def _power_of_two(typing: Any, k: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        size, shift, magic = _SCALES[signature.args[0]]
        real = args[0].type
        integer = context.get_value_type(types.int64 if size == 64 else types.int32)
        bits = builder.bitcast(builder.fadd(args[0], real(magic)), integer)
        return builder.bitcast(builder.shl(bits, integer(shift)), real)

    return k(k), generate


_exp2: Any = intrinsic(_power_of_two)

_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
_INTEGER_MAGIC = 0x4338000000000000  # the bits of 1.5 * 2^52


def _split_exponent(typing: Any, x: Any) -> Any:
    """Write x = m 2^k with m in [sqrt(1/2), sqrt(2)); both as floats."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        real, integer = args[0].type, context.get_value_type(types.int64)
        bits = builder.bitcast(args[0], integer)
        above = builder.sub(bits, integer(_SQRT_HALF_BITS))
        kept = builder.and_(above, integer(-(1 << 52)))
        mantissa = builder.bitcast(builder.sub(bits, kept), real)
        # an arithmetic shift by hand: vector units before AVX-512 have none for 64 bits
        biased = builder.lshr(builder.add(kept, integer(1 << 62)), integer(52))
        shifted = builder.bitcast(builder.add(biased, integer(_INTEGER_MAGIC)), real)
        k = builder.fsub(shifted, real(1.5 * 2.0**52 + 1024))
        return context.make_tuple(builder, signature.return_type, (k, mantissa))

    pair: Any = types.UniTuple
    return pair(types.float64, 2)(types.float64), generate


_split: Any = intrinsic(_split_exponent)

_LOG2E32, _HALF32, _ONE32 = np.float32(1.4426950408889634), np.float32(0.5), np.float32(1.0)
_HIGH32, _LOW32 = np.float32(0.693359375), np.float32(-2.12194440e-4)
_E2, _E3, _E4, _E5, _E6 = map(
    np.float32,
    (0.5, 0.16666576989698775, 0.041666554617204574, 0.008363179052722578, 0.0013926183587713494),
)


@inlined
def exp32(x: Any) -> Any:
    """Exponential in single precision, for x in [LOWEST32, 88]; NaN stays NaN."""
    k = np.floor(x * _LOG2E32 + _HALF32)
    r = (x - k * _HIGH32) - k * _LOW32
    q = (((_E6 * r + _E5) * r + _E4) * r + _E3) * r + _E2
    return ((q * r + _ONE32) * r + _ONE32) * _exp2(k)


_HIGH64, _LOW64 = 6.93147180369123816490e-01, 1.90821492927058770002e-10


@inlined
def exp64(x: Any) -> Any:
    """Exponential in double precision, for x in [LOWEST64, 709]; NaN stays NaN."""
    k = np.floor(x * 1.4426950408889634 + 0.5)
    r = (x - k * _HIGH64) - k * _LOW64
    q = 2.510038549551032e-08 * r + 2.7620088445409746e-07
    q = (q * r + 2.7557268459997064e-06) * r + 2.4801521295954376e-05
    q = (q * r + 0.00019841269863053618) * r + 0.0013888888917213717
    q = (q * r + 0.008333333333330062) * r + 0.04166666666662413
    q = (q * r + 0.16666666666666669) * r + 0.5
    return ((q * r + 1.0) * r + 1.0) * _exp2(k)


@inlined
def log64(x: Any) -> Any:
    """Natural logarithm of a positive normal number, accurate around 1 as well."""
    k, m = _split(x)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    b = 0.06543453943982513 * z + 0.06634373097798298
    b = (b * z + 0.07693120354484832) * z + 0.09090897810816391
    b = (b * z + 0.11111111195943532) * z + 0.14285714285401424
    b = (b * z + 0.2000000000000044) * z + 0.3333333333333333
    return k * _HIGH64 + (2.0 * s + (2.0 * s * z * b + k * _LOW64))
