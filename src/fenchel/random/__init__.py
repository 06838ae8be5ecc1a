"""One face over every library's generator or key, and a stream that is the same on all of them."""

from .draws import (
    bernoulli,
    exponential,
    gumbel,
    integers,
    laplace,
    logistic,
    normal,
    rademacher,
    uniform,
)
from .philox import philox4x32
from .sources import Sampler, sampler
from .stream import RandomStream

__all__ = [
    "RandomStream",
    "Sampler",
    "bernoulli",
    "exponential",
    "gumbel",
    "integers",
    "laplace",
    "logistic",
    "normal",
    "philox4x32",
    "rademacher",
    "sampler",
    "uniform",
]
