"""The experiments of the loss papers: the same on every library, and held to their claims."""

from importlib.util import find_spec

import numpy as np
import pytest

from fenchel import losses
from fenchel.reproduce import Library, Run
from fenchel.reproduce.losses import curves, f_divergences, multilabel, projections, proportions

LIBRARIES = [name for name in ("numpy", "torch", "jax") if find_spec(name)]


@pytest.fixture(params=LIBRARIES)
def run(request, tmp_path):
    return Run(Library.named(request.param), tmp_path / "out", quick=True)


def test_the_curves_hold_on_every_library(run):
    claims = list(curves.claims(run))
    assert len(claims) == 7
    assert all(claim.holds for claim in claims), list(map(str, claims))
    assert (run.output / "curves.png").stat().st_size > 1000


def test_the_stand_in_holds(tmp_path):
    run = Run(Library.named("numpy"), tmp_path / "out", quick=True)
    claims = list(proportions.claims(run))
    assert len(claims) == 3
    assert all(claim.holds for claim in claims), list(map(str, claims))


def test_errors_are_those_of_ridge_regression_for_the_squared_loss():
    """The squared loss has a closed-form fit; its link is the identity."""
    data = multilabel.synthetic(0)
    ours = proportions.estimate(Library.named("numpy"), losses.squared, data, ridges=(0.1,))
    x, y = data.features, data.proportions
    centred = x - x.mean(axis=0)
    gram = centred.T @ centred / len(x) + 0.1 * np.eye(x.shape[1])
    w = np.linalg.solve(gram, centred.T @ (y - y.mean(axis=0)) / len(x))
    predicted = (data.test_features - x.mean(axis=0)) @ w + y.mean(axis=0)
    exact = np.mean(np.sum((predicted - data.test_proportions) ** 2, axis=1))
    assert ours == pytest.approx(exact, rel=1e-4)


def test_libraries_estimate_the_same(tmp_path):
    data = multilabel.synthetic(1)
    errors = [
        proportions.estimate(
            Library.named(name), losses.fitzpatrick_sparsemax, data, ridges=(1e-2,)
        )
        for name in LIBRARIES
    ]
    assert errors == pytest.approx([errors[0]] * len(errors), rel=1e-3)


def test_folders_are_read(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 3)), rng.integers(0, 2, size=(40, 4))
    np.savez(tmp_path / "whole.npz", X_all=x, Y_all=y)
    np.savez(tmp_path / "parts.npz", X_train=x[:30], Y_train=y[:30], X_test=x[30:], Y_test=y[30:])
    read = {data.name: data for data in multilabel.from_folder(tmp_path)}
    assert set(read) == {"whole", "parts"}
    for data in read.values():
        assert data.proportions.sum(axis=1) == pytest.approx(1.0)
        assert data.features.mean(axis=0) == pytest.approx(0.0, abs=0.2)
    with pytest.raises(ValueError, match="`data` must be a folder"):
        next(multilabel.from_folder(tmp_path / "none"))


def test_real_data_give_a_ratio_a_pair(tmp_path):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((60, 4))
    y = x @ rng.standard_normal((4, 3)) > 0
    np.savez(tmp_path / "small.npz", X_all=x, Y_all=y.astype("uint8"))
    run = Run(Library.named("numpy"), tmp_path / "out", quick=True, data=tmp_path)
    claims = list(proportions.claims(run))
    assert [claim.statement.split(":")[0] for claim in claims] == ["small", "small"]
    assert all(0.5 < claim.value < 2.0 for claim in claims)


def test_a_reference_measure_helps_rare_classes():
    before, after = f_divergences.long_tail(Library.named("numpy"), "kl", 0)
    assert after - before >= 0.03


def test_the_birkhoff_polytope_beats_the_whole_space():
    library = Library.named("numpy")
    loose = projections.hamming(library, projections.SETS["R^25"], 0)
    tight = projections.hamming(library, projections.SETS["Birkhoff"], 0)
    assert tight < loose < 0.8
