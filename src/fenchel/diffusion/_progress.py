"""A long run in pieces, and a bar that shows how far it is."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["pieces", "shown"]


def pieces(steps: int) -> list[int]:
    """Cut a run into at most a hundred pieces, of one size if that can be: each is a program."""
    if steps <= 100:
        return [steps]
    least = max(50, steps // 100)
    size = next((n for n in range(least, 2 * least) if steps % n == 0), least)
    count, rest = divmod(steps, size)
    return [size] * count + ([rest] if rest else [])


def shown(pieces: list[int], progress: bool) -> Iterator[int]:
    """Yield the sizes of pieces, with a bar on stderr if asked and tqdm is installed."""
    from importlib.util import find_spec

    if not progress or find_spec("tqdm") is None:
        yield from pieces
        return
    from tqdm import tqdm

    with tqdm(total=sum(pieces), leave=False, dynamic_ncols=True) as bar:
        for size in pieces:
            yield size
            bar.update(size)
