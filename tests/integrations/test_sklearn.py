"""The estimators of scikit-learn: its own checks, its logistic regression, the real optimum."""

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")
from scipy.optimize import minimize  # noqa: E402
from scipy.sparse import issparse  # noqa: E402
from sklearn.datasets import load_iris, make_classification  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.svm import LinearSVC  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

import fenchel  # noqa: E402
from fenchel import losses  # noqa: E402
from fenchel.integrations.sklearn import (  # noqa: E402
    NAMED,
    FenchelYoungClassifier,
    LabelProportionRegressor,
)

ESTIMATORS = [
    FenchelYoungClassifier(),
    FenchelYoungClassifier("logistic", class_weight="balanced"),
    FenchelYoungClassifier("fitzpatrick_logistic"),
    LabelProportionRegressor(),
    LabelProportionRegressor("fitzpatrick_sparsemax"),
]


@parametrize_with_checks(ESTIMATORS)
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", NAMED)
def test_every_named_loss_learns(name):
    x, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), FenchelYoungClassifier(name)).fit(x, y)
    assert model.score(x, y) >= (0.8 if name.endswith("squared") else 0.93)


def test_logistic_is_logistic_regression():
    x, y = make_classification(200, 6, n_informative=4, n_classes=3, random_state=0)
    ours = FenchelYoungClassifier("logistic", ridge=1e-2, tol=1e-9).fit(x, y)
    theirs = LogisticRegression(C=1 / (1e-2 * len(x)), tol=1e-10, max_iter=5000).fit(x, y)
    assert ours.coef_ == pytest.approx(theirs.coef_, abs=1e-5)
    assert ours.predict_proba(x) == pytest.approx(theirs.predict_proba(x), abs=1e-5)


def test_weights_count_like_copies():
    x, y = make_classification(60, 5, n_informative=3, n_classes=3, random_state=1)
    counts = np.random.default_rng(0).integers(0, 4, size=60)
    weighted = FenchelYoungClassifier("sparsemax", tol=1e-9).fit(x, y, sample_weight=counts)
    copied = FenchelYoungClassifier("sparsemax", tol=1e-9)
    copied.fit(np.repeat(x, counts, axis=0), np.repeat(y, counts))
    assert weighted.coef_ == pytest.approx(copied.coef_, abs=1e-6)


def test_class_weight_multiplies_the_rows():
    x, y = make_classification(80, 5, n_informative=3, n_classes=3, random_state=2)
    by_class = FenchelYoungClassifier(class_weight={0: 1.0, 1: 3.0, 2: 0.5}, tol=1e-9).fit(x, y)
    by_row = FenchelYoungClassifier(tol=1e-9).fit(x, y, sample_weight=np.array([1.0, 3.0, 0.5])[y])
    assert by_class.coef_ == pytest.approx(by_row.coef_, abs=1e-6)


def test_the_optimum_of_another_solver():
    """The objective written out with a sorted sparsemax, minimised by another method."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((30, 2)), rng.dirichlet(np.ones(3), size=30)
    ridge = 0.05

    def objective(flat):
        w, b = flat[:6].reshape(2, 3), flat[6:]
        theta = x @ w + b
        ordered = -np.sort(-theta, axis=1)
        mean = (np.cumsum(ordered, axis=1) - 1) / np.arange(1, 4)
        count = (ordered > mean).sum(axis=1)
        p = np.maximum(theta - mean[np.arange(30), count - 1][:, None], 0)
        rows = (p * theta).sum(1) - (p**2).sum(1) / 2 + (y**2).sum(1) / 2 - (y * theta).sum(1)
        return rows.mean() + ridge / 2 * (w**2).sum()

    model = LabelProportionRegressor("sparsemax", ridge=ridge, tol=1e-9).fit(x, y)
    best = minimize(objective, np.zeros(9), method="Powell", options={"xtol": 1e-10, "ftol": 1e-14})
    ours = objective(np.concatenate([model.coef_.T.ravel(), model.intercept_]))
    assert ours <= best.fun + 1e-9


def test_sparse_output():
    x, y = load_iris(return_X_y=True)
    dense = FenchelYoungClassifier("sparsemax").fit(x, y).predict_proba(x)
    sparse = FenchelYoungClassifier("sparsemax", sparse_output=True).fit(x, y).predict_proba(x)
    assert issparse(sparse)
    assert sparse.nnz == np.count_nonzero(dense) < dense.size
    assert sparse.toarray() == pytest.approx(dense)


def test_warm_start_continues():
    x, y = load_iris(return_X_y=True)
    model = FenchelYoungClassifier("logistic", ridge=1e-4, warm_start=True).fit(x, y)
    first = model.n_iter_
    assert model.fit(x, y).n_iter_ < first / 3


def test_any_loss_object_and_grid_search():
    x, y = load_iris(return_X_y=True)
    grid = {"loss": ["logistic", losses.entmax_loss(alpha=1.3)], "ridge": [1e-3, 1.0]}
    search = GridSearchCV(FenchelYoungClassifier(), grid, cv=2).fit(x, y)
    assert search.best_score_ > 0.9


def test_counts_are_scaled_to_proportions():
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((20, 3)), rng.integers(0, 5, size=(20, 4)) + 1
    counts = LabelProportionRegressor().fit(x, y)
    shares = LabelProportionRegressor().fit(x, y / y.sum(axis=1, keepdims=True))
    assert counts.coef_ == pytest.approx(shares.coef_)
    assert counts.predict(x).sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: FenchelYoungClassifier("sparsmax"), ValueError, "`loss` must be one of"),
        (lambda: FenchelYoungClassifier(3), TypeError, "`loss` must be a name"),
        (lambda: FenchelYoungClassifier(ridge=-1.0), ValueError, "`ridge` must be at least 0"),
        (lambda: FenchelYoungClassifier(max_iter=0), ValueError, "`max_iter` must be at least 1"),
    ],
)
def test_bad_parameters(make, error, message):
    with pytest.raises(error, match=message):
        make().fit(np.eye(4), np.array([0, 1, 0, 1]))


def test_bad_proportions():
    with pytest.raises(ValueError, match="`y` must be non-negative"):
        LabelProportionRegressor().fit(np.eye(2), np.array([[1.0, 0.0], [-1.0, 2.0]]))
    with pytest.raises(ValueError, match="positive sum"):
        LabelProportionRegressor().fit(np.eye(2), np.array([[1.0, 0.0], [0.0, 0.0]]))


def test_inputs_are_not_written():
    x, y = load_iris(return_X_y=True)
    x.flags.writeable = y.flags.writeable = False
    with fenchel.use_kernels(False):
        FenchelYoungClassifier().fit(x, y)
    FenchelYoungClassifier().fit(x, y)


def test_the_hinge_is_minimised_in_spite_of_its_kinks():
    """The solver of liblinear is an independent one, without an intercept alone."""
    x, y = load_iris(return_X_y=True)
    x = x - x.mean(axis=0)
    peer = LinearSVC(
        multi_class="crammer_singer",
        C=1.0 / (len(y) * 1e-2),
        fit_intercept=False,
        max_iter=1_000_000,
        tol=1e-10,
    ).fit(x, y)
    ours = FenchelYoungClassifier("hinge", ridge=1e-2, fit_intercept=False).fit(x, y)

    def objective(coefficients):
        return losses.hinge(x @ coefficients.T, y) + 0.005 * (coefficients**2).sum()

    assert objective(ours.coef_) <= objective(peer.coef_) + 1e-4
    assert (ours.predict(x) == peer.predict(x)).mean() > 0.97
