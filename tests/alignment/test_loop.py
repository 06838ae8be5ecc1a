"""The online loop: what is asked, what counts, and that it is the same run everywhere."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fenchel import trees
from fenchel.alignment import (
    Annotation,
    GRUPolicy,
    OnlineLoop,
    RuleAnnotator,
    ScoreAnnotator,
    TabularPolicy,
)
from fenchel.tuners import Adam

REWARD = np.array([0.0, 1.0, 0.5, -0.5])
SCORE = ScoreAnnotator(lambda prompt, y: REWARD[y])


class Recording:
    """An annotator that writes down what it was asked."""

    def __init__(self, answer=lambda n: 1.0, valid=lambda n: True):
        self.answer, self.valid, self.asked, self.instructions = answer, valid, [], []

    def annotate(self, prompts, first, second, instruction=None):
        count = len(prompts)
        self.instructions.append(instruction)
        self.asked += list(zip(prompts, first, second, strict=True))
        prob = np.array([self.answer(i) for i in range(count)])
        valid = np.array([self.valid(i) for i in range(count)])
        return Annotation(prob, valid, np.full(count, 0.25), np.stack([prob, 1 - prob], -1))


def loop_of(annotator=SCORE, **options):
    return OnlineLoop(TabularPolicy(), annotator, **{"optimizer": 0.5, "beta": 1.0, **options})


def start(xp=None):
    logits = np.array([0.1, 0.0, -0.2, 0.3])
    return logits if xp is None else xp.array(logits)


def test_one_run_on_every_library(xp):
    loop = loop_of(labels="sample", optimizer=Adam(), learning_rate=0.1, reuse=2, replay=3)
    prompts = xp.array(np.zeros(12))
    state, history = loop.run(loop.init(start(xp), rng=3), prompts, 4)
    expected, metrics = loop.run(loop.init(start(), rng=3), np.zeros(12), 4)
    assert_allclose(xp.numpy(state.params), expected.params, atol=1e-12)
    assert_allclose([m.kl for m in history], [m.kl for m in metrics], atol=1e-12)
    assert [m.used for m in history] == [m.used for m in metrics]
    assert state.params.dtype == start(xp).dtype
    assert_array_equal(xp.numpy(state.reference), start())


def test_recurrent_policy_on_every_library(xp):
    policy = GRUPolicy(vocabulary=4, units=3, max_tokens=3)
    annotator = ScoreAnnotator(lambda prompt, y: float((y == 2).sum()), temperature=0.0)
    loop = OnlineLoop(policy, annotator, optimizer=0.5, temperature=1.0)

    def run(prompts, params):
        state, history = loop.run(loop.init(params), prompts, 2)
        return state.params, history[-1]

    host = policy.init(0, like=np.zeros(1))
    empty = np.zeros((8, 0), dtype=np.int64)
    found, metrics = run(xp.array(empty), {k: xp.array(v) for k, v in host.items()})
    expected, same = run(empty, host)
    for name in expected:
        assert_allclose(xp.numpy(found[name]), expected[name], atol=1e-11)
    assert (metrics.ties, metrics.lengths) == (same.ties, same.lengths)


def test_learns_the_regularised_optimum():
    loop = loop_of(labels="soft", temperature=1.0, optimizer=1.0)
    state = loop.init(start())
    state, _ = loop.run(state, np.zeros(512), 150)
    best = np.exp(start() + REWARD)
    found = np.exp(state.params)
    assert_allclose(found / found.sum(), best / best.sum(), atol=0.03)


def test_baseline_learns_the_same():
    loop = loop_of(loss="rloo", temperature=1.0, optimizer=1.0)
    state, _ = loop.run(loop.init(start()), np.zeros(512), 150)
    best = np.exp(start() + REWARD)
    found = np.exp(state.params)
    assert_allclose(found / found.sum(), best / best.sum(), atol=0.03)


def test_identical_pairs_are_not_asked():
    annotator = Recording()
    loop = loop_of(annotator)
    _, metrics = loop.step(loop.init(start()), np.arange(64))
    assert metrics.identical > 5
    assert len(annotator.asked) == metrics.pairs - metrics.identical == 64 - metrics.identical
    assert all(first != second for _, first, second in annotator.asked)


def test_a_policy_that_says_one_thing_asks_nothing():
    annotator = Recording()
    loop = loop_of(annotator)
    state = loop.init(np.array([0.0, 200.0]))
    after, metrics = loop.step(state, np.zeros(8))
    assert annotator.asked == []
    assert (metrics.identical, metrics.used, metrics.updates) == (8, 0, 0)
    assert np.isnan(metrics.loss)
    assert_array_equal(after.params, state.params)


@pytest.mark.parametrize(
    ("answer", "valid"),
    [
        (lambda n: 0.5, lambda n: True),
        (lambda n: np.nan, lambda n: True),
        (lambda n: 1.0, lambda n: False),
    ],
    ids=["ties", "nan", "invalid"],
)
def test_nothing_that_counts_moves_nothing(answer, valid):
    loop = loop_of(Recording(answer, valid), optimizer=Adam(), learning_rate=0.1)
    state, _ = loop_of(optimizer=Adam(), learning_rate=0.1).step(loop.init(start()), np.zeros(32))
    after, metrics = loop.step(state, np.zeros(32))
    assert_array_equal(after.params, state.params)  # though Adam has momentum
    for a, b in zip(trees.leaves(after.optimizer), trees.leaves(state.optimizer), strict=True):
        assert_array_equal(a, b)
    assert metrics.used == 0
    assert metrics.ties + metrics.invalid + metrics.identical == 32
    assert 0.0 <= metrics.win_rate <= 1.0


def test_invalid_pairs_are_counted_and_left_out():
    annotator = Recording(valid=lambda n: n % 3 != 0)
    _, metrics = loop_of(annotator).step(loop_of().init(start()), np.zeros(64))
    asked = 64 - metrics.identical
    assert metrics.invalid == -(-asked // 3)
    assert metrics.used == asked - metrics.invalid
    assert metrics.position_bias == 0.25


def test_instruction_reaches_the_annotator():
    annotator = Recording()
    loop = loop_of(annotator, instruction="Prefer short answers")
    loop.step(loop.init(start()), np.zeros(4))
    assert annotator.instructions == ["Prefer short answers"]


def test_text_prompts_and_texts_for_the_annotator():
    class Speaker:
        def sample(self, params, prompts, rng, temperature):
            return TabularPolicy().sample(params, np.zeros(len(prompts)), rng, temperature)

        def logprob(self, params, prompts, responses):
            return TabularPolicy().logprob(params, np.zeros(len(prompts)), responses)

    annotator = Recording()
    words = ("no", "yes", "maybe", "never")

    def decode(prompts, responses):
        return prompts, [words[i] for i in responses]

    loop = OnlineLoop(Speaker(), annotator, optimizer=1.0, decode=decode)
    state, metrics = loop.run(loop.init(start()), ["why", "how", "when"], 2, batch_size=40)
    assert {prompt for prompt, _, _ in metrics and annotator.asked} == {"why", "how", "when"}
    assert {first for _, first, _ in annotator.asked} <= set(words)
    assert metrics[0].lengths > 1.0  # of the words, as the policy has no other
    assert state.step == 2


def test_reuse_and_replay():
    loop = loop_of(reuse=3, replay=2)
    state, history = loop.run(loop.init(start()), np.zeros(16), 3)
    assert [m.updates for m in history] == [3, 3, 3]
    assert len(state.memory) == 2
    once = loop_of(reuse=1)
    other, history = once.run(once.init(start()), np.zeros(16), 3)
    assert [m.updates for m in history] == [1, 1, 1]
    assert other.memory == ()


def test_prompts_by_step_and_drawn():
    seen = []

    class Watching(TabularPolicy):
        def sample(self, params, prompts, rng, temperature=1.0):
            seen.append(np.asarray(prompts).tolist())
            return super().sample(params, prompts, rng, temperature)

    loop = OnlineLoop(Watching(), SCORE, optimizer=0.1)
    loop.run(loop.init(start()), lambda step: np.full(3, step), 2)
    assert seen == [[0, 0, 0]] * 2 + [[1, 1, 1]] * 2
    seen.clear()
    loop.run(loop.init(start()), np.arange(50), 2, batch_size=4)
    assert [len(row) for row in seen] == [4] * 4
    assert seen[0] == seen[1] != seen[2]  # both responses have one prompt; steps differ


def test_compiled_once_with_fixed_shapes():
    jnp = pytest.importorskip("jax.numpy")
    traced = []

    class Watching(TabularPolicy):
        def logprob(self, params, prompts, responses):
            traced.append(1)
            return super().logprob(params, prompts, responses)

    # Ties and invalid pairs come and go; shapes do not.
    annotator = Recording(lambda n: (n % 3) / 2, lambda n: n % 4 != 0)
    loop = OnlineLoop(Watching(), annotator, optimizer=Adam(), learning_rate=0.1)
    state, _ = loop.run(loop.init(jnp.asarray(start())), jnp.zeros(16), 1)
    first = len(traced)
    loop.run(state, jnp.zeros(16), 4)
    assert first == len(traced) == 6  # four in a draw, two in an update


def test_half_types():
    torch = pytest.importorskip("torch")
    loop = loop_of(labels="soft")
    state, metrics = loop.run(loop.init(torch.zeros(4, dtype=torch.bfloat16)), torch.zeros(32), 2)
    assert state.params.dtype == torch.bfloat16
    assert np.isfinite([metrics[-1].loss, metrics[-1].kl, metrics[-1].grad_norm]).all()


def test_jit_can_be_refused():
    jnp = pytest.importorskip("jax.numpy")
    loop = loop_of(jit=False)
    eager, _ = loop.step(loop.init(jnp.asarray(start())), jnp.zeros(8))
    jitted, _ = loop_of().step(loop.init(jnp.asarray(start())), jnp.zeros(8))
    assert_allclose(np.asarray(eager.params), np.asarray(jitted.params), atol=1e-12)


def test_state_is_a_container_that_pickles(xp):
    loop = loop_of(optimizer=Adam(), learning_rate=0.1)
    state, _ = loop.step(loop.init(start(xp)), xp.array(np.zeros(8)))
    leaves, structure = trees.flatten(state)
    assert_array_equal(xp.numpy(trees.unflatten(structure, leaves).params), xp.numpy(state.params))
    if xp.name in ("numpy", "torch", "jax"):
        again = pickle.loads(pickle.dumps(state))
        assert_array_equal(xp.numpy(again.params), xp.numpy(state.params))


def test_inputs_are_not_written_and_steps_are_pure():
    loop, logits = loop_of(labels="sample"), start()
    state = loop.init(logits)
    one, two = (loop.step(state, np.zeros(16)) for _ in range(2))
    assert_array_equal(one[0].params, two[0].params)
    assert one[1] == two[1]
    assert_array_equal(logits, start())


def test_win_rate_against_the_exact_one():
    loop = loop_of()
    ours, theirs = np.array([0.0, 2.0, 0.0, 0.0]), np.zeros(4)
    p, q = np.exp(ours) / np.exp(ours).sum(), np.full(4, 0.25)
    beats = 1 / (1 + np.exp(-(REWARD[:, None] - REWARD[None, :])))
    found = loop.win_rate(ours, theirs, np.zeros(4000), rng=1)
    assert abs(found.value - p @ beats @ q) < 4 * found.standard_error
    assert found.standard_error < 0.01


def test_a_liking_for_the_first_place_cancels_in_the_win_rate():
    loop = loop_of(RuleAnnotator(lambda prompt, a, b: 1.0))
    assert_allclose(loop.win_rate(start(), start(), np.zeros(4000)).value, 0.5, atol=0.02)


def test_offline_training_with_the_same_parts(xp):
    loop = loop_of(labels="soft")
    state = loop.init(start(xp))
    pairs = loop.annotated(state, xp.array(np.zeros(64)))
    once = loop.update(state, pairs)
    stepped, _ = loop.step(state, xp.array(np.zeros(64)))
    assert_allclose(xp.numpy(once.params), xp.numpy(stepped.params), atol=1e-14)
    assert once.step == state.step
    nothing = pairs._replace(weight=xp.array(np.zeros(64)))
    assert loop.update(state, nothing) is state
    assert int(np.argmax(xp.numpy(loop.update(once, pairs).params - state.params))) == 1


def test_reference_of_its_own():
    loop = loop_of()
    state = loop.init(start(), reference=np.zeros(4))
    _, metrics = loop.step(state, np.zeros(8))
    assert metrics.kl != 0.0
    p = np.exp(start()) / np.exp(start()).sum()
    assert_allclose(metrics.kl_exact, p @ np.log(4 * p), rtol=1e-12)
    without = type("Plain", (), {k: getattr(loop.policy, k) for k in ("sample", "logprob")})
    plain = OnlineLoop(without(), RuleAnnotator(lambda x, a, b: 1.0), optimizer=1.0)
    assert np.isnan(plain.step(state, np.zeros(8))[1].kl_exact)


def test_generators_and_keys_give_seeds():
    loop = loop_of()
    with pytest.raises(ValueError, match="`seed`"):
        loop.init(start(), rng=-1)
    assert loop.init(start(), rng=np.random.default_rng(0)).seed > 0
    torch = pytest.importorskip("torch")
    assert loop.init(torch.zeros(3), rng=torch.Generator().manual_seed(0)).seed > 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"beta": 0.0}, ValueError),
        ({"loss": "dqo"}, ValueError),
        ({"labels": "firm"}, ValueError),
        ({"ties": "keep"}, ValueError),
        ({"tie_margin": 0.5}, ValueError),
        ({"temperature": -1.0}, ValueError),
        ({"reuse": 0}, ValueError),
        ({"replay": 0}, ValueError),
        ({"optimizer": "adam"}, TypeError),
        ({"optimizer": -1.0}, ValueError),
    ],
)
def test_bad_options(options, error):
    with pytest.raises(error, match=next(iter(options))):
        loop_of(**options).init(start())


def test_bad_parts_and_answers():
    with pytest.raises(TypeError, match="`policy` must have sample and logprob"):
        OnlineLoop(object(), SCORE, optimizer=1.0)
    with pytest.raises(TypeError, match="`annotator` must have annotate"):
        OnlineLoop(TabularPolicy(), object(), optimizer=1.0)
    loop = loop_of(Recording(lambda n: 1.5))
    with pytest.raises(ValueError, match=r"`annotator` must give probabilities in \[0, 1\]"):
        loop.step(loop.init(start()), np.zeros(8))
    with pytest.raises(ValueError, match="`prompts` must have at least one row"):
        loop.run(loop.init(start()), np.zeros(0), 1)
    with pytest.raises(ValueError, match="`batch_size`"):
        loop.run(loop.init(start()), np.zeros(3), 1, batch_size=0)


def test_a_model_of_transformers(tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from fenchel.integrations.transformers import GenerationPolicy

    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=2, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    policy = GenerationPolicy(transformers.LlamaForCausalLM(config).eval(), max_new_tokens=4)
    annotator = ScoreAnnotator(lambda prompt, y: float(sum(int(token) == 7 for token in y)))
    loop = OnlineLoop(policy, annotator, optimizer=Adam(), learning_rate=0.02, labels="soft")
    prompts = torch.tensor([[0, 4, 5], [3, 4, 5]] * 8)
    for steps in (4, 8):  # the second goes on from the checkpoint of the first
        _, history = loop.run(loop.init(policy.init()), prompts, steps, tmp_path / "state")
    assert len(history) == 8
    assert history[0].kl == 0.0 < history[-1].kl
    assert history[0].kl_exact == 0.0 < history[-1].kl_exact
    assert history[-1].accuracy > 0.5


def test_learns_the_optimum_of_an_enumerated_language():
    from fenchel.testing import EnumeratedLanguage, EnumeratedPolicy

    language = EnumeratedLanguage(n_tokens=3, max_length=2)
    annotator = ScoreAnnotator(lambda prompt, y: float((y == 2).sum()))
    loop = OnlineLoop(
        EnumeratedPolicy(language), annotator,
        optimizer=2.0, beta=1.0, labels="soft", temperature=1.0,
    )  # fmt: skip
    logits = np.random.default_rng(0).standard_normal((1, language.n_prefixes, 3))
    state, history = loop.run(loop.init(logits), np.zeros(128, dtype=int), 80)
    reward = (np.asarray(language.responses) == 2).sum(axis=-1)
    best = np.exp(language.log_probs(logits[0]) + reward)
    # With soft labels the optimum has no noise: every pair's gradient is 0 there.
    found = np.exp(language.log_probs(state.params[0]))
    assert_allclose(found, best / best.sum(), atol=5e-3)
    assert history[-1].grad_norm < 0.05 * history[0].grad_norm
