"""What is refused, and how; NaN among the arguments is NaN in the direction."""

import numpy as np
import pytest

from fenchel import losses
from fenchel.oracles import (
    ArmijoStep,
    GammaSearch,
    GaussNewton,
    LevenbergMarquardt,
    ProxLinear,
    UnitStep,
)

torch = pytest.importorskip("torch")
X, Y, W = np.asarray([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]]), np.asarray([1.0, 2.0, 3.0]), np.zeros(2)
LABELS, SCORES = np.asarray([0, 1, 2]), np.zeros((2, 3))


def linear(w, x):
    return x @ w


def ask(w=W, x=X, y=Y, predict=linear, **options):
    return GaussNewton(losses.squared, predict).direction(w, x, y, **options)


TYPES = {
    "numbers for parameters": (lambda: ask([0.0, 0.0]), r"`params\[0\]` must be a floating array"),
    "integers for parameters": (
        lambda: ask(np.zeros(2, int)),
        "`params` must have a real floating",
    ),
    "no parameters": (lambda: ask({}), "`params` must hold at least one array"),
    "list of targets": (lambda: ask(y=[1, 2, 3]), "`targets` must be an array; got list"),
    "targets of another library": (lambda: ask(y=torch.ones(3)), "must belong to one library"),
    "list of weights": (lambda: ask(weights=[1, 1, 1]), "`weights` must be an array of numpy"),
    "integers for weights": (lambda: ask(weights=np.ones(3, int)), "`weights` must have a real"),
    "start of another library": (
        lambda: ask(dual=torch.ones(3)),
        "`dual` must be an array of numpy",
    ),
    "no outputs": (lambda: ask(predict=lambda w, x: None), "`predict` must return an array"),
    "steps": (
        lambda: GaussNewton(losses.squared, linear, max_iter=2.5),
        "`max_iter` must be an int",
    ),
    "passes": (lambda: ProxLinear(losses.squared, linear, max_iter=True), "`max_iter` must be an"),
    "lengths": (lambda: ArmijoStep(max_iter=1.5), "`max_iter` must be an integer"),
    "one factor": (lambda: GammaSearch(2.0), "`factors` must be a tuple of numbers; got float"),
    "no oracle": (lambda: UnitStep().step(3, W, (), X, Y), "`oracle` must be an oracle"),
}
VALUES = {
    "gamma": (lambda: GaussNewton(losses.squared, linear, gamma=np.inf), "`gamma` must be at most"),
    "steps": (
        lambda: ProxLinear(losses.squared, linear, max_iter=-1),
        "`max_iter` must be at least",
    ),
    "outputs": (lambda: ask(predict=lambda w, x: (x @ w)[:, None, None]), "`predict` must return"),
    "targets": (
        lambda: ask(y=Y[:2]),
        "`targets` must hold as many samples as the outputs, 3; got 2",
    ),
    "classes": (
        lambda: GaussNewton(losses.logistic, linear).direction(SCORES, X, np.asarray([0, 1, 7])),
        r"`target` must be in \[0, 3\)",
    ),
}


@pytest.mark.parametrize("name", TYPES)
def test_types(name):
    call, message = TYPES[name]
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    call, message = VALUES[name]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("solver", ["dual_direct", "dual_cg"])
@pytest.mark.parametrize("gamma", [0.0, -1.0, np.nan])
def test_every_gamma_of_a_path_is_checked(solver, gamma):
    oracle = GaussNewton(losses.squared, linear, solver=solver)
    with pytest.raises(ValueError, match="`gammas` must be above 0"):
        oracle.path(W, X, Y, [1.0, gamma])


NAN = [
    GaussNewton(losses.logistic, linear, solver=s) for s in ("dual_cg", "dual_direct", "primal_cg")
]
NAN += [ProxLinear(losses.logistic, linear, solver=s) for s in ("newton_cg", "fista", "sdca")]
NAN += [ProxLinear(losses.hinge, linear, solver=s) for s in ("fista", "sdca", "frank_wolfe")]


@pytest.mark.parametrize("oracle", NAN, ids=lambda o: f"{type(o.loss).__name__}, {o.solver}")
def test_nan_is_not_hidden(oracle):
    broken = X.copy()
    broken[1, 0] = np.nan
    direction, info = oracle.direction(SCORES, broken, LABELS)
    assert np.any(np.isnan(direction)) and np.isnan(info.value) and not info.certified_descent
    dropped, info = oracle.direction(SCORES, broken, LABELS, np.asarray([1.0, 0.0, 1.0]))
    kept, _ = oracle.direction(SCORES, X[::2], LABELS[::2])
    np.testing.assert_allclose(dropped, kept, atol=1e-6)
    assert info.certified_descent


@pytest.mark.parametrize("update", [ArmijoStep(), LevenbergMarquardt(), GammaSearch()])
def test_updates_stay_where_nothing_is_known(update):
    oracle = GaussNewton(losses.squared, linear)
    new, _, info = update.step(oracle, W, update.init(W), X * np.nan, Y)
    np.testing.assert_array_equal(new, W)
    assert not info.accepted


def test_layouts_of_arrays():
    """Read-only, strided, of the other byte order: the same direction, and nothing is written."""
    expected = ask()[0]
    locked = [a.copy() for a in (W, X, Y)]
    for a in locked:
        a.flags.writeable = False
    for w, x, y in (
        locked,
        (np.zeros(4)[::2], np.repeat(X, 2, axis=1)[:, ::2], np.repeat(Y, 2)[::2]),
        (W.astype(">f8"), X.astype(">f8"), Y.astype(">f8")),
    ):
        np.testing.assert_allclose(ask(w, x, y)[0], expected, rtol=1e-14)
