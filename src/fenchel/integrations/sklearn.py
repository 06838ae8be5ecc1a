"""Estimators for scikit-learn: linear models under any loss, and monotone calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from fenchel import losses

from ._calibrator import IsotonicCalibrator
from ._envelope import Envelope, stages
from ._linear import LinearFit, fit_linear

__all__ = ["FenchelYoungClassifier", "IsotonicCalibrator", "LabelProportionRegressor"]

NAMED = {
    "logistic": losses.logistic,
    "sparsemax": losses.sparsemax_loss,
    "entmax15": losses.entmax_loss(alpha=1.5),
    "hinge": losses.hinge,
    "squared": losses.squared,
    "fitzpatrick_logistic": losses.fitzpatrick_logistic,
    "fitzpatrick_sparsemax": losses.fitzpatrick_sparsemax,
    "fitzpatrick_entmax15": losses.fitzpatrick_entmax(alpha=1.5),
    "fitzpatrick_squared": losses.fitzpatrick_squared,
    # As `fenchel.losses` calls them.
    "sparsemax_loss": losses.sparsemax_loss,
    "entmax_loss": losses.entmax_loss(),
    "fitzpatrick_entmax": losses.fitzpatrick_entmax(),
}


def _loss_of(loss: Any) -> Any:
    """Return a loss given by name or as an object."""
    if isinstance(loss, str):
        if loss not in NAMED:
            raise ValueError(f"`loss` must be one of {', '.join(NAMED)}, or a loss; got {loss!r}")
        return NAMED[loss]
    if not hasattr(loss, "value_and_grad"):
        raise TypeError(f"`loss` must be a name or a loss of fenchel.losses; got {loss!r}")
    return loss


class _LinearModel(BaseEstimator):  # type: ignore[misc]
    """Scores X W + b, fitted by L-BFGS under a loss with an l2 penalty on W."""

    def __init__(
        self,
        loss: Any = "sparsemax",
        *,
        ridge: float = 1e-3,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float = 1e-6,
        warm_start: bool = False,
        sparse_output: bool = False,
    ) -> None:
        self.loss = loss
        self.ridge = ridge
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.sparse_output = sparse_output

    def _check_parameters(self) -> None:
        if not self.ridge >= 0:
            raise ValueError(f"`ridge` must be at least 0; got ridge={self.ridge}")
        if not self.max_iter >= 1:
            raise ValueError(f"`max_iter` must be at least 1; got max_iter={self.max_iter}")

    def _fit_scores(self, x: Any, target: Any, outputs: int, row_weights: Any) -> None:
        """Fit weights and intercept to checked data."""
        total = row_weights.sum()
        if not total > 0:
            raise ValueError("`sample_weight` must have a positive sum; got 0")
        fit, iterations = self._start(x.shape[1], outputs), 0
        for loss in stages(_loss_of(self.loss)):
            fit = fit_linear(
                loss,
                x,
                target,
                outputs,
                ridge=float(self.ridge),
                row_weights=(row_weights / total).astype(x.dtype),
                fit_intercept=self.fit_intercept,
                max_iter=self.max_iter,
                tol=self.tol,
                polish=not isinstance(loss, Envelope),
                start=fit,
            )
            iterations += fit.iterations
        assert fit is not None  # there is a stage
        self.coef_ = fit.weights.T.astype(x.dtype)
        self.intercept_ = fit.intercept.astype(x.dtype)
        self.n_iter_ = max(iterations, 1)

    def _start(self, features: int, outputs: int) -> LinearFit | None:
        if not self.warm_start or getattr(self, "coef_", np.empty(0)).shape != (outputs, features):
            return None
        return LinearFit(self.coef_.T, self.intercept_, 0)

    def _scores(self, x: Any) -> Any:
        check_is_fitted(self)
        x = validate_data(self, x, reset=False, dtype=[np.float64, np.float32])
        return x @ self.coef_.T + self.intercept_

    def _linked(self, x: Any) -> Any:
        """Return the predictions of the loss's own link, sparse if so asked."""
        predicted = np.asarray(_loss_of(self.loss).link(self._scores(x)))
        if self.sparse_output:
            from scipy.sparse import csr_array

            return csr_array(predicted)
        return predicted


