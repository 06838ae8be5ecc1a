"""The special functions that the array API lacks, the same on every library.

A library's own function is used where it has one that is as good; elsewhere the function is
computed by array-API calls to about 1e-14 in float64. All are differentiable on every library.
"""

from .bessel import i0e, i1e
from .gamma import digamma, gammaln, polygamma
from .lambert import lambertw, wright_omega
from .logarithms import expit, log1mexp, log_expit, logit, logsumexp, softplus, xlogy
from .normal import erf, erfc, erfcx, log_ndtr, ndtr, ndtri

__all__ = [
    "digamma",
    "erf",
    "erfc",
    "erfcx",
    "expit",
    "gammaln",
    "i0e",
    "i1e",
    "lambertw",
    "log1mexp",
    "log_expit",
    "log_ndtr",
    "logit",
    "logsumexp",
    "ndtr",
    "ndtri",
    "polygamma",
    "softplus",
    "wright_omega",
    "xlogy",
]
