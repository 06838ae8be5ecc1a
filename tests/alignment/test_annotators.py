"""Rules, scores, language models and ensembles: what they answer, and what is no answer."""

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from fenchel.alignment.annotators import (
    Annotation,
    Annotator,
    EnsembleAnnotator,
    LLMAnnotator,
    RuleAnnotator,
    ScoreAnnotator,
    combine_orders,
)
from fenchel.alignment.annotators.llm import parse_label

probabilities = st.floats(0.0, 1.0)
every_way = pytest.mark.parametrize("how", ["prob", "logit"])


class Labels:
    """A client with log-odds by a function of the text."""

    def __init__(self, logit):
        self.logit, self.texts = logit, []

    def score_labels(self, texts, labels):
        self.texts += texts
        logits = np.array([self.logit(text) for text in texts], dtype=float)
        with np.errstate(invalid="ignore"):
            return np.stack([-np.logaddexp(0.0, -logits), -np.logaddexp(0.0, logits)], axis=-1)


class Texts:
    def __init__(self, answer):
        self.answer = answer

    def complete(self, texts):
        return [self.answer(text) for text in texts]


def sizes(text):
    """Lengths of the two responses that a text shows."""
    first = text.split("Response 1:\n")[1].split("\n\nResponse 2:\n")[0]
    second = text.split("Response 2:\n")[1].split("\n\nWhich")[0]
    return len(first), len(second)


# -- both orders -------------------------------------------------------------------------------


@every_way
@given(a=probabilities, b=probabilities)
def test_exchanging_the_responses_exchanges_the_answer(how, a, b):
    there, bias = combine_orders(a, b, how)
    back, same = combine_orders(b, a, how)
    assert there == 1.0 - back
    assert 0.0 <= there <= 1.0
    assert bias == same
    assert -0.5 <= bias <= 0.5


@every_way
@given(p=probabilities)
def test_who_follows_the_position_says_nothing(how, p):
    assert float(combine_orders(p, p, how)[0]) == 0.5


@given(logit=st.floats(-8, 8), bias=st.floats(-3, 3))
def test_logit_removes_a_bias_of_the_logits_and_prob_shrinks(logit, bias):
    p_ab, p_ba = (1 / (1 + np.exp(-(sign * logit + bias))) for sign in (1, -1))
    truth = 1 / (1 + np.exp(-logit))
    assert_allclose(combine_orders(p_ab, p_ba, "logit")[0], truth, atol=1e-9)
    shrunk = float(combine_orders(p_ab, p_ba, "prob")[0])
    assert abs(shrunk - 0.5) <= abs(truth - 0.5) + 1e-12


@every_way
def test_certain_answers(how):
    prob, bias = combine_orders([1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0], how)
    assert_array_equal(prob, [1.0, 0.0, 0.5, 0.5])
    assert_array_equal(bias, [0.0, 0.0, 0.5, -0.5])
    assert np.isnan(combine_orders(np.nan, 1.0, how)[0])


def test_probabilities_outside_of_the_unit_interval():
    with pytest.raises(ValueError, match=r"`p_ba` must be in \[0, 1\]; got 1.5"):
        combine_orders(0.5, [0.2, 1.5])
    with pytest.raises(ValueError, match="`how`"):
        combine_orders(0.5, 0.5, "mean")


# -- rules and scores --------------------------------------------------------------------------


def test_rule():
    rule = RuleAnnotator(lambda prompt, a, b: len(a) > len(b))
    answer = rule.annotate(["", "", ""], ["aa", "a", "a"], ["a", "aa", "b"])
    assert_array_equal(answer.prob_first, [1.0, 0.0, 0.0])
    assert np.isnan(answer.position_bias).all()
    both = RuleAnnotator(lambda prompt, a, b: len(a) > len(b), both_orders=True)
    assert_array_equal(both.annotate([""], ["a"], ["b"]).prob_first, [0.5])
    assert isinstance(rule, Annotator)


def test_rule_without_an_answer_and_out_of_range():
    nan = RuleAnnotator(lambda prompt, a, b: float("nan"))
    answer = nan.annotate(["", ""], "ab", "cd")
    assert not answer.valid.any()
    assert np.isnan(answer.prob_first).all()
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        RuleAnnotator(lambda prompt, a, b: 2.0).annotate([""], "a", "b")
    with pytest.raises(ValueError, match="`second` must be as long as `prompts`"):
        nan.annotate(["", ""], "ab", "c")


