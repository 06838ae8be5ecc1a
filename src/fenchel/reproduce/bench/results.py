"""Groups of cases, and the record of a run: ratios, versions, the kind of machine."""

from __future__ import annotations

import importlib
import json
import os
import platform
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .case import Case, installed
from .harness import Row, measure

__all__ = ["absent_peers", "group_names", "run_group"]

_GROUPS = {
    "isotonic": "fenchel.reproduce.bench.isotonic",
    "mask": "fenchel.reproduce.bench.mask",
    "magnitude": "fenchel.reproduce.bench.magnitude",
    "soft_rank": "fenchel.reproduce.bench.soft_rank",
    "sets": "fenchel.reproduce.bench.sets",
    "transport": "fenchel.reproduce.bench.transport",
    "losses": "fenchel.reproduce.bench.losses",
    "tuners": "fenchel.reproduce.bench.tuners",
    "diffusion": "fenchel.reproduce.bench.diffusion",
    "oracles": "fenchel.reproduce.bench.oracles",
    "alignment": "fenchel.reproduce.bench.alignment",
    "incontext": "fenchel.reproduce.bench.incontext",
    "routers": "fenchel.reproduce.bench.routers",
    "overhead": "fenchel.reproduce.bench.overhead",
    "tape": "fenchel.reproduce.bench.tape",
    "kernels": "fenchel.reproduce.bench.kernels",
}
_PACKAGES = ("numpy", "scipy", "numba", "torch", "jax", "scikit-learn", "autograd", "jaxopt")
_XLA_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
_PEERS = ("entmax", "optax", "torchisotonic", "torchsort")


def group_names() -> tuple[str, ...]:
    """Return the names of the groups of cases."""
    return tuple(_GROUPS)


def absent_peers() -> tuple[str, ...]:
    """Return the peers of the extra `bench` that are not installed, torch and JAX among them."""
    wanted = ("torch", "jax", "autograd", "entmax", "jaxopt", "torchisotonic")
    return tuple(name for name in wanted if find_spec(name) is None)


def run_group(name: str, output: Path, *, quick: bool = False) -> dict[str, Any]:
    """Measure a group, write `NAME.json` after every case, and return what is in it.

    Parameters
    ----------
    name
        One of `group_names()`.
    output
        Folder of the results.
    quick
        Whether to take fewer rounds and only the smaller sizes.

    Returns
    -------
    dict
        `name`, `title`, `machine`, `versions` and `rows`.
    """
    group = importlib.import_module(_GROUPS[name])
    result = {"name": name, "title": group.TITLE, "machine": _machine(), "versions": _versions()}
    rows: list[dict[str, Any]] = []
    output.mkdir(parents=True, exist_ok=True)
    _keep_xla_to_one_thread()
    for case in _progress(group.cases(quick), name):
        # around each case: the limit binds only the pools of what its peers have imported by now
        with _one_thread():
            rows.append(_rounded(measure(case, rounds=7 if quick else 25)))
        text = json.dumps({**result, "rows": rows}, indent=1)
        (output / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    return {**result, "rows": rows}


def _rounded(row: Row) -> dict[str, Any]:
    record = asdict(row)
    for key in ("times", "ratios"):
        record[key] = {name: float(f"{value:.3g}") for name, value in record[key].items()}
    return record


def _progress(cases: Iterable[Case], name: str) -> Iterable[Case]:
    from tqdm import tqdm

    return tqdm(cases, desc=name, leave=False, dynamic_ncols=True)  # type: ignore[no-any-return]


def _one_thread() -> AbstractContextManager[Any]:
    pools = installed("threadpoolctl")
    return pools.threadpool_limits(1) if pools is not None else nullcontext()


def _keep_xla_to_one_thread() -> None:
    """Ask XLA for one thread, by the only way it offers; it listens once, before its first use."""
    given = os.environ.get("XLA_FLAGS", "")
    if _XLA_ONE_THREAD not in given:
        os.environ["XLA_FLAGS"] = f"{given} {_XLA_ONE_THREAD}".strip()


def _machine() -> str:
    """Return the kind of machine: enough to read the ratios, nothing that tells whose it is."""
    return f"{_processor()}, {os.cpu_count()} cores, one thread, Python {platform.python_version()}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for package in (*_PACKAGES, *_PEERS):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
