"""A run that is interrupted, or killed, goes on as if nothing had happened."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fenchel import trees
from fenchel.alignment import CachedAnnotator, OnlineLoop, RuleAnnotator, TabularPolicy
from fenchel.tuners import Adam
from tests import libraries
from tests.alignment import interrupted

KILLS = 10


class Runs:
    """Processes that run the loop in a folder."""

    def __init__(self):
        root = Path(__file__).parents[2]
        self.nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.alignment.interrupted"],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def start(self, folder, most="all"):
        self.nursery.stdin.write(f"{most} {folder}\n")
        self.nursery.stdin.flush()
        return int(self.nursery.stdout.readline())

    def wait(self):
        assert self.nursery.stdout.readline() == "gone\n"

    def close(self):
        self.nursery.communicate(timeout=600)


@pytest.fixture(scope="module")
def runs():
    found = Runs()
    yield found
    found.close()


def final(folder):
    with np.load(folder / "final.npz") as stored:
        return [stored[name] for name in stored.files]


def answered(folder):
    path = folder / "answers"
    return path.read_text().splitlines() if path.exists() else []


def stored(folder):
    if not (folder / "cache.db").exists():
        return 0
    connection = sqlite3.connect(folder / "cache.db", timeout=30)
    try:
        return connection.execute("SELECT count(*) FROM answers").fetchone()[0]
    except sqlite3.OperationalError:  # killed before there was a table
        return 0
    finally:
        connection.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes as POSIX does")
def test_killed_ten_times_at_random_moments(runs, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    runs.start(whole)
    runs.wait()
    assert len(answered(whole)) == len(set(answered(whole))) == stored(whole)

    rng, lost = random.Random(7), 0
    for _ in range(KILLS):
        share, before = len(answered(whole)) // (KILLS + 4), len(answered(broken))
        child, wanted = runs.start(broken, share + 2), before + rng.randrange(1, share)
        deadline = time.monotonic() + 300
        while len(answered(broken)) < wanted and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(rng.uniform(0.0, 0.01))
        os.kill(child, signal.SIGKILL)
        runs.wait()
        assert not (broken / "final.npz").exists()
        # The answer that came in the very moment of the kill may not have been written down.
        missing = len(set(answered(broken))) - stored(broken)
        assert missing in (0, 1)
        lost += missing
    runs.start(broken)
    runs.wait()

    asked = Counter(answered(broken))
    assert set(asked) == set(answered(whole))
    assert sum(asked.values()) - len(asked) <= lost  # what was stored was never asked again
    assert lost < KILLS
    for a, b in zip(final(whole), final(broken), strict=True):
        assert_array_equal(a, b)  # bit for bit


@pytest.mark.parametrize(
    ("name", "moment"),
    [*(("numpy", moment) for moment in (0, 1, 7, 33)), ("torch", 20), ("jax", 20)],
)
def test_interrupted_between_any_two_answers(name, moment, tmp_path):
    pytest.importorskip(name)
    xp, asked = libraries.get(name), []

    def rule(prompt, first, second):
        if len(asked) == moment and not interrupted_once:
            interrupted_once.append(True)
            raise KeyboardInterrupt
        asked.append((prompt, *sorted((first, second))))
        return 0.5 + 0.02 * (first - second)

    def run(folder):
        with CachedAnnotator(RuleAnnotator(rule), folder / "cache.db", durable=False) as cached:
            loop = OnlineLoop(
                TabularPolicy(), cached, optimizer=Adam(), learning_rate=0.1, labels="sample"
            )
            start = loop.init(xp.array(np.zeros((6, 9))))
            return loop.run(start, xp.array(np.arange(6)), 8, folder / "state")

    folders = [tmp_path / name for name in ("whole", "broken")]
    for folder in folders:
        folder.mkdir()
    interrupted_once = [True]
    expected, metrics = run(folders[0])
    once = list(asked)
    asked.clear()
    interrupted_once.clear()
    with pytest.raises(KeyboardInterrupt):
        run(folders[1])
    found, same = run(folders[1])
    assert asked == once
    for a, b in zip(trees.leaves(found), trees.leaves(expected), strict=True):
        assert_array_equal(xp.numpy(a) if hasattr(a, "shape") else a, np.asarray(b))
    assert_array_equal(np.asarray(same), np.asarray(metrics))


def tiny(annotator=None, **options):
    rule = annotator or RuleAnnotator(lambda prompt, a, b: float(a > b))
    return OnlineLoop(TabularPolicy(), rule, **{"optimizer": 0.1, **options})


def test_a_finished_run_is_not_run_again(tmp_path):
    loop = tiny()
    first, history = loop.run(loop.init(np.zeros(4)), np.zeros(8), 3, tmp_path / "state")
    again, same = loop.run(loop.init(np.zeros(4)), np.zeros(8), 3, tmp_path / "state")
    assert_array_equal(first.params, again.params)
    assert_array_equal(np.asarray(same), np.asarray(history))
    longer, more = loop.run(loop.init(np.zeros(4)), np.zeros(8), 5, tmp_path / "state")
    straight, _ = loop.run(loop.init(np.zeros(4)), np.zeros(8), 5)
    assert_array_equal(longer.params, straight.params)
    assert len(more) == 5


def test_a_checkpoint_now_and_then(tmp_path):
    seen = []
    loop, path = tiny(), tmp_path / "new" / "state"
    loop.run(
        loop.init(np.zeros(4)), np.zeros(4), 5, path, every=2,
        callback=lambda state, metrics: seen.append(path.exists()),
    )  # fmt: skip
    assert seen == [False, True, True, True, True]
    assert [entry.name for entry in path.parent.iterdir()] == ["state"]


def test_checkpoints_of_others(tmp_path):
    loop, path = tiny(), tmp_path / "state"
    loop.run(loop.init(np.zeros(4)), np.zeros(4), 2, path)
    with pytest.raises(ValueError, match="same seed and parameters"):
        loop.run(loop.init(np.zeros(4), rng=1), np.zeros(4), 2, path)
    with pytest.raises(ValueError, match="same seed and parameters"):
        loop.run(loop.init(np.zeros(5)), np.zeros(4), 2, path)
    path.write_bytes(b"\x80\x04not a checkpoint")
    with pytest.raises(ValueError, match="`checkpoint` must be a file of this loop"):
        loop.run(loop.init(np.zeros(4)), np.zeros(4), 2, path)


def test_the_run_to_be_killed_can_be_run_here(tmp_path):
    interrupted.run(tmp_path, pause=0.0)
    assert (tmp_path / "final.npz").exists()
