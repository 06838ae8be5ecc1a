"""The experiments on online feedback: short forms of them."""

import numpy as np
import pytest

from fenchel.reproduce import Library, Run
from fenchel.reproduce.alignment import online_offline
from fenchel.reproduce.alignment.language import POLICY, Language, count_of_fives, source


@pytest.fixture
def run(tmp_path):
    return Run(Library.named("numpy"), tmp_path / "out", quick=True)


def untrained(run):
    return Language(run, POLICY.init(0, like=run.library.array([0.0])))


def test_source_is_one_chain():
    tokens = source(4000, 0)
    assert tokens.shape == (4000, POLICY.max_tokens)
    assert tokens.min() == POLICY.end_token  # it never starts again
    assert (tokens[:, 0] != POLICY.end_token).all()
    lengths = (np.cumsum(tokens == POLICY.end_token, axis=1) == 0).sum(axis=1)
    assert abs(np.mean(lengths == 1) - 0.1) < 0.02
    assert count_of_fives(None, np.array([5, 4, 5])) == 2.0


def test_a_few_steps_of_both_kinds(run):
    language = untrained(run)
    found = online_offline.compare(language, "dpo", online=20, offline=20, samples=100)
    assert found.online.steps == found.offline.steps == [20]
    assert found.online.divergences[0] > 0.0
    assert 0.4 < found.win_rate <= 1.0
    run.save(online_offline.draw({"dpo": found}), "figure")
    assert (run.output / "figure.png").stat().st_size > 1000


def test_what_a_course_says():
    course = online_offline.Course([1, 2, 3], [1.0, 4.0, 3.0], [0.1, 0.5, 0.9])
    assert course.peak == 4.0
    assert course.fall == pytest.approx(0.25)
    assert course.rise_after_peak == pytest.approx(0.4)
    assert course.gain(1.0) == pytest.approx((3.5 - 1.0) / 0.7)
