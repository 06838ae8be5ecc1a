"""Adapters of `fenchel`: one module a library, imported when its first array is seen."""
