"""Buffers of experts: a counting sort of assignments, and the balanced assignment of tokens."""

import numpy as np

from .jit import Rows, compiled, own

__all__ = ["balanced_owners", "sorted_by_expert"]


@compiled
def _has_nan(x: Rows) -> bool:
    count = 0
    for value in x:
        count += value != value
    return count > 0


@compiled
def sorted_by_expert(experts: Rows, params: Rows, order: Rows, position: Rows) -> None:
    """Sort each row stably by value, and rank entries among their equals; params: n_values.

    Values are integers in [0, n_values), others count as the nearest.
    """
    n = experts.shape[1]
    for r in range(experts.shape[0]):
        m = max(int(own(params, r, 0)), 1)
        if _has_nan(experts[r]):
            for i in range(n):
                order[r, i] = i
                position[r, i] = i
            continue
        start = np.zeros(m + 1, np.int64)
        for i in range(n):
            e = min(max(int(experts[r, i]), 0), m - 1)
            position[r, i] = start[e + 1]
            start[e + 1] += 1
        for e in range(m):
            start[e + 1] += start[e]
        for i in range(n):
            e = min(max(int(experts[r, i]), 0), m - 1)
            order[r, start[e] + position[r, i]] = i


_SLACK = 16 * 2.0**-52  # rounding alone must not close a chain into a circle


@compiled
def _moves_from(table: Rows, owner: Rows, e: int, cost: Rows, mover: Rows) -> None:
    """Write the least cost of moving a token from expert e to each other, and the token."""
    n, m = table.shape
    cost[e] = np.inf
    for t in range(n):
        if owner[t] == e:
            height = table[t, e]
            for f in range(m):
                loss = height - table[t, f]
                if loss < cost[e, f]:
                    cost[e, f] = loss
                    mover[e, f] = t


@compiled
def _relax(
    cost: Rows, load: Rows, floor: int, room: bool, distance: Rows, source: Rows, kind: Rows
) -> None:
    """Lengthen chains until none gets cheaper; kind 1 is an extra place taken over."""
    m = distance.size
    for _ in range(m):
        changed = False
        for e in range(m):
            takes = load[e] == floor and not room
            for f in range(m):
                if f == e:
                    continue
                through, link = distance[e] + cost[e, f], 0
                if takes and load[f] > floor and distance[e] < through:
                    through, link = distance[e], 1
                if through < distance[f] - _SLACK * (1.0 + abs(distance[f])):
                    distance[f], source[f], kind[f] = through, e, link
                    changed = True
        if not changed:
            return


@compiled
def _cheapest_end(distance: Rows, load: Rows, floor: int, room: bool) -> int:
    end, least = -1, np.inf
    for e in range(distance.size):
        open_ = load[e] < floor or (room and load[e] == floor)
        if open_ and (end < 0 or distance[e] < least):
            end, least = e, distance[e]
    return end


@compiled
def _walk_back(
    end: int, new: int, source: Rows, kind: Rows, mover: Rows, owner: Rows, load: Rows, stale: Rows
) -> None:
    """Move one token along each link of the chain that ends at `end`."""
    here = end
    load[end] += 1
    for _ in range(source.size + 1):
        before = source[here]
        stale[here] = True
        if before < 0:
            owner[new] = here
            return
        if kind[here] == 1:
            load[before] += 1
            load[here] -= 1
        else:
            owner[mover[before, here]] = here
        here = before


@compiled
def _assign(table: Rows, tokens: Rows, owner: Rows) -> None:
    """Send the tokens one after the other along the cheapest chains of experts."""
    n, m = table.shape
    count = 0
    for t in range(n):
        count += tokens[t] > 0
    floor, extra = count // m, count % m
    load, stale = np.zeros(m, np.int64), np.zeros(m, np.bool_)
    cost, mover = np.full((m, m), np.inf), np.zeros((m, m), np.int64)
    distance, source, kind = np.empty(m), np.empty(m, np.int64), np.zeros(m, np.int64)
    owner[:] = -1
    for t in range(n):
        if not tokens[t] > 0:
            continue
        over = 0
        for e in range(m):
            over += load[e] > floor
            distance[e] = -table[t, e]
            source[e] = -1
        room = over < extra
        _relax(cost, load, floor, room, distance, source, kind)
        end = _cheapest_end(distance, load, floor, room)
        _walk_back(end, t, source, kind, mover, owner, load, stale)
        for e in range(m):
            if stale[e]:
                _moves_from(table, owner, e, cost, mover)
                stale[e] = False


@compiled
def balanced_owners(x: Rows, tokens: Rows, params: Rows, owners: Rows) -> None:
    """Expert of each token in the best balanced assignment of flat scores; params: n_experts.

    The number of experts stands for tokens that are left out.
    """
    n = tokens.shape[1]
    owner = np.empty(n, np.int64)
    for r in range(x.shape[0]):
        m = x.shape[1] // n
        if _has_nan(x[r]) or _has_nan(tokens[r]):
            owners[r] = np.nan
            continue
        _assign(x[r].reshape(n, m).astype(np.float64), tokens[r], owner)
        for t in range(n):
            owners[r, t] = owner[t] if owner[t] >= 0 else m