class FenchelYoungClassifier(ClassifierMixin, _LinearModel):  # type: ignore[misc]
    r"""Linear classifier under a Fenchel-Young or Fitzpatrick loss.

    Minimises :math:`\sum_i w_i L(W x_i + b, y_i) / \sum_i w_i + \frac{r}{2} \|W\|^2`.
    `predict_proba` goes through the link of the loss, so that a sparse loss gives exact zeros.

    Parameters
    ----------
    loss : str or loss
        A loss of `fenchel.losses`, or its name: logistic, sparsemax, entmax15, hinge, squared,
        fitzpatrick_logistic, fitzpatrick_sparsemax, fitzpatrick_entmax15, fitzpatrick_squared. The
        names of `fenchel.losses` (sparsemax_loss, entmax_loss, fitzpatrick_entmax) serve too.
    ridge : float
        Penalty r on the weights; the intercept is free.
    fit_intercept : bool
        Whether b is fitted.
    max_iter, tol : int, float
        Iterations of L-BFGS at most, and the largest gradient entry at which it stops; Newton
        steps follow. The hinge has kinks: it is smoothed, less and less, to within 1e-3 of itself.
    warm_start : bool
        Whether a new fit starts from the last one.
    sparse_output : bool
        Whether `predict_proba` returns a ``scipy.sparse.csr_array``.
    class_weight : dict or "balanced", optional
        Weights of the classes, as elsewhere in scikit-learn.

    Attributes
    ----------
    classes_ : array (n_classes,)
        Classes seen.
    coef_, intercept_ : array (n_classes, n_features), array (n_classes,)
        Fitted weights.
    n_iter_ : int
        Iterations made.

    Notes
    -----
    Sources: arXiv 1901.02324, arXiv 2405.14574.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fenchel.integrations.sklearn import FenchelYoungClassifier
    >>> x, y = load_iris(return_X_y=True)
    >>> model = FenchelYoungClassifier("sparsemax").fit(x, y)
    >>> round(model.score(x, y), 2)
    0.98
    >>> model.predict_proba(x[:1])
    array([[1., 0., 0.]])
    """

    def __init__(
        self,
        loss: Any = "sparsemax",
        *,
        ridge: float = 1e-3,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float = 1e-6,
        warm_start: bool = False,
        sparse_output: bool = False,
        class_weight: Any = None,
    ) -> None:
        super().__init__(
            loss,
            ridge=ridge,
            fit_intercept=fit_intercept,
            max_iter=max_iter,
            tol=tol,
            warm_start=warm_start,
            sparse_output=sparse_output,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> FenchelYoungClassifier:
        """Fit to rows `X` and classes `y`; a row of weight 0 does not count."""
        self._check_parameters()
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        encoder = LabelEncoder().fit(y)
        self.classes_ = encoder.classes_
        if len(self.classes_) < 2:
            raise ValueError(
                f"`y` must hold at least 2 classes; got one class, {self.classes_[0]!r}"
            )
        places = encoder.transform(y).astype(np.int64)
        weights = _check_sample_weight(sample_weight, X, dtype=X.dtype)
        if self.class_weight is not None:
            weights = weights * self._by_class(y, places, weights).astype(X.dtype)[places]
        self._fit_scores(X, places, len(self.classes_), weights)
        return self

    def _by_class(self, y: Any, places: Any, weights: Any) -> Any:
        """Return the weight of each class; classes that only rows of weight 0 have do not count."""
        kept = weights > 0
        present = np.unique(places[kept])
        by_class = np.zeros(len(self.classes_))
        by_class[present] = compute_class_weight(
            self.class_weight,
            classes=self.classes_[present],
            y=y[kept],
            sample_weight=weights[kept],
        )
        return by_class

    def decision_function(self, X: Any) -> Any:
        """Return the scores (n, n_classes); of two classes, the second minus the first, (n,)."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: Any) -> Any:
        """Return the probabilities (n, n_classes) of the loss's link."""
        return self._linked(X)

    def predict(self, X: Any) -> Any:
        """Return the class with the largest score."""
        check_is_fitted(self)
        return self.classes_[np.argmax(self._scores(X), axis=1)]


class LabelProportionRegressor(RegressorMixin, _LinearModel):  # type: ignore[misc]
    r"""Linear model of label proportions under a Fenchel-Young or Fitzpatrick loss.

    Targets are rows of non-negative numbers (counts or proportions), scaled to sum 1; predictions
    are proportions through the link of the loss, with exact zeros if the loss is sparse.

    Parameters
    ----------
    loss, ridge, fit_intercept, max_iter, tol, warm_start
        As in `FenchelYoungClassifier`.
    sparse_output : bool
        Whether `predict` returns a ``scipy.sparse.csr_array``.

    Attributes
    ----------
    coef_, intercept_ : array (n_classes, n_features), array (n_classes,)
        Fitted weights.
    n_iter_ : int
        Iterations made.

    Notes
    -----
    Sources: arXiv 1901.02324, arXiv 2405.14574.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.integrations.sklearn import LabelProportionRegressor
    >>> x = np.linspace(-1.0, 1.0, 50)[:, None]
    >>> y = np.concatenate([(1 + x) / 2, (1 - x) / 2, 0 * x], axis=1)
    >>> LabelProportionRegressor("sparsemax", ridge=0.0).fit(x, y).predict([[0.5]]).round(3)
    array([[0.75, 0.25, 0.  ]])
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LabelProportionRegressor:
        """Fit to rows `X` and proportions or counts `y` (n, n_classes)."""
        self._check_parameters()
        X, y = validate_data(
            self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True
        )
        y = np.asarray(y, dtype=X.dtype)
        self._one_column = y.ndim == 1  # a single class: its share is 1
        y = y[:, None] if self._one_column else y
        if (y < 0).any():
            raise ValueError(f"`y` must be non-negative; got a minimum of {y.min():g}")
        total = y.sum(axis=1, keepdims=True)
        if (total == 0).any():
            raise ValueError("`y` must have a positive sum in every row; got a row of zeros")
        weights = _check_sample_weight(sample_weight, X, dtype=X.dtype)
        self._fit_scores(X, y / total, y.shape[1], weights)
        return self

    def predict(self, X: Any) -> Any:
        """Return the proportions (n, n_classes), or (n,) if `fit` was given a single column."""
        proportions = self._linked(X)
        return proportions[:, 0] if self._one_column and not self.sparse_output else proportions

    def __sklearn_tags__(self) -> Any:
        """Say that targets are rows of non-negative numbers."""
        tags = super().__sklearn_tags__()
        # Several columns, yet not any: "multi_output" promises targets of either sign.
        tags.target_tags.single_output = False
        tags.target_tags.positive_only = True
        tags.regressor_tags.poor_score = True  # a column alone is 1 whatever the features
        return tags
