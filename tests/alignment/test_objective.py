"""What an update minimises, by sums over all pairs of responses instead of draws."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fenchel import namespace
from fenchel.alignment import TabularPolicy, pair_loss_names
from fenchel.alignment.online.state import Batch
from fenchel.alignment.online.update import GradientStep, PairObjective, take_step
from fenchel.backend import backend_of
from fenchel.tuners import Adam

REWARD = np.array([0.3, -0.7, 1.1, 0.4])
REFERENCE = np.array([0.1, 0.5, -0.4, 0.0])
BETA = 0.7


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def log_softmax(x):
    return np.log(softmax(x))


def all_pairs(xp, logits, target, *, drawn=True):
    """Every pair of responses, weighted by its probability under the policy."""
    i, j = (index.ravel() for index in np.indices((4, 4)))
    p = softmax(logits)
    weight = p[i] * p[j] if drawn else np.ones(16)
    ref = log_softmax(REFERENCE)
    columns = (target[i, j], weight, ref[i], ref[j], np.ones(16), np.ones(16))
    prompts = xp.array(np.zeros(16))
    return Batch(prompts, xp.array(i), xp.array(j), *(xp.array(column) for column in columns))


def gradient(xp, loss, logits, target, **options):
    given = {"beta": BETA, "label_smoothing": 0.0, "length_normalize": False, "soft": True}
    objective = PairObjective(TabularPolicy(), loss, **{**given, **options})
    batch = all_pairs(xp, logits, target)
    params = xp.array(logits)
    backend = backend_of(params)

    def run(p):
        return take_step(backend, objective, GradientStep(1.0), 1.0, p, (), batch)[0]

    return logits - xp.numpy(xp.run(run, params))


def preferences(scale=1.0):
    return 1 / (1 + np.exp(-(REWARD[:, None] - REWARD[None, :]) / scale))


def test_soft_dpo_stands_still_at_the_regularised_optimum(xp):
    best = log_softmax(REFERENCE) + REWARD / BETA
    assert_allclose(gradient(xp, "dpo", best, preferences()), 0.0, atol=1e-14)
    assert np.abs(gradient(xp, "dpo", REFERENCE, preferences())).max() > 1e-2


def test_ipo_stands_still_at_its_optimum():
    from tests.libraries import get

    p, logits = preferences(0.5), log_softmax(REFERENCE)
    for _ in range(500):  # pi = pi_ref exp(P(y beats pi) / beta), with draws from pi itself
        logits = log_softmax(log_softmax(REFERENCE) + p @ softmax(logits) / BETA)
    found = gradient(get("numpy"), "ipo", logits, p)
    assert_allclose(found, 0.0, atol=1e-10)


def test_baseline_is_the_gradient_of_reward_minus_divergence(xp):
    logits = np.array([0.2, -0.3, 0.5, 0.1])

    def objective(x):
        p, ratio = softmax(x), log_softmax(x) - log_softmax(REFERENCE)
        return p @ (REWARD - BETA * ratio)

    steps = 1e-6 * np.eye(4)
    expected = [(objective(logits + h) - objective(logits - h)) / 2e-6 for h in steps]
    found = gradient(xp, "rloo", logits, preferences())
    assert_allclose(-found, expected, atol=1e-9)


def test_hard_labels_put_the_winner_first():
    from tests.libraries import get

    xp, target = get("numpy"), (REWARD[:, None] > REWARD[None, :]).astype(float)
    found = gradient(xp, "dpo", REFERENCE, target, soft=False)
    same = gradient(xp, "dpo", REFERENCE, target)
    # Pairs of one response have slopes that cancel, whatever their label.
    assert_allclose(found, same, atol=1e-15)
    assert found[np.argmax(REWARD)] < 0 < found[np.argmin(REWARD)]


@pytest.mark.parametrize("loss", [*pair_loss_names(aliases=False), "rloo"])
def test_every_loss_takes_a_step(loss):
    from tests.libraries import get

    smoothing = 0.1 if loss in ("exo", "robust") else 0.0
    found = gradient(get("numpy"), loss, REFERENCE, preferences(), label_smoothing=smoothing)
    assert np.isfinite(found).all()


def test_lengths_divide_the_log_ratios():
    from tests.libraries import get

    xp = get("numpy")
    plain = gradient(xp, "dpo", REFERENCE, preferences())
    assert_allclose(gradient(xp, "dpo", REFERENCE, preferences(), length_normalize=True), plain)


def test_dropped_pairs_do_nothing_even_if_impossible(xp):
    target = preferences()
    logits = np.array([0.2, -0.3, 0.5, 0.1])
    batch = all_pairs(xp, logits, target)
    weight = xp.numpy(batch.weight).copy()
    weight[3::4] = 0.0  # whatever has response 3 second
    ref = xp.numpy(batch.ref_second).copy()
    ref[3::4] = -np.inf
    lost = batch._replace(weight=xp.array(weight), ref_second=xp.array(ref))
    kept = batch._replace(weight=xp.array(weight))
    backend = backend_of(batch.weight)
    objective = PairObjective(TabularPolicy(), "dpo", BETA, 0.0, False, True)
    found = [
        take_step(
            backend, objective, Adam(), 0.1, xp.array(logits), Adam().init(xp.array(logits)), b
        )[0]
        for b in (lost, kept)
    ]
    assert_allclose(xp.numpy(found[0]), xp.numpy(found[1]), atol=1e-15)
    assert np.isfinite(xp.numpy(found[0])).all()


def test_a_registered_loss_can_be_used():
    from fenchel.alignment import register_pair_loss
    from tests.libraries import get

    register_pair_loss("exponential in tests", lambda a, b, beta: namespace(a).exp(-beta * (a - b)))
    assert np.isfinite(
        gradient(get("numpy"), "exponential in tests", REFERENCE, preferences())
    ).all()
