"""Monotone calibration, against scikit-learn's own and against brute force."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import cross_val_predict
from sklearn.utils.estimator_checks import check_estimator

from fenchel.integrations.sklearn import IsotonicCalibrator


def test_conventions():
    """Scikit-learn leaves out most checks for estimators of one column, its own isotonic too."""
    with pytest.warns(SkipTestWarning, match="one_d_array"):
        check_estimator(IsotonicCalibrator())
    model = clone(IsotonicCalibrator(p=1.5, out_of_bounds="nan"))
    assert model.get_params()["p"] == 1.5
    with pytest.raises(NotFittedError):
        model.predict([0.0])
    x, y = np.linspace(0.0, 1.0, 30, dtype=np.float32), np.arange(30) % 7
    given = x.copy(), y.copy()
    fitted = pickle.loads(pickle.dumps(model.fit(x, y)))
    np.testing.assert_array_equal(fitted.predict(x), model.transform(x[:, None]))
    assert fitted.predict(x).dtype == np.float32
    np.testing.assert_array_equal(given[0], x)
    np.testing.assert_array_equal(given[1], y)
    assert cross_val_predict(IsotonicCalibrator(), x[:, None], y).shape == (30,)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("increasing", [True, False, "auto"])
def test_squared_loss_is_that_of_sklearn(seed, increasing):
    rng = np.random.default_rng(seed)
    x = rng.integers(8, size=40).astype(float)  # with ties
    y, w = rng.integers(2, size=40).astype(float), rng.integers(4, size=40).astype(float)
    ours = IsotonicCalibrator(increasing=increasing, lower=0.1, upper=0.8).fit(x, y, w)
    theirs = IsotonicRegression(
        increasing=ours.increasing_, y_min=0.1, y_max=0.8, out_of_bounds="clip"
    ).fit(x, y, w)
    at = np.linspace(-1.0, 9.0, 101)
    np.testing.assert_allclose(ours.predict(at), theirs.predict(at), atol=1e-12)


def test_the_direction_found():
    x = np.arange(20.0)
    assert IsotonicCalibrator(increasing="auto").fit(x, -x).increasing_ is False
    assert IsotonicCalibrator(increasing="auto").fit(x, np.sqrt(x)).increasing_ is True


def test_ties_share_the_value_of_any_power():
    x, y = np.asarray([0.0, 1.0, 1.0, 1.0, 2.0]), np.asarray([0.3, 0.9, 0.1, 0.2, 0.5])
    model = IsotonicCalibrator(p=1.5).fit(x, y)
    loss = minimize(
        lambda v: (np.abs(y - v[[0, 1, 1, 1, 2]]) ** 1.5).sum(),
        [0.2, 0.3, 0.5],
        constraints=[{"type": "ineq", "fun": np.diff}],
        tol=1e-12,
    )
    np.testing.assert_allclose(model.predict([0.0, 1.0, 2.0]), loss.x, atol=1e-5)


def test_scores_outside():
    model = IsotonicCalibrator(out_of_bounds="nan").fit([0.0, 1.0], [0.0, 1.0])
    assert np.isnan(model.predict([-1.0, 2.0])).all()
    with pytest.raises(ValueError, match=r"`X` must lie in \[0, 1\].* got 2"):
        model.set_params(out_of_bounds="raise").predict([2.0])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"p": 1.0}, "`p` must be above 1; got p=1.0"),
        ({"increasing": "up"}, "`increasing` must be True, False or 'auto'; got 'up'"),
        ({"out_of_bounds": "wrap"}, "`out_of_bounds` must be one of clip, nan, raise; got 'wrap'"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        IsotonicCalibrator(**parameters).fit([0.0, 1.0], [0.0, 1.0])


def test_bad_data():
    with pytest.raises(ValueError, match=r"`X` must have shape \(n,\) or \(n, 1\); got"):
        IsotonicCalibrator().fit(np.zeros((3, 2)), np.zeros(3))
    with pytest.raises(ValueError, match="`sample_weight` must have a positive entry"):
        IsotonicCalibrator().fit([0.0, 1.0], [0.0, 1.0], sample_weight=[0.0, -1.0])
