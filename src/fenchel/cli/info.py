"""`fenchel info`: the libraries, versions, devices and kernels found here."""

from __future__ import annotations

import argparse
import platform
from typing import Any

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Print what is installed; one line a library."""
    from fenchel import __version__, backends

    print(f"fenchel {__version__} on Python {platform.python_version()}")
    found = backends()
    width = max(map(len, found))
    for name, facts in found.items():
        print(f"{name:<{width}}  {describe(facts)}")
    return 0


def describe(facts: dict[str, Any]) -> str:
    """Return one line on a library: version, devices, kernels."""
    devices = ", ".join(map(str, facts.get("devices") or ())) or "default device"
    kernels = facts.get("kernels") or ()
    if not isinstance(kernels, str):
        kernels = ", ".join(map(str, kernels))
    return f"{facts.get('version') or '-':<14} {devices:<14} kernels: {kernels or 'reference'}"
