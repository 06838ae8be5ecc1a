"""DeRa for ``generate`` of transformers, and its models as policies of the online loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor

from fenchel.alignment import kl_exact, realign_logits, sequence_logprob
from fenchel.arrays import check_integer, check_number
from fenchel.random import gumbel, sampler

from ._causal_reader import CausalReader
from ._generation import CausalSteps, DecoderSteps, causal_logits, decoder_logits, decoder_start

__all__ = ["DeRaLogitsProcessor", "GenerationPolicy"]

Params = Mapping[str, Tensor]


class DeRaLogitsProcessor(LogitsProcessor):
    r"""Realign the model that generates by the reference that it was trained from.

    Given to ``generate`` of the aligned model it mixes the logits of both,
    :math:`h_{sft} + \lambda (h - h_{sft})`, before temperature, top-k and top-p.

    Parameters
    ----------
    sft_model
        The reference, a causal language model in eval mode, on any device.
    strength : number or Tensor (B,)
        Lambda; one a prompt if it is a tensor.
    attention_mask : Tensor (B, T), optional
        That of the prompts. By default padding on the left is recognised by the padding token of
        the reference, unless that one also ends responses and rows differ in it, which is an error.
        May be assigned anew.
    tokenizer, sft_tokenizer
        The tokenizers of both models: checked to be the same where both are given.

    Raises
    ------
    ValueError
        If the vocabularies differ by more than padding columns, the tokenizers differ, the mask
        does not fit the prompts, `strength` is NaN or not one a prompt, or all tokens are masked.

    Notes
    -----
    Returns normalised log-probabilities, as beam search adds them to its scores. Tokens that are
    -inf in one of the models stay so; padding columns of the longer vocabulary are masked. The
    cache of the reference follows beams, returned sequences and new prompts by comparing tokens, so
    the object can be used again. Costs one forward pass a token.

    Source: arXiv 2402.02992.

    Examples
    --------
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> import torch
    >>> config = LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8,
    ...                      num_hidden_layers=1, num_attention_heads=2)
    >>> sft, aligned = LlamaForCausalLM(config).eval(), LlamaForCausalLM(config).eval()
    >>> processor = DeRaLogitsProcessor(sft, 0.5)
    >>> prompts = torch.tensor([[3, 4, 5]])
    >>> aligned.generate(prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=4,
    ...                  logits_processor=[processor], do_sample=False, eos_token_id=None).shape
    torch.Size([1, 7])
    """

    def __init__(
        self,
        sft_model: Any,
        strength: float | Tensor,
        *,
        attention_mask: Tensor | None = None,
        tokenizer: Any = None,
        sft_tokenizer: Any = None,
    ) -> None:
        known = tokenizer is not None and sft_tokenizer is not None
        if known and tokenizer.get_vocab() != sft_tokenizer.get_vocab():
            raise ValueError(
                "`sft_tokenizer` must have the vocabulary of `tokenizer`; got another one"
            )
        if isinstance(strength, Tensor) and strength.ndim > 1:
            raise ValueError(
                f"`strength` must be a number or of shape (B,); got {tuple(strength.shape)}"
            )
        self.sft_model = sft_model
        self.strength = strength
        self._reader = CausalReader(sft_model, attention_mask)

    @property
    def attention_mask(self) -> Tensor | None:
        """The mask of the prompts."""
        return self._reader.given

    @attention_mask.setter
    def attention_mask(self, value: Tensor | None) -> None:
        self._reader = CausalReader(self.sft_model, value)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return realigned log-probabilities (R, V) in place of the scores of the aligned model."""
        sft = self._reader(input_ids).to(device=scores.device, dtype=scores.dtype)
        mixed = realign_logits(sft, scores, self._rows(scores))
        return torch.log_softmax(mixed, dim=-1)[:, : scores.shape[-1]]

    def _rows(self, scores: Tensor) -> Any:
        """Return the strength of each row; beams of a prompt follow one another."""
        strength = self.strength
        if not isinstance(strength, Tensor) or strength.ndim == 0:
            return float(strength)
        if len(strength) == 0 or len(scores) % len(strength) != 0:
            raise ValueError(
                f"`strength` must have one entry a prompt; got {len(strength)} "
                f"for {len(scores)} rows"
            )
        return strength.to(scores.device).repeat_interleave(len(scores) // len(strength))


class GenerationPolicy:
    """A language model of transformers as a policy of `fenchel.alignment.OnlineLoop`.

    Causal models continue the prompts; models with an encoder read them there.

    Parameters are a dict of tensors, by default those of the model; the model itself is never
    changed.

    Parameters
    ----------
    model
        A causal or encoder-decoder language model in eval mode (no dropout: the log-probability of
        a response is to be that with which it was drawn).
    max_new_tokens : int
        Longest response, at least 1.
    tokenizer : optional
        Decodes for annotators; without it they are shown token numbers.
    pad_token, end_token : int, optional
        By default those of the model. Prompts are padded on the left, those of an encoder on either
        side; responses are filled up with the end token.

    Raises
    ------
    ValueError
        If the model is in training mode, or there is no end token, or no token that a decoder
        starts with.

    Notes
    -----
    *Derivatives*: of `logprob` in the parameters.

    Examples
    --------
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> import torch
    >>> config = LlamaConfig(vocab_size=20, hidden_size=8, intermediate_size=8, pad_token_id=0,
    ...                      num_hidden_layers=1, num_attention_heads=2, eos_token_id=1)
    >>> policy = GenerationPolicy(LlamaForCausalLM(config).eval(), max_new_tokens=3)
    >>> params, prompts = policy.init(), torch.tensor([[0, 4, 5], [3, 4, 5]])
    >>> responses = policy.sample(params, prompts, rng=0, temperature=0.9)
    >>> tuple(responses.shape), tuple(policy.logprob(params, prompts, responses).shape)
    ((2, 3), (2,))
    """

    def __init__(
        self,
        model: Any,
        *,
        max_new_tokens: int,
        tokenizer: Any = None,
        pad_token: int | None = None,
        end_token: int | None = None,
    ) -> None:
        config = getattr(model, "generation_config", None) or model.config
        end = config.eos_token_id if end_token is None else end_token
        end = end[0] if isinstance(end, list) else end
        if end is None:
            raise ValueError("`end_token` must be given for a model without one; got None")
        if model.training:
            raise ValueError("`model` must be in eval mode; got one in training mode")
        self.max_new_tokens = check_integer("max_new_tokens", max_new_tokens, minimum=1)
        self.model, self.tokenizer, self.end_token = model, tokenizer, int(end)
        self._start = decoder_start(model)
        self.pad_token = config.pad_token_id if pad_token is None else pad_token

    def init(self) -> dict[str, Tensor]:
        """Return the parameters of the model, detached copies."""
        return {name: p.detach().clone() for name, p in self.model.named_parameters()}

    @torch.no_grad()
    def sample(self, params: Params, prompts: Tensor, rng: Any, temperature: float = 1.0) -> Tensor:
        """Draw a response to each prompt, integers (B, max_new_tokens).

        Parameters
        ----------
        params
            Dict of tensors.
        prompts
            Integers (B, T), padded on the left.
        rng
            As for `fenchel.random`; a `RandomStream` gives the same draws wherever it is used.
        temperature
            At least 0; 0 takes the likeliest token.
        """
        check_number("temperature", temperature, minimum=0.0)
        read = self._reader(params, prompts)
        ended = torch.zeros_like(prompts[:, 0], dtype=torch.bool)
        response, draw, token = prompts[:, :0], rng, None
        for _ in range(self.max_new_tokens):
            logits = read(token)
            if temperature > 0:
                draw = sampler(draw, logits)
                logits = logits / temperature + gumbel(draw, tuple(logits.shape), like=logits)
            token = torch.where(ended, self.end_token, logits.argmax(dim=-1))
            ended = ended | (token == self.end_token)
            response = torch.cat((response, token[:, None].to(response.dtype)), dim=-1)
        return response

    def logprob(self, params: Params, prompts: Tensor, responses: Tensor) -> Tensor:
        """Return the log-probability of each response in float32, differentiable in `params`."""
        logits = self._logits(params, prompts, responses)
        total: Tensor = sequence_logprob(logits, responses, self._counted(responses))
        return total

    @torch.no_grad()
    def compare(
        self, params: Params, reference: Params, prompts: Tensor, responses: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return log-probabilities under both, and the divergence along each response."""
        mask = self._counted(responses)
        own, other = (self._logits(p, prompts, responses) for p in (params, reference))
        logp, ref = (sequence_logprob(x, responses, mask) for x in (own, other))
        return logp, ref, kl_exact(own, other, mask)

    def lengths(self, responses: Tensor) -> Tensor:
        """Return the tokens of each response, the end token included."""
        return self._counted(responses).sum(dim=-1)

    def decode(self, prompts: Tensor, responses: Tensor) -> tuple[list[Any], list[Any]]:
        """Return what annotators are shown: texts, or lists of tokens without a tokenizer."""
        said = [
            row[:length].tolist()
            for row, length in zip(responses, self.lengths(responses).tolist(), strict=True)
        ]
        said = [row[:-1] if row and row[-1] == self.end_token else row for row in said]
        masks = self._prompt_mask(prompts).bool()
        asked = [row[mask].tolist() for row, mask in zip(prompts, masks, strict=True)]
        if self.tokenizer is None:
            return asked, said
        text = self.tokenizer.batch_decode
        return text(asked, skip_special_tokens=True), text(said, skip_special_tokens=True)

    def _reader(self, params: Params, prompts: Tensor) -> Any:
        """Return what reads the prompts, and then one token a call, to logits of the next one."""
        mask = self._prompt_mask(prompts)
        if self._start is None:
            return CausalSteps(self.model, dict(params), prompts, mask)
        return DecoderSteps(self.model, dict(params), prompts, mask, self._start)

    def _logits(self, params: Params, prompts: Tensor, responses: Tensor) -> Tensor:
        """Return the logits that predict each token of the responses, in float32."""
        mask = self._prompt_mask(prompts)
        if self._start is None:
            return causal_logits(self.model, dict(params), prompts, mask, responses)
        return decoder_logits(self.model, dict(params), prompts, mask, responses, self._start)

    def _counted(self, responses: Tensor) -> Tensor:
        """Return which tokens count: up to the first end token, itself included."""
        ends = (responses == self.end_token).to(torch.int64)
        return ends.cumsum(dim=-1) - ends == 0

    def _prompt_mask(self, prompts: Tensor) -> Tensor:
        """Return a mask without padding: that at the beginning of rows, or all of it."""
        if self.pad_token is None:
            return torch.ones_like(prompts)
        if self._start is not None:
            return (prompts != self.pad_token).to(prompts.dtype)
        return 1 - (prompts == self.pad_token).to(prompts.dtype).cumprod(dim=-1)
