"""The clock of the benchmarks, and the record of a run. Nothing here asserts on speed of ours."""

import contextlib
import importlib
import json
import sys
import time
import types

import pytest

from fenchel.reproduce.bench import Case, Contender, group_names, measure, results, run_group


def test_ratio_is_peer_over_ours(monkeypatch):
    now = 0.0

    def work(seconds):
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "process_time", lambda: now)
    fast, slow = Contender("fenchel", work, [1e-3]), Contender("peer", work, [5e-3])
    row = measure(Case("work", fast, (slow,)), rounds=5)
    assert row.ratios["peer"] == pytest.approx(5.0)
    assert row.times["peer"] == pytest.approx(5e-3)
    assert list(row.times) == ["fenchel", "peer"]


def test_every_call_gets_the_next_input():
    seen = []
    inputs = list(range(5))
    measure(Case("order", Contender("fenchel", lambda x: seen.append(x), inputs), ()), rounds=1)
    assert seen[:12] == [i % 5 for i in range(12)]


def test_record_names_versions_but_no_host_and_no_path(tmp_path, monkeypatch):
    def cases(quick):
        yield Case("one", Contender("fenchel", abs, [1]), (Contender("peer", abs, [1]),))

    group = types.SimpleNamespace(TITLE="A title", cases=cases)
    monkeypatch.setitem(sys.modules, "toy_group", group)
    monkeypatch.setitem(results._GROUPS, "toy", "toy_group")
    result = run_group("toy", tmp_path, quick=True)
    text = (tmp_path / "toy.json").read_text()
    assert json.loads(text) == result
    assert set(result) == {"name", "title", "machine", "versions", "rows"}
    assert "numpy" in result["versions"]
    assert str(tmp_path) not in text and "/" not in result["machine"]


@pytest.fixture
def single_precision():
    """JAX as a benchmark finds it, whatever other tests have asked of it."""
    jax = pytest.importorskip("jax")
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.mark.usefixtures("single_precision")
@pytest.mark.parametrize("name", group_names())
def test_group_has_cases_that_run(name):
    group = importlib.import_module(results._GROUPS[name])
    case = next(iter(group.cases(True)), None)
    if case is None:
        pytest.skip("the only peer of this group is not installed")
    assert case.ours.name == "fenchel"
    for contender in (case.ours, *case.peers):
        contender.call(contender.inputs[0])


def test_thread_limit_is_set_after_a_case_has_imported_its_peers(tmp_path, monkeypatch):
    happened = []

    def cases(quick):
        happened.append("import")
        yield Case("one", Contender("fenchel", abs, [1]), ())

    def limit():
        happened.append("limit")
        return contextlib.nullcontext()

    group = types.SimpleNamespace(TITLE="A title", cases=cases)
    monkeypatch.setitem(sys.modules, "toy_group", group)
    monkeypatch.setitem(results._GROUPS, "toy", "toy_group")
    monkeypatch.setattr(results, "_one_thread", limit)
    run_group("toy", tmp_path, quick=True)
    assert happened == ["import", "limit"]
