"""Contexts: the matrices that drive autoregressive sequences, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Any

from ..arrays import check_choice, check_dtype, check_integer, check_number, narrow, widen
from ..backend import backend_named, backend_of
from ..random import sampler
from ..trees import register_dataclass
from ._numbers import check_numbers, identity
from ._rotations import block_diagonal, pair_angles
from ._sizes import check_dim

__all__ = ["KINDS", "Context", "ContextSampler", "companion"]

Array = Any

KINDS = ("unitary", "rotation", "orthogonal", "stable")
_BY_ANGLES = ("unitary", "rotation")


@register_dataclass(static=("kind",))
@dataclass(frozen=True)
class Context:
    r"""Matrices W of sequences :math:`s_{t+1} = W s_t`, given by angles or as they are.

    Parameters
    ----------
    kind
        ``"unitary"``: W = diag(exp(i angles)), sequences are complex. ``"rotation"``: real, one
        plane rotation for each pair of coordinates. ``"orthogonal"``, ``"stable"``: any matrix.
    angles
        Angles (..., d) of a unitary context, (..., d/2) of a rotation.
    matrix
        Matrices (..., d, d) of the other kinds.

    Raises
    ------
    TypeError
        If the array is not floating.
    ValueError
        If `kind` is unknown, or what it needs is not given or has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> Context("rotation", angles=np.asarray([np.pi / 2])).as_matrix().round(12) + 0.0
    array([[ 0., -1.],
           [ 1.,  0.]])
    """

    kind: str
    angles: Any = None
    matrix: Any = None

    def __post_init__(self) -> None:
        """Check that what the kind needs is there."""
        check_choice("kind", self.kind, KINDS)
        name = "angles" if self.kind in _BY_ANGLES else "matrix"
        given, other = self.angles, self.matrix
        if name == "matrix":
            given, other = other, given
        if given is None or other is not None:
            raise ValueError(f"`{name}` alone must be given with kind {self.kind!r}; got {self}")
        check_numbers(name, given)
        shape = tuple(given.shape)
        if name == "matrix" and (len(shape) < 2 or shape[-1] != shape[-2]):
            raise ValueError(f"`matrix` must have shape (..., d, d); got {shape}")
        if not shape or shape[-1] == 0:
            raise ValueError(f"`{name}` must have a last axis that is not empty; got {shape}")

    @property
    def dim(self) -> int:
        """Dimension d of the tokens."""
        given = self.matrix if self.angles is None else self.angles
        return int(given.shape[-1]) * (2 if self.kind == "rotation" else 1)

    @property
    def batch(self) -> tuple[int, ...]:
        """Batch axes."""
        if self.angles is None:
            return tuple(self.matrix.shape[:-2])
        return tuple(self.angles.shape[:-1])

    def diagonal(self) -> Context:
        """Return the unitary context with the eigenvalues of a rotation, in conjugate pairs.

        Raises
        ------
        ValueError
            If the context is given by matrices.
        """
        if self.kind == "unitary":
            return self
        if self.kind != "rotation":
            raise ValueError(f"`kind` must be unitary or rotation; got {self.kind!r}")
        xp = backend_of(self.angles).namespace
        return Context("unitary", angles=pair_angles(xp, self.angles))

    def as_matrix(self) -> Array:
        """Return W (..., d, d), complex for a unitary context."""
        if self.angles is None:
            return self.matrix
        xp = backend_of(self.angles).namespace
        if self.kind == "rotation":
            return block_diagonal(xp, self.angles)
        unit = xp.exp(1j * as_complex(xp, self.angles))
        eye = identity(xp, self.dim, unit.dtype, backend_of(unit).device_of(unit))
        return xp.expand_dims(unit, axis=-1) * eye


def as_complex(xp: Any, x: Array) -> Array:
    """Return a real array as a complex one of the same precision."""
    return xp.astype(x, xp.complex128 if x.dtype == xp.float64 else xp.complex64)


@dataclass(frozen=True)
class ContextSampler:
    r"""Random contexts of one kind.

    Parameters
    ----------
    kind
        ``"unitary"`` and ``"rotation"``: angles uniform on (0, 2 pi / concentration).
        ``"orthogonal"``: Haar measure on O(d), times `radius`. ``"stable"``: V D V^{-1} with V a
        Haar matrix times scales in (1/2, 2), D plane rotations by uniform angles times moduli
        uniform on (radius/2, radius).
    dim
        Dimension d of the tokens.
    concentration
        At least 1: how much of the circle is left out.
    radius
        Largest modulus of the eigenvalues, of the last two kinds.
    special
        Whether to draw from SO(d) rather than O(d).

    Raises
    ------
    TypeError
        If a number is none.
    ValueError
        If one is out of range, if `dim` is odd for rotations.

    Examples
    --------
    >>> import numpy as np
    >>> w = ContextSampler("orthogonal", 3).sample(2, 0).matrix
    >>> bool(np.allclose(w @ w.mT, np.eye(3)))
    True
    """

    kind: str
    dim: int
    concentration: float = 1.0
    radius: float = 1.0
    special: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_choice("kind", self.kind, KINDS)
        check_dim(self.dim, even=self.kind == "rotation")
        check_number("concentration", self.concentration, minimum=1.0)
        check_number("radius", self.radius, above=0.0, maximum=1e300)

    def sample(self, n: int, rng: Any, *, like: Any = None) -> Context:
        """Return `n` contexts.

        Parameters
        ----------
        n
            How many.
        rng
            Integer seed, `RandomStream` (the same contexts on every library), or a generator or key
            of a library.
        like
            Array whose library, floating dtype and device the contexts have. If absent the
            library of a generator or key, NumPy for seeds and streams.

        Returns
        -------
        Context
            With arrays that have `n` in front.

        Raises
        ------
        TypeError
            If `rng` is not understood, `n` no integer, or `like` no floating array.
        ValueError
            If `n` is negative.
        """
        n = check_integer("n", n, minimum=0)
        like = _array_of(rng) if like is None else like
        xp, dtype = backend_of(like).namespace, like.dtype
        info = check_dtype("like", like)
        like = widen(xp, like, info)  # no library factors matrices of half precision
        draw = sampler(rng, like)
        if self.kind in _BY_ANGLES:
            count = self.dim // 2 if self.kind == "rotation" else self.dim
            angles = draw.uniform((n, count)) * (2.0 * pi / self.concentration)
            return Context(self.kind, angles=narrow(xp, angles, info, dtype))
        if self.kind == "orthogonal":
            matrix = self.radius * self._haar(draw, n, like)
        else:
            matrix = self._stable(draw, n, like)
        return Context(self.kind, matrix=narrow(xp, matrix, info, dtype))

    def _haar(self, draw: Any, n: int, like: Array) -> Array:
        """Q diag(sign(diag R)) of a Gaussian matrix (Mezzadri 2007, math-ph/0609050)."""
        xp = backend_of(like).namespace
        gaussian = draw.normal((n, self.dim, self.dim))
        q, r = xp.linalg.qr(gaussian)
        q = q * xp.expand_dims(_signs(xp, xp.linalg.diagonal(r)), axis=-2)
        if not self.special:
            return q
        flip = _signs(xp, xp.linalg.det(q))[:, None, None]
        return xp.concat([q[..., :1] * flip, q[..., 1:]], axis=-1)

    def _stable(self, draw: Any, n: int, like: Array) -> Array:
        xp = backend_of(like).namespace
        planes, odd = divmod(self.dim, 2)
        vectors = self._haar(draw, n, like)
        scales = xp.expand_dims(2.0 ** (2.0 * draw.uniform((n, self.dim)) - 1.0), axis=-2)
        moduli = self.radius * (0.5 + 0.5 * draw.uniform((n, planes + odd)))
        angles = 2.0 * pi * draw.uniform((n, planes + odd))
        if odd:  # what is left of the last plane is a number: a sign
            sign = pi * xp.floor(angles[:, -1:] / pi)
            angles = xp.concat([angles[:, :-1], sign], axis=-1)
        middle = block_diagonal(xp, angles, moduli)[..., : self.dim, : self.dim]
        vectors, inverse = vectors * scales, xp.matrix_transpose(vectors / scales)
        return xp.matmul(vectors, xp.matmul(middle, inverse))


def _signs(xp: Any, x: Array) -> Array:
    """Return -1 where x < 0, 1 elsewhere."""
    ones = xp.ones_like(x)
    return xp.where(x < 0, -ones, ones)


def _array_of(rng: Any) -> Array:
    """Return an array of the library whose generator or key `rng` is, of NumPy for others."""
    import numpy as np

    library = type(rng).__module__.partition(".")[0]
    host = np.zeros(1)
    if library in ("torch", "cupy", "jax", "jaxlib"):
        backend = backend_named("jax" if library == "jaxlib" else library)
        return backend.namespace.zeros(1)
    return host


def companion(coefficients: Array, /) -> Context:
    r"""Return the context of a scalar recurrence of order p.

    The tokens :math:`(x_t, x_{t-1}, \dots, x_{t-p+1})` of
    :math:`x_{t+1} = \sum_k c_k x_{t-k+1}` are driven by the companion matrix of the coefficients.

    Parameters
    ----------
    coefficients
        Numbers c_1, ..., c_p (..., p).

    Returns
    -------
    Context
        Of the kind ``"stable"``, with matrices (..., p, p); stability is up to the coefficients.

    Raises
    ------
    TypeError
        If the array is not floating.
    ValueError
        If there is no coefficient.

    Notes
    -----
    *Derivatives*: linear.

    Examples
    --------
    >>> import numpy as np
    >>> companion(np.asarray([1.0, 1.0])).matrix.tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    numbers = check_numbers("coefficients", coefficients)
    if coefficients.ndim == 0 or coefficients.shape[-1] == 0:
        raise ValueError(
            f"`coefficients` must have shape (..., p) with p > 0; got {tuple(coefficients.shape)}"
        )
    xp, order = numbers.backend.namespace, coefficients.shape[-1]
    device = numbers.backend.device_of(coefficients)
    shift = xp.eye(order - 1, order, dtype=coefficients.dtype, device=device)
    rows = xp.broadcast_to(shift, (*coefficients.shape[:-1], order - 1, order))
    return Context("stable", matrix=xp.concat([coefficients[..., None, :], rows], axis=-2))
