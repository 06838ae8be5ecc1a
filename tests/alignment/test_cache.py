"""The cache: nothing that was answered is asked again, whatever happens."""

import multiprocessing
import sqlite3

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fenchel.alignment.annotators import (
    CachedAnnotator,
    EnsembleAnnotator,
    LLMAnnotator,
    RuleAnnotator,
    ScoreAnnotator,
)


class Counting:
    """A rule that counts, and may fail or be interrupted."""

    def __init__(self, answer=lambda n: 0.25):
        self.answer, self.calls = answer, []

    def __call__(self, prompt, a, b):
        self.calls.append((prompt, a, b))
        return self.answer(len(self.calls))


def test_a_pair_is_asked_once_in_either_order(tmp_path):
    rule = Counting()
    with CachedAnnotator(RuleAnnotator(rule), tmp_path / "cache.db") as cached:
        first = cached.annotate(["x", "x", "x"], ["a", "b", "a"], ["b", "a", "b"])
        again = cached.annotate(["x"], ["b"], ["a"])
    assert_array_equal(first.prob_first, [0.25, 0.75, 0.25])
    assert_array_equal(again.prob_first, [0.75])
    assert_array_equal(first.raw[:2], [[0.25, np.nan], [np.nan, 0.25]])
    assert len(rule.calls) == 1
    assert (cached.asked, cached.found) == (1, 3)


def test_a_file_outlives_the_process(tmp_path):
    for expected in (1, 0):
        rule = Counting()
        with CachedAnnotator(RuleAnnotator(rule), tmp_path / "cache.db") as cached:
            cached.annotate(["x"], ["a"], ["b"])
        assert len(rule.calls) == expected


def test_what_belongs_to_the_key(tmp_path):
    rule = Counting()
    path = tmp_path / "cache.db"
    with CachedAnnotator(RuleAnnotator(rule), path) as cached:
        cached.annotate(["x"], ["a"], ["b"])
        cached.annotate(["x"], ["a"], ["b"], "be short")
        cached.annotate(["y"], ["a"], ["b"])
        cached.annotate([1], ["a"], ["b"])
        cached.annotate(["1"], ["a"], ["b"])
        cached.annotate([np.array([1, 2])], [np.array([3])], [np.array([4, 5])])
        cached.annotate([[1, 2]], [(3,)], [[4, 5]])  # the same as the last
    assert len(rule.calls) == 6
    with CachedAnnotator(RuleAnnotator(rule), path, name="another") as cached:
        cached.annotate(["x"], ["a"], ["b"])
    assert len(rule.calls) == 7


def test_failures_are_asked_again():
    rule = Counting(lambda n: float("nan") if n == 1 else 1.0)
    cached = CachedAnnotator(RuleAnnotator(rule), ":memory:")
    assert not cached.annotate(["x"], ["a"], ["b"]).valid[0]
    assert cached.annotate(["x"], ["a"], ["b"]).prob_first == 1.0
    assert len(rule.calls) == 2


@pytest.mark.parametrize("moment", range(1, 6))
def test_an_interruption_loses_no_answer(moment, tmp_path):
    columns = (["x"] * 5, list("abcde"), list("fghij"))

    def interrupted(n):
        if n == moment:
            raise KeyboardInterrupt
        return n / 10

    rule = Counting(interrupted)
    cached = CachedAnnotator(RuleAnnotator(rule), tmp_path / "cache.db")
    with pytest.raises(KeyboardInterrupt):
        cached.annotate(*columns)
    cached.close()
    with CachedAnnotator(RuleAnnotator(rule), tmp_path / "cache.db") as again:
        assert again.annotate(*columns).valid.all()
    assert len(rule.calls) == 6  # the interrupted one twice


class OneByOne:
    """A client that yields answers as they come, and may be interrupted."""

    fingerprint = "tiny"

    def __init__(self, moment=None):
        self.moment, self.asked = moment, []

    def score_labels(self, texts, labels):
        rows = np.full((len(texts), 2), np.nan)
        for i, row in self.score_each(texts, labels):
            rows[i] = row
        return rows

    def score_each(self, texts, labels):
        for i in reversed(range(len(texts))):  # not in the order of the question
            if len(self.asked) == self.moment:
                raise KeyboardInterrupt
            self.asked.append(texts[i])
            yield i, [-0.1 * len(self.asked), -1.0]


@pytest.mark.parametrize("moment", range(8))
@pytest.mark.parametrize("ensemble", [False, True])
def test_half_a_pair_is_kept_too(moment, ensemble, tmp_path):
    client = OneByOne(moment)

    def cached():
        annotator = LLMAnnotator(client)
        if ensemble:
            annotator = EnsembleAnnotator([annotator])
        return CachedAnnotator(annotator, tmp_path / "cache.db")

    columns = (["x"] * 4, list("abcd"), list("efgh"))
    with cached() as first, pytest.raises(KeyboardInterrupt):
        first.annotate(*columns)
    client.moment = None
    with cached() as again:
        assert again.annotate(*columns).valid.all()
    assert len(client.asked) == len(set(client.asked)) == 8


def test_answers_are_the_same_bits_from_the_file(tmp_path):
    score = ScoreAnnotator(lambda prompt, y: float(y) / 3.0)
    values = [str(v) for v in np.random.default_rng(0).standard_normal(40)]
    columns = (["x"] * 20, values[:20], values[20:])
    with CachedAnnotator(score, tmp_path / "cache.db") as cached:
        first, second = cached.annotate(*columns), cached.annotate(*columns)
    for a, b in zip(first, second, strict=True):
        assert_array_equal(a, b)
    assert_array_equal(first.prob_first, score.annotate(*columns).prob_first)


def _ask(path, results):
    rule = Counting()
    with CachedAnnotator(RuleAnnotator(rule), path) as cached:
        answer = cached.annotate([str(i) for i in range(30)], ["a"] * 30, ["b"] * 30)
    results.put(float(answer.prob_first.sum()))


def test_several_processes_share_a_file(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=_ask, args=(tmp_path / "c.db", results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    assert [results.get(timeout=600) for _ in workers] == [7.5, 7.5]
    for worker in workers:
        worker.join()


def test_what_is_no_cache(tmp_path):
    (tmp_path / "text").write_text("nothing of the kind, but long enough to be looked at")
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE mine (x)")
    connection.close()
    for name in ("text", "other.db"):
        with pytest.raises(ValueError, match="`path` must be a file of answers"):
            CachedAnnotator(RuleAnnotator(Counting()), tmp_path / name)
    with pytest.raises(ValueError, match="`chunk`"):
        CachedAnnotator(RuleAnnotator(Counting()), ":memory:", chunk=0)
    cached = CachedAnnotator(RuleAnnotator(Counting()), ":memory:")
    with pytest.raises(TypeError, match="must be text, a number"):
        cached.annotate([object()], ["a"], ["b"])
