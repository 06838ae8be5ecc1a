"""One array library, chosen by name: how experiments make its arrays and read them back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fenchel.backend import Array, Backend, backend_named

__all__ = ["Library"]


@dataclass(frozen=True)
class Library:
    """An array library as experiments see it; data are made with NumPy and carried over.

    Parameters
    ----------
    backend
        The library's adapter.

    Examples
    --------
    >>> library = Library.named("numpy")
    >>> library.array([1, 2]).dtype
    dtype('float64')
    """

    backend: Backend

    @classmethod
    def named(cls, name: str) -> Library:
        """Return the library `name`, importing it."""
        return cls(backend_named(name))

    @property
    def name(self) -> str:
        """Name of the library."""
        return self.backend.name

    @property
    def namespace(self) -> Any:
        """Array namespace of the library."""
        return self.backend.namespace

    @property
    def dtype(self) -> str:
        """The library's own default: float64 for NumPy, float32 for PyTorch and JAX."""
        default = self.namespace.__array_namespace_info__().default_dtypes()["real floating"]
        return str(getattr(default, "name", default)).rpartition(".")[2]

    def array(self, values: Any) -> Array:
        """Return numbers (lists, NumPy arrays) as an array of the default floating dtype."""
        import numpy as np

        return self.backend.from_host(np.asarray(values, dtype=self.dtype))

    def integers(self, values: Any) -> Array:
        """Return whole numbers as an array of int32."""
        import numpy as np

        return self.backend.from_host(np.asarray(values, dtype="int32"))

    def numpy(self, x: Array) -> Any:
        """Return an array of the library as a NumPy array of float64."""
        import numpy as np

        return np.asarray(self.backend.to_host(x), dtype="float64")

    def compiled(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Compile `f` where the compiler is quicker than the experiment."""
        # torch.compile takes longer than what is run here; eager PyTorch is quick enough.
        return self.backend.jit(f) if self.name == "jax" else f
