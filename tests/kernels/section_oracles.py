"""The multiplier of a box section by looking at every point, in double precision."""

import numpy as np


def points(x, lower, upper, w):
    """Where an entry meets a bound, ascending, without those that tau does not move."""
    moved = (w != 0) & (lower != upper)
    ends = [(x[moved] - bound[moved]) / w[moved] for bound in (lower, upper)]
    found = np.concatenate(ends)
    return np.unique(found[np.isfinite(found)])


def excess(tau, x, lower, upper, w, total):
    """<w, y> - total at the multiplier, and what of it rounding explains."""
    terms = np.where(w == 0, 0.0, w * np.clip(x - tau * w, lower, upper))
    rounding = 8 * np.finfo(x.dtype).eps
    return terms.sum() - total, rounding * (np.abs(terms).sum() + abs(total))


def interval(x, lower, upper, w, total):
    """The two points that a multiplier is to lie between; the total is met from a to b."""
    at = points(x, lower, upper, w)
    values = [excess(tau, x, lower, upper, w, total) for tau in at]
    place = next((i for i, (over, slack) in enumerate(values) if over <= slack), len(at))
    ends = [-np.inf, *at, np.inf]
    met = place < len(at) and abs(values[place][0]) <= values[place][1]
    return ends[place + met], ends[place + met + 1]
