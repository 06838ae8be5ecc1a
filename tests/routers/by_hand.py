"""Routers as loops over tokens and experts: what the array code is compared with."""

import numpy as np

INF = np.inf


def softmax(logits, axis=-1):
    top = np.max(logits, axis=axis, keepdims=True)
    p = np.exp(logits - np.where(np.isfinite(top), top, 0.0))
    total = p.sum(axis=axis, keepdims=True)
    return p / np.where(total == 0, 1.0, total)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def best(scores, k):
    """Places of the k largest of a row, the lower index first among equals."""
    return sorted(range(len(scores)), key=lambda e: (-scores[e], e))[:k]


def fill(choices, wanted, capacity, m, priority="choice", order=None):
    """Slots and tokens of the buffers of one group, assignment by assignment."""
    n, k = choices.shape
    order = range(n) if order is None else order
    if priority == "choice":
        turns = [(t, j) for j in range(k) for t in order]
    else:
        turns = [(t, j) for t in order for j in range(k)]
    slot, token = np.full((n, k), -1), np.full((m, capacity), n)
    asked = np.zeros(m, int)
    for t, j in turns:
        if not wanted[t, j]:
            continue
        e = choices[t, j]
        if asked[e] < capacity:
            slot[t, j] = asked[e]
            token[e, asked[e]] = t
        asked[e] += 1
    return slot, token, asked


def token_choice(scores, logits, k, capacity, *, mask=None, priority="choice", order=None):
    """Choices, slots, tokens and demand of one group."""
    n, m = scores.shape
    mask = np.ones(n, bool) if mask is None else mask
    choices = np.array([best(np.where(logits[t] > -INF, scores[t], -INF), k) for t in range(n)])
    choices = choices.reshape(n, k)
    wanted = np.take_along_axis(logits > -INF, choices, -1) & mask[:, None]
    return choices, *fill(choices, wanted, capacity, m, priority, order)


def expert_choice(scores, capacity):
    """Tokens of each expert of one group."""
    return np.array([best(column, capacity) for column in scores.T])


def dispatch(token, x):
    padded = np.concatenate([x, np.zeros_like(x[:1])])
    return padded[token]


def combine(choices, slot, weight, y):
    out = np.zeros((len(choices), y.shape[-1]))
    for t, j in np.ndindex(*choices.shape):
        if slot[t, j] >= 0:
            out[t] += weight[t, j] * y[choices[t, j], slot[t, j]]
    return out
