"""What is known of a public operator, so that every common test can be run on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import Any

__all__ = ["Operator", "Registry"]


@dataclass(frozen=True, eq=False)
class Operator:
    """A public operator with sample arguments; one entry enrols it in every common test.

    Parameters
    ----------
    name
        Unique name, the variant in parentheses: "topk_mask(p=4/3)".
    path
        Where it lives: "fenchel.operators:topk_mask".
    inputs
        Function of a NumPy generator that returns float64 (or boolean) NumPy arrays: a generic
        point, further than 0.01 from every kink.
    keywords
        Names of the last inputs, which are passed by keyword.
    options
        Static options.
    differentiable
        Places of the inputs that are differentiated.
    order
        Highest order of derivatives that is promised.
    seeds
        Of the generator, for two sample points.
    tolerance
        Factor on the common tolerances, for operators that amplify rounding.
    notes
        What a reader of the support table should know.
    exceptions
        Transformations that the operator refuses by design, and why.

    Examples
    --------
    >>> import numpy as np
    >>> entry = Operator(
    ...     "sparsemax", "fenchel.operators:sparsemax", lambda rng: (rng.normal(size=5),)
    ... )
    >>> float(np.sum(entry(*entry.inputs(np.random.default_rng(0))))).__round__(12)
    1.0
    """

    name: str
    path: str
    inputs: Callable[[Any], tuple[Any, ...]]
    keywords: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    differentiable: tuple[int, ...] = (0,)
    order: int = 3
    seeds: tuple[int, int] = (0, 1)
    tolerance: float = 1.0
    notes: str = ""
    exceptions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def function(self) -> Callable[..., Any]:
        """The public function."""
        module, _, name = self.path.partition(":")
        return getattr(import_module(module), name)  # type: ignore[no-any-return]

    def __call__(self, *inputs: Any) -> Any:
        """Apply the function to inputs of any library, with the static options."""
        return self.bound(len(inputs))(*inputs)

    def bound(self, count: int) -> Callable[..., Any]:
        """Return the function of `count` inputs, with nothing left to look up for a compiler."""
        function, keywords, options = self.function, self.keywords, dict(self.options)
        split = count - len(keywords)

        def call(*inputs: Any) -> Any:
            named = dict(zip(keywords, inputs[split:], strict=True))
            return function(*inputs[:split], **named, **options)

        return call

    def __str__(self) -> str:
        return self.name


class Registry:
    """The operators by name, in the order they were added.

    Examples
    --------
    >>> from fenchel.testing import operators
    >>> operators["sparsemax"].path
    'fenchel.operators:sparsemax'
    >>> len(operators) > 40
    True
    """

    def __init__(self, entries: tuple[Operator, ...] = ()) -> None:
        self._entries: dict[str, Operator] = {}
        for entry in entries:
            self.add(entry)

    def add(self, operator: Operator) -> None:
        """Add an entry.

        Raises
        ------
        ValueError
            If its name is taken.
        """
        if operator.name in self._entries:
            raise ValueError(f"`operator` must have a new name; got {operator.name!r} again")
        self._entries[operator.name] = operator

    def __getitem__(self, name: str) -> Operator:
        try:
            return self._entries[name]
        except KeyError:
            raise KeyError(f"{name!r} is no registered operator: {sorted(self._entries)}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Operator]:
        return iter(tuple(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)
