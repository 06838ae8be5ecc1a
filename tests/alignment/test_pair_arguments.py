"""Arguments of pair losses: dtypes, options, registered losses, and what is refused."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fenchel import backend_of, grad
from fenchel.alignment import divergence_score, pair_loss, pair_loss_grad, register_pair_loss

A = np.asarray([0.3, -2.5, 12.0, 0.0, -40.0, 3.1])
B = np.asarray([-0.4, 1.5, -3.0, 0.0, 25.0, 3.1])


def rows(name, a, b, **options):
    return pair_loss(name, a, b, reduction="none", **options)


def test_registered_losses(xp):
    exponential = lambda a, b, beta: (b - a) ** 3 * beta
    assert register_pair_loss("cubic", exponential) is exponential
    try:
        found = pair_loss("cubic", xp.array(A), xp.array(B), beta=0.5, prob=0.75, reduction="none")
        wanted = 0.25 * (B - A) ** 3
        assert_allclose(xp.numpy(found), wanted, rtol=1e-12)
        slopes = pair_loss_grad("cubic", xp.array(A), xp.array(B), beta=0.5)
        assert_allclose(xp.numpy(slopes[0]), -1.5 * (B - A) ** 2, rtol=1e-12)
    finally:
        from fenchel.alignment.pair_losses import registry

        registry._ADDED.clear()
    with pytest.raises(ValueError, match="built-in"):
        register_pair_loss("dpo", exponential)
    with pytest.raises(TypeError, match="callable"):
        register_pair_loss("mine", 3)


def test_half_types_are_computed_in_float32(xp):
    if xp.name in ("strict", "strict-device1"):
        pytest.skip("the strict library has no half types")
    a = xp.array(A.astype(np.float16), np.float16)
    b = xp.array(B.astype(np.float16), np.float16)
    found = pair_loss("dpo", a, b, beta=0.3, reduction="none")
    assert xp.numpy(found).dtype == np.float16
    wide = [x.astype(np.float16).astype(np.float32) for x in (A, B)]
    wanted = pair_loss("dpo", *wide, beta=0.3, reduction="none").astype(np.float16)
    assert_allclose(xp.numpy(found), wanted, rtol=1e-3)


def test_errors(xp):
    a, b = xp.array(A), xp.array(B)
    bad = {
        "beta": [{"beta": 0.0}, {"beta": -1.0}, {"beta": float("nan")}],
        "prob": [{"prob": -0.1}, {"prob": 1.1}, {"prob": xp.array(np.full(6, 1.5))}],
        "label_smoothing": [{"label_smoothing": 1.5}, {"label_smoothing": -0.1}],
        "len_chosen": [{"len_chosen": a}],
        "reduction": [{"reduction": "max"}],
    }
    for name, cases in bad.items():
        for options in cases:
            with pytest.raises(ValueError, match=f"`{name}`"):
                pair_loss("dpo", a, b, **{"beta": 0.5, **options})
    for name, noise in (("robust", 0.5), ("exo", 0.0), ("exo", 1.0)):
        with pytest.raises(ValueError, match="label_smoothing"):
            pair_loss(name, a, b, beta=0.5, label_smoothing=noise)
    with pytest.raises(ValueError, match=r"dpo.*ipo.*slic"):
        pair_loss("no such loss", a, b, beta=0.5)
    with pytest.raises(ValueError, match="len_chosen"):
        pair_loss("sigmoid_norm", a, b, beta=0.5)
    with pytest.raises(ValueError, match="rho_rejected"):
        pair_loss("dpo", a, b[:3], beta=0.5)
    infinite = xp.array(np.full(6, -np.inf))
    with pytest.raises(ValueError, match="rho_chosen"):
        pair_loss("dpo", infinite, infinite, beta=0.5)
    with pytest.raises(TypeError):
        pair_loss("dpo", [0.1], b, beta=0.5)
    with pytest.raises(TypeError, match="floating"):
        pair_loss("dpo", xp.array(np.ones(6, int)), xp.array(np.ones(6, int)), beta=0.5)


def test_no_pairs(xp):
    empty = xp.array(np.zeros(0))
    assert pair_loss("dpo", empty, empty, beta=0.5, reduction="none").shape == (0,)
    assert float(pair_loss("dpo", empty, empty, beta=0.5, reduction="sum")) == 0.0
    with pytest.raises(ValueError, match="no pairs"):
        pair_loss("dpo", empty, empty, beta=0.5)


def test_in_jit_wrong_values_are_not_numbers():
    jax = pytest.importorskip("jax")
    a, b = jax.numpy.asarray([2.0, 1.0]), jax.numpy.asarray([1.0, 0.0])
    wrong = jax.numpy.asarray([-np.inf, 0.5])
    cases = (
        lambda x: rows("dpo", a + x, b + x, beta=0.5),
        lambda x: rows("apo_zero", a + x, b + x, beta=0.5),
        lambda x: rows("dpo", a, b, beta=x),
        lambda x: rows("dpo", a, b, beta=0.5, prob=x),
        lambda x: rows("ipo", a, b, beta=0.5, len_chosen=x, len_rejected=x + 1.0),
    )
    for case in cases:
        found = np.asarray(jax.jit(case)(wrong))
        assert np.isnan(found[0]) and np.isfinite(found[1])


def test_names_of_peers():
    for alias, name in (("sigmoid", "dpo"), ("hinge", "slic"), ("sppo_hard", "sppo")):
        assert_allclose(rows(alias, A, B, beta=0.2), rows(name, A, B, beta=0.2), rtol=0)
    assert backend_of(rows("dpo", A, B, beta=0.1)).name == "numpy"


def test_options_are_refused_by_name():
    cases = (
        ("dpo", {"gamma": 1.0}, TypeError, "`gamma` must be an option of the loss dpo"),
        ("kto", {"gamma": 1.0}, TypeError, "mismatched, desirable_weight"),
        ("simpo", {"gamma": float("nan")}, ValueError, "`gamma`"),
        ("simpo", {"gamma": "much"}, TypeError, "`gamma`"),
        ("kto", {"mismatched": [1.0]}, TypeError, "`mismatched`"),
        ("kto", {"mismatched": np.zeros(0)}, ValueError, "`mismatched`"),
        ("kto", {"desirable_weight": -1.0}, ValueError, "`desirable_weight`"),
        ("dpo", {"beta": float("inf")}, ValueError, "finite"),
        ("dpo", {"beta": np.asarray([1.0, np.inf, 1, 1, 1, 1])}, ValueError, "got inf"),
        ("dpo", {"beta": [0.5]}, TypeError, "`beta`"),
        ("dpo", {"prob": [0.5]}, TypeError, "`prob`"),
        ("dpo", {"prob": A > 0}, TypeError, "`prob`"),
        ("dpo", {"prob": np.full(6, 1.5)}, ValueError, "got 1.5"),
        ("dpo", {"prob": np.ones((6, 1))}, ValueError, "broadcast"),
        ("dpo", {"len_chosen": -A, "len_rejected": A}, ValueError, "`len_chosen`"),
        ("dpo", {"len_chosen": 3.0, "len_rejected": -1.0}, ValueError, "`len_rejected`"),
    )
    for name, options, error, message in cases:
        for call in (pair_loss, pair_loss_grad):
            with pytest.raises(error, match=message):
                call(name, A, B, **{"beta": 0.5, **options})
    for name in (None, ["dpo"]):
        with pytest.raises(ValueError, match="`name` must be one of"):
            pair_loss(name, A, B, beta=0.5)
    with pytest.raises(TypeError, match="`rho_rejected`"):
        pair_loss("dpo", A, B.tolist(), beta=0.5)
    with pytest.raises(TypeError, match="`rho_rejected` must have the dtype"):
        pair_loss("dpo", A, B.astype(np.float32), beta=0.5)
    with pytest.raises(TypeError, match="`slopes`"):
        register_pair_loss("mine", lambda a, b, beta: a, slopes=3)
    with pytest.raises(TypeError, match="`name`"):
        register_pair_loss(3, lambda a, b, beta: a)
    with pytest.raises(TypeError, match="list"):
        divergence_score([0.5])


def test_wrong_values_are_refused_while_differentiating(xp):
    wrong = xp.array(np.full(6, 1.5))
    if xp.name == "jax-jit":
        pytest.skip("inside jit they give NaN")
    with pytest.raises(ValueError, match=r"`prob` must be in \[0, 1\]; got 1.5"):
        grad(lambda a: pair_loss("dpo", a, xp.array(B), beta=0.5, prob=wrong))(xp.array(A))


def test_same_infinities(xp):
    """Found late where the loss tells, at once where it does not: apo_zero is finite there."""
    a = xp.array(np.asarray([1.0, np.inf, 2.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("dpo", "ipo", "fy_sparse", "apo_zero", "kto", "bco"):
            for reduction in ("mean", "sum", "none"):
                with pytest.raises(ValueError, match="`rho_chosen` must differ"):
                    pair_loss(name, a, a, beta=0.5, reduction=reduction)
    lonely = pair_loss("dpo", a, xp.array(np.asarray([0.0, 1.0, np.nan])), beta=0.5)
    assert np.isnan(xp.numpy(lonely))


def test_lengths_may_be_numbers():
    found = rows("ipo", A, B, beta=0.5, len_chosen=4, len_rejected=0)
    assert_allclose(found, rows("ipo", A / 4, B, beta=0.5), rtol=1e-14)
    # Lengths are constants: nothing is differentiated in them.
    slope = grad(lambda n: pair_loss("ipo", A, B, beta=0.5, len_chosen=n, len_rejected=n))
    assert (slope(np.full(6, 3.0)) == 0).all()


def test_other_kinds_of_numpy_arrays():
    wanted = rows("dpo", A, B, beta=0.3)
    frozen = A.copy()
    frozen.flags.writeable = False
    strided = np.stack([A, B], -1)
    for a, b in (
        (frozen, B),
        (A.astype(">f8"), B.astype(">f8")),
        (strided[:, 0], strided[:, 1]),
    ):
        assert_allclose(rows("dpo", a, b, beta=0.3), wanted, rtol=1e-15)
    assert rows("dpo", A[:0], B[:0], beta=0.3).shape == (0,)
    assert_allclose(rows("dpo", A[0:1].reshape(()), B[0:1].reshape(()), beta=0.3), wanted[0])


def test_soft_labels_that_are_learnt():
    """Labels with a gradient take the formula, constant ones the closed slopes: the same."""
    torch = pytest.importorskip("torch")
    a, b = (torch.tensor(x, requires_grad=True) for x in (A, B))
    fixed, live = torch.full((6,), 0.3), torch.full((6,), 0.3, requires_grad=True)
    found = []
    for prob in (fixed.double(), live.double()):
        loss = pair_loss("nca", a, b, beta=0.4, prob=prob)
        found.append(torch.autograd.grad(loss, (a, b), retain_graph=True))
    for one, other in zip(*found, strict=True):
        assert_allclose(one.numpy(), other.numpy(), rtol=1e-12)
    (slope,) = torch.autograd.grad(loss, live)
    straight, swapped = (pair_loss("nca", *x, beta=0.4, reduction="none") for x in ((a, b), (b, a)))
    assert_allclose(slope.numpy(), ((straight - swapped) / 6).detach().numpy(), rtol=1e-5)
