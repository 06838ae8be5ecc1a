"""An array library nobody registered: all it has is `__array_namespace__`."""

import operator
from types import ModuleType

import array_api_compat.numpy as standard
import numpy as np


class Array:
    """A box around a NumPy array, with the operators of the standard and no method of NumPy."""

    def __init__(self, value):
        self.value = np.asarray(value)

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    device = property(lambda self: "cpu")
    mT = property(lambda self: Array(self.value.mT))

    def __array_namespace__(self, api_version=None):
        return namespace

    def __dlpack__(self, **options):
        return self.value.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.value.__dlpack_device__()

    def __getitem__(self, key):
        return Array(self.value[unbox(key)])

    def __bool__(self):
        return bool(self.value)

    def __float__(self):
        return float(self.value)

    def __int__(self):
        return int(self.value)


def unbox(x):
    if isinstance(x, Array):
        return x.value
    if isinstance(x, tuple | list):
        return type(x)(unbox(item) for item in x)
    return x


def box(x):
    if isinstance(x, np.ndarray | np.generic):
        return Array(x)
    if isinstance(x, tuple | list):
        return tuple(box(item) for item in x)
    return x


def boxed(function):
    return lambda *args, **kwargs: box(
        function(*unbox(args), **{name: unbox(value) for name, value in kwargs.items()})
    )


class Namespace:
    """NumPy's functions on boxed arrays."""

    __name__ = "tests.third_party"

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        found = getattr(self._module, name)
        if isinstance(found, ModuleType):  # an extension: linalg, fft
            return Namespace(found)
        is_function = callable(found) and not isinstance(found, type)
        return boxed(found) if is_function else found


namespace = Namespace(standard)


def deferring(function):
    """An operator that leaves types it does not know to the other side, as it should."""
    known = (Array, bool, int, float, complex)
    return lambda a, b: boxed(function)(a, b) if isinstance(b, known) else NotImplemented


_ARITHMETIC = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"
for _name in (_ARITHMETIC + " lt le eq ne gt ge").split():
    _f = getattr(operator, f"__{_name}__")
    setattr(Array, f"__{_name}__", deferring(_f))
    if _name not in ("lt", "le", "eq", "ne", "gt", "ge"):
        setattr(Array, f"__r{_name}__", deferring(lambda a, b, _f=_f: _f(b, a)))
for _name in ("neg", "pos", "abs", "invert"):
    setattr(Array, f"__{_name}__", boxed(getattr(operator, f"__{_name}__")))
