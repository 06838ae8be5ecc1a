"""One loop for sampling and optimising: a step of the sampler, a step of the parameters.

Nested optimisation samples to the end before each update. Here the oracle of the gradient is asked
of whatever particles there are (arXiv 2402.05468): a stationary sampler makes one step an update,
and a finite one has a queue of slots, so that an update takes n_steps / queue steps in sequence.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

from ..arrays import check_choice, check_dtype, check_integer, widen
from ..autodiff import stop_gradient
from ..backend import Backend, backend_of
from ..trees import backend_of_tree, is_array, leaves, norm
from ..trees import map as map_leaves
from ._draws import as_stream, begun
from ._loop_state import Diagnostics, ImplicitState, joined_reports, no_reports, stacked_reports
from ._progress import pieces, shown
from ._queue import advance_queue, empty_queue
from ._runs import all_finite, compiles, diverged, program
from ._weights import equal_weights, tilted, weights_of
from .objectives import Objective
from .optimizers import as_optimizer
from .reweighting import effective_sample_size
from .state import SamplerState

__all__ = ["Diagnostics", "ImplicitDiffusion", "ImplicitState"]

Array = Any
Tree = Any


@dataclass(frozen=True)
class ImplicitDiffusion:
    """Minimise an objective of the law that a sampler draws from, over its parameters.

    Parameters
    ----------
    sampler
        A `LangevinSampler`, a `DenoisingSampler`, or what follows `fenchel.diffusion.state`.
    objective
        An `Objective`, which is minimised.
    optimizer
        A learning rate, a schedule of them, or an object with `init` and `update`: `Descent`,
        an optimiser of optax, `fenchel.integrations.torch.functional(torch.optim.Adam, lr=...)`.
    order
        "gauss_seidel": the gradient is that of the particles after the sampler's step. "jacobi": of
        those before. The first is stable for much larger learning rates.
    queue
        How many batches of a finite sampler are on their way at once; it divides `n_steps`. 1 is
        nested optimisation. The first queue - 1 steps fill it and leave the parameters as they are.
    reweight
        Whether particles carry weights exp((V(x, before) - V(x, after)) / temperature) through each
        change of the parameters, which makes them stand for the law of the present ones; they are
        drawn anew where less than half of the sample is left. Needs an energy.
    ddof
        Divisor n - ddof of covariances, see `implicit_gradient`.
    average_from
        From which step on the parameters are averaged; None for no average. The last iterate is
        noisy, its mean is not.
    compile
        Whether steps are compiled by the library: None for where that is needed (JAX); True also
        with `torch.compile`.

    Raises
    ------
    TypeError
        If sampler, objective or optimizer is none, or a number no integer.
    ValueError
        If an option is unknown, `queue` does not divide `n_steps`, or the sampler has no energy
        for what is asked.

    Notes
    -----
    *Derivatives*: none; states are constants.

    References
    ----------
    P. Marion et al., "Implicit diffusion: efficient optimization through stochastic sampling",
    AISTATS 2025, arXiv 2402.05468. The weights: D. Carbone et al., "Efficient training of
    energy-based models using Jarzynski equality", NeurIPS 2023, arXiv 2305.19414.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.diffusion import Energy, LangevinSampler, Reward
    >>> energy = Energy(lambda x, center: np.sum((x - center) ** 2, axis=-1) / 2)
    >>> sampler = LangevinSampler(energy, step_size=0.1, shape=(2000, 1))
    >>> reward = Reward(lambda x: -np.sum((x - 2.0) ** 2, axis=-1) / 2)
    >>> loop = ImplicitDiffusion(sampler, -reward, 0.05, average_from=150)
    >>> state, course = loop.run(loop.init(0, np.zeros(1)), 300, progress=False)
    >>> round(float(state.average[0]), 1), course.value.shape
    (2.0, (300,))
    """

    sampler: Any
    objective: Any
    optimizer: Any
    _: KW_ONLY
    order: str = "gauss_seidel"
    queue: int = 1
    reweight: bool = False
    ddof: int = 1
    average_from: int | None = None
    compile: bool | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit."""
        check_choice("order", self.order, ("gauss_seidel", "jacobi"))
        if not isinstance(self.objective, Objective):
            kind = type(self.objective).__qualname__
            raise TypeError(f"`objective` must be an Objective; got {kind}")
        for name in ("init", "step", "n_steps"):
            if not hasattr(self.sampler, name):
                kind = type(self.sampler).__qualname__
                raise TypeError(f"`sampler` must be a sampler, with `{name}`; got {kind}")
        as_optimizer(self.optimizer)
        check_integer("queue", self.queue, minimum=1)
        check_integer("ddof", self.ddof, minimum=0)
        if self.average_from is not None:
            check_integer("average_from", self.average_from, minimum=0)
        self._check_horizon()
        if self.reweight and getattr(self.sampler, "energy", None) is None:
            raise ValueError("`reweight` needs a sampler with an energy; got one without")

    def _check_horizon(self) -> None:
        horizon = self.sampler.n_steps
        if horizon is None:
            if self.queue != 1:
                raise ValueError(
                    f"`queue` must be 1 for a sampler without `n_steps`; got queue={self.queue}"
                )
            return
        if horizon % self.queue:
            raise ValueError(
                f"`queue` must divide n_steps={horizon} of the sampler; got queue={self.queue}"
            )
        if self.order == "jacobi":
            raise ValueError(
                "`order` must be 'gauss_seidel' for a sampler with `n_steps`: its batches are new; "
                "got 'jacobi'"
            )

    def init(self, rng: Any, params: Tree, *, start: Array | None = None) -> ImplicitState:
        """Return the first state.

        Parameters
        ----------
        rng
            Seed, `RandomStream`, generator (gives the seed), or JAX key (gives the number of one).
            Batch number b of a finite sampler has the stream of number `rng.stream` + b.
        params
            First parameters: a container of floating arrays.
        start
            First particles; None for the sampler's own. A finite sampler has its own.

        Returns
        -------
        ImplicitState
            The state.

        Raises
        ------
        TypeError
            If a leaf of the parameters is no floating array.
        """
        for leaf in leaves(params):
            if not is_array(leaf):
                raise TypeError(f"`params` must hold arrays; got {type(leaf).__qualname__}")
            check_dtype("params", leaf)
        params = stop_gradient(params)
        backend, like = backend_of_tree(params), leaves(params)[0]
        xp, device = backend.namespace, backend.device_of(like)
        count = xp.asarray(0, dtype=xp.int32, device=device)
        optimizer = as_optimizer(self.optimizer).init(params)
        average = None if self.average_from is None else params
        stream = begun(as_stream(rng, like), like)
        if self.sampler.n_steps is None:
            first = self.sampler.init(stream, params, start=start)
            queue = None
        elif start is not None:
            raise ValueError("`start` must be None for a sampler with `n_steps`; got an array")
        else:
            first = self.sampler.init(stream, params)
            queue = empty_queue(self.sampler, first, stream, self.queue, self._by_path())
        logs = None
        if self.reweight:
            energies = self.sampler.energy(first.x, params)
            if energies.ndim != 1:
                raise ValueError(
                    "`reweight` takes the particles of one problem, of energies (n,); "
                    f"got {tuple(energies.shape)}"
                )
            logs = equal_weights(first, self.queue)
        return ImplicitState(params, first, optimizer, count, queue, logs, average)

    def _by_path(self) -> bool:
        return hasattr(self.sampler, "gradient")

    def step(self, state: ImplicitState) -> tuple[ImplicitState, Diagnostics]:
        """Return the state after one step of sampler and parameters, and a report on it.

        Nothing is raised for numbers that are not finite: the report says so, and `run` raises.
        """
        backend = backend_of_tree((state.params, state.sampler.x))
        if self._compiles(backend, state):
            return program(self, "step", backend, self._step)(state)  # type: ignore[no-any-return]
        return self._step(state)

    def _compiles(self, backend: Backend, state: ImplicitState) -> bool:
        return compiles(backend, state) if self.compile is None else self.compile

    def _step(self, state: ImplicitState) -> tuple[ImplicitState, Diagnostics]:
        backend = backend_of_tree((state.params, state.sampler.x))
        xp = backend.namespace
        new = self._sampled(state)
        seen = state.sampler if self.order == "jacobi" else new.sampler
        weights = weights_of(new.log_weights)
        value, gradient = self._oracle(new, seen, weights)
        update, optimizer = as_optimizer(self.optimizer).update(
            gradient, state.optimizer, state.params
        )
        params = map_leaves(_moved, state.params, update)
        ready = state.count >= self.queue - 1
        if self.queue > 1:
            params, optimizer = _chosen(
                backend, ready, (params, optimizer), (state.params, state.optimizer)
            )
        left = xp.ones_like(value) if weights is None else effective_sample_size(weights)
        size = norm(gradient)  # not finite if an entry is not
        report = Diagnostics(
            value=value,
            gradient_norm=size,
            effective_sample_size=left,
            staleness=xp.minimum(state.count, xp.full_like(state.count, self.queue - 1)),
            finite=all_finite(backend, new.sampler.x, value, size),
            updated=ready,
        )
        average = None if self.average_from is None else self._averaged(state, params)
        new = replace(
            new, params=params, optimizer=optimizer, count=state.count + 1, average=average
        )
        return (tilted(self.sampler, new, state.params) if self.reweight else new), report

    def _sampled(self, state: ImplicitState) -> ImplicitState:
        """Return the state after the sampler's part of a step."""
        if state.queue is None:
            moved = self.sampler.step(state.sampler, state.params)
            return replace(state, sampler=stop_gradient(moved))
        popped = advance_queue(self.sampler, state.queue, state.params, state.count)
        return replace(
            state, sampler=stop_gradient(popped.batch), queue=stop_gradient(popped.queue)
        )

    def _oracle(
        self, state: ImplicitState, seen: SamplerState, weights: Array | None
    ) -> tuple[Array, Tree]:
        """Return the value of the objective and its gradient, from particles or from paths."""
        if state.queue is not None and state.queue.path is not None:
            value, gradient = self.sampler.gradient(self.objective, state.params, state.queue.path)
            return stop_gradient(value), stop_gradient(gradient)
        energy, temperature = self.sampler.energy, self.sampler.temperature
        stream = replace(seen.stream, slot=seen.stream.slot + 2)
        value = self.objective.value(
            energy, state.params, seen.x, weights=weights, temperature=temperature, rng=stream
        )
        gradient = self.objective.gradient(
            energy,
            state.params,
            seen.x,
            weights=weights,
            ddof=self.ddof,
            temperature=temperature,
            rng=stream,
        )
        xp = backend_of(value).namespace
        return xp.sum(value), gradient

    def _averaged(self, state: ImplicitState, params: Tree) -> Tree:
        """Return the mean of the parameters from `average_from` on; before, the parameters."""
        number = state.count + 1 - self.average_from

        def mean(old: Array, new: Array) -> Array:
            xp = backend_of(new).namespace
            wide = widen(xp, new, check_dtype("params", new))
            share = 1.0 / xp.astype(xp.where(number > 1, number, xp.ones_like(number)), wide.dtype)
            return xp.astype(old + share * (wide - old), new.dtype)

        return map_leaves(mean, state.average, params)

    def run(
        self, state: ImplicitState, steps: int, *, progress: bool = True
    ) -> tuple[ImplicitState, Diagnostics]:
        """Return the state after some steps, and the reports with a leading axis of steps.

        Parameters
        ----------
        state
            Where to begin.
        steps
            How many, at least 0.
        progress
            Whether to show a bar on stderr, where tqdm is installed.

        Returns
        -------
        tuple
            The last state, and `Diagnostics` with entries of shape (steps,).

        Raises
        ------
        ValueError
            If `steps` is negative.
        FloatingPointError
            If a number is not finite, with the first step at which one was not. Not inside jit.

        Notes
        -----
        Under JAX a piece of the run, at least 50 steps, is one compiled program, a scan.
        """
        steps = check_integer("steps", steps, minimum=0)
        backend = backend_of_tree((state.params, state.sampler.x))
        reports: list[Diagnostics] = []
        if steps == 0:
            return state, no_reports(backend, state.params)
        for size in shown(pieces(steps), progress):
            state, report = self._piece(backend, state, size)
            reports.append(report)
            self._watch(backend, state, report, size)
        return state, joined_reports(backend, reports)

    def _piece(
        self, backend: Backend, state: ImplicitState, size: int
    ) -> tuple[ImplicitState, Diagnostics]:
        if backend.name == "jax" and self.compile is not False:

            def fold(carry: ImplicitState, _: Any) -> tuple[ImplicitState, Diagnostics]:
                return self._step(carry)

            def whole(state: ImplicitState) -> tuple[ImplicitState, Diagnostics]:
                return backend.scan(fold, state, None, size)

            chosen = whole if not compiles(backend, state) else program(self, size, backend, whole)
            return chosen(state)
        found = []
        for _ in range(size):
            state, report = self.step(state)
            found.append(report)
        return state, stacked_reports(backend, found)

    def _watch(
        self, backend: Backend, state: ImplicitState, report: Diagnostics, size: int
    ) -> None:
        """Raise if a step of a piece was not finite."""
        if backend.is_traced(report.finite) or bool(backend.namespace.all(report.finite)):
            return
        sound = [bool(report.finite[i]) for i in range(size)]
        first = int(state.count) - size + sound.index(False)
        raise diverged(
            "particles, value and gradient", first, getattr(self.sampler, "step_size", None)
        )


def _moved(w: Array, update: Array) -> Array:
    xp = backend_of(w, update).namespace
    new = w + update
    return new if new.dtype == w.dtype else xp.astype(new, w.dtype)


def _chosen(backend: Backend, ready: Array, new: Tree, old: Tree) -> Tree:
    if not backend.is_traced(ready):
        return new if bool(ready) else old
    xp = backend.namespace

    def choose(a: Any, b: Any) -> Any:
        return xp.where(ready, a, b) if is_array(a) else a

    return map_leaves(choose, new, old)
