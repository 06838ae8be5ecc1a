"""The table of structure kernels and fused rules: one row each, for every kind of kernel.

Adapters (NumPy, torch operators, XLA custom calls, CUDA launches) are generated from these rows,
so a kernel has the same name, argument order and output kinds wherever it runs.

A raw row kernel is called as ``name(*inputs, params, *outputs)`` with inputs of shape (R, n),
``params`` of shape (R, c) or (1, c) in the dtype of the inputs, "entries" outputs of shape (R, n)
and "rows" outputs of shape (R,). Inputs are never written, and every loop is bounded.
"""

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "FUSED",
    "KERNELS",
    "LOSSES",
    "MATRICES",
    "STEPS",
    "FusedSpec",
    "KernelSpec",
    "Output",
    "row_integers",
]


@dataclass(frozen=True, slots=True)
class Output:
    """One output buffer of a kernel.

    Parameters
    ----------
    name : str
        What it holds.
    extent : {"entries", "rows", "last"}
        One value an entry, shape (..., n), one value a row, shape (..., 1), or the shape of the
        last input.
    dtype : {"same", "int32"}
        The floating dtype of the inputs, or 32-bit integers.

    Examples
    --------
    >>> Output("blocks", "entries", "int32").dtype
    'int32'
    """

    name: str
    extent: Literal["entries", "rows", "last"]
    dtype: Literal["same", "int32"] = "same"


@dataclass(frozen=True, slots=True)
class KernelSpec:
    """Name, inputs, parameters and outputs of a structure kernel.

    Parameters
    ----------
    name : str
        Name of the kernel, the same in every language.
    inputs : tuple of str
        Arrays of one shape (..., n) and one floating dtype.
    params : tuple of str
        Numbers, or arrays that broadcast to (..., 1); the columns of the packed ``params``.
    outputs : tuple of Output
        Buffers the kernel fills, in order.

    Examples
    --------
    >>> KERNELS["mask_threshold"].params
    ('k', 'temperature', 'q')
    """

    name: str
    inputs: tuple[str, ...]
    params: tuple[str, ...]
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class FusedSpec:
    """Name, inputs, parameters and outputs of a rule that gives value and pullback.

    Raw kernels are ``fused_name(*inputs, params, *outputs)`` and
    ``fused_name_vjp(g, *inputs, params, *outputs, gx)``. The first input is the differentiated one,
    the others are integer constants (int64); the first output is the value, the others are saved.

    Parameters
    ----------
    name : str
        Name of the rule.
    inputs : tuple of str
        The differentiated array, then constant int64 arrays of the same shape.
    params : tuple of str
        As for a kernel.
    outputs : tuple of Output
        The value, then what the pullback needs.

    Examples
    --------
    >>> [output.name for output in FUSED["isotonic"].outputs]
    ['fit', 'blocks']
    """

    name: str
    inputs: tuple[str, ...]
    params: tuple[str, ...]
    outputs: tuple[Output, ...]


_THRESHOLD = Output("threshold", "rows")
_VALUE = Output("y", "entries")
_FIT = Output("fit", "entries")
_BLOCKS = Output("blocks", "entries", "int32")

