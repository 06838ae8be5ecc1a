"""`fenchel check`: the report as a table and as JSON, and its exit code."""

import json

import pytest

from fenchel import testing
from fenchel.cli import main
from fenchel.cli.libraries import find_device
from fenchel.testing import Agreement, Report


@pytest.fixture
def two_operators(monkeypatch):
    entries = [testing.operators["softmax"], testing.operators["sparsemax"]]
    monkeypatch.setattr(testing, "operators", entries)
    return entries


def test_table_and_exit_code(two_operators, capsys):
    assert main(["check"]) == 0
    out = capsys.readouterr().out
    assert "softmax" in out and "2 of 2 operators agree with the reference" in out


def test_json_has_the_promised_keys(two_operators, capsys):
    assert main(["check", "--dtype", "float32", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["softmax", "sparsemax"]
    assert all(set(row) == {"name", "error", "derivative_error", "time", "ok"} for row in rows)


def test_an_operator_that_falls_short_is_exit_code_1(monkeypatch, capsys):
    results = (Agreement("bad", None, None, 0.0, False, "TypeError: no"),)
    report = Report("numpy", None, "float64", results)
    monkeypatch.setattr(testing, "portability_report", lambda *args, **options: report)
    assert main(["check"]) == 1
    assert "FALLS SHORT TypeError: no" in capsys.readouterr().out


@pytest.mark.parametrize("device", ["device1", "CPU_DEVICE"])
def test_devices_are_found_by_name(device):
    pytest.importorskip("array_api_strict")
    assert device in str(find_device("strict", device))