def test_instruction_reaches_rules_and_scores_that_want_it():
    def rule(prompt, a, b, instruction):
        return float(len(a) < len(b)) if instruction == "short" else float(len(a) > len(b))

    def score(prompt, a, *, instruction=None):
        return -len(a) if instruction == "short" else len(a)

    for annotator in (RuleAnnotator(rule), ScoreAnnotator(score, temperature=0.0)):
        assert annotator.annotate([""], ["a"], ["aa"], "short").prob_first == 1.0
        assert annotator.annotate([""], ["a"], ["aa"]).prob_first == 0.0


@given(a=st.floats(-50, 50), b=st.floats(-50, 50), temperature=st.sampled_from([0.5, 1.0, 3.0]))
def test_score_is_bradley_terry(a, b, temperature):
    annotator = ScoreAnnotator(lambda prompt, y: y, temperature=temperature)
    there = annotator.annotate([""], [a], [b]).prob_first[0]
    back = annotator.annotate([""], [b], [a]).prob_first[0]
    assert there == 1.0 - back
    assert_allclose(there, 1 / (1 + np.exp(-(a - b) / temperature)), atol=1e-15)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_scores_at_infinity(temperature):
    annotator = ScoreAnnotator(lambda prompt, y: y, temperature=temperature)
    inf, nan = np.inf, np.nan
    answer = annotator.annotate([""] * 4, [inf, -inf, 0.0, nan], [0.0, -inf, inf, 1.0])
    assert_array_equal(answer.prob_first, [1.0, 0.5, 0.0, nan])
    assert_array_equal(answer.valid, [True, True, True, False])
    with pytest.raises(ValueError, match="temperature"):
        ScoreAnnotator(len, temperature=-1.0)


# -- language models ---------------------------------------------------------------------------


@every_way
def test_both_orders_are_asked(how):
    client = Labels(lambda text: sizes(text)[0] - sizes(text)[1] + 1.0)
    answer = LLMAnnotator(client, combine=how).annotate(["?"], ["aaa"], ["b"], "Be brief {now}")
    assert len(client.texts) == 2
    assert all("Be brief {now}" in text and "?" in text for text in client.texts)
    p_ab, p_ba = 1 / (1 + np.exp(-3.0)), 1 / (1 + np.exp(1.0))
    assert_allclose(answer.raw, [[p_ab, p_ba]])
    assert_allclose(answer.position_bias, 0.5 * (p_ab + p_ba) - 0.5)
    expected = 0.5 * (p_ab + 1 - p_ba) if how == "prob" else 1 / (1 + np.exp(-2.0))
    assert_allclose(answer.prob_first, expected)


def test_logits_that_saturate_are_combined_as_logits():
    client = Labels(lambda text: 10.0 * (sizes(text)[0] - sizes(text)[1]) + 100.0)
    answer = LLMAnnotator(client, combine="logit").annotate([""], ["aa"], ["a"])
    assert_allclose(answer.prob_first, 1 / (1 + np.exp(-10.0)), rtol=1e-12)


@pytest.mark.parametrize(
    ("reply", "place"),
    [
        ("1", 0),
        (" 2.\n", 1),
        ("Response 1 is better.", 0),
        ("**2**", 1),
        ("", None),
        ("Both are fine", None),
        ("1 or 2", None),
        ("12", None),
        ("21 reasons", None),
    ],
)
def test_parsed_text(reply, place):
    assert parse_label(reply, ["1", "2"]) == place


def test_text_that_cannot_be_read_has_no_winner():
    garbled = LLMAnnotator(Texts(lambda text: "1" if sizes(text)[0] > 1 else "who knows"))
    answer = garbled.annotate(["", ""], ["aa", "aa"], ["a", "bb"])
    assert_array_equal(answer.valid, [False, True])
    assert_array_equal(answer.prob_first, [np.nan, 0.5])
    none = LLMAnnotator(Texts(lambda text: None)).annotate([""], ["a"], ["b"])
    assert not none.valid[0]


def test_text_answers():
    honest = LLMAnnotator(Texts(lambda text: "1" if sizes(text)[0] > sizes(text)[1] else "2"))
    answer = honest.annotate(["", ""], ["aa", "a"], ["a", "aa"])
    assert_array_equal(answer.prob_first, [1.0, 0.0])
    assert_array_equal(answer.position_bias, [0.0, 0.0])
    follower = LLMAnnotator(Texts(lambda text: "1"), combine="logit")
    answer = follower.annotate([""], ["aa"], ["a"])
    assert_array_equal(answer.prob_first, [0.5])
    assert_array_equal(answer.position_bias, [0.5])