KERNELS: dict[str, KernelSpec] = {
    spec.name: spec
    for spec in (
        KernelSpec("mask_threshold", ("x",), ("k", "temperature", "q"), (_THRESHOLD,)),
        KernelSpec("magnitude_threshold", ("s",), ("k", "temperature", "p"), (_THRESHOLD,)),
        KernelSpec("entmax_threshold", ("x",), ("alpha",), (_THRESHOLD,)),
        KernelSpec("normmax_threshold", ("x",), ("alpha",), (_THRESHOLD,)),
        KernelSpec(
            "topk_pav_threshold",
            ("s",),
            ("k", "temperature", "q", "magnitude"),
            (_THRESHOLD, Output("merges", "rows", "int32")),
        ),
        KernelSpec("isotonic_blocks", ("y",), ("increasing",), (_BLOCKS,)),
        KernelSpec("weighted_isotonic_blocks", ("y", "weights"), ("increasing",), (_BLOCKS,)),
        KernelSpec("kl_isotonic_blocks", ("y", "w"), ("increasing",), (_BLOCKS,)),
        KernelSpec("pnorm_isotonic_blocks", ("y", "weights"), ("p", "increasing"), (_BLOCKS, _FIT)),
        KernelSpec(
            "dykstra",
            ("y", "weights"),
            ("max_iter", "tol", "increasing"),
            (_BLOCKS, _FIT, Output("iterations", "rows", "int32"), Output("residual", "rows")),
        ),
        KernelSpec(
            "section_start",
            ("x", "lower", "upper", "weights"),
            ("total",),
            (Output("start", "rows"),),
        ),
        KernelSpec(
            "sorted_by_expert",
            ("experts",),
            ("n_values",),
            (Output("order", "entries", "int32"), Output("position", "entries", "int32")),
        ),
    )
}

FUSED: dict[str, FusedSpec] = {
    spec.name: spec
    for spec in (
        FusedSpec("topk_mask", ("x",), ("k", "temperature", "q"), (_VALUE, _THRESHOLD)),
        FusedSpec(
            "topk_magnitude", ("x",), ("k", "temperature", "p", "debias"), (_VALUE, _THRESHOLD)
        ),
        FusedSpec("entmax", ("x",), ("alpha",), (_VALUE, _THRESHOLD)),
        FusedSpec("isotonic", ("y",), ("increasing",), (_FIT, _BLOCKS)),
        FusedSpec("soft_rank", ("x", "order"), ("temperature",), (_VALUE, _BLOCKS)),
        FusedSpec("soft_sort", ("x", "order"), ("temperature", "descending"), (_VALUE, _BLOCKS)),
    )
}

MATRICES: dict[str, KernelSpec] = {
    spec.name: spec
    for spec in (
        KernelSpec(
            "sinkhorn_columns",
            ("z", "u", "log_a", "log_b"),
            ("tol", "max_iter"),
            (Output("v", "last"),),
        ),
        KernelSpec(
            "balanced_owners", ("scores", "tokens"), ("n_experts",), (Output("owners", "last"),)
        ),
    )
}
"""Kernels of a matrix a row: the first input is it, flat, of shape (..., n * m). The others are
vectors of its rows (..., n) and, last, of its columns (..., m)."""

STEPS = ("langevin_mixture",)
"""Steps of samplers: kernels whose rows are particles, with arguments of their own (`streams`,
`cuda.steps`)."""

_LOSS = (Output("loss", "rows"), Output("gradient", "entries"))
_LOSS_PARAMS: dict[str, tuple[str, ...]] = {
    "logistic": (),
    "sparsemax": (),
    "entmax15": (),
    "entmax": ("alpha",),
    "fitzpatrick_logistic": (),
    "fitzpatrick_sparsemax": (),
}

LOSSES: dict[str, KernelSpec] = {
    f"loss_{name}_{kind}": KernelSpec(f"loss_{name}_{kind}", ("x", target), params, _LOSS)
    for name, params in _LOSS_PARAMS.items()
    for kind, target in (("index", "label"), ("dense", "target"))
}
"""Losses with their gradients. The input "label" is one int64 a row, of shape (R, 1); a row whose
label is out of range is NaN. Each is a structure kernel and a fused rule: its pullback multiplies
the gradient. On the CPU those of labels take one more parameter, which divides the gradient."""


def row_integers(name: str) -> bool:
    """Whether an input of a loss kernel holds one integer a row.

    Parameters
    ----------
    name : str
        Name of the input in the table.

    Examples
    --------
    >>> [row_integers(name) for name in LOSSES["loss_logistic_index"].inputs]
    [False, True]
    """
    return name == "label"
