"""Finding the library of an array."""

import sys
import threading
import types

import array_api_compat
import numpy as np
import pytest
from fenchel_backends.generic import GenericBackend

import fenchel
from fenchel import backend as registry
from fenchel.kernels import kernels_enabled
from tests import libraries

NAMES = {"numpy": "numpy", "strict": "array_api_strict", "torch": "torch", "jax": "jax"}


@pytest.mark.parametrize(("library", "name"), NAMES.items())
def test_every_library_is_recognised(library, name):
    x = libraries.get(library).array([1.0, 2.0])
    assert fenchel.backend_of(x).name == name
    assert fenchel.namespace(x) is array_api_compat.array_namespace(x)


def test_namespace_of_a_third_party_library():
    x = libraries.get("third-party").array([1.0])
    assert fenchel.namespace(x) is x.__array_namespace__()


@pytest.mark.parametrize("value", [[1.0, 2.0], (1.0,), "text", None, 1.5, object()])
def test_what_is_no_array_is_refused_by_type(value):
    with pytest.raises(TypeError, match=type(value).__name__):
        fenchel.backend_of(value)


def test_numbers_are_passed_over():
    assert fenchel.backend_of(np.ones(2), 1, 2.0).name == "numpy"
    assert fenchel.backend_of(1.0, np.ones(2)).name == "numpy"


def test_mixed_libraries_name_both():
    import torch

    with pytest.raises(TypeError, match=r"numpy.*torch"):
        fenchel.backend_of(np.ones(2), torch.ones(2))
    with pytest.raises(TypeError, match=r"numpy.*torch"):
        fenchel.topk_mask(np.ones((2, 3)), torch.ones(2, 1))


def test_subclasses_go_to_the_library_they_derive_from():
    class Special(np.ndarray):
        pass

    assert fenchel.backend_of(np.ones(2).view(Special)).name == "numpy"


def test_numpy_scalars_count_as_arrays():
    assert fenchel.backend_of(np.float64(1.0)).name == "numpy"


@pytest.fixture
def foreign(monkeypatch):
    """A module with an array type that only a registration can serve."""
    module = types.ModuleType("foreign_arrays")
    module.Array = type(
        "Array", (), {"shape": (1,), "dtype": "float64", "__module__": "foreign_arrays"}
    )
    monkeypatch.setitem(sys.modules, "foreign_arrays", module)
    monkeypatch.setattr(registry, "_BY_MODULE", dict(registry._BY_MODULE))
    monkeypatch.setattr(registry, "_BY_TYPE", {})
    monkeypatch.setattr(registry, "_entry_points_read", False)
    return module


def test_registered_backend_serves_its_module(foreign):
    with pytest.raises(TypeError, match="Array"):
        fenchel.backend_of(foreign.Array())
    first = GenericBackend(name="foreign_arrays", namespace=np)
    fenchel.register_backend("foreign_arrays", first)
    assert fenchel.backend_of(foreign.Array()) is first
    second = GenericBackend(name="foreign_arrays", namespace=np)
    fenchel.register_backend("foreign_arrays", second)
    assert fenchel.backend_of(foreign.Array()) is second


def test_entry_point_is_found_on_the_first_unknown_type(foreign, monkeypatch):
    from importlib import metadata

    backend = GenericBackend(name="foreign_arrays", namespace=np)
    calls = []

    class Point:
        name = "foreign_arrays"

        def load(self):
            return backend

    def entry_points(group):
        calls.append(group)
        return [Point()]

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    fenchel.backend_of(np.ones(1))
    assert calls == []  # a built-in type never waits for the scan
    assert fenchel.backend_of(foreign.Array()) is backend
    assert calls == ["fenchel.backends"]


def test_register_refuses_half_a_backend():
    with pytest.raises(TypeError, match=r"lacks.*segment_sum"):
        fenchel.register_backend("half", object())


def test_kernels_switch_is_local_to_the_block_and_thread():
    seen = []
    with fenchel.use_kernels(False):
        assert not kernels_enabled()
        thread = threading.Thread(target=lambda: seen.append(kernels_enabled()))
        thread.start()
        thread.join()
        with fenchel.use_kernels(True):
            assert kernels_enabled()
        assert not kernels_enabled()
    assert kernels_enabled()
    assert seen == [True]


def test_lookup_from_many_threads(monkeypatch):
    monkeypatch.setattr(registry, "_BY_TYPE", {})
    arrays = [libraries.get(name).array([1.0]) for name in NAMES]
    found, errors = [], []

    def look():
        try:
            found.append(tuple(fenchel.backend_of(x).name for x in arrays))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=look) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert set(found) == {tuple(NAMES.values())}


def test_backends_reports_what_is_installed():
    report = fenchel.backends()
    assert report["numpy"]["version"] == np.__version__
    assert set(report["numpy"]) == {"version", "devices", "kernels"}
