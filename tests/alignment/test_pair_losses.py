"""Pair losses and their derivatives: 40 digits, the ends of float32, and what the theory says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fenchel import grad
from fenchel.alignment import (
    divergence_score,
    pair_loss,
    pair_loss_grad,
    pair_loss_names,
)
from tests.alignment import oracles
from tests.alignment.programs import whole

NAMES = pair_loss_names(aliases=False)
DIFFERENCES = (
    "dpo", "robust", "ipo", "slic", "squared_hinge", "simpo", "exo", "discopop", "fy_logistic",
    "fy_sparse", "fitzpatrick_logistic", "fitzpatrick_sparse",
)  # fmt: skip
# Those whose slopes have a closed form; the others are differentiated by the library.
CLOSED = tuple(name for name in NAMES if not name.startswith(("fy", "fitzpatrick")))
SEPARATE = ("nca", "bco", "sppo", "apo_zero", "apo_down", "kto")
ONES = {"len_chosen": np.ones(1), "len_rejected": np.ones(1)}
OPTIONS = {
    "robust": {"label_smoothing": 0.2},
    "exo": {"label_smoothing": 1e-3},
    "simpo": {"gamma": 0.7},
    "sigmoid_norm": ONES,
}
A = np.asarray([0.3, -2.5, 12.0, 0.0, -40.0, 3.1])
B = np.asarray([-0.4, 1.5, -3.0, 0.0, 25.0, 3.1])
finite = st.floats(-30, 30)


def value(name, a, b, **options):
    return pair_loss(name, a, b, reduction="none", **{**OPTIONS.get(name, {}), **options})


def row(number, dtype=np.float64):
    return np.asarray([number], dtype=dtype)


@pytest.mark.parametrize("name", oracles.LOSSES)
@pytest.mark.parametrize("prob", [None, 0.0, 0.3])
def test_values_and_slopes_in_forty_digits(name, prob):
    options = dict(OPTIONS.get(name, {}))
    theirs = {k: v for k, v in options.items() if not k.startswith("len")}
    p = 1.0 if prob is None else prob
    for beta in (0.1, 1.3):
        found = value(name, A, B, beta=beta, prob=prob)
        wanted = [
            float(oracles.mixed(name, a, b, beta, p, **theirs)) for a, b in zip(A, B, strict=True)
        ]
        assert_allclose(found, wanted, rtol=2e-13, atol=1e-15)
        if name == "slic":
            continue  # by hand below: the kink
        slopes = pair_loss_grad(name, A, B, beta=beta, prob=prob, **options)
        wanted = [oracles.slopes(name, a, b, beta, p, **theirs) for a, b in zip(A, B, strict=True)]
        assert_allclose(np.stack(slopes, -1), wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", oracles.FENCHEL)
def test_fenchel_young_and_fitzpatrick_in_forty_digits(name):
    for z, p in ((0.3, 1.0), (-1.7, 1.0), (2.2, 0.8), (0.0, 0.5), (0.9, 0.1), (-0.4, 0.3)):
        found = value(name, row(2 * z), row(0.0), beta=0.5, prob=p)
        assert_allclose(found, float(oracles.FENCHEL[name](z, p)), rtol=1e-11, atol=1e-14)


def test_numbers_of_the_paper_spec():
    cases = {
        (0.3, 1.0): (0.554355, 0.218943, 0.1225),
        (-1.7, 1.0): (1.867786, 0.855762, 1.7),
        (2.2, 0.8): (0.044681, 0.023418, 0.28),
    }
    names = ("fy_logistic", "fitzpatrick_logistic", "fy_sparse")
    for (z, p), wanted in cases.items():
        found = [float(value(n, row(z), row(0.0), beta=1.0, prob=p)[0]) for n in names]
        assert_allclose(found, wanted, atol=6e-7)


def test_every_library(xp):
    """Values and derivatives of all losses, soft labels included, are NumPy's."""
    prob, lengths = np.asarray([0.9, 0.5, 0.2, 1.0, 0.0, 0.7]), np.asarray([1.0, 2, 3, 0, 5, 6])

    def all_of(a, b, prob, lengths):
        found = []
        for name in NAMES:
            options = dict(OPTIONS.get(name, {}))
            if name == "sigmoid_norm":
                options = {"len_chosen": lengths, "len_rejected": lengths + 1.0}
            shared = {"beta": 0.4, "prob": prob, **options}
            found += [pair_loss(name, a, b, **shared, reduction="none")]
            if name in (*CLOSED, "fy_sparse"):
                found += pair_loss_grad(name, a, b, **shared)
        return found

    arrays = [A, B, prob, lengths]
    found = whole(xp, all_of, *[xp.array(a) for a in arrays])
    for one, other in zip(found, all_of(*arrays), strict=True):
        assert_allclose(xp.numpy(one), other, rtol=1e-10, atol=1e-12)


