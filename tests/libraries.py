"""The array libraries that tests run over, behind one small face."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from tests import third_party


@dataclass(frozen=True)
class Library:
    """Build arrays of a library, run functions on them, read the results.

    `array` gives float64 unless told otherwise; `run(f, *args)` calls `f`, jitted where the
    variant says so; `numpy` reads an array back.
    """

    name: str
    namespace: Any
    dtype: str = "float64"
    device: Any = None
    jitted: bool = False
    options: dict = field(default_factory=dict, compare=False)

    def array(self, values, dtype=None):
        host = np.array(values, dtype=dtype or (self.dtype if _is_float(values) else None))
        if self.name == "numpy":
            host.flags.writeable = False  # an operator that writes its input fails
            return host
        if self.name == "torch":
            return self.namespace.asarray(host, device=self.device)
        if self.name.startswith("strict"):
            return self.namespace.asarray(host, device=self.device)
        return self.namespace.asarray(host)

    def numpy(self, x):
        if isinstance(x, tuple | list):
            return tuple(self.numpy(item) for item in x)
        if self.name.startswith("strict"):
            return np.from_dlpack(x).copy()
        if self.name == "torch":
            return x.detach().cpu().numpy()
        if self.name == "third-party":
            return np.asarray(x.value)
        return np.asarray(x)

    def run(self, f, *args):
        if self.jitted:
            import jax

            return jax.jit(f)(*args)
        return f(*args)

    def run_optimised(self, f, *args):
        """Call `f` as users compile it: the suite has XLA compile fast, without optimisation."""
        if self.name.startswith("jax"):
            import jax

            return jax.jit(f, compiler_options={"xla_backend_optimization_level": 3})(*args)
        return self.run(f, *args)

    @property
    def eager(self):
        return not self.jitted

    def __str__(self):
        return self.name


def _is_float(values):
    return np.asarray(values).dtype.kind == "f"


@cache
def get(name):
    if name == "numpy":
        import array_api_compat.numpy as xp

        return Library(name, xp)
    if name in ("strict", "strict-device1"):
        import array_api_strict as xp

        device = xp.Device("device1") if name.endswith("device1") else xp.Device("CPU_DEVICE")
        return Library(name, xp, device=device)
    if name == "torch":
        import array_api_compat.torch as xp

        return Library(name, xp, device="cpu")
    if name in ("jax", "jax-jit"):
        import jax.numpy as xp

        return Library(name, xp, jitted=name.endswith("jit"))
    if name == "third-party":
        return Library(name, third_party.namespace)
    raise ValueError(f"unknown library {name!r}")
