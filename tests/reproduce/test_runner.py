"""The registry of papers and the runner: verdicts, and what is on disk after an interruption."""

import json
import math

import pytest

from fenchel.reproduce import Claim, Library, Paper, Run, paper_names, registry, reproduce, tour


@pytest.fixture
def run(tmp_path):
    return Run(Library.named("numpy"), tmp_path / "out")


@pytest.fixture
def toy(monkeypatch):
    """Register a paper of two claims, interrupted after the second where asked."""
    monkeypatch.setattr(registry, "_PAPERS", dict(registry._PAPERS))

    def make(*claims, interrupted=False):
        def measure(run):
            yield from claims
            if interrupted:
                raise KeyboardInterrupt

        registry.register(Paper("toy", "A toy", "nowhere", measure, lambda run: claims[0]))

    return make


@pytest.mark.parametrize(
    ("value", "relation", "holds"),
    [(1.0, "<=", True), (1.1, "<=", False), (1.0, ">=", True), (0.9, ">=", False)],
)
def test_verdict(value, relation, holds):
    claim = Claim("a number", value, relation, 1.0)
    assert claim.holds is holds
    assert ("FALLS SHORT" in str(claim)) is not holds
    assert claim.record()["holds"] is holds


@pytest.mark.parametrize("relation", ["<=", ">="])
def test_nan_never_holds(relation):
    assert not Claim("nan", math.nan, relation, 1.0).holds


def test_registered_papers_load_and_are_named_alike():
    assert paper_names()[0] == "topk"
    for name in paper_names():
        assert registry.paper(name).name == name


def test_reproduce_says_whether_all_hold(toy, run, capsys):
    toy(Claim("one", 1.0, "<=", 2.0), Claim("two", 3.0, "<=", 2.0))
    assert reproduce(["toy"], run) is False
    assert "A toy" in capsys.readouterr().out
    stored = json.loads((run.output / "toy" / "claims.json").read_text())
    assert [claim["holds"] for claim in stored["claims"]] == [True, False]
    assert stored["library"] == "numpy"


def test_interrupted_run_keeps_what_it_measured(toy, run):
    toy(Claim("one", 1.0, "<=", 2.0), Claim("two", 1.5, "<=", 2.0), interrupted=True)
    with pytest.raises(KeyboardInterrupt):
        reproduce(["toy"], run)
    stored = json.loads((run.output / "toy" / "claims.json").read_text())
    assert [claim["statement"] for claim in stored["claims"]] == ["one", "two"]


def test_tour_shows_each_paper_once(toy, run, capsys):
    toy(Claim("one", 1.0, "<=", 2.0))
    assert tour(["toy"], run) is True
    assert "1 of 1 claims hold on numpy" in capsys.readouterr().out
    assert len(json.loads((run.output / "tour.json").read_text())["claims"]) == 1
