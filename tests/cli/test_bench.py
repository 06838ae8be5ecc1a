"""What `fenchel bench` prints of a result."""

import pytest

from fenchel.cli import main

RESULT = {
    "title": "A title",
    "rows": [
        {"case": "small", "ratios": {"a peer with a long name": 2.0}},
        {"case": "not so small", "ratios": {"a peer with a long name": 0.126, "short": 10.0}},
    ],
}


@pytest.fixture
def bench(monkeypatch):
    from fenchel.reproduce import bench

    monkeypatch.setattr(bench, "run_group", lambda name, output, quick: RESULT)
    return bench


def test_columns_are_aligned(bench, capsys):
    assert main(["bench", "mask"]) == 0
    title, *lines, last = capsys.readouterr().out.splitlines()
    assert "above 1, ours is faster" in title and last == ""
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split() == ["not", "so", "small", "0.13", "10.00"]


def test_absent_peers_are_named(bench, capsys, monkeypatch):
    monkeypatch.setattr(bench, "absent_peers", lambda: ("jaxopt",))
    main(["bench", "mask"])
    assert capsys.readouterr().err == "not installed, so not compared with: jaxopt\n"


def test_absent_peers_are_those_without_a_module(monkeypatch):
    from fenchel.reproduce.bench import absent_peers, results

    monkeypatch.setattr(results, "find_spec", lambda name: None if name == "entmax" else object())
    assert absent_peers() == ("entmax",)