def test_a_row_of_nan_is_invalid():
    client = Labels(lambda text: np.nan if sizes(text)[0] == 3 else 1.0)
    answer = LLMAnnotator(client).annotate(["", ""], ["aaa", "a"], ["b", "b"])
    assert_array_equal(answer.valid, [False, True])


def test_both_labels_impossible_is_invalid():
    class Impossible:
        def score_labels(self, texts, labels):
            return np.full((len(texts), 2), -np.inf)

    assert not LLMAnnotator(Impossible()).annotate([""], ["a"], ["b"]).valid[0]


def test_batches_of_a_plain_client():
    seen = []

    class Client:
        def score_labels(self, texts, labels):
            seen.append(len(texts))
            return np.zeros((len(texts), 2))

    LLMAnnotator(Client(), batch_size=3).annotate(["x"] * 4, list("abcd"), list("efgh"))
    assert seen == [3, 3, 2]


def test_bad_annotators():
    with pytest.raises(ValueError, match="`template` must have the fields"):
        LLMAnnotator(Texts(str), template="{first} {second}")
    with pytest.raises(ValueError, match="`labels`"):
        LLMAnnotator(Texts(str), labels=("1", " 1"))
    with pytest.raises(ValueError, match="`combine`"):
        LLMAnnotator(Texts(str), combine="mean")
    with pytest.raises(TypeError, match="`client` must have score_labels"):
        LLMAnnotator(Texts(str), read="labels")


# -- ensembles ---------------------------------------------------------------------------------


def constant(p):
    return RuleAnnotator(lambda prompt, a, b: p)


def test_ensemble_averages_those_that_answered():
    nan = float("nan")
    members = [constant(1.0), constant(0.5), constant(nan)]
    assert EnsembleAnnotator(members).annotate([""], "a", "b").prob_first == 0.75
    weighted = EnsembleAnnotator(members, weights=[3, 1, 5]).annotate([""], "a", "b")
    assert weighted.prob_first == 0.875
    answer = EnsembleAnnotator(members, quorum=3).annotate([""], "a", "b")
    assert not answer.valid[0]
    assert np.isnan(answer.prob_first[0])
    assert isinstance(answer, Annotation)


def test_bad_ensembles():
    with pytest.raises(ValueError, match="at least one"):
        EnsembleAnnotator([])
    with pytest.raises(ValueError, match="`weights`"):
        EnsembleAnnotator([constant(1.0)], weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="`quorum`"):
        EnsembleAnnotator([constant(1.0)], quorum=2)


@given(st.lists(st.tuples(probabilities, probabilities), min_size=1, max_size=4))
def test_ensemble_of_models_is_symmetric(pairs):
    members = [
        RuleAnnotator(lambda prompt, a, b, p=p: p[0] if a < b else p[1], both_orders=True)
        for p in pairs
    ]
    ensemble = EnsembleAnnotator(members)
    there, back = (ensemble.annotate([""], *pair).prob_first[0] for pair in ("ab", "ba"))
    assert_allclose(there, 1.0 - back, atol=1e-15)


class Asynchronous:
    """A client that remembers on which event loop it was awaited."""

    def __init__(self):
        self.loops = []

    async def score_labels(self, texts, labels):
        self.loops.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return [[float("Response 1:\ngood" in text), 0.0] for text in texts]


def test_asynchronous_clients():
    """Awaited on one loop for all calls, also from inside another one."""
    annotator = LLMAnnotator(Asynchronous(), batch_size=1)
    question = ["?"], ["good"], ["bad"]
    plain = annotator.annotate(*question)

    async def inside():
        return annotator.annotate(*question)

    nested = asyncio.run(inside())
    assert plain.prob_first == nested.prob_first > 0.5
    assert len(set(annotator.client.loops)) == 1 and len(annotator.client.loops) == 4

    class Failing:
        async def complete(self, texts):
            raise LookupError("no model")

    with pytest.raises(LookupError, match="no model"):
        LLMAnnotator(Failing()).annotate(*question)


@pytest.mark.parametrize("quorum", [1, 2, 3])
def test_as_many_answers_as_the_quorum_are_enough(quorum):
    answers = (0.9, 0.5, float("nan"))
    members = [RuleAnnotator(lambda *_, p=p: p) for p in answers]
    found = EnsembleAnnotator(members, quorum=quorum).annotate(["?"], ["a"], ["b"])
    assert found.valid.tolist() == [quorum <= 2]
    assert_allclose(found.prob_first, [0.7 if quorum <= 2 else np.nan])
