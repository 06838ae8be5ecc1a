"""What models, annotators and loops refuse, by the name of the argument."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fenchel.alignment import (
    Annotation,
    CachedAnnotator,
    EnsembleAnnotator,
    GRUPolicy,
    LLMAnnotator,
    OnlineLoop,
    OpenAICompatibleClient,
    RuleAnnotator,
    ScoreAnnotator,
    TabularPolicy,
    combine_orders,
    filter_logits,
    kl_estimate,
    kl_exact,
    realign_logits,
    realign_sample,
    rloo_gradient,
    sequence_logprob,
    shift_labels,
    sweep,
)
from fenchel.testing import EnumeratedLanguage, EnumeratedPolicy

LOGITS = np.random.default_rng(0).normal(size=(2, 3, 5))
TOKENS = np.asarray([[1, 2, 0], [4, 0, 1]])
MASK = np.asarray([[True, True, False], [True, False, False]])
ROWS = np.zeros((2, 0), dtype=int)
LARGER = RuleAnnotator(lambda prompt, first, second: float(first > second))
INF, NAN = float("inf"), float("nan")


def flat(tokens):
    return np.zeros((len(tokens), 3))


def refused(error, message, call, *arguments, **options):
    with pytest.raises(error, match=message):
        call(*arguments, **options)


def test_statistics():
    whole = sequence_logprob(LOGITS, TOKENS, MASK)
    for kind in (np.uint8, np.uint64, ">i4"):
        assert_allclose(sequence_logprob(LOGITS, TOKENS.astype(kind), MASK), whole)
    assert_allclose(sequence_logprob(LOGITS, TOKENS, MASK.astype(np.int32)), whole)
    refused(
        ValueError, "`mask` must be 0 or 1; got 0.5", sequence_logprob, LOGITS, TOKENS, MASK / 2
    )
    refused(ValueError, "`mask`", kl_exact, LOGITS, LOGITS, np.where(MASK, 1.0, NAN))
    refused(TypeError, "`tokens`", shift_labels, LOGITS, TOKENS.tolist(), MASK)
    refused(TypeError, "list", shift_labels, LOGITS.tolist(), TOKENS, MASK)
    for call in (kl_estimate, kl_exact, rloo_gradient):
        refused(TypeError, "dtype float64; got float32", call, LOGITS, LOGITS.astype(np.float32))
        refused(TypeError, "must be an array of numpy; got list", call, LOGITS, LOGITS.tolist())
    # What does not count is never subtracted: no warning of inf - inf either.
    out = np.where(MASK, -1.0, -INF)
    assert_allclose(kl_estimate(out, out, MASK, kind="k3"), 0)
    assert kl_estimate(np.asarray(-INF), np.asarray(0.0), kind="k3") == INF
    half = np.asarray([6e4], np.float16)
    assert rloo_gradient(half, -half)[0] == np.float16(6e4)
    refused(ValueError, "`p_ba`", combine_orders, np.zeros(2), np.zeros(3))


def test_mixtures_and_filters():
    x = np.zeros((2, 3))
    for strength in (INF, np.asarray([0.5, -INF])):
        refused(ValueError, "`strength` must be finite; got .*inf", realign_logits, x, x, strength)
    refused(TypeError, "`strength`", realign_logits, x, x, "much")
    refused(TypeError, "`aligned` must be an array of numpy", realign_logits, x, x.tolist(), 0.5)
    refused(ValueError, r"got shape \(3,\)", realign_logits, x, x, np.ones(3))
    cold = np.asarray([[-1.0], [1.0]])
    refused(
        ValueError, "`temperature` must be at least 0; got -1", filter_logits, x, temperature=cold
    )
    assert_allclose(filter_logits(np.asarray([3.0, 1.0]), top_k=np.int64(1)), [3.0, -INF])
    # Two of four equal tokens reach one half: the third is not needed.
    assert_allclose(filter_logits(np.zeros(4), top_p=0.5), [0.0, 0.0, -INF, -INF])
    # A row that is not a number stays so: no token is picked from it.
    broken = filter_logits(np.asarray([[NAN, 1.0], [0.0, 1.0]]), top_p=0.5)
    assert_allclose(broken, [[NAN, 1.0], [-INF, 1.0]])


@pytest.mark.parametrize("correction", [None, "smc"])
def test_generation(correction):
    options = {"max_new_tokens": 2, "rng": 0, "correction": correction}
    for wrong in (
        lambda tokens: np.zeros((1, 3)),
        lambda tokens: np.zeros(3),
        lambda tokens: np.zeros((len(tokens), 1, 3)),
    ):
        refused(
            ValueError,
            r"`models` must return logits of shape \(2, V\)",
            realign_sample,
            (flat, wrong),
            ROWS,
            0.5,
            **options,
        )
    models = (flat, flat)
    refused(ValueError, "`end_token`", realign_sample, models, ROWS, 0.5, end_token=3, **options)
    refused(ValueError, "`prompts`", realign_sample, models, ROWS[:0], 0.5, **options)
    refused(
        TypeError,
        "`max_new_tokens`",
        realign_sample,
        models,
        ROWS,
        0.5,
        **{**options, "max_new_tokens": 2.0},
    )
    refused(
        TypeError,
        "numpy; got list",
        realign_sample,
        (flat, lambda t: [[0.0]]),
        ROWS,
        0.5,
        **options,
    )


def test_sweeps():
    options = {"max_new_tokens": 1, "rng": 0}
    refused(TypeError, "`score`", sweep, (flat, flat), ROWS, lambda t: [0.0] * len(t), **options)
    nan = lambda tokens: np.full(len(tokens), NAN)
    refused(
        ValueError,
        "`score` must return numbers; got nan",
        sweep,
        (flat, flat),
        ROWS,
        nan,
        **options,
    )
    one = sweep((flat, flat), ROWS[:1], lambda t: np.zeros(len(t)), **options)
    assert np.isnan(one.standard_errors).all()
    found = sweep((flat, flat), np.zeros((5, 0), int), lambda t: t[:, 0] * 1.0, **options)
    wanted = np.std(found.tokens[..., 0], axis=-1, ddof=1) / 5**0.5
    assert_allclose(found.standard_errors, wanted, rtol=1e-12)


def test_policies():
    refused(TypeError, "`n_tokens`", EnumeratedLanguage, 3.0, 2)
    language = EnumeratedLanguage(n_tokens=3, max_length=2)
    refused(TypeError, "list", language.log_probs, [[0.0]])
    refused(TypeError, "`logits`", language.log_probs, np.zeros((3, 3), int))
    refused(ValueError, "`tokens`", language.index, np.zeros((2, 3), int))
    policy, table = EnumeratedPolicy(language), language.random_logits(1, batch=(1,))
    prompts = np.zeros(50, dtype=int)
    refused(ValueError, "`temperature`", policy.sample, table, prompts, 0, -1.0)
    refused(ValueError, "`logits`", policy.sample, table[:, :2], prompts, 0)
    greedy = policy.sample(table, prompts, 0, 0.0)
    assert (greedy == policy.sample(table, prompts, 1, 1e-9)).all()
    refused(ValueError, "`params`", TabularPolicy().sample, np.zeros(0), np.zeros(2), 0)
    refused(ValueError, "`params`", TabularPolicy().sample, np.zeros((1, 2, 3)), np.zeros(2), 0)
    refused(TypeError, "`units`", GRUPolicy, vocabulary=5, units=4.0)
    gru = GRUPolicy(vocabulary=5, units=4, max_tokens=3)
    params = gru.init(0, like=np.zeros(1))
    refused(ValueError, "`prompts`", gru.sample, params, np.zeros(2, int), 0)


def test_functions_as_annotators():
    pair = ["?"], ["a"], ["b"]
    for kind, name in ((RuleAnnotator, "rule"), (ScoreAnnotator, "score")):
        refused(TypeError, f"`{name}` must be callable", kind, 3)
        for value in (None, "0.5", np.zeros(2)):
            annotator = kind(lambda *_, value=value: value)
            refused(TypeError, f"`{name}` must return a number", annotator.annotate, *pair)
    refused(ValueError, "`rule`.*got 2", RuleAnnotator(lambda *_: 2.0).annotate, *pair)
    tiny = ScoreAnnotator(lambda prompt, response: response == "a", temperature=1e-310)
    assert tiny.annotate(*pair).prob_first == 1


class Client:
    def __init__(self, answers):
        self.score_labels = lambda texts, labels: answers


class Texts:
    def __init__(self, answers):
        self.complete = lambda texts: answers


def test_language_models_as_annotators():
    pair = ["?"], ["a"], ["b"]
    answers = (
        (Client(np.zeros((1, 2))), ValueError, "must return 2 answers; got 1"),
        (Client(np.zeros((2, 3))), ValueError, "2 log-probabilities"),
        (Client(None), TypeError, "an answer for each text"),
        (Texts("12"), TypeError, "an answer for each text"),
        (Texts([1, 2]), TypeError, "answer with texts; got int"),
    )
    for client, error, message in answers:
        refused(error, message, LLMAnnotator(client).annotate, *pair)
    sure = LLMAnnotator(Client([[INF, 0.0], [0.0, 0.0]])).annotate(*pair)
    assert not sure.valid.any()  # no logarithm of a probability
    wrong = LLMAnnotator(Texts(["1", "2"]), parse=lambda text, labels: 7)
    refused(ValueError, "`parse`.*got 7", wrong.annotate, *pair)
    for options, message in (
        ({"template": "{prompt}{first}{second}{other}"}, "`template`.*other"),
        ({"template": "{prompt}{first}"}, "`template`"),
        ({"template": "{prompt}{first}{second} {"}, "`template`.*brace"),
        ({"labels": ("", "2")}, "`labels`"),
        ({"batch_size": 0}, "`batch_size`"),
    ):
        refused(ValueError, message, LLMAnnotator, Client(None), **options)


class Short:
    def annotate(self, prompts, first, second, instruction=None):
        return Annotation(*(np.zeros(0),) * 3, np.zeros((0, 2)))


def test_caches_and_ensembles(tmp_path):
    pair = ["?"], ["a"], ["b"]
    for of_short in (CachedAnnotator(Short(), ":memory:"), EnsembleAnnotator([Short()])):
        refused(ValueError, r"`prob_first` of shape \(1,\)", of_short.annotate, *pair)
    refused(TypeError, "annotate", CachedAnnotator, 3, ":memory:")
    refused(TypeError, "`chunk`", CachedAnnotator, LARGER, ":memory:", chunk=1.5)
    for path in (tmp_path, tmp_path / "no such folder" / "answers"):
        refused(ValueError, "`path`", CachedAnnotator, LARGER, path)
    refused(TypeError, "`annotators` must be a list", EnsembleAnnotator, LARGER)
    refused(TypeError, "annotate", EnsembleAnnotator, [3])
    refused(TypeError, "`quorum`", EnsembleAnnotator, [LARGER], quorum=1.0)


def test_client():
    pytest.importorskip("httpx")
    for options in ({"max_retries": 1.5}, {"concurrency": 1.5}, {"model": None}):
        arguments = {"base_url": "http://127.0.0.1/v1", "model": "m", **options}
        refused(TypeError, f"`{next(iter(options))}`", OpenAICompatibleClient, **arguments)
    refused(ValueError, "`timeout`", OpenAICompatibleClient, "http://h/v1", "m", timeout=INF)
    client = OpenAICompatibleClient("http://127.0.0.1/v1", "m", max_requests=0)
    for texts in ("one text", [3]):
        refused(TypeError, "`texts`", client.complete, texts)


def loop(policy=None, annotator=LARGER, **options):
    return OnlineLoop(policy or TabularPolicy(), annotator, **{"optimizer": 1.0, **options})


def test_options_of_the_loop():
    """A wrong option is found before an annotation is asked for."""
    for options, error, message in (
        ({"reuse": 1.5}, TypeError, "`reuse`"),
        ({"label_smoothing": 2.0}, ValueError, "`label_smoothing`"),
        ({"loss": "exo"}, ValueError, "`label_smoothing`"),
        ({"loss_options": {"gamma": 1.0}}, TypeError, "`gamma`"),
        ({"learning_rate": "much"}, TypeError, "`learning_rate`"),
        ({"instruction": 3}, TypeError, "`instruction`"),
        ({"decode": 3}, TypeError, "`decode`"),
    ):
        refused(error, message, loop, **options)
    refused(TypeError, "`params` must hold arrays", loop().init, [1.0, 2.0])
    refused(TypeError, "`params`", loop().init, np.zeros(3, int))
    refused(ValueError, "`reference`", loop().init, np.zeros(3), reference=np.zeros(4))
    refused(TypeError, "`rng`", loop().init, np.zeros(3), True)
    assert loop().init(np.zeros(3), np.int64(7)).seed == 7
    start = loop().init(np.zeros(3))
    refused(TypeError, "`steps`", loop().run, start, np.zeros(2), 1.5)
    refused(TypeError, "`batch_size`", loop().run, start, np.zeros(2), 1, batch_size=1.5)
    refused(ValueError, "`other`", loop().win_rate, np.zeros(3), np.zeros(4), np.zeros(2))
    assert loop().run(start, ["a", "b"], 1)[0].step == 1


def test_answers_and_policies_of_wrong_shapes():
    class Wrong(TabularPolicy):
        def logprob(self, params, prompts, responses):
            return super().logprob(params, prompts, responses)[:1]

    start = loop().init(np.zeros(3))
    refused(
        ValueError,
        r"`policy.logprob` must return shape \(8,\)",
        loop(Wrong()).step,
        start,
        np.zeros(8),
    )

    class Answers:
        def __init__(self, **columns):
            self.columns = columns

        def annotate(self, prompts, first, second, instruction=None):
            found = LARGER.annotate(prompts, first, second)
            return found._replace(**self.columns)

    for columns, message in (
        ({"valid": np.ones(1)}, "`valid`"),
        ({"position_bias": np.ones(1)}, "`position_bias`"),
        ({"raw": np.ones(2)}, "`raw`"),
        ({"prob_first": np.ones(1)}, "`prob_first`"),
    ):
        refused(ValueError, message, loop(annotator=Answers(**columns)).step, start, np.zeros(8))


def test_checkpoints_that_are_none(tmp_path):
    start, path = loop().init(np.zeros(3)), tmp_path / "state"
    for content in (b"", b"junk", pickle.dumps(3), b"cno_such_module\nthing\n."):
        path.write_bytes(content)
        refused(ValueError, "`checkpoint`", loop().run, start, np.zeros(2), 1, checkpoint=path)
    path.unlink()
    loop().run(start, np.zeros(2), 3, checkpoint=path)
    refused(
        ValueError, "`steps` must reach step 3", loop().run, start, np.zeros(2), 2, checkpoint=path
    )
