"""The transformations of PyTorch: autograd, `torch.func`, the compiler, fake and meta tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.autograd import forward_ad

from fenchel.backend import backend_of
from fenchel.testing.transformation import Probe, Transformation

from .fake import fake_tensors

__all__ = ["rows"]

Run = Callable[[Probe], Any]

# torch does not say their types.
_DUAL: tuple[Any, Any] = (forward_ad.make_dual, forward_ad.unpack_dual)


def rows() -> dict[str, Transformation]:
    """Return the rows by name."""
    return _autograd() | _functional() | _shapes() | _compiler()


def _autograd() -> dict[str, Transformation]:
    return {
        "autograd.grad": Transformation("vjp", _autograd_grad),
        "autograd.grad twice": Transformation("hvp", _autograd_twice),
        "autograd.grad, second only": Transformation("hvp", _autograd_hvp),
        "gradcheck": Transformation("passes", _gradcheck),
        "gradgradcheck": Transformation("passes twice", _gradgradcheck),
        "dual numbers": Transformation("jvp", _dual_numbers),
        "no_grad": Transformation("value", _no_grad),
        "inference_mode": Transformation("value", _inference_mode),
    }


def _functional() -> dict[str, Transformation]:
    return {
        "func.grad": Transformation("vjp", lambda p: _grad(p)(*p.primals)),
        "func.vjp": Transformation("vjp", _vjp),
        "func.jvp": Transformation("jvp", _jvp),
        "linearize": Transformation("jvp", _linearize),
        "jacrev": Transformation("jacobian", lambda p: _jacobian(p, torch.func.jacrev)),
        "jacfwd": Transformation("jacobian", lambda p: _jacobian(p, torch.func.jacfwd)),
        "hessian": Transformation("hessian", _hessian),
        "grad of grad": Transformation("hvp", _grad_of_grad),
        "jvp of grad": Transformation("hvp", _jvp_of_grad),
        "grad of jvp": Transformation("hvp", _grad_of_jvp),
        "vmap": Transformation("values", lambda p: torch.func.vmap(p.f)(*p.batch)),
        "vmap(grad)": Transformation("vjps", lambda p: torch.func.vmap(_grad(p))(*p.batch)),
        "vmap(jvp)": Transformation("jvp", _vmap_jvp),
    }


def _shapes() -> dict[str, Transformation]:
    return {
        "fake tensors on cuda": Transformation("shape", _fake_cuda),
        "fake tensors on cuda, jvp": Transformation("shape", _fake_cuda_jvp),
        "meta tensors": Transformation("shape", _meta),
    }


def _compiler() -> dict[str, Transformation]:
    def compiled(quantity: str, run: Run) -> Transformation:
        return Transformation(quantity, run, compiles=True)

    return {
        "compile": compiled("value", _compile),
        "compile, then backward": compiled("vjp", _compile_backward),
        "compile(func.grad)": compiled("vjp", _compile_grad),
        "compile(func.jvp)": compiled("jvp", _compile_jvp),
        "compile(vmap)": compiled("values", _compile_vmap),
        "compile(hessian)": compiled("hessian", _compile_hessian),
        "compile with inductor": compiled("vjp", _compile_inductor),
    }


def _leaves(probe: Probe) -> tuple[Any, ...]:
    return tuple(x.detach().clone().requires_grad_() for x in probe.primals)


def _autograd_grad(probe: Probe) -> Any:
    leaves = _leaves(probe)
    return torch.autograd.grad(probe.f(*leaves), leaves, probe.cotangent)


def _autograd_twice(probe: Probe) -> Any:
    leaves = _leaves(probe)
    first = torch.autograd.grad(probe.f(*leaves), leaves, probe.cotangent, create_graph=True)
    slope = probe.directional(first)
    if not slope.requires_grad:  # the operator is piecewise linear, and its gradient constant
        return tuple(map(torch.zeros_like, leaves))
    return torch.autograd.grad(slope, leaves, materialize_grads=True)


def _autograd_hvp(probe: Probe) -> Any:
    hvp: Any = torch.autograd.functional.hvp
    return hvp(probe.scalar, probe.primals, probe.tangents)[1]


def _gradcheck(probe: Probe) -> bool:
    leaves = _leaves(probe)
    with _seeded():
        return torch.autograd.gradcheck(probe.f, leaves, check_forward_ad=True, fast_mode=True)


def _gradgradcheck(probe: Probe) -> bool:
    with _seeded():
        return torch.autograd.gradgradcheck(probe.f, _leaves(probe), fast_mode=True)


@contextmanager
def _seeded() -> Iterator[None]:
    """Draw the same directions in every run: the fast mode takes them from the global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def _dual_numbers(probe: Probe) -> Any:
    make, unpack = _DUAL
    with forward_ad.dual_level():
        pairs = zip(probe.primals, probe.tangents, strict=True)
        tangent = unpack(probe.f(*(make(x, v) for x, v in pairs))).tangent
    return torch.zeros_like(probe.cotangent) if tangent is None else tangent