def test_slopes_are_the_derivatives(xp):
    """Closed forms against the derivative that the library finds itself."""
    prob, lengths = np.asarray([0.9, 0.5, 0.2, 1.0, 0.0, 0.7]), np.asarray([1.0, 2, 3, 4, 5, 6])

    def both(a, b, prob, lengths):
        found = []
        for name in CLOSED:
            options = {"beta": 0.4, "prob": prob, **OPTIONS.get(name, {})}
            if name == "sigmoid_norm":
                options |= {"len_chosen": lengths, "len_rejected": lengths}

            def total(a, b, name=name, options=options):
                return pair_loss(name, a, b, reduction="sum", **options)

            found += [*grad(total, (0, 1))(a, b), *pair_loss_grad(name, a, b, **options)]
        return found

    found = whole(xp, both, *[xp.array(x) for x in (A, B, prob, lengths)])
    for i in range(0, len(found), 4):
        for one, other in zip(found[i : i + 2], found[i + 2 : i + 4], strict=True):
            assert_allclose(xp.numpy(one), xp.numpy(other), rtol=1e-11, atol=1e-13)


def test_large_margins_in_float32(xp):
    """z = +-1200: 0 and 1200, slopes 0 and -1, and nothing that is not a number."""

    def at(name, a, zero, **options):
        total = lambda a: pair_loss(name, a, zero, reduction="sum", **options)
        rows = pair_loss(name, a, zero, reduction="none", **options)
        closed = pair_loss_grad(name, a, zero, **options) if name in CLOSED else ()
        return rows, grad(total)(a), *closed

    def hard(a, zero):
        return [at(name, a, zero, beta=1.0) for name in ("dpo", "fy_logistic", "simpo")]

    def soft(a, zero):
        found = []
        # Every other loss where each is compiled: the formulas are those of the other libraries.
        for name in NAMES[:: 2 if xp.name.startswith("jax") else 1]:
            options = {"beta": 1.0, "prob": 0.3, **OPTIONS.get(name, {})}
            if name == "sigmoid_norm":
                options |= {"len_chosen": zero, "len_rejected": zero}
            found += at(name, a, zero, **options)
        return found

    a = xp.array(np.asarray([1200.0, -1200.0], np.float32), np.float32)
    zero = xp.array(np.zeros(2, np.float32), np.float32)
    for rows, slope, *closed in whole(xp, hard, a, zero):
        assert xp.numpy(rows).dtype == np.float32
        assert_allclose(xp.numpy(rows), [0.0, 1200.0], rtol=1e-7, atol=1e-37)
        for sign, found in zip((1, 1, -1), (slope, *closed), strict=False):
            assert_allclose(sign * xp.numpy(found), [0.0, -1.0], atol=1e-7)
    assert all(np.isfinite(xp.numpy(x)).all() for x in whole(xp, soft, a, zero))


def test_slope_at_the_first_step(xp):
    """At z = 0 the slope of dpo is exactly -beta/2, also where |z| has a kink."""
    zero = xp.array(np.zeros(3))
    slope = grad(lambda a: pair_loss("dpo", a, zero, beta=0.5, reduction="sum"))(zero)
    assert (xp.numpy(slope) == -0.25).all()


@pytest.mark.parametrize("name", NAMES)
def test_infinite_ratios_have_the_limit(name):
    """A token of probability 0: 0, a number or inf, never NaN."""
    inf = float("inf")
    a, b = np.asarray([inf, -inf, 0.5, 0.5]), np.asarray([0.5, 0.5, inf, -inf])
    for prob in (None, 0.25):
        found = value(name, a, b, beta=0.5, prob=prob)
        far = value(name, np.clip(a, -1e5, 1e5), np.clip(b, -1e5, 1e5), beta=0.5, prob=prob)
        assert not np.isnan(found).any()
        small = np.abs(far) < 100
        assert_allclose(found[small], far[small], atol=1e-3)
        assert np.isinf(found[~small]).all()
        assert (np.sign(found[~small]) == np.sign(far[~small])).all()
    assert not np.isnan(
        np.stack(pair_loss_grad(name, a, b, beta=0.5, **OPTIONS.get(name, {})))
    ).any()


@given(z=finite, beta=st.sampled_from([0.1, 1.0, 3.0]))
def test_dpo(z, beta):
    a, zero = row(z), row(0.0)
    straight, swapped = value("dpo", a, zero, beta=beta), value("dpo", zero, a, beta=beta)
    assert straight >= 0
    assert_allclose(straight - swapped, -beta * z, atol=1e-12)
    assert_allclose(value("dpo", zero, zero, beta=beta), np.log(2), rtol=1e-15)


