"""The clock: contenders take turns in one process, and medians of many rounds are compared.

Processor time is measured, not the time on the wall: what else the machine does is no part of it.
It is the time of all threads: an idle pool that spins after one contender would be charged to
the next, so runs are kept to one thread. A ratio is the median of the ratios of single rounds, in
which the contenders had the same machine.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from itertools import cycle

from .case import Case, Contender

__all__ = ["Row", "measure"]

BATCH_SECONDS = 2e-3  # long enough for the clock, short enough to interleave finely
WARM_UP_CALLS = 3


@dataclass(frozen=True)
class Row:
    """What was measured for a case.

    Parameters
    ----------
    case
        Name of the case.
    times
        Median seconds a call, by contender; ours first.
    ratios
        Median of peer's time over ours, by peer: above 1, ours is faster.
    """

    case: str
    times: dict[str, float]
    ratios: dict[str, float]


def measure(case: Case, rounds: int = 25) -> Row:
    """Time the contenders of a case in turn.

    Examples
    --------
    >>> from fenchel.reproduce.bench import Case, Contender, measure
    >>> slow = Contender("slow", lambda n: sum(range(100 * n)), [500])
    >>> fast = Contender("fast", lambda n: sum(range(n)), [500])
    >>> measure(Case("sums", fast, (slow,)), rounds=5).ratios["slow"] > 5
    True
    """
    clocks = [_Clock(contender) for contender in (case.ours, *case.peers)]
    for _ in range(rounds):
        for clock in clocks:
            clock.time_batch()
    times = {clock.name: statistics.median(clock.times) for clock in clocks}
    ours, *peers = clocks
    ratios = {peer.name: _median_ratio(peer.times, ours.times) for peer in peers}
    return Row(case.name, times, ratios)


def _median_ratio(theirs: list[float], ours: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))


class _Clock:
    """Times batches of calls of one contender, going round its inputs."""

    def __init__(self, contender: Contender) -> None:
        self.name = contender.name
        self.times: list[float] = []
        self._call = contender.call
        self._inputs = cycle(contender.inputs)
        self._calls = 1
        for _ in range(WARM_UP_CALLS):
            self._batch()
        self._calls = max(1, int(BATCH_SECONDS / max(self._batch(), 1e-9)))

    def time_batch(self) -> None:
        """Append the time of a call, averaged over a batch."""
        self.times.append(self._batch() / self._calls)

    def _batch(self) -> float:
        call, inputs = self._call, [next(self._inputs) for _ in range(self._calls)]
        start = time.process_time()
        for x in inputs:
            call(x)
        return time.process_time() - start
