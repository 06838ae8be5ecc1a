"""Tabular and recurrent policies on every library: distributions, derivatives, draws."""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fenchel import grad, namespace, trees
from fenchel.alignment import GRUPolicy, TabularPolicy
from fenchel.alignment.online.policy import items_of, same_item
from fenchel.random import RandomStream
from fenchel.testing import EnumeratedLanguage, EnumeratedPolicy

SMALL = GRUPolicy(vocabulary=3, units=4, max_tokens=3, start_token=0, end_token=1)


def parameters(xp, policy=SMALL, scale=2.0):
    host = policy.init(3, like=np.zeros(1))
    return {name: xp.array(scale * value) for name, value in host.items()}


def prompts_of(xp, rows):
    return xp.array(np.asarray(rows, dtype=np.int64).reshape(len(rows), -1))


def everything(xp):
    """All responses of the small model, each with its tail of end tokens."""
    rows = {
        tuple(row[: row.index(1) + 1] + (1,) * (2 - row.index(1)) if 1 in row else row)
        for row in product(range(3), repeat=3)
    }
    return xp.array(np.asarray(sorted(rows), dtype=np.int64))


def test_probabilities_of_all_responses_sum_to_one(xp):
    responses = everything(xp)
    prompts = prompts_of(xp, [[2, 0]] * responses.shape[0])
    logprob = xp.run(lambda p: SMALL.logprob(p, prompts, responses), parameters(xp))
    assert_allclose(np.exp(xp.numpy(logprob)).sum(), 1.0, atol=1e-12)


def test_logprob_is_that_of_a_cell_written_out(xp):
    params = parameters(xp)
    w = {name: xp.numpy(value) for name, value in params.items()}

    def cell(h, token):
        x, u = w["input"][token] + w["bias"], h @ w["recurrent"]
        r, z = (1 / (1 + np.exp(-(x[s] + u[s]))) for s in (slice(0, 4), slice(4, 8)))
        n = np.tanh(x[8:] + r * u[8:])
        return (1 - z) * n + z * h

    h, total = cell(cell(np.zeros(4), 0), 2), 0.0
    for token in (2, 0, 1):
        scores = h @ w["output"] + w["offset"]
        total += scores[token] - np.log(np.exp(scores).sum())
        h = cell(h, token)
    found = SMALL.logprob(params, prompts_of(xp, [[2]]), prompts_of(xp, [[2, 0, 1]]))
    assert_allclose(xp.numpy(found), [total], atol=1e-12)


def test_padding_of_prompts_is_passed_over(xp):
    params, responses = parameters(xp), prompts_of(xp, [[2, 0, 1], [0, 1, 1]])
    padded = SMALL.logprob(params, prompts_of(xp, [[-1, 2], [-1, 0]]), responses)
    plain = SMALL.logprob(params, prompts_of(xp, [[2], [0]]), responses)
    assert_array_equal(xp.numpy(padded), xp.numpy(plain))


