"""Reading prompts and responses with models of transformers whose parameters are given."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ._causal_reader import forward_causal

__all__ = ["CausalSteps", "DecoderSteps", "causal_logits", "decoder_logits", "decoder_start"]

Params = dict[str, Tensor]


class CausalSteps:
    """Next-token logits of a causal model that continues the prompts."""

    def __init__(self, model: Any, params: Params, prompts: Tensor, mask: Tensor) -> None:
        self.model, self.params, self.prompts, self.mask = model, params, prompts, mask
        self.cache: Any = None

    def __call__(self, token: Tensor | None) -> Tensor:
        """Read the prompts at first, then one token (B,); return logits (B, V)."""
        fresh = self.prompts
        if token is not None:
            fresh = token[:, None]
            self.mask = torch.cat((self.mask, self.mask.new_ones(len(self.mask), 1)), dim=-1)
        logits, self.cache = forward_causal(self.model, self.params, fresh, self.mask, self.cache)
        return logits


class DecoderSteps:
    """Next-token logits of a decoder; the encoder reads the prompts once."""

    def __init__(
        self, model: Any, params: Params, prompts: Tensor, mask: Tensor, start: int
    ) -> None:
        self.model, self.params, self.start = model, params, start
        self.inputs: dict[str, Any] = {"input_ids": prompts, "attention_mask": mask}

    def __call__(self, token: Tensor | None) -> Tensor:
        """Read the start token at first, then one token (B,); return logits (B, V)."""
        mask = self.inputs["attention_mask"]
        fresh = mask.new_full((len(mask), 1), self.start) if token is None else token[:, None]
        options = {**self.inputs, "decoder_input_ids": fresh, "use_cache": True}
        found = torch.func.functional_call(self.model, self.params, (), options)
        self.inputs = {
            "encoder_outputs": (found.encoder_last_hidden_state,),
            "attention_mask": mask,
            "past_key_values": found.past_key_values,
        }
        logits: Tensor = found.logits[:, -1].float()
        return logits


def causal_logits(
    model: Any, params: Params, prompts: Tensor, mask: Tensor, responses: Tensor
) -> Tensor:
    """Return the logits (B, T, V) of a causal model that predict the responses."""
    mask = torch.cat((mask, torch.ones_like(responses)), dim=-1)
    tokens = torch.cat((prompts, responses), dim=-1)
    positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)
    options = {"attention_mask": mask, "use_cache": False, "position_ids": positions}
    found = torch.func.functional_call(model, params, (), {"input_ids": tokens, **options})
    logits: Tensor = found.logits[:, prompts.shape[1] - 1 : -1].float()
    return logits


def decoder_logits(
    model: Any, params: Params, prompts: Tensor, mask: Tensor, responses: Tensor, start: int
) -> Tensor:
    """Return the logits (B, T, V) of a decoder that predict the responses."""
    first = responses.new_full((len(responses), 1), start)
    options = {
        "input_ids": prompts,
        "attention_mask": mask,
        "decoder_input_ids": torch.cat((first, responses[:, :-1]), dim=-1),
        "use_cache": False,
    }
    logits: Tensor = torch.func.functional_call(model, params, (), options).logits.float()
    return logits


def decoder_start(model: Any) -> int | None:
    """Return the token that a decoder starts with, None for a causal model.

    Raises
    ------
    ValueError
        If an encoder-decoder model names none.
    """
    if not getattr(model.config, "is_encoder_decoder", False):
        return None
    start = model.config.decoder_start_token_id
    if start is None:
        raise ValueError("`model` must name a `decoder_start_token_id`; got None")
    return int(start)
