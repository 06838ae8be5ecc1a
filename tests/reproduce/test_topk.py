"""The experiments of the top-k paper: the same on every library, and held to their claims."""

from importlib.util import find_spec

import numpy as np
import pytest

from fenchel.reproduce import Library, Run
from fenchel.reproduce.topk import figure1, pruning, router

LIBRARIES = [name for name in ("numpy", "array_api_strict", "torch", "jax") if find_spec(name)]


@pytest.fixture(params=LIBRARIES)
def run(request, tmp_path):
    return Run(Library.named(request.param), tmp_path / "out", quick=True)


def test_figure_1_holds_on_every_library(run):
    claims = list(figure1.claims(run))
    assert len(claims) == 5
    assert all(claim.holds for claim in claims), list(map(str, claims))
    assert (run.output / "figure1.png").stat().st_size > 1000


def test_figure_1_against_the_projection_written_out():
    """For p = 2 the mask is a projection; here its threshold is found on a fine grid."""
    drawn = figure1.curves(Library.named("numpy"))
    for i in (0, 70, 100, 250, 333, 500):
        s = drawn["s"][i]
        x = np.array([3.0, 1.0, s - 1, s])
        grid = np.linspace(x.min() - 1, x.max(), 400_001)
        masks = np.clip((x - grid[:, None]) / 0.6, 0, 1)
        y = masks[np.argmin(np.abs(masks.sum(axis=1) - 2))]
        assert drawn["p = 2"][i] == pytest.approx(y[1] + y[2], abs=1e-4)


def test_router_claims_hold(run):
    claims = list(router.claims(run))
    assert all(claim.holds for claim in claims), list(map(str, claims))


@pytest.mark.parametrize("setting", [pruning.HARD, pruning.SOFT], ids=lambda s: s.label)
def test_training_is_the_same_on_every_library(tmp_path, setting):
    curves = [
        pruning.train(Run(Library.named(name), tmp_path), setting, seeds=1, epochs=2)
        for name in LIBRARIES
        if name != "array_api_strict"  # the same tape as NumPy's, only slower
    ]
    for curve in curves:
        assert curve.errors.shape == (2, 1)
        # float32 and float64 may tell a few of the 360 test images apart.
        assert curve.errors == pytest.approx(curves[0].errors, abs=0.02)


def test_temperature_is_lowered_geometrically():
    setting = pruning.Setting("any", 1.0, 0.01)
    assert [setting.temperature(t) for t in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.1, 0.01])
    assert pruning.HARD.temperature(0.5) == 0.0
