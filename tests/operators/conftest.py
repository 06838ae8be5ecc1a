"""Both routes of every operator, as for the convex room."""

from tests.convex.conftest import route

__all__ = ["route"]
