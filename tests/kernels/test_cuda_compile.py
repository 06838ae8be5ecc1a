"""The CUDA sources compile: by nvcc for two generations of devices, and by NVRTC as in CuPy."""

import hashlib
import itertools
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from fenchel_backends.kernels.cuda import sources
from fenchel_backends.kernels.cuda.geometry import geometry

from tests.kernels.cuda_shim import SOURCES, source_files

STEMS = [path.stem for path in source_files()]
DTYPES = ("float32", "float64")
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")


def test_every_kernel_of_the_tables_has_a_source():
    assert {sources.source_of(symbol) for symbol in sources.symbols()} == set(STEMS)


def test_unknown_kernels_have_no_source():
    for name in ("nothing", "fused_nothing", "mask_threshold_vjp"):
        with pytest.raises(KeyError):
            sources.source_of(name)


def test_pasted_text_leaves_no_include_but_the_shim():
    for stem in STEMS:
        includes = [line for line in sources.text(stem).splitlines() if line.startswith("#include")]
        assert set(includes) == {'#include "shim.hpp"'}


def expected_entries(stem):
    symbols = [symbol for symbol in sources.symbols() if sources.source_of(symbol) == stem]
    return {f"{symbol}_{dtype}" for symbol in symbols for dtype in DTYPES}


def entries(ptx):
    words = (line.split() for line in ptx.splitlines() if ".entry" in line)
    return {line[line.index(".entry") + 1].rstrip("(") for line in words}


@needs_nvcc
@pytest.mark.parametrize("stem", STEMS)
def test_nvcc_compiles(stem):
    digest = hashlib.sha256(sources.text(stem).encode()).hexdigest()[:16]
    done = Path(tempfile.gettempdir()) / f"fenchel-nvcc-{digest}.fatbin"
    if done.exists():
        return
    generations = [f"-gencode=arch=compute_{v},code=sm_{v}" for v in (80, 90)]
    flags = ["-std=c++17", "-fatbin", "-Werror=all-warnings", *generations]
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "built.fatbin"
        command = ["nvcc", *flags, "-o", str(built), str(SOURCES / f"{stem}.cu")]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        shutil.copy(built, done)


@pytest.fixture(scope="module")
def nvrtc():
    pytest.importorskip("cupy", reason="CuPy is not installed")
    from cupy_backends.cuda.libs import nvrtc

    try:
        nvrtc.getVersion()
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"NVRTC is not installed: {error}")
    return nvrtc


@pytest.mark.parametrize("stem", STEMS)
def test_nvrtc_compiles_what_cupy_gives_it(nvrtc, stem):
    program = nvrtc.createProgram(sources.text(stem), f"{stem}.cu", [], [])
    nvrtc.compileProgram(program, ("--gpu-architecture=compute_80", *sources.OPTIONS))
    ptx = nvrtc.getPTX(program).decode()
    assert entries(ptx) == expected_entries(stem)
    # Without the bound a kernel may take more registers than its widest block can have.
    assert ptx.count(".maxntid 512") == len(expected_entries(stem))
    nvrtc.destroyProgram(program)


@pytest.mark.parametrize("symbol", sources.symbols())
def test_launches_fit_every_device(symbol):
    for rows, n in itertools.product((1, 100, 10**6), (1, 31, 1000, 1706, 1707, 10**5)):
        plan = geometry(symbol, rows=rows, n=n, processors=108)
        assert 1 <= plan.grid <= rows
        assert plan.block in (32, 64, 128, 256, 512)
        assert plan.grid * plan.block <= 108 * 2048
        assert plan.shared_bytes <= 40 * 1024
        assert not (plan.shared_bytes and plan.work_stride)
