"""DeRa inside ``generate``: against models run one row at a time, without cache and padding."""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from numpy.testing import assert_allclose  # noqa: E402
from transformers import LogitsProcessor  # noqa: E402

from fenchel.alignment import realign_logits  # noqa: E402
from fenchel.integrations.transformers import DeRaLogitsProcessor  # noqa: E402
from tests.integrations.tiny_models import (  # noqa: E402
    FAMILIES,
    MASK,
    NEW,
    PAD,
    PROMPTS,
    SIZE,
    llama,
    t5,
)


class OneRowAtATime(LogitsProcessor):
    """The same mixture with the reference run anew on each row, padding cut off."""

    def __init__(self, model, strength):
        self.model, self.strength = model, strength

    @torch.no_grad()
    def __call__(self, input_ids, scores):
        sft = []
        for row in input_ids:
            first = int((row != PAD).to(torch.int64).argmax())
            sft.append(self.model(row[None, first:], use_cache=False).logits[0, -1].float())
        block = len(scores) // len(self.strength)
        rows = self.strength.repeat_interleave(block)
        mixed = realign_logits(torch.stack(sft), scores, rows)
        return torch.log_softmax(mixed, dim=-1)[:, : scores.shape[-1]]


def generate(model, processor, prompts=PROMPTS, mask=MASK, **options):
    options = {"max_new_tokens": NEW, "do_sample": False, **options}
    return model.generate(
        prompts, attention_mask=mask, logits_processor=[processor], pad_token_id=PAD, **options
    )


MODES = {
    "greedy": {},
    "beams": {"num_beams": 3},
    "returned beams": {"num_beams": 4, "num_return_sequences": 2},
    "samples": {"do_sample": True, "num_return_sequences": 3, "top_k": 5},
    "without cache": {"use_cache": False},
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", MODES)
def test_generates_what_single_rows_do(family, mode):
    sft, aligned = FAMILIES[family](0), FAMILIES[family](1)
    strength = torch.tensor([0.5, 1.7, -0.4])
    torch.manual_seed(3)
    wanted = generate(aligned, OneRowAtATime(sft, strength), **MODES[mode])
    torch.manual_seed(3)
    found = generate(aligned, DeRaLogitsProcessor(sft, strength), **MODES[mode])
    assert torch.equal(found, wanted)
    alone = generate(sft, OneRowAtATime(sft, torch.zeros(1)), **MODES["greedy"])
    assert mode != "greedy" or not torch.equal(found, alone)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_the_ends_are_the_single_models(strength):
    sft, aligned = llama(0), llama(1)
    found = generate(aligned, DeRaLogitsProcessor(sft, strength), num_beams=3)
    model = sft if strength == 0.0 else aligned
    wanted = model.generate(
        PROMPTS, attention_mask=MASK, max_new_tokens=NEW, num_beams=3, do_sample=False,
        pad_token_id=PAD,
    )  # fmt: skip
    assert torch.equal(found, wanted)


def test_one_object_serves_again():
    sft, aligned = llama(0), llama(1)
    processor = DeRaLogitsProcessor(sft, 0.6)
    longer = torch.tensor([[3, 4, 5, 6, 7, 8], [PAD, PAD, PAD, 9, 10, 11]])
    for prompts in (PROMPTS, longer, PROMPTS[:1], PROMPTS):
        mask = (prompts != PAD).long()
        for options in ({}, {"num_beams": 2}):
            found = generate(aligned, processor, prompts, mask, **options)
            reference = OneRowAtATime(sft, torch.full((len(prompts),), 0.6))
            assert torch.equal(found, generate(aligned, reference, prompts, mask, **options))


def test_mask_of_its_own_and_a_new_one():
    """The padding token ends responses too: only a mask can tell."""
    sft, aligned = llama(0), llama(1)
    wanted = generate(aligned, OneRowAtATime(sft, torch.full((3,), 0.6)), eos_token_id=None)
    for model in (sft, aligned):
        model.generation_config.eos_token_id = PAD
    options = {"eos_token_id": None}
    with pytest.raises(ValueError, match="attention_mask"):
        generate(aligned, DeRaLogitsProcessor(sft, 0.6), **options)
    processor = DeRaLogitsProcessor(sft, 0.6, attention_mask=MASK)
    found = generate(aligned, processor, **options)
    assert torch.equal(found, wanted)
    with pytest.raises(ValueError, match="set `attention_mask` for new prompts"):
        generate(aligned, processor, PROMPTS[:2, :3], MASK[:2, :3], **options)
    processor.attention_mask = MASK[:2]
    assert torch.equal(generate(aligned, processor, PROMPTS[:2], MASK[:2], **options), found[:2])


def test_the_reference_reads_one_token_a_step():
    sft, aligned, lengths = llama(0), llama(1), []
    sft.register_forward_pre_hook(
        lambda module, args, kwargs: lengths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
    )
    generate(aligned, DeRaLogitsProcessor(sft, 0.5), num_beams=3, eos_token_id=None)
    assert lengths == [PROMPTS.shape[1]] + [1] * (NEW - 1)


@pytest.mark.parametrize("sizes", [(SIZE + 2, SIZE), (SIZE, SIZE + 2)])
def test_padding_columns_are_never_chosen(sizes):
    sft, aligned = llama(0, sizes[0]), llama(1, sizes[1])
    processor = DeRaLogitsProcessor(sft, 0.7)
    with torch.no_grad():
        scores = aligned(PROMPTS, attention_mask=MASK).logits[:, -1]
    mixed = processor(PROMPTS, scores)
    assert mixed.shape == scores.shape and bool((mixed[:, SIZE:] == -torch.inf).all())
    assert_allclose(mixed.exp().sum(-1).numpy(), 1.0, rtol=1e-5)


def test_masked_scores_stay_masked():
    sft, aligned = llama(0), llama(1)
    with torch.no_grad():
        scores = aligned(PROMPTS, attention_mask=MASK).logits[:, -1]
    scores[:, 3:10] = -torch.inf
    for strength in (0.0, 0.5, 1.0, 2.0, -1.0):
        mixed = DeRaLogitsProcessor(sft, strength)(PROMPTS, scores)
        assert bool((mixed[:, 3:10] == -torch.inf).all()) and not bool(mixed.isnan().any())
    with pytest.raises(ValueError, match="leave a token"):
        DeRaLogitsProcessor(sft, 0.5)(PROMPTS, torch.full_like(scores, -torch.inf))


class Words:
    def __init__(self, *words):
        self.words = words

    def get_vocab(self):
        return {word: i for i, word in enumerate(self.words)}


def test_errors():
    sft, aligned = llama(0), llama(1)
    with pytest.raises(ValueError, match="sft_tokenizer"):
        DeRaLogitsProcessor(sft, 0.5, tokenizer=Words("a", "b"), sft_tokenizer=Words("b", "a"))
    DeRaLogitsProcessor(sft, 0.5, tokenizer=Words("a"), sft_tokenizer=Words("a"))
    with pytest.raises(ValueError, match="strength"):
        generate(aligned, DeRaLogitsProcessor(sft, torch.tensor([0.1, 0.2])))
    with pytest.raises(ValueError, match="nan"):
        generate(aligned, DeRaLogitsProcessor(sft, float("nan")))
    with pytest.raises(ValueError, match="vocabulary"):
        generate(aligned, DeRaLogitsProcessor(llama(0, 2000), 0.5))
    with pytest.raises(ValueError, match="strength"):
        DeRaLogitsProcessor(sft, torch.ones(2, 2))
    with pytest.raises(ValueError, match="must be a decoder"):
        DeRaLogitsProcessor(t5(0), 0.5)
