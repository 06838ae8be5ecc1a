"""The conformance suite: every adapter passes, and a broken one does not."""

import dataclasses

import pytest

from fenchel.testing import conformance
from tests import libraries


@pytest.mark.filterwarnings("ignore")  # of the libraries about their own internals
@pytest.mark.parametrize("library", ["numpy", "strict", "third-party", "torch", "jax"])
def test_adapter_conforms(library):
    report = conformance(libraries.get(library).namespace)
    assert [f"{check.name}: {check.message}" for check in report.failures] == []
    assert len(report) > 40


def broken(**members):
    """Return NumPy's adapter with some members replaced."""
    from fenchel_backends.numpy import NumPyBackend

    kind = type("Broken", (NumPyBackend,), members)
    base = libraries.get("numpy").namespace
    return dataclasses.replace(kind(name="numpy", namespace=base))


def failures(backend):
    return {check.name for check in conformance(backend).failures}


def test_segment_sum_that_forgets_a_row_is_found():
    def wrong(self, values, ids, num_segments):
        import numpy as np

        return np.zeros((*values.shape[:-1], num_segments))

    assert "segment_sum" in failures(broken(segment_sum=wrong))


def test_ties_in_the_wrong_order_are_found():
    def wrong(self, x, k):
        import numpy as np

        order = np.argsort(x, axis=-1)[..., ::-1][..., :k]
        return np.take_along_axis(x, order, axis=-1), order

    assert "top_k" in failures(broken(top_k=wrong))


def test_kernel_that_is_wrong_is_found():
    def wrong(self, name, dtype, device):
        return lambda x, *rest: x[..., :1] * 0

    found = failures(broken(kernel=wrong))
    assert "kernel mask_threshold" in found


def test_member_that_raises_is_found():
    def wrong(self, *args):
        raise NotImplementedError("not yet")

    assert {"scan", "scan, by length"} <= failures(broken(scan=wrong))
