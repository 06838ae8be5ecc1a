"""A run of the loop for another process to kill: forks one for each folder that it reads.

What is slow is imported once, before the first fork.
"""

import itertools
import os
import sys
import time
from pathlib import Path

import numpy as np

from fenchel import trees
from fenchel.alignment import CachedAnnotator, OnlineLoop, RuleAnnotator, TabularPolicy
from fenchel.tuners import Adam

STEPS, PAUSE = 14, 0.004


def run(folder, pause=PAUSE, most=None):
    """Run to the end, or from where the last one was killed to the end.

    After `most` answers it waits for the kill, which a busy machine may delay.
    """
    log = os.open(folder / "answers", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    given = itertools.count()

    def rule(prompt, first, second):
        time.sleep(pause if next(given) != most else 3600)
        os.write(log, f"{prompt} {min(first, second)} {max(first, second)}\n".encode())
        return 1 / (1 + np.exp(0.3 * (second - first)))

    loop = OnlineLoop(
        TabularPolicy(),
        CachedAnnotator(RuleAnnotator(rule), folder / "cache.db"),
        optimizer=Adam(),
        learning_rate=0.05,
        labels="sample",
        reuse=2,
        replay=3,
    )
    state = loop.init(np.zeros((8, 20)), rng=11)
    state, history = loop.run(state, np.arange(8), STEPS, folder / "state")
    np.savez(folder / "unnamed.npz", *trees.leaves(state), np.asarray(history))
    os.replace(folder / "unnamed.npz", folder / "final.npz")


def main():
    for line in sys.stdin:
        most, _, folder = line.strip().partition(" ")
        child = os.fork()
        if child == 0:
            run(Path(folder), most=int(most) if most != "all" else None)
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("gone", flush=True)


if __name__ == "__main__":
    main()
