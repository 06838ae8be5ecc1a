"""Reading tokens with a causal model of transformers: masks, positions, and a cache that follows.

The cache is tied to the tokens that it holds: beams that are reordered, rows that are dropped and
new prompts are all seen by comparing tokens, so that nobody has to tell.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

__all__ = ["CausalReader", "forward_causal", "leading_padding"]


class CausalReader:
    """Next-token logits of a causal model, one call a token.

    Parameters
    ----------
    model
        A causal language model of transformers.
    attention_mask
        Of the prompts, one row a prompt; None to infer it from padding on the left.
    """

    def __init__(self, model: Any, attention_mask: Tensor | None = None) -> None:
        if getattr(model.config, "is_encoder_decoder", False):
            raise ValueError("`sft_model` must be a decoder; got an encoder-decoder model")
        if attention_mask is not None and attention_mask.ndim != 2:
            raise ValueError(
                f"`attention_mask` must have shape (B, T); got {tuple(attention_mask.shape)}"
            )
        self.model = model
        self.given = attention_mask
        self._prompts: Tensor | None = None  # with the mask of each, since the last start
        self._prompt_mask: Tensor | None = None
        self._tokens: Tensor | None = None  # what the cache holds
        self._mask: Tensor | None = None
        self._cache: Any = None

    @torch.no_grad()
    def __call__(self, tokens: Tensor) -> Tensor:
        """Return the logits (R, V) that follow tokens (R, T), in float32."""
        tokens = tokens.to(self.model.device)
        parents = self._parents(tokens)
        if parents is None or self._mask is None:
            mask, cache, fresh = self._first_mask(tokens), None, tokens
        else:
            mask = _with_one(self._mask[parents])
            cache, fresh = self._reordered(parents), tokens[:, -1:]
            if cache is None:
                fresh = tokens
        logits, self._cache = forward_causal(self.model, None, fresh, mask, cache)
        self._tokens, self._mask = tokens, mask
        return logits

    def _parents(self, tokens: Tensor) -> Tensor | None:
        """Return the row that each row continues by one token, None unless all do."""
        old = self._tokens
        if old is None or tokens.shape[1] != old.shape[1] + 1:
            return None
        before = tokens[:, :-1]
        if before.shape == old.shape and torch.equal(before, old):
            return torch.arange(len(old), device=old.device)
        return _matches(before, old, self._blocks)

    @property
    def _blocks(self) -> int:
        return 1 if self.given is None else len(self.given)

    def _reordered(self, parents: Tensor) -> Any:
        """Return the cache with its rows chosen, None where there is none that can."""
        same = len(parents) == len(self._tokens) and bool(  # type: ignore[arg-type]
            (parents == torch.arange(len(parents), device=parents.device)).all()
        )
        if self._cache is None or same:
            return self._cache
        if not hasattr(self._cache, "reorder_cache"):
            return None
        self._cache.reorder_cache(parents)
        return self._cache

    def _first_mask(self, tokens: Tensor) -> Tensor:
        """Return the mask of tokens that nothing is known of yet."""
        continued = self._continued(tokens)
        if continued is not None:
            return continued
        if self.given is None:
            mask = leading_padding(self.model, tokens)
        else:
            rows, length = self.given.shape
            if length != tokens.shape[1] or len(tokens) % max(rows, 1) != 0:
                raise ValueError(
                    "`attention_mask` must have the shape of the prompts; got "
                    f"{tuple(self.given.shape)} for {tuple(tokens.shape)}: "
                    "set `attention_mask` for new prompts"
                )
            # Beams and returned sequences of a prompt follow one another.
            mask = self.given.to(tokens.device).repeat_interleave(len(tokens) // rows, dim=0)
        self._prompts, self._prompt_mask = tokens, mask.to(torch.int64)
        return self._prompt_mask

    def _continued(self, tokens: Tensor) -> Tensor | None:
        """Return the mask of rows that begin with known prompts and lost the cache."""
        if self._prompts is None or self._prompt_mask is None:
            return None
        length = self._prompts.shape[1]
        if tokens.shape[1] <= length:
            return None
        rows = _matches(tokens[:, :length], self._prompts, self._blocks)
        if rows is None:
            return None
        mask = self._prompt_mask[rows]
        return torch.cat((mask, mask.new_ones(len(mask), tokens.shape[1] - length)), dim=-1)


def forward_causal(
    model: Any, params: Any, tokens: Tensor, mask: Tensor, cache: Any
) -> tuple[Tensor, Any]:
    """Return the logits of the next token in float32, and the cache.

    `params` replaces the parameters of the model, None leaves them; `mask` covers the cache too.
    """
    # Positions count from the first token that is not padding.
    positions = (mask.to(torch.int64).cumsum(dim=-1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
    options = {"attention_mask": mask, "past_key_values": cache, "use_cache": True}
    for name, value in (("position_ids", positions), ("logits_to_keep", 1)):
        if name in _forward_names(model):
            options[name] = value
    if params is None:
        found = model(input_ids=tokens, **options)
    else:
        found = torch.func.functional_call(model, params, (), {"input_ids": tokens, **options})
    logits: Tensor = found.logits[:, -1].float()
    return logits, getattr(found, "past_key_values", None)


def leading_padding(model: Any, tokens: Tensor) -> Tensor:
    """Return a mask that leaves out padding at the beginning of rows."""
    config = getattr(model, "generation_config", None) or model.config
    pad, ends = getattr(config, "pad_token_id", None), getattr(config, "eos_token_id", None)
    ones = torch.ones_like(tokens)
    if pad is None:
        return ones
    leading = (tokens == pad).to(torch.int64).cumprod(dim=-1)
    count = leading.sum(dim=-1)
    if pad not in (ends if isinstance(ends, list) else [ends]):
        rest: Tensor = ones - leading
        return rest
    if len(count) and bool((count != count[0]).any()):
        raise ValueError(
            "`attention_mask` must be given where the padding token also ends responses; got None"
        )
    return ones


def _with_one(mask: Tensor) -> Tensor:
    return torch.cat((mask, mask.new_ones(len(mask), 1)), dim=-1)


def _matches(rows: Tensor, known: Tensor, blocks: int) -> Tensor | None:
    """Return a row of `known` that equals each of `rows`, None unless all have one.

    Both fall into blocks of one prompt each: equal tokens of two prompts may be masked differently.
    """
    if len(rows) % blocks or len(known) % blocks:
        blocks = 1
    number = {key: i for i, key in reversed(list(enumerate(_keys(known, blocks))))}
    found = [number.get(key, -1) for key in _keys(rows, blocks)]
    if min(found, default=0) < 0:
        return None
    return torch.tensor(found, dtype=torch.int64, device=known.device)


def _keys(rows: Tensor, blocks: int) -> list[tuple[int, ...]]:
    """Return the block and the tokens of each row."""
    return [(i * blocks // len(rows), *row) for i, row in enumerate(rows.tolist())]


def _forward_names(model: Any) -> Any:
    return inspect.signature(model.forward).parameters
