"""The checker finds what is wrong: operators with planted faults are reported as such."""

import array_api_compat.numpy as xp
import numpy as np
import pytest

import fenchel
from fenchel.testing import (
    Operator,
    Registry,
    check_operator,
    operators,
    portability_report,
    support_table,
)


def value_of(x, *, fault):
    """x^3, with a fault of the asked kind."""
    if fault == "constant gradient":
        return x * fenchel.stop_gradient(x) ** 2
    if fault == "constant second derivative":
        return x**3 + 3 * (fenchel.stop_gradient(x) - x) ** 2 * x * 0.5
    if fault == "raises" and not isinstance(x, np.ndarray):
        raise RuntimeError("no derivative here")
    if fault == "dtype" and x.dtype == xp.float32:
        return xp.astype(x, xp.float64) ** 3
    return x**3


def planted(fault):
    return Operator(
        f"cube({fault})",
        f"{__name__}:value_of",
        lambda rng: (rng.uniform(1.0, 2.0, (2, 3)),),
        options={"fault": fault},
    )


def statuses(fault):
    outcomes = check_operator(planted(fault), "numpy")
    return {outcome.transformation: outcome.status for outcome in outcomes}


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())


def _this_module():
    import types

    module = types.ModuleType(__name__)
    module.value_of = value_of
    return module


def test_right_operator_passes():
    found = statuses("none")
    assert set(found.values()) == {"ok", "none"}
    assert found["bfloat16"] == "none"  # NumPy has none


def test_gradient_that_is_constant_is_wrong():
    found = statuses("constant gradient")
    assert found["eager"] == "ok"
    assert found["vjp"] == found["jvp"] == found["linearize"] == "wrong"


def test_second_derivative_that_is_missing_is_wrong():
    found = statuses("constant second derivative")
    assert found["vjp"] == "ok"
    wrong = ("forward over reverse", "reverse over forward", "reverse over reverse")
    assert {found[name] for name in wrong} <= {"wrong", "ok"}


def test_exception_is_an_error_and_not_raised():
    found = statuses("raises")
    assert found["eager"] == "ok"
    assert found["vjp"] == "error"


def test_other_dtype_is_wrong():
    assert statuses("dtype")["float32"] == "wrong"


def test_refused_transformation_is_ok():
    entry = Operator(
        "refuses",
        f"{__name__}:value_of",
        lambda rng: (rng.uniform(1.0, 2.0, (2, 3)),),
        options={"fault": "raises"},
        exceptions={"vjp": "by design"},
    )
    (outcome,) = check_operator(entry, "numpy", only=["vjp"])
    assert outcome.status == "refused" and outcome.ok


def test_sample_at_a_kink_is_refused():
    entry = Operator(
        "sparsemax", "fenchel.operators:sparsemax", lambda rng: (np.asarray([1.0, 0.0, -5.0]),)
    )
    with pytest.raises(ValueError, match="generic point"):
        check_operator(entry, "numpy", only=["vjp"])


def test_unknown_row_is_a_value_error():
    with pytest.raises(ValueError, match="`only` must name"):
        check_operator("softmax", "numpy", only=["jitt"])


def test_registry_refuses_a_name_twice():
    registry = Registry((operators["softmax"],))
    with pytest.raises(ValueError, match="softmax"):
        registry.add(operators["softmax"])
    with pytest.raises(KeyError, match="sotfmax"):
        registry["sotfmax"]


def test_every_public_operator_is_registered():
    registered = {entry.path.partition(":")[2] for entry in operators}
    assert set(fenchel.operators.__all__) <= registered


def test_support_table_is_json():
    import json

    cells = support_table(["numpy"], entries=[operators["sparsemax"]])
    assert json.loads(json.dumps(cells)) == cells
    assert {cell["library"] for cell in cells} == {"numpy"}


@pytest.mark.parametrize(
    ("dtype", "every"),
    [("float64", 6), ("float32", 24)],  # the matrix has every operator in both
)
def test_portability_report(dtype, every):
    entries = tuple(operators)[::every]
    report = portability_report("numpy", dtype=dtype, entries=entries)
    assert [row for row in report if not row.ok] == []
    assert [row.name for row in report] == [str(entry) for entry in entries]
    assert report.dtype == dtype
    assert all(row.time > 0 for row in report)


def test_portability_report_tells_of_a_failure():
    report = portability_report("numpy", entries=[planted("constant gradient")])
    (row,) = report.failures
    assert row.error == 0 and row.derivative_error > 0.1 and not report.ok


def test_portability_report_refuses_an_unknown_dtype():
    with pytest.raises(ValueError, match="`dtype` must be one of"):
        portability_report("numpy", dtype="float128")
