"""What all samplers share: beginning a batch, one step, many steps, and a watch on divergence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..arrays import check_integer
from ..backend import Backend, backend_of
from ..random import RandomStream
from ..trees import backend_of_tree, is_array, leaves
from ._checks import check_particles
from ._draws import as_stream, begun
from .state import SamplerState

__all__ = ["Steps", "all_finite", "diverged", "first_like", "program"]

Array = Any
Tree = Any


def program(owner: Any, key: Any, backend: Backend, f: Callable[..., Any]) -> Callable[..., Any]:
    """Return `f` compiled by the library, the same program for the same key of an object."""
    programs: dict[Any, Callable[..., Any]] = owner.__dict__.setdefault("_programs", {})
    found = programs.get((backend.name, key))
    if found is None:
        found = programs[backend.name, key] = backend.jit(f)
    return found


def compiles(backend: Backend, *trees: Tree) -> bool:
    """Whether eager loops are to be compiled: where a compiler dispatches every operation."""
    known = not any(is_array(a) and backend.is_traced(a) for a in leaves(trees))
    return backend.name == "jax" and known


def first_like(backend: Backend, t: Array, x: Array) -> Array:
    """Return the times of slots as times of their particles: (m,) to (m n,)."""
    xp = backend.namespace
    each = x.shape[0] // t.shape[0]
    return xp.reshape(xp.broadcast_to(xp.expand_dims(t, axis=-1), (t.shape[0], each)), (-1,))


def all_finite(backend: Backend, *arrays: Array) -> Array:
    """Return whether all entries are finite, as a boolean of shape ()."""
    xp = backend.namespace
    found = xp.all(xp.isfinite(arrays[0]))
    for x in arrays[1:]:
        found = xp.logical_and(found, xp.all(xp.isfinite(x)))
    return found


def diverged(what: str, step: int, step_size: Any) -> FloatingPointError:
    """Return the error for a run that does not stay finite."""
    size = f"`step_size`={step_size:g}" if isinstance(step_size, float) else "the step sizes"
    return FloatingPointError(
        f"{what} must stay finite; they do not from step {step} on, with {size}: Langevin steps "
        "are stable below 2 / (largest curvature of the energy)"
    )


class Steps:
    """A sampler's `init`, `step` and `run`, from its `advance`."""

    shape: tuple[int, ...]
    n_steps: int | None
    step_size: Any

    def check_sizes(self) -> None:
        """Make the shape and the number of steps Python integers, which must be positive."""
        given: object = self.shape
        if not isinstance(given, tuple | list):
            kind = type(given).__qualname__
            raise TypeError(f"`shape` must be a tuple (n, *event); got {kind}")
        if not self.shape:
            raise ValueError("`shape` must be (n, *event); got ()")
        sizes = tuple(check_integer("shape", n, minimum=1) for n in self.shape)
        object.__setattr__(self, "shape", sizes)
        if self.n_steps is not None:
            count = check_integer("n_steps", self.n_steps, minimum=1)
            object.__setattr__(self, "n_steps", count)

    @staticmethod
    def second(stream: RandomStream) -> RandomStream:
        """Return the stream of further draws in a step."""
        return replace(stream, slot=stream.slot + 1)

    def advance(
        self, backend: Backend, state: SamplerState, params: Tree, noise: Any
    ) -> tuple[Array, Any]:
        """Return the next particles, and the stream after the draws."""
        raise TypeError(f"{type(self).__qualname__} must define `advance`")

    def init(self, rng: Any, params: Tree, *, start: Array | None = None) -> SamplerState:
        """Return particles at time 0.

        Parameters
        ----------
        rng
            Seed, `RandomStream`, generator (gives the seed), or JAX key (gives the number of one).
        params
            Container of arrays: particles are of their library, dtype and device.
        start
            Particles of shape `shape`; None for standard normal ones.

        Returns
        -------
        SamplerState
            Its stream stands at step 1: the start is the draw of step 0, given or not.

        Raises
        ------
        TypeError
            If `start` or the first array of the parameters is not floating, or `rng` is not
            understood.
        ValueError
            If `start` has another shape.
        """
        if start is not None and not is_array(start):
            raise TypeError(f"`start` must be an array; got {type(start).__qualname__}")
        like = _like(params) if start is None else start
        backend = backend_of(like)
        stream = begun(as_stream(rng, like), like)
        if start is None:
            x = self._drawn(backend, stream, like)
        else:
            check_particles("start", start, backend, self.shape)
            x = backend.stop_gradient(start)
        xp = backend.namespace
        t = xp.asarray(0, dtype=xp.int32, device=backend.device_of(like))
        return SamplerState(x, t, stream.next())

    def _drawn(self, backend: Backend, stream: RandomStream, like: Array) -> Array:
        """Return the standard normal draws that a batch begins with."""

        def draw(stream: RandomStream, like: Array) -> Array:
            return stream.normal(self.shape, like=like)

        chosen = program(self, "draw", backend, draw) if compiles(backend, stream, like) else draw
        return chosen(stream, like)

    def step(self, state: SamplerState, params: Tree, *, noise: Any = None) -> SamplerState:
        """Return the state after one step; `noise` replaces the draw."""
        backend = backend_of_tree((state.x, params))
        x, stream = self.advance(backend, state, params, noise)
        return SamplerState(x, state.t + 1, stream)

    def run(
        self, state: SamplerState, params: Tree, steps: int, *, noise: Any = None
    ) -> SamplerState:
        """Return the state after some steps: itself after none.

        Parameters
        ----------
        state, params
            Where to begin.
        steps
            How many, at least 0.
        noise
            What `step` takes, with a leading axis of steps.

        Returns
        -------
        SamplerState
            The last state.

        Raises
        ------
        TypeError
            If `steps` is no integer.
        ValueError
            If `steps` is negative, or the noise is of another number of steps.
        FloatingPointError
            If particles do not stay finite, with the first step after which they are not (counted
            from 0 at the beginning of the batch). Not inside jit.
        """
        steps = check_integer("steps", steps, minimum=0)
        if steps == 0:
            return state
        backend = backend_of_tree((state.x, params))
        for part in noise if isinstance(noise, tuple) else (noise,):
            given = tuple(getattr(part, "shape", ()))
            if part is not None and given[:1] != (steps,):
                raise ValueError(
                    f"`noise` must have a leading axis of steps={steps}; got shape {given}"
                )

        def whole(state: SamplerState, params: Tree, noise: Any) -> SamplerState:
            return self._many(backend, state, params, steps, noise)

        if compiles(backend, state, params):
            whole = program(self, ("run", steps, noise is None), backend, whole)
        final = whole(state, params, noise)
        plain = backend.stop_gradient(final.x)
        sound = all_finite(backend_of(plain), plain)
        if not backend.is_traced(sound) and not bool(sound):
            raise self._where(state, params, steps, noise)
        return final

    def _many(
        self, backend: Backend, state: SamplerState, params: Tree, steps: int, noise: Any
    ) -> SamplerState:
        if noise is None:

            def body(_: Any, state: SamplerState) -> SamplerState:
                return self.step(state, params)

            return backend.fori_loop(0, steps, body, state)  # type: ignore[no-any-return]

        def fold(state: SamplerState, drawn: Any) -> tuple[SamplerState, Any]:
            return self.step(state, params, noise=drawn), state.t

        final: SamplerState = backend.scan(fold, state, noise, steps)[0]
        return final

    def _where(
        self, state: SamplerState, params: Tree, steps: int, noise: Any
    ) -> FloatingPointError:
        """Find the step that the particles were lost at: a run is repeated one by one."""
        backend = backend_of_tree((state.x, params))
        for i in range(steps):
            drawn = None if noise is None else _row(noise, i)
            new = self.step(state, params, noise=drawn)
            if not bool(all_finite(backend, backend.stop_gradient(new.x))):
                break
            state = new
        return diverged("particles", int(state.t), getattr(self, "step_size", None))


def _row(noise: Any, i: int) -> Any:
    return tuple(part[i, ...] for part in noise) if isinstance(noise, tuple) else noise[i, ...]


def _like(params: Tree) -> Array:
    """Return the first array of the parameters.

    Raises
    ------
    TypeError
        If there is none.
    """
    for leaf in leaves(params):
        if is_array(leaf):
            return backend_of(leaf).stop_gradient(leaf)
    raise TypeError("`params` must hold an array; got none")
