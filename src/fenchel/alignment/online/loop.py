"""The loop of online feedback: draw, annotate, update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays import check_integer, check_number
from ...autodiff import Estimate
from ...backend import Backend
from ...random import RandomStream, integers
from ...trees import backend_of_tree, is_array, leaves
from ..annotators.protocol import Annotator
from .batches import prompt_source
from .draw import Drawn, ask, draw_pairs, lengths_of, shown
from .labels import decide
from .metrics import Feedback, Metrics, measure
from .options import check_options, check_params
from .prepare import batch_of, divergences, log_ratios, seed_from
from .state import Batch, OnlineState, load, save
from .update import BASELINE, GradientStep, PairObjective, counts, take_step
from .versus import versus

__all__ = ["OnlineLoop"]

Tree = Any
Array = Any


@dataclass(frozen=True)
class OnlineLoop:
    r"""Align a policy by feedback on its own responses.

    Each step draws two responses :math:`y, y'` to each prompt from the policy, asks the annotator
    which is better, and takes a step on the mean of a loss of the log-ratios
    :math:`\log \pi_\theta - \log \pi_{ref}` of both. Responses and annotations are constants for
    the gradient. Identical responses are not asked for. The draws of a step depend on the seed and
    its number alone: an interrupted run that goes on from its checkpoint ends with the same bits,
    and with a `CachedAnnotator` it pays for no stored annotation twice.

    Parameters
    ----------
    policy
        Object with `sample(params, prompts, rng, temperature)` and
        `logprob(params, prompts, responses)`; see `Policy`.
    annotator
        Object with `annotate`; see `Annotator`.
    loss
        A name of `pair_loss`, or "rloo": the leave-one-out policy gradient of the expected reward
        minus beta times the divergence, with the log-odds of the annotation as difference of the
        rewards.
    beta
        Strength of the regularization, above 0.
    optimizer
        A learning rate (gradient descent), or an object with `init(params)` and
        `update(grad, state, params) -> (direction, state)`, such as `fenchel.tuners.Adam` or a
        transformation of optax.
    learning_rate
        Factor of the direction of such an object.
    temperature
        Of the responses drawn.
    labels
        "hard": the likelier response has won. "soft": the probability is the label. "sample": the
        winner is drawn from it. ("rloo" takes the probability.)
    ties
        What "hard" does with a probability within `tie_margin` of 1/2: "drop" the pair, take the
        "soft" label, or a "random" winner.
    tie_margin
        In [0, 1/2).
    reuse
        Updates for each batch of annotations; 1 is fully online.
    replay
        Updates after the first take one of the last `replay` batches, drawn at random.
    instruction
        What the annotator is told, such as "Prefer short answers".
    label_smoothing, length_normalize, loss_options
        Of the loss; see `pair_loss`.
    decode
        Function of prompts and responses that returns what the annotator is shown of them, two
        lists; that of the policy by default, else rows of the arrays.
    jit
        Whether drawing and updates are compiled, once; None: where the library dispatches each
        operation through its compiler (JAX), if the prompts are arrays.

    Raises
    ------
    TypeError
        If the policy, annotator or optimizer lacks a method.
    ValueError
        If an option is out of range or unknown.

    Notes
    -----
    A batch in which no pair counts leaves parameters and optimiser as they are.

    References
    ----------
    S. Guo et al., "Direct Language Model Alignment from Online AI Feedback", arXiv 2402.04792.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.alignment import OnlineLoop, RuleAnnotator, TabularPolicy
    >>> larger = RuleAnnotator(lambda prompt, first, second: float(first > second))
    >>> loop = OnlineLoop(TabularPolicy(), larger, beta=1.0, optimizer=1.0)
    >>> state = loop.init(np.zeros(3), rng=0)
    >>> state, metrics = loop.run(state, np.zeros(64), 30)
    >>> int(np.argmax(state.params)), metrics[-1].pairs
    (2, 64)
    """

    policy: Any
    annotator: Annotator
    _: KW_ONLY
    optimizer: Any
    loss: str = "dpo"
    beta: float = 0.1
    learning_rate: float = 1.0
    temperature: float = 0.9
    labels: str = "hard"
    ties: str = "drop"
    tie_margin: float = 0.0
    reuse: int = 1
    replay: int = 1
    instruction: str | None = None
    label_smoothing: float = 0.0
    length_normalize: bool = False
    loss_options: Mapping[str, Any] = field(default_factory=dict)
    decode: Callable[[Any, Any], tuple[list[Any], list[Any]]] | None = None
    jit: bool | None = None

    def __post_init__(self) -> None:
        check_options(self)

    def init(self, params: Tree, rng: Any = 0, *, reference: Tree = None) -> OnlineState:
        """Return the first state.

        Parameters
        ----------
        params
            Parameters of the policy, a container of arrays.
        rng
            Integer seed, or a generator or key to draw one from.
        reference
            Parameters of the frozen reference; the same as `params` by default.

        Raises
        ------
        TypeError
            If `params` holds no floating arrays, or the reference is of another library.
        ValueError
            If the reference has other shapes, or a seed is out of range.
        """
        seed = seed_from(rng, params)
        reference = params if reference is None else reference
        check_params(params, reference=reference)
        RandomStream(seed)  # complains of a seed out of range
        return OnlineState(params, reference, self._optimizer.init(params), 0, (), seed)

    def step(self, state: OnlineState, prompts: Any) -> tuple[OnlineState, Metrics]:
        """Draw, annotate, update.

        Parameters
        ----------
        state
            State of the run.
        prompts
            Whatever the policy takes, with a row a pair: an array, a list, a container.

        Returns
        -------
        tuple
            The next state, and what happened.

        Raises
        ------
        ValueError
            If the annotator's answer has not the length of the question, or is no probability.
        """
        feedback = self._collect(state, prompts)
        backend, batch = backend_of_tree(state.params), feedback.batch
        memory = (*state.memory, batch)[-self.replay :]
        stream = RandomStream(state.seed, step=state.step).split(_STREAMS)[3]
        places = integers(stream, 0, len(memory), (self.reuse,), like=np.zeros(1))
        batches = [batch, *(memory[int(place)] for place in places[1:])]
        updates, report = 0, (_NAN, _NAN)
        for turn, chosen in enumerate(batches):
            if not counts(backend, chosen):
                continue
            state, loss, norm = self._take(backend, state, chosen)
            updates += 1
            if turn == 0:
                report = float(loss), float(norm)
        kept = memory if self.replay > 1 else ()
        metrics = measure(feedback, loss=report[0], grad_norm=report[1], updates=updates)
        return replace(state, memory=kept, step=state.step + 1), metrics

    def annotated(self, state: OnlineState, prompts: Any) -> Batch:
        """Return the pairs of a step, annotated, without learning from them.

        Parameters
        ----------
        state, prompts
            As for `step`.

        Returns
        -------
        Batch
            Pairs that `update` takes: a fixed set of them is what offline training learns from.
        """
        return self._collect(state, prompts).batch

    def update(self, state: OnlineState, batch: Batch) -> OnlineState:
        """Return the state after one step of the optimiser on annotated pairs.

        Parameters
        ----------
        state
            State of the run; the number of its step stays.
        batch
            Pairs; if none of them counts the state stays as it is.
        """
        backend = backend_of_tree(state.params)
        if not counts(backend, batch):
            return state
        return self._take(backend, state, batch)[0]  # type: ignore[no-any-return]

    def run(
        self,
        state: OnlineState,
        prompts: Any,
        steps: int,
        checkpoint: str | Path | None = None,
        *,
        batch_size: int | None = None,
        every: int = 1,
        callback: Callable[[OnlineState, Metrics], Any] | None = None,
    ) -> tuple[OnlineState, list[Metrics]]:
        """Take many steps.

        Parameters
        ----------
        state
            Where to begin.
        prompts
            All prompts, or a function from the number of a step to its prompts.
        steps
            How many steps from `state` on.
        checkpoint
            File that the state is kept in. If it is there already the run goes on from it, up to
            the same last step. It is a pickle: read no file of people you do not trust.
        batch_size
            How many prompts a step draws; all of them by default.
        every
            Steps between two checkpoints; the last step always has one.
        callback
            Called with state and metrics after each step.

        Returns
        -------
        tuple
            The last state, and the metrics of all steps, those before an interruption too.

        Raises
        ------
        ValueError
            If the file is no checkpoint of this run, or of a later step than the last one, or a
            number is out of range.
        """
        check_integer("steps", steps, minimum=0)
        check_integer("every", every, minimum=1)
        choose, last = prompt_source(prompts, batch_size), state.step + steps
        history: list[Metrics] = []
        path = None if checkpoint is None else Path(checkpoint)
        if path is not None and path.exists():
            state, history = load(path, state)
            if state.step > last:
                raise ValueError(
                    f"`steps` must reach step {state.step} of the checkpoint; got steps={steps}"
                )
        while state.step < last:
            stream = RandomStream(state.seed, step=state.step).split(_STREAMS)[4]
            state, metrics = self.step(state, choose(state.step, stream))
            history.append(metrics)
            if path is not None and (state.step % every == 0 or state.step == last):
                save(path, state, history)
            if callback is not None:
                callback(state, metrics)
        return state, history

    def win_rate(
        self, params: Tree, other: Tree, prompts: Any, *, rng: int = 0, temperature: float = 1.0
    ) -> Estimate:
        """Return how often the policy beats another one, as the annotator sees it.

        Parameters
        ----------
        params, other
            Parameters of the two policies.
        prompts
            Prompts to answer; each policy answers once.
        rng
            Seed.
        temperature
            Of the responses.

        Returns
        -------
        Estimate
            Mean probability that the first policy's response is better (identical ones are a draw,
            pairs without an answer are left out), and its standard error.
        """
        check_params(params, other=other)
        name, backend = f"sample at {temperature}", backend_of_tree(params)
        sample = self._once(name, backend, prompts, lambda *a: self.policy.sample(*a, temperature))
        return versus(self, sample, params, other, prompts, RandomStream(rng))

    def _collect(self, state: OnlineState, prompts: Any) -> Feedback:
        """Draw the pairs of a step, and have them annotated."""
        backend = backend_of_tree(state.params)
        streams = RandomStream(state.seed, step=state.step).split(_STREAMS)
        draw = self._once("draw", backend, prompts, self._draw)
        drawn = draw(state.params, state.reference, prompts, streams[:2])
        asked, first = shown(self.policy, self.decode, prompts, drawn.first)
        second = shown(self.policy, self.decode, prompts, drawn.second)[1]
        answers = ask(self.annotator, asked, first, second, self.instruction)
        labels = "soft" if self.loss == BASELINE else self.labels
        uniform = streams[2].uniform((len(first),), like=np.zeros(1))
        decision = decide(
            answers.prob, answers.known, uniform,
            labels=labels, ties=self.ties, tie_margin=self.tie_margin,
        )  # fmt: skip
        sides = (drawn.first, first), (drawn.second, second)
        lengths = [lengths_of(self.policy, *side) for side in sides]
        return Feedback(
            batch_of(backend, prompts, drawn, decision, lengths),
            log_ratios(backend, drawn), divergences(backend, drawn), lengths, answers, decision,
        )  # fmt: skip

    def _draw(self, params: Tree, reference: Tree, prompts: Any, streams: Any) -> Drawn:
        return draw_pairs(self.policy, self.temperature, params, reference, prompts, streams)

    def _take(self, backend: Backend, state: OnlineState, batch: Batch) -> Any:
        """Return the state after an update, the loss, and the norm of the gradient."""
        learn = self._once("learn", backend, batch.prompts, self._learn)
        params, optimizer, loss, norm = learn(state.params, state.optimizer, batch)
        return replace(state, params=params, optimizer=optimizer), loss, norm

    def _learn(self, params: Tree, optimizer: Any, batch: Batch) -> Any:
        return take_step(
            backend_of_tree(params), self._objective, self._optimizer, self.learning_rate,
            params, optimizer, batch,
        )  # fmt: skip

    @cached_property
    def _objective(self) -> PairObjective:
        return PairObjective(
            policy=self.policy,
            loss=self.loss,
            beta=self.beta,
            label_smoothing=self.label_smoothing,
            length_normalize=self.length_normalize,
            soft=self.labels == "soft" or (self.labels == "hard" and self.ties == "soft"),
            options=tuple(self.loss_options.items()),
        )

    @cached_property
    def _optimizer(self) -> Any:
        if isinstance(self.optimizer, Real):
            return GradientStep(check_number("optimizer", self.optimizer, minimum=0.0))
        return self.optimizer

    @cached_property
    def _programs(self) -> dict[Any, Any]:
        return {}

    def _once(
        self, name: str, backend: Backend, prompts: Any, f: Callable[..., Any]
    ) -> Callable[..., Any]:
        """Return a method as it is run: compiled, one program for all steps, or as it is."""
        wanted = self.jit
        if wanted is None:
            wanted = hasattr(backend, "run_formula") and all(map(is_array, leaves(prompts)))
        if not wanted:
            return f
        key = name, backend.name
        if key not in self._programs:
            self._programs[key] = backend.jit(f)
        return self._programs[key]  # type: ignore[no-any-return]


_NAN = float("nan")
# Two responses, labels, replay, prompts.
_STREAMS = 5
