"""Row kernels as handlers of XLA's foreign function interface.

A handler gets the address of the call frame. On a 64-bit machine the words that matter are:
frame: extension 8, stage 32, arguments 40 (pointers 72), results 80 (pointers 112); buffer: data
24, rank 32, dims 40; extension: type 8, next 16; metadata extension: metadata 24.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..table import KernelSpec

__all__ = ["make_handler"]

# numba types its decorators for functions of Python, these speak of machine words
_cfunc: Any = numba.cfunc
_carray: Any = numba.carray  # type: ignore[attr-defined]
_pointer: Any = types.CPointer

_EXECUTE, _METADATA = 3, 1
_ARGUMENTS, _RESULTS = 72, 112
_Reader = Callable[[int, int, int], Any]
_F = TypeVar("_F", bound=Callable[..., Any])


def _njit(function: _F) -> _F:
    return cast(_F, numba.njit(function))


def _pointer_to(element: Any) -> Any:
    @intrinsic
    def pointer(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

        return _pointer(element)(types.intp), generate

    return pointer


_as_int64, _as_int32 = _pointer_to(types.int64), _pointer_to(types.int32)
_AS = {
    "int32": _as_int32,
    "float32": _pointer_to(types.float32),
    "float64": _pointer_to(types.float64),
}


@_njit
def _word(address: int, offset: int) -> Any:
    return _as_int64(address + offset)[0]


@_njit
def _leading(buffer: int) -> tuple[int, int]:
    """Product of the leading dimensions of a buffer, and its last dimension."""
    rank, dims = _word(buffer, 32), _word(buffer, 40)
    rows = 1
    for i in range(rank - 1):
        rows *= _word(dims, 8 * i)
    return rows, _word(dims, 8 * (rank - 1))


@_njit
def _answers_query(frame: int, major: int, minor: int) -> bool:
    """At registration XLA asks for the version: write it down, with no traits."""
    extension = _word(frame, 8)
    while extension != 0:
        if _as_int32(extension + 8)[0] == _METADATA:
            metadata = _word(extension, 24)
            _as_int32(metadata + 24)[0] = major
            _as_int32(metadata + 28)[0] = minor
            _as_int32(metadata + 32)[0] = 0
            return True
        extension = _word(extension, 16)
    return bool(_as_int32(frame + 32)[0] != _EXECUTE)


def _reader(pointers: int, index: int, dtype: str, entries: bool) -> _Reader:
    """Rows `first` to `first + count` of one buffer, as an array; each has its own width."""
    cast, size = _AS[dtype], np.dtype(dtype).itemsize

    @_njit
    def rows_of(frame: int, first: int, count: int) -> Any:
        buffer = _word(_word(frame, pointers), 8 * index)
        n = _leading(buffer)[1]
        return _carray(cast(_word(buffer, 24) + first * n * size), (count, n))

    @_njit
    def values_of(frame: int, first: int, count: int) -> Any:
        data = _word(_word(_word(frame, pointers), 8 * index), 24)
        return _carray(cast(data + first * size), (count,))

    chosen: _Reader = rows_of if entries else values_of
    return chosen


def _tuple_of(readers: Sequence[_Reader]) -> _Reader:
    """Read a tuple of buffers; their types differ, so it is built one by one."""
    head = readers[0]
    if len(readers) == 1:

        @_njit
        def last(frame: int, first: int, count: int) -> Any:
            return (head(frame, first, count),)

        return last
    tail = _tuple_of(readers[1:])

    @_njit
    def read(frame: int, first: int, count: int) -> Any:
        return (head(frame, first, count), *tail(frame, first, count))

    return read


_unpack: Any = cgutils.unpack_tuple


def _call_address(typing: Any, address: Any, arrays: Any) -> Any:
    """Call a compiled row kernel by its address.

    A call by name would link the kernel into the handler and compile it a second time.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        convention = context.call_conv
        function = convention.get_function_type(types.none, arrays.types)
        callee = builder.inttoptr(args[0], function.as_pointer())
        values = _unpack(builder, args[1], len(arrays.types))
        convention.call_function(builder, callee, types.none, arrays.types, values)
        return context.get_dummy_value()

    return types.none(types.intp, arrays), generate


_call: Any = intrinsic(_call_address)


def _address(spec: KernelSpec, kernel: Any, dtype: str) -> int:
    """Compile a kernel for a dtype, or load it from the cache, and return where it is."""
    real = numba.from_dtype(np.dtype(dtype))
    arguments = [types.Array(real, 2, "C")] * (len(spec.inputs) + 1)
    for output in spec.outputs:
        element = types.int32 if output.dtype == "int32" else real
        arguments.append(types.Array(element, 1 if output.extent == "rows" else 2, "C"))
    kernel.compile(tuple(arguments))
    compiled = kernel.overloads[tuple(arguments)]
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


def make_handler(
    spec: KernelSpec, kernel: Callable[..., None], dtype: str, version: tuple[int, int]
) -> int:
    """Compile a handler for a kernel and return its address; it lives as long as the process."""
    kinds = [(_ARGUMENTS, i, dtype, True) for i in range(len(spec.inputs))]
    inputs = _tuple_of([_reader(*kind) for kind in kinds])
    packed = _reader(_ARGUMENTS, len(spec.inputs), dtype, True)
    outputs = _tuple_of(
        [
            _reader(_RESULTS, i, "int32" if y.dtype == "int32" else dtype, y.extent != "rows")
            for i, y in enumerate(spec.outputs)
        ]
    )
    major, minor = version
    last, address = 8 * len(spec.inputs), _address(spec, kernel, dtype)

    def handler(frame: int) -> int:
        if _answers_query(frame, major, minor):
            return 0
        rows = _leading(_word(_word(frame, _ARGUMENTS), 0))[0]
        groups = _leading(_word(_word(frame, _ARGUMENTS), last))[0]
        # a mapped axis gives one row of parameters to several rows of entries
        calls = 1 if groups == rows else min(groups, rows)
        for call in range(calls):
            share, count = groups // calls, rows // calls
            params = (packed(frame, call * share, share),)
            first = inputs(frame, call * count, count)
            _call(address, first + params + outputs(frame, call * count, count))
        return 0

    compiled = _cfunc(types.intp(types.intp), error_model="numpy")(handler)
    _ALIVE.append(compiled)
    return int(compiled.address)


_ALIVE: list[Any] = []
