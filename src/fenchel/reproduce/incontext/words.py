"""Sequences of words against shuffled ones: which are closer to an autoregression (figure 4).

The words are those of the documentation of Python's standard library, their vectors come from how
often they stand together. In more dimensions than tokens a window is fitted exactly unless a token
comes twice: what the figure shows is how often words repeat.
"""

from __future__ import annotations

import ast
import re
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fenchel.incontext import ARLeastSquares

from ..paper import Claim, Run

__all__ = ["claims"]

VOCABULARY, DIM, WINDOW = 2000, 64, 5


def claims(run: Run) -> Iterator[Claim]:
    """Yield mean errors of windows, in order over shuffled, and where the difference is from."""
    import numpy as np

    rng = np.random.default_rng(0)
    *texts, vectors = corpus(rng, every=4 if run.quick else 1)
    windows, shuffled = (_windows(words, rng, 2000 if run.quick else 12000) for words in texts)
    errors = [_fit_errors(run, vectors[part]) for part in (windows, shuffled)]
    ratio = float(errors[0].mean() / errors[1].mean())
    yield Claim("words: error of autoregressions, in order over shuffled", ratio, "<=", 0.85)
    repeats = [_repeats(part) for part in (windows, shuffled)]
    share = float(repeats[0].mean() / repeats[1].mean())
    yield Claim("words: windows with a repetition, in order over shuffled", share, "<=", 1.0)
    left = max(float(e[~r].max()) for e, r in zip(errors, repeats, strict=True))
    yield Claim("words: largest error of a window without repetition", left, "<=", 1e-6)
    held = [_held_out(run, vectors[part[:2000]]) for part in (windows, shuffled)]
    ratio = held[0] / held[1]
    yield Claim("words: ridge error on the last word, in order over shuffled", ratio, "<=", 1)


def corpus(rng: Any, every: int = 1) -> tuple[Any, Any, Any]:
    """Return words as numbers, in order and shuffled within each docstring, and their vectors."""
    import numpy as np

    found: list[list[str]] = []
    root = Path(sysconfig.get_paths()["stdlib"])
    skipped = {"test", "tests", "site-packages", "idlelib", "lib2to3", "__pycache__"}
    for path in sorted(root.rglob("*.py"))[::every]:
        if not skipped & set(path.relative_to(root).parts):
            found += _docstrings(path)
    counts = Counter(word for text in found for word in text)
    number = {word: i for i, (word, _) in enumerate(counts.most_common(VOCABULARY))}
    texts = [np.asarray([number[w] for w in text if w in number], dtype=int) for text in found]
    words = np.concatenate(texts)
    return words, np.concatenate([rng.permutation(text) for text in texts]), _vectors(words)


def _docstrings(path: Path) -> list[list[str]]:
    """Return the words of each docstring of a file."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old escapes in old modules
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            return []
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
    return [re.findall("[a-z]+", text.lower()) for text in texts if text]


def _vectors(words: Any) -> Any:
    """Return unit vectors: singular vectors of the positive pointwise mutual information."""
    import numpy as np
    from scipy.sparse.linalg import eigsh

    pairs = np.zeros((VOCABULARY, VOCABULARY))
    for lag in range(1, WINDOW):
        np.add.at(pairs, (words[:-lag], words[lag:]), 1.0)
    pairs = pairs + pairs.T + 1e-12
    expected = np.outer(pairs.sum(1), pairs.sum(0)) / pairs.sum()
    information = np.maximum(np.log(pairs / expected), 0.0)
    values, vectors = eigsh(information, k=DIM, v0=np.ones(VOCABULARY))  # largest in size
    top = vectors * np.abs(values) ** 0.5
    return top / np.maximum(np.linalg.norm(top, axis=1, keepdims=True), 1e-12)


def _windows(words: Any, rng: Any, count: int) -> Any:
    import numpy as np

    starts = rng.choice(len(words) - WINDOW, count, replace=False)
    return words[starts[:, None] + np.arange(WINDOW)]


def _repeats(windows: Any) -> Any:
    """Whether a word comes twice."""
    import numpy as np

    return (np.diff(np.sort(windows, axis=1), axis=1) == 0).any(axis=1)


def _fit_errors(run: Run, s: Any) -> Any:
    """Return the mean squared error of the best autoregression of each window."""
    library = run.library
    fit = library.compiled(lambda s: ARLeastSquares().fit(s).matrix)
    matrix = library.numpy(fit(library.array(s)))
    gap = s[:, 1:] - s[:, :-1] @ matrix.swapaxes(-1, -2)
    return (gap**2).mean(axis=(1, 2))


def _held_out(run: Run, s: Any) -> float:
    """Return the mean squared error on the last word of a ridge regression on those before."""
    library, estimator = run.library, ARLeastSquares(ridge=0.1, method="rls")
    predict = library.compiled(lambda s: estimator.predict(estimator.fit(s)))
    predicted = library.numpy(predict(library.array(s[:, :-1])))
    return float(((predicted - s[:, -1]) ** 2).mean())
