"""Reports: what was checked, how it came out, and whether all is well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Agreement", "Check", "Report"]


@dataclass(frozen=True)
class Check:
    """One member of the adapter contract.

    Attributes
    ----------
    name
        The member, and what of it.
    ok
        Whether it does what the contract says.
    message
        What it did instead.
    """

    name: str
    ok: bool
    message: str = ""


@dataclass(frozen=True)
class Agreement:
    """How far one operator of a library is from NumPy's float64.

    Attributes
    ----------
    name
        The operator.
    error, derivative_error
        Largest difference in the values and in the gradient, relative to the larger of 1 and the
        largest entry; None where it raised, or has no derivative.
    time
        Seconds of an eager call, the fastest of three.
    ok
        Whether both errors are what rounding explains.
    message
        What was raised.
    """

    name: str
    error: float | None
    derivative_error: float | None
    time: float
    ok: bool
    message: str = ""


@dataclass(frozen=True)
class Report:
    """Results in the order of the checks; iterate over it.

    Attributes
    ----------
    library, device, dtype
        What was checked; `dtype` is the one the arrays really had.
    results
        One entry a check.
    """

    library: str
    device: str | None
    dtype: str
    results: tuple[Any, ...]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(result.ok for result in self.results)

    @property
    def failures(self) -> tuple[Any, ...]:
        """The results that fell short."""
        return tuple(result for result in self.results if not result.ok)

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the results, ready for JSON."""
        return [asdict(result) for result in self.results]
