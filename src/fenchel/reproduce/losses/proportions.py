"""Label proportions: a linear model predicts which share of the labels each class has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fenchel import losses
from fenchel.integrations._linear import LinearFit, fit_linear

from ..figures import COLORS, new_figure
from ..library import Library
from ..paper import Claim, Run
from .multilabel import DataSet, from_folder, synthetic

__all__ = ["LOSSES", "PAIRS", "claims", "estimate", "tour"]

LOSSES = {
    "sparsemax": losses.sparsemax_loss,
    "Fitzpatrick sparsemax": losses.fitzpatrick_sparsemax,
    "logistic": losses.logistic,
    "Fitzpatrick logistic": losses.fitzpatrick_logistic,
}
PAIRS = (("sparsemax", "Fitzpatrick sparsemax"), ("logistic", "Fitzpatrick logistic"))
RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
QUICK_RIDGES = (1e-3, 1e-2, 1e-1)
FOLDS = 3
# Rows times features times classes beyond which the ridge is chosen on a part of the rows, among
# fewer values, and L-BFGS stops sooner.
LARGE = 5e8
ROWS_OF_LARGE = 2000


def estimate(
    library: Library, loss: Any, data: DataSet, *, ridges: tuple[float, ...] = RIDGES
) -> float:
    """Return the test error of a linear model: squared, summed over classes, mean over rows.

    Parameters
    ----------
    library
        The library to compute with.
    loss
        A loss of `fenchel.losses`.
    data
        Standardised features and label proportions.
    ridges
        Penalties in ascending order, of which three-fold cross-validation chooses one.

    Returns
    -------
    float
        Mean squared error on the test rows.
    """
    if _is_large(data.features, data.proportions):
        ridges = tuple(ridge for ridge in ridges if ridge in QUICK_RIDGES) or ridges
    ridge = ridges[0] if len(ridges) == 1 else _chosen(library, loss, data, ridges)
    model = _fit(library, loss, data.features, data.proportions, ridge)
    return _error(library, loss, model, data.test_features, data.test_proportions)


def _chosen(library: Library, loss: Any, data: DataSet, ridges: tuple[float, ...]) -> float:
    """Return the ridge with the least cross-validated error."""
    import numpy as np

    rows = len(data.features)
    if _is_large(data.features, data.proportions):
        rows = ROWS_OF_LARGE
    order = np.random.default_rng(0).permutation(len(data.features))[:rows]
    folds = np.array_split(order, FOLDS)
    errors = np.zeros(len(ridges))
    for fold in folds:
        rest = np.setdiff1d(order, fold)
        model = None
        for i in reversed(range(len(ridges))):  # from the easiest, each a start for the next
            x, y = data.features[rest], data.proportions[rest]
            model = _fit(library, loss, x, y, ridges[i], start=model)
            errors[i] += _error(library, loss, model, data.features[fold], data.proportions[fold])
    return ridges[int(np.argmin(errors))]


def _fit(
    library: Library, loss: Any, x: Any, y: Any, ridge: float, start: LinearFit | None = None
) -> LinearFit:
    x, target = library.array(x), library.array(y)
    outputs = int(y.shape[1])
    steps = 100 if _is_large(x, y) else 300
    return fit_linear(loss, x, target, outputs, ridge=ridge, max_iter=steps, tol=1e-5, start=start)


def _is_large(x: Any, y: Any) -> bool:
    return bool(x.shape[0] * x.shape[1] * y.shape[1] > LARGE)


def _error(library: Library, loss: Any, model: LinearFit, x: Any, y: Any) -> float:
    import numpy as np

    predicted = library.numpy(loss.link(library.array(x @ model.weights + model.intercept)))
    return float(np.mean(np.sum((predicted - y) ** 2, axis=1)))


def claims(run: Run) -> Iterator[Claim]:
    """Yield error ratios: on every data set of the folder, or over seeds of the stand-in."""
    if run.data is None:
        yield from _stand_in(run)
        return
    table: dict[str, dict[str, float]] = {}
    for data in from_folder(run.data, quick=run.quick):
        named = run.progress(LOSSES.items(), data.name)
        table[data.name] = {
            name: estimate(run.library, loss, data, ridges=_ridges(run)) for name, loss in named
        }
        _print_row(data.name, table[data.name])
        for young, fitzpatrick in PAIRS:
            ratio = table[data.name][fitzpatrick] / table[data.name][young]
            yield Claim(f"{data.name}: error of {fitzpatrick} over {young}", ratio, "<=", 1.1)
    run.save(_draw(table), "proportions")


def _stand_in(run: Run) -> Iterator[Claim]:
    import numpy as np

    seeds = range(1 if run.quick else 6)
    rows = [_compare(run, synthetic(seed), _ridges(run)) for seed in run.progress(seeds, "seeds")]
    for young, fitzpatrick in PAIRS:
        ratio = float(np.mean([row[fitzpatrick] / row[young] for row in rows]))
        statement = f"synthetic labels: error of {fitzpatrick} over {young}, distance to 1"
        yield Claim(statement, abs(ratio - 1.0), "<=", 0.05)
    worst = max(row[name] / row["constant"] for row in rows for name in LOSSES)
    yield Claim("synthetic labels: largest error over the constant's", worst, "<=", 0.5)


def _ridges(run: Run) -> tuple[float, ...]:
    return QUICK_RIDGES if run.quick else RIDGES


def _compare(run: Run, data: DataSet, ridges: tuple[float, ...]) -> dict[str, float]:
    import numpy as np

    errors = {
        name: estimate(run.library, loss, data, ridges=ridges) for name, loss in LOSSES.items()
    }
    constant = data.proportions.mean(axis=0)
    errors["constant"] = float(np.mean(np.sum((data.test_proportions - constant) ** 2, axis=1)))
    return errors


def tour(run: Run) -> Claim:
    """Estimate label proportions with two losses and their Fitzpatrick counterparts."""
    errors = _compare(run, synthetic(0), QUICK_RIDGES)
    print(f"  {'loss':<24} {'squared error':>13}")
    for name, error in errors.items():
        print(f"  {name:<24} {error:>13.4f}")
    print(f"  figure: {run.save(_draw({'synthetic labels': errors}), 'fitzpatrick')}")
    worst = max(errors[fitzpatrick] / errors[young] for young, fitzpatrick in PAIRS)
    return Claim("error of a Fitzpatrick loss over its Fenchel-Young loss", worst, "<=", 1.1)


def _print_row(name: str, errors: dict[str, float]) -> None:
    print(f"  {name:<12} " + "  ".join(f"{key} {value:.4f}" for key, value in errors.items()))


def _draw(table: dict[str, dict[str, float]]) -> Any:
    import numpy as np

    figure, axis = new_figure()
    places = np.arange(len(table))
    colors = (COLORS["hard"], COLORS["soft"], COLORS["reference"], COLORS["smooth"])
    for i, (name, color) in enumerate(zip(LOSSES, colors, strict=True)):
        heights = [errors[name] for errors in table.values()]
        axis.bar(places + 0.2 * (i - 1.5), heights, 0.18, color=color, label=name)
    axis.set_xticks(places, list(table), rotation=30 if len(table) > 3 else 0)
    axis.set(ylabel="squared error of the proportions")
    axis.legend(frameon=False, fontsize=7)
    return figure