def _no_grad(probe: Probe) -> Any:
    with torch.no_grad():
        return probe.f(*_leaves(probe))


def _inference_mode(probe: Probe) -> Any:
    with torch.inference_mode():
        return probe.f(*probe.primals).clone()


def _grad(probe: Probe) -> Callable[..., Any]:
    return torch.func.grad(probe.scalar, argnums=probe.places)


def _vjp(probe: Probe) -> Any:
    return torch.func.vjp(probe.f, *probe.primals)[1](probe.cotangent)


def _jvp(probe: Probe) -> Any:
    return torch.func.jvp(probe.f, probe.primals, probe.tangents)[1]


def _linearize(probe: Probe) -> Any:
    return torch.func.linearize(probe.f, *probe.primals)[1](*probe.tangents)


def _jacobian(probe: Probe, transform: Callable[..., Any]) -> Any:
    return transform(probe.f, argnums=probe.places)(*probe.primals)


def _hessian(probe: Probe) -> Any:
    return torch.func.hessian(probe.scalar, argnums=probe.places)(*probe.primals)


def _grad_of_grad(probe: Probe) -> Any:
    def slope(*primals: Any) -> Any:
        return probe.directional(_grad(probe)(*primals))

    return torch.func.grad(slope, argnums=probe.places)(*probe.primals)


def _jvp_of_grad(probe: Probe) -> Any:
    return torch.func.jvp(_grad(probe), probe.primals, probe.tangents)[1]


def _grad_of_jvp(probe: Probe) -> Any:
    def slope(*primals: Any) -> Any:
        return torch.func.jvp(probe.scalar, primals, probe.tangents)[1]

    return torch.func.grad(slope, argnums=probe.places)(*probe.primals)


def _vmap_jvp(probe: Probe) -> Any:
    """Forward mode along a batch of tangents (v, -v), of which half the difference is returned."""

    def along(*tangents: Any) -> Any:
        return torch.func.jvp(probe.f, probe.primals, tangents)[1]

    both = torch.func.vmap(along)(*(torch.stack([v, -v]) for v in probe.tangents))
    return (both[0] - both[1]) / 2


def _moved(probe: Probe, device: str) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    def empty(x: Any) -> Any:
        return torch.empty(x.shape, dtype=x.dtype, device=device)

    return tuple(map(empty, probe.primals)), tuple(map(empty, probe.constants))


def _shape_on(probe: Probe, device: str) -> Any:
    out = probe.call(*_moved(probe, device))
    if out.device.type != device or out.dtype != probe.primals[0].dtype:
        raise AssertionError(f"the output is {out.dtype} on {out.device}")
    return tuple(out.shape)


def _fake_cuda(probe: Probe) -> Any:
    with fake_tensors():
        return _shape_on(probe, "cuda")


def _fake_cuda_jvp(probe: Probe) -> Any:
    """Forward mode: reverse mode asks for a real device guard, and aborts where there is none."""
    with fake_tensors():
        primals, constants = _moved(probe, "cuda")
        tangents = tuple(map(torch.empty_like, primals))
        slope = torch.func.jvp(lambda *p: probe.call(p, constants), primals, tangents)[1]
    if slope.device.type != "cuda":
        raise AssertionError(f"the tangent is on {slope.device}")
    return tuple(slope.shape)


def _meta(probe: Probe) -> Any:
    return _shape_on(probe, "meta")


def _compiled(f: Callable[..., Any], backend: str) -> Callable[..., Any]:
    """Compile afresh, without graph breaks: caches of other probes would hide failures.

    The adapter of tensors is looked up before: its import cannot be compiled.
    """
    backend_of(torch.empty(0))
    torch._dynamo.reset()
    return torch.compile(f, fullgraph=True, backend=backend)


def _compile(probe: Probe) -> Any:
    return _compiled(probe.f, "eager")(*probe.primals)


def _compile_backward(probe: Probe) -> Any:
    leaves = _leaves(probe)
    out = _compiled(probe.f, "aot_eager")(*leaves)
    return torch.autograd.grad(out, leaves, probe.cotangent)


def _compile_grad(probe: Probe) -> Any:
    return _compiled(lambda *primals: _grad(probe)(*primals), "eager")(*probe.primals)


def _compile_jvp(probe: Probe) -> Any:
    def along(*primals: Any) -> Any:
        return torch.func.jvp(probe.f, primals, probe.tangents)[1]

    return _compiled(along, "eager")(*probe.primals)


def _compile_vmap(probe: Probe) -> Any:
    return _compiled(lambda *batch: torch.func.vmap(probe.f)(*batch), "eager")(*probe.batch)


def _compile_hessian(probe: Probe) -> Any:
    transform = torch.func.hessian(probe.scalar, argnums=probe.places)
    return _compiled(lambda *primals: transform(*primals), "eager")(*probe.primals)


def _compile_inductor(probe: Probe) -> Any:
    leaves = _leaves(probe)
    out = _compiled(probe.f, "inductor")(*leaves)
    return torch.autograd.grad(out, leaves, probe.cotangent)
