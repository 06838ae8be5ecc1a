"""Tiny random models of transformers."""

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

PAD, END, SIZE, NEW = 0, 1, 30, 7
PROMPTS = torch.tensor([[PAD, PAD, 5, 6], [7, 8, 9, 10], [PAD, 11, 12, 13]])
MASK = (PROMPTS != PAD).long()
FEW = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2}


def llama(seed, size=SIZE):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=size, num_attention_heads=2, pad_token_id=PAD, eos_token_id=END, **FEW
    )
    return sharpened(LlamaForCausalLM(config))


def gpt2(seed, size=SIZE):
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=size, n_embd=16, n_layer=2, n_head=2, pad_token_id=PAD, eos_token_id=END,
        bos_token_id=None,
    )  # fmt: skip
    return sharpened(GPT2LMHeadModel(config))


def sharpened(model):
    """Random weights of a size that makes the next tokens differ."""
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.15 * torch.randn_like(p))
    return model.eval()


def t5(seed, size=SIZE):
    torch.manual_seed(seed)
    config = T5Config(
        vocab_size=size, d_model=16, d_kv=8, d_ff=16, num_layers=2, num_heads=2, pad_token_id=PAD,
        eos_token_id=END, decoder_start_token_id=PAD,
    )  # fmt: skip
    return sharpened(T5ForConditionalGeneration(config))


FAMILIES = {"llama": llama, "gpt2": gpt2}
