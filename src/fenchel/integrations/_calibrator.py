"""Calibration of scores by a monotone fit, as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from fenchel.convex import isotonic_regression

__all__ = ["IsotonicCalibrator"]

_OUTSIDE = ("clip", "nan", "raise")
_DTYPES = [np.float64, np.float32]


class IsotonicCalibrator(RegressorMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    r"""Monotone function of a score, fitted to targets.

    Minimises :math:`\sum_i w_i |y_i - f(x_i)|^p / p` over the monotone functions f. For p = 2 and
    targets 0 and 1 that makes probabilities of scores. Between the scores of `fit` the function is
    linear; scores that are equal have one value.

    Parameters
    ----------
    p : float
        Power of the loss, above 1; near 1 the fit resists outliers.
    increasing : bool or "auto"
        Direction; "auto" takes the sign of Spearman's rank correlation.
    lower, upper : float, optional
        Bounds of the values.
    out_of_bounds : {"clip", "nan", "raise"}
        What becomes of scores outside those of `fit`: the value of the nearest one, NaN, an error.

    Attributes
    ----------
    scores_, values_ : array (n_knots,)
        Knots of the function; the inner ones of a constant stretch are left out.
    increasing_ : bool
        Direction of the function.

    Notes
    -----
    O(n log n) for the sort; `fenchel.isotonic_regression` fits.
    Source: arXiv 2302.01425.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.integrations.sklearn import IsotonicCalibrator
    >>> scores, labels = np.arange(6.0), np.asarray([0, 0, 1, 0, 1, 1])
    >>> IsotonicCalibrator().fit(scores, labels).predict([0.0, 2.0, 3.5, 9.0]).round(6)
    array([0.  , 0.5 , 0.75, 1.  ])
    """

    def __init__(
        self,
        *,
        p: float = 2.0,
        increasing: bool | str = True,
        lower: float | None = None,
        upper: float | None = None,
        out_of_bounds: str = "clip",
    ) -> None:
        self.p = p
        self.increasing = increasing
        self.lower = lower
        self.upper = upper
        self.out_of_bounds = out_of_bounds

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> IsotonicCalibrator:
        """Fit to scores `X` of shape (n,) or (n, 1) and targets `y`; rows of weight 0 are out."""
        self._check_parameters()
        x, y = self._scores(X), check_array(y, ensure_2d=False, dtype=_DTYPES, input_name="y")
        check_consistent_length(x, y)
        y = np.asarray(y, dtype=x.dtype).reshape(-1)
        weights = _check_sample_weight(sample_weight, x, dtype=x.dtype)
        kept = weights > 0
        if not kept.any():
            raise ValueError("`sample_weight` must have a positive entry; got none")
        x, y, weights = x[kept], y[kept], weights[kept]
        self.increasing_ = self._direction(x, y)
        # Equal scores in the order that the fit pools: their targets run against it.
        order = np.lexsort((-y if self.increasing_ else y, x))
        x, y, weights = x[order], y[order], weights[order]
        values = isotonic_regression(
            y,
            weights=None if (weights == weights[0]).all() else weights,
            increasing=self.increasing_,
            loss="squared" if self.p == 2.0 else "pnorm",
            p=self.p,
            lower=self.lower,
            upper=self.upper,
        )
        self.scores_, self.values_ = _knots(x, values)
        return self

    def _check_parameters(self) -> None:
        if not self.p > 1.0:
            raise ValueError(f"`p` must be above 1; got p={self.p}")
        if self.increasing not in (True, False, "auto"):
            raise ValueError(f"`increasing` must be True, False or 'auto'; got {self.increasing!r}")
        if self.out_of_bounds not in _OUTSIDE:
            raise ValueError(
                f"`out_of_bounds` must be one of {', '.join(_OUTSIDE)}; got {self.out_of_bounds!r}"
            )

    def _scores(self, X: Any) -> Any:
        x = check_array(X, ensure_2d=False, dtype=_DTYPES)
        if x.ndim not in (1, 2) or (x.ndim == 2 and x.shape[1] != 1):
            raise ValueError(f"`X` must have shape (n,) or (n, 1); got shape {x.shape}")
        return x.reshape(-1)

    def _direction(self, x: Any, y: Any) -> bool:
        if self.increasing != "auto":
            return bool(self.increasing)
        from scipy.stats import spearmanr

        constant = (x == x[0]).all() or (y == y[0]).all()
        return bool(constant or spearmanr(x, y).statistic >= 0)

    def predict(self, X: Any) -> Any:
        """Return the values (n,) at scores of shape (n,) or (n, 1)."""
        check_is_fitted(self)
        x = self._scores(X)
        outside = (x < self.scores_[0]) | (x > self.scores_[-1])
        if self.out_of_bounds == "raise" and outside.any():
            raise ValueError(
                f"`X` must lie in [{self.scores_[0]:g}, {self.scores_[-1]:g}], the scores of `fit`;"
                f" got {x[outside][0]:g}"
            )
        values = np.interp(x, self.scores_, self.values_).astype(self.values_.dtype)
        return np.where(outside, np.nan, values) if self.out_of_bounds == "nan" else values

    def transform(self, X: Any) -> Any:
        """Return the values (n,) at scores of shape (n,) or (n, 1)."""
        return self.predict(X)

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the name of the one output."""
        check_is_fitted(self)
        return np.asarray(["isotoniccalibrator0"], dtype=object)

    def __sklearn_tags__(self) -> Any:
        """Say that inputs are one score a row."""
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags


def _knots(x: Any, values: Any) -> tuple[Any, Any]:
    """Return the sorted distinct scores with their values, without what the line gives anyway."""
    first = np.concatenate([[True], x[1:] != x[:-1]])
    x, values = x[first], values[first]
    flat = np.zeros(x.size, dtype=bool)
    flat[1:-1] = (values[1:-1] == values[:-2]) & (values[1:-1] == values[2:])
    return x[~flat], values[~flat]
