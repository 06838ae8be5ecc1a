"""Multilabel data as label proportions: files of a folder, or a synthetic stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["DataSet", "from_folder", "synthetic"]

LARGE_FILES = ("delicious", "tmc2007-500")  # minutes each: left out of a quick run


@dataclass(frozen=True)
class DataSet:
    """Standardised features and label proportions, in two parts; rows without a label dropped."""

    name: str
    features: Any
    proportions: Any
    test_features: Any
    test_proportions: Any

    @classmethod
    def of_labels(cls, name: str, train: tuple[Any, Any], test: tuple[Any, Any]) -> DataSet:
        """Return the data set of 0/1 labels, features scaled by the training part.

        Parameters
        ----------
        name
            Name in tables.
        train, test
            Features (n, features) and labels (n, classes).
        """
        (x, y), (x_test, y_test) = (_labelled(*part) for part in (train, test))
        mean, spread = x.mean(axis=0), x.std(axis=0)
        spread[spread == 0.0] = 1.0
        return cls(name, (x - mean) / spread, y, (x_test - mean) / spread, y_test)


def _labelled(x: Any, y: Any) -> tuple[Any, Any]:
    """Return the rows that have a label, and the labels as proportions."""
    import numpy as np

    y = np.asarray(y, dtype="float64")
    count = y.sum(axis=1, keepdims=True)
    keep = count[:, 0] > 0
    return np.asarray(x, dtype="float64")[keep], (y / np.maximum(count, 1.0))[keep]


def from_folder(folder: Path, *, quick: bool = False) -> Iterator[DataSet]:
    """Yield the data sets of a folder of ``.npz`` files, small ones first.

    A file holds `X_train, Y_train, X_test, Y_test`, or `X_all, Y_all`, of which a random fifth
    becomes the test part.

    Raises
    ------
    ValueError
        If the folder holds no such file.
    """
    import numpy as np

    paths = sorted(Path(folder).rglob("*.npz"), key=lambda path: path.stat().st_size)
    if not paths:
        raise ValueError(f"`data` must be a folder with .npz files; got {folder}")
    for path in paths:
        if quick and path.stem in LARGE_FILES:
            continue
        with np.load(path) as file:
            parts = {key: file[key] for key in file.files}
        if "X_all" in parts:
            order = np.random.default_rng(0).permutation(len(parts["X_all"]))
            cut = len(order) * 4 // 5
            for part, rows in (("train", order[:cut]), ("test", order[cut:])):
                parts[f"X_{part}"], parts[f"Y_{part}"] = parts["X_all"][rows], parts["Y_all"][rows]
        train, test = ((parts[f"X_{part}"], parts[f"Y_{part}"]) for part in ("train", "test"))
        yield DataSet.of_labels(path.stem, train, test)


def synthetic(seed: int) -> DataSet:
    """Return 1200 rows of 20 features with 5 classes, about 2 labels a row; a third to test.

    Examples
    --------
    >>> synthetic(0).features.shape
    (800, 20)
    """
    from sklearn.datasets import make_multilabel_classification

    x, y = make_multilabel_classification(
        n_samples=1200,
        n_features=20,
        n_classes=5,
        n_labels=2,
        allow_unlabeled=False,
        random_state=seed,
    )
    return DataSet.of_labels("synthetic", (x[:800], y[:800]), (x[800:], y[800:]))