@given(x=finite, y=finite, t=st.floats(0, 1))
def test_convex_and_falling(x, y, t):
    low, high = min(x, y), max(x, y)
    for name in ("dpo", "slic", "squared_hinge", "fy_sparse", "fitzpatrick_logistic"):
        at = lambda z, name=name: float(value(name, row(z), row(0.0), beta=1.0)[0])
        assert at(t * x + (1 - t) * y) <= t * at(x) + (1 - t) * at(y) + 1e-12
        assert at(high) <= at(low) + 1e-13


@given(a=finite, b=finite, noise=st.floats(0.0, 0.45))
def test_robust(a, b, noise):
    a, b = row(a), row(b)
    robust = lambda x, y: pair_loss("robust", x, y, beta=0.7, label_smoothing=noise)
    dpo = value("dpo", a, b, beta=0.7)[0]
    assert_allclose((1 - noise) * robust(a, b) + noise * robust(b, a), dpo, atol=1e-11)
    assert pair_loss("robust", a, b, beta=0.7) == dpo


@given(a=finite, b=finite, shift=finite, p=st.floats(0, 1))
@settings(max_examples=30)
def test_differences(a, b, shift, p):
    """Opposite slopes, no change under a common shift; the other losses do change."""
    x, y = row(a), row(b)
    for name in DIFFERENCES:
        options = {"beta": 0.6, "prob": p, **OPTIONS.get(name, {})}
        first, second = pair_loss_grad(name, x, y, **options)
        assert_allclose(first, -second, atol=1e-12)
        moved = value(name, x + shift, y + shift, beta=0.6, prob=p)
        assert_allclose(moved, value(name, x, y, beta=0.6, prob=p), rtol=1e-9, atol=1e-9)


def test_the_others_see_a_shift():
    for name in SEPARATE:
        moved = value(name, row(1.5), row(0.5), beta=0.6)
        assert abs(moved - value(name, row(0.5), row(-0.5), beta=0.6)) > 1e-3


@given(beta=st.floats(0.05, 3), p=st.floats(0, 1), gap=finite)
def test_ipo_is_least_at_its_target(beta, p, gap):
    best = (2 * p - 1) / (2 * beta)
    at = lambda delta: float(value("ipo", row(delta), row(0.0), beta=beta, prob=p)[0])
    assert at(best) <= at(gap) + 1e-10 * (1 + at(gap))
    assert_allclose(at(gap) - at(best), (gap - best) ** 2, rtol=1e-6, atol=1e-8)


@given(a=finite, b=finite, p=st.floats(0, 1))
def test_swapping_a_pair_and_its_label(a, b, p):
    a, b = row(a), row(b)
    for name in ("dpo", "ipo", "slic", "nca", "fy_sparse", "fitzpatrick_logistic"):
        found = value(name, a, b, beta=0.4, prob=p)
        assert_allclose(found, value(name, b, a, beta=0.4, prob=1 - p), rtol=1e-9, atol=1e-12)


@given(z=st.floats(-6, 6), p=st.floats(0, 1))
def test_fenchel_young_bounds_fitzpatrick(z, p):
    """Both are 0 where the prediction is the label, and nowhere else."""
    a, zero = row(z), row(0.0)
    predictions = {"logistic": 1 / (1 + np.exp(-z)), "sparse": np.clip((1 + z) / 2, 0, 1)}
    for kind, prediction in predictions.items():
        young, fitz = f"fy_{kind}", f"fitzpatrick_{kind}"
        larger = float(value(young, a, zero, beta=1.0, prob=p)[0])
        smaller = float(value(fitz, a, zero, beta=1.0, prob=p)[0])
        assert larger >= smaller - 1e-14 and smaller >= 0
        if abs(prediction - p) > 1e-3:
            assert smaller > 0
        for name in (young, fitz):
            at = float(value(name, a, zero, beta=1.0, prob=float(prediction))[0])
            assert at <= 1e-14


@given(a=finite, b=finite, noise=st.floats(0, 1), p=st.floats(0, 1))
def test_label_noise_is_a_soft_label(a, b, noise, p):
    a, b = row(a), row(b)
    soft = p * (1 - noise) + (1 - p) * noise
    for name in ("dpo", "ipo", "bco", "fitzpatrick_logistic"):
        found = value(name, a, b, beta=0.4, prob=p, label_smoothing=noise)
        assert_allclose(found, value(name, a, b, beta=0.4, prob=soft), rtol=1e-9, atol=1e-12)


