"""Which library an array belongs to, and what `fenchel` needs of that library beyond the standard.

The array API standard covers arithmetic; a `Backend` adds the rest: derivatives, control flow,
segment sums, special functions and fast kernels. The library is always chosen by the arrays: there
is no switch to set and no library is imported before one of its arrays is seen.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

from .contract import Array, Backend, compiled

__all__ = [
    "Array",
    "Backend",
    "backend_named",
    "backend_of",
    "backends",
    "compiled",
    "load_imported",
    "namespace",
    "register_backend",
]

ENTRY_POINT_GROUP = "fenchel.backends"


# A string is imported the first time an array of that library is seen.
_BY_MODULE: dict[str, Any] = {
    "numpy": "fenchel_backends.numpy",
    "torch": "fenchel_backends.torch",
    "jax": "fenchel_backends.jax",
    "jaxlib": "fenchel_backends.jax",
    "cupy": "fenchel_backends.cupy",
    "array_api_strict": "fenchel_backends.strict",
}
_BY_TYPE: dict[type, Backend] = {}
_LOCK = threading.Lock()
_entry_points_read = False


def backend_of(x: Array, /, *others: Array) -> Backend:
    """Return the adapter of the library that the arrays belong to.

    Python numbers among the arguments are passed over; at least one must be an array.

    Parameters
    ----------
    x, *others
        Arrays of one library, traced arrays included, and Python numbers.

    Returns
    -------
    Backend
        The library's adapter.

    Raises
    ------
    TypeError
        If an argument is no array (lists included), or if two libraries are mixed.

    Examples
    --------
    >>> import numpy as np
    >>> import fenchel
    >>> fenchel.backend_of(np.ones(3)).name
    'numpy'
    """
    if not others:
        found = _BY_TYPE.get(type(x))
        return found if found is not None else _backend_of_type(x)
    return _common_backend((x, *others))


def _common_backend(arrays: tuple[Array, ...]) -> Backend:
    found: Backend | None = None
    for x in arrays:
        if isinstance(x, int | float | complex) and type(x).__module__ == "builtins":
            continue
        backend = _BY_TYPE.get(type(x)) or _backend_of_type(x)
        if found is None or found is backend:
            found = backend
        elif found.name == backend.name:
            # Traced and plain arrays of one library: the adapter that traces leads.
            found = backend if getattr(backend, "base", None) is not None else found
        else:
            raise TypeError(
                "arrays must belong to one library; "
                f"got both {found.name} ({_library(arrays, found)}) and {backend.name} "
                f"({type(x).__module__}.{type(x).__qualname__})"
            )
    if found is None:
        raise TypeError(f"at least one argument must be an array; got {_type_names(arrays)}")
    return found


def _library(arrays: tuple[Array, ...], backend: Backend) -> str:
    for x in arrays:
        if not isinstance(x, int | float | complex) and backend_of(x) is backend:
            return f"{type(x).__module__}.{type(x).__qualname__}"
    return backend.name


def _type_names(arrays: tuple[Any, ...]) -> str:
    return ", ".join(sorted({type(x).__qualname__ for x in arrays}))


def _backend_of_type(x: Array) -> Backend:
    """Look the type up by its own word, by module, by entry point, by the standard."""
    kind = type(x)
    own = getattr(kind, "__fenchel_backend__", None)
    if own is not None:  # depends on the value (what a traced array wraps): not remembered
        return own(x)  # type: ignore[no-any-return]
    module = _loaded_module(kind)
    backend: Backend = _BY_MODULE[module] if module else _by_standard(x)
    _BY_TYPE[kind] = backend
    return backend


def _loaded_module(kind: type) -> str:
    """Return the module that the adapter of a type is registered for, loaded; "" if none."""
    module = _registered_module(kind)
    if not module and _is_array_type(kind):
        _read_entry_points()
        module = _registered_module(kind)
    if module:
        _load(module)
    return module


# torch.compile cannot trace a lock or an import. The attribute, which is all that its decorator
# sets, tells it to call this while it traces and to take the result as a constant.
_loaded_module._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _modules_of(kind: type) -> Iterator[str]:
    """Top-level modules of a type and of what it derives from."""
    for base in kind.__mro__:
        module = (base.__module__ or "").partition(".")[0]
        if module != "builtins":
            yield module


def _registered_module(kind: type) -> str:
    if _is_array_type(kind):
        for module in _modules_of(kind):
            if module in _BY_MODULE:
                return module
    return ""


def _is_array_type(kind: type) -> bool:
    """Whether a type of a known library is an array: torch has no `__array_namespace__`."""
    return hasattr(kind, "shape") and hasattr(kind, "dtype")


def _load(module: str) -> Backend:
    entry = _BY_MODULE[module]
    if isinstance(entry, str):
        entry = importlib.import_module(entry).BACKEND
        with _LOCK:
            _BY_MODULE[module] = entry
    return entry  # type: ignore[no-any-return]


# Their adapters tell the library what the containers of `fenchel` are.
_WITH_CONTAINERS = ("jax",)


def load_imported() -> None:
    """Load the adapters of imported libraries that have containers of their own.

    Such a library may be given a container of `fenchel` before `fenchel` has seen its arrays.
    """
    for module in _WITH_CONTAINERS:
        if sys.modules.get(module) is not None and isinstance(_BY_MODULE[module], str):
            _load(module)


load_imported._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _read_entry_points() -> None:
    """Scan the entry points once, when the first unknown type or name comes."""
    global _entry_points_read
    if not _entry_points_read:
        from importlib.metadata import entry_points

        for point in entry_points(group=ENTRY_POINT_GROUP):
            _BY_MODULE.setdefault(point.name, point.load())
        _entry_points_read = True


def _by_standard(x: Array) -> Backend:
    """Return a generic adapter for an array with `__array_namespace__`."""
    kind = type(x)
    if not hasattr(x, "__array_namespace__"):
        known = ", ".join(sorted(set(_BY_MODULE) - {"jaxlib"}))
        raise TypeError(
            "expected an array of a known library "
            f"({known}, or a type with __array_namespace__); got {kind.__qualname__}"
        )
    generic = importlib.import_module("fenchel_backends.generic").GenericBackend
    module = kind.__module__.partition(".")[0]
    return generic(name=module, namespace=x.__array_namespace__())  # type: ignore[no-any-return]


def namespace(x: Array, /, *others: Array) -> Any:
    """Return the array namespace of the arrays, as `array_api_compat.array_namespace` does.

    Traced arrays give the namespace that records derivatives.

    Parameters
    ----------
    x, *others
        Arrays of one library, and Python numbers.

    Returns
    -------
    module
        A namespace that follows the array API standard.

    Raises
    ------
    TypeError
        If an argument is no array, or if two libraries are mixed.

    Examples
    --------
    >>> import numpy as np
    >>> import fenchel
    >>> float(fenchel.namespace(np.ones(3)).sum(np.ones(3)))
    3.0
    """
    return backend_of(x, *others).namespace


def register_backend(module: str, backend: Backend | str) -> None:
    """Make `backend` the adapter of the array types defined in the top-level `module`.

    Parameters
    ----------
    module
        Name of the top-level module that defines the array type.
    backend
        The adapter, or the name of a module that has it as `BACKEND`.

    Raises
    ------
    TypeError
        If `backend` lacks a member of the contract.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel_backends.generic import GenericBackend
    >>> register_backend("my_arrays", GenericBackend(name="my_arrays", namespace=np))
    """
    members = {*Backend.__annotations__, *vars(Backend)}
    missing = sorted(m for m in members if not m.startswith("_") and not hasattr(backend, m))
    if missing and not isinstance(backend, str):
        raise TypeError(f"`backend` must follow fenchel.backend.Backend; it lacks {missing}")
    with _LOCK:
        _BY_MODULE[module] = backend
        for kind in [kind for kind in _BY_TYPE if module in set(_modules_of(kind))]:
            del _BY_TYPE[kind]


def backend_named(name: str) -> Backend:
    """Return the adapter of the library `name`, importing that library.

    For tools that take a library by name; functions of arrays use `backend_of`.

    Parameters
    ----------
    name
        Top-level module of the library; "strict" is short for "array_api_strict".

    Returns
    -------
    Backend
        The library's adapter.

    Raises
    ------
    ValueError
        If no such library is known or installed.

    Examples
    --------
    >>> backend_named("numpy").name
    'numpy'
    """
    from importlib.util import find_spec

    module = {"strict": "array_api_strict"}.get(name, name)
    if module not in _BY_MODULE:
        _read_entry_points()
    entry = _BY_MODULE.get(module)
    if entry is None or (isinstance(entry, str) and find_spec(module) is None):
        known = ", ".join(sorted(set(_BY_MODULE) - {"jaxlib"}))
        raise ValueError(f"`name` must be an installed library ({known}); got {name!r}")
    return _load(module)


def backends() -> dict[str, dict[str, Any]]:
    """Return what is installed: for each library its version, devices and kernels.

    Libraries that are not installed are left out. This imports every library found.

    Returns
    -------
    dict
        Library name to a dict with `version`, `devices` and `kernels`.

    Examples
    --------
    >>> import fenchel
    >>> sorted(fenchel.backends()["numpy"])
    ['devices', 'kernels', 'version']
    """
    from importlib.util import find_spec

    found = {}
    for module in list(_BY_MODULE):
        if module != "jaxlib" and find_spec(module) is not None:
            backend = _load(module)
            describe = getattr(backend, "describe", None)
            found[module] = describe() if describe else {"version": None}
    return found
