"""Facts about soft sorting and ranking, over random rows."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from scipy.stats import rankdata

from fenchel.operators import soft_quantile, soft_rank, soft_sort, spearman_loss

entries = st.integers(-80, 80).map(lambda i: i / 8)
vectors = st.integers(1, 16).flatmap(lambda n: arrays(np.float64, n, elements=entries))
temperatures = st.sampled_from([0.0, 0.01, 0.3, 1.0, 7.0, 300.0])
regularizations = st.sampled_from(["quadratic", "entropic"])


@given(vectors, temperatures, regularizations)
@settings(max_examples=80)
def test_ranks_sum_and_keep_the_order(x, t, regularization):
    rank, n = soft_rank(x, temperature=t, regularization=regularization), len(x)
    assert_allclose(rank.sum(), n * (n + 1) / 2, rtol=1e-12)
    assert np.all((rank >= 1 - 1e-9) & (rank <= n + 1e-9))
    assert np.all(np.diff(rank[np.argsort(x)]) >= -1e-9)
    # equal inputs have equal outputs
    same = x[:, None] == x
    assert np.all(np.abs(rank[:, None] - rank)[same] <= 1e-9)


@given(vectors, temperatures, regularizations, st.randoms(use_true_random=False))
def test_permutations_pass_through(x, t, regularization, random):
    order = list(range(len(x)))
    random.shuffle(order)
    options = {"temperature": t, "regularization": regularization}
    assert_allclose(soft_rank(x[order], **options), soft_rank(x, **options)[order], atol=1e-9)
    assert_allclose(soft_sort(x[order], **options), soft_sort(x, **options), atol=1e-9)


@given(vectors)
def test_rank_is_hard_iff_the_temperature_is_within_the_smallest_gap(x):
    x = np.unique(x)
    assume(len(x) > 1)
    gap = np.diff(x).min()
    hard = rankdata(x)
    assert_allclose(soft_rank(x, temperature=gap), hard, atol=1e-12)
    assert np.abs(soft_rank(x, temperature=1.01 * gap) - hard).max() > 1e-4


@given(vectors)
def test_rank_is_affine_above_the_largest_slope(x):
    n, s = len(x), np.sort(x)
    assume(n > 1)
    slopes = [(s[j] - s[i]) / (j - i) for i in range(n) for j in range(i + 1, n)]
    t = max(slopes) * 1.01 + 1e-3
    assert_allclose(soft_rank(x, temperature=t), (x - x.mean()) / t + (n + 1) / 2, atol=1e-9)


@given(vectors)
def test_sort_is_hard_iff_the_temperature_is_within_the_inverse_gap(x):
    gap = np.diff(np.sort(x)).max(initial=0.0)
    assume(gap > 0)
    assert_allclose(soft_sort(x, temperature=1 / gap), np.sort(x), atol=1e-9)
    assert np.abs(soft_sort(x, temperature=1.01 / gap) - np.sort(x)).max() > 1e-4


@given(vectors, temperatures, regularizations, st.booleans())
@settings(max_examples=80)
def test_sorted_rows_are_monotone_and_keep_their_sum(x, t, regularization, descending):
    y = soft_sort(x, temperature=t, regularization=regularization, descending=descending)
    assert np.all(np.diff(-y if descending else y) >= -1e-9)
    if regularization == "quadratic":
        assert_allclose(y.sum(), x.sum(), atol=1e-9)
    else:
        sign = 1 if descending else -1
        assert_allclose(np.exp(sign * y).sum(), np.exp(sign * x).sum(), rtol=1e-9)


@given(vectors, temperatures, st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]))
def test_quantiles_are_monotone_and_within_range(x, t, q):
    value = soft_quantile(x, q, temperature=t)
    assert x.min() - 1e-9 <= value <= x.max() + 1e-9
    assert_allclose(soft_quantile(x, q, temperature=0), np.quantile(x, q), atol=1e-12)
    assert value <= soft_quantile(x, 1.0, temperature=t) + 1e-9


@given(vectors, vectors, temperatures, regularizations)
def test_spearman_loss_is_bounded_and_zero_on_the_same_order(x, y, t, regularization):
    n = min(len(x), len(y))
    x, y = x[:n], y[:n]
    loss = spearman_loss(x, y, temperature=t, regularization=regularization)
    assert 0 <= loss <= 2 + 1e-9
    assert_allclose(spearman_loss(x, x, temperature=0), 0, atol=1e-12)
