"""Generation from realigned models, token by token or exactly at the level of sequences."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple, Protocol, runtime_checkable

from .. import trees
from ..arrays import check_choice, check_integer, dtype_name
from ..backend import backend_of
from ..parameters import broadcasts, check_array
from ..random import gumbel, sampler
from ..special import logsumexp
from ._populations import ancestors, effective_size
from .dera import realigned
from .filters import filter_logits

__all__ = ["CachedModel", "Realigned", "realign_sample"]

Array = Any
Tree = Any


@runtime_checkable
class CachedModel(Protocol):
    """A model that remembers what it has read.

    The cache is any container of arrays whose first axis is the batch, so that its rows can be
    chosen. A model, cached or not, may have an attribute `vocabulary`, compared where several
    models have one.
    """

    def start(self, tokens: Array, /) -> tuple[Array, Tree]:
        """Read prompts (B, T); return the logits (B, V) of the next token, and the cache."""
        ...

    def step(self, cache: Tree, token: Array, /) -> tuple[Array, Tree]:
        """Read one more token (B,); return the logits of the next one, and the new cache."""
        ...


class Realigned(NamedTuple):
    """Sequences, and what they weigh.

    Attributes
    ----------
    tokens
        Prompts with their responses, (..., N, T + max_new_tokens); filled with the end token.
    log_weights
        Logarithms (..., N), up to a constant: weighted by them the sequences follow the
        sequence-level mixture. All 0 after a correction.
    ess
        Effective sample size (...) of the weights of the N rows; under "smc" the smallest on the
        way.
    """

    tokens: Array
    log_weights: Array
    ess: Array


class _Uncached(NamedTuple):
    """A function of whole sequences, with the sequences as its cache."""

    model: Callable[[Array], Array]

    def start(self, tokens: Array) -> tuple[Array, Tree]:
        return self.model(tokens), tokens

    def step(self, cache: Tree, token: Array) -> tuple[Array, Tree]:
        tokens = backend_of(token).namespace.concat((cache, token[:, None]), axis=-1)
        return self.model(tokens), tokens


class _State(NamedTuple):
    """All that belongs to a row; the leading axis of every array is that of the rows."""

    tokens: Array
    ended: Array
    log_weights: Array
    logits: Array  # of the mixture, filtered
    caches: Tree


class _Plan(NamedTuple):
    """What does not change from token to token."""

    models: list[Any]
    strengths: list[Any]
    end_token: int | None
    filters: dict[str, Any]


def realign_sample(
    models: Any,
    prompts: Array,
    strength: Any,
    *,
    max_new_tokens: int,
    end_token: int | None = None,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    correction: str | None = None,
    rng: Any,
) -> Realigned:
    r"""Sample responses from the mixture of a reference and of aligned models.

    Token by token the logits are mixed (`realign_logits`), filtered (`filter_logits`) and sampled.
    A response then follows
    :math:`\pi_{sft}(y)^{1 - \lambda} \pi(y)^\lambda / \prod_t Z_t(y_{<t})`; a correction resamples
    the rows by what is missing, the product of the :math:`Z_t`, so that they follow the mixture of
    sequences: the optimum at the regularization beta / lambda where `models` are one at beta.

    Parameters
    ----------
    models : tuple
        The reference and one or more aligned models: functions from tokens (B, T) to logits (B, V)
        of the next one, or `CachedModel`.
    prompts : integer array (..., N, T)
        Of one length, which may be 0. N rows are a population: under a correction they must be
        equal.
    strength : number, array that broadcasts to (..., N), or list of them
        Lambda, one for each aligned model if it is a list.
    max_new_tokens : int
        Tokens to add.
    end_token : int, optional
        Ends a response.
    temperature, top_k, top_p
        As for `filter_logits`. A correction is then one to the mixture of sequences to the power
        1 / temperature, of tokens that the filters keep.
    correction : str, optional
        "sir": resample the N responses once, at the end. "smc": also on the way, whenever the
        effective sample size falls below N / 2.
    rng
        Seed, generator or key (see `fenchel.random`).

    Returns
    -------
    Realigned
        Sequences, log-weights and effective sample size.

    Raises
    ------
    TypeError
        If `prompts` are not integers, or `models` not models.
    ValueError
        If shapes, vocabularies or numbers do not fit, or rows of a population to be corrected
        differ.

    Notes
    -----
    The correction is exact as N grows. *Derivatives*: none. Source: arXiv 2402.02992; the
    correction is importance resampling, and a fully adapted particle filter.

    Examples
    --------
    >>> import numpy as np
    >>> from fenchel.alignment import realign_sample
    >>> sft = lambda tokens: np.zeros((len(tokens), 3))
    >>> aligned = lambda tokens: np.tile([0.0, 1.0, -np.inf], (len(tokens), 1))
    >>> prompts = np.zeros((1000, 0), dtype=int)
    >>> found = realign_sample((sft, aligned), prompts, 2.0, max_new_tokens=1, rng=0)
    >>> float(np.mean(found.tokens).round(1))  # 1 / (1 + exp(-2))
    0.9
    """
    if correction is not None:
        check_choice("correction", correction, ("sir", "smc"))
    readers = _readers(models)
    xp = _check_prompts(prompts)
    max_new_tokens = check_integer("max_new_tokens", max_new_tokens, minimum=0)
    if end_token is not None:
        end_token = check_integer("end_token", end_token, minimum=0)
    batch = tuple(prompts.shape[:-1])
    values = strength if isinstance(strength, list | tuple) else [strength] * (len(readers) - 1)
    if len(values) != len(readers) - 1:
        raise ValueError(
            f"`strength` must have one entry for each of the {len(readers) - 1} aligned models; "
            f"got {len(values)}"
        )
    strengths = [_of_rows(prompts, value, batch) for value in values]
    if correction is not None:
        _check_population(xp, prompts, strengths, batch)
    filters = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    plan = _Plan(readers, strengths, end_token, filters)
    state, ess = _generate(plan, prompts, batch, max_new_tokens, correction, rng)
    tokens = xp.reshape(state.tokens, (*batch, prompts.shape[-1] + max_new_tokens))
    return Realigned(tokens, xp.reshape(state.log_weights, batch), ess)


def _generate(
    plan: _Plan,
    prompts: Array,
    batch: tuple[int, ...],
    steps: int,
    correction: str | None,
    rng: Any,
) -> tuple[_State, Array]:
    xp = backend_of(prompts).namespace
    state = _first(plan, xp.reshape(prompts, (prod(batch), prompts.shape[-1])))
    draw, least = sampler(rng, state.log_weights), None
    for step in range(steps):
        weights = state.log_weights + xp.where(
            state.ended, xp.zeros_like(state.log_weights), logsumexp(state.logits)
        )
        state = state._replace(log_weights=weights)
        if correction == "smc":
            ess = effective_size(xp.reshape(weights, batch))
            least = ess if least is None else xp.minimum(least, ess)
            state = _resampled(state, batch, draw, ess < 0.5 * batch[-1])
        state = _sampled(plan, state, draw)
        if _all(state.ended):
            state = _filled(plan, state, steps - step - 1)
            break
        if step + 1 < steps:
            state = _extended(plan, state)
    final = effective_size(xp.reshape(state.log_weights, batch))
    if correction is not None:
        state = _resampled(state, batch, draw, xp.ones_like(final) > 0)
    return state, final if least is None else xp.minimum(least, final)


def _first(plan: _Plan, tokens: Array) -> _State:
    """Read the prompts."""
    xp = backend_of(tokens).namespace
    read = [model.start(tokens) for model in plan.models]
    ended = xp.sum(tokens, axis=-1) * 0 != 0
    logits = _mixed(plan, [logits for logits, _ in read], ended)
    weights = xp.zeros_like(logits[:, 0])
    return _State(tokens, ended, weights, logits, [cache for _, cache in read])


def _extended(plan: _Plan, state: _State) -> _State:
    """Have the models read the last token."""
    last = state.tokens[:, -1]
    read = [m.step(cache, last) for m, cache in zip(plan.models, state.caches, strict=True)]
    logits = _mixed(plan, [logits for logits, _ in read], state.ended)
    return state._replace(logits=logits, caches=[cache for _, cache in read])


def _mixed(plan: _Plan, logits: list[Array], ended: Array) -> Array:
    """Return the mixture of normalised models, filtered; rows that have ended are not looked at."""
    xp = _check_logits(plan, logits, ended)
    live = [xp.where(ended[:, None], xp.zeros_like(x), x) for x in logits]
    strengths = [value(live[0]) for value in plan.strengths]
    mixed, _, _ = realigned(live[0], live[1:], strengths, normalise=True)
    return filter_logits(mixed, **plan.filters)


def _check_logits(plan: _Plan, logits: list[Array], ended: Array) -> Any:
    """Return the namespace of logits (B, V) of one library, a row for each of `ended`."""
    backend, rows = backend_of(logits[0]), ended.shape[0]
    for x in logits:
        check_array("models", x, backend)
        if x.ndim != 2 or x.shape[0] != rows:
            raise ValueError(
                f"`models` must return logits of shape ({rows}, V); got {tuple(x.shape)}"
            )
    size = max(x.shape[-1] for x in logits)
    if plan.end_token is not None and plan.end_token >= size:
        raise ValueError(f"`end_token` must be a token, below {size}; got {plan.end_token}")
    return backend.namespace


def _sampled(plan: _Plan, state: _State, draw: Any) -> _State:
    """Add a token to every row that has not ended, by the Gumbel trick."""
    xp = backend_of(state.logits).namespace
    noise = gumbel(draw, tuple(state.logits.shape), like=state.logits)
    token = xp.astype(xp.argmax(state.logits + noise, axis=-1), state.tokens.dtype)
    ended = state.ended
    if plan.end_token is not None:
        token = xp.where(ended, xp.full_like(token, plan.end_token), token)
        ended = ended | (token == plan.end_token)
    tokens = xp.concat((state.tokens, token[:, None]), axis=-1)
    return state._replace(tokens=tokens, ended=ended)


def _filled(plan: _Plan, state: _State, count: int) -> _State:
    """Add `count` end tokens to every row."""
    xp, rows = backend_of(state.tokens).namespace, state.tokens.shape[0]
    fill = xp.full_like(state.tokens[:, :1], plan.end_token or 0)
    fill = xp.broadcast_to(fill, (rows, count))
    return state._replace(tokens=xp.concat((state.tokens, fill), axis=-1))


def _resampled(state: _State, batch: tuple[int, ...], draw: Any, which: Array) -> _State:
    """Resample the populations (...) that `which` names; their weights are then 0."""
    backend = backend_of(state.log_weights)
    xp = backend.namespace
    if not backend.is_traced(which) and not bool(xp.any(which)):
        return state
    weights = xp.reshape(state.log_weights, batch)
    own = xp.broadcast_to(xp.arange(batch[-1], device=backend.device_of(weights)), batch)
    uniform = draw.uniform((*batch[:-1], 1))
    chosen = xp.where(which[..., None], ancestors(weights, uniform), own)
    weights = xp.where(which[..., None], xp.zeros_like(weights), weights)
    count = prod(batch[:-1])
    first = xp.arange(count, dtype=chosen.dtype, device=backend.device_of(weights)) * batch[-1]
    rows = xp.reshape(xp.reshape(chosen, (count, batch[-1])) + first[:, None], (prod(batch),))
    state = trees.map(lambda leaf: xp.take(leaf, rows, axis=0), state)
    return state._replace(log_weights=xp.reshape(weights, (prod(batch),)))


def _all(ended: Array) -> bool:
    backend = backend_of(ended)
    return not backend.is_traced(ended) and bool(backend.namespace.all(ended))


def _readers(models: Any) -> list[Any]:
    """Return the models with caches, the sequences themselves where they have none."""
    if not isinstance(models, list | tuple) or len(models) < 2:
        raise TypeError("`models` must be a tuple of the reference and at least one aligned model")
    known = [v for v in (getattr(m, "vocabulary", None) for m in models) if v is not None]
    if any(v != known[0] for v in known):
        raise ValueError("`models` must have one vocabulary; got models that differ in it")
    readers: list[Any] = []
    for model in models:
        if isinstance(model, CachedModel):
            readers.append(model)
        elif callable(model):
            readers.append(_Uncached(model))
        else:
            raise TypeError(f"`models` must be callable; got {type(model).__qualname__}")
    return readers


def _check_prompts(prompts: Array) -> Any:
    xp = backend_of(prompts).namespace
    if not xp.isdtype(prompts.dtype, "integral"):
        raise TypeError(f"`prompts` must be an integer array; got {dtype_name(prompts)}")
    if prompts.ndim < 2 or 0 in prompts.shape[:-1]:
        raise ValueError(
            f"`prompts` must have shape (..., N, T) with rows; got {tuple(prompts.shape)}"
        )
    return xp


def _of_rows(prompts: Array, value: Any, batch: tuple[int, ...]) -> Any:
    """Return a function of logits that gives their strength: a number, or one a row (B, 1)."""
    if not hasattr(value, "shape"):
        return lambda logits: value
    backend = backend_of(prompts)
    check_array("strength", value, backend)
    xp, shape = backend.namespace, tuple(value.shape)
    if len(shape) == len(batch) + 1 and shape[-1] == 1:
        value, shape = value[..., 0], shape[:-1]
    if not broadcasts(shape, batch):
        raise ValueError(f"`strength` must broadcast to the batch {batch}; got shape {shape}")
    return _OfRows(xp.reshape(xp.broadcast_to(value, batch), (prod(batch), 1)))


class _OfRows(NamedTuple):
    value: Array

    def __call__(self, logits: Array) -> Array:
        return self.value


def _check_population(
    xp: Any, prompts: Array, strengths: list[Any], batch: tuple[int, ...]
) -> None:
    """Raise ValueError unless the rows of each population are equal."""
    if bool(xp.any(prompts != prompts[..., :1, :])):
        raise ValueError(
            "`prompts` must be equal along the axis of a population that is corrected: "
            "give prompts of shape (prompts, N, T)"
        )
    for strength in strengths:
        if isinstance(strength, _OfRows):
            rows = xp.reshape(strength.value, batch)
            if bool(xp.any(rows != rows[..., :1])):
                raise ValueError(
                    "`strength` must be equal along the axis of a population that is corrected: "
                    "give prompts of shape (strengths, N, T)"
                )