def test_fy_logistic_is_dpo_above_its_floor():
    p = np.asarray([0.0, 0.2, 0.5, 0.9, 1.0, 0.7])
    safe = np.clip(p, 1e-300, 1)
    floor = -(p * np.log(safe) + (1 - p) * np.log(np.clip(1 - p, 1e-300, 1)))
    gap = value("dpo", A, B, beta=0.3, prob=p) - value("fy_logistic", A, B, beta=0.3, prob=p)
    assert_allclose(gap, floor, atol=1e-12)


def test_lengths_and_reductions(xp):
    lengths = np.asarray([1, 2, 3, 0, 5, 6]), np.asarray([4, 4, 4, 4, 4, 0])
    a, b = A / np.maximum(lengths[0], 1), B / np.maximum(lengths[1], 1)
    given_lengths = dict(zip(("len_chosen", "len_rejected"), map(xp.array, lengths), strict=True))
    for name, other in (("ipo", "ipo"), ("sigmoid_norm", "dpo")):
        each = value(other, a, b, beta=0.3)
        arrays = xp.array(A), xp.array(B)
        for reduction, wanted in (("none", each), ("sum", each.sum()), ("mean", each.mean())):
            found = pair_loss(name, *arrays, beta=0.3, reduction=reduction, **given_lengths)
            assert_allclose(xp.numpy(found), wanted, rtol=1e-12)


def test_one_beta_a_pair(xp):
    beta = np.linspace(0.1, 2, 6)
    found = pair_loss("dpo", xp.array(A), xp.array(B), beta=xp.array(beta), reduction="none")
    wanted = [
        float(value("dpo", row(a), row(b), beta=c)[0]) for a, b, c in zip(A, B, beta, strict=True)
    ]
    assert_allclose(xp.numpy(found), wanted, rtol=1e-12)


def test_kto_is_shifted_by_mismatched_responses():
    mismatched = np.asarray([0.4, -0.1, 0.9])
    options = {"mismatched": mismatched, "desirable_weight": 2.0, "undesirable_weight": 0.5}
    found = value("kto", A, B, beta=0.6, **options)
    theirs = {**options, "mismatched": mismatched.tolist()}
    wanted = [float(oracles.mixed("kto", a, b, 0.6, **theirs)) for a, b in zip(A, B, strict=True)]
    assert_allclose(found, wanted, rtol=1e-12)
    below = value("kto", A, B, beta=0.6, mismatched=-mismatched)
    assert_allclose(below, value("kto", A, B, beta=0.6))
    slope = grad(lambda m: pair_loss("kto", A, B, beta=0.6, mismatched=m))(mismatched)
    assert (slope == 0).all()


@pytest.mark.parametrize("name", ["dpo", "ipo"])
def test_population_minimisers(name):
    """Soft dpo: pi ~ pi_ref e^(r/beta). ipo: pi ~ pi_ref e^(P(y beats mu)/beta)."""
    rng = np.random.default_rng(2)
    n, beta = 5, 0.8
    reference, mu = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n))
    reward = rng.normal(size=n)
    wins = 1 / (1 + np.exp(reward[None, :] - reward[:, None]))
    score = reward if name == "dpo" else wins @ mu
    best = np.log(reference) + score / beta
    weights = mu[:, None] * mu[None, :]

    def expected(logits):
        rho = logits - np.log(reference)
        pairs = rho[:, None] + 0.0 * rho[None, :], rho[None, :] + 0.0 * rho[:, None]
        rows = pair_loss(name, *pairs, beta=beta, prob=wins, reduction="none")
        return np.sum(weights * rows)

    assert_allclose(grad(expected)(best), 0, atol=1e-12)
    assert expected(best) < expected(best + 0.01 * rng.normal(size=n))


def test_divergence_scores():
    rho = np.asarray([-2.0, 0.0, 1.5])
    # f'(u) at u = e^rho, up to a constant: u log u, -log u, the Jensen-Shannon generator.
    u = np.exp(rho)
    cases = {
        "reverse_kl": np.log(u), "forward_kl": -1 / u, "jensen_shannon": np.log(u / (1 + u)),
    }  # fmt: skip
    for name, wanted in cases.items():
        found = divergence_score(rho, divergence=name)
        assert_allclose(np.diff(found), np.diff(wanted), rtol=1e-12)
    alpha = divergence_score(rho, divergence="alpha", alpha=1.5)
    assert_allclose(np.diff(alpha), np.diff(np.exp(0.5 * rho) / 0.5), rtol=1e-12)
    near = divergence_score(rho, divergence="alpha", alpha=1 + 1e-9)
    assert_allclose(near, divergence_score(rho, divergence="alpha", alpha=1.0), atol=1e-7)
    with pytest.raises(ValueError, match="alpha"):
        divergence_score(rho, divergence="alpha")
    with pytest.raises(ValueError, match="divergence"):
        divergence_score(rho, divergence="total variation")