def test_gradient_against_differences(xp):
    params = parameters(xp)
    prompts, responses = prompts_of(xp, [[2], [0]]), prompts_of(xp, [[2, 0, 1], [2, 2, 0]])

    def total(p):
        return namespace(p["output"]).sum(SMALL.logprob(p, prompts, responses))

    found = xp.run(grad(total), params)
    for name in params:
        host = xp.numpy(params[name])
        step = np.zeros_like(host)
        step.flat[host.size // 2] = 1e-6
        values = [
            float(xp.numpy(total({**params, name: xp.array(host + sign * step)})))
            for sign in (1, -1)
        ]
        slope = (values[0] - values[1]) / 2e-6
        assert_allclose(xp.numpy(found[name]).flat[host.size // 2], slope, atol=1e-7)


def test_draws_are_the_same_on_every_library(xp):
    if xp.dtype != "float64":
        pytest.skip("rounding may tip a token over")
    params = parameters(xp)
    prompts = prompts_of(xp, [[]] * 20)
    drawn = xp.run(lambda p: SMALL.sample(p, prompts, RandomStream(5), 0.9), params)
    host = {name: xp.numpy(value) for name, value in params.items()}
    expected = SMALL.sample(host, np.zeros((20, 0), dtype=np.int64), RandomStream(5), 0.9)
    assert_array_equal(xp.numpy(drawn), expected)
    tails = np.cumsum(expected == 1, axis=1) > 1
    assert (expected[tails] == 1).all()


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_frequencies_are_the_probabilities(temperature):
    params = {name: 2.0 * value for name, value in SMALL.init(3, like=np.zeros(1)).items()}
    prompts = np.zeros((20_000, 0), dtype=np.int64)
    drawn = SMALL.sample(params, prompts, RandomStream(1), temperature)
    first = SMALL.logits(params, prompts[:1], drawn[:1])[0, 0] / temperature
    p = np.exp(first - first.max())
    counts = np.bincount(drawn[:, 0], minlength=3)
    expected = 20_000 * p / p.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 13.8  # chi-square, 2 degrees, 0.001


def test_likeliest_tokens_at_temperature_zero(xp):
    params, prompts = parameters(xp), prompts_of(xp, [[2]])
    greedy = SMALL.sample(params, prompts, 0, 0.0)
    logits = xp.numpy(SMALL.logits(params, prompts, greedy))
    mask = xp.numpy(SMALL.mask(greedy))
    assert_array_equal(xp.numpy(greedy)[mask], logits.argmax(-1)[mask])


def test_what_the_annotator_is_shown(xp):
    responses = prompts_of(xp, [[2, 1, 1], [2, 0, 2]])
    prompts, shown = SMALL.decode(prompts_of(xp, [[-1, 2], [0, 2]]), responses)
    assert [row.tolist() for row in shown] == [[2], [2, 0, 2]]
    assert [row.tolist() for row in prompts] == [[2], [0, 2]]
    assert xp.numpy(SMALL.lengths(responses)).tolist() == [2, 3]


def test_tabular(xp):
    logits = np.array([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]])
    prompts, responses = xp.array(np.array([1, 0, 1])), xp.array(np.array([0, 2, 1]))
    policy = TabularPolicy(("a", "b", "c"))
    found = xp.run(lambda p: policy.logprob(p, prompts, responses), xp.array(logits))
    expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert_allclose(xp.numpy(found), expected[[1, 0, 1], [0, 2, 1]], atol=1e-14)
    assert policy.decode(prompts, responses) == ([1, 0, 1], ["a", "c", "b"])
    greedy = policy.sample(xp.array(logits), prompts, 0, 0.0)
    assert xp.numpy(greedy).tolist() == [0, 2, 0]


def test_tabular_frequencies():
    policy, logits = TabularPolicy(), np.array([0.0, 1.0, -1.0])
    drawn = policy.sample(logits, np.zeros(20_000), RandomStream(0), 0.7)
    p = np.exp(logits / 0.7)
    expected = 20_000 * p / p.sum()
    counts = np.bincount(drawn, minlength=3)
    assert ((counts - expected) ** 2 / expected).sum() < 13.8


def test_rows_of_batches(xp):
    column, table = xp.array(np.array([3, 4])), xp.array(np.array([[1, 2], [5, 6]]))
    assert items_of(column) == [3, 4]
    assert [row.tolist() for row in items_of(table)] == [[1, 2], [5, 6]]
    assert [len(row) for row in items_of((column, table))] == [2, 2]
    assert items_of(["a", "b"]) == ["a", "b"]


def test_same_items():
    one, two = np.array([1, 2]), np.array([1, 2, 3])
    assert same_item(one, one.copy())
    assert not same_item(one, two)
    assert same_item((1, one), (1, one.copy()))
    assert not same_item("a", "b")


def test_bad_policies():
    with pytest.raises(ValueError, match="`vocabulary`"):
        GRUPolicy(vocabulary=1)
    with pytest.raises(ValueError, match="`end_token`"):
        GRUPolicy(vocabulary=3, end_token=3)
    with pytest.raises(ValueError, match="`temperature`"):
        SMALL.sample(SMALL.init(0, like=np.zeros(1)), np.zeros((1, 0), dtype=int), 0, -1.0)


def test_parameters_are_of_the_library(xp):
    params = SMALL.init(0, like=xp.array(np.zeros(1)))
    assert {str(x.dtype).rpartition(".")[2] for x in trees.leaves(params)} == {xp.dtype}
    host = SMALL.init(0, like=np.zeros(1))
    assert_allclose(xp.numpy(params["output"]), host["output"], atol=1e-13)


def test_divergences_of_policies(xp):
    """Sums over all responses: exact a prompt, or in the mean over responses of the policy."""
    responses = everything(xp)
    prompts = prompts_of(xp, [[2, 0]] * responses.shape[0])
    params, reference = parameters(xp), parameters(xp, scale=0.5)
    found = xp.run(lambda p, q: SMALL.compare(p, q, prompts, responses), params, reference)
    logp, ref, kl = map(xp.numpy, found)
    for parts, wanted in ((params, logp), (reference, ref)):
        assert_allclose(xp.numpy(SMALL.logprob(parts, prompts, responses)), wanted, rtol=1e-12)
    assert_allclose(np.exp(logp) @ kl, np.exp(logp) @ (logp - ref), rtol=1e-12)

    rng = np.random.default_rng(2)
    language = EnumeratedLanguage(n_tokens=3, max_length=2)
    tables = [language.random_logits(rng, batch=(2,)) for _ in "pq"]
    rows = [rng.normal(size=(2, 4)) for _ in "pq"]
    rows[0][:, 3] = -np.inf  # what the policy never says adds nothing
    cases = (
        (EnumeratedPolicy(language), tables, language.responses[:2]),
        (TabularPolicy(), rows, np.asarray([0, 1])),
    )
    for policy, (p, q), said in cases:
        asked = np.asarray([1, 0])
        found = xp.run(policy.compare, *map(xp.array, (p, q)), *map(xp.array, (asked, said)))
        logp, ref, kl = map(xp.numpy, found)
        if policy is cases[0][0]:
            log_p, log_q = language.log_probs(p), language.log_probs(q)
        else:
            log_p, log_q = (x - np.log(np.exp(x).sum(-1, keepdims=True)) for x in (p, q))
        live = np.isfinite(log_p)
        gap = np.where(live, log_p, 0.0) - np.where(live, log_q, 0.0)
        assert_allclose(kl, (np.exp(log_p) * gap).sum(-1)[asked], rtol=1e-12)
        assert_allclose(logp, policy.logprob(p, asked, said), rtol=1e-12)
        assert_allclose(ref, policy.logprob(q, asked, said), rtol=1e-12)
