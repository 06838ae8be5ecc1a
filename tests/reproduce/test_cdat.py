"""The experiments on learning rates: those that take seconds, held to their claims."""

from importlib.util import find_spec

import numpy as np
import pytest

from fenchel.reproduce import Library, Run, paper
from fenchel.reproduce.tuners import recurrences, safeguard
from fenchel.reproduce.tuners.training import Squared, Trainer, digits, initial, soft_labels
from fenchel.tuners import CDAT, Constant

LIBRARIES = [name for name in ("numpy", "torch", "jax") if find_spec(name)]


@pytest.fixture(params=LIBRARIES)
def run(request, tmp_path):
    return Run(Library.named(request.param), tmp_path / "out", quick=True)


def test_recurrences_hold_on_every_library(run):
    claims = list(recurrences.claims(run))
    assert len(claims) == 6
    assert all(claim.holds for claim in claims), list(map(str, claims))
    assert (run.output / "recurrences.png").stat().st_size > 1000


def test_guard_is_needed_and_enough(tmp_path):
    claims = list(safeguard.claims(Run(Library.named("numpy"), tmp_path, quick=True)))
    assert all(claim.holds for claim in claims), list(map(str, claims))


def test_traces_agree_between_libraries(run):
    images, classes = digits(40)
    traces = [
        Trainer(run_, CDAT(1.0), Squared(), chunk=5).train(
            initial(run_.library, 1, 0, width=6), _data(run_, images, classes), 10, "test"
        )
        for run_ in (run, Run(Library.named("numpy"), run.output))
    ]
    assert traces[0].values == pytest.approx(traces[1].values, rel=1e-3)
    assert traces[0].sharpness == pytest.approx(traces[1].sharpness, rel=1e-2)


def _data(run, images, classes):
    return run.library.array(images), run.library.array(classes)


def test_soft_labels_are_probabilities():
    targets, floor = soft_labels(digits(100)[1])
    assert targets.sum(axis=1) == pytest.approx(np.ones(100))
    assert 0.0 < floor < np.log(2)


def test_trace_averages_the_last_quarter(tmp_path):
    run = Run(Library.named("numpy"), tmp_path)
    images, classes = digits(20)
    trainer = Trainer(run, Constant(0.01), Squared(), chunk=4)
    trace = trainer.train(initial(run.library, 1, 0, width=4), (images, classes), 8, "test")
    assert trace.final() == pytest.approx(trace.values[-2:].mean())
    assert trace.edge == pytest.approx(0.01 * trace.sharpness[-1])
    assert trace.refused == 0


def test_paper_is_registered():
    assert paper("cdat").reference == "NeurIPS 2024, arXiv 2407.06183"
