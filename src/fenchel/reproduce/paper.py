"""What a paper claims, and what an experiment is given to check it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from .library import Library

__all__ = ["Claim", "Paper", "Run", "in_turn"]

T = TypeVar("T")


@dataclass(frozen=True)
class Claim:
    """One claim and the number measured for it.

    Parameters
    ----------
    statement
        The claim in words.
    value
        What was measured.
    relation
        How `value` must stand to `threshold`.
    threshold
        The bound.

    Examples
    --------
    >>> Claim("errors against the hard operator's", 0.31, "<=", 0.6).holds
    True
    """

    statement: str
    value: float
    relation: Literal["<=", ">="]
    threshold: float

    @property
    def holds(self) -> bool:
        """Whether the measured number bears the claim out (NaN never does)."""
        if self.relation == "<=":
            return self.value <= self.threshold
        return self.value >= self.threshold

    def record(self) -> dict[str, Any]:
        """Return the claim as a plain dict, verdict included."""
        return {**asdict(self), "holds": self.holds}

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "FALLS SHORT"
        return (
            f"{self.statement}: {self.value:.4g} ({self.relation} {self.threshold:.4g}) {verdict}"
        )


@dataclass(frozen=True)
class Run:
    """What an experiment is given: a library, a folder for its figures, and how long it may take.

    Parameters
    ----------
    library
        The array library to compute with.
    output
        Folder of the results; made when the first one is written.
    quick
        Whether to take fewer seeds and steps.
    data
        Folder with further data sets.
    """

    library: Library
    output: Path
    quick: bool = False
    data: Path | None = None

    def progress(self, items: Iterable[T], title: str) -> Iterator[T]:
        """Yield the items behind a progress bar on stderr."""
        from tqdm import tqdm

        yield from tqdm(items, desc=title, leave=False, dynamic_ncols=True)

    def save(self, figure: Any, name: str) -> Path:
        """Write a figure as `name`.png and return where it is."""
        self.output.mkdir(parents=True, exist_ok=True)
        path = self.output / f"{name}.png"
        figure.savefig(path, dpi=120)
        return path


@dataclass(frozen=True)
class Paper:
    """A paper: what it is, its claims, and its stop on the tour.

    Parameters
    ----------
    name
        Name on the command line.
    title
        Title of the paper.
    reference
        Where it was published.
    claims
        Yields each claim as soon as it is measured, and writes the figures.
    tour
        The main claim alone, in seconds, with one figure.
    """

    name: str
    title: str
    reference: str
    claims: Callable[[Run], Iterable[Claim]]
    tour: Callable[[Run], Claim]


def in_turn(*experiments: Callable[[Run], Iterable[Claim]]) -> Callable[[Run], Iterator[Claim]]:
    """Return the claims of several experiments as those of one; each runs when it is its turn.

    Examples
    --------
    >>> one = lambda run: [Claim("one", 1.0, "<=", 2.0)]
    >>> two = lambda run: [Claim("two", 2.0, ">=", 2.0)]
    >>> [claim.statement for claim in in_turn(one, two)(None)]
    ['one', 'two']
    """

    def claims(run: Run) -> Iterator[Claim]:
        for experiment in experiments:
            yield from experiment(run)

    return claims
